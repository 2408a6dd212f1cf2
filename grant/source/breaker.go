package source

import (
	"errors"
	"fmt"
	"sync"

	"github.com/granter/granter/grant"
)

// ErrTooManyRejected means that so many records hold no valid user ID that the topic or the spec must be wrong.
var ErrTooManyRejected = errors.New("too many rejected records")

// breakerMinimum is how many records must have been rejected before their share counts: a few malformed records at
// the start of a topic are no flood.
const breakerMinimum = 1000

// TooMany is the rule by which rejected records stop a run; preflight and dry runs judge by it too. A limit of 0 stops at
// the first of them.
func TooMany(limit float64, rejected, consumed int64) bool {
	if limit <= 0 {
		return rejected > 0
	}
	return rejected > breakerMinimum && float64(rejected) > limit*float64(consumed)
}

// breaker stops a flood of rejected records.
type breaker struct {
	limit float64 // share of all records, 0 to 1
	topic string

	mu                 sync.Mutex
	rejected, consumed int64
	tripped            error // the first time
}

// first reports whether the first rejected record has to stop the run.
func (b *breaker) first() bool { return TooMany(b.limit, 1, 1) }

// pass counts records, and the rejected ones among them, and fails if too many of all so far are rejected. It fails at a
// rejected record only.
func (b *breaker) pass(consumed int, rejected []deadLetter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consumed += int64(consumed)
	b.rejected += int64(len(rejected))
	if len(rejected) == 0 || !TooMany(b.limit, b.rejected, b.consumed) {
		return nil
	}
	last := &rejected[len(rejected)-1]
	err := fmt.Errorf("%w: %d of %d in topic %s, the limit is %s, the last one for %s at offset %d: "+
		"correct source.format or the topic, or run with a higher --max-rejected",
		ErrTooManyRejected, b.rejected, b.consumed, b.topic, grant.Percent(b.limit), last.reason, last.offset)
	if b.tripped == nil {
		b.tripped = err
	}
	return err
}

// floodSamples is how many rejected records are stored of those at which a run stops.
const floodSamples = 100

// Samples says where a person finds rejected records.
func (s *Source) Samples() string {
	switch {
	case s.cfg.IgnoreLimit:
		return "the report of this dry run"
	case s.cfg.Pass.Private:
		return "granter status --json"
	}
	return s.cfg.Topic.DeadLetterTopic()
}

// WouldStop returns why this source would have stopped if Config.IgnoreLimit had not been set; nil: it would not.
func (s *Source) WouldStop() error {
	s.breaker.mu.Lock()
	defer s.breaker.mu.Unlock()
	return s.breaker.tripped
}
