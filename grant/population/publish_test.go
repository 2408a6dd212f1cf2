package population

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// brokers is a cluster that answers as a test tells it to, in a synctest bubble.
type brokers struct {
	partitions int
	answer     func(ctx context.Context, partition, try int) error // nil: all is well

	mu       sync.Mutex
	tries    int
	received []request
	readers  []io.Reader // of requests that were answered without reading them
}

type request struct {
	partition int
	at        time.Time
	messages  []message
}

// errUnread is an attempt's end before the request was written: its bytes may be read at any later time.
var errUnread = errors.New("connection reset")

func (b *brokers) Metadata(context.Context, *kafka.MetadataRequest) (*kafka.MetadataResponse, error) {
	t := kafka.Topic{Name: "t"}
	for i := range b.partitions {
		t.Partitions = append(t.Partitions, kafka.Partition{ID: i, Leader: kafka.Broker{ID: 7, Host: "kafka-7", Port: 9092}})
	}
	return &kafka.MetadataResponse{Topics: []kafka.Topic{t}}, nil
}

func (b *brokers) RawProduce(ctx context.Context, r *kafka.RawProduceRequest) (*kafka.ProduceResponse, error) {
	b.mu.Lock()
	b.tries++
	try := b.tries
	b.mu.Unlock()
	var err error
	if b.answer != nil {
		err = b.answer(ctx, r.Partition, try)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(err, errUnread) {
		b.readers = append(b.readers, r.RawRecords.Reader)
		return nil, err
	}
	var verdict kafka.Error
	if err != nil && !errors.As(err, &verdict) {
		return nil, err
	}
	if err == nil || ambiguous(err) {
		messages, _ := decode(panics{}, r.RawRecords.Reader)
		b.received = append(b.received, request{partition: r.Partition, at: time.Now(), messages: messages})
	}
	return &kafka.ProduceResponse{Error: err, BaseOffset: int64(100 * try)}, nil
}

type panics struct{}

func (panics) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panics) FailNow()                          {}

func (b *brokers) values() (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.received {
		for _, m := range r.messages {
			out = append(out, string(m.value))
		}
	}
	return out
}

func numbers(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func ascending(n int64) Plan {
	return Plan{Topic: decimalTopic("t"), Users: n, Order: Ascending}
}

// inBubble runs publish in virtual time.
func inBubble(t *testing.T, b *brokers, src Source, o Options,
	check func(t *testing.T, r Result, err error, took time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o, err := o.withDefaults()
		require.NoError(t, err)
		began := time.Now()
		r, err := publish(t.Context(), b, decimalTopic("t"), src, o)
		check(t, r, err, time.Since(began))
	})
}

func TestBatchesAreDealtInTurnAndKeepTheirOrder(t *testing.T) {
	b := &brokers{partitions: 3}
	inBubble(t, b, ascending(1000).Source(), Options{BatchRecords: 100},
		func(t *testing.T, r Result, err error, _ time.Duration) {
			require.NoError(t, err)
			require.EqualValues(t, 1000, r.Records)
			require.EqualValues(t, 10, r.Batches)
			require.Equal(t, 3, r.Partitions)
			require.ElementsMatch(t, numbers(0, 1000), b.values())
			turn := map[int]int{}
			for _, q := range b.received {
				first := 100 * (q.partition + 3*turn[q.partition])
				require.Equal(t, fmt.Sprint(first), string(q.messages[0].value))
				turn[q.partition]++
			}
		})
}

func TestRetriesUntilALeaderIsThere(t *testing.T) {
	b := &brokers{partitions: 1, answer: func(_ context.Context, _, try int) error {
		return []error{
			kafka.NotLeaderForPartition, kafka.LeaderNotAvailable, kafka.BrokerNotAvailable, kafka.NotEnoughReplicas, nil,
		}[min(try, 5)-1]
	}}
	inBubble(t, b, ascending(10).Source(), Options{}, func(t *testing.T, r Result, err error, took time.Duration) {
		require.NoError(t, err)
		require.EqualValues(t, 4, r.Retries)
		require.Zero(t, r.InDoubt, "a broker that refuses has not appended")
		require.Equal(t, numbers(0, 10), b.values())
		require.Greater(t, took, 50*time.Millisecond, "with pauses between the attempts")
	})
}

