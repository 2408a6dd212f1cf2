package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

var (
	reviewer = Actor{"lee", claims.Reviewer}
	approver = Actor{"park", claims.Approver}
	privacy  = Actor{"seo", claims.Privacy}
)

// conformance is what a store promises, whatever its database is. Open opens a new one, or the one at a place again.
func conformance(t *testing.T, open func(t *testing.T, where string) *Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *Store)
	}{
		{"what was received is there", received},
		{"a filing is taken once", takenOnce},
		{"topics are taken in once", topicsAreTakenInOnce},
		{"a unit has one claim", oneClaimOfAUnit},
		{"a number in two filings at once is taken once", takenOnceConcurrently},
		{"a claim goes only where the rules let it", legalSteps},
		{"the second of two reviewers is told who was first", secondIsTold},
		{"who had a hand in it does not decide", handsAndDecisions},
		{"a commit is whole or nothing", wholeOrNothing},
		{"history is only added to", appendOnly},
		{"the database refuses what the program does not do", constraints},
		{"a proof finds what was tampered with", tampering},
		{"an owner is erased and the chain holds", erasing},
		{"claims that share something are found", sharing},
		{"lists and counts", listing},
		{"rules stay under claims", rulesStay},
		{"an account is changed and verified again", changeAccount},
		{"money moves as the bank says, once", paying},
		{"what comes back is paid again, a few times", payingAgain},
		{"an old answer sends nothing again", askingTwice},
		{"drafts are kept for a month", drafts},
		{"owners enter by number and code", ownersEnter},
		{"what owners write is kept apart", lettersAreKeptApart},
		{"the last document that was missing moves a claim on", documentsComplete},
		{"owners are told of each event once", toldOnce},
		{"a form is done once", aFormIsDoneOnce},
		{"a window is extended, and never shortened", windowsAreExtended},
		{"a budget is amended by two people, and payment goes on", budgetsAreAmended},
		{"chance has approved claims looked at again", secondLooks},
		{"records that are old enough go, and the chain holds", purging},
		{"who reads what of whose claims is kept", readsAreKept},
		{"two purges at once empty the access log once", purgesAtOnce},
		{"earlier reports are imported once and linked by the business", reportsAreLinked},
		{"who reported is erased, and old reports go", reportersAreErased},
		{"a claim that was withdrawn erases no other's report", withdrawnErasesItsOwn},
		{"a proof finds reports that were tampered with", reportsAreProven},
		{"who reported and did not file is reminded once", reportersAreReminded},
		{"who watches sees how everything stands", watching},
		{"errors are told by their kind", errorsAreTold},
		{"the council decides by vote", councilDecides},
		{"the council needs a quorum", councilNeedsQuorum},
		{"members who are concerned have no vote", councilRecusesByRule},
		{"nobody gets around a vote of the council", councilByVoteOnly},
		{"the council keeps to the budget", councilKeepsToTheBudget},
		{"members vote at once, and are counted meanwhile", membersVoteAtOnce},
		{"the council decides again without those who did", councilDecidesAgain},
		{"who watches sees what the council has not decided", watchingTheCouncil},
		{"who watches sees what waits for others", watchingOthers},
		{"a proof counts the council's votes again", councilIsProven},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t, "")) })
	}
}

func shipped(t *testing.T, s *Store) *claims.Programme {
	t.Helper()
	p, err := s.Adopt(t.Context(), source(t))
	require.NoError(t, err)
	return p
}

func receive(t *testing.T, s *Store, n int) []*Claim {
	t.Helper()
	p := shipped(t, s)
	var filings []Filing
	var ids []string
	for i := range n {
		filings = append(filings, filing(p, i))
		ids = append(ids, filings[i].ID)
	}
	out, err := s.Receive(t.Context(), filings, nil)
	require.NoError(t, err)
	for i := range out {
		require.Equal(t, Filed{Taken, ids[i]}, out[i])
	}
	list, err := s.Get(t.Context(), ids...)
	require.NoError(t, err)
	return list
}

func sound(t *testing.T, s *Store) *Proof {
	t.Helper()
	p, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, p.Wrong)
	return p
}

