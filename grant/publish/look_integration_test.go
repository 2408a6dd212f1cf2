//go:build integration

package publish

import (
	"context"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
)

// spent is a number that Redis's INFO has.
func (w *world) spent(field string) float64 {
	w.Helper()
	text, err := w.client.Info(context.Background(), "all").Result()
	require.NoError(w, err)
	said := regexp.MustCompile(`\b` + field + `:(?:calls=)?([0-9.]+)`).FindStringSubmatch(text)
	if said == nil {
		return 0
	}
	n, err := strconv.ParseFloat(said[1], 64)
	require.NoError(w, err)
	return n
}

// What was published is read again, to see that it is still there, by whoever comes to lead, when Redis has been started again,
// and once an hour; not each minute.
func TestWhatWasPublishedIsReadAgainWhereItMayBeLost(t *testing.T) { //nolint:tparallel // one Redis
	t.Parallel()
	server := devtest.StartRedis(t, devtest.RedisSet("appendonly", "yes"))
	for _, ids := range []grant.IDs{grant.IDsDense, grant.IDsUUID} {
		t.Run(string(ids), func(t *testing.T) { //nolint:paralleltest // they restart the same Redis
			w := newWorld(t, server.Addr, ids)
			require.NoError(t, w.client.FlushAll(t.Context()).Err())
			w.begin()
			box := newInbox(nil, 0)
			for i := range uint64(9) {
				w.grant(w.span(i<<16, 5)...)
			}
			p := w.publisher(box)
			looks := func() float64 {
				t.Helper()
				before := w.spent("cmdstat_lrange")
				require.NoError(t, p.look(t.Context()))
				return w.spent("cmdstat_lrange") - before
			}
			another := func() { // in the place of the last entry there is one of a millisecond later
				t.Helper()
				last, err := w.client.LIndex(t.Context(), w.firstKey("journal"), -1).Bytes()
				require.NoError(t, err)
				last[6]++
				require.NoError(t, w.client.LSet(t.Context(), w.firstKey("journal"), -1, last).Err())
			}
			require.NoError(t, p.take(t.Context()))
			require.Positive(t, looks())
			require.Len(t, box.events, 45)
			require.Zero(t, looks(), "within a minute")
			p.asked = time.Time{}
			require.Zero(t, looks(), "after a minute")
			another()
			p.asked, p.read = time.Time{}, time.Now().Add(-readEvery-time.Second)
			require.GreaterOrEqual(t, looks(), 9.0, "after an hour")
			require.InDelta(t, 1, w.count("rewinds_total"), 0)
			another()
			server.Stop()
			server.Restart()
			p.asked = time.Time{}
			require.Eventually(t, func() bool { return p.look(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond)
			require.InDelta(t, 2, w.count("rewinds_total"), 0, "after a restart")
			p.asked = time.Time{}
			require.Zero(t, looks(), "and a minute later")
		})
	}
}

// BenchmarkLook is what a look of each minute costs where the last entries of all lists are read, and where masters are asked who
// they are: 256 buckets, the last entry of each of some 4,000 UUIDs. A ledger of 48 million users has sixteen times as many.
func BenchmarkLook(b *testing.B) {
	c := aCampaign(grant.IDsUUID)
	c.Population = 4_000_000
	w := newWorldOf(b, devtest.StartRedis(b).Addr, c)
	users := make([]grant.UserID, 1_024_000)
	for i := range users {
		users[i] = grant.TextID("6ba7b810-9dad-41d1-80b4-" + strconv.Itoa(100_000_000_000+i))
	}
	w.grant(users...)
	p := w.publisher(nowhere{})
	require.NoError(b, p.take(b.Context()))
	require.NoError(b, p.look(b.Context()))
	for _, how := range []string{"read", "asked"} {
		b.Run(how, func(b *testing.B) {
			cpu := func() float64 { return w.spent("used_cpu_user") + w.spent("used_cpu_sys") }
			before, sent := cpu(), w.spent("total_net_output_bytes")
			for b.Loop() {
				p.asked = time.Time{}
				if how == "read" {
					p.read = time.Time{}
				}
				require.NoError(b, p.look(b.Context()))
			}
			b.ReportMetric((cpu()-before)/float64(b.N)*1000, "redis-ms/op")
			b.ReportMetric((w.spent("total_net_output_bytes")-sent)/float64(b.N)/1e6, "sent-MB/op")
		})
	}
}

// nowhere takes everything.
type nowhere struct{}

func (nowhere) deliver(context.Context, *writer, []piece) error { return nil }
func (nowhere) limits() limits                                  { return limits{chunks: 64, entries: 64, calls: 4} }
func (nowhere) transient(error) bool                            { return false }
func (nowhere) Close()                                          {}
