package population

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// sending is what the partitions' senders of one run share.
type sending struct {
	cluster cluster
	topic   string
	options Options
	started time.Time

	mu     sync.Mutex // guards result, and makes the calls of Progress one at a time
	result Result
}

// snapshot returns the result so far.
func (s *sending) snapshot() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Elapsed = time.Since(s.started)
	return s.result
}

// run sends a partition's batches one after the other, so that their order holds, and returns the batches to free. When
// ctx ends it stops after the batch in flight, whose attempts have a context of their own.
func (s *sending) run(ctx, attempts context.Context, partition int, queue <-chan *batch, free chan<- *batch) error {
	for b := range queue {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		reusable, err := s.send(ctx, attempts, partition, b)
		if err != nil {
			return err
		}
		if !reusable {
			b = newBatch(s.options.BatchBytes)
		}
		free <- b
	}
	return nil
}

// send publishes a batch, with as many attempts as it takes until the time to give up. It reports whether the batch's
// memory may be used again: an attempt that was given up may still be reading it.
func (s *sending) send(ctx, attempts context.Context, partition int, b *batch) (reusable bool, err error) {
	sealed, err := b.seal(s.options.Compression)
	if err != nil {
		return false, err
	}
	var tries, inDoubt int64
	sent := time.Now()
	attempt := func() (struct{}, error) {
		tries++
		response, err := s.cluster.RawProduce(attempts, &kafka.RawProduceRequest{
			Topic: s.topic, Partition: partition, RequiredAcks: kafka.RequireAll,
			RawRecords: protocol.RawRecordSet{Reader: reader(sealed)},
		})
		abandoned := err != nil
		if err == nil {
			err = errors.Join(response.Error, recordError(response))
		}
		switch {
		case err == nil:
			return struct{}{}, nil
		case attempts.Err() != nil || !Retriable(err):
			return struct{}{}, backoff.Permanent(err)
		}
		if abandoned || ambiguous(err) {
			inDoubt++
		}
		return struct{}{}, err
	}
	_, err = backoff.Retry(ctx, attempt, backoff.WithBackOff(retryDelays()), backoff.WithMaxElapsedTime(s.options.GiveUp))
	acked := time.Now()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
			return false, err
		}
		return false, fmt.Errorf("partition %d on %s, after %d attempts in %s: %w%s",
			partition, s.leader(attempts, partition), tries, acked.Sub(sent).Round(time.Millisecond), err, hint(err))
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Records += int64(b.count)
	s.result.Malformed += int64(b.malformed)
	s.result.Batches++
	s.result.Bytes += int64(len(sealed))
	s.result.Retries += tries - 1
	if inDoubt > 0 {
		s.result.InDoubt += int64(b.count) * inDoubt
	}
	s.result.Elapsed = acked.Sub(s.started)
	if s.options.Progress != nil {
		s.options.Progress(s.result)
	}
	return inDoubt == 0, nil
}

// retryDelays are 25 ms to 1 s: kafka-go looks for a new leader within its metadata's time to live, 6 s by default.
func retryDelays() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 25 * time.Millisecond
	b.MaxInterval = time.Second
	return b
}

// Retriable says whether an attempt that failed so may succeed later. Everything that is not a broker's verdict is a
// connection's trouble, and is.
func Retriable(err error) bool {
	var verdict kafka.Error
	if !errors.As(err, &verdict) {
		return true
	}
	switch verdict {
	case kafka.BrokerNotAvailable, kafka.ReplicaNotAvailable: // kafka-go's own, while a leader's address is unknown
		return true
	default:
		return verdict.Temporary()
	}
}

// ambiguous says whether a broker that refused so may have appended the batch all the same.
func ambiguous(err error) bool {
	return errors.Is(err, kafka.RequestTimedOut) || errors.Is(err, kafka.NotEnoughReplicasAfterAppend)
}

// recordError returns a reason for which the broker refused single records.
func recordError(r *kafka.ProduceResponse) error {
	for i, err := range r.RecordErrors {
		return fmt.Errorf("record %d of the batch: %w", i, err)
	}
	return nil
}

// hint says what to do about an error that an option or a topic setting causes.
func hint(err error) string {
	switch {
	case errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge):
		return " (make batches smaller, or raise the topic's max.message.bytes)"
	case errors.Is(err, kafka.TopicAuthorizationFailed):
		return " (publishing needs the ACL operations Write and Describe on the topic)"
	case errors.Is(err, kafka.NotEnoughReplicas):
		return " (fewer replicas are in sync than the topic's min.insync.replicas)"
	default:
		return ""
	}
}

// leader names the broker that leads a partition, for error messages.
func (s *sending) leader(ctx context.Context, partition int) string {
	t, err := describe(ctx, s.cluster, s.topic)
	if err == nil {
		for _, p := range t.Partitions {
			if p.ID == partition && p.Leader.Host != "" {
				return fmt.Sprintf("broker %d (%s:%d)", p.Leader.ID, p.Leader.Host, p.Leader.Port)
			}
		}
	}
	return "no known leader"
}