func received(t *testing.T, s *Store) {
	list := receive(t, s, 250) // more than one statement takes
	c := list[249]
	require.Equal(t, claims.Received, c.State)
	require.Equal(t, 1, c.Seq)
	require.Equal(t, claims.Date("2020-01-01"), c.Facts.Opened)
	require.Equal(t, "intake", c.EnteredBy)
	person, err := s.Person(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, "김사장", person.Representative)
	_, err = s.Get(t.Context(), "nobody")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.History(t.Context(), "nobody")
	require.ErrorIs(t, err, ErrNotFound)
	p := sound(t, s)
	require.Equal(t, 250, p.Claims)
	require.Equal(t, int64(1), p.Commits)
	later, err := s.Prove(t.Context(), &Anchor{p.Commits, p.Head})
	require.NoError(t, err)
	require.Empty(t, later.Wrong)
	later, err = s.Prove(t.Context(), &Anchor{p.Commits + 1, p.Head})
	require.NoError(t, err)
	require.Len(t, later.Wrong, 1, "the end was cut off")
}

func takenOnce(t *testing.T, s *Store) {
	p := shipped(t, s)
	f := filing(p, 1)
	other := filing(p, 1)
	other.Opening.Digest = "another loss"
	out, err := s.Receive(t.Context(), []Filing{f, f, other}, nil)
	require.NoError(t, err)
	require.Equal(t, []Filed{{Taken, f.ID}, {Again, f.ID}, {Different, f.ID}}, out)
	out, err = s.Receive(t.Context(), []Filing{f, other}, nil)
	require.NoError(t, err)
	require.Equal(t, []Filed{{Again, f.ID}, {Different, f.ID}}, out)
	require.Equal(t, 1, sound(t, s).Entries)
}

func oneClaimOfAUnit(t *testing.T, s *Store) {
	p := shipped(t, s)
	first, second := filing(p, 1), filing(p, 2)
	second.Opening.Unit = first.Opening.Unit
	out, err := s.Receive(t.Context(), []Filing{first, second}, nil)
	require.NoError(t, err)
	require.Equal(t, []Filed{{Taken, first.ID}, {Twice, first.ID}}, out)
	list, err := s.Get(t.Context(), first.ID)
	require.NoError(t, err)
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: list[0], Action: claims.Withdraw, By: Actor{"kim",
		claims.Owner}}}, nil))
	out, err = s.Receive(t.Context(), []Filing{second}, nil)
	require.NoError(t, err)
	require.Equal(t, Taken, out[0].Outcome, "who withdrew may claim again")
	sound(t, s)
}

func takenOnceConcurrently(t *testing.T, s *Store) {
	p := shipped(t, s)
	var group sync.WaitGroup
	var lock sync.Mutex
	taken := 0
	for range 4 {
		group.Go(func() {
			var filings []Filing
			for i := range 50 {
				filings = append(filings, filing(p, i))
			}
			out, err := s.Receive(context.Background(), filings, nil)
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				t.Error(err)
			}
			for _, o := range out {
				if o.Outcome == Taken {
					taken++
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, 50, taken)
	require.Equal(t, 50, sound(t, s).Claims)
}

func legalSteps(t *testing.T, s *Store) {
	c := receive(t, s, 1)[0]
	before := *c
	err := s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Send, By: Actor{"choi", claims.Payer}}}, nil)
	require.ErrorIs(t, err, claims.ErrIllegal)
	require.ErrorContains(t, err, "c-000000: not possible: send_payment of a claim in state received: possible are check, "+
		"withdraw")
	require.Equal(t, before, *c)
	owed := claims.Won(30_000)
	require.NoError(t, s.Commit(t.Context(), []Step{
		{Claim: c, Action: claims.Check, By: Rules},
		{Claim: c, Action: Note, By: reviewer, Reason: "called the owner"},
		{Claim: c, Action: claims.Approve, By: Rules, Reason: "tier 1", Change: Change{Owed: &owed}},
	}, nil))
	require.Equal(t, claims.Approved, c.State)
	require.Equal(t, owed, c.Owed)
	require.Equal(t, 4, c.Decision)
	again, err := s.Get(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, c.Head, again[0].Head)
	require.Equal(t, c.Owed, again[0].Owed)
	sound(t, s)
}

func secondIsTold(t *testing.T, s *Store) {
	first := receive(t, s, 1)[0]
	read, err := s.Get(t.Context(), first.ID)
	require.NoError(t, err)
	second := read[0]
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: first, Action: claims.Check, By: reviewer}}, nil))
	err = s.Commit(t.Context(), []Step{{Claim: second, Action: claims.Check, By: Actor{"cho", claims.Reviewer}}}, nil)
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, reviewer, conflict.By)
	require.Equal(t, claims.Check, conflict.Action)
	require.Contains(t, err.Error(), "claim c-000000: lee (reviewer) was first, with check at ")
	require.Equal(t, claims.Received, second.State, "what was read stays as it was read")
	require.Equal(t, 2, sound(t, s).Entries)
}

