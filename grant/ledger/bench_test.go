//go:build integration

package ledger

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// BenchmarkGrant measures one chunk call of n new members, in flushes of 100 chunks, on a real Redis: the wall time, what
// Redis says it spent, and what the client allocated.
func BenchmarkGrant(b *testing.B) {
	const chunks = 100
	for _, n := range []int{1, 4, 8, 12, 16, 20, 24, 32, 100, 1400, 4000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			client, err := Connect(Options{Addrs: []string{devtest.StartRedis(b).Addr}})
			require.NoError(b, err)
			defer client.Close()
			l, err := open(client, &grant.Campaign{Name: "bench"}, grant.NewRunID(time.Now()), Config{})
			require.NoError(b, err)
			_, err = l.Begin(b.Context(), aTopic)
			require.NoError(b, err)

			r := rand.New(rand.NewPCG(1, 2))
			var members [chunks][]*dense.Bitmap // of each chunk, disjoint
			rounds := min(dense.ChunkSize/n, 16)
			for i := range members {
				perm := r.Perm(dense.ChunkSize)
				for k := range rounds {
					m := new(dense.Bitmap)
					for _, low := range perm[k*n : (k+1)*n] {
						m.Set(uint16(low))
					}
					members[i] = append(members[i], m)
				}
			}
			ranges := []sharding.Range{{Partition: 1, First: 1e6, Last: 2e6}, {Partition: 2, First: 1e6, Last: 2e6}}
			deltas := make([]dense.Delta, chunks)
			calls := 0
			client.(*redis.Client).ConfigResetStat(b.Context())
			b.ReportAllocs()
			for b.Loop() {
				generation, round := calls/chunks/rounds, calls/chunks%rounds
				for i := range deltas {
					deltas[i] = dense.Delta{Chunk: uint64(generation*chunks + i), Members: members[i][round], Count: n}
				}
				calls += chunks
				f := &dense.Flush{Shard: 1, Seq: uint64(calls), Ranges: ranges, Deltas: deltas}
				if err := l.Grant(b.Context(), f); err != nil {
					b.Fatal(err)
				}
				if deltas[0].Duplicates != nil {
					b.Fatal("not new")
				}
			}
			b.StopTimer()
			perCall := float64(b.Elapsed().Nanoseconds()) / float64(calls)
			b.ReportMetric(perCall/1000, "µs/call")
			b.ReportMetric(perCall/float64(n), "ns/user")
			b.ReportMetric(spent(b, client.(*redis.Client))/float64(calls), "redis-µs/call")
		})
	}
}

// spent is the time that Redis spent on commands of its clients, in microseconds. What scripts called is in that of the
// scripts already.
func spent(b *testing.B, client *redis.Client) float64 {
	b.Helper()
	text, err := client.Info(b.Context(), "commandstats").Result()
	require.NoError(b, err)
	sum := 0.0
	for _, command := range []string{"evalsha"} {
		found := regexp.MustCompile(fmt.Sprintf(`cmdstat_%s:calls=\d+,usec=(\d+)`, command)).FindStringSubmatch(text)
		require.NotNil(b, found)
		usec, err := strconv.ParseFloat(found[1], 64)
		require.NoError(b, err)
		sum += usec
	}
	return sum
}
