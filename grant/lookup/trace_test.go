package lookup

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
)

// kafka is a broker with a topic of two partitions, and a tracer of it.
type kafka struct {
	*testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
	tracer  *Tracer
}

const perPartition = 2000

var published = time.Date(2022, 11, 5, 0, 0, 0, 0, time.UTC)

// newKafka fills partition 0 with users 0, 2, 4…, partition 1 with 1, 3, 5…, and puts user 7 behind both once more.
func newKafka(t *testing.T) *kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.SeedTopics(2, "users"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	k := &kafka{T: t, cluster: cluster}
	k.client, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(k.client.Close)
	k.fill()
	k.tracer = k.newTracer(aCampaign().Input)
	return k
}

func (k *kafka) fill() {
	k.Helper()
	var records []*kgo.Record
	add := func(partition int32, user int) {
		records = append(records, &kgo.Record{
			Topic: "users", Partition: partition, Key: fmt.Append(nil, "key-", user), Value: fmt.Append(nil, user),
			Timestamp: published.Add(time.Duration(user) * time.Second),
			Headers:   []kgo.RecordHeader{{Key: "source", Value: []byte("crm")}, {Key: "bytes", Value: []byte{0xff}}},
		})
	}
	for user := range 2 * perPartition {
		add(int32(user%2), user)
	}
	add(0, 7)
	add(1, 7)
	require.NoError(k, k.client.ProduceSync(k.Context(), records...).FirstErr())
}

func (k *kafka) newTracer(input grant.Input) *Tracer {
	k.Helper()
	input.Format = grant.FormatDecimal
	src, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: k.cluster.ListenAddrs()}, Topic: input, Campaign: "sorry-2022", RetryFor: 5 * time.Second,
	})
	require.NoError(k, err)
	k.Cleanup(func() { require.NoError(k, src.Close()) })
	return &Tracer{Topic: src, Input: input, Letters: func() (Topic, func() error, error) {
		letters, err := src.Letters()
		if err != nil {
			return nil, nil, err
		}
		return letters, letters.Close, nil
	}}
}

// identity is the topic's, as a run notes it.
func (k *kafka) identity() string {
	k.Helper()
	id, err := k.tracer.Topic.Identify(k.Context())
	require.NoError(k, err)
	return id.String()
}

// granted is an answer about a user whose grant names some offsets.
func (k *kafka) granted(user grant.UserID, ranges ...Range) Answer {
	k.Helper()
	a := newAnswer(aCampaign(), user)
	a.Known, a.Granted = true, true
	a.Source = &Source{Topic: "users", TopicID: k.identity(), Offsets: ranges}
	return a
}

func (k *kafka) trace(answers ...Answer) []Answer {
	k.Helper()
	require.NoError(k, k.tracer.trace(k.Context(), answers))
	return answers
}

// The ranges that a grant names hold the record: with everything that Kafka has of it.
func TestTraceShowsTheRecord(t *testing.T) {
	k := newKafka(t)
	trace := k.trace(k.granted(grant.NumberID(41), Range{0, 0, 100}, Range{1, 10, 30}))[0].Trace
	key, value, crm, odd := "key-41", "41", "crm", `"\xff"`
	at := published.Add(41 * time.Second)
	require.Equal(t, &Trace{
		Times: 1, Searched: 122, TopicID: k.identity(),
		Records: []Record{{
			Topic: "users", Partition: 1, Offset: 20, Time: &at, Key: &key, Value: &value,
			Headers: []Header{{"source", &crm}, {"bytes", &odd}},
		}},
	}, trace)
}

// The whole topic is searched when that is asked for: the ID is counted wherever it is.
func TestTraceOfTheWholeTopicCounts(t *testing.T) {
	k := newKafka(t)
	k.tracer.Whole = true
	var last, all int64
	k.tracer.Progress = func(done, of int64) {
		require.Greater(t, done, last)
		last, all = done, of
	}
	k.tracer.Letters = nil
	answers := k.trace(k.granted(grant.NumberID(7), Range{1, 3, 3}), k.granted(grant.NumberID(41), Range{1, 20, 20}))
	require.EqualValues(t, 2*perPartition+2, last)
	require.Equal(t, last, all)
	var where [][2]int64
	for _, r := range answers[0].Trace.Records {
		where = append(where, [2]int64{int64(r.Partition), r.Offset})
	}
	require.Equal(t, [][2]int64{{0, perPartition}, {1, 3}, {1, perPartition}}, where)
	require.EqualValues(t, 3, answers[0].Trace.Times)
	require.True(t, answers[0].Trace.Whole)
	require.EqualValues(t, 1, answers[1].Trace.Times)
}

// A topic that was made again has other records at those offsets: it is not searched, and that is said.
func TestATopicThatWasMadeAgainCannotBeTraced(t *testing.T) {
	k := newKafka(t)
	a := k.granted(grant.NumberID(41), Range{1, 10, 30})
	remove := kmsg.NewDeleteTopicsRequest()
	remove.TopicNames = []string{"users"}
	remove.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: new("users")}}
	_, err := remove.RequestWith(t.Context(), k.client)
	require.NoError(t, err)
	create := kmsg.NewCreateTopicsRequest()
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "users", NumPartitions: 2, ReplicationFactor: 1}}
	_, err = create.RequestWith(t.Context(), k.client)
	require.NoError(t, err)
	k.tracer = k.newTracer(k.tracer.Input)
	trace := k.trace(a)[0].Trace
	require.Contains(t, trace.Problem, "the topic was made again")
	require.Contains(t, trace.Problem, a.Source.TopicID)
	require.Empty(t, trace.Records)
	require.Zero(t, trace.Searched)
}

