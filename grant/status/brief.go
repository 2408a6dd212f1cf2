package status

import (
	"context"
	"errors"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Brief is one campaign in a list of many: what the ledger alone says, for a few commands of Redis. Kafka is not asked, so
// whether nobody runs because everything is granted is known from the last run, not from the topic.
type Brief struct {
	Campaign   string       `json:"campaign"`
	Title      string       `json:"title"`
	Phase      Phase        `json:"phase"`
	StartsAt   *time.Time   `json:"starts_at,omitempty"` // the spec's, or what it was postponed to
	EndsAt     *time.Time   `json:"ends_at,omitempty"`
	Granted    int64        `json:"granted"`
	Expected   int64        `json:"expected,omitempty"`
	Percentage float64      `json:"percentage"` // of expected; 0 without it
	Rate       float64      `json:"rate"`       // records per second, of all live replicas
	Replicas   int          `json:"replicas"`   // live ones
	Holds      []grant.Hold `json:"holds"`      // of all live replicas, one for each cause, the weightiest first
	Error      string       `json:"error,omitempty"`

	Control *grant.Control `json:"control,omitempty"` // what operators have ordered; nil: nothing
}

// Unreadable is the brief of a campaign of which no more than its name can be told.
func Unreadable(name string, err error) Brief {
	return Brief{Campaign: name, Phase: PhaseUnknown, Holds: []grant.Hold{}, Error: err.Error()}
}

// Brief sums up a status that is known already.
func (s *Status) Brief() Brief {
	b := Brief{
		Campaign: s.Campaign, Title: s.Title, Phase: s.Phase, StartsAt: &s.StartsAt, EndsAt: s.EndsAt, Granted: s.Granted,
		Expected: s.Expected, Rate: s.Rate, Replicas: s.Live(), Holds: s.Holds,
	}
	if s.Expected > 0 {
		b.Percentage = s.Percentage
	}
	if s.Control.Version > 0 {
		b.Control = &s.Control
	}
	return b
}

// counted are totals, and what runs had said when they were counted: while they say no more, nobody is granted.
type counted struct {
	totals ledger.Totals
	runs   int
	last   time.Time
	done   bool
}

// Brief asks the ledger only. The bitmaps are counted when some run has spoken since they were counted last.
func (g *Gatherer) Brief(ctx context.Context) (Brief, error) {
	var a answers
	c, differs, err := InForce(ctx, g.coordination, g.reader, g.file)
	if err != nil {
		return Brief{}, err
	}
	a.spec.ask(inForce{c, differs}, nil)
	control, now, err := g.coordination.Control(ctx)
	if err != nil {
		return Brief{}, err
	}
	a.control.ask(ordered{control, now}, nil)
	runs, err := g.coordination.Runs(ctx)
	if err != nil && !errors.Is(err, ledger.ErrInconsistent) { // of one record; the others are good
		return Brief{}, err
	}
	a.runs.ask(runs, nil)
	totals, err := g.count(ctx, runs)
	if err != nil {
		return Brief{}, err
	}
	a.totals.ask(totals, nil)
	s := newStatus(g.file, &a)
	s.Phase = s.phaseOfRuns(now)
	return s.Brief(), nil
}

func (g *Gatherer) count(ctx context.Context, runs []grant.RunRecord) (ledger.Totals, error) {
	now := counted{runs: len(runs), done: true}
	for i := range runs {
		if at := runs[i].UpdatedAt; at.After(now.last) {
			now.last = at
		}
	}
	g.mu.Lock()
	before := g.counted
	g.mu.Unlock()
	if before.done && before.runs == now.runs && before.last.Equal(now.last) {
		return before.totals, nil
	}
	totals, err := g.reader.Totals(ctx)
	if err != nil {
		return totals, err
	}
	now.totals = totals
	g.mu.Lock()
	g.counted = now
	g.mu.Unlock()
	return totals, nil
}

// phaseOfRuns is the phase by what runs and operators say. It is finished when the last run that was for everybody ended so,
// or all that live wait for more.
func (s *Status) phaseOfRuns(now time.Time) Phase {
	finished, resting := false, s.Live()
	for i := range s.Runs { // the youngest last
		r := &s.Runs[i]
		if r.Pass == "" {
			finished = r.State == grant.RunFinished
		}
		if r.Live && len(r.Holds) > 0 && r.Holds[0].Cause == grant.CauseFinished {
			resting--
		}
	}
	s.Lag, s.Records = 1, 1 // something may be left
	if s.Live() > 0 && resting == 0 || s.Live() == 0 && finished {
		s.Lag, s.Records = 0, 0
	}
	phase := s.phase(now)
	if s.Control.Finish != nil && (phase == PhaseRunning || phase == PhaseThrottled) {
		phase = PhaseFinishing
	}
	return phase
}
