package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/programme"
)

// assemblies are the councils of all programmes, as they were at each commit.
type assemblies struct {
	programmes map[string]*claims.Programme
	records    map[string][]committed
}

// committed is a record about a council, and the commit that it is of.
type committed struct {
	Record

	commit int64
}

func readAssemblies(ctx context.Context, tx *sql.Tx) (*assemblies, error) {
	a := &assemblies{programmes: map[string]*claims.Programme{}, records: map[string][]committed{}}
	rows, err := tx.QueryContext(ctx, "SELECT name, source FROM programmes")
	if err != nil {
		return nil, err
	}
	if err := each(rows, func(scan func(...any) error) error {
		var name, source string
		err := scan(&name, &source)
		if p, bad := programme.Parse("programme "+name, []byte(source)); bad == nil {
			a.programmes[name] = p
		}
		return err
	}); err != nil {
		return nil, err
	}
	rows, err = tx.QueryContext(ctx, "SELECT "+recordColumns+", programme, commit_number FROM records WHERE kind = $1 "+
		"ORDER BY programme, number", string(RecordCouncil))
	if err != nil {
		return nil, err
	}
	return a, each(rows, func(scan func(...any) error) error {
		var name string
		var commit int64
		r, err := readRecord(scan, &name, &commit)
		if err != nil && !errors.Is(err, errBody) { // that is found elsewhere
			return err
		}
		a.records[name] = append(a.records[name], committed{r, commit})
		return nil
	})
}

// at is the council of a programme as it was with a commit.
func (a *assemblies) at(name string, commit int64) *Council {
	c := councilOf(nil)
	for i := range a.records[name] {
		if r := &a.records[name][i]; r.commit <= commit {
			c.apply(&r.Record)
		}
	}
	return c
}

// check judges what an entry says of the council by the claim as it was before it, and by who was on the council and at the
// meeting.
func (a *assemblies) check(p *Proof, claim *Claim, e *Entry, commit int64) {
	what := ""
	switch v, rules := e.Change.Voted, a.programmes[claim.Programme]; {
	case v == nil && e.By.Duty == claims.CouncilDuty && e.Action != Look:
		what = "the council did it without a vote"
	case v == nil:
	case rules == nil || rules.Council == nil:
		what = "its programme has no council"
	default:
		what = judge(rules, claim, e, a.at(claim.Programme, commit))
	}
	if what != "" {
		p.wrong(Finding{Claim: e.Claim, Seq: e.Seq, What: what})
	}
}

// judge says what is wrong with an entry about the council; empty: nothing is.
func judge(p *claims.Programme, claim *Claim, e *Entry, council *Council) string {
	v := e.Change.Voted
	m, err := council.Meeting(v.Meeting)
	if err != nil {
		return err.Error()
	}
	switch {
	case e.Action == claims.PutOnAgenda:
		switch {
		case !slices.Contains(m.Items, OnAgenda{Meeting: v.Meeting, Item: v.Item, Claim: e.Claim}):
			return "it is not on the agenda of the meeting that it names"
		case claim.Item != nil || v.Motion == nil:
			return "something else is voted on, or nothing was moved"
		}
		err = v.Motion.Check(p, claim.State, claim.Assessment, -1)
	case e.Action == claims.Vote:
		if !grant.SamePerson(e.By.Name, v.Member) {
			return "somebody voted for somebody else"
		}
		_, err = council.mayVote(claim, v.Meeting, v.Item, v.Member)
	case e.Action == claims.Recuse:
		_, err = council.onItem(claim, v.Meeting, v.Item, v.Member)
	default:
		return miscounted(p, claim, e, council, m)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// same reports whether two outcomes are stored alike.
func same(a, b *vote.Outcome) bool {
	one, err := json.Marshal(a)
	other, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// miscounted counts an item again.
func miscounted(p *claims.Programme, claim *Claim, e *Entry, council *Council, m *Meeting) string {
	v, item := e.Change.Voted, claim.Item
	if item == nil || item.Meeting != v.Meeting || item.Number != v.Item || v.Outcome == nil {
		return "what was counted is not what was voted on"
	}
	o := vote.Count(p.Council, council.Attending(m), item, claim.Barred)
	want := Step{Action: claims.Adjourn, Reason: o.Says(p.Council)}
	if o.Carried {
		carry(&want, item)
	}
	owed := func(w *claims.Won) claims.Won {
		if w == nil {
			return 0
		}
		return *w
	}
	switch {
	case !same(v.Outcome, &o):
		return "the votes come to something else: " + o.Says(p.Council)
	case e.Action != want.Action, owed(e.Change.Owed) != owed(want.Change.Owed), e.Change.Declined != want.Change.Declined,
		e.Reason != want.Reason, e.By != InCouncil:
		return "it is not what was moved and counted"
	}
	return ""
}
