//go:build integration

package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/sharding/dense"
)

// A trickle of 10,000 users a second is granted while it goes on. How soon is printed, for docs/performance.md, and not
// judged: a busy machine takes longer. That nobody waits for the shards' deadline is TestRealKafkaATrickleIsGrantedAtOnce.
func TestTrickleIsGrantedAtOnce(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 8, devtest.StartRedis(t, durable()...).Addr)
	p := s.run("--follow")
	await(t, "all partitions are read", func() bool { return p.partitions() == 8 })

	l := s.measure(population.Plan{Topic: s.campaign.Input, Users: 60_000, Seed: s.rand.Uint64()})
	t.Logf("from the record's creation to its grant: %s", quantiles(l.created))
	t.Logf("from its acknowledgement to its grant:   %s", quantiles(l.acknowledged))
	t.Logf("from its acknowledgement to a lookup:    %s", quantiles(l.lookedUp))
	p.interrupt()
	require.Equal(t, exitStopped, p.wait())
	s.exactlyOnce()
}

// latencies are those of one trickle: of every user by the journal, and of some by looking them up.
type latencies struct{ created, acknowledged, lookedUp []time.Duration }

// measure publishes 10,000 users a second.
func (s *scenario) measure(plan population.Plan) latencies {
	s.Helper()
	type moments struct{ created, acked time.Time }
	var l latencies
	var wg sync.WaitGroup
	var mu sync.Mutex
	produced := map[uint64]moments{}
	seen := make(chan time.Duration, plan.Users)
	s.plans = append(s.plans, plan)
	due := time.Now()
	batch := 0
	for ids := range slices.Chunk(slices.Collect(plan.IDs), 100) {
		<-time.After(time.Until(due))
		due = due.Add(10 * time.Millisecond)
		created := time.Now()
		partition, lookedUp := batch%8, batch%3 == 0
		batch++
		wg.Go(func() {
			s.produce(partition, ids)
			acked := time.Now()
			mu.Lock()
			for _, id := range ids {
				produced[id.Number()] = moments{created, acked}
			}
			mu.Unlock()
			if lookedUp {
				seen <- s.lookUp(ids[len(ids)-1]).Sub(acked)
			}
		})
	}
	wg.Wait()
	close(seen)
	for d := range seen {
		l.lookedUp = append(l.lookedUp, d)
	}
	await(s.T, "all are granted", func() bool { return s.granted() == int64(plan.First)+plan.Users })
	for chunk := plan.First / dense.ChunkSize; chunk <= (plan.First+uint64(plan.Users))/dense.ChunkSize; chunk++ {
		texts, err := s.client.LRange(s.Context(), fmt.Sprintf("granter:{%s/%d}:journal", s.campaign.Name, chunk), 0, -1).Result()
		require.NoError(s, err)
		for _, text := range texts {
			var e ledger.Entry
			require.NoError(s, e.UnmarshalBinary([]byte(text)))
			for _, low := range e.Members.Lows(nil) {
				if m, ok := produced[dense.Join(chunk, low)]; ok {
					l.created = append(l.created, e.At.Sub(m.created.Truncate(time.Millisecond)))
					l.acknowledged = append(l.acknowledged, e.At.Sub(m.acked.Truncate(time.Millisecond)))
				}
			}
		}
	}
	require.Len(s, l.created, int(plan.Users))
	return l
}

// produce writes one batch of users, and returns when all replicas have it.
func (s *scenario) produce(partition int, ids []grant.UserID) {
	records := make([]kafka.Record, len(ids))
	for i, id := range ids {
		records[i].Value = kafka.NewBytes(id.Append(nil))
	}
	resp, err := s.kafka.Produce(s.Context(), &kafka.ProduceRequest{
		Topic: s.campaign.Input.Topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err == nil {
		err = resp.Error
	}
	assert.NoError(s, err)
}

// lookUp asks for a user until the ledger says granted, and returns when it did.
func (s *scenario) lookUp(user grant.UserID) time.Time {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if _, granted, err := s.reader.Lookup(s.Context(), user); err == nil && granted {
			break
		}
	}
	return time.Now()
}

func quantile(d []time.Duration, q float64) time.Duration {
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

func quantiles(d []time.Duration) string {
	ms := func(q float64) float64 { return float64(quantile(d, q)) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms (of %d)", ms(0.5), ms(0.99), ms(0.999), ms(1), len(d))
}
