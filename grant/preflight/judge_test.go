package preflight

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

var aTopic = grant.TopicID{Cluster: "a-cluster", Topic: [16]byte{7}}

const specText = `campaign: emoticons-2022
title: Three emoticons
starts_at: 2022-11-05T09:00:00+09:00
ends_at: 2023-01-05T00:00:00+09:00
population: 800
source: {topic: users}
items:
  - {id: thank-you, kind: emoticon, validity: permanent}
`

func parse(t *testing.T, spec string) *grant.Campaign {
	t.Helper()
	c, err := campaign.Parse("test", []byte(spec))
	require.NoError(t, err)
	return c
}

// healthy is what a check finds when nothing is wrong, a day after the start.
type healthy struct {
	in    Input
	kafka kafkaFacts
	redis redisFacts
	lists listFacts
}

func allWell(t *testing.T) *healthy {
	t.Helper()
	c := parse(t, specText)
	brokers := []kafka.Broker{{Host: "k1", Port: 9092, ID: 1}, {Host: "k2", Port: 9092, ID: 2}}
	h := &healthy{
		in: Input{
			Campaign: c, Pass: grant.Pass{Group: "granter-emoticons-2022"}, Timeout: time.Second, now: c.StartsAt.Add(24 * time.Hour),
			Redis: redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}),
		},
		kafka: kafkaFacts{
			bootstrap: []answer{{addr: "k1:9092"}}, names: []string{"users", "orders"},
			brokers:   []broker{{answer: answer{addr: "k1:9092"}, leads: 1}, {answer: answer{addr: "k2:9092"}, leads: 1}},
			topic:     kafka.Topic{Name: "users"},
			identity:  aTopic,
			config:    map[string]string{"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete", "max.message.bytes": "1048588"},
			bounds:    grant.Bounds{Firsts: grant.Offsets{}, Ends: grant.Offsets{}},
			stable:    grant.Offsets{},
			committed: grant.Offsets{0: -1, 1: -1},
			rights: map[string]source.Rights{
				"users": mayDo(source.Read, source.Describe), "users.rejected": mayDo(source.Write, source.Create, source.Describe),
			},
			groupRights: mayDo(source.Read, source.Describe),
		},
		redis: redisFacts{
			Facts: ledger.Facts{Probed: true, Masters: []ledger.NodeFacts{master("r1:6379")}}, machine: map[string]int64{"r1:6379": 8 << 30},
			checkpoint: grant.Checkpoint{Topic: aTopic},
		},
	}
	t.Cleanup(func() { require.NoError(t, h.in.Redis.Close()) })
	for p := range 2 {
		h.kafka.topic.Partitions = append(h.kafka.topic.Partitions, kafka.Partition{ID: p, Leader: brokers[p], Replicas: brokers, Isr: brokers})
		h.kafka.bounds.Firsts[p], h.kafka.bounds.Ends[p] = 0, 400
		h.kafka.stable[p] = 400
		sample := source.Sample{Place: source.Place{Partition: p, Until: 400, Limit: 400}, Oldest: c.StartsAt.Add(-24 * time.Hour)}
		for i := range 400 {
			sample.Records = append(sample.Records, source.Sampled{Offset: int64(i), ID: grant.NumberID(uint64(1000 + 2*i + p))})
		}
		h.kafka.samples = append(h.kafka.samples, sample)
	}
	return h
}

func mayDo(operations ...source.Operation) source.Rights {
	var bits int32
	for _, o := range operations {
		bits |= 1 << o
	}
	return source.RightsOf(bits)
}

// withLetters makes the dead-letter topic be there, with a configuration.
func (h *healthy) withLetters(key, value string) {
	h.kafka.letters = &kafka.Topic{Name: "users.rejected", Partitions: h.kafka.topic.Partitions}
	h.kafka.lettersConfig = map[string]string{key: value}
}

func master(addr string) ledger.NodeFacts {
	return ledger.NodeFacts{
		Addr: addr, Version: "7.0.15", Role: "master", Mode: "standalone", UsedMemory: 1 << 20, MaxMemory: 1 << 30,
		MaxMemoryPolicy: "noeviction", AOF: "yes", AppendFsync: "everysec", LastSave: "ok", LastAOFWrite: "ok", MinReplicas: "0",
		ClockAhead: 3 * time.Millisecond, RoundTrip: time.Millisecond,
	}
}

