//go:build integration

package audit_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/archive"
	"github.com/granter/granter/grant/audit/audittest"
	"github.com/granter/granter/grant/ledger"
)

// publish puts users from one number up to another into a partition, and then some of them again.
func publish(t *testing.T, k *devtest.Kafka, topic string, partition int32, from, to, again int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	list := make([]*kgo.Record, 0, to-from+again)
	for i := range cap(list) {
		user := from + i%(to-from)
		list = append(list, &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Append(nil, user)})
	}
	require.NoError(t, client.ProduceSync(t.Context(), list...).FirstErr())
}

func named(t *testing.T, name string) (k *devtest.Kafka, topic string) {
	t.Helper()
	return devtest.SharedKafka(t), fmt.Sprintf("%s-%d", name, time.Now().UnixNano())
}

// A ledger is exported while a run goes on, and is restored elsewhere: the run there grants what is not in it, and nobody twice.
func TestALedgerThatWasExportedUnderARunIsProven(t *testing.T) {
	t.Parallel()
	k, topic := named(t, "exported")
	k.CreateTopic(t, topic, 2, 1, nil)
	w := audittest.New(t, k.Brokers, []string{devtest.StartRedis(t).Addr}, audittest.Spec(topic))
	publish(t, k, topic, 0, 0, 300_000, 10)
	file := filepath.Join(t.TempDir(), "ledger")
	w.Run(func() {
		_, _, _, err := archive.Export(t.Context(), archive.NewSubject(w.Store()), archive.Header{Campaign: topic}, file)
		require.NoError(t, err)
	})
	w.Proven()
	there := audittest.New(t, k.Brokers, []string{devtest.StartRedis(t).Addr}, audittest.Spec(topic))
	_, err := archive.Import(t.Context(), archive.NewSubject(there.Store()), file, ledger.Import{At: time.Now(), Who: "somebody"})
	require.NoError(t, err)
	publish(t, k, topic, 1, 300_000, 301_000, 0)
	there.Run(nil)
	require.EqualValues(t, 301_000, there.Proven().Ledger.Granted)
}
