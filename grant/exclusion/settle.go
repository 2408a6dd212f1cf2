package exclusion

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
)

// Bitmaps say whose place is settled, and which of them are excluded; nil where there are none.
type Bitmaps interface {
	Settled(ctx context.Context, chunks []uint64) (settled, excluded []*dense.Bitmap, err error)
}

// Ledger is who is settled, and where somebody is excluded. Excluding is idempotent.
type Ledger interface {
	Bitmaps
	Users(ctx context.Context, users []grant.UserID) ([]ledger.User, error)
	Do(ctx context.Context, acts []ledger.UserAct, dry bool) ([]ledger.ActResult, error)
}

// Notes are where it is kept what became of the lists.
type Notes interface {
	Listed(ctx context.Context) (*ledger.Listed, error)
	SetListed(ctx context.Context, listed ledger.Listed) error
	Record(ctx context.Context, entry grant.HistoryEntry) error
}

// Settler sees to it that the ledger withholds everybody on the lists of a campaign.
type Settler struct {
	Lists  *Reader
	Ledger Ledger
	Notes  Notes
	Run    grant.RunID
	Log    *slog.Logger
}

// Outcome is what became of the users on the lists.
type Outcome struct {
	Listed   int64 `json:"listed"`
	Excluded int64 `json:"excluded"` // by this reading
	Before   int64 `json:"before"`   // they were excluded already
	Granted  int64 `json:"granted"`  // by a run, before they were listed: only revoke takes that back
	Let      int64 `json:"let"`      // a person granted or reinstated them: that counts
}

// page is how many users are excluded, or looked up, at a time: about 10 MB.
const page = 20_000

// settlePages is how many chunks a page has: 2 MiB of Redis.
const settlePages = 128

// Settle reads the lists, and returns when everybody on them is settled in the ledger: excluded, or granted before. Every replica
// calls it before its first grant, and does all of it alone if need be; so nobody on the lists is granted by any of them, also
// where another one was killed half way. Who is no longer on a list stays excluded. It is safe to call again after anything.
func (s *Settler) Settle(ctx context.Context) (Outcome, error) {
	var o Outcome
	list, err := s.Lists.Read(ctx)
	if err != nil {
		return o, err
	}
	o.Listed = list.Users()
	for rest := list.entries; len(rest) > 0 && err == nil; {
		var some []entry
		some, rest = nextChunks(rest)
		err = s.settle(ctx, list, some, &o)
	}
	if err != nil {
		return o, fmt.Errorf("excluding the users on the lists of the campaign: %w", err)
	}
	return o, s.note(ctx, list, o)
}

// nextChunks cuts the entries of settlePages chunks off, or more of them if there are few users.
func nextChunks(entries []entry) (some, rest []entry) {
	chunks, last := 0, uint64(0)
	for i, e := range entries {
		if chunk, _ := dense.Split(e.user); chunks == 0 || chunk != last {
			if chunks++; chunks > settlePages {
				return entries[:i], entries[i:]
			}
			last = chunk
		}
	}
	return entries, nil
}

// Compare returns how many users of a list are excluded already, and how many have been granted.
func Compare(ctx context.Context, l Bitmaps, list *List) (excluded, granted int64, err error) {
	for rest := list.entries; len(rest) > 0; {
		var some []entry
		some, rest = nextChunks(rest)
		_, had, out, err := part(ctx, l, some)
		if err != nil {
			return 0, 0, err
		}
		excluded, granted = excluded+out, granted+int64(len(had))
	}
	return excluded, granted, nil
}

// part finds out who of some entries is settled: those who are open, those who have been granted, and how many are excluded.
func part(ctx context.Context, l Bitmaps, some []entry) (open []entry, had []grant.UserID, out int64, err error) {
	var chunks []uint64
	for _, e := range some {
		if chunk, _ := dense.Split(e.user); len(chunks) == 0 || chunks[len(chunks)-1] != chunk {
			chunks = append(chunks, chunk)
		}
	}
	settled, excluded, err := l.Settled(ctx, chunks)
	if err != nil {
		return nil, nil, 0, err
	}
	at := 0
	for _, e := range some {
		chunk, low := dense.Split(e.user)
		for chunks[at] != chunk {
			at++
		}
		switch {
		case excluded[at] != nil && excluded[at].Has(low):
			out++
		case settled[at] != nil && settled[at].Has(low):
			had = append(had, grant.NumberID(e.user))
		default:
			open = append(open, e)
		}
	}
	return open, had, out, nil
}

