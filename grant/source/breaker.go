package source

import (
	"errors"
	"fmt"
	"sync"
)

// ErrTooManyRejected means that so many records hold no valid user ID that the topic or the spec must be wrong.
var ErrTooManyRejected = errors.New("too many rejected records")

// breakerMinimum is how many records must have been rejected before their share counts: a few malformed records at
// the start of a topic are no flood.
const breakerMinimum = 1000

// breaker stops a flood of rejected records.
type breaker struct {
	limit float64 // share of all records, 0 to 1
	topic string

	mu                 sync.Mutex
	rejected, consumed int64
}

// pass counts the records of a fetch, and the rejected ones among them, and fails if too large a share of all records so
// far is rejected. It fails at a rejected record only, and names one: none of this fetch is stored.
func (b *breaker) pass(consumed int, rejected []letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consumed += int64(consumed)
	b.rejected += int64(len(rejected))
	if len(rejected) == 0 || b.rejected <= breakerMinimum || float64(b.rejected) <= b.limit*float64(b.consumed) {
		return nil
	}
	last := &rejected[len(rejected)-1]
	return fmt.Errorf("%w: %d of %d in topic %s, the limit is %g%%, the last one for %s at offset %d: "+
		"correct source.format or the topic, or run with a higher --max-rejected; %s has samples",
		ErrTooManyRejected, b.rejected, b.consumed, b.topic, b.limit*100, last.reason, last.offset, DeadLetterTopic(b.topic))
}
