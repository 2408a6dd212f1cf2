//go:build integration

package publish

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
)

// The publisher is killed twenty times while it sends and while users are granted, and another one takes over each time.
// Without repetitions each event is there once, none is missing, and each user's are in the order of the ledger.
func TestKilledTwentyTimes(t *testing.T) {
	cluster := devtest.StartKafka(t, devtest.KafkaOptions{})
	for _, ids := range []grant.IDs{grant.IDsDense, grant.IDsString} {
		t.Run(string(ids), func(t *testing.T) { killedTwentyTimes(t, cluster, ids) })
	}
}

func killedTwentyTimes(t *testing.T, cluster *devtest.Kafka, ids grant.IDs) {
	topic := "events-" + string(ids)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	redis := devtest.StartRedis(t)
	cluster.CreateTopic(t, topic, 4, 1, nil)
	w := newWorld(t, redis.Addr, ids)
	entries := func(n int) {
		for range n {
			first := uint64(len(w.granted))
			chunk := first % 7 // 40 users in each of some chunks
			w.grant(w.span(chunk<<16+first/7*7, 40)...)
		}
	}
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(cluster.Brokers...), Transport: transport}
	size := func() (n int64) {
		var ask []kafka.OffsetRequest
		for p := range 4 {
			ask = append(ask, kafka.LastOffsetOf(p))
		}
		o, err := client.ListOffsets(context.Background(),
			&kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
		require.NoError(t, err)
		for _, p := range o.Topics[topic] {
			n += p.LastOffset
		}
		return n
	}
	entries(100)
	for range 20 {
		before := size()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+redis.Addr+" "+strings.Join(cluster.Brokers, ",")+" "+string(ids)+" "+topic)
		cmd.Stderr = t.Output()
		require.NoError(t, cmd.Start())
		entries(20)
		more := int64(1 + r.IntN(400))
		require.Eventually(t, func() bool { return size() >= before+more }, time.Minute, time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		// Whoever comes next would wait for the lead of the dead one.
		require.NoError(t, w.client.Del(context.Background(), "granter:{sorry-2022}:publisher:s").Err())
	}
	w.once(topicOf(t, cluster.Brokers, FormJSON, topic))
	all := events(t, cluster.Brokers, topic)
	w.holds(all)
	repeated := int(size()) - len(all)
	t.Logf("%d events, %d of them came again", len(all), repeated)
	require.Positive(t, repeated, "it was killed in the middle of something")

	last := map[string][]int64{} // chunk → indices of entries, as they came first, of one partition
	for _, rec := range all {
		parts := strings.Split(rec.ID, "/")
		index, err := strconv.ParseInt(strings.Split(parts[2], "-")[0], 10, 64)
		require.NoError(t, err)
		message := kafka.Message{Key: []byte(rec.Data.User)}
		place := kafka.Murmur2Balancer{Consistent: true}.Balance(message, 0, 1, 2, 3)
		key := parts[1] + "@" + strconv.Itoa(place)
		last[key] = append(last[key], index)
	}
	for key, indices := range last {
		require.True(t, slices.IsSorted(indices), "%s: %v", key, indices)
	}
}
