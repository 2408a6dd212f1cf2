// Package engine moves every user of a topic into the ledger, exactly once: it joins the consumer group, reads what it is
// assigned from the checkpoint on, hands users to the shards, writes checkpoints behind what the ledger acknowledged, and obeys
// operators meanwhile.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// Run moves every user of a topic into the ledger, exactly once. Its fields are set before Do and not changed after.
type Run struct {
	Campaign *grant.Campaign
	Pass     grant.Pass
	Source   Source
	Ledger   Ledger
	Sharding dense.Config
	Members  *Members // of a campaign whose IDs are not dense; nil: they are
	Monitor  *Monitor
	Record   grant.RunRecord // who runs; the run fills in the rest
	Log      *slog.Logger

	Orders Orders // of operators; nil: nobody gives any

	// Measure is asked once a second how the servers are; latency is that of Orders. nil: no feedback.
	Measure func(ctx context.Context, latency time.Duration) grant.Measurement
	// Count returns the granted users of the whole ledger, and the excluded ones; nil: they are not counted.
	Count func(ctx context.Context) (granted, excluded int64, err error)
	// Peek returns the bounds of every partition, in one attempt; nil: it is not asked.
	Peek func(ctx context.Context) (grant.Bounds, error)
	// Lost returns how many replicas are gone and did not end; nil: not known.
	Lost func(ctx context.Context) (int, error)
	// Recheck is preflight again, shortly before the start; nil: not again.
	Recheck func(ctx context.Context) error
	// Early records that the run starts before its date; nil: nobody does.
	Early func(ctx context.Context) error
	// NewTopic is asked for leave to begin the checkpoint anew, because of an ErrTopicChanged, when the run starts. nil: it
	// stops the run instead.
	NewTopic func(ctx context.Context, why error) error

	// Settle withholds everybody whom the spec's lists exclude, before anybody is granted anything, after a pause, and when Redis
	// lost writes. nil: there are no lists.
	Settle func(ctx context.Context) error

	Now             bool          // start before starts_at
	Follow          bool          // go on when everything that was there at the start is granted
	StandBy         bool          // where it would end at its start, by an abort or an order to finish, wait for resume
	CheckpointEvery time.Duration // default 500 ms
	PollEvery       time.Duration // how often to look whether other replicas have finished their partitions. Default 500 ms
	RetryFor        time.Duration // how long to wait for the first orders. Default 2 minutes

	drain    *drain
	gate     *Gate
	orders   *orderReader
	steering *steering
	schedule *schedule
	targets  *targets
	survey   *surveyor
	recorder *recorder

	topic    grant.TopicID                              // the one and only of this run
	target   target                                     // of the last session
	newTopic func(ctx context.Context, why error) error // NewTopic, until the first session
}

// NewRun returns a run with nothing but defaults.
func NewRun() *Run {
	return &Run{
		CheckpointEvery: 500 * time.Millisecond, PollEvery: 500 * time.Millisecond, RetryFor: 2 * time.Minute, drain: newDrain(),
	}
}

// Drain asks the run to stop soon: what is in hand is granted and checkpointed. Cancelling the context of Do stops it
// at once; nothing is lost then either, but some work is done again.
func (r *Run) Drain() { r.drain.ask(ErrDrained) }

// Do is the whole run. It returns nil when everything that was in the topic at the start is granted, or when the campaign
// ends while it follows; ErrDrained when Drain was called before that, and otherwise the error that stopped it. In each case
// what it granted is in the ledger.
func (r *Run) Do(ctx context.Context) (err error) {
	r.assemble()
	defer func() { r.recorder.end(err) }()
	if err := r.learnOrders(ctx); err != nil {
		return err
	}
	defer r.obey(ctx)()
	if err := r.untilDrain(ctx, r.schedule.wait); err != nil {
		return err
	}
	defer r.endOnTime()()
	if err := r.untilDrain(ctx, r.prepare); err != nil {
		return err
	}
	defer watchTopic(ctx, r.Source, r.drain.ask)()
	return r.judgeEnd(ctx, r.work(ctx))
}

