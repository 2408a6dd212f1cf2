package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/sharding"
)

// fetchWait is how long a fetch waits for the first new record. Records that arrive meanwhile end it at once.
const fetchWait = 500 * time.Millisecond

// partition reads one partition. It belongs to one goroutine.
type partition struct {
	*Source
	number   int
	next     int64 // offset of the next record to hand over
	until    int64 // stop before it; negative: never
	lane     *sharding.Lane
	conn     *conn
	maxBytes int
	inflated bytes.Buffer
	added    int             // records of this fetch
	letters  []kafka.Message // those of them that were rejected, and why
	reasons  []Reason
}

// Consume hands every record of a partition from an offset on to a lane, until it reaches the offset until (never, if
// that is negative) or the context is cancelled, which is no error. Failures that may pass are retried until
// Config.RetryFor has gone by without a record or an answer.
func (s *Source) Consume(ctx context.Context, number int, from, until int64, lane *sharding.Lane) error {
	p := &partition{Source: s, number: number, next: from, until: until, lane: lane, maxBytes: s.fetchBytes()}
	defer p.disconnect()
	if err := p.checkStart(ctx); err != nil {
		return p.outcome(ctx, err)
	}
	s.cfg.Observer.Position(number, p.next, -1)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 3*time.Second
	failing := time.Time{}
	for p.until < 0 || p.next < p.until {
		err := p.step(ctx)
		if err == nil {
			failing = time.Time{}
			pause.Reset()
			continue
		}
		if ctx.Err() != nil {
			break
		}
		kind, retry := Classify(err)
		s.cfg.Observer.KafkaError(string(kind))
		if !retry {
			return p.outcome(ctx, err)
		}
		p.disconnect()
		if failing.IsZero() {
			failing = time.Now()
		}
		if time.Since(failing) > s.cfg.RetryFor {
			return fmt.Errorf("partition %d at offset %d: no success for %v: %w", number, p.next, s.cfg.RetryFor, err)
		}
		s.cfg.Log.Warn("fetch failed, trying again", "partition", number, "offset", p.next, "error", err)
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
		}
	}
	return nil
}

// outcome makes cancellation no error, and says where any other error happened.
func (p *partition) outcome(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("partition %d: %w", p.number, err)
}

// GapError means that the topic no longer has records that were never granted.
type GapError struct {
	Partition int
	From, To  int64 // the offsets that are gone: from From up to, not including, To
}

func (e *GapError) Error() string {
	return fmt.Sprintf("offsets %d to %d of partition %d are gone (retention or record deletion) before they were granted: "+
		"restore them, or publish their users again and then continue without these %d records by --accept-gap %d:%d-%d",
		e.From, e.To-1, e.Partition, e.To-e.From, e.Partition, e.From, e.To)
}

// ErrBeyondEnd means that the checkpoint is beyond the end of the topic.
var ErrBeyondEnd = errors.New("the checkpoint is beyond the end of the topic: the topic was deleted and created again, or lost records; " +
	"if its content is new, start a campaign with a new name")

// checkStart compares the position with what the topic still has.
func (p *partition) checkStart(ctx context.Context) error {
	return backoffRetry(ctx, p.cfg.RetryFor, func() error {
		first, end, err := p.bounds(ctx, p.number)
		if err != nil {
			return err
		}
		if p.next > end {
			return fmt.Errorf("partition %d: checkpoint %d, end %d: %w", p.number, p.next, end, ErrBeyondEnd)
		}
		if p.next >= first {
			return nil
		}
		gap := GapError{Partition: p.number, From: p.next, To: first}
		if !slices.Contains(p.cfg.AcceptGaps, gap) {
			return &gap
		}
		p.cfg.Log.Warn("continuing behind a gap, as told", "partition", p.number, "from", gap.From, "to", gap.To)
		p.next = first
		return nil
	})
}

// step fetches once and hands over what came.
func (p *partition) step(ctx context.Context) error {
	if p.conn == nil {
		if err := p.connect(ctx); err != nil {
			return err
		}
	}
	f, err := p.conn.fetch(ctx, p.next, p.maxBytes, fetchWait)
	if err != nil {
		return err
	}
	if f.code == kafka.OffsetOutOfRange {
		if err := p.checkStart(ctx); err != nil {
			return err
		}
	}
	if f.code != 0 {
		return f.code
	}
	before := p.next
	if err := p.handOver(ctx, f); err != nil {
		return err
	}
	if p.next == before && len(f.records) > 0 {
		// Not one whole batch: make room for it.
		if p.maxBytes >= maxResponse/4 {
			return fmt.Errorf("%w: batch at offset %d is larger than %d MiB", errCorrupt, p.next, p.maxBytes>>20)
		}
		p.maxBytes *= 4
	}
	p.cfg.Observer.Position(p.number, p.next, f.highest)
	return nil
}

