//go:build integration

package preflight

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

var testMainOptions = []goleak.Option{goleak.Cleanup(func(code int) {
	devtest.StopShared()
	os.Exit(code)
})}

// realKafka is the shared broker with a topic for this test alone.
func realKafka(t *testing.T, partitions int, config map[string]string) (brokers []string, topic string) {
	t.Helper()
	k := devtest.SharedKafka(t)
	topic = strings.ToLower(strings.NewReplacer("/", "-", "#", "-").Replace(t.Name()))
	k.CreateTopic(t, topic, partitions, 1, config)
	return k.Brokers, topic
}

func durable(t *testing.T, options ...devtest.RedisOption) *devtest.Redis {
	t.Helper()
	return devtest.StartRedis(t, append([]devtest.RedisOption{devtest.RedisSet("appendonly", "yes"), devtest.RedisSet("maxmemory", "256mb")}, options...)...)
}

func at(r *devtest.Redis) ledger.Options { return ledger.Options{Addrs: []string{r.Addr}} }

// realInput is a check of a topic of 2,000 users where all is well but for what the options change.
func realInput(t *testing.T, o ledger.Options) Input {
	t.Helper()
	brokers, topic := realKafka(t, 2, nil)
	produce(t, brokers, topic, 0, ids(0, 1000)...)
	produce(t, brokers, topic, 1, ids(1000, 2000)...)
	in := input(t, brokers, o)
	in.Campaign.Input.Topic, in.Campaign.Population, in.Pass.Group = topic, 2000, topic
	return in
}

func onlyFails(t *testing.T, r Report, names ...string) {
	t.Helper()
	for _, result := range r.Results {
		assert.Equal(t, slices.Contains(names, result.Name), result.Status == Fail, "%+v", result)
	}
}

func TestRealServersPass(t *testing.T) {
	in := realInput(t, at(durable(t)))
	check(t, in)
	began := time.Now()
	r := check(t, in)
	t.Logf("took %v", time.Since(began))
	assert.Equal(t, len(r.Results), r.Count(Pass))
	assert.Len(t, r.Results, 31)
	assert.Contains(t, find(t, r, "redis.memory").Detail, "(maxmemory)")

	keys, err := in.Redis.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	assert.Empty(t, keys, "a check leaves nothing behind")
}

func TestRealTopicThatWasTruncated(t *testing.T) {
	in := realInput(t, at(durable(t)))
	deleteRecords(t, in.Kafka.Brokers, in.Campaign.Input.Topic, 1, 350)
	r := check(t, in)
	onlyFails(t, r, "kafka.gap")
	assert.Contains(t, find(t, r, "kafka.gap").Advice, "--accept-gap 1:0-350")
	assert.Contains(t, find(t, r, "kafka.records").Detail, "1,650 records in all; by partition: 1,000, 650")

	in.Pass.AcceptGaps = []grant.Gap{{Partition: 1, From: 0, To: 350}}
	onlyFails(t, check(t, in))
}

func deleteRecords(t *testing.T, brokers []string, topic string, partition int32, before int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	require.NoError(t, err)
	defer client.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	rt, rp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Partition, rp.Offset = partition, before
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, rp)
	req.Topics, req.TimeoutMillis = append(req.Topics, rt), 5000
	resp, err := req.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Zero(t, resp.Topics[0].Partitions[0].ErrorCode)
}

// With LogAppendTime records expire by the broker's time, whatever their producers say.
func TestRealRetentionIsJudgedByTheTimeOfTheTopic(t *testing.T) {
	brokers, topic := realKafka(t, 1, map[string]string{"retention.ms": "604800000", "message.timestamp.type": "LogAppendTime"})
	in := input(t, brokers, at(durable(t)))
	in.Campaign.Input.Topic = topic
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic))
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Value: []byte("1"), Timestamp: time.UnixMilli(1_420_070_400_000)}).FirstErr())
	client.Close()
	detail := find(t, check(t, in), "kafka.retention").Detail
	assert.NotContains(t, detail, "2015")
	assert.Contains(t, detail, time.Now().Add(7*24*time.Hour).In(in.Campaign.StartsAt.Location()).Format("2006-01-02"))
}