// assemble makes the parts of the run.
func (r *Run) assemble() {
	r.newTopic = r.NewTopic
	r.Record.Spec, r.Record.Pass = r.Campaign.Hash, r.Pass.Name
	r.recorder = newRecorder(r.Ledger, r.Monitor, r.Record, r.Log)
	r.gate = NewGate(r.Orders)
	r.orders = newOrderReader(r.Orders, r.Campaign, r.Log)
	r.targets = &targets{follow: r.Follow, zone: r.Campaign.StartsAt.Location(), log: r.Log}
	r.steering = newSteering(steeringInputs{
		campaign: r.Campaign, orders: r.orders, gate: r.gate, measure: r.Measure, observed: r.Monitor.observed,
		settle: r.Settle, standBy: r.StandBy, retryFor: r.RetryFor, log: r.Log,
	}, r.carryOut, r.recorder.request)
	r.schedule = &schedule{
		campaign: r.Campaign, orders: r.orders, steering: r.steering, ledger: r.Ledger, monitor: r.Monitor, log: r.Log,
		now: r.Now, standBy: r.StandBy, recheck: r.Recheck, early: r.Early,
		report: func(ctx context.Context) { r.recorder.enter(ctx, grant.RunWaiting) },
	}
	r.survey = &surveyor{
		peek: r.Peek, checkpoints: r.Ledger.Checkpoints, lost: r.Lost, count: r.Count, pass: r.Pass, monitor: r.Monitor,
	}
}

// learnOrders reads the orders for the first time.
func (r *Run) learnOrders(ctx context.Context) error {
	if r.Orders == nil {
		return r.drain.reason()
	}
	if err := r.untilDrain(ctx, r.steering.waitForOrders); err != nil {
		return err
	}
	return r.drain.reason()
}

// obey steers the run, and watches how it is doing, until stop is called.
func (r *Run) obey(ctx context.Context) (stop func()) {
	if r.Orders == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { r.gate.Refill(ctx) })
	work.Go(func() { r.steering.run(ctx) })
	work.Go(func() { r.recorder.run(ctx) })
	work.Go(func() { r.survey.run(ctx) })
	if r.Measure != nil {
		work.Go(func() { r.steering.runMeasurements(ctx) })
	}
	if r.Settle != nil {
		work.Go(func() { r.steering.runSettling(ctx) })
	}
	if r.Count != nil {
		work.Go(func() { r.survey.runCount(ctx) })
	}
	return func() { cancel(); work.Wait() }
}

// carryOut does what the steering decided.
func (r *Run) carryOut(d decision) {
	if d.start != nil {
		r.Ledger.NotBefore(*d.start)
	}
	r.gate.Set(d.open, d.control.Throttle, d.limit)
	r.targets.finish(d.control.Finish)
	r.Monitor.steer(d.control, steered{control: d.control.Version, holds: d.holds, limit: d.limit, redis: d.redis})
	if d.end != nil {
		r.drain.ask(d.end)
	}
}

// endOnTime drains the run at the campaign's end.
func (r *Run) endOnTime() (stop func() bool) {
	end := r.Campaign.EndsAt
	if end.IsZero() {
		return func() bool { return false }
	}
	return time.AfterFunc(end.Sub(r.orders.now()), func() { r.drain.ask(grant.ErrEnded) }).Stop
}

// prepare makes sure that there is something to do.
func (r *Run) prepare(ctx context.Context) (err error) {
	if err := r.Ledger.EnsureSpec(ctx, r.Campaign); err != nil {
		return err
	}
	if err := r.Source.Prepare(ctx); err != nil {
		return err
	}
	if r.topic, err = r.Source.Bind(ctx); err != nil { // before anything is counted in it
		return err
	}
	r.Monitor.bound(r.topic)
	bounds, err := r.Source.Bounds(ctx)
	if err != nil {
		return err
	}
	r.targets.find(r.topic, bounds.Ends)
	r.target, _ = r.targets.next()
	if err := r.settle(ctx); err != nil {
		return err
	}
	if r.Pass.Private {
		return nil
	}
	return r.schedule.sayIfMissed(ctx)
}

