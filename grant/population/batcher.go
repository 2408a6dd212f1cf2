package population

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// batcher encodes records into batches and gives each to the next partition's queue, so that the repeats of a user land in any
// partition, and the order of the population holds inside each. Where exactly a record goes is not promised: a batch that
// lingered is shorter.
type batcher struct {
	options  Options
	encoding *payload
	free     chan *batch   // empty batches; how many there are bounds what is in flight
	queues   []chan *batch // by partition; room for every batch, so that a slow partition never blocks the batcher itself
	open     *batch        // nil: none
	turn     int           // the partition that gets the next batch
	pace     pace
}

func newBatcher(o Options, encoding *payload, partitions int) *batcher {
	d := &batcher{options: o, encoding: encoding, queues: make([]chan *batch, partitions)}
	batches := o.InFlight + 1
	d.free = make(chan *batch, batches)
	for range batches {
		d.free <- newBatch(o.BatchBytes)
	}
	for i := range d.queues {
		d.queues[i] = make(chan *batch, batches)
	}
	return d
}

// run sends until the source ends or fails; everything that it handed out is sent either way.
func (d *batcher) run(ctx context.Context, f *feed) (sourceErr, err error) {
	defer func() {
		for _, q := range d.queues {
			close(q)
		}
	}()
	d.pace = newPace(d.options.Rate)
	linger := time.NewTimer(0)
	defer linger.Stop()
	for {
		b, err := d.receive(ctx, f, linger)
		if err != nil {
			return nil, err
		}
		for _, r := range b.records {
			if d.pace.rate > 0 {
				if err := d.await(ctx, d.pace.next(), linger); err != nil {
					return nil, err
				}
			}
			if err := d.add(ctx, r); err != nil {
				return nil, err
			}
		}
		if b.err != nil {
			d.dispatch()
			if errors.Is(b.err, io.EOF) {
				return nil, nil
			}
			return b.err, nil
		}
		f.spare <- b.records
	}
}

// receive returns the source's next block. While the source has none, it sends what has lingered.
func (d *batcher) receive(ctx context.Context, f *feed, linger *time.Timer) (block, error) {
	select {
	case b := <-f.full:
		return b, nil
	default:
	}
	for {
		lingered := d.lingered(linger)
		select {
		case b := <-f.full:
			return b, nil
		case <-lingered:
			d.dispatch()
		case <-ctx.Done():
			return block{}, context.Cause(ctx)
		}
	}
}

// await waits until a moment, and meanwhile sends what has lingered.
func (d *batcher) await(ctx context.Context, due time.Time, linger *time.Timer) error {
	for {
		now := time.Now()
		if d.open != nil && now.Sub(d.open.opened) >= d.options.Linger {
			d.dispatch()
		}
		wait := due.Sub(now)
		if wait <= 0 {
			return nil
		}
		if d.open != nil {
			wait = min(wait, d.open.opened.Add(d.options.Linger).Sub(now))
		}
		linger.Reset(wait)
		select {
		case <-linger.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lingered fires when the open batch has waited long enough; it is nil without one.
func (d *batcher) lingered(timer *time.Timer) <-chan time.Time {
	if d.open == nil {
		return nil
	}
	timer.Reset(time.Until(d.open.opened.Add(d.options.Linger)))
	return timer.C
}

func (d *batcher) add(ctx context.Context, r Record) error {
	for {
		if d.open == nil {
			select {
			case d.open = <-d.free:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			d.open.reset()
			d.open.opened = time.Now()
		}
		if d.open.add(d.encoding, r) {
			if d.open.count == d.options.BatchRecords {
				d.dispatch()
			}
			return nil
		}
		if d.open.count == 0 {
			return fmt.Errorf("user %s: a record of kind %s does not fit a batch of %d bytes", r.ID, r.Kind, d.options.BatchBytes)
		}
		d.dispatch()
	}
}

// dispatch sends the open batch, if there is one.
func (d *batcher) dispatch() {
	if d.open == nil {
		return
	}
	d.queues[d.turn] <- d.open
	d.turn = (d.turn + 1) % len(d.queues)
	d.open = nil
}

// pace is the schedule of a trickle: the n-th record is due n/rate seconds after the first.
type pace struct {
	rate  float64
	start time.Time
	count int64
}

func newPace(rate float64) pace { return pace{rate: rate, start: time.Now()} }

// next returns when the next record is due.
func (p *pace) next() time.Time {
	const never = 1e9 // seconds, which a time.Duration can hold
	due := min(float64(p.count)/p.rate, never)
	p.count++
	return p.start.Add(time.Duration(due * float64(time.Second)))
}
