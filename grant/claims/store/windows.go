package store

import (
	"context"
	"sync"
	"time"

	"github.com/granter/granter/grant/claims"
)

// windowsFor is how long windows that were read are gone by: an extension counts everywhere within it. Topics are taken in at
// thousands of claims a second, each of which asks.
const windowsFor = time.Second

// windowsRead are the windows of programmes, as they were read last.
type windowsRead struct {
	mu    sync.Mutex
	known map[string]knownWindows
}

type knownWindows struct {
	at      time.Time
	windows []claims.Window
}

// Windows returns the windows of a programme as they are now, with all extensions.
func (s *Store) Windows(ctx context.Context, p *claims.Programme) ([]claims.Window, error) {
	s.windows.mu.Lock()
	defer s.windows.mu.Unlock()
	now := time.Now() // how old something read is, which is no time of the programme's
	if known, ok := s.windows.known[p.Name]; ok && now.Sub(known.at) < windowsFor {
		return known.windows, nil
	}
	list, err := s.Amendments(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	windows, err := p.Amended(list)
	if err != nil {
		return nil, err
	}
	s.windows.known[p.Name] = knownWindows{now, windows}
	return windows, nil
}

// Extension is what an amendment changes: when a window closes.
type Extension struct {
	Window string    `json:"window"`
	Old    time.Time `json:"old"` // when it would have closed
	New    time.Time `json:"new"`
}

// Amendments returns the extensions of a programme's windows, the oldest first.
func (s *Store) Amendments(ctx context.Context, programme string) ([]claims.Amendment, error) {
	list, err := s.Records(ctx, programme)
	return amendments(list), err
}

func amendments(list []Record) []claims.Amendment {
	out := []claims.Amendment{}
	for i := range list {
		if r := &list[i]; r.Change.Window != nil {
			out = append(out, r.Change.Window.amendment(r.At, r.By, r.Why))
		}
	}
	return out
}

func (e *Extension) amendment(at time.Time, by Actor, why string) claims.Amendment {
	return claims.Amendment{Window: e.Window, Old: e.Old, New: e.New, At: at, Who: by.Name, Why: why}
}

// Extend extends a window of a programme, for good: it is never shortened, and the rules and their hash stay. It fails with
// claims.ErrNoExtension when the window does not close when the extension says it would: somebody else was first.
func (s *Store) Extend(
	ctx context.Context, p *claims.Programme, e Extension, by Actor, why string,
) (claims.Amendment, error) {
	e.Old, e.New = e.Old.UTC(), e.New.UTC()
	r, err := s.addRecord(ctx, p.Name, Record{By: by, Kind: RecordWindow, Why: why},
		func(before []Record, at time.Time) (Recorded, error) {
			if !e.New.After(at) {
				return Recorded{}, claims.Refuse(claims.ErrNoExtension, "%s is over, and would let nobody in",
					e.New.In(p.Zone).Format(time.DateTime+" MST"))
			}
			_, err := p.Amended(append(amendments(before), e.amendment(at, by, why)))
			return Recorded{Window: &e}, err
		})
	s.windows.mu.Lock()
	delete(s.windows.known, p.Name)
	s.windows.mu.Unlock()
	return e.amendment(r.At, by, why), err
}
