//go:build integration

package devtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/stretchr/testify/require"
)

func ask(t *testing.T, r *Redis, command string) string {
	t.Helper()
	reply, err := askRedis(r.Addr, command)
	require.NoError(t, err)
	return reply
}

func TestRedisLifecycle(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, RedisSet("appendonly", "yes"), RedisSet("appendfsync", "always"), RedisSet("maxmemory", "64mb"))
	require.Equal(t, "+OK", ask(t, r, "SET k v"))
	first := r.PID()

	r.Stop()
	require.Zero(t, r.PID())
	require.Error(t, pingRedis(r.Addr))
	r.Restart()
	require.NotEqual(t, first, r.PID())
	require.Equal(t, "v", ask(t, r, "GET k"), "a clean restart keeps the data")

	r.Kill()
	r.Kill()
	r.Restart()
	require.Equal(t, "v", ask(t, r, "GET k"), "with appendfsync always, so does a kill")

	r.Freeze()
	require.Error(t, pingRedis(r.Addr))
	r.Resume()
	require.NoError(t, pingRedis(r.Addr))

	r.Freeze()
	r.Stop()
	require.Zero(t, r.PID(), "a frozen server can be stopped")
}

func TestRedisDirectivesWinOverDefaults(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, RedisSet("save", "60", "1"), RedisSet("maxmemory-policy", "allkeys-lru"), RedisSet("requirepass", "a b"))
	require.True(t, strings.HasPrefix(ask(t, r, "GET k"), "-NOAUTH"))
	conf, err := os.ReadFile(filepath.Join(r.Dir, "redis.conf"))
	require.NoError(t, err)
	require.Contains(t, string(conf), "allkeys-lru")
}

func TestRedisThatCannotStartIsReported(t *testing.T) {
	t.Parallel()
	err := Standalone(t.Logf, func(tb TB) error {
		StartRedis(tb, RedisSet("no-such-directive", "1"))
		return nil
	})
	require.ErrorContains(t, err, "no-such-directive", "the log says why")
	require.ErrorContains(t, err, errExited.Error(), "which is noticed before any time limit")
}

func TestPostgresLifecycle(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t, "log_min_messages=error")
	first := p.PID()
	require.NotZero(t, first)
	require.NoError(t, p.server.ready())
	p.Kill()
	require.Zero(t, p.PID())
	require.Error(t, p.server.ready())
	p.Restart()
	require.NotEqual(t, first, p.PID())
	require.Contains(t, p.Schema("a b"), "sslmode=disable&search_path=a+b")

	err := Standalone(t.Logf, func(tb TB) error {
		StartPostgres(tb, "no_such_setting=1")
		return nil
	})
	require.ErrorContains(t, err, "no_such_setting", "the log says why")
}

func TestReplicaFollows(t *testing.T) {
	t.Parallel()
	primary := StartRedis(t)
	require.Equal(t, "+OK", ask(t, primary, "SET k v"))
	replica := StartRedis(t, ReplicaOf(primary))
	require.Equal(t, "v", ask(t, replica, "GET k"))
}

func TestRedisClusterFailsOver(t *testing.T) {
	t.Parallel()
	c := StartRedisCluster(t, 3, 1)
	require.Len(t, c.Addrs, 6)
	require.Contains(t, ask(t, c.Nodes[3], "INFO replication"), "role:slave")
	c.Nodes[0].Kill()
	require.Eventually(t, func() bool {
		return strings.Contains(ask(t, c.Nodes[3], "INFO replication"), "role:master") &&
			strings.Contains(ask(t, c.Nodes[1], "CLUSTER INFO"), "cluster_state:ok")
	}, startTimeout, pollInterval)
}

func produce(t *testing.T, addr, topic, value string) {
	t.Helper()
	transport := new(kafka.Transport)
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(addr), Topic: topic, BatchTimeout: time.Millisecond, Transport: transport}
	require.NoError(t, w.WriteMessages(context.Background(), kafka.Message{Value: []byte(value)}))
	require.NoError(t, w.Close())
}

func consume(t *testing.T, addr, topic string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		value, err := consumeOnce(ctx, addr, topic)
		if ctx.Err() != nil {
			require.NoError(t, err)
		}
		if err == nil {
			return value
		}
	}
}

// consumeOnce may fail while the partition's leader is being elected.
func consumeOnce(ctx context.Context, addr, topic string) (string, error) {
	conn, err := kafka.DialLeader(ctx, "tcp", addr, topic, 0)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	m, err := conn.ReadMessage(1 << 20)
	return string(m.Value), err
}

