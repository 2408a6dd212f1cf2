//go:build integration

package ledger

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// BenchmarkLookup looks up one user in a journal of 10,000 entries, on a real Redis: a trickle of 6 users each, or a backlog
// of large flushes behind it.
func BenchmarkLookup(b *testing.B) {
	const entries, each = 10_000, 6
	client, err := Connect(Options{Addrs: []string{devtest.StartRedis(b).Addr}})
	require.NoError(b, err)
	defer client.Close()
	l, err := open(client, &grant.Campaign{Name: "bench"}, 1, Config{})
	require.NoError(b, err)
	_, err = l.Begin(b.Context(), aTopic)
	require.NoError(b, err)
	for i := range entries {
		m := new(dense.Bitmap)
		for k := range each {
			m.Set(uint16(i*each + k))
		}
		f := &dense.Flush{Seq: uint64(i + 1), Ranges: []sharding.Range{{First: int64(i), Last: int64(i)}}, Deltas: []dense.Delta{{Members: m, Count: each}}}
		require.NoError(b, l.Grant(b.Context(), f))
	}
	for _, c := range []struct {
		name string
		user grant.UserID
	}{{"newest", grant.NumberID(entries*each - 1)}, {"middle", grant.NumberID(entries * each / 2)}, {"oldest", grant.NumberID(0)}} {
		b.Run(c.name, func(b *testing.B) {
			client.(*redis.Client).ConfigResetStat(b.Context())
			b.ReportAllocs()
			for b.Loop() {
				_, found, err := l.Lookup(b.Context(), c.user)
				if err != nil || !found {
					b.Fatal(found, err)
				}
			}
		})
	}
}
