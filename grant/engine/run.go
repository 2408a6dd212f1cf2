// Package engine moves every user of a topic into the ledger, exactly once: it joins the consumer group, reads what it is assigned from
// the checkpoint on, hands users to the shards, writes checkpoints behind what the ledger acknowledged, and obeys operators meanwhile.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// Run moves every user of a topic into the ledger, exactly once. Its fields are set before Do and not changed after.
type Run struct {
	Campaign *grant.Campaign
	Source   Source
	Ledger   Ledger
	Sharding dense.Config
	Monitor  *Monitor
	Record   grant.RunRecord // who runs; the run fills in the rest
	Log      *slog.Logger

	Orders  Orders                                                             // of operators; nil: nobody gives any
	Measure func(ctx context.Context, latency time.Duration) grant.Measurement // asked once a second; latency is that of Orders. nil: no feedback
	Count   func(ctx context.Context) (int64, error)                           // granted users of the whole ledger; nil: not counted
	Peek    func(ctx context.Context) (grant.Bounds, error)                    // Source.Bounds in one attempt; nil: not asked
	Lost    func(ctx context.Context) (int, error)                             // replicas that are gone and were not ended; nil: not known
	Recheck func(ctx context.Context) error                                    // preflight again, shortly before the start; nil: not again
	Early   func(ctx context.Context) error                                    // records that it starts before its date; nil: nobody does

	// NewTopic is asked for leave to begin the checkpoint anew, because of an ErrTopicChanged, when the run starts. nil: it
	// stops the run instead.
	NewTopic func(ctx context.Context, why error) error

	Now             bool          // start before starts_at
	Follow          bool          // go on when everything that was there at the start is granted
	StandBy         bool          // where it would end at its start, by an abort or an order to finish, wait for resume
	Partial         bool          // not everybody is granted: the checkpoints are the ledger's alone, and Kafka is told nothing
	CheckpointEvery time.Duration // default 500 ms
	PollEvery       time.Duration // how often to look whether other replicas have finished their partitions. Default 500 ms
	RetryFor        time.Duration // how long to wait for the first orders. Default 2 minutes

	saving   chan struct{} // holds a token while a report is stored: they come in their order
	steering steering
	survey   *surveyor
	draining context.Context //nolint:containedctx // it is the run's life: cancelled with the reason for draining
	drain    context.CancelCauseFunc
	topic    grant.TopicID // the one and only of this run
	found    grant.Offsets // where the topic ended at the start; a partition that came later, when it was first seen

	finishing finishing
	follows   bool          // the session follows
	bounded   bool          // the session ends where operators ordered
	ends      grant.Offsets // where the session ends or, when it follows, where the topic ended at the start
}

// NewRun returns a run with nothing but defaults.
func NewRun() *Run {
	r := &Run{saving: make(chan struct{}, 1), CheckpointEvery: 500 * time.Millisecond, PollEvery: 500 * time.Millisecond, RetryFor: 2 * time.Minute}
	r.draining, r.drain = context.WithCancelCause(context.Background())
	return r
}

// Drain asks the run to stop soon: what is in hand is granted and checkpointed. Cancelling the context of Do stops it
// at once; nothing is lost then either, but some work is done again.
func (r *Run) Drain() { r.drain(ErrDrained) }

// Drained is closed when Drain was called, or something else ended the run early.
func (r *Run) Drained() <-chan struct{} { return r.draining.Done() }

