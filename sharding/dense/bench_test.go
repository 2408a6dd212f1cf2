package dense

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/sharding"
)

type discard struct{}

func (discard) Grant(context.Context, *Flush) error { return nil }

// BenchmarkPool measures what a user costs from lane to sink: ns/op is for one ID, of 48 million shuffled ones.
func BenchmarkPool(b *testing.B) {
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			starts := map[int]int64{}
			for i := range lanes {
				starts[i] = 0
			}
			pool := New(Config{Config: sharding.Config{Shards: 4}}, discard{}, starts)
			b.ReportAllocs()
			b.ResetTimer()
			run(b, pool, func(ctx context.Context, g *errgroup.Group) {
				for i := range lanes {
					g.Go(func() error {
						l := pool.Lane(i)
						for j := range uint64(b.N / lanes) {
							id := (j*uint64(lanes) + uint64(i)) * 2654435761 % 48_000_000
							if err := l.Add(ctx, int64(j), id); err != nil {
								return err
							}
							if j&0xffff == 0xffff {
								if err := l.Mark(ctx, int64(j)+1, false); err != nil {
									return err
								}
							}
						}
						return l.Mark(ctx, int64(b.N), true)
					})
				}
			})
		})
	}
}

// run runs a pool until the lanes that start began have ended.
func run(t require.TestingT, pool *sharding.Pool, start func(context.Context, *errgroup.Group)) {
	shards, ctx := errgroup.WithContext(context.Background())
	shards.Go(func() error { return pool.Run(ctx) })
	lanes, lctx := errgroup.WithContext(ctx)
	start(lctx, lanes)
	lanesErr := lanes.Wait()
	pool.Close()
	require.NoError(t, errors.Join(lanesErr, shards.Wait()))
}
