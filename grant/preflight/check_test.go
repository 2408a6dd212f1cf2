package preflight

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// input is a check of topic "users" with the given servers.
func input(t *testing.T, brokers []string, o ledger.Options) Input {
	t.Helper()
	c := parse(t, specText)
	c.EndsAt, c.Population = time.Time{}, 0
	client, err := ledger.Connect(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return Input{
		Campaign: c, Pass: grant.Pass{Group: "granter-" + c.Name}, Redis: client, Timeout: 5 * time.Second,
		Kafka: source.Kafka{Brokers: brokers},
	}
}

func fakeRedis(t *testing.T) ledger.Options {
	return ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}}
}

func fakeKafka(t *testing.T, options ...kfake.Opt) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func clientOf(t *testing.T, brokers []string) *kafka.Client {
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport}
}

// produce writes values to a partition, in one batch.
func produce(t *testing.T, brokers []string, topic string, partition int, values ...string) {
	t.Helper()
	client := clientOf(t, brokers)
	require.NoError(t, ask(t.Context(), func() error { // a leader may not know yet that it is one
		var records []kafka.Record
		for _, v := range values {
			records = append(records, kafka.Record{Value: kafka.NewBytes([]byte(v))})
		}
		resp, err := client.Produce(t.Context(), &kafka.ProduceRequest{
			Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
		})
		if err == nil {
			err = resp.Error
		}
		return err
	}))
}

func ids(from, to int) (values []string) {
	for id := from; id < to; id++ {
		values = append(values, fmt.Sprint(id))
	}
	return values
}

func check(t *testing.T, in Input) Report {
	t.Helper()
	r := Check(t.Context(), in)
	wellFormed(t, r)
	for _, result := range r.Results {
		t.Logf("%s %s: %s | %s", result.Status, result.Name, result.Detail, result.Advice)
	}
	return r
}

func TestCheckOfFakeServers(t *testing.T) {
	brokers := fakeKafka(t, kfake.SeedTopics(3, "users"))
	produce(t, brokers, "users", 0, ids(0, 1000)...)
	produce(t, brokers, "users", 2, ids(1000, 3000)...)
	r := check(t, input(t, brokers, fakeRedis(t)))
	assert.False(t, r.Failed())
	for _, name := range []string{
		"kafka.brokers", "kafka.topic", "kafka.leaders", "kafka.replicas", "kafka.records", "kafka.gap", "kafka.cleanup", "kafka.transactions",
		"kafka.rejected", "kafka.group", "sample.valid", "sample.ids", "redis.reachable", "redis.rights", "redis.clock", "campaign.dates",
		"campaign.spec", "campaign.progress",
	} {
		assert.Equal(t, Pass, find(t, r, name).Status, name)
	}
	assert.Contains(t, find(t, r, "kafka.brokers").Detail, "2 brokers")
	assert.Contains(t, find(t, r, "kafka.records").Detail, "3,000 records in all; by partition: 1,000, 0, 2,000")
	assert.Equal(t, "all of 3,000 sampled records hold a user ID", find(t, r, "sample.valid").Detail)
	assert.Contains(t, find(t, r, "sample.ids").Detail, "IDs from 0 to 2999: 3,000 users in about 1 chunks")
	assert.Contains(t, find(t, r, "kafka.retention").Detail, "7 d")
	for _, name := range []string{"redis.version", "redis.role", "redis.eviction", "redis.memory", "redis.persistence"} {
		assert.Contains(t, find(t, r, name).Detail, "unknown, because", "miniredis has no such INFO: %s", name)
	}

	resp, err := clientOf(t, brokers).Metadata(t.Context(), &kafka.MetadataRequest{})
	require.NoError(t, err)
	require.Len(t, resp.Topics, 1, "the check created no dead-letter topic")
}

func TestCheckSeesWhatAReaderSees(t *testing.T) {
	brokers := fakeKafka(t, kfake.SeedTopics(1, "users"))
	produce(t, brokers, "users", 0, "1", "22", "x", "", "-3")
	begin := func(value string) *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID("t"+value), kgo.DefaultProduceTopic("users"))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		require.NoError(t, client.BeginTransaction())
		require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr())
		return client
	}
	require.NoError(t, begin("333").EndTransaction(t.Context(), kgo.TryCommit))
	require.NoError(t, begin("aborted").EndTransaction(t.Context(), kgo.TryAbort))

	in := input(t, brokers, fakeRedis(t))
	r := check(t, in)
	assert.Contains(t, find(t, r, "kafka.transactions").Detail, "left out")
	valid := find(t, r, "sample.valid")
	assert.Equal(t, Warn, valid.Status)
	assert.Contains(t, valid.Detail, `3 of 6 sampled records (50%) hold no user ID`)
	assert.Contains(t, valid.Detail, `not_decimal 1 (partition/offset 0/2 "x")`)
	assert.NotContains(t, valid.Detail, "aborted")
	assert.Contains(t, find(t, r, "sample.ids").Detail, "IDs from 1 to 333: 3 users")

	open := begin("4444")
	r = check(t, in)
	assert.Equal(t, Warn, find(t, r, "kafka.transactions").Status)
	assert.Contains(t, find(t, r, "kafka.transactions").Detail, "0 since offset 9")
	require.NoError(t, open.EndTransaction(t.Context(), kgo.TryAbort))
}

