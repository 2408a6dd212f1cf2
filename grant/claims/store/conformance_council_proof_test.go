package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
)

// forge adds an entry to a claim with all its hashes right, as whoever has the database and the program could.
func (m *sitting) forge(i int, e Entry) {
	m.Helper()
	require.NoError(m, m.begin(m.Context(), func(c *commit) error {
		claim, err := c.read(m.claims[i].ID)
		if err != nil {
			return err
		}
		e.Claim, e.Seq, e.At, e.From, e.Prev = claim.ID, claim.Seq+1, c.at, claim.State, claim.Head
		if e.To == "" {
			e.To = claim.State
		}
		return c.add(claim, e, nil)
	}))
}

// councilIsProven: entries whose hashes are right are found when they say what the council did not do.
func councilIsProven(t *testing.T, s *Store) {
	gave := func(item int, who string) Entry {
		return Entry{By: Actor{who, claims.CouncilDuty}, Action: claims.Vote,
			Change: Change{Voted: &Voted{Meeting: 1, Item: item, Member: who, Choice: vote.For}}}
	}
	won := claims.Won(6_000_000)
	decided := func(item int, o *vote.Outcome) Entry {
		return Entry{By: InCouncil, Action: claims.Approve, To: claims.Approved, Reason: "the reports show it",
			Change: Change{Owed: &won, Voted: &Voted{Meeting: 1, Item: item, Outcome: o, Closed: "oh"}}}
	}
	all := []string{"cho", "han", "min", "seo", "yoon"}
	forged := []struct {
		name string
		add  func(m *sitting, i, item int)
		want string
	}{
		{"nothing", func(*sitting, int, int) {}, ""},
		{
			"a vote of somebody without a seat",
			func(m *sitting, i, item int) { m.forge(i, gave(item, "nobody")) },
			"has no seat",
		},
		{
			"a vote of somebody who is not there",
			func(m *sitting, i, item int) { m.forge(i, gave(item, "jung")) },
			"is not among those",
		},
		{"a vote for somebody else", func(m *sitting, i, item int) {
			e := gave(item, "cho")
			e.By.Name = "han"
			m.forge(i, e)
		}, "somebody voted for somebody else"},
		{
			"a vote on another item",
			func(m *sitting, i, item int) { m.forge(i, gave(item+50, "cho")) },
			"nobody votes on it any more",
		},
		{"a decision without a vote", func(m *sitting, i, _ int) {
			m.forge(
				i,
				Entry{By: InCouncil, Action: claims.Approve, To: claims.Approved, Reason: "x", Change: Change{Owed: &won}},
			)
		}, "the council did it without a vote"},
		{"a count that is none", func(m *sitting, i, item int) {
			m.forge(i, decided(item, &vote.Outcome{For: 5, Quorum: true, Carried: true}))
		}, "the votes come to something else: not carried"},
		{"another amount than was moved", func(m *sitting, i, item int) {
			for _, who := range all {
				require.NoError(m, m.vote(i, item, who, vote.For))
			}
			c := m.now(i)
			council, err := m.Council(m.Context(), m.p.Name)
			require.NoError(m, err)
			o := vote.Count(m.p.Council, council.Attending(&council.Meetings[0]), c.Item, c.Barred)
			e := decided(item, &o)
			less := won - 1
			e.Change.Owed = &less
			m.forge(i, e)
		}, "it is not what was moved and counted"},
		{"a motion that no meeting has", func(m *sitting, i, _ int) {
			require.NoError(m, m.Commit(m.Context(), []Step{
				{Claim: m.now(i), Action: claims.TakeBack, By: reviewer, Reason: "x"}}, nil))
			require.NoError(m, m.Commit(m.Context(), []Step{
				{Claim: m.now(i), Action: claims.Refer, By: reviewer, Reason: "x"}}, nil))
			m.forge(i, Entry{By: secretary, Action: claims.PutOnAgenda, Reason: "x",
				Change: Change{Voted: &Voted{Meeting: 1, Item: 77, Motion: &pays}}})
		}, "not on the agenda"},
		{"an amount that the programme does not allow", func(m *sitting, i, item int) {
			more := pays
			more.Amount = 7_000_001
			require.NoError(m, m.Commit(m.Context(), []Step{
				{Claim: m.now(i), Action: claims.TakeBack, By: reviewer, Reason: "x"}}, nil))
			require.NoError(m, m.Commit(m.Context(), []Step{
				{Claim: m.now(i), Action: claims.Refer, By: reviewer, Reason: "x"}}, nil))
			m.forge(i, Entry{By: secretary, Action: claims.PutOnAgenda, Reason: "x",
				Change: Change{Voted: &Voted{Meeting: 1, Item: item, Motion: &more}}})
		}, "more than the assessed loss"},
	}
	m := sit(t, s, len(forged), all...)
	for i := range forged {
		require.NoError(t, m.put(i, pays))
	}
	sound(t, s)
	for i := range forged {
		forged[i].add(m, i, i+1)
	}
	proof, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	found := map[string]string{}
	for _, f := range proof.Wrong {
		found[f.Claim] = f.What
	}
	for i := range forged {
		if forged[i].want == "" {
			require.Empty(t, found[m.claims[i].ID], forged[i].name)
			continue
		}
		require.Contains(t, found[m.claims[i].ID], forged[i].want, forged[i].name)
	}

	// Who was there cannot be changed afterwards, either: the record is part of the chain.
	_, err = s.Attend(t.Context(), m.p, Attendance{1, "han", all}, nil, secretary, "again")
	require.NoError(t, err)
	_, err = s.CallMeeting(t.Context(), m.p, time.Now(), " ", secretary, "x")
	m.refused(err, "when and where")
}