// Do is the whole run. It returns nil when everything that was in the topic at the start is granted, or when the campaign
// ends while it follows; ErrDrained when Drain was called before that, and otherwise the error that stopped it. In each case what it granted is in the ledger.
func (r *Run) Do(ctx context.Context) (err error) {
	defer func() { r.saveFinal(err) }()
	r.survey = &surveyor{
		peek: r.Peek, checkpoints: r.Ledger.Checkpoints, lost: r.Lost, count: r.Count, partial: r.Partial, monitor: r.Monitor,
	}
	r.steering.run, r.steering.gate = r, NewGate(r.Orders)
	letGo, err := r.steering.start(ctx)
	if err != nil {
		return err
	}
	defer letGo()
	if r.draining.Err() != nil {
		return context.Cause(r.draining)
	}
	if err := r.waitForStart(ctx); err != nil {
		return err
	}
	if end := r.Campaign.EndsAt; !end.IsZero() {
		defer time.AfterFunc(end.Sub(r.steering.now()), func() { r.drain(grant.ErrEnded) }).Stop()
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}

	group, err := r.Source.Join()
	if err != nil {
		return err
	}
	defer func() {
		if err := group.Leave(); err != nil {
			r.Log.Warn("leaving the consumer group failed; the others take over when the session times out", "error", err)
		}
	}()
	var cause error
	for r.draining.Err() == nil && cause == nil {
		finished, err := r.generation(ctx, group)
		if errors.Is(err, grant.ErrEnded) {
			cause = err // the ledger refused what was in hand
		} else if err != nil || finished {
			return err
		}
	}
	if cause == nil {
		cause = context.Cause(r.draining)
	}
	if r.Follow && errors.Is(cause, grant.ErrEnded) {
		// Until ends_at is how long a run follows, if it came as far as a run that does not follow must.
		checkpoint, err := r.Ledger.Checkpoints(ctx)
		if err != nil || checkpoint.Of(r.topic).Next.Reached(r.ends) {
			return err
		}
	}
	return cause
}

// prepare makes sure that there is something to do. Nothing is in hand yet, so Drain ends it at once.
func (r *Run) prepare(ctx context.Context) (err error) {
	preparing, stop := r.untilDrain(ctx)
	defer stop()
	defer func() {
		if err != nil && ctx.Err() == nil && r.draining.Err() != nil {
			err = context.Cause(r.draining)
		}
	}()
	if err := r.Ledger.EnsureSpec(preparing, r.Campaign); err != nil {
		return err
	}
	if err := r.Source.Prepare(preparing); err != nil {
		return err
	}
	if r.topic, err = r.Source.Bind(preparing); err != nil { // before anything is counted in it
		return err
	}
	r.Monitor.bound(r.topic)
	bounds, err := r.Source.Bounds(preparing)
	if err != nil {
		return err
	}
	r.found = bounds.Ends
	r.heedFinish()
	return r.sayIfMissed(preparing)
}

