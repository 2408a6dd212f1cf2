package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Whom the spec excludes is settled before anybody is granted, and again after a pause; while that fails, users wait.
func TestListsAreSettledBeforeTheFirstGrantAndAfterAPause(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		var calls, had atomic.Int64
		var bad atomic.Bool
		p := w.start(dates(-time.Hour, 0), b.orders, func(r *Run) {
			r.Settle = func(ctx context.Context) error {
				calls.Add(1)
				had.Store(int64(w.store.has()))
				if bad.Load() {
					return errors.New("out.csv:3: not a user ID")
				}
				select {
				case <-time.After(time.Minute): // a long list
				case <-ctx.Done():
				}
				return ctx.Err()
			}
		})
		within(30 * time.Second)
		require.Zero(t, w.store.has(), "nobody before the lists are settled")
		within(35 * time.Second)
		require.EqualValues(t, 1, calls.Load())
		require.Zero(t, had.Load())
		require.NotZero(t, w.store.has())

		b.order(t, grant.Order{Action: grant.ActionPause})
		within(10 * time.Second)
		before := w.store.has()
		bad.Store(true)
		b.order(t, grant.Order{Action: grant.ActionResume})
		within(5 * time.Minute)
		require.Equal(t, before, w.store.has(), "a list that cannot be read lets nobody through")
		require.Equal(t, []grant.Cause{grant.CausePreflight}, p.causes())
		require.Greater(t, calls.Load(), int64(10), "it is tried again")
		bad.Store(false)
		within(30 * time.Second)
		require.Equal(t, before, w.store.has(), "it is being read")
		require.NoError(t, p.wait())
		w.requireAllGranted()
	})
}

// A pause that is over before anybody looked is one all the same.
func TestAShortPauseHasTheListsReadAgain(t *testing.T) {
	inWorld(t, long(), func(t *testing.T, w *world) {
		b := newBoard()
		var calls atomic.Int64
		p := w.start(dates(-time.Hour, 0), b.orders, func(r *Run) {
			r.Settle = func(context.Context) error { calls.Add(1); return nil }
		})
		within(time.Second)
		b.order(t, grant.Order{Action: grant.ActionPause})
		b.order(t, grant.Order{Action: grant.ActionResume})
		require.NoError(t, p.wait())
		require.EqualValues(t, 2, calls.Load())
	})
}