func TestAmbiguousAttemptsAreRepeatedAndCountedAsInDoubt(t *testing.T) {
	for _, cause := range []error{
		kafka.RequestTimedOut, kafka.NotEnoughReplicasAfterAppend, io.ErrUnexpectedEOF, context.DeadlineExceeded, errUnread,
	} {
		b := &brokers{partitions: 1, answer: func(_ context.Context, _, try int) error {
			if try == 1 {
				return cause
			}
			return nil
		}}
		o := Options{BatchRecords: 100, InFlight: 1}
		inBubble(t, b, ascending(300).Source(), o, func(t *testing.T, r Result, err error, _ time.Duration) {
			require.NoError(t, err)
			require.EqualValues(t, 300, r.Records)
			require.EqualValues(t, 100, r.InDoubt)
			require.EqualValues(t, 1, r.Retries)
			require.Subset(t, b.values(), numbers(0, 300))
		})
		for _, late := range b.readers {
			messages, _ := decode(t, late)
			require.Len(t, messages, 100)
			require.Equal(t, "0", string(messages[0].value),
				"an attempt that outlived its context still reads the batch it began with")
		}
	}
}

func TestRefusedBatchesEndTheRunWithPlaceAndHint(t *testing.T) {
	for cause, hint := range map[error]string{
		kafka.MessageSizeTooLarge:      "make batches smaller",
		kafka.TopicAuthorizationFailed: "Write and Describe",
		kafka.InvalidRecord:            "",
	} {
		b := &brokers{partitions: 2, answer: func(_ context.Context, partition, _ int) error {
			if partition == 1 {
				return cause
			}
			return nil
		}}
		o := Options{BatchRecords: 100}
		inBubble(t, b, ascending(1_000_000).Source(), o, func(t *testing.T, r Result, err error, took time.Duration) {
			require.ErrorIs(t, err, cause)
			require.ErrorContains(t, err, "publishing to topic t, ")
			require.ErrorContains(t, err, "partition 1 on broker 7 (kafka-7:9092), after 1 attempts")
			require.ErrorContains(t, err, hint)
			require.Len(t, b.values(), int(r.Records), "the result counts what was acknowledged")
			require.Zero(t, took)
		})
	}
}

func TestGivesUpInTheEnd(t *testing.T) {
	b := &brokers{partitions: 1, answer: func(context.Context, int, int) error { return kafka.NotLeaderForPartition }}
	o := Options{GiveUp: 10 * time.Second}
	inBubble(t, b, ascending(10).Source(), o, func(t *testing.T, r Result, err error, took time.Duration) {
		require.ErrorIs(t, err, kafka.NotLeaderForPartition)
		require.Zero(t, r.Records)
		require.LessOrEqual(t, took, 10*time.Second)
		require.Greater(t, took, 8*time.Second)
	})
}

func TestABadLineIsReportedAfterEverythingBeforeItIsPublished(t *testing.T) {
	b := &brokers{partitions: 2}
	src := List(strings.NewReader("1\n2\n3\nfour\n5\n"), decimalTopic("t"))
	inBubble(t, b, src, Options{}, func(t *testing.T, r Result, err error, _ time.Duration) {
		require.ErrorIs(t, err, userid.ErrBadLine)
		require.ErrorContains(t, err, "publishing to topic t, 3 records acknowledged so far: line 4:")
		require.EqualValues(t, 3, r.Records)
		require.Equal(t, numbers(1, 4), b.values())
	})
}

func TestATrickleKeepsItsRateInSmallBatches(t *testing.T) {
	b := &brokers{partitions: 4}
	inBubble(t, b, ascending(6000).Source(), Options{Rate: 2000}, func(t *testing.T, r Result, err error, took time.Duration) {
		require.NoError(t, err)
		require.InDelta(t, 3, took.Seconds(), 0.02)
		require.InDelta(t, 2000, r.Rate(), 20)
		require.ElementsMatch(t, numbers(0, 6000), b.values())
		for i, q := range b.received {
			require.LessOrEqual(t, len(q.messages), 12, "a batch is open for 5 ms")
			require.Equal(t, i%4, q.partition)
			first, err := strconv.Atoi(string(q.messages[0].value))
			require.NoError(t, err)
			due := b.received[0].at.Add(time.Duration(first) * time.Second / 2000)
			require.WithinDuration(t, due, q.at, 7*time.Millisecond, "at its time, and after it has lingered")
		}
	})
}

func TestASlowTrickleSendsEveryRecordAtItsTime(t *testing.T) {
	b := &brokers{partitions: 1}
	inBubble(t, b, ascending(11).Source(), Options{Rate: 2}, func(t *testing.T, _ Result, err error, took time.Duration) {
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, took)
		for i, q := range b.received {
			require.Len(t, q.messages, 1)
			if i > 0 {
				require.InDelta(t, 0.5, q.at.Sub(b.received[i-1].at).Seconds(), 0.006)
			}
		}
	})
}

