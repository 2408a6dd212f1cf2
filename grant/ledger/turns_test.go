package ledger

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// slowly answers what a flush asks, when it is told to: it is a Redis that somebody keeps busy.
type slowly struct {
	redis.Hook

	answer   chan struct{}
	underWay atomic.Int64
	commands atomic.Int64 // of the longest pipeline
}

func (s *slowly) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook is asked for what a flush sends by itself: it adds to the index of chunks.
func (s *slowly) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { return nil }
}

func (s *slowly) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		s.underWay.Add(1)
		defer s.underWay.Add(-1)
		s.commands.Store(max(s.commands.Load(), int64(len(cmds))))
		<-s.answer
		for _, cmd := range cmds {
			if script, ok := cmd.(*redis.Cmd); ok {
				script.SetVal(int64(1))
			}
		}
		return nil
	}
}

// However many shards flush at once, and however much: others who ask Redis have two pipelines before them, of each of which
// Redis reads so much at a time.
func TestWhatARunHasUnderWayAtOnceIsBounded(t *testing.T) {
	const shards, chunks = 16, 2*maxCalls + 1
	synctest.Test(t, func(t *testing.T) {
		client, err := Connect(Options{Addrs: []string{"none"}})
		require.NoError(t, err)
		hook := &slowly{answer: make(chan struct{})}
		client.AddHook(hook)
		store, err := Open(client, &grant.Campaign{Name: "busy", StartsAt: time.Now()}, Config{})
		require.NoError(t, err)
		l := NewGrants(store, 1)
		l.lease.Store(time.Now().Add(time.Hour).UnixMilli())
		l.session.Store(&session{shards: map[int]*shard{}, expected: grant.Offsets{}})
		var all errgroup.Group
		for n := range shards {
			f := &dense.Flush{Shard: n, Seq: 1}
			for i := range uint64(chunks) {
				f.Deltas = append(f.Deltas, delta(uint64(n)+i*shards, bitmap(1, 7)))
			}
			all.Go(func() error { return l.Grant(t.Context(), f) })
		}
		for range shards * 3 {
			synctest.Wait()
			require.LessOrEqual(t, hook.underWay.Load(), int64(pipelinesAtOnce))
			hook.answer <- struct{}{}
		}
		require.NoError(t, all.Wait())
		require.LessOrEqual(t, hook.commands.Load(), int64(maxCalls+2)) // and the index before, and the tip behind
		require.NoError(t, client.Close())
	})
}

// Whoever is told to stop does not wait for a turn that may never come.
func TestWhoIsStoppedWaitsForNoTurn(t *testing.T) {
	turns := newTurns()
	for range pipelinesAtOnce {
		require.NoError(t, turns.take(t.Context()))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	require.ErrorIs(t, turns.take(ctx), context.DeadlineExceeded)
	turns.giveBack()
	require.NoError(t, turns.take(t.Context()))
}