// generation works on one assignment of partitions until it ends, and reports whether the whole topic is granted.
func (r *Run) generation(ctx context.Context, group grant.Group) (finished bool, err error) {
	waiting, stop := r.untilDrain(ctx)
	defer stop()
	r.save(ctx, grant.RunRunning)
	joined, err := group.Next(waiting)
	if err != nil {
		if ctx.Err() == nil && waiting.Err() != nil {
			return false, nil
		}
		return false, err
	}
	defer joined.Release()
	r.Monitor.joined()
	gen := &committing{Generation: joined, committed: joined.Committed(), partial: r.Partial}
	for {
		finished, err = r.session(ctx, gen)
		if errors.Is(err, errFinishing) {
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
	}
}

// session grants what the assigned partitions hold, from the checkpoint on.
func (r *Run) session(ctx context.Context, gen grant.Generation) (finished bool, err error) {
	reordered := r.heedFinish()
	checkpoint, err := r.begin(ctx, gen.Committed())
	if err != nil {
		return false, err
	}
	if err := r.Ledger.EnsureSpec(ctx, r.Campaign); err != nil {
		return false, err
	}
	bounds, err := r.Source.Bounds(ctx)
	if err != nil {
		return false, err
	}
	starts := grant.StartOffsets(gen.Committed(), checkpoint.Next, bounds.Firsts)
	until := r.until(starts, bounds.Ends)
	cfg := r.Sharding
	cfg.Gate = r.steering.gate
	pool := dense.New(cfg, punctual{r}, starts)
	r.Monitor.assigned(pool, starts, target{ends: r.ends, follow: r.follows})
	defer r.Monitor.released()
	r.Log.Info("partitions assigned", "from", starts)

	// Lanes stop when the group changes, on Drain, at the end, or on failure. The shards then flush what they hold, and
	// a last checkpoint says how far that went. Only ctx, a failing ledger or broken books stop the shards before that.
	reading, stop := r.untilDrain(ctx)
	defer stop()
	defer context.AfterFunc(gen.Context(), stop)()
	defer context.AfterFunc(reordered, stop)()
	work, working := errgroup.WithContext(ctx)
	defer context.AfterFunc(working, stop)()
	lanes, reading := errgroup.WithContext(reading)
	watching, stopWatching := context.WithCancel(reading)
	var open sync.WaitGroup
	for partition, from := range starts {
		open.Add(1)
		lanes.Go(func() error {
			defer open.Done()
			return r.Source.Consume(reading, partition, from, until[partition], pool.Lane(partition))
		})
	}
	lanes.Go(func() error { return r.watchTopic(watching) })
	lanes.Go(func() error { open.Wait(); stopWatching(); return nil })
	var laneErr error
	work.Go(func() error {
		laneErr = lanes.Wait()
		pool.Close()
		return nil
	})
	flushed := make(chan struct{})
	work.Go(func() error {
		if err := pool.Run(working); err != nil {
			return err
		}
		close(flushed)
		return nil
	})
	work.Go(func() error { return r.checkpoints(working, gen, pool, flushed) })
	err = work.Wait()
	if errors.Is(laneErr, grant.ErrTopicChanged) {
		return false, laneErr // whatever else failed, failed because of that
	}
	if err := errors.Join(err, laneErr); err != nil {
		return false, err
	}
	return r.awaitOthers(ctx, gen, pool, reordered.Done())
}

// checkpoints writes a checkpoint regularly, and a last one when everything is flushed.
func (r *Run) checkpoints(ctx context.Context, gen grant.Generation, pool *sharding.Pool, flushed <-chan struct{}) error {
	tick := time.NewTicker(r.CheckpointEvery)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-flushed:
			done = true
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.checkpoint(ctx, gen, pool); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint tells the ledger, Kafka and the operator how far the generation is. The ledger is told also when nothing
// has changed: that is how a loss is noticed while no record comes.
func (r *Run) checkpoint(ctx context.Context, gen grant.Generation, pool *sharding.Pool) error {
	if r.ended(r.steering.now()) {
		r.drain(grant.ErrEnded) // the timer of Do stands still while the machine is suspended
	}
	positions, err := pool.Positions()
	if err != nil {
		return err
	}
	next, epochs := make(grant.Offsets, len(positions)), make(map[int]int32, len(positions))
	for _, p := range positions {
		next[p.Partition] = p.Next
		if epoch := r.Source.Epoch(p.Partition, p.Next); epoch >= 0 {
			epochs[p.Partition] = epoch
		}
	}
	began := time.Now()
	if err := r.Ledger.Checkpoint(ctx, next, epochs); err != nil {
		return err
	}
	r.Monitor.checkpointed(positions, time.Since(began))
	if err := r.Ledger.EnsureSpec(ctx, r.Campaign); err != nil { // a loss of the spec alone would go unnoticed
		return err
	}
	switch err := gen.Commit(next); {
	case errors.Is(err, grant.ErrTopicChanged):
		return err
	case err != nil && gen.Context().Err() == nil:
		r.Log.Warn("committing offsets to Kafka failed; the ledger has them", "error", err)
		r.Monitor.KafkaError("broker")
	}
	r.save(ctx, grant.RunRunning)
	return nil
}

// awaitOthers stays in the group until the whole topic is granted, by whichever replica: if one dies, its partitions
// come to this one. Until then what this one granted may still be lost, so it goes on looking for that.
func (r *Run) awaitOthers(ctx context.Context, gen grant.Generation, pool *sharding.Pool, reordered <-chan struct{}) (finished bool, err error) {
	waiting, stop := r.untilDrain(ctx)
	defer stop()
	defer context.AfterFunc(gen.Context(), stop)()
	for told := false; waiting.Err() == nil && gen.Context().Err() == nil; told = true {
		select {
		case <-reordered:
			return false, errFinishing
		default:
		}
		if told {
			if err := r.checkpoint(ctx, gen, pool); err != nil {
				return false, err
			}
		}
		checkpoint, err := r.Ledger.Checkpoints(ctx)
		if err == nil {
			err = r.checkTopic(waiting)
		}
		if err != nil {
			return false, err
		}
		if !r.follows && checkpoint.Of(r.topic).Next.Reached(r.ends) {
			return true, nil
		}
		if !told {
			r.Log.Info("own partitions are granted; waiting for the other replicas")
		}
		select {
		case <-time.After(r.PollEvery):
		case <-reordered:
		case <-waiting.Done():
		}
	}
	return false, ctx.Err()
}

// untilDrain returns a context that ends with ctx, or when Drain is called or the campaign ends.
func (r *Run) untilDrain(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.draining, cancel)
	if r.draining.Err() != nil {
		cancel() // AfterFunc does so in a goroutine of its own, some time
	}
	return ctx, func() { stop(); cancel() }
}