func TestATrickleCatchesUpAfterAStall(t *testing.T) {
	b := &brokers{partitions: 1, answer: func(_ context.Context, _, try int) error {
		if try == 10 {
			<-time.After(2 * time.Second)
		}
		return nil
	}}
	o := Options{Rate: 1000, InFlight: 1}
	inBubble(t, b, ascending(4000).Source(), o, func(t *testing.T, r Result, err error, took time.Duration) {
		require.NoError(t, err)
		require.EqualValues(t, 4000, r.Records)
		require.InDelta(t, 4, took.Seconds(), 0.02)
	})
}

func TestRecordsOfAReaderThatWaitsAreNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &brokers{partitions: 3}
		o, err := Options{}.withDefaults()
		require.NoError(t, err)
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := publish(t.Context(), b, decimalTopic("t"), List(r, decimalTopic("t")), o)
			done <- err
		}()
		for i := range 5 {
			fmt.Fprintln(w, i)
			<-time.After(20 * time.Millisecond)
			require.Equal(t, numbers(0, i+1), b.values(), "after the linger time")
		}
		w.Close()
		require.NoError(t, <-done)
	})
}

func TestAStoppedRunCountsWhatWasInFlight(t *testing.T) {
	for name, c := range map[string]struct {
		answerAfter time.Duration
		records     int64
		took        time.Duration
	}{
		"answered within the grace": {2 * time.Second, 100, 2 * time.Second},
		"never answered":            {time.Hour, 0, stopGrace},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			b := &brokers{partitions: 1, answer: func(ctx context.Context, _, _ int) error {
				cancel()
				select {
				case <-time.After(c.answerAfter):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}
			o, err := Options{BatchRecords: 100}.withDefaults()
			require.NoError(t, err)
			began := time.Now()
			r, err := publish(ctx, b, decimalTopic("t"), ascending(1000).Source(), o)
			require.ErrorIs(t, err, context.Canceled, name)
			require.Equal(t, c.records, r.Records, name)
			require.Equal(t, c.took, time.Since(began), name)
		})
	}
}

func TestRepeatsComeInOtherPartitionsToo(t *testing.T) {
	b := &brokers{partitions: 4}
	p := Plan{Topic: decimalTopic("t"), Users: 10_000, Duplicates: 0.5}
	inBubble(t, b, p.Source(), Options{BatchRecords: 50}, func(t *testing.T, _ Result, err error, _ time.Duration) {
		require.NoError(t, err)
		homes := map[string]map[int]int{}
		for _, q := range b.received {
			for _, m := range q.messages {
				id := string(m.value)
				if homes[id] == nil {
					homes[id] = map[int]int{}
				}
				homes[id][q.partition]++
			}
		}
		same, other := 0, 0
		for _, partitions := range homes {
			for _, n := range partitions {
				same += n - 1
			}
			other += len(partitions) - 1
		}
		require.Equal(t, 5000, same+other)
		require.Greater(t, same, 1000, "in a partition that has the user already")
		require.Greater(t, other, 3000, "in one that has not")
	})
}

func TestProgressIsMonotonicAndEndsAtTheResult(t *testing.T) {
	b := &brokers{partitions: 4}
	var last Result
	o := Options{BatchRecords: 10, Progress: func(r Result) {
		require.Greater(t, r.Records, last.Records)
		last = r
	}}
	inBubble(t, b, ascending(1005).Source(), o, func(t *testing.T, r Result, err error, _ time.Duration) {
		require.NoError(t, err)
		require.Equal(t, r.Records, last.Records)
		require.Equal(t, r.Bytes, last.Bytes)
	})
}

func TestARecordThatFitsNoBatchIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := Options{BatchBytes: 1024}.withDefaults()
		require.NoError(t, err)
		topic := grant.Input{Topic: "t", Format: grant.FormatJSON, Path: strings.Repeat("x", 2000)}
		_, err = publish(t.Context(), &brokers{partitions: 1}, topic, ascending(10).Source(), o)
		require.ErrorContains(t, err, "does not fit a batch of 1024 bytes")
	})
}

func TestInvalidOptionsNameTheField(t *testing.T) {
	for field, o := range map[string]Options{
		"batch records": {BatchRecords: -1},
		"batch bytes":   {BatchBytes: 10},
		"compression":   {Compression: compress.Compression(9)},
		"in flight":     {InFlight: -1},
		"rate":          {Rate: math.NaN()},
		"linger":        {Linger: -1},
	} {
		_, err := Publish(t.Context(), &kafka.Client{}, decimalTopic("t"), ascending(1).Source(), o)
		require.ErrorContains(t, err, field)
	}
	_, err := Publish(t.Context(), &kafka.Client{}, grant.Input{}, ascending(1).Source(), Options{})
	require.ErrorContains(t, err, "topic: no name")
}
