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
