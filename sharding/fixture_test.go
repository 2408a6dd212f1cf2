package sharding

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listed is a Set that lists its members one by one, and hands them to a function, in ascending order. That returns which
// of them had been granted before.
type listed struct {
	grant  func(ctx context.Context, from []Range, ids []uint64) (before map[uint64]bool, err error)
	room   int // IDs it knows at most
	target int // a flush is due when so many wait

	excluded map[uint64]bool

	known   map[uint64]bool
	pending []uint64
}

// setsLike returns what makes the sets of a pool.
func setsLike(l listed) func(shard int, cfg Config) Set {
	l.room, l.target = cmp.Or(l.room, 1<<20), cmp.Or(l.target, 1<<20)
	return func(int, Config) Set {
		set := l
		set.known = map[uint64]bool{}
		return &set
	}
}

// granting makes sets that grant to a function.
func granting(fn func(ids []uint64) error) listed {
	return listed{grant: func(_ context.Context, _ []Range, ids []uint64) (map[uint64]bool, error) { return nil, fn(ids) }}
}

func ignore([]uint64) error { return nil }

// Bytes is 8 for each ID it knows.
func (l *listed) Bytes() int { return 8 * len(l.known) }

func (l *listed) Add(ids []uint64) (taken, fresh int, due bool) {
	if len(l.known) >= l.room && len(l.pending) == 0 {
		clear(l.known)
	}
	taken = min(len(ids), l.room-len(l.known))
	for _, id := range ids[:taken] {
		if !l.known[id] {
			l.known[id] = true
			l.pending = append(l.pending, id)
			fresh++
		}
	}
	return taken, fresh, len(l.pending) >= l.target
}

func (l *listed) Flush(ctx context.Context, from []Range, ids []IDs) ([]Found, error) {
	slices.Sort(l.pending)
	l.pending = slices.DeleteFunc(l.pending, func(id uint64) bool { return l.excluded[id] })
	before, err := l.grant(ctx, from, l.pending)
	l.pending = l.pending[:0]
	if err != nil || before == nil && l.excluded == nil {
		return nil, err
	}
	found := make([]Found, len(ids))
	for i := range ids {
		for _, id := range ids[i].Keys {
			switch {
			case before[id]:
				delete(before, id)
				found[i].Repeats++
			case l.excluded[id] && l.known[id]:
				delete(l.known, id)
				found[i].Withheld++
			case l.excluded[id]:
				found[i].Again++
			}
		}
	}
	return found, nil
}

// inPool runs a pool with a lane for partition 0 inside a bubble: nothing is flushed by a deadline unless the test waits.
// Fields of the pool may be read, and broken, after synctest.Wait.
func inPool(t *testing.T, cfg Config, like listed, test func(t *testing.T, p *Pool, l *Lane)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := New(cfg, 0, setsLike(like), map[int]int64{0: 0})
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		test(t, p, p.Lane(0))
		p.Close()
		require.NoError(t, <-ended)
	})
}

// run runs a pool until the lanes that start began have ended.
func run(t require.TestingT, pool *Pool, start func(context.Context, *errgroup.Group)) {
	shards, ctx := errgroup.WithContext(context.Background())
	shards.Go(func() error { return pool.Run(ctx) })
	lanes, lctx := errgroup.WithContext(ctx)
	start(lctx, lanes)
	lanesErr := lanes.Wait()
	pool.Close()
	require.NoError(t, errors.Join(lanesErr, shards.Wait()))
}

// feedOnly adds IDs at the offsets from 0 on, and marks the end.
func feedOnly(ctx context.Context, l *Lane, ids []uint64) error {
	for i, id := range ids {
		if err := l.Add(ctx, int64(i), id); err != nil {
			return err
		}
	}
	return l.Mark(ctx, int64(len(ids)), true)
}

// settle waits until everything that was marked is flushed.
func settle() {
	time.Sleep(time.Minute) // of the bubble's time
	synctest.Wait()
}

func position(t *testing.T, p *Pool) Position {
	t.Helper()
	positions, err := p.Positions()
	require.NoError(t, err)
	require.Len(t, positions, 1)
	return positions[0]
}