func TestRealTopicConfigurationIsRead(t *testing.T) {
	brokers, topic := realKafka(t, 1, map[string]string{"retention.ms": "86400000", "cleanup.policy": "compact,delete", "max.message.bytes": "2097152"})
	in := input(t, brokers, at(durable(t)))
	in.Campaign.Input.Topic = topic
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Key: []byte("1"), Value: []byte("1"), Timestamp: time.Now()}).FirstErr())
	client.Close()
	r := check(t, in)
	onlyFails(t, r)
	assert.Contains(t, find(t, r, "kafka.retention").Detail, "1 d: the first expire from "+time.Now().Add(24*time.Hour).In(in.Campaign.StartsAt.Location()).Format("2006-01-02"))
	assert.Equal(t, Warn, find(t, r, "kafka.cleanup").Status)
	assert.Contains(t, find(t, r, "kafka.size").Detail, "2.0 MB")
	assert.Contains(t, find(t, r, "sample.ids").Detail, "IDs from 1 to 1: 1 users")
}

func TestRealTransactions(t *testing.T) {
	in := realInput(t, at(durable(t)))
	begin := func(id, value string) *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(in.Kafka.Brokers...), kgo.TransactionalID(in.Campaign.Input.Topic+id),
			kgo.DefaultProduceTopic(in.Campaign.Input.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		require.NoError(t, client.BeginTransaction())
		require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr())
		return client
	}
	require.NoError(t, begin("1", "aborted").EndTransaction(t.Context(), kgo.TryAbort))
	var r Report
	require.Eventually(t, func() bool { // the broker writes the marker a moment later
		r = check(t, in)
		return find(t, r, "kafka.transactions").Status == Pass
	}, 10*time.Second, 50*time.Millisecond)
	onlyFails(t, r)
	assert.Contains(t, find(t, r, "kafka.transactions").Detail, "left out")
	assert.Contains(t, find(t, r, "sample.valid").Detail, "all of 2,000 sampled records")

	open := begin("2", "7")
	r = check(t, in)
	assert.Contains(t, find(t, r, "kafka.transactions").Detail, "0 since offset 1002")
	require.NoError(t, open.EndTransaction(t.Context(), kgo.TryCommit))
}

func TestRealGroupWithMembers(t *testing.T) {
	in := realInput(t, at(durable(t)))
	src, err := source.New(source.Config{Kafka: in.Kafka, Topic: in.Campaign.Input, Campaign: in.Campaign.Name, Pass: in.Pass})
	require.NoError(t, err)
	defer src.Close()
	group, err := src.Join()
	require.NoError(t, err)
	gen, err := group.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, gen.Commit(grant.Offsets{0: 5, 1: 6}))
	r := check(t, in)
	onlyFails(t, r)
	assert.Contains(t, find(t, r, "kafka.group").Detail, "1 member already (granter/")
	gen.Release()
	require.NoError(t, group.Leave())

	client, err := kgo.NewClient(kgo.SeedBrokers(in.Kafka.Brokers...), kgo.ConsumerGroup(in.Pass.Group), kgo.ConsumeTopics(in.Campaign.Input.Topic),
		kgo.ClientID("somebody"), kgo.Balancers(kgo.RangeBalancer()))
	require.NoError(t, err)
	defer client.Close()
	require.NotZero(t, client.PollFetches(t.Context()).NumRecords())
	assert.Contains(t, find(t, check(t, in), "kafka.group").Detail, "no granter: somebody/")
}

