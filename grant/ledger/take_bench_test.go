//go:build integration

package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// BenchmarkTake measures calls in which so many users of a hundred chunks, at random, take an item, as requests that come at the
// same time are put together: the wall time, the processor's time of this process, and what Redis says it spent, of one user.
func BenchmarkTake(b *testing.B) {
	const chunks, kept = 100, 1 << 20
	for _, item := range []int{0, 1} {
		for _, n := range []int{1, 8, 32, 128} {
			b.Run([]string{"offered/", "quota/"}[item]+strconv.Itoa(n), func(b *testing.B) {
				client, err := Connect(Options{Addrs: []string{devtest.StartRedis(b).Addr}})
				require.NoError(b, err)
				defer client.Close()
				c := &grant.Campaign{Name: "bench", Hash: "h", Items: []grant.Item{
					{ID: "offered", Validity: grant.Validity{Taken: true}},
					{ID: "quota", Validity: grant.Validity{Taken: true}, First: 1e9},
				}}
				l, err := open(client, c, grant.NewRunID(time.Now()), Config{})
				require.NoError(b, err)
				_, err = l.Begin(b.Context(), aTopic)
				require.NoError(b, err)
				for chunk := range uint64(chunks) {
					all := new(dense.Bitmap)
					for low := range dense.ChunkSize {
						all.Set(uint16(low))
					}
					f := &dense.Flush{Shard: 1, Seq: chunk + 1, Deltas: []dense.Delta{
						{Chunk: chunk, Members: all, Count: dense.ChunkSize},
					}}
					require.NoError(b, l.Grant(b.Context(), f))
				}
				takes := NewTakes(l.Store, 7)
				r := rand.New(rand.NewPCG(1, 2))
				client.(*redis.Client).ConfigResetStat(b.Context())
				before, taken := processor(b), 0
				wishes := make([]Take, n)
				for b.Loop() {
					for i := range wishes {
						wishes[i] = Take{User: grant.NumberID(r.Uint64N(chunks * dense.ChunkSize)), Item: item}
					}
					got, err := takes.Take(b.Context(), c, wishes)
					if err != nil || !got[0].Outcome.Has() {
						b.Fatal(got, err)
					}
					taken += n
				}
				b.StopTimer()
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(taken), "µs/user")
				b.ReportMetric(float64((processor(b)-before).Microseconds())/float64(taken), "own-µs/user")
				b.ReportMetric(spent(b, client.(*redis.Client))/float64(taken), "redis-µs/user")
			})
		}
	}
}

// BenchmarkTakeOfMembers measures the same of UUIDs in the fullest buckets that a stated population has: 16,384 users each, in
// entries of 4,096, as runs make them. Calls are of users at random, and of as many as granter take makes of a file; each bucket
// was read before.
func BenchmarkTakeOfMembers(b *testing.B) {
	const users = 256 << 14
	id := func(n uint64) string { return fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", n) }
	for _, n := range []int{1, 8, 128, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			client, err := Connect(Options{Addrs: []string{devtest.StartRedis(b).Addr}})
			require.NoError(b, err)
			defer client.Close()
			c := &grant.Campaign{
				Name: "bench", Hash: "h", Population: users, Input: grant.Input{IDs: grant.IDsUUID},
				Items: []grant.Item{{ID: "offered", Validity: grant.Validity{Taken: true}}},
			}
			l, err := open(client, c, grant.NewRunID(time.Now()), Config{})
			require.NoError(b, err)
			_, err = l.Begin(b.Context(), aTopic)
			require.NoError(b, err)
			members := make([][]byte, users)
			for i := range members {
				members[i], _ = l.form.Member(nil, []byte(id(uint64(i))))
			}
			seq := new(uint64)
			for part := range slices.Chunk(members, users/4) {
				_, err = l.AddSome(b.Context(), seq, nil, part)
				require.NoError(b, err)
			}
			takes := NewTakes(l.Store, 7)
			r := rand.New(rand.NewPCG(1, 2))
			known := make([]Take, 4096)
			for i := range known {
				known[i] = Take{User: grant.TextID(id(uint64(i)))}
			}
			_, err = takes.Take(b.Context(), c, known)
			require.NoError(b, err)
			client.(*redis.Client).ConfigResetStat(b.Context())
			before, taken := processor(b), 0
			wishes := make([]Take, n)
			for b.Loop() {
				for i := range wishes {
					wishes[i] = Take{User: grant.TextID(id(r.Uint64N(users)))}
				}
				got, err := takes.Take(b.Context(), c, wishes)
				if err != nil || !got[0].Outcome.Has() {
					b.Fatal(got, err)
				}
				taken += n
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(taken), "µs/user")
			b.ReportMetric(float64((processor(b)-before).Microseconds())/float64(taken), "own-µs/user")
			b.ReportMetric(spent(b, client.(*redis.Client))/float64(taken), "redis-µs/user")
		})
	}
}

// processor is how long this process has used processors.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
