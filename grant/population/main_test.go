package population

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testMainOptions...) }

func decimalTopic(name string) grant.Input {
	return grant.Input{Topic: name, Format: grant.FormatDecimal, From: grant.FromValue, MaxID: grant.MaxUserID}
}

// message is a record as it arrived.
type message struct {
	offset     int64
	key, value []byte // nil is null
	headers    []protocol.Header
}

// decode reads what a produce request carries with kafka-go's own decoder, which checks the CRC.
func decode(t require.TestingT, sealed io.Reader) (messages []message, set protocol.RecordSet) {
	_, err := set.ReadFrom(sealed)
	require.NoError(t, err)
	for {
		r, err := set.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return messages, set
		}
		require.NoError(t, err)
		m := message{offset: r.Offset}
		m.key, err = protocol.ReadAll(r.Key)
		require.NoError(t, err)
		m.value, err = protocol.ReadAll(r.Value)
		require.NoError(t, err)
		m.headers = r.Headers
		messages = append(messages, m)
	}
}

// fakeKafka is a cluster in this process, with a client.
func fakeKafka(t *testing.T, options ...kfake.Opt) (*kfake.Cluster, *kafka.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(options...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster, clientOf(t, cluster.ListenAddrs()...)
}

func clientOf(t testing.TB, brokers ...string) *kafka.Client {
	t.Helper()
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport}
}

// readPartition returns a partition's records up to its end, through a fetch that checks CRCs.
func readPartition(t testing.TB, client *kafka.Client, topic string, partition int) []message {
	t.Helper()
	ctx := context.Background()
	offsets, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.LastOffsetOf(partition)}},
	})
	require.NoError(t, err)
	require.NoError(t, offsets.Topics[topic][0].Error)
	end := offsets.Topics[topic][0].LastOffset

	var messages []message
	for next := int64(0); next < end; {
		fetched, err := client.Fetch(ctx, &kafka.FetchRequest{
			Topic: topic, Partition: partition, Offset: next, MinBytes: 1, MaxBytes: 8 << 20,
		})
		require.NoError(t, err)
		require.NoError(t, fetched.Error)
		for {
			r, err := fetched.Records.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if r.Offset < next {
				continue
			}
			m := message{offset: r.Offset}
			m.key, err = protocol.ReadAll(r.Key)
			require.NoError(t, err)
			m.value, err = protocol.ReadAll(r.Value)
			require.NoError(t, err)
			messages = append(messages, m)
			next = r.Offset + 1
		}
	}
	return messages
}
