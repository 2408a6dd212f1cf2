package publish

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/population"
)

// Form is how events are written to a topic.
type Form string

// The forms of events in a topic.
const (
	// FormJSON is a record for each event: CloudEvents 1.0 in structured mode, JSON; the key is the user.
	FormJSON Form = "json"
	// FormCompact is a record for each journal entry, or some for one with very many users: CloudEvents 1.0 in binary mode.
	// The key is the chunk.
	FormCompact Form = "compact"
)

// Topic is a Kafka topic that events go to.
type Topic struct {
	Name        string
	Form        Form
	Compression kafka.Compression
}

// topic is the target. Records with the same key are in one partition, the one that Java's default partitioner chooses, so that
// the topic can be joined with others by user; a partition has one request at a time.
type topic struct {
	Topic
	client  *kafka.Client
	release func()
}

// maxBatch is how many bytes a batch has before compression: less than the brokers' default max.message.bytes of 1,048,588.
const maxBatch = 900_000

// recordCost is what a record takes beside key and value: variable-length integers, and the header.
const recordCost = 80

var structured = []protocol.Header{{Key: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}}

func (t *topic) limits() limits {
	l := limits{chunks: 64, entries: 64, calls: 2}
	if t.Form == FormJSON {
		l.events = 50_000 // about 30 MB, which are sent again where the publisher is killed
	}
	return l
}

func (t *topic) Close() { t.release() }

// NewTopic makes the target of a topic, which must exist. The client's timeout bounds an attempt; release is called at the end.
func NewTopic(client *kafka.Client, to Topic, release func()) Target {
	return &topic{Topic: to, client: client, release: release}
}

// partitions asks which partitions the topic has; kafka-go answers out of its memory for some seconds.
func (t *topic) partitions(ctx context.Context) ([]int, error) {
	m, err := t.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{t.Name}})
	if err != nil {
		return nil, fmt.Errorf("asking for topic %s: %w", t.Name, err)
	}
	for _, found := range m.Topics {
		if found.Name != t.Name {
			continue
		}
		if found.Error != nil {
			return nil, fmt.Errorf("topic %s: %w", t.Name, found.Error)
		}
		out := make([]int, len(found.Partitions))
		for i := range out {
			out[i] = i
		}
		return out, nil
	}
	return nil, fmt.Errorf("topic %s: %w", t.Name, kafka.UnknownTopicOrPartition)
}

func (t *topic) transient(err error) bool {
	_, isVerdict := errors.AsType[kafka.Error](err)
	return !isVerdict || population.Retriable(err)
}

// lane is what goes to one partition: one request at a time, so that the order holds.
type lane struct {
	batches chan []kafka.Record
	open    []kafka.Record
	size    int
}

func (t *topic) deliver(ctx context.Context, w *writer, pieces []piece) error {
	partitions, err := t.partitions(ctx)
	if err != nil {
		return err
	}
	lanes := make([]lane, len(partitions))
	work, ctx := errgroup.WithContext(ctx)
	for i := range lanes {
		lanes[i].batches = make(chan []kafka.Record, 1)
		work.Go(func() error { return t.produce(ctx, partitions[i], lanes[i].batches) })
	}
	work.Go(func() error {
		defer func() {
			for i := range lanes {
				close(lanes[i].batches)
			}
		}()
		for i := range pieces {
			if err := t.write(ctx, w, lanes, partitions, &pieces[i]); err != nil {
				return err
			}
		}
		for i := range lanes {
			if err := lanes[i].flush(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return work.Wait()
}

// write turns a piece into records, and gives them to the lanes of their keys.
func (t *topic) write(ctx context.Context, w *writer, lanes []lane, partitions []int, p *piece) error {
	kind, err := typeOf(p)
	if err != nil {
		return err
	}
	at := func(key []byte) *lane {
		return &lanes[kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: key}, partitions...)]
	}
	if t.Form == FormCompact {
		all, err := w.compact(p, kind)
		if err != nil {
			return err
		}
		key := strconv.AppendUint(nil, p.chunk, 10)
		for i := range all {
			if err := at(key).add(ctx, key, all[i].value, p.entry.At, attributes(w.campaign, p, kind, &all[i])); err != nil {
				return err
			}
		}
		return nil
	}
	template, err := w.template(p, kind)
	if err != nil {
		return err
	}
	var arena []byte
	for user := range p.texts() {
		if cap(arena)-len(arena) < maxEvent {
			arena = make([]byte, 0, 256<<10)
		}
		begin := len(arena)
		arena = append(arena, user...)
		middle := len(arena)
		arena = template.append(arena, user)
		key, value := arena[begin:middle:middle], arena[middle:len(arena):len(arena)]
		if err := at(key).add(ctx, key, value, p.entry.At, structured); err != nil {
			return err
		}
	}
	return nil
}

// maxEvent is about how long an event is at most; one that is longer costs a copy of what is in the arena.
const maxEvent = 8 << 10

// attributes is the attributes of a compact event.
func attributes(c *grant.Campaign, p *piece, kind Type, one *packed) []protocol.Header {
	header := func(key, value string) protocol.Header { return protocol.Header{Key: key, Value: []byte(value)} }
	return []protocol.Header{
		header("content-type", one.form), header("ce_specversion", "1.0"), header("ce_type", TypePrefix+string(kind)+".batch"),
		header("ce_source", source(c.Name)), header("ce_id", one.id),
		header("ce_time", p.entry.At.Format(time.RFC3339Nano)),
	}
}

// add adds a record to the open batch, and sends that first where it would become too large.
func (l *lane) add(ctx context.Context, key, value []byte, at time.Time, headers []protocol.Header) error {
	size := len(key) + len(value) + recordCost
	for _, h := range headers {
		size += len(h.Key) + len(h.Value) + 4
	}
	if l.size+size > maxBatch && len(l.open) > 0 {
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	l.size += size
	l.open = append(l.open, kafka.Record{
		Time: at, Key: protocol.NewBytes(key), Value: protocol.NewBytes(value), Headers: headers,
	})
	return nil
}

func (l *lane) flush(ctx context.Context) error {
	if len(l.open) == 0 {
		return nil
	}
	select {
	case l.batches <- l.open:
		l.open, l.size = make([]kafka.Record, 0, len(l.open)), 0
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// produce sends the batches of a partition one after the other. It fails with the first that fails: the pieces are delivered
// again.
func (t *topic) produce(ctx context.Context, partition int, batches <-chan []kafka.Record) error {
	for records := range batches {
		r, err := t.client.Produce(ctx, &kafka.ProduceRequest{
			Topic: t.Name, Partition: partition, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(records...), Compression: t.Compression,
		})
		if err == nil {
			err = r.Error
		}
		if err == nil {
			for i, refused := range r.RecordErrors {
				err = fmt.Errorf("record %d of the batch: %w", i, refused)
			}
		}
		if err != nil {
			return fmt.Errorf("topic %s, partition %d: %w", t.Name, partition, err)
		}
	}
	return nil
}