func (h *healthy) judge() Report { return judge(&h.in, &h.kafka, &h.redis, &h.lists) }

func find(t *testing.T, r Report, name string) Result {
	t.Helper()
	for _, result := range r.Results {
		if result.Name == name {
			return result
		}
	}
	require.Fail(t, "no result "+name, "%v", r.Results)
	return Result{}
}

func wellFormed(t *testing.T, r Report) {
	t.Helper()
	names := map[string]bool{}
	for _, result := range r.Results {
		assert.False(t, names[result.Name], "%s twice", result.Name)
		names[result.Name] = true
		assert.NotEmpty(t, result.Detail, result.Name)
		assert.Contains(t, []Status{Pass, Warn, Fail}, result.Status)
		assert.Equal(t, result.Status != Pass, result.Advice != "", "advice of %s (%s): %q", result.Name, result.Status, result.Advice)
	}
}

func TestEverythingPassesWhenAllIsWell(t *testing.T) {
	t.Parallel()
	r := allWell(t).judge()
	wellFormed(t, r)
	for _, result := range r.Results {
		assert.Equal(t, Pass, result.Status, "%+v", result)
	}
	assert.False(t, r.Failed())
	var names []string
	for _, result := range r.Results {
		names = append(names, result.Name)
	}
	assert.Equal(t, []string{
		"kafka.brokers", "kafka.login", "kafka.topic", "kafka.identity", "kafka.leaders", "kafka.replicas", "kafka.records", "kafka.gap",
		"kafka.retention", "kafka.cleanup", "kafka.size", "kafka.transactions", "kafka.rejected", "kafka.group", "kafka.rights",
		"sample.valid", "sample.plausible", "sample.ids",
		"redis.reachable", "redis.version", "redis.role", "redis.eviction", "redis.memory", "redis.persistence", "redis.disk",
		"redis.rights", "redis.clock", "campaign.dates", "campaign.spec", "campaign.progress", "campaign.orders",
	}, names, "programs rely on the names and people on the order")
	assert.Contains(t, find(t, r, "sample.ids").Detail, "IDs from 1000 to 1799: 800 users in about 1 chunks")
}

