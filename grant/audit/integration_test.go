//go:build integration

package audit

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
)

// On a real Kafka and a real Redis: transactions, committed, aborted and left open, and records that were deleted.
func TestOnRealServers(t *testing.T) {
	w := newRealWorld(t, devtest.StartRedis(t))
	topic := w.campaign.Input.Topic
	client, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
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

	w.grant(1, 0, 3, 1, 2, 3, 70000)
	w.checkpoint(grant.Offsets{0: 0, 1: open - 1, 2: 0})
	r := w.audit()
	require.Equal(t, Proven, r.Verdict, "%+v", r.Findings)
	require.EqualValues(t, 4, r.Topic.Users)
	require.False(t, r.Over, "records wait behind the open transaction")
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryCommit))
	r = w.audit()
	require.EqualValues(t, 2, r.Topic.Waiting)
	w.finds(NotProven, map[Kind]int64{NotComplete: 2}, func(c *Config) { c.Complete = true })
	require.Equal(t, r.Topic.Digest, r.Ledger.Digest)

	w.grant(1, open-1, open, 6, 7)
	w.checkpoint(grant.Offsets{0: 0, 1: open + 1, 2: 0})
	r = w.finds(Proven, map[Kind]int64{}, func(c *Config) { c.Complete = true })
	require.True(t, r.Over, "behind the checkpoint is the marker of the transaction, and no record")

	w.setBit(0, 6, 0)
	w.grant(1, open, open, 9)
	r = w.audit()
	require.Equal(t, Refuted, r.Verdict)
	require.Equal(t, found{EntryOnly: {6}, Extra: {9}}, w.ids)
}

// Each untruth is planted on a real Kafka and a real Redis, where a partition, a topic, retention and a restored Redis are what
// they are.
func TestEachUntruthIsNamedOnRealServers(t *testing.T) {
	t.Parallel()
	server := devtest.StartRedis(t)
	devtest.SharedKafka(t)
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.named(newRealWorld(t, server).granted())
		})
	}
}

// The same where IDs are not dense.
func TestEachUntruthAboutMembersIsNamedOnRealServers(t *testing.T) {
	t.Parallel()
	server := devtest.StartRedis(t)
	devtest.SharedKafka(t)
	for _, p := range memberPlants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, fmt.Sprintf(membersSpec, newName(), grant.IDsUUID), devtest.SharedKafka(t).Brokers, server.Addr)
			p.named(w.grantedMembers())
		})
	}
}

// The same of who took what.
func TestEachUntruthAboutTakesIsNamedOnRealServers(t *testing.T) {
	t.Parallel()
	server := devtest.StartRedis(t)
	devtest.SharedKafka(t)
	for _, p := range takePlants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.named(newWorldOf(t, fmt.Sprintf(takesSpec, newName()), devtest.SharedKafka(t).Brokers, server.Addr).taken())
		})
	}
}

// A signed report of real servers, edited by any byte, and a receipt that is somebody else's.
func TestAReportAndReceiptsOfRealServersAreNotForged(t *testing.T) {
	w := newRealWorld(t, devtest.StartRedis(t)).granted()
	editedReports(w)
	editedReceipts(w)
}

var worlds atomic.Int64

func newName() string { return fmt.Sprintf("audited-%d-%d", time.Now().UnixNano(), worlds.Add(1)) }

func newRealWorld(t *testing.T, server *devtest.Redis) *world {
	t.Helper()
	return newWorldOn(t, newName(), devtest.SharedKafka(t).Brokers, server.Addr)
}
