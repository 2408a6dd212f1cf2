//go:build integration

package audit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// On a real Kafka and a real Redis: transactions, committed, aborted and left open, and records that were deleted.
func TestOnRealServers(t *testing.T) {
	kafka := devtest.SharedKafka(t)
	server := devtest.StartRedis(t)
	topic := fmt.Sprintf("audited-%d", time.Now().UnixNano())
	kafka.CreateTopic(t, topic, parts, 1, nil)
	w := &world{T: t, ends: grant.Offsets{}}
	var err error
	w.campaign, err = campaign.Parse("test", []byte(spec))
	require.NoError(t, err)
	w.campaign.Input.Topic = topic
	w.client, err = ledger.Connect(ledger.Options{Addrs: []string{server.Addr}})
	require.NoError(t, err)
	t.Cleanup(func() { w.client.Close() })
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{})
	require.NoError(t, err)
	w.run = grant.NewRunID(time.Now())
	w.grants, w.reader, w.orders = ledger.NewGrants(store, w.run), ledger.NewReader(store), ledger.NewCoordination(store)
	brokers := source.Kafka{Brokers: kafka.Brokers}
	w.source, err = source.New(source.Config{Kafka: brokers, Topic: w.campaign.Input, RetryFor: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { w.source.Close() })

	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID(topic), kgo.TransactionTimeout(time.Minute))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	produce := func(users ...uint64) (last int64) {
		for _, user := range users {
			r := &kgo.Record{Topic: topic, Partition: 1, Value: fmt.Append(nil, user)}
			require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
			last = r.Offset
		}
		return last
	}
	require.NoError(t, client.BeginTransaction())
	produce(1, 2, 3, 70000)
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryCommit))
	require.NoError(t, client.BeginTransaction())
	produce(4, 5) // nobody sees them
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryAbort))
	require.NoError(t, client.BeginTransaction())
	open := produce(6, 7)

	w.begin()
	w.grant(1, 0, 3, 1, 2, 3, 70000)
	w.checkpoint(grant.Offsets{0: 0, 1: open - 1, 2: 0})
	r := w.auditOn(kafka)
	require.Equal(t, Proven, r.Verdict, "%+v", r.Findings)
	require.EqualValues(t, 4, r.Topic.Users)
	require.False(t, r.Over, "records wait behind the open transaction")
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryCommit))
	r = w.auditOn(kafka)
	require.EqualValues(t, 2, r.Topic.Waiting)
	require.Equal(t, r.Topic.Digest, r.Ledger.Digest)

	w.grant(1, open-1, open, 7, 9)
	w.checkpoint(grant.Offsets{0: 0, 1: open + 1, 2: 0})
	r = w.auditOn(kafka)
	require.Equal(t, Refuted, r.Verdict)
	require.Equal(t, found{Missing: {6}, Extra: {9}}, w.ids)
}

func (w *world) auditOn(kafka *devtest.Kafka) *Report {
	w.Helper()
	decode, err := source.Decoder(w.campaign.Input)
	require.NoError(w, err)
	runs, err := w.orders.Runs(w.Context())
	require.NoError(w, err)
	dead, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: kafka.Brokers},
		Topic: grant.Input{Topic: w.campaign.Input.DeadLetterTopic(), Format: grant.FormatDecimal},
	})
	require.NoError(w, err)
	w.ids = found{}
	r, err := Run(w.Context(), Config{
		Campaign: w.campaign, Ledger: w.reader, Topic: w.source, Runs: runs, IDs: w.ids, Letters: LettersOf(dead),
		Decode: func(key, value []byte) (uint64, bool) {
			id, reason := decode(key, value)
			return id, reason != ""
		},
		Checkpoint: func(ctx context.Context) (grant.Checkpoint, error) { return w.reader.Checkpoints(ctx, w.campaign) },
		Committed: func(ctx context.Context, id grant.TopicID) (grant.Offsets, error) {
			return w.source.Committed(ctx, "granter-"+w.campaign.Name, id)
		},
	})
	require.NoError(w, err)
	return r
}