// Kafka has forgotten what the group committed, and the ledger has not: a run reads from the first record, and check says so.
func TestRealGroupThatWasDeleted(t *testing.T) {
	in := realInput(t, at(durable(t)))
	store, err := ledger.Open(in.Redis, in.Campaign, ledger.Config{})
	require.NoError(t, err)
	led := ledger.NewGrants(store, 1)
	require.NoError(t, led.EnsureSpec(t.Context(), in.Campaign))
	_, err = led.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	require.NoError(t, led.Checkpoint(t.Context(), grant.Offsets{0: 1000, 1: 1000}, nil))
	assert.Contains(t, find(t, check(t, in), "campaign.progress").Detail, "a run has 2,000 records to read")

	src, err := source.New(source.Config{Kafka: in.Kafka, Topic: in.Campaign.Input, Campaign: in.Campaign.Name, Pass: in.Pass})
	require.NoError(t, err)
	defer src.Close()
	group, err := src.Join()
	require.NoError(t, err)
	gen, err := group.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, gen.Commit(grant.Offsets{0: 1000, 1: 1000}))
	gen.Release()
	require.NoError(t, group.Leave())
	assert.Contains(t, find(t, check(t, in), "campaign.progress").Detail, "a run has 0 records to read")

	client, err := kgo.NewClient(kgo.SeedBrokers(in.Kafka.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{in.Pass.Group}
	resp, err := req.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Zero(t, resp.Groups[0].ErrorCode)
	assert.Contains(t, find(t, check(t, in), "campaign.progress").Detail, "a run has 2,000 records to read")
}

func TestRealUnknownTopicAndDeadBroker(t *testing.T) {
	in := realInput(t, at(durable(t)))
	right := in.Campaign.Input.Topic
	in.Campaign.Input.Topic = right + "s"
	r := check(t, in)
	onlyFails(t, r, "kafka.topic")
	assert.Contains(t, find(t, r, "kafka.topic").Advice, "did you mean "+right+"?")

	in.Kafka.Brokers = []string{closed(t), closed(t)}
	r = check(t, in)
	onlyFails(t, r, "kafka.brokers")
	for _, addr := range in.Kafka.Brokers {
		assert.Contains(t, find(t, r, "kafka.brokers").Detail, addr)
	}
}

func TestRealBrokerThatIsFrozen(t *testing.T) {
	k := devtest.StartKafka(t, devtest.KafkaOptions{Brokers: 2})
	k.CreateTopic(t, "users", 2, 1, nil)
	k.MoveLeader(t, "users", 0, 0)
	k.MoveLeader(t, "users", 1, 1)
	in := input(t, k.Brokers[:1], at(durable(t)))
	in.Timeout = 2 * time.Second
	r := check(t, in)
	onlyFails(t, r)
	assert.Contains(t, find(t, r, "kafka.brokers").Detail, "2 brokers")
	assert.Equal(t, Warn, find(t, r, "kafka.replicas").Status)

	k.Freeze(1)
	defer k.Resume(1)
	r = check(t, in)
	onlyFails(t, r, "kafka.brokers")
	assert.Contains(t, find(t, r, "kafka.brokers").Detail, k.Brokers[1])
}

func TestRealKafkaCredentials(t *testing.T) {
	k := devtest.StartKafka(t, devtest.KafkaOptions{SASL: true})
	k.CreateTopic(t, "users", 1, 1, nil)
	produce(t, k.Brokers, "users", 0, ids(0, 10)...)
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		in := input(t, k.SASLBrokers, at(durable(t)))
		login := func(user, password string) Report {
			var err error
			in.Kafka.SASL, err = source.Mechanism(mechanism, user, password)
			require.NoError(t, err)
			return check(t, in)
		}
		r := login(devtest.SASLUser, devtest.SASLPassword)
		onlyFails(t, r)
		assert.Contains(t, find(t, r, "kafka.login").Detail, "accepted")

		onlyFails(t, login(devtest.SASLUser, "wrong-password"), "kafka.login")

		r = login(devtest.GuestUser, devtest.GuestPassword)
		onlyFails(t, r, "kafka.topic")
		assert.Contains(t, find(t, r, "kafka.topic").Advice, "Describe")
	}
	in := input(t, k.SASLBrokers, at(durable(t)))
	r := check(t, in)
	onlyFails(t, r, "kafka.brokers")
	assert.Contains(t, find(t, r, "kafka.brokers").Advice, "--kafka-sasl")
}

