package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Users of a topic are excluded, each with its reason; the run withholds them, the proof knows them, and support sees why.
func TestUsersOfATopicAreExcluded(t *testing.T) {
	with := dated(t, "starts_at: 2023-01-05T00:00:00+09:00")
	spec := with("run").args[2]
	for _, setting := range with("run").env {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("GRANTER_BROKERS")))
	require.NoError(t, err)
	defer k.Close()
	create, topic := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "excluded", 2, 1
	create.Topics = append(create.Topics, topic)
	_, err = create.RequestWith(t.Context(), k)
	require.NoError(t, err)
	for _, user := range []string{"1", "77", "x", "77"} {
		r := &kgo.Record{Topic: "excluded", Key: []byte(user), Value: []byte("foreign number")}
		require.NoError(t, k.ProduceSync(t.Context(), r).FirstErr())
	}
	says := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, want, run(args, &stdout, &stderr), "%s%s", &stdout, &stderr)
		return stdout.String()
	}
	require.Contains(
		t,
		says(exitFailed, "exclude", "-f", spec, "--topic", "excluded", "--reason", "r"),
		"PARTIAL: 2 of 3 users done",
	)
	says(exitOK, "run", "-f", spec)
	status := says(exitOK, "status", "-f", spec, "--prove")
	require.Contains(t, status, "2 users: runs withhold them")
	require.Contains(t, status, "PROVEN: 2 users granted")
	require.Contains(t, says(exitNotGranted, "verify", "-f", spec, "1"), "foreign number")
	require.Contains(t, says(exitOK, "history", "-f", spec), "exclude: 2 of 3 users, 1 refused")
}
