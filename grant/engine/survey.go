package engine

import (
	"context"
	"maps"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/metrics"
)

// A survey is what is known of the whole topic, whoever reads it. Lanes say how far they are when they have handed over what
// they fetched, which takes hours under a low limit, and a partition whose replica has died has no lane at all. So every
// process asks Kafka where the topic ends, and the ledger how far it is granted.
type survey struct {
	bounds     grant.Bounds  // of every partition
	checkpoint grant.Offsets // of every partition that has one; nil: not known yet
	targets    grant.Offsets // where the run ends, when it does not follow
	follow     bool
	failing    time.Time // since when Kafka has not answered
	failure    error
}

const (
	surveyEvery = 2 * time.Second
	surveyFor   = 2 * time.Second // how long each server may take to answer
)

// survey asks regularly, from before the start of the campaign until the context ends.
func (r *Run) survey(ctx context.Context) {
	tick := time.NewTicker(surveyEvery)
	defer tick.Stop()
	for {
		r.Survey(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Survey asks once how far the campaign is, for the metrics. It makes one attempt; what it cannot learn stays as it was.
func (r *Run) Survey(ctx context.Context) {
	ask := func(question func(context.Context)) {
		ctx, cancel := context.WithTimeout(ctx, surveyFor)
		defer cancel()
		question(ctx)
	}
	if r.Peek != nil {
		ask(func(asking context.Context) {
			began := time.Now()
			bounds, err := r.Peek(asking)
			if ctx.Err() == nil {
				r.Monitor.peeked(bounds, began, err)
			}
		})
	}
	ask(func(ctx context.Context) {
		if checkpoint, err := r.Ledger.Checkpoints(ctx); err == nil { // if not, the hold says so
			r.Monitor.found(checkpoint, r.Partial)
		}
	})
	if r.Lost != nil {
		ask(func(ctx context.Context) {
			if n, err := r.Lost(ctx); err == nil {
				r.Monitor.metrics.Lost.Set(float64(n))
			}
		})
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
	for p, st := range m.parts {
		st.highest = max(st.highest, bounds.Ends[p]) // a lane that waits does not learn of it
	}
}

// found records how far the ledger has the topic as granted.
func (m *Monitor) found(checkpoint grant.Checkpoint, partial bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.survey.checkpoint = grant.Offsets{}
	if m.topic == (grant.TopicID{}) || m.topic.Continues(checkpoint.Topic) { // before the start it is not known yet
		maps.Copy(m.survey.checkpoint, checkpoint.Next)
	}
	if len(checkpoint.Next) > 0 && !partial {
		m.metrics.Started.Set(1)
	}
}

// began records what a session knows about the whole topic. It is called with the lock held.
func (s *survey) began(ends grant.Offsets, follow bool) {
	s.targets, s.follow = ends.Clone(), follow
	known := ends.Clone()
	for p, end := range s.bounds.Ends {
		known[p] = max(known[p], end)
	}
	s.bounds.Ends = known
}

// settle notes a checkpoint that was just written.
func (s *survey) settle(p int, offset int64) {
	if s.checkpoint == nil {
		s.checkpoint = grant.Offsets{}
	}
	s.checkpoint[p] = offset
}

// settled returns the offset up to which a partition is granted, or no longer there.
func (s *survey) settled(p int) int64 { return max(s.checkpoint[p], s.bounds.Firsts[p]) }

// Offsets implements metrics.Live.
func (m *Monitor) Offsets() []metrics.Offsets {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.survey
	out := make([]metrics.Offsets, 0, len(s.bounds.Ends))
	for p, end := range s.bounds.Ends {
		o := metrics.Offsets{Partition: p, Position: -1, Checkpoint: s.settled(p), End: end}
		if st := m.parts[p]; st != nil {
			o.Position, o.Checkpoint, o.End = st.next, st.checkpoint, max(end, st.highest)
		}
		out = append(out, o)
	}
	return out
}

// Remaining implements metrics.Live.
func (m *Monitor) Remaining() (records int64, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.survey
	if s.bounds.Ends == nil || s.checkpoint == nil {
		return 0, false
	}
	for p, end := range s.bounds.Ends {
		if target, ends := s.targets[p]; ends && !s.follow {
			end = target
		}
		records += max(0, end-s.settled(p))
	}
	return records, true
}
