package engine

import (
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