// One thing is wrong in each case, and only that is complained about.
func TestEachComplaintNamesWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(h *healthy)
		result string
		status Status
		detail string
		advice string
	}{
		{"some bootstrap address is dead", func(h *healthy) {
			h.kafka.bootstrap = append(h.kafka.bootstrap, answer{"k9:9092", errors.New("connection refused")})
		}, "kafka.brokers", Warn, "k9:9092 (connection refused)", "--brokers"},
		{"a leading broker is dead", func(h *healthy) { h.kafka.brokers[1].err = errors.New("no such host") }, "kafka.brokers", Fail, "k2:9092 (no such host)", "advertised.listeners"},
		{"a broker that leads nothing is dead", func(h *healthy) { h.kafka.brokers[1] = broker{answer: answer{"k2:9092", io.EOF}} }, "kafka.brokers", Warn, "k2:9092 (EOF)", "--kafka-tls"},
		{"an unknown authority", func(h *healthy) {
			h.kafka.brokers[1].err = fmt.Errorf("tls: %w", x509.UnknownAuthorityError{})
		}, "kafka.brokers", Fail, "unknown authority", "--kafka-ca"},
		{"a partition without leader", func(h *healthy) { h.kafka.topic.Partitions[1].Leader = kafka.Broker{} }, "kafka.leaders", Fail, "partition 1", "start"},
		{"an under-replicated partition", func(h *healthy) { h.kafka.topic.Partitions[1].Isr = h.kafka.topic.Partitions[1].Isr[:1] }, "kafka.replicas", Warn, "1 (1 of 2 in sync)", "broker"},
		{"one replica", func(h *healthy) {
			for i := range h.kafka.topic.Partitions {
				p := &h.kafka.topic.Partitions[i]
				p.Replicas, p.Isr = p.Replicas[:1], p.Isr[:1]
			}
		}, "kafka.replicas", Warn, "one replica", "replicate"},
		{"unknown offsets", func(h *healthy) { h.kafka.bounds, h.kafka.boundsErr = grant.Bounds{}, kafka.LeaderNotAvailable }, "kafka.records", Fail, "Leader Not Available", "leads"},
		{"too few records", func(h *healthy) { h.in.Campaign.Population = 1000 }, "kafka.records", Warn, "800 records in all; by partition: 400, 400; the spec expects 1,000 users", "missing 200"},
		{"retention by time", func(h *healthy) { h.kafka.config["retention.ms"] = "604800000" }, "kafka.retention", Warn, "kept for 7 d: the first expire from 2022-11-11 09:00:00 +09:00 on", "retention.ms=-1"},
		{"retention ended", func(h *healthy) { h.kafka.config["retention.ms"] = "3600000" }, "kafka.retention", Warn, "1 h: the first expire from 2022-11-04 10:00:00 +09:00 on, which is past", "retention.ms=-1"},
		{"retention by size", func(h *healthy) { h.kafka.config["retention.bytes"] = "1073741824" }, "kafka.retention", Warn, "up to 1.0 GB", "retention.bytes=-1"},
		{"retention unknown", func(h *healthy) { h.kafka.configErr = kafka.TopicAuthorizationFailed }, "kafka.retention", Warn, "unknown, because", "DescribeConfigs"},
		{"compaction", func(h *healthy) { h.kafka.config["cleanup.policy"] = "compact" }, "kafka.cleanup", Warn, "same key", "user ID"},
		{"small dead letters", func(h *healthy) { h.withLetters("max.message.bytes", "10000") }, "kafka.size", Warn, "dead letters 9.8 kB", "users.rejected"},
		{"compacted dead letters", func(h *healthy) { h.withLetters("cleanup.policy", "compact,delete") }, "kafka.rejected", Fail, "refuses rejected records without a key", "dead_letters: NAME"},
		{"forgotten dead letters", func(h *healthy) { h.withLetters("retention.ms", "604800000") }, "kafka.rejected", Warn, "keeps them for 7 d", "retention.ms=-1"},
		{"dead letters that cannot be written", func(h *healthy) { h.withLetters("min.insync.replicas", "3") }, "kafka.rejected", Fail, "partition 0, 1 of users.rejected has fewer replicas in sync than a write needs (3)", "brokers"},
		{"a taken name", func(h *healthy) { h.kafka.lettersErr = fmt.Errorf("%w (collides)", kafka.InvalidTopic) }, "kafka.rejected", Fail, "users.rejected", "dead_letters: NAME"},
		{"no right to write dead letters", func(h *healthy) {
			h.kafka.rights["users.rejected"] = mayDo(source.Create, source.Describe)
		}, "kafka.rights", Fail, "may not Write on topic users.rejected", "--operation Write --topic users.rejected"},
		{"no right to see dead letters", func(h *healthy) {
			h.kafka.rights["users.rejected"] = source.Rights{Err: kafka.TopicAuthorizationFailed}
		}, "kafka.rights", Fail, "may not Describe, Write on topic users.rejected", "docs/operations.md"},
		{"no right to read", func(h *healthy) { h.kafka.rights["users"] = mayDo(source.Describe) }, "kafka.rights", Fail, "Read on topic users", "kafka-acls.sh"},
		{"no right to be in the group", func(h *healthy) { h.kafka.groupRights = mayDo(source.Describe) }, "kafka.rights", Fail, "Read on group granter-emoticons-2022", "--group"},
		{"rights that are not told", func(h *healthy) { h.kafka.rights = nil }, "kafka.rights", Warn, "not told", "docs/operations.md"},
		{"unknown rights", func(h *healthy) { h.kafka.rightsErr = io.EOF }, "kafka.rights", Warn, "EOF", "docs/operations.md"},
		{"an open transaction", func(h *healthy) { h.kafka.stable[1] = 7 }, "kafka.transactions", Warn, "1 since offset 7", "find-hanging"},
		{"unknown transactions", func(h *healthy) { h.kafka.stableErr = io.EOF }, "kafka.transactions", Warn, "EOF", "again"},
		{"no dead-letter topic", func(h *healthy) { h.kafka.lettersErr = kafka.ClusterAuthorizationFailed }, "kafka.rejected", Fail, "users.rejected", "create it with 2 partitions"},
		{"a forbidden group", func(h *healthy) { h.kafka.groupErr = kafka.GroupAuthorizationFailed }, "kafka.group", Fail, "granter-emoticons-2022", "--group"},
		{"an unknown group", func(h *healthy) { h.kafka.committedErr = io.EOF }, "kafka.group", Warn, "EOF", "logs"},
		{"a group of the new protocol", func(h *healthy) { h.kafka.groupKind = source.GroupKind{Type: "consumer", State: "Stable"} }, "kafka.group", Fail, "KIP-848", "--group"},
		{"a share group", func(h *healthy) { h.kafka.groupKind = source.GroupKind{Type: "share", State: "Empty"} }, "kafka.group", Fail, "is a share group", "--group"},
		{"a group of connectors", func(h *healthy) {
			h.kafka.groupKind = source.GroupKind{Type: "classic", State: "Stable", Protocol: "connect"}
		}, "kafka.group", Fail, "group of connect", "--group"},
		{"strangers in the group", func(h *healthy) { h.kafka.members, h.kafka.strangers = []string{"x/10.0.0.9"}, []string{"x/10.0.0.9"} }, "kafka.group", Warn, "x/10.0.0.9", "--group"},
		{"the checkpoint is beyond the end", func(h *healthy) { h.redis.checkpoint.Next = grant.Offsets{0: 401}; h.kafka.committed[0] = 401 }, "kafka.gap", Fail, "0 (checkpoint 401, end 400)", "--new-topic"},
		{"an unreadable sample", func(h *healthy) { h.kafka.samples, h.kafka.sampleErr = nil, kafka.TopicAuthorizationFailed }, "sample.valid", Fail, "failed", "Read"},
		{"a sample that saw nothing", func(h *healthy) {
			for i := range h.kafka.samples {
				h.kafka.samples[i].Records, h.kafka.samples[i].Cut = nil, true
			}
		}, "sample.valid", Warn, "not one of 800 records was seen", "quota"},
		{"a record without ID", func(h *healthy) {
			h.kafka.samples[1].Records[3] = source.Sampled{Offset: 3, Reason: source.ReasonSpace, Data: []byte("12 \xec\x95\x88")}
		}, "sample.valid", Warn, `1 of 800 sampled records (0.12%) hold no user ID: space 1 (partition/offset 1/3 "12 \uc548")`, "users.rejected"},
		{"an abort", func(h *healthy) { h.redis.control = grant.Control{AbortedBy: &grant.Given{Who: "minji", Why: "OPS-1"}} }, "campaign.orders", Warn, "aborted by minji", "exit code 6"},
		{"a pause", func(h *healthy) {
			h.redis.control = grant.Control{Paused: true, PausedBy: &grant.Given{Who: "minji", Why: "OPS-1"}}
		}, "campaign.orders", Warn, "paused by minji", "granter resume"},
		{"a newer format", func(h *healthy) {
			h.redis.specErr = &ledger.FormatError{Key: "granter:{x}:format", Found: "3", Since: "0.9"}
		}, "campaign.spec", Fail, "use granter 0.9 or later", "with that version"},
		{"orders that cannot be read", func(h *healthy) { h.redis.controlErr = ledger.ErrInconsistent }, "campaign.orders", Fail, "inconsistent", ":control"},
		{"an old version", func(h *healthy) { h.redis.Masters[0].Version = "6.0.16" }, "redis.version", Fail, "Redis 6.0.16", "6.2"},
		{"a version without number", func(h *healthy) { h.redis.Masters[0].Version = ledger.Unknown }, "redis.version", Warn, "unknown", "INFO"},
		{"a replica", func(h *healthy) { h.redis.Masters[0].Role = "slave"; h.redis.Masters[0].WriteError = "READONLY" }, "redis.role", Fail, "replica", "--redis-sentinel"},
		{"a Sentinel", func(h *healthy) { h.redis.Masters[0].Mode = "sentinel" }, "redis.role", Fail, "Sentinel", "--redis-sentinel"},
		{"a node of a cluster", func(h *healthy) { h.redis.Masters[0].Mode = "cluster" }, "redis.role", Fail, "cluster", "--redis-cluster"},
		{"an unknown role", func(h *healthy) { h.redis.Masters[0].Role = ledger.Unknown }, "redis.role", Warn, "unknown", "INFO"},
		{"eviction", func(h *healthy) { h.redis.Masters[0].MaxMemoryPolicy = "allkeys-lru" }, "redis.eviction", Fail, "allkeys-lru", "noeviction"},
		{"unknown eviction", func(h *healthy) { h.redis.Masters[0].MaxMemoryPolicy = ledger.Unknown }, "redis.eviction", Warn, "unknown", "noeviction"},
		{"too little memory", func(h *healthy) { h.redis.Masters[0].MaxMemory = 1<<20 + 100 }, "redis.memory", Fail, "does not fit", "raise maxmemory to 1.3 MB"},
		{"little memory", func(h *healthy) { h.redis.Masters[0].MaxMemory = 1<<20 + 20<<10 }, "redis.memory", Warn, "just fits", "raise maxmemory"},
		{"too small a machine", func(h *healthy) { h.redis.Masters[0].MaxMemory, h.redis.machine["r1:6379"] = 0, 1<<20+100 }, "redis.memory", Fail, "of the machine", "a machine with"},
		{"unknown memory", func(h *healthy) { h.redis.Masters[0].MaxMemory, h.redis.machine = -1, nil }, "redis.memory", Warn, "unknown", "sample.ids"},
		{"no persistence", func(h *healthy) { h.redis.Masters[0].AOF = "no" }, "redis.persistence", Fail, "loses every grant", "--allow-volatile"},
		{"snapshots only", func(h *healthy) { h.redis.Masters[0].AOF, h.redis.Masters[0].Save = "no", "3600 1" }, "redis.persistence", Warn, "save 3600 1", "appendonly"},
		{"no fsync", func(h *healthy) { h.redis.Masters[0].AppendFsync = "no" }, "redis.persistence", Warn, "30 seconds", "everysec"},
		{"unknown persistence", func(h *healthy) { h.redis.Masters[0].AOF, h.redis.Masters[0].Save = "no", ledger.Unknown }, "redis.persistence", Warn, "unknown", "persists"},
		{"a failed snapshot", func(h *healthy) { h.redis.Masters[0].LastSave = "err" }, "redis.disk", Fail, "snapshot failed", "disk"},
		{"a failed append", func(h *healthy) { h.redis.Masters[0].LastAOFWrite = "err" }, "redis.disk", Fail, "append-only", "disk"},
		{"unknown disk", func(h *healthy) {
			h.redis.Masters[0].LastSave, h.redis.Masters[0].LastAOFWrite = ledger.Unknown, ledger.Unknown
		}, "redis.disk", Warn, "unknown", "log"},
		{"no rights", func(h *healthy) {
			h.redis.Masters[0].WriteError, h.redis.Masters[0].WriteHint = "NOPERM x", "see ACL LOG"
		}, "redis.rights", Fail, "NOPERM x", "ACL LOG"},
		{"a clock that is off", func(h *healthy) { h.redis.Masters[0].ClockAhead = -3 * time.Second }, "redis.clock", Warn, "3.000 s behind", "chrony"},
		{"a clock that is far off", func(h *healthy) { h.redis.Masters[0].ClockAhead = time.Hour }, "redis.clock", Fail, "ahead", "chrony"},
		{"a master without anchor", func(h *healthy) { h.redis.Cluster, h.redis.Anchors = true, "master x" }, "redis.cluster", Fail, "master x", "rebalance"},
		{"slots without master", func(h *healthy) { h.redis.Cluster, h.redis.State = true, "fail" }, "redis.cluster", Fail, "cluster_state is fail", "fix"},
		{"an unknown cluster", func(h *healthy) { h.redis.Cluster, h.redis.State = true, ledger.Unknown }, "redis.cluster", Warn, "unknown", "slots"},
		{"it is over", func(h *healthy) { h.in.now = h.in.Campaign.EndsAt.Add(90 * time.Minute) }, "campaign.dates", Fail, "1 h 30 m ago", "ends_at"},
		{"an unreadable spec", func(h *healthy) { h.redis.specErr = io.EOF }, "campaign.spec", Fail, "EOF", "granter:{emoticons-2022}:spec"},
		{"an unreadable ledger", func(h *healthy) { h.redis.totalsErr = io.EOF }, "campaign.progress", Fail, "EOF", "--prove"},
		{"more granted than expected", func(h *healthy) { h.redis.totals.Granted = 801 }, "campaign.progress", Warn, "801 of 800 users granted", "topic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := allWell(t)
			c.change(h)
			r := h.judge()
			wellFormed(t, r)
			result := find(t, r, c.result)
			assert.Equal(t, c.status, result.Status, "%+v", result)
			assert.Contains(t, result.Detail, c.detail)
			assert.Contains(t, result.Advice, c.advice)
			assert.Equal(t, c.status == Fail, r.Failed())
			for _, other := range r.Results {
				assert.True(t, other.Name == c.result || other.Status == Pass, "%+v", other)
			}
		})
	}
}