// A broker is of the version that is asked for, says so itself, and stays it whatever the environment says at its restart.
func TestKafkaIsOfItsVersion(t *testing.T) { // not parallel: a Kafka that starts takes both cores
	var mu sync.Mutex
	var seen []string
	inEach := func(t *testing.T) {
		k := StartKafka(t, KafkaOptions{})
		require.Equal(t, "kafka-"+k.Version, filepath.Base(t.Name()))
		requireVersion(t, k)
		require.Equal(t, k.Version, SharedKafka(t).Version)
		require.NotEqual(t, k.Brokers, SharedKafka(t).Brokers)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, k.Version)
	}
	t.Run("each", func(t *testing.T) {
		t.Run("of them", func(t *testing.T) { EachKafka(t, inEach) })
	}) // which waits for all
	versions, err := kafkaVersions()
	require.NoError(t, err)
	require.ElementsMatch(t, versions, seen)
	require.Equal(t, versions[0], SharedKafka(t).Version)

	k := StartKafka(t, KafkaOptions{Version: NewestKafka, Features: []string{"share.version=1"}})
	k.Stop(0)
	k.Restart(0)
	requireVersion(t, k)
}

func requireVersion(t *testing.T, k *Kafka) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(k.Dir, "broker-1", "kafka.log"))
	require.NoError(t, err)
	lines := strings.Count(string(log), "Kafka version: ")
	require.Positive(t, lines)
	require.Equal(t, lines, strings.Count(string(log), "Kafka version: "+k.Version+"\n"), "every start is one of %s", k.Version)
}

func TestKafkaLifecycle(t *testing.T) { // not parallel: a Kafka that starts takes both cores
	k := StartKafka(t, KafkaOptions{Props: map[string]string{"message.max.bytes": "2000000"}})
	k.CreateTopic(t, "ids", 1, 1, map[string]string{"retention.ms": "3600000"})
	produce(t, k.Brokers[0], "ids", "42")
	require.Equal(t, "42", consume(t, k.Brokers[0], "ids"))

	k.Stop(0)
	k.Restart(0)
	require.Equal(t, "42", consume(t, k.Brokers[0], "ids"))
	k.Kill(0)
	k.Restart(0)
	require.Equal(t, "42", consume(t, k.Brokers[0], "ids"))

	k.Freeze(0)
	require.Error(t, registered(k.Brokers[0]))
	k.Resume(0)
	require.Eventually(t, func() bool { return registered(k.Brokers[0]) == nil }, startTimeout, pollInterval)
}

func TestLeaderMoves(t *testing.T) { // not parallel: a Kafka that starts takes both cores
	k := StartKafka(t, KafkaOptions{Brokers: 3})
	k.CreateTopic(t, "ids", 1, 2, nil)
	k.CreateTopic(t, "lone", 1, 1, nil)
	for i := range 3 {
		k.MoveLeader(t, "ids", 0, i)
		require.Equal(t, i, k.Leader(t, "ids", 0))
		k.MoveLeader(t, "lone", 0, i)
		require.Equal(t, i, k.Leader(t, "lone", 0))
	}
	k.Kill(2)
	require.Eventually(t, func() bool { return k.Leader(t, "ids", 0) != 2 }, startTimeout, pollInterval)
	k.Restart(2)
	k.MoveLeader(t, "ids", 0, 2)
}

func TestSharedKafkaIsOne(t *testing.T) {
	t.Parallel()
	first := SharedKafka(t)
	require.Same(t, first, SharedKafka(t))
}

func TestSecuredKafka(t *testing.T) { // not parallel: a Kafka that starts takes both cores
	k := StartKafka(t, KafkaOptions{SASL: true})
	login := func(mechanism sasl.Mechanism) error {
		conn, err := (&kafka.Dialer{Timeout: 10 * time.Second, SASLMechanism: mechanism}).Dial("tcp", k.SASLBrokers[0])
		if err != nil {
			return err
		}
		defer conn.Close()
		return conn.CreateTopics(kafka.TopicConfig{Topic: "t" + mechanism.Name(), NumPartitions: 1, ReplicationFactor: 1})
	}
	scram512, err := scram.Mechanism(scram.SHA512, SASLUser, SASLPassword)
	require.NoError(t, err)
	require.NoError(t, login(scram512))
	require.NoError(t, login(plain.Mechanism{Username: SASLUser, Password: SASLPassword}))
	require.ErrorIs(t, login(plain.Mechanism{Username: SASLUser, Password: "wrong"}), kafka.SASLAuthenticationFailed)
	require.ErrorIs(t, login(plain.Mechanism{Username: GuestUser, Password: GuestPassword}), kafka.TopicAuthorizationFailed)
}

func TestStandaloneEndsItsServers(t *testing.T) {
	t.Parallel()
	var pid int
	var dir string
	failure := errors.New("done")
	err := Standalone(t.Logf, func(tb TB) error {
		r := StartRedis(tb)
		pid, dir = r.PID(), r.Dir
		return failure
	})
	require.ErrorIs(t, err, failure)
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	require.NoDirExists(t, dir)
}
