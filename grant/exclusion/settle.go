package exclusion

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

// Places say whose place is settled.
type Places interface {
	// Settled returns the users of chunks whose place is settled, and which of them are excluded; nil where there are none.
	Settled(ctx context.Context, chunks []uint64) (settled, excluded []*dense.Bitmap, err error)
	// BucketMembers returns what the entries of some buckets say of the places of their members, where IDs are not dense.
	BucketMembers(ctx context.Context, buckets []uint64) ([][]opaque.Entry, error)
}

// Ledger is who is settled, and where somebody is excluded. Excluding is idempotent.
type Ledger interface {
	Places
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

// settlePages is how many chunks a page has: 2 MiB of Redis. settleBuckets is how many buckets: 4 MiB of UUIDs.
const (
	settlePages   = 128
	settleBuckets = 16
)

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
		some, rest = list.nextGroups(rest)
		err = s.settle(ctx, list, some, &o)
	}
	if err != nil {
		return o, fmt.Errorf("excluding the users on the lists of the campaign: %w", err)
	}
	return o, s.note(ctx, list, o)
}

// nextGroups cuts the entries of settlePages chunks off, or of settleBuckets buckets.
func (l *List) nextGroups(entries []entry) (some, rest []entry) {
	groups, last, most := 0, uint64(0), settlePages
	if l.opaque {
		most = settleBuckets
	}
	for i, e := range entries {
		if group := l.group(e); groups == 0 || group != last {
			if groups++; groups > most {
				return entries[:i], entries[i:]
			}
			last = group
		}
	}
	return entries, nil
}

// Compare returns how many users of a list are excluded already, and how many have been granted.
func Compare(ctx context.Context, l Places, list *List) (excluded, granted int64, err error) {
	for rest := list.entries; len(rest) > 0; {
		var some []entry
		some, rest = list.nextGroups(rest)
		_, had, out, err := list.part(ctx, l, some)
		if err != nil {
			return 0, 0, err
		}
		excluded, granted = excluded+out, granted+int64(len(had))
	}
	return excluded, granted, nil
}

// part finds out who of some entries is settled: those who are open, those who have been granted, and how many are excluded.
func (l *List) part(ctx context.Context, p Places, some []entry) (open []entry, had []grant.UserID, out int64, err error) {
	var groups []uint64
	for _, e := range some {
		if group := l.group(e); len(groups) == 0 || groups[len(groups)-1] != group {
			groups = append(groups, group)
		}
	}
	look := l.inChunks
	if l.opaque {
		look = l.inBuckets
	}
	place, err := look(ctx, p, groups)
	if err != nil {
		return nil, nil, 0, err
	}
	at := 0
	for _, e := range some {
		for groups[at] != l.group(e) {
			at++
		}
		switch place(at, e) {
		case grant.PlaceExcluded:
			out++
		case grant.PlaceGranted:
			had = append(had, l.id(e))
		case grant.PlaceNone:
			open = append(open, e)
		}
	}
	return open, had, out, nil
}

// inChunks returns what says the places of users of chunks, by the place of their chunk among those.
func (l *List) inChunks(ctx context.Context, p Places, chunks []uint64) (func(at int, e entry) grant.Place, error) {
	settled, excluded, err := p.Settled(ctx, chunks)
	return func(at int, e entry) grant.Place {
		_, low := dense.Split(e.user)
		switch {
		case excluded[at] != nil && excluded[at].Has(low):
			return grant.PlaceExcluded
		case settled[at] != nil && settled[at].Has(low):
			return grant.PlaceGranted
		}
		return grant.PlaceNone
	}, err
}

// inBuckets is inChunks where IDs are not dense.
func (l *List) inBuckets(ctx context.Context, p Places, buckets []uint64) (func(at int, e entry) grant.Place, error) {
	stored, err := p.BucketMembers(ctx, buckets)
	if err != nil {
		return nil, err
	}
	places := make([]map[string]grant.Place, len(buckets))
	for i, entries := range stored {
		places[i] = map[string]grant.Place{}
		for _, e := range entries {
			place := grant.PlaceGranted // of who is excluded no more, too
			if e.Says == opaque.Excludes {
				place = grant.PlaceExcluded
			}
			for rest := e.Members; len(rest) > 0; {
				var member []byte
				if member, rest, err = l.layout.Width.Next(rest); err != nil {
					return nil, fmt.Errorf("%w: bucket %d: %w", ledger.ErrInconsistent, buckets[i], err)
				}
				places[i][string(member)] = place
			}
		}
	}
	return func(at int, e entry) grant.Place {
		if place, ok := places[at][string(l.member(e))]; ok {
			return place
		}
		return grant.PlaceNone
	}, nil
}

// settle sees to the users of some chunks: who is not settled is excluded, and who was granted is looked up.
func (s *Settler) settle(ctx context.Context, list *List, some []entry, o *Outcome) error {
	open, had, before, err := list.part(ctx, s.Ledger, some)
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
			acts[i] = ledger.UserAct{User: list.id(e), Act: grant.Act{
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