func TestGapsHaveTheFlagsThatAcceptThem(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.kafka.bounds.Firsts = grant.Offsets{0: 100, 1: 250}
	h.redis.checkpoint.Next = grant.Offsets{1: 240}
	h.kafka.committed[1] = 300 // the smaller of the two is where a run starts
	r := find(t, h.judge(), "kafka.gap")
	assert.Equal(t, Fail, r.Status)
	assert.Contains(t, r.Detail, "110 records that were never granted are gone from 2 partitions")
	assert.Contains(t, r.Advice, "--accept-gap 0:0-100 --accept-gap 1:240-250")

	h.in.Pass.AcceptGaps = []grant.Gap{{Partition: 0, From: 0, To: 100}, {Partition: 1, From: 240, To: 250}}
	r = find(t, h.judge(), "kafka.gap")
	assert.Equal(t, Pass, r.Status)
	assert.Contains(t, r.Detail, "110 records are gone, as accepted")

	h.redis.checkpoint.Next[1], h.kafka.committed[1] = 300, 240 // what is gone has been granted
	assert.Contains(t, find(t, h.judge(), "kafka.gap").Detail, "100 records are gone, as accepted")
	h.redis.checkpoint.Next[1] = 240

	h.in.Pass.AcceptGaps[1] = grant.Gap{Partition: 1, From: 200, To: 300}
	r = find(t, h.judge(), "kafka.gap")
	assert.Equal(t, Warn, r.Status)
	assert.Contains(t, r.Detail, "110 records are gone; --accept-gap also names 50 records that are there and not granted yet")
}

