package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// reader reads a whole topic in one of several ways and prints an outcome. It runs in a process of its own, so that
// nothing of it is counted for another.
func reader(args []string) error {
	f := flag.NewFlagSet("reader", flag.ContinueOnError)
	how := f.String("how", "", "own: granter's client; kafka-go: Batch.Read; set-nx: Reader with pipelines of 1,000 SET NX")
	brokers := f.String("brokers", "", "a broker")
	topic := f.String("topic", "", "the topic")
	addr := f.String("redis", "", "Redis, for set-nx")
	if err := f.Parse(args); err != nil {
		return err
	}
	src, err := source.New(source.Config{Kafka: source.Kafka{Brokers: []string{*brokers}}, Topic: grant.Input{Topic: *topic, Format: grant.FormatDecimal}})
	if err != nil {
		return err
	}
	defer src.Close()
	ctx := context.Background()
	began := time.Now()
	bounds, err := src.Bounds(ctx)
	if err != nil {
		return err
	}
	var records, granted atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for partition, end := range bounds.Ends {
		g.Go(func() error {
			var n, m int64
			var err error
			switch *how {
			case "own":
				_, err = src.Read(ctx, partition, 0, end, func(int64, *source.Parts) error { n++; return nil })
			case "kafka-go":
				n, err = batchRead(ctx, *brokers, *topic, partition, end)
			case "set-nx":
				n, m, err = setNX(ctx, *brokers, *topic, *addr, partition, end)
			default:
				err = fmt.Errorf("-how %q", *how)
			}
			records.Add(n)
			granted.Add(m)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	n, m := records.Load(), granted.Load()
	return json.NewEncoder(os.Stdout).Encode(outcome{Consumed: n, Granted: m, Duplicate: n - m, Seconds: time.Since(began).Seconds()})
}

// batchRead reads with the fastest way that kafka-go has. It checks no CRC.
func batchRead(ctx context.Context, broker, topic string, partition int, end int64) (n int64, err error) {
	conn, err := kafka.DialLeader(ctx, "tcp", broker, topic, partition)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	buf := make([]byte, 64)
	for offset := int64(0); offset < end; {
		if _, err := conn.Seek(offset, kafka.SeekAbsolute|kafka.SeekDontCheck); err != nil {
			return n, err
		}
		batch := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: 4 << 20, MaxWait: 200 * time.Millisecond})
		for err = nil; err == nil; {
			if _, err = batch.Read(buf); err == nil && batch.Offset() > offset {
				n++
			}
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrNoProgress) {
			return n, err
		}
		offset = batch.Offset()
		if err := batch.Close(); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	return n, nil
}

// setNX is what a user would otherwise write: a key for each user.
func setNX(ctx context.Context, broker, topic, addr string, partition int, end int64) (n, granted int64, err error) {
	client := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: 30 * time.Second})
	defer client.Close()
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{broker}, Topic: topic, Partition: partition, MinBytes: 1, MaxBytes: 4 << 20,
		QueueCapacity: 10_000, MaxWait: 200 * time.Millisecond,
	})
	defer r.Close()
	if err := r.SetOffset(kafka.FirstOffset); err != nil {
		return 0, 0, err
	}
	for n < end {
		pipe := client.Pipeline()
		var cmds []*redis.BoolCmd
		for len(cmds) < 1000 && n < end {
			m, err := r.FetchMessage(ctx)
			if err != nil {
				return n, granted, err
			}
			n++
			cmds = append(cmds, pipe.SetNX(ctx, "grant:"+string(m.Value), 1, 0))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return n, granted, err
		}
		for _, cmd := range cmds {
			if cmd.Val() {
				granted++
			}
		}
	}
	return n, granted, nil
}