// settle withholds whom the spec's lists exclude.
func (r *Run) settle(ctx context.Context) error {
	if r.Settle == nil {
		return nil
	}
	return r.Settle(ctx)
}

// work takes one assignment of partitions after the other, until the whole topic is granted or the run is to end.
func (r *Run) work(ctx context.Context) error {
	group, err := r.Source.Join()
	if err != nil {
		return err
	}
	defer func() {
		if err := group.Leave(); err != nil {
			r.Log.Warn("leaving the consumer group failed; the others take over when the session times out", "error", err)
		}
	}()
	for r.drain.reason() == nil {
		if finished, err := r.generation(ctx, group); err != nil || finished {
			return err
		}
	}
	return r.drain.reason()
}

// generation works on one assignment of partitions until it ends, and reports whether the whole topic is granted.
func (r *Run) generation(ctx context.Context, group grant.Group) (finished bool, err error) {
	joining, stop := firstOf(ctx, r.drain.asked)
	defer stop()
	r.recorder.enter(ctx, grant.RunRunning)
	assignment, err := group.Next(joining)
	if err != nil {
		if ctx.Err() == nil && joining.Err() != nil {
			return false, nil
		}
		return false, err
	}
	defer assignment.Release()
	r.Monitor.joined()
	gen := &committing{Generation: assignment, committed: assignment.Committed(), private: r.Pass.Private}
	for {
		finished, err = r.newSession(gen).run(ctx)
		if errors.Is(err, errRetargeted) {
			continue // the same partitions, up to another end
		}
		if !errors.Is(err, grant.ErrRegressed) {
			return finished, err
		}
		r.Monitor.regressed()
		r.Log.Error("reading again from the ledger's older checkpoint", "reason", err)
		select {
		case <-time.After(r.PollEvery): // a ledger that goes on losing writes must not make a loop of this
		case <-ctx.Done():
		}
		if err := r.settle(ctx); err != nil { // it may have lost exclusions, too
			return false, err
		}
	}
}

func (r *Run) newSession(gen *committing) *session {
	s := &session{sessionInputs: sessionInputs{
		campaign: r.Campaign, pass: r.Pass, topic: r.topic, source: r.Source, ledger: r.Ledger, sharding: r.Sharding,
		generation: gen,
		sink:       punctual{r.Ledger, r.drain, r.steering},
		members:    r.Members.punctual(r.drain, r.steering),
		newTopic:   r.newTopic, monitor: r.Monitor, log: r.Log, drain: r.drain, ended: r.orders.ended,
		report:          func(ctx context.Context) { r.recorder.enter(ctx, grant.RunRunning) },
		checkpointEvery: r.CheckpointEvery, pollEvery: r.PollEvery,
	}}
	s.sharding.Gate, s.sharding.Includes, s.sharding.IncludesMember = r.gate, r.Pass.Includes, r.Pass.IncludesMember
	s.target, s.retargeted = r.targets.next()
	r.target, r.newTopic = s.target, nil
	return s
}

// judgeEnd returns how the run ended. Until ends_at is how long a run follows, if it came as far as a run that does not follow
// must.
func (r *Run) judgeEnd(ctx context.Context, err error) error {
	if !r.Follow || !errors.Is(err, grant.ErrEnded) {
		return err
	}
	checkpoint, failed := r.Ledger.Checkpoints(ctx)
	if failed != nil {
		return failed
	}
	if checkpoint.Of(r.topic).Next.Reached(r.target.ends) {
		return nil
	}
	return err
}

// untilDrain takes a step in which nothing is in hand yet, so that Drain ends it at once.
func (r *Run) untilDrain(ctx context.Context, step func(context.Context) error) error {
	stepping, stop := firstOf(ctx, r.drain.asked)
	defer stop()
	err := step(stepping)
	if reason := r.drain.reason(); err != nil && ctx.Err() == nil && reason != nil {
		return reason
	}
	return err
}
