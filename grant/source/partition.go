package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
)

// fetchWait is how long a fetch waits for the first new record. Records that arrive meanwhile end it at once.
const fetchWait = 500 * time.Millisecond

// keepInflated is the largest buffer for inflated batches that is kept for the next one: several times a usual batch.
const keepInflated = 16 << 20

// partition reads one partition. It belongs to one goroutine.
type partition struct {
	*Source
	number    int
	next      int64 // offset of the next record to hand over
	epoch     int32 // leader epoch of the record before it; −1: not known
	until     int64 // stop before it; negative: never
	lane      *sharding.Lane
	sink      Sink // in place of the lane
	decode    decoder
	members   *memberDecoder // nil: IDs are dense
	conn      *conn
	maxBytes  int
	inflated  bytes.Buffer
	open      bool         // an open transaction was reported
	settledAt time.Time    // when a closed gate last made it hand over what it had
	added     int          // records of this fetch
	letters   []deadLetter // those of them that were rejected
	held      int          // bytes of their keys and values
}

// Consume hands every record of a partition from an offset on to a lane, until it reaches the offset until (never, if
// that is negative) or the context is cancelled, which is no error. Failures that may pass are retried until
// Config.RetryFor has gone by without a record or an answer.
func (s *Source) Consume(ctx context.Context, number int, from, until int64, lane *sharding.Lane) error {
	p := &partition{
		Source: s, number: number, next: from, until: until, lane: lane, epoch: s.epochs.begin(number, from), decode: s.decode,
	}
	if s.cfg.Topic.Opaque() {
		p.members = newMemberDecoder(&s.cfg.Topic, s.schemas)
		p.decode = p.members.decode
	}
	return p.consume(ctx, p.handOver)
}

// consume fetches until it is at the end, and gives what came to handOver, which moves the position.
func (p *partition) consume(ctx context.Context, handOver func(context.Context, fetched) error) error {
	defer p.disconnect()
	if err := p.checkStart(ctx); err != nil {
		return p.outcome(ctx, err)
	}
	p.cfg.Observer.Position(p.number, p.next, -1)
	pause := pauses()
	failing := time.Time{}
	for p.until < 0 || p.next < p.until {
		err := p.step(ctx, handOver)
		if err == nil {
			failing = time.Time{}
			pause.Reset()
			continue
		}
		if ctx.Err() != nil {
			break
		}
		kind, retry := Classify(err)
		p.cfg.Observer.KafkaError(string(kind))
		if !retry {
			return p.outcome(ctx, err)
		}
		p.disconnect()
		if failing.IsZero() {
			failing = time.Now()
		}
		if time.Since(failing) > p.cfg.RetryFor {
			return fmt.Errorf("partition %d at offset %d: no success for %v: %w", p.number, p.next, p.cfg.RetryFor, err)
		}
		p.cfg.Log.Warn("fetch failed, trying again", "partition", p.number, "offset", p.next, "error", err)
		wait(ctx, pause.NextBackOff())
	}
	return nil
}

// wait returns after a time or when the context ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// outcome makes cancellation no error, and says where any other error happened.
func (p *partition) outcome(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the error is how it learned of that
	}
	return fmt.Errorf("partition %d: %w", p.number, err)
}

// checkStart compares the position with what the topic still has.
func (p *partition) checkStart(ctx context.Context) error {
	return p.retry(ctx, "looking for the position in the topic", func() error {
		bounds, err := p.listBounds(ctx, p.number)
		if err != nil {
			return err
		}
		if end := bounds.Ends[p.number]; p.next > end {
			return &grant.TruncatedError{Partition: p.number, Offset: p.next, Epoch: p.epoch, End: end, EndEpoch: -1}
		}
		start := p.cfg.Pass.Start(grant.Offsets{p.number: p.next}, nil, bounds)
		if err := start.Err(); err != nil || len(start.Accepted) == 0 {
			return err
		}
		p.cfg.Log.Warn("continuing behind an accepted gap", "gap", start.Accepted[0])
		p.next = start.From[p.number]
		return p.mark(ctx, p.next, true) // there may be no record behind it that would do so
	})
}

// step fetches once and hands over what came.
func (p *partition) step(ctx context.Context, handOver func(context.Context, fetched) error) error {
	f, err := p.fetch(ctx)
	if err != nil {
		return err
	}
	if f.code == kafka.OffsetOutOfRange {
		before := p.next
		if err := p.checkStart(ctx); err != nil || p.next != before {
			return err
		}
		if err := p.stillThere(ctx); err != nil { // newer brokers say so of an epoch that they do not have at all, too
			return err
		}
	}
	if f.code != 0 {
		return f.code
	}
	if f.diverged != nil {
		return f.diverged.judge(p.number, p.next, p.epoch)
	}
	before := p.next
	if err := handOver(ctx, f); err != nil {
		return err
	}
	if f.highest >= 0 {
		p.cfg.Observer.Position(p.number, p.next, f.highest)
		p.reportTransaction(&f)
	}
	return p.makeRoom(before, f)
}

