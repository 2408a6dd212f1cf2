package population

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
)

// Options configures Publish. The zero value has the defaults.
type Options struct {
	// BatchRecords bounds a batch. Default 10,000: of nine-byte records that makes 180 KB, so a request's fixed cost
	// is spread over thousands of records while the batches in flight take a few megabytes.
	BatchRecords int

	// BatchBytes bounds a batch before compression. Default 1,000,000: below the brokers' default
	// max.message.bytes of 1,048,588, with room for what incompressible data grows by.
	BatchBytes int

	Compression compress.Compression // default none

	// InFlight bounds the batches that wait for an acknowledgement, and so the connections: a partition sends one
	// at a time. Default 16.
	InFlight int

	// Rate makes a steady trickle of so many records per second; 0 is as fast as the brokers take them. A publisher that
	// fell behind catches up, so that latencies measured against the schedule omit nothing.
	Rate float64

	// Linger is how long a record waits for others of its batch when none are ready. Default 5 ms.
	Linger time.Duration

	// RequestTimeout bounds one attempt; the broker waits half as long for its replicas. Default 30 s.
	RequestTimeout time.Duration

	// GiveUp is how long a batch is tried again after retriable errors, such as a partition between two leaders. Default
	// 2 min.
	GiveUp time.Duration

	// Progress, if set, is called after every acknowledged batch, one call at a time; it should be quick.
	Progress func(Result)
}

// Result is what has been published and acknowledged by all in-sync replicas.
type Result struct {
	Records   int64
	Malformed int64 // of Records
	Batches   int64
	Bytes     int64 // as sent, after compression
	Retries   int64
	// records sent again after an attempt of unknown outcome, counted for each such attempt: so many more may be in the topic
	InDoubt    int64
	Partitions int
	Elapsed    time.Duration
}

// Rate returns records per second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Records) / r.Elapsed.Seconds()
}

func (o Options) withDefaults() (Options, error) {
	setDefault(&o.BatchRecords, 10_000)
	setDefault(&o.BatchBytes, 1_000_000)
	setDefault(&o.InFlight, 16)
	setDefault(&o.Linger, 5*time.Millisecond)
	setDefault(&o.RequestTimeout, 30*time.Second)
	setDefault(&o.GiveUp, 2*time.Minute)
	var errs []error
	if o.BatchRecords < 1 {
		errs = append(errs, fmt.Errorf("batch records: %d: want at least 1", o.BatchRecords))
	}
	if o.BatchBytes < 1024 || o.BatchBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("batch bytes: %d: want 1 KiB to 1 GiB", o.BatchBytes))
	}
	if o.Compression < compress.None || o.Compression > compress.Zstd {
		errs = append(errs, fmt.Errorf("compression: code %d: want none, gzip, snappy, lz4 or zstd", o.Compression))
	}
	if o.InFlight < 1 {
		errs = append(errs, fmt.Errorf("in flight: %d: want at least 1", o.InFlight))
	}
	if math.IsNaN(o.Rate) || o.Rate < 0 {
		errs = append(errs, fmt.Errorf("rate: %v: want 0 or more records per second", o.Rate))
	}
	if o.Linger < 0 || o.RequestTimeout < 0 || o.GiveUp < 0 {
		errs = append(errs, errors.New("linger, request timeout, give up: want positive durations"))
	}
	return o, errors.Join(errs...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// cluster is what publishing needs of a *kafka.Client. RawProduce may be repeated; a repetition appends again.
type cluster interface {
	Metadata(context.Context, *kafka.MetadataRequest) (*kafka.MetadataResponse, error)
	RawProduce(context.Context, *kafka.RawProduceRequest) (*kafka.ProduceResponse, error)
}

// Publish sends a source's records to a topic, which must exist, and returns when all are acknowledged by all in-sync
// replicas. On an error the result still says how much was acknowledged before: when the source fails (a bad line, say),
// everything that it handed out; when ctx ends, what was acknowledged within the next seconds. Publishing the same
// population again is harmless.
//
// The client's address and transport are used, its timeout is not.
func Publish(ctx context.Context, client *kafka.Client, topic grant.Input, src Source, o Options) (Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	// A client of our own, because the client's timeout is also where RawProduce takes the broker's timeout from.
	c := &kafka.Client{Addr: client.Addr, Transport: client.Transport, Timeout: o.RequestTimeout}
	return publish(ctx, c, topic, src, o)
}

func publish(ctx context.Context, c cluster, topic grant.Input, src Source, o Options) (Result, error) {
	encoding, err := newPayload(topic)
	if err != nil {
		return Result{}, err
	}
	partitions, err := partitionsOf(ctx, c, topic.Topic)
	if err != nil {
		return Result{}, err
	}

	group, ctx := errgroup.WithContext(ctx)
	feed := newFeed()
	s := &sending{cluster: c, topic: topic.Topic, options: o, started: time.Now()}
	s.result.Partitions = len(partitions)
	d := newBatcher(o, encoding, len(partitions))

	// A batch in flight when the run is stopped is given a few seconds, so that the result counts it.
	attempts, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, abandon) })

	group.Go(func() error { feed.run(ctx, src); return nil })
	for i, partition := range partitions {
		group.Go(func() error { return s.run(ctx, attempts, partition, d.queues[i], d.free) })
	}
	var sourceErr error
	group.Go(func() (err error) {
		sourceErr, err = d.run(ctx, feed)
		return err
	})
	err = group.Wait()
	if err == nil {
		err = sourceErr
	}
	result := s.snapshot()
	if err != nil {
		return result, fmt.Errorf("publishing to topic %s, %d records acknowledged so far: %w", topic.Topic, result.Records, err)
	}
	return result, nil
}

// stopGrace is how long batches in flight may take to be acknowledged after the run was stopped.
const stopGrace = 5 * time.Second

// partitionsOf returns the topic's partition numbers.
func partitionsOf(ctx context.Context, c cluster, topic string) ([]int, error) {
	t, err := describe(ctx, c, topic)
	if err != nil {
		return nil, err
	}
	ids := make([]int, len(t.Partitions))
	for i, p := range t.Partitions {
		ids[i] = p.ID
	}
	return ids, nil
}