func TestAnUnreachableClusterIsReportedOnce(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.kafka = kafkaFacts{bootstrap: []answer{{"k1:9092", errors.New("connection refused")}, {"k2:9092", errors.New("no such host")}}}
	r := h.judge()
	wellFormed(t, r)
	assert.Equal(t, 1, r.Count(Fail))
	detail := find(t, r, "kafka.brokers").Detail
	assert.Contains(t, detail, "k1:9092 (connection refused), k2:9092 (no such host)")
	assert.Contains(t, detail, "not checked: topic")
	assert.Equal(t, Pass, find(t, r, "redis.eviction").Status, "Redis is checked all the same")

	h = allWell(t)
	h.redis = redisFacts{err: fmt.Errorf("r1:6379: %w", io.EOF)}
	r = h.judge()
	wellFormed(t, r)
	assert.Equal(t, 1, r.Count(Fail))
	assert.Contains(t, find(t, r, "redis.reachable").Detail, "not checked: persistence")
	assert.Contains(t, find(t, r, "redis.reachable").Advice, "--redis-tls")
	assert.Equal(t, Pass, find(t, r, "sample.ids").Status, "Kafka is checked all the same")
}

func TestRefusedCredentialsAreReportedOnce(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.in.Kafka.SASL = plain.Mechanism{}
	assert.Contains(t, find(t, h.judge(), "kafka.login").Detail, "PLAIN: accepted")

	h.kafka = kafkaFacts{bootstrap: []answer{{"k1:9092", kafka.SASLAuthenticationFailed}, {"k2:9092", kafka.SASLAuthenticationFailed}}}
	r := h.judge()
	wellFormed(t, r)
	assert.Equal(t, 1, r.Count(Fail))
	assert.Contains(t, find(t, r, "kafka.login").Advice, "GRANTER_KAFKA_PASSWORD")

	h = allWell(t)
	h.redis = redisFacts{err: redis.ErrClosed}
	assert.Equal(t, Fail, find(t, h.judge(), "redis.reachable").Status)
}

