package ledger

import (
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
)

// An order that was given for a time is over by Redis's clock for whoever looks; the trail has its end before anybody recorded
// it, and once however many record it.
func endsOrders(w *world) {
	l, other := w.withOrders(tomorrow(), &fault{}), w.withOrders(tomorrow(), &fault{})
	o := order(grant.ActionPause)
	o.For = time.Second
	given, err := l.Order(w.ctx, o)
	require.NoError(w, err)
	require.True(w, w.ordered(other).Paused)
	require.NoError(w, other.Expire(w.ctx))
	require.Equal(w, []grant.HistoryEntry{given}, w.did(l), "it has not ended")

	require.Eventually(w, func() bool { return !w.ordered(other).Paused }, time.Minute, 20*time.Millisecond)
	require.False(w, w.now().Before(given.After.PausedBy.Until), "by the clock of Redis")
	require.EqualValues(w, 2, w.ordered(l).Version)
	trail := w.did(l)
	require.Len(w, trail, 2)
	ended := trail[1]
	require.Equal(w, []any{grant.ActionExpire, given.After.PausedBy.Until}, []any{ended.Action, ended.At})
	require.EqualValues(w, 1, w.client.LLen(w.ctx, l.keys.history).Val(), "nobody has recorded it")

	var replicas errgroup.Group
	for _, replica := range []*parts{l, other, w.withOrders(tomorrow(), &fault{})} {
		replicas.Go(func() error { return replica.Expire(w.ctx) })
	}
	require.NoError(w, replicas.Wait())
	require.Equal(w, trail, w.did(l), "as it was going to be")
	require.EqualValues(w, 2, w.client.LLen(w.ctx, l.keys.history).Val())

	o.For = time.Second
	given, err = l.Order(w.ctx, o)
	require.NoError(w, err)
	require.Eventually(w, func() bool { return !w.ordered(other).Paused }, time.Minute, 20*time.Millisecond)
	resumed, err := other.Order(w.ctx, order(grant.ActionResume))
	require.NoError(w, err)
	require.False(w, resumed.Before.Paused)
	require.True(w, resumed.Unchanged())
	trail = w.did(l)
	require.Len(w, trail, 5)
	require.Equal(w, given.After, trail[3].Before)
	require.Equal(w, trail[3].After, trail[4].Before)
}

// now is the clock of Redis, to the millisecond.
func (w *world) now() time.Time {
	now, err := w.client.Time(w.ctx).Result()
	require.NoError(w, err)
	return now.Truncate(time.Millisecond)
}
