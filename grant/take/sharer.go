// Package take lets requests that come at the same time share calls to the ledger. It promises that nobody waits longer than two
// calls take, and that what was taken is said to whoever asked for it, also when others in the same call are refused.
package take

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

const (
	// A call for 256 users holds up others in Redis for about 4 ms at most; the next is gathered while two are under way.
	callUsers = 256
	calls     = 2
	// maxWaiting bounds the memory of those who wait, and their time: at 15,000 takes a second about half a second.
	maxWaiting = 8192
)

// ErrBusy means that more wait than can be served soon. Nothing was taken.
var ErrBusy = errors.New("too many users take something at once")

// Ledger takes items. It is idempotent, and may be called concurrently.
type Ledger interface {
	Take(ctx context.Context, c *grant.Campaign, wishes []ledger.Take) ([]ledger.Taken, error)
}

// Sharer lets users take items of one campaign. There is no goroutine for that: who finds a call free makes it at once; the
// others gather, and go together when one has come back, led by the first of them.
type Sharer struct {
	Ledger   Ledger
	Campaign *grant.Campaign // by which users are granted
	Timeout  time.Duration   // of a call

	mu      sync.Mutex
	waiting []*waiter
	flying  int
}

// waiter is one user who waits.
type waiter struct {
	wish  ledger.Take
	taken ledger.Taken
	err   error
	told  chan []*waiter // nil: it is answered; else it leads this call, itself in it
}

// Take has one user take an item. It goes on when the request that it was for has gone: what is asked twice is taken once.
func (s *Sharer) Take(wish ledger.Take) (ledger.Taken, error) {
	mine := &waiter{wish: wish, told: make(chan []*waiter, 1)}
	s.mu.Lock()
	var batch []*waiter
	switch {
	case s.flying < calls:
		s.flying++
		batch = []*waiter{mine}
	case len(s.waiting) >= maxWaiting:
		s.mu.Unlock()
		return ledger.Taken{}, ErrBusy
	default:
		s.waiting = append(s.waiting, mine)
	}
	s.mu.Unlock()
	if batch == nil {
		batch = <-mine.told
	}
	if batch != nil {
		s.lead(mine, batch)
	}
	return mine.taken, mine.err
}

// lead makes one call, tells those who are in it, and hands the next one to somebody who came meanwhile.
func (s *Sharer) lead(mine *waiter, batch []*waiter) {
	wishes := make([]ledger.Take, len(batch))
	for i, w := range batch {
		wishes[i] = w.wish
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	taken, err := s.Ledger.Take(ctx, s.Campaign, wishes)
	cancel()
	s.mu.Lock()
	var next []*waiter
	if n := min(len(s.waiting), callUsers); n > 0 {
		next = append(next, s.waiting[:n]...)
		s.waiting = append(s.waiting[:0], s.waiting[n:]...)
	} else {
		s.flying--
	}
	s.mu.Unlock()
	if next != nil {
		next[0].told <- next
	}
	for i, w := range batch {
		if w.err = err; err == nil {
			w.taken = taken[i]
		}
		if w != mine {
			w.told <- nil
		}
	}
}