func handsAndDecisions(t *testing.T, s *Store) {
	c := receive(t, s, 1)[0]
	require.NoError(t, s.Commit(t.Context(), []Step{
		{Claim: c, Action: claims.Check, By: Rules}, {Claim: c, Action: claims.Review, By: reviewer},
	}, nil))
	owed := claims.Won(7)
	approve := func(by Actor) error {
		return s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Approve, By: by, Reason: "shown",
			Change: Change{Owed: &owed}}}, nil)
	}
	require.ErrorContains(t, approve(Actor{"intake", claims.Approver}), "intake entered it, so somebody else must decide")
	require.ErrorContains(t, approve(Actor{"lee", claims.Approver}), "lee had a hand in it as reviewer")
	require.NoError(t, approve(approver))
}

func wholeOrNothing(t *testing.T, s *Store) {
	list := receive(t, s, 2)
	err := s.Commit(t.Context(), []Step{
		{Claim: list[0], Action: claims.Check, By: Rules},
		{Claim: list[1], Action: claims.Settle, By: Rules},
	}, nil)
	require.ErrorIs(t, err, claims.ErrIllegal)
	require.Equal(t, claims.Received, list[0].State)
	require.Equal(t, 2, sound(t, s).Entries)
	_, err = s.db.Exec("UPDATE programmes SET budget = 5, reserved = 6")
	require.Error(t, err, "more is reserved than there is")
}

func appendOnly(t *testing.T, s *Store) {
	receive(t, s, 1)
	for _, statement := range []string{
		"UPDATE history SET reason = 'x'", "DELETE FROM history", "UPDATE commits SET at = 1", "DELETE FROM commits",
		"DELETE FROM claims",
	} {
		_, err := s.db.Exec(statement)
		require.Error(t, err, statement)
	}
	sound(t, s)
}

// The program does none of this; whoever sits at the database's own prompt might.
func constraints(t *testing.T, s *Store) {
	c := receive(t, s, 1)[0]
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Check, By: Rules}}, nil))
	insert := func(seq int, from, action, to, prev string) error {
		_, err := s.db.Exec(fmt.Sprintf("INSERT INTO history SELECT claim, %d, commit_number, 9, at, who, duty, '%s', '%s', "+
			"'%s', '', "+
			"'{}', '%s', 'x' FROM history WHERE seq = 1", seq, from, action, to, prev))
		return err
	}
	require.ErrorContains(t, insert(3, "checking", "settle", "paid", c.Head), constraintWord(s), "no legal step")
	require.ErrorContains(t, insert(4, "checking", "note", "checking", c.Head), "does not follow")
	require.ErrorContains(t, insert(3, "received", "note", "received", c.Head), "does not follow", "it is in another state")
	require.ErrorContains(t, insert(3, "checking", "note", "checking", "y"), "does not follow", "another hash")
	for _, statement := range []string{
		"UPDATE claims SET state = 'approved'",
		"UPDATE claims SET seq = 1, state = 'received', head = (SELECT hash FROM history WHERE seq = 1)",
		"UPDATE claims SET unit = '1208147521'",
		"UPDATE claims SET owed = -1",
		"UPDATE programmes SET hash = 'x'",
		"DELETE FROM programmes",
		"INSERT INTO commits VALUES (9, 1, 1, 'p', 'h')",
		"INSERT INTO claims SELECT 'other', programme, rules, unit, channel, entered_by, received_at, industry, state, seq, " +
			"head, tier, " +
			"loss, owed, changed_at, due, tries FROM claims",
	} {
		_, err := s.db.Exec(statement)
		require.Error(t, err, statement)
	}
	sound(t, s)
}

func constraintWord(s *Store) string {
	if s.postgres {
		return "no step that the rules have"
	}
	return "FOREIGN KEY"
}

