package entitle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
)

// While the ledger is away, the answer is what was declared, and says so.
func TestWhatIsSaidWhileTheLedgerIsAway(t *testing.T) {
	later := sorry()
	later.Name, later.Hash, later.StartsAt = "later", "1b1b1b1b1b1b1b1b", time.Now().Add(time.Hour)
	later.Items = []grant.Item{{ID: "not-yet", Kind: grant.KindItem}}
	for _, c := range []struct {
		fallback entitle.Fallback
		basis    entitle.Basis
		states   []grant.State // of users 1 and 5, thank-you, and 1, not-yet; nil: an error
	}{
		{entitle.FallbackUnknown, entitle.BasisUnknown, nil},
		{entitle.FallbackDeny, entitle.BasisDeny, []grant.State{"unknown", "unknown", "unknown"}},
		{entitle.FallbackAllow, entitle.BasisAllow, []grant.State{active, active, "unknown"}},
		{entitle.FallbackLast, entitle.BasisLastKnown, []grant.State{active, none, none}},
	} {
		t.Run(string(c.fallback), func(t *testing.T) {
			w := newWorld(t, sorry(), later)
			w.grant("sorry-2022", began, grant.NumberIDs(1, 2)...)
			checker := w.checker(func(cfg *entitle.Config) { cfg.Fallback, cfg.Timeout = c.fallback, 200*time.Millisecond })
			require.Equal(t, []grant.State{active}, w.states(checker, "thank-you", time.Time{}, grant.NumberID(1)))
			require.NoError(t, checker.Remember(t.Context()))
			w.redis.Close()
			queries := []entitle.Query{{User: grant.NumberID(1), Item: "thank-you"}, {User: grant.NumberID(5),
				Item: "thank-you"}, {User: grant.NumberID(1), Item: "not-yet"}}
			for i, q := range queries {
				a, err := checker.Check(t.Context(), q)
				list, listErr := checker.Many(t.Context(), q)
				require.NoError(t, listErr)
				listed := make([]grant.State, 1)
				listErr = list.Check(t.Context(), []grant.UserID{q.User}, listed)
				require.Equal(t, c.basis, list.Basis(), "%+v: %v, %v", q, err, listErr)
				if c.states == nil {
					_, away := errors.AsType[*entitle.AwayError](err)
					_, listAway := errors.AsType[*entitle.AwayError](listErr)
					require.True(t, away && listAway, "%v, %v", err, listErr)
					continue
				}
				require.NoError(t, errors.Join(err, listErr))
				require.Equal(t, c.states[i], a.State, "%+v", q)
				require.Equal(t, c.states[i], listed[0])
				require.Equal(t, c.basis, a.Basis)
				require.Equal(t, c.basis == entitle.BasisLastKnown, !a.AsOf.IsZero())
			}
			all, err := checker.Holdings(t.Context(), entitle.Query{User: grant.NumberID(1)})
			require.Equal(t, c.basis, all.Basis)
			require.Equal(t, c.states == nil, err != nil)
			require.NoError(t, w.redis.Restart())
			require.Eventually(t, func() bool {
				a, err := checker.Check(t.Context(), entitle.Query{User: grant.NumberID(1), Item: "thank-you"})
				return err == nil && a.Basis == entitle.BasisLedger && a.Active()
			}, 10*time.Second, 20*time.Millisecond, "it is asked again")
		})
	}
}

// The last known is not guessed: not of who expires between, nor of a campaign that was not read to its end.
func TestTheLastKnownSaysOnlyWhatItKnows(t *testing.T) {
	w := newWorld(t, sorry())
	w.grant("sorry-2022", began, grant.NumberID(1))
	w.grant("sorry-2022", began.Add(time.Hour), grant.NumberID(2))
	checker := w.checker(func(cfg *entitle.Config) { cfg.Fallback, cfg.Timeout = entitle.FallbackLast, 200*time.Millisecond })
	_, err := checker.Check(t.Context(), entitle.Query{Item: "cheer-up"})
	require.NoError(t, err)
	w.redis.Close()
	_, err = checker.Check(t.Context(), entitle.Query{User: grant.NumberID(1), Item: "thank-you"})
	require.Error(t, err, "nothing was remembered")
	require.NoError(t, w.redis.Restart())
	require.NoError(t, checker.Remember(t.Context()))
	w.redis.Close()
	a, err := checker.Check(t.Context(), entitle.Query{User: grant.NumberID(1), Item: "cheer-up",
		At: began.Add(days90 - time.Hour)})
	require.NoError(t, err)
	require.Equal(t, active, a.State)
	_, err = checker.Check(t.Context(), entitle.Query{User: grant.NumberID(1), Item: "cheer-up",
		At: began.Add(days90 + time.Minute)})
	require.Error(t, err)
}

// Who asks while the ledger is known to be away does not wait for it.
func TestALedgerThatIsAwayIsLeftAlone(t *testing.T) {
	w := newWorld(t, sorry())
	w.grant("sorry-2022", began, grant.NumberID(1))
	seen := w.count()
	checker := w.checker()
	_, err := checker.Check(t.Context(), entitle.Query{Item: "thank-you"})
	require.NoError(t, err)
	w.redis.Close()
	seen.pipelines.Store(0)
	deadline := time.Now().Add(100 * time.Millisecond)
	for n := 0; time.Now().Before(deadline) || n < 100; n++ {
		_, err := checker.Check(t.Context(), entitle.Query{Item: "thank-you"})
		require.Error(t, err)
	}
	require.Less(t, seen.pipelines.Load(), int64(50))
}
