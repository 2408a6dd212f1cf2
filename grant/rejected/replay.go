package rejected

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// Replay replays letters of a campaign. Every field but Repair, Each and the limits must be set.
type Replay struct {
	Campaign     *grant.Campaign // in force
	From         Letters
	Store        *ledger.Store // of a pass of its own: ReplayPass
	Coordination *ledger.Coordination
	Reader       *ledger.Reader
	Record       grant.RunRecord // host, process and version
	Filter       Filter
	Repair       Repair
	DryRun       bool
	Each         func(Outcome) // called for each letter that is meant, one after the other; may be nil
}

// Pass is the pass that a replay is. It keeps no checkpoint.
func Pass() grant.Pass { return grant.Pass{Key: "replay", Name: grant.ReplayPass, Private: true} }

// Result says what a letter has become.
type Result string

// The results.
const (
	Granted   Result = "granted"         // its user was granted by this replay, or in a dry run would be
	Duplicate Result = "duplicate"       // its user had been granted before, by another record
	Before    Result = "replayed_before" // it was replayed before: nothing was done
	StillBad  Result = "still_bad"       // nobody knows its user: it stays what it was
)

// Outcome is what came of one letter.
type Outcome struct {
	Partition int           `json:"partition"`
	Offset    int64         `json:"offset"`
	Was       source.Reason `json:"was"` // why it was rejected
	Result    Result        `json:"result"`
	User      *grant.UserID `json:"user,omitempty"`
	Reason    source.Reason `json:"reason,omitempty"` // why it is still bad
}

// Summary counts the outcomes of a replay.
type Summary struct {
	Run       grant.RunID             `json:"run"`
	DryRun    bool                    `json:"dry_run,omitempty"`
	Letters   int64                   `json:"letters"` // that the filter takes
	Granted   int64                   `json:"granted"`
	Duplicate int64                   `json:"duplicate"`
	Before    int64                   `json:"replayed_before"`
	StillBad  int64                   `json:"still_bad"`
	Reasons   map[source.Reason]int64 `json:"reasons"` // of those that are still bad
}

func (s *Summary) add(o Outcome) {
	switch o.Result {
	case Granted:
		s.Granted++
	case Duplicate:
		s.Duplicate++
	case Before:
		s.Before++
	case StillBad:
		s.StillBad++
		s.Reasons[o.Reason]++
	}
}

// How many letters, and bytes of them, are worked on at once.
const (
	batchLetters = 16384
	batchBytes   = 64 << 20
)

// replaying is a replay under way.
type replaying struct {
	Replay

	summary Summary
	runs    map[grant.TopicID]*granting
	batch   []letter
	held    int
}

// Do replays the letters. It may be killed at any moment and done again: no letter grants two users, or is counted twice.
// ErrHeld means that operators do not let anybody be granted now.
func (r Replay) Do(ctx context.Context) (summary Summary, err error) {
	runs, err := r.Coordination.Runs(ctx)
	if err != nil {
		return summary, err
	}
	w := &replaying{Replay: r, runs: map[grant.TopicID]*granting{}}
	w.summary = Summary{Run: r.Record.Run, DryRun: r.DryRun, Reasons: map[source.Reason]int64{}}
	if err := w.allowed(ctx); err != nil {
		return w.summary, err
	}
	err = newReader(r.From, r.Campaign, runs, r.Filter).each(ctx, func(l letter) error {
		w.batch = append(w.batch, l)
		if w.held += len(l.Key) + len(l.Value); len(w.batch) < batchLetters && w.held < batchBytes {
			return nil
		}
		return w.work(ctx)
	})
	if err == nil {
		err = w.work(ctx)
	}
	for _, g := range w.runs {
		err = errors.Join(err, g.end(ctx, err))
	}
	return w.summary, err
}

// ErrHeld means that operators have paused or aborted the campaign.
var ErrHeld = errors.New("nobody may be granted now")

func (w *replaying) allowed(ctx context.Context) error {
	control, now, err := w.Coordination.Control(ctx)
	zone := w.Campaign.StartsAt.Location()
	switch start := control.Start(w.Campaign); {
	case err != nil:
		return err
	case w.DryRun:
		return nil
	case control.AbortedBy != nil:
		return fmt.Errorf("%w: the campaign is aborted %s: granter resume lifts that", ErrHeld, control.AbortedBy.By(zone))
	case control.Paused:
		return fmt.Errorf("%w: the campaign is paused %s: granter resume lifts that", ErrHeld, control.PausedBy.By(zone))
	case now.Before(start):
		return fmt.Errorf("%w: the campaign starts at %s", ErrHeld, start.In(zone).Format(time.RFC3339))
	}
	return nil
}

// work replays the letters of a batch.
func (w *replaying) work(ctx context.Context) error {
	batch := w.batch
	w.batch, w.held = nil, 0
	if len(batch) == 0 {
		return nil
	}
	names := make([]string, len(batch))
	for i := range batch {
		names[i] = batch[i].name
	}
	states, err := w.Coordination.Letters(ctx, names)
	if err != nil {
		return err
	}
	var open []letter         // not settled yet
	var claims []ledger.Claim // of some of them
	var unknown []*source.Letter
	for i := range batch {
		switch s := &states[i]; {
		case s.Settled():
			w.tell(batch[i], Outcome{Result: Before, User: &s.User})
		case s.Letter != "": // whoever claimed it was killed: the claim holds
			open, claims = append(open, batch[i]), append(claims, s.Claim)
		default:
			unknown = append(unknown, batch[i].Letter)
		}
	}
	byLetter := map[*source.Letter]letter{}
	for _, l := range batch {
		byLetter[l.Letter] = l
	}
	meanings, err := w.Repair(ctx, unknown)
	if err != nil {
		return err
	}
	for i, l := range unknown {
		if m := meanings[i]; m.Reason != "" {
			w.tell(byLetter[l], Outcome{Result: StillBad, Reason: m.Reason})
			continue
		}
		open = append(open, byLetter[l])
		claims = append(claims, ledger.Claim{Letter: byLetter[l].name, User: meanings[i].User, Run: w.Record.Run})
	}
	if w.DryRun {
		return w.foresee(ctx, open, claims)
	}
	if claims, err = w.Coordination.ClaimLetters(ctx, claims); err != nil {
		return err
	}
	return w.grantAll(ctx, open, claims)
}

func (w *replaying) tell(l letter, o Outcome) {
	o.Partition, o.Offset, o.Was = l.Partition, l.Offset, l.Reason
	o.report(w)
}

func (o Outcome) report(w *replaying) {
	w.summary.Letters++
	w.summary.add(o)
	if w.Each != nil {
		w.Each(o)
	}
}

// foresee says what would come of granting the users of letters.
func (w *replaying) foresee(ctx context.Context, letters []letter, claims []ledger.Claim) error {
	users := make([]grant.UserID, len(claims))
	for i := range claims {
		users[i] = claims[i].User
	}
	found, err := w.Reader.LookupAll(ctx, users)
	if err != nil {
		return err
	}
	first := map[grant.UserID]bool{}
	for i := range letters {
		o := Outcome{Result: Granted, User: &claims[i].User}
		if found[i] != nil || first[claims[i].User] {
			o.Result = Duplicate
		}
		first[claims[i].User] = true
		w.tell(letters[i], o)
	}
	return nil
}
