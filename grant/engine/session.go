package engine

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// session grants what the partitions of one assignment hold, from the checkpoint on. It is used once.
type session struct {
	sessionInputs

	pool    *sharding.Pool
	starts  grant.Offsets // where each partition is read from
	until   grant.Offsets // and up to; negative: without end
	flushed chan struct{} // closed when everything that was read is in the ledger
}

// sessionInputs is what a session works with.
type sessionInputs struct {
	campaign *grant.Campaign
	pass     grant.Pass
	topic    grant.TopicID // what its offsets count in
	source   Reader
	ledger   interface {
		Terms
		Sessions
		Checkpoints
	}
	sink       dense.Sink // where grants go
	members    *Members   // where they go if IDs are not dense; nil: they are
	sharding   dense.Config
	generation *committing
	newTopic   func(ctx context.Context, why error) error // leave to begin anew; nil: none
	monitor    *Monitor
	log        *slog.Logger

	target     target
	retargeted context.Context //nolint:containedctx // ends when the target is no longer right
	drain      *drain
	ended      func() bool               // by the clock of the orders nobody may be granted anything any more
	report     func(ctx context.Context) // stores how the run is doing

	checkpointEvery, pollEvery time.Duration
}

// errRetargeted ends a session, and begins another one, because an order to finish came or was taken back.
var errRetargeted = errors.New("the run ends elsewhere")

// run grants what the partitions hold, and reports whether the whole topic is granted, by whichever replica. It stops reading
// at the target, when it is asked to drain, when the group or the target changes, or when something fails; what was read until
// then is flushed and checkpointed. Only the end of ctx, a failing ledger or wrong counts stop that, too.
func (s *session) run(ctx context.Context) (finished bool, err error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	defer s.monitor.released()

	writers, writing := errgroup.WithContext(ctx)
	reading, stopReading := firstOf(writing, s.drain.asked, s.generation.Context(), s.retargeted)
	defer stopReading()

	writers.Go(func() error { return s.flush(writing) })
	writers.Go(func() error { return s.checkpoints(writing) })
	readErr := s.read(reading)
	s.pool.Close() // nothing more comes: the shards flush what they hold, and a last checkpoint says how far that went
	writeErr := writers.Wait()

	if errors.Is(readErr, grant.ErrTopicChanged) {
		return false, readErr // whatever else failed, failed because of that
	}
	if err := errors.Join(writeErr, readErr); err != nil {
		return false, err
	}
	return s.awaitOthers(ctx)
}

// begin finds out where each partition starts and ends, and makes the shards.
func (s *session) begin(ctx context.Context) error {
	checkpoint, err := s.beginAtCheckpoint(ctx, s.generation.Committed())
	if err != nil {
		return err
	}
	if err := s.ledger.EnsureSpec(ctx, s.campaign); err != nil {
		return err
	}
	bounds, err := s.source.Bounds(ctx)
	if err != nil {
		return err
	}
	start := s.pass.Start(checkpoint.Next, s.generation.Committed(), bounds)
	if err := start.Err(); err != nil {
		return err
	}
	if len(start.Accepted) > 0 {
		s.log.Warn("continuing behind gaps, as told", "gaps", start.Accepted)
	}
	s.starts = start.From
	s.until = s.target.until(s.starts, bounds.Ends, s.log)
	if s.members != nil {
		s.pool = s.members.pool(&s.sharding, s.starts)
	} else {
		s.pool = dense.New(s.sharding, s.sink, s.starts)
	}
	s.flushed = make(chan struct{})
	s.monitor.assigned(s.pool, s.starts, s.target)
	s.log.Info("partitions assigned", "from", s.starts)
	return nil
}