// What retention has removed is said to be gone, and not to have been another user's.
func TestATraceSaysWhatRetentionRemoved(t *testing.T) {
	k := newKafka(t)
	cut := kmsg.NewDeleteRecordsRequest()
	cut.TimeoutMillis = 5000
	cut.Topics = []kmsg.DeleteRecordsRequestTopic{{
		Topic: "users", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 1, Offset: 25}},
	}}
	_, err := cut.RequestWith(t.Context(), k.client)
	require.NoError(t, err)
	trace := k.trace(k.granted(grant.NumberID(41), Range{1, 10, 30}))[0].Trace
	require.Contains(t, trace.Problem, "retention has removed 15 of the offsets")
	require.EqualValues(t, 6, trace.Searched)
}

// A trace has an end, and says that it found less than there may be.
func TestATraceThatRunsOutOfTimeSaysSo(t *testing.T) {
	k := newKafka(t)
	bounds, err := k.tracer.Topic.Bounds(t.Context())
	require.NoError(t, err)
	s := search{Tracer: k.tracer, wanted: map[grant.UserID][]*Trace{grant.NumberID(7): {{}}}}
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	require.NoError(t, s.read(ctx, []Range{{0, 0, bounds.Ends[0] - 1}}))
	s.finish(true)
	require.False(t, s.wanted[grant.NumberID(7)][0].Whole)
	require.Contains(t, s.wanted[grant.NumberID(7)][0].Problem, "not all was searched: 0 of 2001 records")
}

// subject is the campaign with a ledger that has granted nobody.
func (k *kafka) subject(st *status.Status) *Subject {
	return &Subject{
		Campaign: aCampaign(), Coordination: nobody{}, Reader: nobody{},
		Status: func(context.Context) (*status.Status, error) { return st, nil },
	}
}

type nobody struct{}

func (nobody) SpecKey() string { return "spec" }
func (nobody) Spec(context.Context) (ledger.StoredSpec, bool, error) {
	return ledger.StoredSpec{}, false, nil
}
func (nobody) Runs(context.Context) ([]grant.RunRecord, error) { return nil, nil }
func (nobody) Totals(context.Context) (ledger.Totals, error)   { return ledger.Totals{}, nil }
func (nobody) Held(_ context.Context, _ *grant.Campaign, users []grant.UserID) ([]ledger.User, []grant.Holding, error) {
	found := make([]ledger.User, len(users))
	for i, user := range users {
		found[i] = ledger.User{User: user, Place: grant.PlaceNone}
	}
	return found, make([]grant.Holding, len(users)), nil
}

// Who has nothing: never in the topic, in front of the checkpoint, behind it, or in the dead letters.
func TestATraceOfWhoHasNothing(t *testing.T) {
	k := newKafka(t)
	letter := &kgo.Record{Topic: "users.rejected", Partition: 0, Value: []byte("0041231007")}
	for name, value := range map[string]string{
		source.HeaderReason: "leading_zero", source.HeaderTopic: "users", source.HeaderPartition: "1", source.HeaderOffset: "99",
	} {
		letter.Headers = append(letter.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	elsewhere := *letter
	elsewhere.Headers = []kgo.RecordHeader{{Key: source.HeaderTopic, Value: []byte("another")}}
	create := kmsg.NewCreateTopicsRequest()
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "users.rejected", NumPartitions: 1, ReplicationFactor: 1}}

	look := func(st *status.Status, users ...grant.UserID) []Answer {
		answers, err := Look(t.Context(), k.subject(st), users)
		require.NoError(t, err)
		require.NoError(t, k.tracer.Trace(t.Context(), k.subject(st), answers))
		return answers
	}
	end := int64(perPartition + 1)
	st := settled()
	st.Partitions = []status.Partition{{Partition: 0, End: end, Checkpoint: end}, {Partition: 1, End: end, Checkpoint: end}}
	never := look(st, grant.NumberID(41_231_007))[0]
	require.True(t, never.Trace.Whole, "there are no dead letters, and nobody waits for them: %s", never.Trace.Problem)
	require.Equal(t, NeverInTopic, never.Reasons[0].Code)

	_, err := create.RequestWith(t.Context(), k.client)
	require.NoError(t, err)
	require.NoError(t, k.client.ProduceSync(t.Context(), letter, &elsewhere).FirstErr())
	k.tracer = k.newTracer(k.tracer.Input)
	rejected := look(st, grant.NumberID(41_231_007))[0]
	require.Equal(t, []Letter{{1, 99, "leading_zero", `"0041231007"`}}, rejected.Trace.Letters)
	require.Equal(t, Rejected, rejected.Reasons[0].Code)
	require.Len(t, rejected.Reasons, 1, "that no other record names the user is nothing to ask about")

	st = settled()
	st.Phase, st.Lag, st.Records = status.PhaseRunning, 1000, 2*end
	st.Partitions = []status.Partition{
		{Partition: 0, End: end, Checkpoint: end}, {Partition: 1, End: end, Checkpoint: end - 1000, Lag: 1000},
	}
	answers := look(st, grant.NumberID(3001), grant.NumberID(41))
	require.Equal(t, InLag, answers[0].Reasons[0].Code)
	require.Contains(t, answers[0].Reasons[0].Says.EN,
		"The user's record waits: offset 1500 of partition 1, with 499 records before it")
	require.Equal(t, Unexplained, answers[1].Reasons[0].Code)
}