// settle sees to the users of some chunks: who is not settled is excluded, and who was granted is looked up.
func (s *Settler) settle(ctx context.Context, list *List, some []entry, o *Outcome) error {
	open, had, before, err := part(ctx, s.Ledger, some)
	if err != nil {
		return err
	}
	o.Before += before
	refused, err := s.exclude(ctx, list, open, o)
	if err != nil {
		return err
	}
	return s.lookUp(ctx, append(had, refused...), o)
}

// exclude excludes users, and returns those who were granted meanwhile.
func (s *Settler) exclude(ctx context.Context, list *List, open []entry, o *Outcome) (granted []grant.UserID, err error) {
	c := s.Lists.Campaign
	for len(open) > 0 {
		some := open[:min(page, len(open))]
		open = open[len(some):]
		acts := make([]ledger.UserAct, len(some))
		for i, e := range some {
			acts[i] = ledger.UserAct{User: grant.NumberID(e.user), Act: grant.Act{
				ID: ActID(c), Kind: grant.ActExclude, Who: Who, Via: "run", Reason: list.reasons[e.reason],
			}}
		}
		results, err := s.Ledger.Do(ctx, acts, false)
		if err != nil {
			return nil, err
		}
		for i := range results {
			switch r := &results[i]; {
			case r.Err == nil && !r.Again:
				o.Excluded++
			case r.Before.Place == grant.PlaceGranted:
				granted = append(granted, acts[i].User)
			default:
				o.Before++ // by another replica
			}
		}
	}
	return granted, nil
}

// Who is who excludes users whom a list names.
const Who = "the campaign's spec"

// ActID names the acts by which the users on the lists of a campaign are excluded.
func ActID(c *grant.Campaign) string { return fmt.Sprintf("exclude-%.16s", c.Hash) }

// lookUp finds out who gave users the campaign.
func (s *Settler) lookUp(ctx context.Context, had []grant.UserID, o *Outcome) error {
	for len(had) > 0 {
		some := had[:min(page, len(had))]
		had = had[len(some):]
		users, err := s.Ledger.Users(ctx, some)
		if err != nil {
			return err
		}
		for i := range users {
			if g := users[i].Settled; g != nil && g.Kind != ledger.EntryGrant {
				o.Let++
			} else {
				o.Granted++
			}
		}
	}
	return nil
}

// note says what became of the lists: in the log, in the ledger, and, if that is new, in the audit trail.
func (s *Settler) note(ctx context.Context, list *List, o Outcome) error {
	log := s.Log.With("listed", o.Listed, "excluded", o.Excluded, "before", o.Before, "granted", o.Granted, "reinstated", o.Let)
	if o.Granted > 0 {
		log.Error("USERS WHO ARE TO BE EXCLUDED HAVE BEEN GRANTED ALREADY: granter exclude --users FILE --dry-run names them, "+
			"granter revoke takes it back", "lists", list.String())
	} else {
		log.Info("the users on the campaign's lists are excluded", "lists", list.String())
	}
	before, err := s.Notes.Listed(ctx)
	if err != nil {
		return err
	}
	now := ledger.Listed{Run: s.Run, Users: o.Listed, Granted: o.Granted}
	if o.Excluded > 0 || before == nil || before.Users != now.Users || before.Granted != now.Granted {
		err := s.Notes.Record(ctx, grant.HistoryEntry{
			Action: grant.ActionAct, Who: Who, Via: "run", Why: cut("exclude: " + list.String()),
			Acted: &grant.Acted{
				Request: ActID(s.Lists.Campaign), Kind: grant.ActExclude, Users: int(o.Listed), Done: int(o.Excluded),
				Unchanged: int(o.Before + o.Let), Refused: int(o.Granted),
			},
		})
		if err != nil {
			return err
		}
	}
	return s.Notes.SetListed(ctx, now)
}

// cut keeps a text within what the audit trail takes.
func cut(text string) string {
	const most = 300
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
