package archive

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
)

// A run goes on, and users take items, while a ledger is exported: whoever restores it reads again from a checkpoint that is not
// ahead of anything, and what was taken, its times and the counters of quotas agree.
func TestAnExportUnderARunIsNeverAheadOfItself(t *testing.T) {
	t.Run("chunks", func(t *testing.T) {
		b := boxOfOffers(t, "")
		g := b.grants()
		b.exportsUnderARun(g, func(n int64) (grant.UserID, error) {
			f := &dense.Flush{Seq: uint64(n) + 1}
			for chunk := range uint64(5) { // one user of each chunk for each record
				members := new(dense.Bitmap)
				members.Set(uint16(n))
				f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: members, Count: 1})
			}
			return grant.NumberID(dense.Join(uint64(n%5), uint16(n))), g.Grant(context.Background(), f)
		}, func(to *box, next int64) {
			for chunk := range uint64(5) {
				bitmaps, err := to.Reader.Bitmaps(t.Context(), []uint64{chunk})
				require.NoError(t, err)
				for n := range next {
					require.True(t, bitmaps[0].Has(uint16(n)), "record %d is below checkpoint %d, chunk %d", n, next, chunk)
				}
			}
		})
	})
	t.Run("buckets", func(t *testing.T) {
		b := boxOfOffers(t, grant.IDsUUID)
		b.aMember(4999) // what is looked up of IDs is not looked up by two at once
		g, seq := b.grants(), uint64(0)
		b.exportsUnderARun(g, func(n int64) (grant.UserID, error) {
			u := &b.users[n%5000]
			_, err := g.AddSome(context.Background(), &seq, nil, [][]byte{u.member})
			return grant.TextID(u.text), err
		}, func(to *box, next int64) {
			var asked []grant.UserID
			for _, u := range b.users[:min(next, 5000)] {
				asked = append(asked, grant.TextID(u.text))
			}
			found, err := to.Reader.Users(t.Context(), asked)
			require.NoError(t, err)
			for i := range found {
				require.Equal(t, grant.PlaceGranted, found[i].Place, "record %d is below checkpoint %d", i, next)
			}
		})
	})
}

// boxOfOffers is a ledger of a campaign whose users take one item, and another of which there are enough.
func boxOfOffers(t *testing.T, ids grant.IDs) *box {
	t.Helper()
	b := openBoxOf(t, ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}, PoolSize: 4}, ids)
	b.c.Items = []grant.Item{
		{ID: "any", Validity: grant.Validity{Taken: true}}, {ID: "first", Validity: grant.Validity{Taken: true}, First: 1 << 20},
	}
	return b
}

// exportsUnderARun exports five times while one record after the other is granted and checkpointed, and one of its users takes
// both items. What is restored must be proven, and have every record below its checkpoint.
func (b *box) exportsUnderARun(
	g *ledger.Grants, add func(n int64) (grant.UserID, error), has func(to *box, next int64),
) {
	b.Helper()
	ctx, takes := context.Background(), ledger.NewTakes(b.Store, 9)
	var granted atomic.Int64
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		for n := int64(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			user, err := add(n)
			if err == nil {
				err = g.Checkpoint(ctx, grant.Offsets{0: n + 1}, nil)
			}
			if err == nil {
				_, err = takes.Take(ctx, b.c, []ledger.Take{{User: user}, {User: user, Item: 1}})
			}
			if err != nil {
				done <- err
				return
			}
			granted.Store(n + 1)
		}
	}()
	for round := int64(1); round <= 5; round++ {
		require.Eventually(b, func() bool { return granted.Load() > 20*round }, time.Minute, time.Millisecond)
		path, _ := b.export()
		to := boxOfOffers(b.T, b.c.Input.IDs)
		_, err := to.restore(path)
		require.NoError(b, err)
		proof, err := to.Reader.Prove(b.Context())
		require.NoError(b, err)
		require.NoError(b, to.Reader.ProveTakes(b.Context(), to.c, &proof))
		require.True(b, proof.Holds(), "%+v", proof)
		require.Positive(b, proof.Taken)
		found, err := to.Reader.Checkpoints(b.Context(), to.c)
		require.NoError(b, err)
		require.Positive(b, found.Next[0])
		has(to, found.Next[0])
	}
	close(stop)
	require.NoError(b, <-done)
}