// unguarded runs statements as somebody who has switched the triggers off.
func unguarded(t *testing.T, s *Store, statements ...string) {
	t.Helper()
	off, on := []string{"PRAGMA foreign_keys = 0"}, []string{}
	if s.postgres {
		off, on = []string{"SET session_replication_role = replica"}, []string{"SET session_replication_role = origin"}
	} else {
		var names []string
		rows, err := s.db.Query("SELECT name FROM sqlite_master WHERE type = 'trigger'")
		require.NoError(t, err)
		require.NoError(t, each(rows, func(scan func(...any) error) error {
			var n string
			err := scan(&n)
			names = append(names, n)
			return err
		}))
		for _, n := range names {
			off = append(off, "DROP TRIGGER "+n)
		}
	}
	conn, err := s.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, statement := range slices.Concat(off, statements, on) {
		_, err := conn.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
}

func tampering(t *testing.T, s *Store) {
	list := receive(t, s, 3)
	for _, c := range list {
		require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Check, By: Rules}}, nil))
	}
	_, err := s.Extend(t.Context(), shipped(t, s), farExtension(t, s), secretary, "few have filed")
	require.NoError(t, err)
	good := sound(t, s)
	for _, test := range []struct{ statement, back, want string }{
		{"UPDATE history SET reason = 'x' WHERE claim = 'c-000001' AND seq = 2",
			"UPDATE history SET reason = '' WHERE claim = 'c-000001' AND seq = 2", "c-000001 2 the entry was changed"},
		{"UPDATE history SET body = 'x' || body WHERE claim = 'c-000001' AND seq = 2",
			"UPDATE history SET body = SUBSTR(body, 2) WHERE claim = 'c-000001' AND seq = 2", "c-000001 2 the entry was changed"},
		{"UPDATE claims SET owed = 50000 WHERE id = 'c-000002'", "UPDATE claims SET owed = 0 WHERE id = 'c-000002'",
			"c-000002 2 the table says"},
		{"UPDATE claims SET state = 'approved' WHERE id = 'c-000002'",
			"UPDATE claims SET state = 'checking' WHERE id = 'c-000002'", "c-000002 2 the table says"},
		{"UPDATE claims SET unit = '1208147521' WHERE id = 'c-000000'",
			"UPDATE claims SET unit = (SELECT '" + string(list[0].Unit) + "') WHERE id = 'c-000000'",
			"c-000000 2 the table says"},
		{"UPDATE owners SET person = REPLACE(person, '004', '088') WHERE claim = 'c-000000'",
			"UPDATE owners SET person = REPLACE(person, '088', '004') WHERE claim = 'c-000000'",
			"c-000000 0 its owner, or the account"},
		{"UPDATE commits SET at = at + 1 WHERE number = 2", "UPDATE commits SET at = at - 1 WHERE number = 2",
			" 0 its hash is not that"},
		{"UPDATE records SET why = 'x' WHERE number = 1", "UPDATE records SET why = 'few have filed' WHERE number = 1",
			" 0 record 1 of programme outage-2022 was changed"},
		{"UPDATE head SET number = 9", fmt.Sprintf("UPDATE head SET number = %d", good.Commits), " 0 the chain ends here"},
	} {
		unguarded(t, s, test.statement)
		p, err := s.Prove(t.Context(), nil)
		require.NoError(t, err, test.statement)
		require.NotEmpty(t, p.Wrong, test.statement)
		f := p.Wrong[0]
		require.True(t, strings.HasPrefix(fmt.Sprint(f.Claim, " ", f.Seq, " ", f.What), test.want), "%s: %+v", test.statement,
			p.Wrong)
		unguarded(t, s, test.back)
		require.Equal(t, good, sound(t, s))
	}
	unguarded(t, s, "DELETE FROM history WHERE claim = 'c-000001' AND seq = 2", "DELETE FROM owners WHERE claim = 'c-000002'",
		"DELETE FROM history WHERE claim = 'c-000000'", "DELETE FROM records")
	p, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Contains(t, p.Wrong, Finding{Commit: 1, What: "it has 2 entries, and had 3"})
	require.Contains(t, p.Wrong, Finding{Commit: 5, What: "it has 0 entries, and had 1"})
	require.Contains(t, p.Wrong, Finding{Claim: "c-000000", What: "it has no history"})
	require.Contains(t, p.Wrong, Finding{Claim: "c-000002", What: "its owner is gone, and was not erased"})
}

