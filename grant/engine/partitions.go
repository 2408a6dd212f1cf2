package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
)

// partitions is how far this process has read its partitions, and what became of their records. The monitor's lock guards it.
type partitions struct {
	read    map[int]*partition
	pool    *sharding.Pool      // of the session under way; nil: there is none
	past    map[int]grant.Tally // of sessions that have ended
	rate    rate
	stalled int // partitions with records waiting that make no progress
}

// partition is how far one partition is read.
type partition struct {
	number     int
	start      int64 // where this process began; further back after a loss
	next       int64 // offset of the next record to read
	checkpoint int64
	highest    int64 // high watermark; −1: not known yet
	end        int64 // of the partition when the run first saw it
	follow     bool  // what comes behind end is read, too
	assigned   bool
	movedAt    time.Time // when it last moved or had nothing to do
	reported   bool      // that it makes no progress
	open       transaction
}

// target returns the offset up to which a partition is to be read, as far as that is known.
func (p *partition) target() int64 {
	if p.follow {
		return max(p.end, p.highest)
	}
	return p.end
}

// position records how far the source has come.
func (p *partition) position(next, highest int64) {
	if next > p.next {
		p.moved(time.Now())
	}
	p.next = next
	if highest >= 0 {
		p.highest = highest
	}
}

func (p *partition) moved(now time.Time) { p.movedAt, p.reported = now, false }

// assigned begins a session. What other replicas have now is no longer shown, but stays counted.
func (s *partitions) assigned(pool *sharding.Pool, starts grant.Offsets, t target, now time.Time) {
	s.pool = pool
	for number := range s.read {
		if _, still := starts[number]; !still {
			delete(s.read, number)
		}
	}
	for number, start := range starts {
		p := s.read[number]
		if p == nil {
			p = &partition{number: number, start: start, highest: -1}
			s.read[number] = p
		}
		p.start = min(p.start, start)
		p.end, p.follow = t.ends[number], t.follow
		p.assigned, p.next, p.checkpoint = true, start, start
		p.moved(now)
	}
}

// released ends the session.
func (s *partitions) released() {
	s.past, s.pool = s.tallies(), nil
	s.stalled = 0
	for _, p := range s.read {
		p.assigned, p.open = false, transaction{}
	}
}

// checkpointed records a checkpoint, and returns the partitions that since the last one are found to make no progress. While
// the run is stopped on purpose none does, and none should.
func (s *partitions) checkpointed(
	positions []sharding.Position, now time.Time, stopped bool, stall time.Duration,
) (found []*partition) {
	s.stalled = 0
	for i := range positions {
		p, offset := s.read[positions[i].Partition], positions[i].Next
		p.next = max(p.next, offset) // a lane that waits has not said how far it has come
		waiting := p.target() > offset
		if offset > p.checkpoint || !waiting || stopped || positions[i].Held {
			p.moved(now)
		}
		p.checkpoint = offset
		if waiting && now.Sub(p.movedAt) > stall {
			s.stalled++
			if !p.reported {
				p.reported = true
				found = append(found, p)
			}
		}
	}
	s.rate.add(now, s.total().Consumed)
	return found
}

// tallies returns the counts of every partition that this run has had.
func (s *partitions) tallies() map[int]grant.Tally {
	out := maps.Clone(s.past)
	if s.pool == nil {
		return out
	}
	positions, err := s.pool.Positions()
	if err != nil {
		return out // the checkpoint stops the run with this error
	}
	for _, p := range positions {
		out[p.Partition] = out[p.Partition].Add(tallyOf(p))
	}
	return out
}

// tallyOf is where the counts of the shards become those of grants.
func tallyOf(p sharding.Position) grant.Tally {
	return grant.Tally{
		Consumed: p.Consumed, Granted: p.Granted, Duplicate: p.Duplicate, Rejected: p.Rejected, Withheld: p.Withheld,
	}
}

func (s *partitions) total() grant.Tally {
	var sum grant.Tally
	for _, t := range s.tallies() {
		sum = sum.Add(t)
	}
	return sum
}

// transaction is one that a producer has begun and not ended: what is behind it waits.
type transaction struct {
	first, records int64
	since          time.Time
}

// report takes what the source says of it; no records: it is over.
func (t *transaction) report(first, records int64) {
	switch {
	case records == 0:
		*t = transaction{}
	case first != t.first || t.since.IsZero():
		*t = transaction{first, records, time.Now()}
	default:
		t.records = records
	}
}

// A producer that commits every now and then always has a transaction open; one that is open for longer is worth a word.
const openFor = 3 * time.Second

// openTransactions says which partitions wait behind an open transaction, and since when; empty: none does.
func (s *partitions) openTransactions() (detail string, since time.Time) {
	var list []string
	for _, number := range slices.Sorted(maps.Keys(s.read)) {
		t := s.read[number].open
		if t.records == 0 || time.Since(t.since) < openFor {
			continue
		}
		if since.IsZero() || t.since.Before(since) {
			since = t.since
		}
		list = append(list, fmt.Sprintf("partition %d: %d records wait behind offset %d since %s UTC",
			number, t.records, t.first, t.since.UTC().Format(time.TimeOnly)))
	}
	if n := len(list) - 3; n > 0 {
		list = append(list[:3], fmt.Sprintf("and %d more partitions", n))
	}
	return strings.Join(list, "; "), since
}

// queueDepths returns how many blocks wait in front of each shard; nil: there is no session.
func (s *partitions) queueDepths() []int {
	if s.pool == nil {
		return nil
	}
	return s.pool.QueueDepths()
}
