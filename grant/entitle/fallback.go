package entitle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Fallback is what a check says while the ledger does not answer.
type Fallback string

// The fallbacks.
const (
	FallbackUnknown Fallback = "unknown"    // that it does not know: the caller decides
	FallbackDeny    Fallback = "deny"       // not active
	FallbackAllow   Fallback = "allow"      // active, if the item's campaign has begun
	FallbackLast    Fallback = "last-known" // as the ledger was last seen, once a quarter of a minute; else that it does not know
)

// Fallbacks are all fallbacks.
func Fallbacks() []Fallback {
	return []Fallback{FallbackUnknown, FallbackDeny, FallbackAllow, FallbackLast}
}

// ParseFallback reads one.
func ParseFallback(s string) (Fallback, error) {
	if !slices.Contains(Fallbacks(), Fallback(s)) {
		return "", fmt.Errorf("%q: want unknown, deny, allow or last-known", s)
	}
	return Fallback(s), nil
}

// Basis is what an answer rests on.
type Basis string

// The bases.
const (
	BasisLedger    Basis = "ledger"
	BasisDeny      Basis = "deny"
	BasisAllow     Basis = "allow"
	BasisLastKnown Basis = "last-known"
	BasisUnknown   Basis = "unknown" // of an answer that says nothing else
)

// Bases are all bases.
func Bases() []Basis {
	return []Basis{BasisLedger, BasisDeny, BasisAllow, BasisLastKnown, BasisUnknown}
}

// instead answers as declared, if it was the ledger that did not; else, or if nothing was declared, it fails with the error.
func (c *Checker) instead(questions []question, user grant.UserID, a Answer, err error) (Answer, error) {
	if !isAway(err) {
		return a, err
	}
	a.Campaign, a.State = "", StateUnknown
	switch c.cfg.Fallback {
	case FallbackDeny:
		a.Basis = BasisDeny
		return a, nil
	case FallbackAllow:
		a.Basis = BasisAllow
		for i := range questions {
			if !questions[i].StartsAt.After(a.At) {
				a.State, a.Campaign = grant.StateActive, questions[i].Name
			}
		}
		return a, nil
	case FallbackLast:
		a.Basis, a.State = BasisLastKnown, StateNone
		for i := range questions {
			state, asOf, ok := c.memory.recall(&questions[i], user)
			if !ok {
				return a, err
			}
			if a.AsOf.IsZero() || asOf.Before(a.AsOf) {
				a.AsOf = asOf
			}
			a.merge(state, questions[i].Name)
		}
		return a, nil
	default:
		return a, err
	}
}

// heldInstead is instead for all items, without the moments, which only the ledger has.
func (c *Checker) heldInstead(out *Holdings, questions []question, user grant.UserID, err error) error {
	out.Basis = BasisUnknown
	if !isAway(err) || c.cfg.Fallback == FallbackUnknown {
		return err
	}
	for i := range questions {
		for item := range questions[i].Items {
			one := []question{questions[i]}
			one[0].item = item
			a, err := c.instead(one, user, Answer{At: out.At}, err)
			if err != nil {
				return err
			}
			if out.Basis = a.Basis; a.State != StateNone {
				out.Held = append(out.Held, Held{Campaign: one[0].Campaign.Campaign, Item: &one[0].Items[item], State: a.State})
			}
		}
	}
	return nil
}

const (
	rememberEvery  = 15 * time.Second
	rememberChunks = 64      // read at once: 64 × 8 KiB
	maxRemembered  = 1 << 14 // chunks: 128 MiB, a thousand million users
)

// memory is the ledger as it was last seen.
type memory struct {
	mu     sync.Mutex
	chunks map[remembered]seen
	whole  map[remembered]time.Time // by campaign, the chunk being 0: when all of its chunks were seen
}

type remembered struct {
	campaign, hash string
	chunk          uint64
}

type seen struct {
	ledger.Image
	ledger.Span

	at time.Time
}

// Run keeps the memory that FallbackLast needs fresh, until the context ends; with another fallback it only waits. The error of
// reading the ledger goes to failed.
func (c *Checker) Run(ctx context.Context, failed func(error)) {
	if c.cfg.Fallback != FallbackLast {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(rememberEvery)
	defer tick.Stop()
	for {
		if err := c.Remember(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Remember reads all chunks of all campaigns once. A chunk that cannot be read stays as it was.
func (c *Checker) Remember(ctx context.Context) error {
	all, err := c.subjects(ctx)
	if err != nil {
		return err
	}
	for _, s := range all.subjects {
		if s.opaque() {
			continue // buckets are larger by far, and have to be asked
		}
		chunks, err := s.Ledger.Chunks(ctx)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(chunks, rememberChunks) {
			images, err := s.Ledger.Images(ctx, part, ledger.Ask{})
			if err != nil {
				return err
			}
			spans, err := s.Ledger.Spans(ctx, part...)
			if err != nil {
				return err
			}
			c.memory.keep(s, part, images, spans)
		}
		c.memory.note(s, chunks)
	}
	return nil
}

// keep takes in what was read of some chunks, the spans behind the images.
func (m *memory) keep(s *subject, chunks []uint64, images []ledger.Image, spans []ledger.Span) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, chunk := range chunks {
		key := remembered{s.Name, s.Hash, chunk}
		if _, there := m.chunks[key]; there || len(m.chunks) < maxRemembered {
			m.chunks[key] = seen{images[i], spans[i], time.Now()}
		}
	}
}

// note says that these are all chunks of a campaign: whoever is in none of them was not granted it.
func (m *memory) note(s *subject, chunks []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, chunk := range chunks {
		if _, there := m.chunks[remembered{s.Name, s.Hash, chunk}]; !there {
			return // there were too many
		}
	}
	m.whole[remembered{campaign: s.Name, hash: s.Hash}] = time.Now()
}

// recall says how an item stood for a user when the ledger was last seen, when that was, and whether that is known. Of a user
// with acts it is not, nor of an item that users take, nor where users are in buckets: those are not remembered.
func (m *memory) recall(q *question, user grant.UserID) (grant.State, time.Time, bool) {
	if q.opaque() {
		return StateUnknown, time.Time{}, false
	}
	chunk, low := ledger.Place(user)
	m.mu.Lock()
	defer m.mu.Unlock()
	whole, complete := m.whole[remembered{campaign: q.Name, hash: q.Hash}]
	s, there := m.chunks[remembered{q.Name, q.Hash, chunk}]
	switch {
	case !there:
		return StateNone, whole, complete
	case s.Granted == nil || !s.Granted.Has(low):
		return StateNone, s.at, true
	case s.Acts != nil && s.Acts.Has(low), q.Items[q.item].Offered():
		return StateUnknown, s.at, false
	}
	one := *q
	one.bounds = s.Span
	state, decided := one.within(time.Time{})
	return state, s.at, decided
}

func isAway(err error) bool {
	_, away := errors.AsType[*AwayError](err)
	return away
}