// reportTransaction says so when everything is read that a broker hands out, and more is there.
func (p *partition) reportTransaction(f *fetched) {
	waiting := f.highest - f.end()
	if p.until >= 0 {
		waiting = min(f.highest, p.until) - f.end()
	}
	open := waiting > 0 && p.next >= f.end()
	if open {
		p.cfg.Observer.OpenTransaction(p.number, f.end(), waiting)
	} else if p.open {
		p.cfg.Observer.OpenTransaction(p.number, 0, 0)
	}
	p.open = open
}

// fetch asks the partition's leader for records at the position.
func (p *partition) fetch(ctx context.Context) (f fetched, err error) {
	if p.conn == nil {
		if err := p.connect(ctx); err != nil {
			return f, err
		}
	}
	f, err = p.conn.fetch(ctx, p.next, p.epoch, max(p.maxBytes, p.fetchBytes()), fetchWait)
	if err == nil && f.throttle > 0 {
		wait(ctx, min(f.throttle, p.cfg.RetryFor)) // the broker will not listen before that
	}
	return f, err
}

// makeRoom asks for more the next time if there was not one whole batch in a fetch, and otherwise returns to the usual.
// Brokers send one whole batch, whatever its size, but are not obliged to.
func (p *partition) makeRoom(before int64, f fetched) error {
	if p.next != before || len(f.records) == 0 {
		p.maxBytes = 0
		if cap(p.conn.response) > 2*p.fetchBytes() {
			p.conn.response = nil
		}
		if p.inflated.Cap() > keepInflated {
			p.inflated = bytes.Buffer{}
		}
		return nil
	}
	if p.maxBytes >= maxResponse/4 {
		return fmt.Errorf("%w: no whole batch at offset %d in %d MiB", errCorrupt, p.next, p.maxBytes>>20)
	}
	p.maxBytes = 4 * max(p.maxBytes, p.fetchBytes())
	return nil
}

func (p *partition) connect(ctx context.Context) error {
	l, id, err := p.leader(ctx, p.number)
	if err != nil {
		return err
	}
	c, err := p.cfg.Kafka.dial(ctx, l.address)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", l.address, err)
	}
	p.conn = &conn{
		Conn: c, timeout: p.cfg.Kafka.timeout(),
		target: target{topic: p.cfg.Topic.Topic, id: id.Topic, partition: p.number, leaderEpoch: l.epoch},
	}
	if err := p.conn.negotiate(ctx); err != nil {
		return err
	}
	if p.conn.fetchVersion < fetchFlexible { // such a broker would not say so in its answer to a fetch
		return p.stillThere(ctx)
	}
	return nil
}

// stillThere returns a *grant.TruncatedError if the partition no longer has the record before the position.
func (p *partition) stillThere(ctx context.Context) error {
	if p.epoch < 0 {
		return nil
	}
	return p.intact(ctx, grant.Checkpoint{Next: grant.Offsets{p.number: p.next}, Epochs: map[int]int32{p.number: p.epoch}})
}

func (p *partition) disconnect() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// handOver decodes the batches of a fetch into the lane and marks how far it came, also when it could not come to
// their end. Rejected records are in the dead-letter topic before the mark passes them.
func (p *partition) handOver(ctx context.Context, f fetched) error {
	p.added = 0
	next, failed := f.visible(p.next, p.until, func(b *batch, next int64, hidden bool) (int64, error) {
		p.enter(b, next)
		if hidden {
			return next, nil
		}
		return p.addRecords(ctx, b, next)
	})
	if errors.Is(failed, errLettersFull) || errors.Is(failed, errFirstRejected) {
		failed = nil // the next fetch goes on where this one stopped; or storing the rejected record stops the run
	}
	if err := p.settle(ctx, next, next >= f.end() || next == p.until); err != nil {
		return err
	}
	p.next = next
	return failed
}

// settle hands over everything below an offset. idle says that there is nothing more at the moment.
func (p *partition) settle(ctx context.Context, next int64, idle bool) error {
	storing, stop := finishing(ctx)
	defer stop()
	failed := p.storeRejected(storing)
	if failed != nil && !p.breaker.first() {
		return failed
	}
	if err := p.mark(ctx, next, idle); failed == nil {
		return err
	}
	return failed // at the first rejected record: everybody before it is granted, and a later run begins with it
}