// beginAtCheckpoint starts a session of the ledger, at a checkpoint whose topic Kafka still has, and has all of it. If it has
// not, the run ends, unless it is the first time and its operator said that the topic is a new one.
func (s *session) beginAtCheckpoint(ctx context.Context, assigned grant.Offsets) (grant.Checkpoint, error) {
	leave := s.newTopic
	for {
		checkpoint, err := s.ledger.Begin(ctx, s.topic)
		if err == nil {
			err = s.source.Intact(ctx, checkpoint.Only(assigned))
		}
		if err == nil && checkpoint.Topic == (grant.TopicID{}) && s.topic != (grant.TopicID{}) && len(checkpoint.Next) > 0 {
			s.log.Info("the checkpoint does not say of which topic it is, as those of older versions: it is taken for this one's",
				"topic", s.topic)
		}
		if leave == nil || !errors.Is(err, grant.ErrTopicChanged) {
			return checkpoint, err
		}
		if err := leave(ctx, err); err != nil {
			return checkpoint, err
		}
		leave = nil
		s.log.Warn("BEGINNING ANEW AT THE TOPIC'S FIRST RECORD, as told by --new-topic", "reason", err)
		lost, _ := errors.AsType[*grant.TruncatedError](err)
		if err := s.ledger.BeginAnew(ctx, s.topic, lost); err != nil {
			return checkpoint, err
		}
	}
}

// read hands the records of all partitions to the shards.
func (s *session) read(ctx context.Context) error {
	lanes, reading := errgroup.WithContext(ctx)
	for partition, from := range s.starts {
		lanes.Go(func() error {
			return s.source.Consume(reading, partition, from, s.until[partition], s.pool.Lane(partition))
		})
	}
	return lanes.Wait()
}

// flush hands what the shards hold to the ledger.
func (s *session) flush(ctx context.Context) error {
	if err := s.pool.Run(ctx); err != nil {
		return err
	}
	close(s.flushed)
	return nil
}

// checkpoints writes a checkpoint regularly, and a last one when everything is flushed.
func (s *session) checkpoints(ctx context.Context) error {
	tick := time.NewTicker(s.checkpointEvery)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-s.flushed:
			done = true
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.checkpoint(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint says how far the session is: first to the ledger, which a restart trusts, then to Kafka, for its tools, and then
// to operators. A checkpoint is written also when nothing has changed: that is how a loss is noticed while no record comes.
func (s *session) checkpoint(ctx context.Context) error {
	if s.ended() {
		s.drain.ask(grant.ErrEnded) // the timer of Do does not run while the machine is suspended
	}
	positions, err := s.pool.Positions()
	if err != nil {
		return err
	}
	next, epochs := make(grant.Offsets, len(positions)), make(map[int]int32, len(positions))
	for _, p := range positions {
		next[p.Partition] = p.Next
		if epoch := s.source.Epoch(p.Partition, p.Next); epoch >= 0 {
			epochs[p.Partition] = epoch
		}
	}
	began := time.Now()
	if err := s.ledger.Checkpoint(ctx, next, epochs); err != nil {
		return err
	}
	s.monitor.checkpointed(positions, time.Since(began))
	if err := s.ledger.EnsureSpec(ctx, s.campaign); err != nil { // a loss of the spec alone would go unnoticed
		return err
	}
	if err := s.commit(next); err != nil {
		return err
	}
	s.report(ctx)
	return nil
}

// commit says to Kafka how far the session is. A failure does no harm, unless the topic is another one.
func (s *session) commit(next grant.Offsets) error {
	switch err := s.generation.Commit(next); {
	case errors.Is(err, grant.ErrTopicChanged):
		return err
	case err != nil && s.generation.Context().Err() == nil:
		s.log.Warn("committing offsets to Kafka failed; the ledger has them", "error", err)
		s.monitor.KafkaError("broker")
	}
	return nil
}

// awaitOthers stays in the group until the whole topic is granted, by whichever replica: if one dies, its partitions
// come to this one. Until then what this one granted may still be lost, so it goes on looking for that.
func (s *session) awaitOthers(ctx context.Context) (finished bool, err error) {
	waiting, stop := firstOf(ctx, s.drain.asked, s.generation.Context())
	defer stop()
	for first := true; waiting.Err() == nil; first = false {
		if s.retargeted.Err() != nil {
			return false, errRetargeted
		}
		if !first {
			if err := s.checkpoint(ctx); err != nil {
				return false, err
			}
		}
		checkpoint, err := s.ledger.Checkpoints(ctx)
		if err != nil {
			return false, err
		}
		if !s.target.follow && checkpoint.Of(s.topic).Next.Reached(s.target.ends) {
			return true, nil
		}
		if first {
			s.log.Info("own partitions are granted; waiting for the other replicas")
		}
		select {
		case <-time.After(s.pollEvery):
		case <-s.retargeted.Done():
		case <-waiting.Done():
		}
	}
	return false, ctx.Err()
}
