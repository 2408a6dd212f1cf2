package engine

import (
	"context"
	"maps"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
)

// A survey is what is known of the whole topic, whoever reads it. Lanes say how far they are when they have handed over what
// they fetched, which takes hours under a low limit, and a partition whose replica has died has no lane at all. So every
// process asks Kafka where the topic ends, and the ledger how far it is granted. The monitor's lock guards it.
type survey struct {
	bounds     grant.Bounds  // of every partition
	checkpoint grant.Offsets // of every partition that has one; nil: not known yet
	target     target        // where the run ends
	failing    time.Time     // since when Kafka has not answered
	failure    error
}

const (
	countEvery  = 5 * time.Second
	surveyEvery = 2 * time.Second
	surveyFor   = 2 * time.Second // how long each server may take to answer
)

// surveyor asks Kafka and the ledger about the whole topic. Each question is asked once; what it cannot learn stays as it was.
type surveyor struct {
	peek        func(ctx context.Context) (grant.Bounds, error) // nil: not asked
	checkpoints func(ctx context.Context) (grant.Checkpoint, error)
	lost        func(ctx context.Context) (int, error)   // nil: not asked
	count       func(ctx context.Context) (int64, error) // granted users of the whole ledger; nil: not asked
	pass        grant.Pass                               // whose checkpoint it is
	monitor     *Monitor
}

// run asks regularly, from before the start of the campaign until the context ends.
func (s *surveyor) run(ctx context.Context) {
	tick := time.NewTicker(surveyEvery)
	defer tick.Stop()
	for {
		s.ask(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// ask asks every question once.
func (s *surveyor) ask(ctx context.Context) {
	within := func(question func(context.Context)) {
		ctx, cancel := context.WithTimeout(ctx, surveyFor)
		defer cancel()
		question(ctx)
	}
	if s.peek != nil {
		within(func(asking context.Context) {
			began := time.Now()
			bounds, err := s.peek(asking)
			if ctx.Err() == nil {
				s.monitor.peeked(bounds, began, err)
			}
		})
	}
	within(func(ctx context.Context) {
		if checkpoint, err := s.checkpoints(ctx); err == nil { // if not, the hold says so
			s.monitor.foundCheckpoint(checkpoint, s.pass.Private)
		}
	})
	if s.lost != nil {
		within(func(ctx context.Context) {
			if n, err := s.lost(ctx); err == nil {
				s.monitor.metrics.Lost.Set(float64(n))
			}
		})
	}
}

// runCount counts the granted users regularly, until the context ends.
func (s *surveyor) runCount(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		s.countOnce(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// countOnce counts the granted users.
func (s *surveyor) countOnce(ctx context.Context) {
	if n, err := s.count(ctx); err == nil { // if not, others say so
		s.monitor.metrics.LedgerGranted.Set(float64(n))
	}
}

// peeked records the bounds of every partition, or that Kafka did not say them.
func (m *Monitor) peeked(bounds grant.Bounds, asked time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.survey
	s.failure = err
	if err != nil {
		if s.failing.IsZero() {
			s.failing = asked
		}
		m.metrics.KafkaSilent.Set(time.Since(s.failing).Seconds())
		return
	}
	s.failing = time.Time{}
	m.metrics.KafkaSilent.Set(0)
	s.bounds = bounds
	for number, p := range m.partitions.read {
		p.highest = max(p.highest, bounds.Ends[number]) // a lane that waits does not learn of it
	}
}

// foundCheckpoint records how far the ledger has the topic as granted.
func (m *Monitor) foundCheckpoint(checkpoint grant.Checkpoint, private bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.survey.checkpoint = grant.Offsets{}
	if m.topic == (grant.TopicID{}) || m.topic.Continues(checkpoint.Topic) { // before the start it is not known yet
		maps.Copy(m.survey.checkpoint, checkpoint.Next)
	}
	if len(checkpoint.Next) > 0 && !private {
		m.metrics.Started.Set(1)
	}
}

// assigned records what a session knows about the whole topic.
func (s *survey) assigned(t target) {
	s.target = target{ends: t.ends.Clone(), follow: t.follow}
	known := t.ends.Clone()
	for p, end := range s.bounds.Ends {
		known[p] = max(known[p], end)
	}
	s.bounds.Ends = known
}

// checkpointed notes a checkpoint that was just written.
func (s *survey) checkpointed(positions []sharding.Position) {
	if s.checkpoint == nil {
		s.checkpoint = grant.Offsets{}
	}
	for _, p := range positions {
		s.checkpoint[p.Partition] = p.Next
	}
}

// granted returns the offset up to which a partition is granted, or no longer there.
func (s *survey) granted(partition int) int64 {
	return max(s.checkpoint[partition], s.bounds.Firsts[partition])
}

// remaining returns how many records of the whole topic are left to grant.
func (s *survey) remaining() (records int64, known bool) {
	if s.bounds.Ends == nil || s.checkpoint == nil {
		return 0, false
	}
	for partition, end := range s.bounds.Ends {
		if target, ends := s.target.ends[partition]; ends && !s.target.follow {
			end = target
		}
		records += max(0, end-s.granted(partition))
	}
	return records, true
}