func sharing(t *testing.T, s *Store) {
	p := shipped(t, s)
	filings := []Filing{filing(p, 0), filing(p, 1), filing(p, 2)}
	filings[1].Person.Account = "1230000000" // the same, without hyphens
	filings[2].Person.Phone = "01012340000"
	_, err := s.Receive(t.Context(), filings, nil)
	require.NoError(t, err)
	shared, err := s.Shared(t.Context(), []string{"c-000000", "c-000001", "c-000002"})
	require.NoError(t, err)
	require.Equal(t, map[string]map[claims.SignalKind][]string{
		"c-000000": {claims.SameAccount: {"c-000001"}, claims.SamePhone: {"c-000002"}},
		"c-000001": {claims.SameAccount: {"c-000000"}},
		"c-000002": {claims.SamePhone: {"c-000000"}},
	}, shared)
	list, err := s.Get(t.Context(), "c-000001")
	require.NoError(t, err)
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: list[0], Action: claims.Withdraw, By: Actor{"kim",
		claims.Owner}}}, nil))
	shared, err = s.Shared(t.Context(), []string{"c-000000"})
	require.NoError(t, err)
	require.NotContains(t, shared["c-000000"], claims.SameAccount, "the cause is gone")
}

func listing(t *testing.T, s *Store) {
	list := receive(t, s, 5)
	a := claims.Assessment{SalesLoss: 500}
	for i, c := range list[:3] {
		a.SalesLoss = claims.Won(100 * (i + 1))
		copied := a
		require.NoError(t, s.Commit(t.Context(), []Step{
			{Claim: c, Action: claims.Check, By: Rules},
			{Claim: c, Action: claims.Review, By: Rules, Change: Change{
				Assessment: &copied, Proposal: &claims.Proposal{Tier: 3},
			}},
		}, nil))
	}
	later := s.now().Add(time.Hour)
	require.NoError(t, s.Postpone(t.Context(), map[string]time.Time{list[0].ID: later, list[1].ID: later, list[2].ID: later}))
	lines, err := s.List(t.Context(), Filter{States: []claims.State{claims.InReview}, Programme: "outage-2022"})
	require.NoError(t, err)
	require.Len(t, lines, 3)
	require.Equal(t, claims.Won(100), lines[0].Loss)
	lines, err = s.List(t.Context(), Filter{After: "c-000001", Limit: 2})
	require.NoError(t, err)
	require.Equal(t, []string{"c-000002", "c-000003"}, []string{lines[0].ID, lines[1].ID})
	lines, err = s.List(t.Context(), Filter{Due: s.now()})
	require.NoError(t, err)
	require.Len(t, lines, 2)
	lines, err = s.List(t.Context(), Filter{Unit: list[4].Unit})
	require.NoError(t, err)
	require.Len(t, lines, 1)
	counts, err := s.Counts(t.Context(), "outage-2022")
	require.NoError(t, err)
	require.Equal(t, map[claims.State]Count{claims.InReview: {Claims: 3}, claims.Received: {Claims: 2}}, counts)
	peers, err := s.Peers(t.Context(), "outage-2022", "retail")
	require.NoError(t, err)
	require.Equal(t, claims.Peers{Count: 3, Median: 200}, peers)
	peers, err = s.Peers(t.Context(), "outage-2022", "taxis")
	require.NoError(t, err)
	require.Zero(t, peers)
}

func rulesStay(t *testing.T, s *Store) {
	p := shipped(t, s)
	changed := []byte(strings.Replace(string(source(t)), "pay: 30000", "pay: 40000", 1))
	other, err := s.Adopt(t.Context(), changed)
	require.NoError(t, err, "nobody has claimed yet")
	require.NotEqual(t, p.Hash, other.Hash)
	receive(t, s, 1)
	_, err = s.Adopt(t.Context(), changed)
	require.ErrorContains(t, err, "has claims already")
	now, err := s.Programme(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, p.Hash, now.Hash)
	_, err = s.Programme(t.Context(), "other")
	require.ErrorContains(t, err, "has no programme other")
}

func changeAccount(t *testing.T, s *Store) {
	c := receive(t, s, 1)[0]
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: Identify, By: Rules, Change: Change{
		Identity: &Identity{Business: "active", Account: "verified", Complete: true},
	}}}, nil))
	p, err := s.Person(t.Context(), c.ID)
	require.NoError(t, err)
	p.Account = "999"
	require.NoError(t, s.ChangePerson(t.Context(), c, *p, Actor{"kim", claims.Owner}, "another bank"))
	require.Nil(t, c.Identity)
	sound(t, s)
	now, err := s.Person(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, "999", now.Account)
}