func TestRealRedisThatIsWrong(t *testing.T) {
	primary := durable(t)
	for _, c := range []struct {
		name    string
		options func() ledger.Options
		result  string
		detail  string
	}{
		{"replica", func() ledger.Options { return at(durable(t, devtest.ReplicaOf(primary))) }, "redis.role", "replica"},
		{"password", func() ledger.Options {
			o := at(durable(t, devtest.RedisSet("requirepass", "right")))
			o.Password = "wrong"
			return o
		}, "redis.login", "WRONGPASS"},
		{"no password", func() ledger.Options { return at(durable(t, devtest.RedisSet("requirepass", "right"))) }, "redis.login", "NOAUTH"},
		{"eviction", func() ledger.Options { return at(durable(t, devtest.RedisSet("maxmemory-policy", "allkeys-lfu"))) }, "redis.eviction", "allkeys-lfu"},
		{"memory", func() ledger.Options { return at(durable(t, devtest.RedisSet("maxmemory", "4mb"))) }, "redis.memory", "does not fit"},
		{"persistence", func() ledger.Options { return at(devtest.StartRedis(t)) }, "redis.persistence", "loses every grant"},
		{"unreachable", func() ledger.Options { return ledger.Options{Addrs: []string{closed(t)}} }, "redis.reachable", "connection refused"},
		{"no cluster", func() ledger.Options { return ledger.Options{Addrs: []string{primary.Addr}, Cluster: true} }, "redis.reachable", "cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := realInput(t, c.options())
			if c.name == "memory" {
				in.Campaign.Population = 4_000_000
			}
			r := check(t, in)
			onlyFails(t, r, c.result)
			assert.Contains(t, find(t, r, c.result).Detail, c.detail)
		})
	}
}

func TestRealRedisThatIsFrozen(t *testing.T) {
	server := durable(t)
	in := realInput(t, at(server))
	in.Timeout = 500 * time.Millisecond
	server.Freeze()
	defer server.Resume()
	r := check(t, in)
	onlyFails(t, r, "redis.reachable")
}

// rights are all that a granter needs, as an ACL rule.
const rights = "~granter:* resetchannels -@all +ping +select +client|setname +time +info +config|get +memory|usage +script|load +evalsha " +
	"+set +get +del +expire +strlen +setbit +getbit +bitop +bitpos +bitcount +rpush +lrange +hget +hmget +hset +hdel +hlen +hgetall +exists +pexpire +sadd +scard +scan +sscan"

func TestRealRedisRights(t *testing.T) {
	server := durable(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer admin.Close()
	user := func(rule string) Input {
		args := []any{"acl", "setuser", "granter", "reset", "on", ">secret"}
		for word := range strings.FieldsSeq(rule) {
			args = append(args, word)
		}
		require.NoError(t, admin.Do(context.Background(), args...).Err())
		o := at(server)
		o.Username, o.Password = "granter", "secret"
		in := input(t, devtest.SharedKafka(t).Brokers, o)
		in.Campaign.Input.Topic = "no-matter"
		return in
	}
	r := check(t, user(rights))
	onlyFails(t, r, "kafka.topic")
	assert.Equal(t, Pass, find(t, r, "redis.rights").Status)

	for _, missing := range []string{"+bitop", "+rpush", "+hset", "+evalsha", "+script|load", "+sadd", "+time"} {
		r = check(t, user(strings.Replace(rights, missing+" ", "", 1)))
		onlyFails(t, r, "kafka.topic", "redis.rights")
		assert.Contains(t, find(t, r, "redis.rights").Advice, "ACL", missing)
	}
	r = check(t, user(strings.Replace(rights, "~granter:*", "~other:*", 1)))
	assert.Equal(t, Fail, find(t, r, "redis.rights").Status)
	r = check(t, user(strings.Replace(rights, " +config|get", "", 1)))
	onlyFails(t, r, "kafka.topic")
	r = check(t, user(strings.Replace(rights, " +info", "", 1)))
	onlyFails(t, r, "kafka.topic")
	assert.Equal(t, Warn, find(t, r, "redis.role").Status)
}

func TestRealCluster(t *testing.T) {
	cluster := devtest.StartRedisCluster(t, 3, 0, devtest.RedisSet("appendonly", "yes"))
	in := realInput(t, ledger.Options{Addrs: cluster.Addrs})
	r := check(t, in)
	onlyFails(t, r)
	assert.Contains(t, find(t, r, "redis.reachable").Detail, "3 servers")
	assert.Contains(t, find(t, r, "redis.cluster").Detail, "3 masters")

	in = realInput2(t, in, at(cluster.Nodes[0]))
	r = check(t, in)
	assert.Contains(t, find(t, r, "redis.role").Advice, "--redis-cluster")

	cluster.Nodes[2].Kill()
	in = realInput2(t, in, ledger.Options{Addrs: cluster.Addrs})
	assert.True(t, check(t, in).Failed())
}

// realInput2 is the same check with another Redis.
func realInput2(t *testing.T, in Input, o ledger.Options) Input {
	t.Helper()
	client, err := ledger.Connect(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	in.Redis = client
	return in
}