func TestCheckOfAResumedRun(t *testing.T) {
	brokers := fakeKafka(t, kfake.SeedTopics(2, "users"))
	produce(t, brokers, "users", 0, ids(0, 100)...)
	produce(t, brokers, "users", 1, ids(100, 200)...)
	in := input(t, brokers, fakeRedis(t))
	store, err := ledger.Open(in.Redis, in.Campaign, ledger.Config{})
	require.NoError(t, err)
	led := ledger.NewGrants(store, 1)
	require.NoError(t, led.EnsureSpec(t.Context(), in.Campaign))
	_, err = led.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	require.NoError(t, led.Checkpoint(t.Context(), grant.Offsets{0: 60}, nil))

	r := check(t, in)
	assert.Equal(t, Pass, find(t, r, "kafka.gap").Status)
	assert.Contains(t, find(t, r, "campaign.progress").Detail, "a run has 200 records to read", "the group has committed nothing, so it reads from the start")
	assert.Contains(t, find(t, r, "campaign.spec").Detail, "stored since")

	resp, err := clientOf(t, brokers).CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: "users.rejected", NumPartitions: 1, ReplicationFactor: 1, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "max.message.bytes", ConfigValue: "5000"}},
	}}})
	require.NoError(t, err)
	require.NoError(t, resp.Errors["users.rejected"])
	r = check(t, in)
	assert.Contains(t, find(t, r, "kafka.rejected").Detail, "keeps them for 7 d")
	assert.Contains(t, find(t, r, "kafka.size").Detail, "dead letters 4.9 kB")
}

// A canary has a group and a checkpoint of its own, and stores no rejected records: what everybody's pass has, or may, is
// not what it meets.
func TestCheckOfACanary(t *testing.T) {
	brokers := fakeKafka(t, kfake.SeedTopics(2, "users"))
	produce(t, brokers, "users", 0, ids(0, 100)...)
	produce(t, brokers, "users", 1, ids(100, 200)...)
	in := input(t, brokers, fakeRedis(t))
	canary := in.Pass.Some("canary 1%", "canary-1%", func(uint64) bool { return true })
	granted := func(pass grant.Pass, next grant.Offsets) {
		store, err := ledger.Open(in.Redis, in.Campaign, ledger.Config{Pass: pass})
		require.NoError(t, err)
		led := ledger.NewGrants(store, 1)
		require.NoError(t, led.EnsureSpec(t.Context(), in.Campaign))
		_, err = led.Begin(t.Context(), grant.TopicID{})
		require.NoError(t, err)
		require.NoError(t, led.Checkpoint(t.Context(), next, nil))
	}
	granted(in.Pass, grant.Offsets{0: 100, 1: 100})
	member, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumerGroup(in.Pass.Group), kgo.ConsumeTopics("users"))
	require.NoError(t, err)
	defer member.Close()
	require.NotZero(t, member.PollFetches(t.Context()).NumRecords())
	assert.Contains(t, find(t, check(t, in), "kafka.group").Detail, "no granter")
	in.Pass = canary
	r := check(t, in)
	assert.Contains(t, find(t, r, "campaign.progress").Detail, "starts from the beginning")
	assert.Contains(t, find(t, r, "kafka.group").Detail, in.Pass.Group+" has no members")
	assert.Contains(t, find(t, r, "kafka.rejected").Detail, "rejected records are counted")
	granted(canary, grant.Offsets{0: 60})
	assert.Contains(t, find(t, check(t, in), "campaign.progress").Detail, "a run has 140 records to read", "Kafka is not asked")
}

func TestCheckOfAMissingTopic(t *testing.T) {
	brokers := fakeKafka(t, kfake.SeedTopics(1, "user", "orders"))
	r := check(t, input(t, brokers, fakeRedis(t)))
	assert.Equal(t, Fail, find(t, r, "kafka.topic").Status)
	assert.Contains(t, find(t, r, "kafka.topic").Advice, "did you mean user?")
	assert.Equal(t, 1, r.Count(Fail))
}