func TestAMissingTopicHasTheNearestNameAsHint(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.kafka.topic, h.kafka.topicErr, h.kafka.bounds, h.kafka.names = kafka.Topic{}, kafka.UnknownTopicOrPartition, grant.Bounds{}, []string{"orders", "user"}
	r := h.judge()
	wellFormed(t, r)
	assert.Contains(t, find(t, r, "kafka.topic").Detail, "no topic users among the 2 topics")
	assert.Contains(t, find(t, r, "kafka.topic").Advice, "did you mean user?")
	h.kafka.names = []string{"orders"}
	assert.NotContains(t, find(t, h.judge(), "kafka.topic").Advice, "did you mean")
	h.kafka.topicErr = kafka.TopicAuthorizationFailed
	assert.Contains(t, find(t, h.judge(), "kafka.topic").Advice, "Describe")
}

func TestAFloodOfRejectsFails(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	for i := range h.kafka.samples {
		for k := range h.kafka.samples[i].Records {
			h.kafka.samples[i].Records[k] = source.Sampled{Offset: int64(k), Reason: source.ReasonNotDecimal, Data: []byte("x")}
		}
	}
	nobody := find(t, h.judge(), "sample.valid")
	assert.Equal(t, Fail, nobody.Status)
	assert.Contains(t, nobody.Advice, "a run would grant nobody", "however few they are")
	h.kafka.samples[1].Records[7] = source.Sampled{Offset: 7, ID: grant.NumberID(7)}
	assert.Equal(t, Warn, find(t, h.judge(), "sample.valid").Status, "so few do not stop a run")
	h.in.Campaign.Input.MaxRejected = 0
	assert.Equal(t, Fail, find(t, h.judge(), "sample.valid").Status, "unless none is tolerated")
	h.in.Campaign.Input.MaxRejected = 0.01
	h.kafka.bounds.Ends[0] = 4000
	r := h.judge()
	wellFormed(t, r)
	result := find(t, r, "sample.valid")
	assert.Equal(t, Fail, result.Status)
	assert.Contains(t, result.Detail, `not_decimal 799 (partition/offset 0/0 "x", 0/1 "x", 0/2 "x")`)
	assert.Contains(t, result.Advice, "max_rejected")
}

