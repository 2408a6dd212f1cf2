package franz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
)

// reader reads one partition. It belongs to one goroutine.
type reader struct {
	*Topic
	number      int
	next, until int64
	maxBytes    int32
	id          [16]byte
	leader      *kgo.Broker // nil: it is to be looked for
	inflate     kgo.Decompressor
}

func (t *Topic) reader(partition int, from, until int64) *reader {
	return &reader{
		Topic: t, number: partition, next: from, until: until, maxBytes: fetchBytes, inflate: kgo.DefaultDecompressor(),
	}
}

// read hands over the records until the end, or until an open transaction holds them back, and returns how far it came.
func (r *reader) read(ctx context.Context, visit func(*kgo.Record) error) (int64, error) {
	for held := false; r.next < r.until && !held; {
		err := r.retry(ctx, func() (err error) {
			if held, err = r.step(ctx, visit); err != nil {
				r.leader = nil
			}
			return err
		})
		if err != nil {
			return r.next, fmt.Errorf("partition %d at offset %d: %w", r.number, r.next, err)
		}
	}
	return r.next, nil
}

// step fetches once.
func (r *reader) step(ctx context.Context, visit func(*kgo.Record) error) (held bool, err error) {
	fetched, err := r.fetch(ctx)
	if err != nil || fetched == nil {
		return false, err
	}
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: r.next, IsolationLevel: kgo.ReadCommitted(), Topic: r.name, Partition: int32(r.number),
	}, fetched, r.inflate, nil)
	if errors.Is(got.Err, kerr.OffsetOutOfRange) {
		return false, r.gone(ctx, got.Err)
	}
	for _, rec := range got.Records {
		if rec.Offset >= r.until {
			break
		}
		if err := visit(rec); err != nil {
			return false, visitError{err}
		}
		r.next = rec.Offset + 1 // a failure behind it begins there
	}
	if got.Err != nil {
		return false, got.Err
	}
	before := fetched.RecordBatches
	if next = min(next, r.until); next > r.next {
		r.next = next
	} else if len(got.Records) == 0 && len(before) > 0 { // not one whole batch
		if r.maxBytes >= mostBytes/4 {
			return false, fmt.Errorf("no whole batch in %d MiB", r.maxBytes>>20)
		}
		r.maxBytes *= 4
		return false, nil
	}
	r.maxBytes = fetchBytes
	end := got.LastStableOffset
	if end < 0 { // not every broker has transactions
		end = got.HighWatermark
	}
	return len(before) == 0 && end <= r.next && got.HighWatermark > r.next, nil
}

// throttled waits for as long as a broker says whose quota is exhausted: it sends nothing for now, and that is no failure.
func throttled(ctx context.Context, millis int32) error {
	if millis <= 0 {
		return errEmpty
	}
	wait := time.NewTimer(time.Duration(millis) * time.Millisecond)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errEmpty is tried again.
var errEmpty = errors.New("a broker sent nothing that was asked for")

// fetch asks for what comes next; nil: a quota holds it back.
func (r *reader) fetch(ctx context.Context) (*kmsg.FetchResponseTopicPartition, error) {
	if r.leader == nil {
		id, leaders, err := r.describe(ctx)
		if err != nil {
			return nil, err
		}
		number, known := leaders[int32(r.number)]
		if !known || number < 0 {
			return nil, kerr.LeaderNotAvailable
		}
		r.id, r.leader = id.Topic, r.client.Broker(int(number))
	}
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.IsolationLevel = int32(fetchWait.Milliseconds()), 1, r.maxBytes, 1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = r.name, r.id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(r.number), r.next, r.maxBytes
	topic.Partitions = []kmsg.FetchRequestTopicPartition{p}
	q.Topics = []kmsg.FetchRequestTopic{topic}
	answer, err := r.leader.Request(ctx, q)
	if err != nil {
		return nil, err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("a fetch was answered by %T", answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, throttled(ctx, resp.ThrottleMillis)
	}
	return &resp.Topics[0].Partitions[0], nil
}

// gone says whether the partition begins behind the position by now.
func (r *reader) gone(ctx context.Context, outOfRange error) error {
	bounds, err := r.bounds(ctx)
	if err != nil {
		return err
	}
	if first := bounds.Firsts[r.number]; first > r.next {
		return &grant.GapError{Gaps: []grant.Gap{{Partition: r.number, From: r.next, To: first}}}
	}
	return outOfRange
}
