package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
)

// watchingTheCouncil: motions count as open from the agenda until they are counted, and votes as missing only of members who are
// there and may vote.
func watchingTheCouncil(t *testing.T, s *Store) {
	m := sit(t, s, 2, "cho", "han", "min", "seo")
	now := time.Now().UTC().Truncate(time.Microsecond)
	s.SetClock(func() time.Time { return now })
	look := func() *Watched {
		t.Helper()
		out, err := (&Watch{Store: s, Programme: m.p.Name}).Look(t.Context())
		require.NoError(t, err)
		return out
	}
	seen := look()
	require.Zero(t, seen.Agenda, "nothing is moved about what was only referred")
	require.Zero(t, seen.Longest)

	put := now
	require.NoError(t, m.put(0, vote.Motion{Action: claims.Approve, Amount: 2_000_000}))
	now = now.Add(time.Hour)
	require.NoError(t, m.put(1, vote.Motion{Action: claims.Approve, Amount: 2_000_000}))
	seen = look()
	require.Equal(t, []int{2, 8}, []int{seen.Agenda, seen.Silent})
	require.Equal(t, put, seen.Longest)

	for _, who := range []string{"cho", "han", "min"} {
		require.NoError(t, m.vote(0, 1, who, vote.For))
	}
	require.Equal(t, 5, look().Silent)
	require.NoError(t, m.count(0, 1, secretary))
	seen = look()
	require.Equal(t, []int{1, 4}, []int{seen.Agenda, seen.Silent}, "what was counted is open no more")
	require.Equal(t, put.Add(time.Hour), seen.Longest)
}

// The scanner, the bank, and whoever takes notices: what waits for them is counted, and since when.
func watchingOthers(t *testing.T, s *Store) {
	now := time.Date(2022, 10, 21, 9, 0, 0, 0, time.UTC)
	s.SetClock(func() time.Time { return now })
	w := &Watch{Store: s, Programme: "outage-2022", Within: time.Hour}
	look := func() *Watched {
		t.Helper()
		out, err := w.Look(t.Context())
		require.NoError(t, err)
		return out
	}
	list := owed(t, s, 2)
	began := now
	seen := look()
	require.Equal(t, []int{0, 0, 0}, []int{seen.Quarantined, seen.Unsure, seen.Retried})
	require.Zero(t, seen.Quarantine)
	require.Zero(t, seen.Sent)
	require.Equal(t, began, seen.Untold, "nobody has made a notice yet")

	now = now.Add(time.Hour)
	p := shipped(t, s)
	_, err := s.Key(t.Context(), list[0].ID, "secret")
	require.NoError(t, err)
	for i := range 2 {
		doc := Kept{Document: Document{Kind: "a", Digest: string(rune('1' + i)), Size: 10, Scan: InQuarantine}, Claim: list[0].ID,
			Blob: string(rune('1' + i)), Quarantined: true}
		require.NoError(t, s.AddDocument(t.Context(), list[0], doc, 3, 100, Owner))
		now = now.Add(time.Minute)
	}
	_, err = s.Declare(t.Context(), p, 2, payer)
	require.NoError(t, err)
	orders, err := s.HandOver(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.Len(t, orders, 2)
	sent := now
	_, err = s.Answers(t.Context(), []Answer{{ID: "r-1", Payment: orders[0].ID, Status: BankUnknown}}, nil)
	require.NoError(t, err)
	_, err = s.Collect(t.Context())
	require.NoError(t, err)
	notices, err := s.Take(t.Context(), 1, time.Minute)
	require.NoError(t, err)
	notices[0].Tries = 1
	require.NoError(t, s.Settle(t.Context(), &notices[0]))

	now = now.Add(time.Hour)
	seen = look()
	require.Equal(t, []int{2, 1, 1}, []int{seen.Quarantined, seen.Unsure, seen.Retried})
	require.Equal(t, began.Add(time.Hour), seen.Quarantine)
	require.Equal(t, sent, seen.Sent)
	require.Equal(t, began, seen.Untold)
	require.Zero(t, seen.Uncollected)
	_, err = s.Answers(t.Context(), []Answer{{ID: "r-2", Payment: orders[0].ID, Status: BankSettled, Amount: orders[0].Net}}, nil)
	require.NoError(t, err)
	seen = look()
	require.Zero(t, seen.Unsure)
	require.Equal(t, int64(1), seen.Uncollected)
	require.Equal(t, began, seen.Untold, "what came since is told later")
	sound(t, s)
}