// visible calls visit for every batch of a fetch that reaches beyond next, until it comes to the offset until (never, if
// that is negative). Those are hidden that neither a committed transaction, nor none, wrote. visit returns the offset
// behind the last record it dealt with, and so does visible: behind a batch, when all of it was dealt with.
func (f *fetched) visible(next, until int64, visit func(b *batch, next int64, hidden bool) (int64, error)) (int64, error) {
	hidden := newHidden(f.aborted)
	for rest := f.records; len(rest) > 0 && (until < 0 || next < until); {
		var b batch
		var err error
		b, rest, err = readBatch(rest)
		if errors.Is(err, errTruncated) {
			break
		}
		if err != nil {
			return next, err
		}
		hide := hidden.hides(&b)
		if b.last < next {
			continue
		}
		if next, err = visit(&b, next, hide); err != nil {
			return next, err
		}
		next = b.last + 1
	}
	if until >= 0 {
		next = min(next, until)
	}
	return next, nil
}

// addRecords adds the records of a batch from an offset on, and returns the offset behind the last one it dealt with.
func (p *partition) addRecords(ctx context.Context, b *batch, next int64) (int64, error) {
	list, err := b.open(&p.inflated, p.header)
	if err != nil {
		return next, err
	}
	var rec record
	for list.next(&rec) {
		offset := b.base + rec.delta
		if offset < next {
			continue // the batch begins before the position
		}
		if p.until >= 0 && offset >= p.until {
			return p.until, nil
		}
	decode:
		id, reason := p.decode(&rec.Parts)
		if reason != "" {
			known, err := p.refuse(ctx, next, offset, &rec.Parts, reason)
			if err != nil {
				return next, err
			}
			if known {
				goto decode
			}
			next = offset + 1
			continue
		}
		switch {
		case p.members == nil && p.lane.Withheld(id),
			p.members != nil && p.lane.WithheldMember(id, p.members.member):
			p.lane.Withhold()
		default:
			if !p.lane.Admitted() {
				if err := p.waitAtGate(ctx, next); err != nil {
					return next, err
				}
			}
			if err := p.add(ctx, offset, id); err != nil {
				return next, err
			}
		}
		next = offset + 1
		p.added++
	}
	return next, list.err
}

// refuse takes a record in hand that holds no ID, and counts it; unless its schema was not known, and is now.
func (p *partition) refuse(ctx context.Context, next, offset int64, parts *Parts, reason Reason) (known bool, err error) {
	if reason == reasonUnasked {
		if reason, err = p.ask(ctx, next, parts); err != nil || reason == "" {
			return err == nil, err
		}
	}
	if len(p.letters) == maxLetters || p.held > maxHeld {
		return false, errLettersFull
	}
	l := newDeadLetter(offset, parts, reason)
	p.held += l.size()
	p.letters = append(p.letters, l)
	p.lane.Reject()
	p.added++
	if p.breaker.first() && !p.cfg.IgnoreLimit {
		return false, errFirstRejected
	}
	return false, nil
}

// add adds the ID that was decoded last.
func (p *partition) add(ctx context.Context, offset int64, id uint64) error {
	if p.members != nil {
		return p.lane.AddMember(ctx, offset, id, p.members.member)
	}
	return p.lane.Add(ctx, offset, id)
}

// waitAtGate waits at a closed gate. Unless it opens soon, what is in hand is handed over: it may stay closed for hours,
// and nobody is to be granted in between because the run is stopped.
func (p *partition) waitAtGate(ctx context.Context, next int64) error {
	if soon := settleEvery - time.Since(p.settledAt); soon > 0 {
		waiting, stop := context.WithTimeout(ctx, min(soon, openSoon))
		err := p.lane.Await(waiting)
		stop()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	p.settledAt = time.Now()
	if err := p.handIn(ctx, next); err != nil {
		return err
	}
	return p.lane.Await(ctx)
}

// handIn hands over everything below an offset, in the middle of a fetch.
func (p *partition) handIn(ctx context.Context, next int64) error {
	if err := p.settle(ctx, next, false); err != nil {
		return err
	}
	p.added = 0 // the breaker has counted them
	p.cfg.Observer.Position(p.number, next, -1)
	return nil
}

// settleEvery bounds the work that a throttled run makes of handing over a few records at a time, while it goes on.
const settleEvery = 200 * time.Millisecond

// openSoon is longer than a gate that lets some pass usually makes anybody wait.
const openSoon = 50 * time.Millisecond

// finishTime is how long a run that is stopped may take to store the rejected records that it has in hand.
const finishTime = 5 * time.Second

// finishing returns a context that outlives another one by finishTime, so that a run that is stopped in the middle of a
// fetch can move its position to there.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(finishTime, cancel) })
	return out, func() { stop(); cancel() }
}
