// Package take lets requests that come at the same time share calls to the ledger. It promises that nobody waits longer than two
// calls take, and that what was taken is said to whoever asked for it, also when others in the same call are refused.
package take

import (
	"context"
	"errors"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/coalesce"
	"github.com/granter/granter/grant/ledger"
)

// A call for 256 users holds up others in Redis for about 4 ms at most; the next is gathered while two are under way. Those who
// wait are bounded for their memory, and their time: at 15,000 takes a second about half a second.
var limits = coalesce.Limits{Items: 256, Calls: 2, Waiting: 8192}

// ErrBusy means that more wait than can be served soon. Nothing was taken.
var ErrBusy = errors.New("too many users take something at once")

// Ledger takes items. It is idempotent, and may be called concurrently.
type Ledger interface {
	Take(ctx context.Context, c *grant.Campaign, wishes []ledger.Take) ([]ledger.Taken, error)
}

// Sharer lets users take items of one campaign, together with all others who do so at the same time.
type Sharer struct {
	Ledger   Ledger
	Campaign *grant.Campaign // by which users are granted
	Timeout  time.Duration   // of a call

	wishes coalesce.Group[wish]
}

// wish is that of one user, and what became of it.
type wish struct {
	ledger.Take
	taken ledger.Taken
	err   error
}

// Take has one user take an item. It goes on when the request that it was for has gone: what is asked twice is taken once.
func (s *Sharer) Take(one ledger.Take) (ledger.Taken, error) {
	done, ok := s.wishes.Do(limits, wish{Take: one}, s.take)
	if !ok {
		return ledger.Taken{}, ErrBusy
	}
	return done.taken, done.err
}

// take makes one call.
func (s *Sharer) take(batch []*wish) {
	wishes := make([]ledger.Take, len(batch))
	for i, w := range batch {
		wishes[i] = w.Take
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Timeout)
	defer cancel()
	taken, err := s.Ledger.Take(ctx, s.Campaign, wishes)
	for i, w := range batch {
		if w.err = err; err == nil {
			w.taken = taken[i]
		}
	}
}
