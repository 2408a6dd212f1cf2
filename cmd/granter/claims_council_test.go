package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// A council from its members to the minutes, as it is typed.
func TestACouncilDecidesOnTheCommandLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "claims.db")
	s, p := storetest.At(t, path)
	c := storetest.Receive(t, s, p, 1, 100_000_000)[0]
	a, err := p.Assess(&c.Facts)
	require.NoError(t, err)
	proposal := p.Propose(&c.Facts, &a)
	require.NoError(t, s.Commit(t.Context(), []store.Step{
		{Claim: c, Action: claims.Check, By: store.Rules, Change: store.Change{Assessment: &a, Proposal: &proposal}},
		{Claim: c, Action: claims.Review, By: store.Rules},
	}, nil))
	at := "--database=" + path
	well := func(args ...string) string {
		t.Helper()
		code, out, errs := ask(append(args, at)...)
		require.Zero(t, code, errs)
		return out
	}
	refused := func(says string, want int, args ...string) {
		t.Helper()
		code, _, errs := ask(append(args, at)...)
		require.Equal(t, want, code, errs)
		require.Contains(t, errs, says)
	}
	refused(
		"the council's to decide: refer it",
		exitFailed,
		"decide",
		c.ID,
		"approve",
		"--amount",
		"900000",
		"--why",
		"x",
		"--who",
		"park",
	)
	me, err := whoami("")
	require.NoError(t, err)
	refer := store.Step{Claim: c, Action: claims.Refer, By: store.Actor{Name: "lee", Duty: claims.Reviewer}, Reason: "large"}
	require.NoError(t, s.Commit(t.Context(), []store.Step{refer}, nil))
	for name, affiliation := range map[string]string{
		"cho": "consumers", me: "academia", "min": "small_business", "seo": "company", "yoon": "consumers",
	} {
		well(
			"council",
			"members",
			"--add",
			name,
			"--affiliation",
			affiliation,
			"--shown",
			name+" 위원",
			"--who",
			"oh",
			"--why",
			"named",
		)
	}
	refused(
		"is no affiliation",
		exitFailed,
		"council",
		"members",
		"--add",
		"x",
		"--affiliation",
		"banks",
		"--who",
		"oh",
		"--why",
		"x",
	)
	refused("exclude each other", exitUsage, "council", "members", "--add", "x", "--remove", "y", "--why", "x")
	require.Contains(t, well("council", "members"), "cho 위원")
	refused("want a time in Asia/Seoul", exitUsage, "council", "meet", "--at", "soon", "--place", "x", "--why", "x")
	refused("say --at and --place", exitUsage, "council", "meet", "1", "--present", "cho", "--close", "--why", "x")
	well("council", "meet", "--at", "2023-03-02T14:00", "--place", "3rd floor", "--why", "the first claims", "--who", "oh")
	refused("is not there", exitFailed, "council", "meet", "1", "--present", "cho", "--chair", me, "--why", "x", "--who", "oh")
	well("council", "meet", "1", "--present", "cho,min,seo,yoon,"+me, "--chair", me, "--why", "who came", "--who", "oh")
	refused("say --put CLAIM and --move", exitUsage, "council", "agenda", "1", "--put", c.ID, "--why", "x")
	refused(
		"say how much",
		exitFailed,
		"council",
		"agenda",
		"1",
		"--put",
		c.ID,
		"--move",
		"approve",
		"--why",
		"x",
		"--who",
		"oh",
	)
	refused("nothing is voted on about it", exitFailed, "council", "vote", c.ID, "for")
	_, err = s.PutOnAgenda(t.Context(), p, c.ID, 1, vote.Motion{Action: claims.Approve, Amount: 6_000_000},
		store.Actor{Name: "oh", Duty: claims.Secretary}, "it is shown") // or whoever types this had a hand in it
	require.NoError(t, err)
	require.Contains(t, well("council", "vote", c.ID, "for", "--why", "it is"), "open: 1 of 5 who may vote have voted")
	refused("is no vote", exitFailed, "council", "vote", c.ID, "perhaps")
	refused("members vote themselves", exitUsage, "council", "vote", c.ID, "for", "--member", "seo")
	for name, choice := range map[string]vote.Choice{"cho": vote.For, "min": vote.For, "seo": vote.Against} {
		_, err := s.Vote(t.Context(), p, store.VoteOn{Claim: c.ID, Meeting: 1, Item: 1, Choice: choice},
			store.Actor{Name: name, Duty: claims.CouncilDuty})
		require.NoError(t, err)
	}
	require.Contains(t, well("council", "agenda", "1"), "open: 4 of 5")
	refused("has not been counted", exitFailed, "council", "meet", "1", "--close", "--why", "x", "--who", "oh")
	require.Contains(t, well("council", "close", c.ID, "--chair"), "carried: 3 for, 1 against, 0 abstained, 1 gave no vote")
	well("council", "meet", "1", "--close", "--why", "all is decided", "--who", "oh")
	require.Contains(t, well("council", "minutes", "1"), "seo (company): against")
	var minutes council.Minutes
	require.NoError(t, json.Unmarshal([]byte(well("council", "minutes", "1", "--json")), &minutes))
	require.True(t, minutes.Items[0].Outcome.Carried)
	require.Equal(t, me, minutes.Chair)
	require.Len(t, minutes.Present, 5)
	require.Contains(t, well("prove"), "1 claims")
	list, err := s.Get(t.Context(), c.ID)
	require.NoError(t, err)
	require.EqualValues(t, 6_000_000, list[0].Owed)
}
