package ledger

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// The script that writes has the last word on who decided first, and on whether it was in time.
func TestADecisionOnWhatWasDecidedMeanwhileIsNotWritten(t *testing.T) {
	client, err := Connect(Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	store, err := Open(
		client,
		&grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("spec")},
		Config{RetryFor: time.Second},
	)
	require.NoError(t, err)
	c := NewCoordination(store)
	act := grant.Act{ID: "r", Kind: grant.ActHand, Who: "mira", Via: "cli", Reason: "late"}
	_, err = c.Propose(t.Context(), grant.Proposal{Act: act, Users: 1, Digest: "d"}, time.Hour, [][]byte{[]byte("users")})
	require.NoError(t, err)
	seen, text, now, err := c.proposal(t.Context(), "r")
	require.NoError(t, err)
	_, err = c.Decide(t.Context(), "r", grant.Decision{Who: "joe", Via: "cli", Why: "no"})
	require.NoError(t, err)
	next, err := seen.Decide(&grant.Decision{Approve: true, Who: "ann", Via: "cli", Why: "yes", At: now})
	require.NoError(t, err)
	entry := &grant.HistoryEntry{At: now, Action: grant.ActionApprove, Who: "ann", Via: "cli"}
	reply, err := c.storeProposal(t.Context(), &next, text, entry, time.Time{})
	require.NoError(t, err)
	require.Zero(t, reply, "joe was faster")
	_, text, _, err = c.proposal(t.Context(), "r")
	require.NoError(t, err)
	reply, err = c.storeProposal(t.Context(), &next, text, entry, now.Add(-time.Second))
	require.NoError(t, err)
	require.EqualValues(t, 2, reply, "too late")
	p, _, err := c.Proposal(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, "joe", p.Decided.Who)
	history, err := c.History(t.Context())
	require.NoError(t, err)
	require.Len(t, history, 2, "proposed, rejected")
}

// Users count for a day from when they were counted, by Redis's clock, and not until midnight.
func TestWhatOnePersonDidCountsForADay(t *testing.T) {
	redis := miniredis.RunT(t)
	at := time.Date(2022, 11, 5, 23, 59, 0, 0, time.UTC)
	redis.SetTime(at)
	client, err := Connect(Options{Addrs: []string{redis.Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	store, err := Open(
		client,
		&grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("spec")},
		Config{RetryFor: time.Second},
	)
	require.NoError(t, err)
	c := NewCoordination(store)
	alone := func(after time.Duration, users int64) (int64, bool) {
		redis.SetTime(at.Add(after))
		had, ok, err := c.Alone(t.Context(), "mira", users, 100, false)
		require.NoError(t, err)
		return had, ok
	}
	for _, step := range []struct {
		after  time.Duration
		users  int64
		had    int64
		passes bool
	}{
		{0, 60, 0, true}, {time.Minute, 40, 60, true}, {2 * time.Minute, 1, 100, false}, {23 * time.Hour, 1, 100, false},
		{24*time.Hour + 2*time.Minute, 61, 40, false}, {24*time.Hour + 2*time.Minute, 60, 40, true},
		{26 * time.Hour, 40, 60, true}, {72 * time.Hour, 100, 0, true},
	} {
		had, ok := alone(step.after, step.users)
		require.Equal(t, step.had, had, "%v", step)
		require.Equal(t, step.passes, ok, "%v", step)
	}
}