func TestStoredSpec(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.redis.stored, h.redis.spec = true, ledger.StoredSpec{Hash: h.in.Campaign.Hash, Canonical: h.in.Campaign.Canonical, StoredAt: h.in.now}
	assert.Contains(t, find(t, h.judge(), "campaign.spec").Detail, "stored since 2022-11-06 09:00:00 +09:00")

	other := parse(t, specText+"  - {id: one-more, kind: item, validity: 90d}\n")
	h.redis.spec = ledger.StoredSpec{Hash: other.Hash, Canonical: other.Canonical}
	assert.Contains(t, find(t, h.judge(), "campaign.spec").Detail, "nobody was granted")

	h.redis.permitted = &ledger.SpecConflictError{StoredHash: other.Hash, GivenHash: h.in.Campaign.Hash}
	r := h.judge()
	wellFormed(t, r)
	result := find(t, r, "campaign.spec")
	assert.Equal(t, Fail, result.Status)
	assert.Contains(t, result.Detail, "items[one-more].kind: stored item, not given")

	h.redis.stored = false
	r = h.judge()
	wellFormed(t, r)
	assert.Equal(t, Fail, find(t, r, "campaign.spec").Status, "chunks may remember what the key has lost")
}

func TestProgressSaysWhereARunContinues(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	assert.Contains(t, find(t, h.judge(), "campaign.progress").Detail, "starts from the beginning")
	h.redis.checkpoint.Next = grant.Offsets{0: 400, 1: 150}
	maps.Copy(h.kafka.committed, h.redis.checkpoint.Next)
	h.redis.totals = ledger.Totals{Granted: 550, Chunks: 1, Bytes: 9000}
	assert.Equal(t, "550 of 800 users granted; a run has 250 records to read", find(t, h.judge(), "campaign.progress").Detail)
	h.redis.control.Finish = &grant.Finish{Ends: grant.Offsets{0: 400, 1: 200}, Topic: aTopic}
	assert.Contains(t, find(t, h.judge(), "campaign.progress").Detail, "a run has 50 records to read, up to where it was ordered to finish")
	h.redis.control.Finish.Topic = grant.TopicID{Cluster: "c", Topic: [16]byte{9}} // nobody heeds it
	assert.Contains(t, find(t, h.judge(), "campaign.progress").Detail, "a run has 250 records to read")
	h.redis.control.Finish = nil

	h.in.now = h.in.Campaign.StartsAt.Add(-75*time.Hour - 4*time.Minute)
	assert.Contains(t, find(t, h.judge(), "campaign.dates").Detail, "starts in 3 d 3 h, at 2022-11-05 09:00:00 +09:00; ends at 2023-01-05")
}