func (p *partition) connect(ctx context.Context) error {
	address, err := p.leader(ctx, p.number)
	if err != nil {
		return err
	}
	c, err := p.cfg.Kafka.dial(ctx, address)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", address, err)
	}
	p.conn = &conn{Conn: c, topic: p.cfg.Topic.Topic, partition: p.number}
	return nil
}

func (p *partition) disconnect() {
	if p.conn != nil {
		p.conn.Close() //nolint:errcheck // nothing is lost with it
		p.conn = nil
	}
}

// handOver decodes the batches of a fetch into the lane and marks how far it came, also when it could not come to
// their end. Rejected records are in the dead-letter topic before the mark passes them.
func (p *partition) handOver(ctx context.Context, f fetched) error {
	p.added = 0
	next, failed := p.addBatches(ctx, f)
	if p.until >= 0 {
		next = min(next, p.until)
	}
	if err := p.buryLetters(ctx); err != nil {
		return err
	}
	if err := p.lane.Mark(ctx, next, next >= f.highest || next == p.until); err != nil {
		return err
	}
	p.next = next
	return failed
}

// addBatches adds every record to the lane that a committed transaction, or none, wrote. It returns the offset behind
// the last record it dealt with.
func (p *partition) addBatches(ctx context.Context, f fetched) (next int64, err error) {
	next = p.next
	hidden := newHidden(f.aborted)
	for records := f.records; len(records) > 0 && (p.until < 0 || next < p.until); {
		var b batch
		b, records, err = readBatch(records)
		if errors.Is(err, errTruncated) {
			return next, nil
		}
		if err != nil {
			return next, err
		}
		if b.last < next {
			continue
		}
		if !hidden.hides(&b) {
			if next, err = p.addRecords(ctx, &b, next); err != nil {
				return next, err
			}
		}
		next = b.last + 1
	}
	return next, nil
}

// addRecords adds the records of a batch from an offset on, and returns the offset behind the last one it dealt with.
func (p *partition) addRecords(ctx context.Context, b *batch, next int64) (int64, error) {
	data, err := b.inflate(&p.inflated)
	if err != nil {
		return next, err
	}
	var rec record
	for range b.count {
		if data, err = readRecord(data, &rec); err != nil {
			return next, fmt.Errorf("batch at offset %d: %w", b.base, err)
		}
		offset := b.base + rec.delta
		if offset < next {
			continue
		}
		if p.until >= 0 && offset >= p.until {
			return p.until, nil
		}
		field := rec.value
		if p.fromKey {
			field = rec.key
		}
		id, reason := p.decode(field)
		if reason != "" {
			p.letters = append(p.letters, p.dead.letter(p.number, offset, &rec, reason))
			p.reasons = append(p.reasons, reason)
			p.lane.Reject()
		} else if err := p.lane.Add(ctx, offset, id); err != nil {
			return next, err
		}
		next = offset + 1
		p.added++
	}
	if len(data) != 0 {
		return next, fmt.Errorf("%w at offset %d: %d bytes behind the last record", errCorrupt, b.base, len(data))
	}
	return next, nil
}

// buryLetters makes this fetch's rejected records durable, unless they are so many that the topic or the spec is
// wrong: then the run stops instead of copying the topic.
func (p *partition) buryLetters(ctx context.Context) error {
	if err := p.breaker.pass(p.added, len(p.letters)); err != nil {
		return err
	}
	if len(p.letters) == 0 {
		return nil
	}
	err := backoffRetry(ctx, p.cfg.RetryFor, func() error { return p.dead.write(ctx, p.letters) })
	if err != nil {
		return &permanent{err} // it has been tried for long enough
	}
	for _, reason := range p.reasons {
		p.cfg.Observer.Rejected(p.number, string(reason))
	}
	clear(p.letters)
	p.letters, p.reasons = p.letters[:0], p.reasons[:0]
	return nil
}

// backoffRetry tries until it succeeds, the error cannot pass, or the time is up.
func backoffRetry(ctx context.Context, limit time.Duration, try func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 3*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := try()
		if err == nil {
			return struct{}{}, nil
		}
		if _, again := Classify(err); !again {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(limit))
	return err
}