func TestCheckOfAnEmptyTopic(t *testing.T) {
	r := check(t, input(t, fakeKafka(t, kfake.SeedTopics(1, "users")), fakeRedis(t)))
	assert.False(t, r.Failed())
	assert.Contains(t, find(t, r, "kafka.records").Detail, "empty")
	assert.Contains(t, find(t, r, "sample.valid").Detail, "nothing to sample")
}

func TestCheckWithRefusedKafkaCredentials(t *testing.T) {
	brokers := fakeKafka(t, kfake.SeedTopics(1, "users"), kfake.EnableSASL(), kfake.Superuser("PLAIN", "granter", "right"))
	in := input(t, brokers, fakeRedis(t))
	in.Kafka.SASL = plain.Mechanism{Username: "granter", Password: "right"}
	accepted := check(t, in)
	assert.False(t, accepted.Failed())
	assert.Contains(t, find(t, accepted, "kafka.login").Detail, "PLAIN: accepted")

	in.Kafka.SASL = plain.Mechanism{Username: "granter", Password: "wrong"}
	r := check(t, in)
	assert.Equal(t, 1, r.Count(Fail))
	assert.Equal(t, Fail, find(t, r, "kafka.login").Status)
	assert.NotContains(t, fmt.Sprint(r.Results), "wrong", "no secret is shown")

	in.Kafka.SASL = nil
	r = check(t, in)
	assert.Equal(t, 1, r.Count(Fail))
	assert.Contains(t, find(t, r, "kafka.brokers").Advice, "--kafka-sasl")
}

// silent accepts connections and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				for _, c := range open {
					c.Close()
				}
				return
			}
			open = append(open, conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestCheckGivesUpOnServersThatDoNotAnswer(t *testing.T) {
	for _, mechanism := range []string{"", "plain"} {
		addr := silent(t)
		in := input(t, []string{closed(t), addr}, ledger.Options{Addrs: []string{silent(t)}})
		in.Timeout = 300 * time.Millisecond
		var err error
		in.Kafka.SASL, err = source.Mechanism(mechanism, "user", "password")
		require.NoError(t, err)
		r := check(t, in)
		assert.Equal(t, 2, r.Count(Fail))
		brokers := find(t, r, "kafka.brokers")
		assert.Contains(t, brokers.Detail, "connection refused")
		assert.Contains(t, brokers.Detail, addr+" (no answer")
		assert.Equal(t, Fail, find(t, r, "redis.reachable").Status)
		assert.Equal(t, Pass, find(t, r, "campaign.dates").Status)
	}
}

func TestCheckGoesOnWithTheBrokersThatAnswer(t *testing.T) {
	brokers := fakeKafka(t, kfake.SeedTopics(1, "users"))
	dead := silent(t)
	in := input(t, append([]string{dead}, brokers...), fakeRedis(t))
	in.Timeout = 500 * time.Millisecond
	r := check(t, in)
	assert.Equal(t, Warn, find(t, r, "kafka.brokers").Status)
	assert.Contains(t, find(t, r, "kafka.brokers").Detail, dead)
	assert.Equal(t, Pass, find(t, r, "kafka.topic").Status)
}

func TestCheckWithWrongRedisPassword(t *testing.T) {
	m := miniredis.RunT(t)
	m.RequireAuth("right")
	brokers := fakeKafka(t, kfake.SeedTopics(1, "users"))
	r := check(t, input(t, brokers, ledger.Options{Addrs: []string{m.Addr()}, Password: "wrong"}))
	assert.Equal(t, 1, r.Count(Fail))
	assert.Equal(t, Fail, find(t, r, "redis.login").Status)
	assert.NotContains(t, fmt.Sprint(r.Results), "wrong ", "no secret is shown")
}

func TestCheckEndsWithItsContext(t *testing.T) {
	in := input(t, []string{silent(t)}, ledger.Options{Addrs: []string{silent(t)}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := Check(ctx, in)
	assert.True(t, r.Failed())
}

func TestCheckWithAClientThatIsNoCluster(t *testing.T) {
	in := input(t, []string{closed(t)}, ledger.Options{Addrs: []string{closed(t)}, Cluster: true})
	require.IsType(t, &redis.ClusterClient{}, in.Redis)
	r := check(t, in)
	assert.Equal(t, Fail, find(t, r, "redis.reachable").Status)
	assert.Contains(t, find(t, r, "redis.reachable").Advice, "--redis")
}