func TestMastersOfAClusterAreJudgedTogether(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.redis.Cluster, h.redis.State = true, "ok"
	h.redis.Masters = []ledger.NodeFacts{master("r1:1"), master("r2:1"), master("r3:1")}
	for i := range h.redis.Masters {
		h.redis.Masters[i].Mode = "cluster"
	}
	r := h.judge()
	wellFormed(t, r)
	assert.False(t, r.Failed())
	assert.Equal(t, "noeviction", find(t, r, "redis.eviction").Detail)
	assert.Contains(t, find(t, r, "redis.cluster").Detail, "3 masters")

	h.redis.Masters[1].MaxMemoryPolicy = "volatile-ttl"
	h.redis.Masters[2].MaxMemoryPolicy = "volatile-ttl"
	h.redis.Masters[2].Version = "7.2.4"
	r = h.judge()
	wellFormed(t, r)
	assert.Equal(t, "r2:1, r3:1: volatile-ttl: Redis would throw grants away when memory runs out", find(t, r, "redis.eviction").Detail)
	assert.Equal(t, "r1:1, r2:1: Redis 7.0.15, r3:1: Redis 7.2.4", find(t, r, "redis.version").Detail)
}

func TestVolatileRedisIsAcceptedWhenAllowed(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.redis.Masters[0].AOF = "no"
	h.in.AllowVolatile = true
	r := h.judge()
	wellFormed(t, r)
	assert.Equal(t, Pass, find(t, r, "redis.persistence").Status)
}

func TestText(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "1,234,567", text.Number(1234567))
	assert.Equal(t, "999", text.Number(999))
	assert.Equal(t, "1 user", plural(1, "user"))
	assert.Equal(t, "48,000,000 users", plural(int64(48_000_000), "user"))
	assert.Equal(t, "118 MB", memory(int64(118<<20)))
	assert.Equal(t, "2.5 GB", memory(2.5*1024*1024*1024))
	assert.Equal(t, "0 B", memory(int64(0)))
	for d, want := range map[time.Duration]string{
		75 * time.Hour: "3 d 3 h", 24*time.Hour + 5*time.Minute: "1 d", 90 * time.Second: "1 m 30 s", time.Hour: "1 h",
		1500 * time.Millisecond: "1 s", 20 * time.Millisecond: "20ms", math.MaxInt64: "106751 d 23 h",
	} {
		assert.Equal(t, want, span(d))
	}
	assert.Equal(t, "a, b and 2 more", few([]string{"a", "b", "c", "d"}, 2))
	assert.Equal(t, "48,000,000", about(47_999_999))
	for want, parts := range map[string][2]int{
		"0%": {0, 5}, "100%": {5, 5}, "over 99%": {999, 1000}, "99%": {99, 100}, "50%": {1, 2}, "0.25%": {1, 400}, "0.001%": {1, 100_000}, "1.2%": {12, 1000},
	} {
		assert.Equal(t, want, share(parts[0], parts[1]))
	}
	assert.Equal(t, "100", digits(99.7), "not 1e+02")
	assert.Equal(t, "2.4", digits(2.4))
	assert.Equal(t, "10", digits(9.97))
}
