package ledger

import (
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// rest lets the budget be as if nobody had asked for a while.
func (w *world) rest(l *parts, d time.Duration) {
	w.Helper()
	at, err := w.client.HGet(w.ctx, l.keys.budget, "at").Int64()
	require.NoError(w, err)
	require.NoError(w, w.client.HSet(w.ctx, l.keys.budget, "at", strconv.FormatInt(at-d.Microseconds(), 10)).Err())
}

// take takes from a budget.
func (w *world) take(l *parts, want, rate int64) int64 {
	w.Helper()
	n, err := l.Take(w.ctx, want, rate)
	require.NoError(w, err)
	require.GreaterOrEqual(w, n, int64(0))
	require.LessOrEqual(w, n, want)
	return n
}

// Real time goes on during this test, so it gets a little more than what it lets the budget rest.
func handsOutBudget(w *world) {
	const all = 1 << 40
	l, other := w.withOrders(tomorrow(), &fault{}), w.withOrders(tomorrow(), &fault{})

	require.Zero(w, w.take(l, all, 1000), "nothing is saved up for the first")
	w.rest(l, 100*time.Millisecond)
	require.EqualValues(w, 30, w.take(l, 30, 1000), "no more than was wanted")
	require.GreaterOrEqual(w, w.take(other, all, 1000), int64(70), "the rest is there for the others")
	w.rest(l, time.Hour)
	w.each(func(c *redis.Client) error { return c.ScriptFlush(w.ctx).Err() }) // it is one attempt, and repairs that
	require.EqualValues(w, 500, w.take(l, all, 1000), "half a second's worth is saved up, and no more")

	w.rest(l, time.Hour)
	require.EqualValues(w, 500, w.take(l, all, 2000), "a new rate starts with what the lower one has saved up")
	w.rest(l, time.Hour)
	require.EqualValues(w, 1000, w.take(l, all, 2000))
	w.rest(l, time.Hour)
	require.EqualValues(w, 500, w.take(l, all, 1000), "so does the old one")

	require.Zero(w, w.take(l, 5, 1))
	w.rest(l, 100*time.Millisecond)
	require.Zero(w, w.take(l, 5, 1), "one a second is none in a tenth")
	w.rest(l, 900*time.Millisecond)
	require.EqualValues(w, 1, w.take(l, 5, 1), "tenths add up")
	w.rest(l, time.Hour)
	require.EqualValues(w, 1, w.take(l, 5, 1), "half a second's worth would be nobody")

	for _, rate := range []int64{1 << 62, math.MaxInt64} {
		w.take(l, all, rate)
		w.rest(l, time.Hour)
		require.EqualValues(w, 1<<40, w.take(l, all, rate))
		require.Positive(w, w.take(l, math.MaxInt64, rate))
	}

	// A clock that is set back, as by a fail-over, costs what was saved up and nothing else.
	w.take(l, all, 1000)
	w.rest(l, -time.Hour)
	require.Zero(w, w.take(l, all, 1000))
	w.rest(l, 100*time.Millisecond)
	require.GreaterOrEqual(w, w.take(l, all, 1000), int64(100))

	ttl := w.client.TTL(w.ctx, l.keys.budget).Val()
	require.Positive(w, ttl)
	require.LessOrEqual(w, ttl, time.Minute)
}

// However many ask, however irregularly, all together get the rate. What comes while one user is saved up already and
// nobody asks is lost, so those who ask seldom need a rate that is not small.
func TestTheBudgetIsSharedByAll(t *testing.T) {
	for _, test := range []struct {
		rate      int64
		simulated time.Duration
		pause     int // ms, between two calls
	}{
		{1, 20 * time.Second, 20}, {7, 10 * time.Second, 20}, {200_000, 10 * time.Second, 120}, {48_000_000, 5 * time.Second, 120},
	} {
		for _, callers := range []int{2, 5} {
			t.Run(fmt.Sprintf("%d users/s, %d callers", test.rate, callers), func(t *testing.T) {
				mini := startMini(t)
				w := newWorld(t, Options{Addrs: []string{mini.Addr()}})
				r := seeded(t)
				ledgers := make([]*parts, callers)
				for i := range ledgers {
					ledgers[i] = w.withOrders(tomorrow(), &fault{})
				}
				begin := time.Unix(1667617200, 0)
				mini.SetTime(begin)
				require.Zero(t, w.take(ledgers[0], test.rate, test.rate))
				var total int64
				passed := time.Duration(0)
				for passed < test.simulated {
					passed += time.Duration(r.IntN(2*test.pause)) * time.Millisecond
					mini.SetTime(begin.Add(passed))
					total += w.take(ledgers[r.IntN(callers)], 1+test.rate/3, test.rate)
				}
				want := passed.Seconds() * float64(test.rate)
				require.LessOrEqual(t, float64(total), want+0.01)
				require.GreaterOrEqual(t, float64(total), 0.95*want-1)
			})
		}
	}
}

// Whoever looks for why nobody is granted under a limit must find the key.
func namesABrokenBudget(w *world) {
	l := w.withOrders(tomorrow(), &fault{})
	require.NoError(w, w.client.Set(w.ctx, l.keys.budget, "rubbish", 0).Err())
	_, err := l.Take(w.ctx, 1, 1)
	require.ErrorContains(w, err, "granter:{sorry-2022}:budget")
	require.NoError(w, w.client.Del(w.ctx, l.keys.budget).Err())
	w.take(l, 1, 1)
}
