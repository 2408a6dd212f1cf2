package entitle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Ledger is what a check asks about the users of one campaign: *ledger.Reader. Calls may overlap, change nothing, and end when
// the context does. The ledgers of a Checker are all in one Redis, since they share pipelines.
type Ledger interface {
	Glances(ctx context.Context) *ledger.Glances
	Glance(g *ledger.Glances, user grant.UserID, ask ledger.Ask) ledger.Glance
	Spans(ctx context.Context, chunks ...uint64) ([]ledger.Span, error)
	Extend(ctx context.Context, chunk uint64, t *ledger.Times) error
	ExtendTakes(ctx context.Context, chunk uint64, item int, t *ledger.Times) error
	Images(ctx context.Context, chunks []uint64, ask ledger.Ask) ([]ledger.Image, error)
	Held(ctx context.Context, c *grant.Campaign, users []grant.UserID) ([]ledger.User, []grant.Holding, error)
	Holdings(ctx context.Context, c *grant.Campaign, users []grant.UserID, grantedAt []time.Time) ([]grant.Holding, error)
	Chunks(ctx context.Context) ([]uint64, error)
	Buckets
}

// Buckets are what a check asks about users whose IDs are not dense.
type Buckets interface {
	Seat(user grant.UserID) (ledger.Seat, bool)
	GlanceAt(g *ledger.Glances, seats []ledger.Seat, ask ledger.Ask, sure bool) ledger.BucketGlance
	Learn(ctx context.Context, g *ledger.BucketGlance) error
	Relearn(ctx context.Context, err error) (bool, error)
}

// Campaign is one that is asked about, by the spec in force.
type Campaign struct {
	*grant.Campaign // only its name, when it is broken

	Ledger Ledger
	Broken error // why its spec cannot be read; nil: it can
}

const (
	// What is known of journals is asked again now and then: a Redis that lost entries, and got others, would not say so.
	spanLife  = time.Minute
	timesLife = 10 * time.Minute

	maxSpans = 1 << 16 // of about 100 B
	maxTimes = 768     // of 136 KiB: 104 MiB, which is 50 million users, where the state of each depends on its own moment
)

// subject is a campaign, and what a Checker keeps of it: only what does not change.
type subject struct {
	Campaign

	timed []bool // by item: whether its state depends on when a user was settled

	mu    sync.Mutex
	spans map[uint64]span
	times map[timesKey]*times
}

// timesKey is what times are of: the grants of a chunk, or its takes of an item in calls of many.
type timesKey struct {
	chunk uint64
	item  int // −1: the grants
}

type span struct {
	ledger.Span

	read time.Time
}

// times are held by one at a time: who reads the journal on reads it for the others, too.
type times struct {
	mu   sync.Mutex
	seen ledger.Times
	made time.Time
}

func newSubject(c Campaign) *subject {
	s := &subject{
		Campaign: c, spans: map[uint64]span{}, times: map[timesKey]*times{}, timed: make([]bool, len(c.Items)),
	}
	for i := range c.Items {
		item := &c.Items[i]
		s.timed[i] = !item.Offered() && !item.Validity.Permanent() // an offer's state depends on when it was taken
	}
	return s
}

// item returns the index of an item, or −1.
func (s *subject) item(id string) int {
	for i := range s.Items {
		if s.Items[i].ID == id {
			return i
		}
	}
	return -1
}

// known returns the bounds of a chunk, if they were read lately.
func (s *subject) known(chunk uint64) (ledger.Span, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.spans[chunk]
	if !ok || time.Since(found.read) > spanLife {
		return ledger.Span{}, false
	}
	return found.Span, true
}

// bounds returns when a user of a chunk was settled at the earliest and at the latest, who was seen when the journal had this
// many entries at the most.
func (s *subject) bounds(ctx context.Context, chunk uint64, entries int64) (ledger.Span, error) {
	if found, ok := s.known(chunk); ok && found.Entries == entries {
		return found, nil
	}
	read, err := s.Ledger.Spans(ctx, chunk)
	if err != nil {
		return ledger.Span{}, err
	}
	if read[0].Entries == 0 {
		return ledger.Span{}, s.nowhere(chunk)
	}
	s.keep(chunk, read[0])
	return read[0], nil
}

func (s *subject) keep(chunk uint64, read ledger.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spans) >= maxSpans {
		clear(s.spans)
	}
	s.spans[chunk] = span{read, time.Now()}
}

func (s *subject) nowhere(chunk uint64) error {
	return fmt.Errorf("%w: campaign %s: a user is settled, but is not in the journal of chunk %d", ledger.ErrInconsistent, s.Name,
		chunk)
}

// moment returns when a user was settled who is. Its chunk's journal is read once for all of its users, and then only what is
// new.
func (s *subject) moment(ctx context.Context, chunk uint64, low uint16) (time.Time, error) {
	at, err := s.timesOf(timesKey{chunk, -1}).at(low, func(seen *ledger.Times) error {
		return s.Ledger.Extend(ctx, chunk, seen)
	})
	if err == nil && at.IsZero() {
		err = s.nowhere(chunk)
	}
	return at, err
}

// momentAmong is moment for a user who took an item in a call of many.
func (s *subject) momentAmong(ctx context.Context, chunk uint64, item int, low uint16) (time.Time, error) {
	at, err := s.timesOf(timesKey{chunk, item}).at(low, func(seen *ledger.Times) error {
		return s.Ledger.ExtendTakes(ctx, chunk, item, seen)
	})
	if err == nil && at.IsZero() {
		err = fmt.Errorf(
			"%w: campaign %s: a user of chunk %d took %s, and nothing says when",
			ledger.ErrInconsistent,
			s.Name,
			chunk,
			s.Items[item].ID,
		)
	}
	return at, err
}

// at returns the time of a user, after reading on if it is not known; zero: there is none.
func (t *times) at(low uint16, extend func(*ledger.Times) error) (time.Time, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.made) > timesLife {
		t.seen, t.made = ledger.Times{}, time.Now()
	}
	for range 2 {
		if at, ok := t.seen.At(low); ok {
			return at, nil
		}
		if err := extend(&t.seen); err != nil {
			return time.Time{}, err
		}
	}
	if at, ok := t.seen.At(low); ok {
		return at, nil
	}
	t.made = time.Time{}
	return time.Time{}, nil
}

func (s *subject) timesOf(key timesKey) *times {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.times[key]
	if t == nil {
		if len(s.times) >= maxTimes {
			for other := range s.times { // any of them
				delete(s.times, other)
				break
			}
		}
		t = &times{}
		s.times[key] = t
	}
	return t
}
