//go:build integration

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/audit"
)

// A real Kafka compacts a topic after a run: whose record it cleaned away is unprovable, exactly; nobody else is, and nobody is
// accused.
func TestWhomCompactionCleanedAwayIsUnprovable(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.DefaultProduceTopic(s.campaign.Input.Topic))
	require.NoError(t, err)
	defer client.Close()
	const users, keys = 1000, 700 // the first 300 records have successors with their keys
	publish := func(from, to int) {
		s.asked.note("records were published")
		for first := from; first < to; first += 50 {
			var list []*kgo.Record
			for i := first; i < min(first+50, to); i++ {
				list = append(list, &kgo.Record{Key: fmt.Append(nil, i%keys), Value: strconv.AppendInt(nil, int64(i), 10)})
			}
			require.NoError(t, client.ProduceSync(t.Context(), list...).FirstErr())
		}
	}
	publish(0, users)
	s.finish()
	s.proven()

	q := kmsg.NewPtrIncrementalAlterConfigsRequest()
	of := kmsg.NewIncrementalAlterConfigsRequestResource()
	of.ResourceType, of.ResourceName = kmsg.ConfigResourceTypeTopic, s.campaign.Input.Topic
	for name, value := range map[string]string{
		"cleanup.policy": "compact", "segment.ms": "10", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0",
	} {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = name, &value
		of.Configs = append(of.Configs, c)
	}
	q.Resources = append(q.Resources, of)
	resp, err := q.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Zero(t, resp.Resources[0].ErrorCode)
	publish(keys+users, keys+users+keys/2) // a new segment, with half of the keys once more: only closed ones are compacted
	s.finish()
	gone := func() (ids []string) {
		there := s.left()
		for i := range keys + users + keys/2 {
			if granted := i < users || i >= keys+users; granted && !there[strconv.Itoa(i)] {
				ids = append(ids, strconv.Itoa(i))
			}
		}
		return ids
	}
	await(t, "it is compacted", func() bool { return len(gone()) >= users-keys })
	file := filepath.Join(t.TempDir(), "found.csv")
	var cleaned []string
	await(t, "an audit is made between two cleanings", func() bool {
		cleaned = gone()
		p := granter(t, s.command("audit", "--complete", "--ids", file))
		require.Equal(t, exitNotProven, p.wait(), p.out.String())
		return slices.Equal(cleaned, gone())
	})
	found, err := os.ReadFile(file)
	require.NoError(t, err)
	var want strings.Builder
	fmt.Fprintln(&want, "kind,user")
	for _, user := range cleaned {
		fmt.Fprintf(&want, "%s,%s\n", audit.Unprovable, user)
	}
	require.Equal(t, want.String(), string(found))
	t.Logf("%d users were cleaned away", len(cleaned))
	r := s.finds(audit.Unprovable)
	require.EqualValues(t, users+keys/2, r.Ledger.Granted)
}

// left are the values that a compacted topic of one partition still has. Its last record is never cleaned away.
func (s *scenario) left() map[string]bool {
	s.Helper()
	topic, out := s.campaign.Input.Topic, map[string]bool{}
	end := s.ends(topic)[0]
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	require.NoError(s, err)
	defer client.Close()
	for next := int64(0); next < end; {
		fetches := client.PollFetches(s.Context())
		require.NoError(s, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { out[string(r.Value)], next = true, r.Offset+1 })
	}
	return out
}
