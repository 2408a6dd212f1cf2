package archive

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// What an export takes for each user: of a dense population in a bulk, of one user in eight IDs, and where each came alone.
func BenchmarkExport(b *testing.B) {
	for _, c := range []struct {
		name                 string
		chunks, flushes, one int // in so many IDs one user
		each                 int // users of a chunk in a flush; 0: all that are left, shared out
	}{
		{"dense", 16, 8, 1, 0},
		{"spread", 16, 8, 8, 0},
		{"trickle", 1, 10_000, 1, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(b).Addr()}})
			require.NoError(b, err)
			defer client.Close()
			campaign := &grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("{}")}
			store, err := ledger.Open(client, campaign, ledger.Config{RetryFor: time.Second})
			require.NoError(b, err)
			g := ledger.NewGrants(store, grant.NewRunID(time.Now()))
			_, err = g.Begin(b.Context(), aTopic)
			require.NoError(b, err)
			require.NoError(b, g.EnsureSpec(b.Context(), campaign))
			random := rand.New(rand.NewPCG(1, 2))
			users := 0
			order := make([][]int, c.chunks)
			for i := range order {
				order[i] = random.Perm(dense.ChunkSize)[:dense.ChunkSize/c.one]
			}
			for flush := range c.flushes {
				f := &dense.Flush{Seq: uint64(flush + 1)}
				f.Ranges = []sharding.Range{{First: int64(flush) * 1000, Last: int64(flush)*1000 + 999}}
				for chunk, lows := range order {
					share := len(lows) / c.flushes
					if c.each > 0 {
						share = c.each
					}
					members := new(dense.Bitmap)
					for _, low := range lows[flush*share : (flush+1)*share] {
						members.Set(uint16(low))
					}
					users += share
					f.Deltas = append(f.Deltas, dense.Delta{Chunk: uint64(chunk), Count: share, Members: members})
				}
				require.NoError(b, g.Grant(b.Context(), f))
			}
			size := int64(0)
			for b.Loop() {
				path := filepath.Join(b.TempDir(), "ledger")
				_, _, size, err = Export(b.Context(), NewSubject(store), Header{Campaign: campaign.Name}, path)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(size)/float64(users), "bytes/user")
		})
	}
}
