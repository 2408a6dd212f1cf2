package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/sharding/dense"
)

const (
	// smallDelta is up to how many members go as offsets: each costs about 0.6 µs of Redis, a bitmap 12 µs plus 8 KiB.
	smallDelta = 16
	// maxCalls is how many chunk calls go into one pipeline: 512 × 16 KiB = 8 MiB, so that it is far from the read timeout.
	maxCalls = 512
	// stagedLife is how long a staged delta stays that its script call did not remove: longer than any call takes, short
	// enough not to matter for memory.
	stagedLife = 10 * time.Minute
)

var errNoSession = errors.New("the ledger has no session: call Begin first")

// flight is the flush that a shard has under way. Buffers are kept from flush to flush.
type flight struct {
	seq     uint64
	done    bool     // acknowledged
	chunks  []uint64 // of the deltas: a flush that comes again must be the same
	pending []int    // deltas not yet acknowledged
	rounds  []uint32 // by delta: how often it was cut down because of an overlap
	calls   []call   // of the pipeline being sent
	head    []byte   // what all entries of the flush have in common: kind, run, shard, seq
	ranges  []byte   // and the ranges
	buf     []byte   // entries and offsets of the pipeline
	sent    int      // bytes
	applied int      // chunk calls

	tails     [][2]int // of a flush to buckets: the entries, in buf
	attempted bool     // and whether it was sent before
}

// call is one chunk call of a pipeline. Positions are into flight.buf.
type call struct {
	keys       chunkKeys
	identity   string
	tail       [2]int // the entry
	offsets    [2]int // empty: the members are sent as a bitmap
	reply      *redis.Cmd
	deltaIndex int
}

// deliver sends until nothing is refused, or until that has gone on for too long: then the masters' clocks differ by more
// than a lease.
func (l *Grants) deliver(ctx context.Context, what string, send func() error) error {
	var since time.Time
	for {
		err := l.retry(ctx, what, send)
		refusal, fenced := errors.AsType[*fencedError](err)
		if !fenced {
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if err := l.handleRefusal(ctx, refusal); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if time.Since(since) > l.retryFor {
			return fmt.Errorf("%s: the lease has always lapsed (%w): compare the clocks of the masters", what, refusal)
		}
	}
}

// take makes the flush the one under way. A flush that failed goes on where it was, so that a call that was applied but
// not acknowledged is recognised by its identity.
func (sh *shard) take(l *Grants, f *dense.Flush) error {
	switch {
	case f.Seq == sh.seq && !sh.done && len(f.Deltas) == len(sh.chunks):
		for i := range f.Deltas {
			if f.Deltas[i].Chunk != sh.chunks[i] {
				return fmt.Errorf("flush %d of shard %d came again with other chunks", f.Seq, f.Shard)
			}
		}
		return nil
	case f.Seq <= sh.seq:
		// Going on would take new calls for old ones, and lose users.
		return fmt.Errorf("flush %d of shard %d came after flush %d: a new shard pool needs a new session (Begin)",
			f.Seq, f.Shard, sh.seq)
	}
	var err error
	sh.ranges, err = appendRanges(sh.ranges[:0], f.Ranges)
	if err != nil {
		return fmt.Errorf("flush %d of shard %d: %w", f.Seq, f.Shard, err)
	}
	if f.Shard < 0 {
		return fmt.Errorf("shard %d: must not be negative", f.Shard)
	}
	sh.head = appendHead(sh.head[:0], l.run, f.Shard, f.Seq)
	sh.seq, sh.done, sh.sent, sh.applied = f.Seq, false, 0, 0
	sh.chunks, sh.pending, sh.rounds = sh.chunks[:0], sh.pending[:0], sh.rounds[:0]
	for i := range f.Deltas {
		sh.chunks = append(sh.chunks, f.Deltas[i].Chunk)
		sh.pending = append(sh.pending, i)
		sh.rounds = append(sh.rounds, 0)
	}
	return nil
}

// encode prepares the calls of the next pipeline.
func (sh *shard) encode(l *Grants, s *session, f *dense.Flush) error {
	sh.calls, sh.buf = sh.calls[:0], sh.buf[:0]
	for _, i := range sh.pending[:min(len(sh.pending), maxCalls)] {
		d := &f.Deltas[i]
		c := call{deltaIndex: i, identity: s.identity(f, sh.rounds[i])}
		c.keys = l.keys.chunk(d.Chunk, c.identity)
		c.tail[0] = len(sh.buf)
		var count int
		sh.buf, count = appendTail(sh.buf, sh.head, sh.ranges, d.Members)
		c.tail[1] = len(sh.buf)
		if count != d.Count || count == 0 {
			return fmt.Errorf("flush %d of shard %d: chunk %d is said to have %d members and has %d",
				f.Seq, f.Shard, d.Chunk, d.Count, count)
		}
		c.offsets[0] = len(sh.buf)
		if count <= smallDelta {
			sh.buf = appendOffsets(sh.buf, d.Members, count)
		}
		c.offsets[1] = len(sh.buf)
		sh.calls = append(sh.calls, c)
	}
	return nil
}

// identity names one call of a run for one chunk: it is the same when the call is sent again, and never the same for
// other members. The nonce tells pools apart that count their flushes from 1 again.
func (s *session) identity(f *dense.Flush, round uint32) string {
	var buf [64]byte
	b := append(buf[:0], s.nonce...)
	b = strconv.AppendInt(append(b, '-'), int64(f.Shard), 10)
	b = strconv.AppendUint(append(b, '-'), f.Seq, 10)
	b = strconv.AppendUint(append(b, '-'), uint64(round), 10)
	return string(b)
}

// send makes one attempt: the index, then the chunk calls, and the tips behind them.
func (l *Grants) send(ctx context.Context, s *session, sh *shard, f *dense.Flush) error {
	if err := l.inFlight.take(ctx); err != nil {
		return err
	}
	defer l.inFlight.giveBack()
	unknown := sh.unknown(f)
	pipe, err := l.indexed(ctx, unknown)
	if err != nil {
		return err
	}
	fence := l.fence()
	if err := sh.addCalls(ctx, pipe, &fence, f); err != nil {
		return err
	}
	if err := l.vouch(ctx, pipe, s, sh, f.Shard); err != nil {
		return fence.refused(err)
	}
	sh.acknowledge(unknown)
	return nil
}

// indexed puts chunks into the index, and returns a pipeline for what is to be written to them. The index is on one master. It
// is written before anything that it must cover, so that it never lacks a chunk; and again with it, before a tip that vouches
// for it: the first write may be lost before the pipeline comes.
func (l *Grants) indexed(ctx context.Context, unknown []any) (redis.Pipeliner, error) {
	pipe := l.client.Pipeline()
	if len(unknown) > 0 {
		if err := l.client.SAdd(ctx, l.keys.chunks, unknown...).Err(); err != nil {
			return nil, err
		}
		pipe.SAdd(ctx, l.keys.chunks, unknown...)
	}
	return pipe, nil
}

// acknowledge notes that a pipeline was answered: its tip is there, and its chunks are in the index.
func (sh *shard) acknowledge(indexed []any) {
	sh.acked.Store(sh.tip)
	for _, chunk := range indexed {
		sh.known[chunk.(uint64)] = struct{}{}
	}
}

// unknown returns the chunks of the calls that this session has not put into the index.
func (sh *shard) unknown(f *dense.Flush) (chunks []any) {
	for i := range sh.calls {
		chunk := f.Deltas[sh.calls[i].deltaIndex].Chunk
		if _, ok := sh.known[chunk]; !ok {
			chunks = append(chunks, chunk)
		}
	}
	return chunks
}

// addCalls puts the chunk calls into a pipeline, each with the fence.
func (sh *shard) addCalls(ctx context.Context, pipe redis.Pipeliner, fence *fence, f *dense.Flush) error {
	run, spec := any(sh.head[kindBytes:][:runLength]), any(fence.spec)
	notBefore, notAfter := any(fence.notBefore), any(fence.notAfter())
	for i := range sh.calls {
		c := &sh.calls[i]
		delta := &f.Deltas[c.deltaIndex]
		tail, offsets := sh.buf[c.tail[0]:c.tail[1]], sh.buf[c.offsets[0]:c.offsets[1]]
		if len(offsets) == 0 {
			stage := redis.NewStatusCmd(ctx, "set", c.keys.delta, delta.Members[:], "ex", int(stagedLife.Seconds()))
			if err := pipe.Process(ctx, stage); err != nil {
				return err
			}
			sh.sent += dense.BitmapBytes
		}
		c.reply = chunkCall.command(ctx, c.keys.all(), run, c.identity, tail, offsets, spec, notBefore, notAfter)
		if err := pipe.Process(ctx, c.reply); err != nil {
			return err
		}
		sh.sent += len(tail) + len(offsets)
		sh.applied++
	}
	return nil
}

// vouch puts a new tip of the shard on every master behind what a pipeline has, and runs it.
func (l *Grants) vouch(ctx context.Context, pipe redis.Pipeliner, s *session, sh *shard, shard int) error {
	acked := sh.acked.Load()
	sh.tip++
	tips := make([]*redis.Cmd, len(l.keys.anchors))
	for i, anchor := range l.keys.anchors {
		tips[i] = tipCall.command(ctx, []string{l.keys.tip(anchor, s.id)}, shard, acked, sh.tip, int(tipLife.Seconds()))
	}
	return l.execute(ctx, pipe, tips, func(i int, reply any) error {
		found, ok := reply.(int64)
		switch {
		case !ok:
			return fmt.Errorf("tip script: unexpected reply %v", reply)
		case found < 0:
			return fmt.Errorf("%w: %s: shard %d: expected at least pipeline %d, found %d",
				ErrRegressed, l.keys.tip(l.keys.anchors[i], s.id), shard, acked, -1-found)
		}
		return nil
	})
}

// settle looks at the replies of an acknowledged pipeline. What overlapped is cut down, and goes into a further pipeline
// unless nothing is left.
func (sh *shard) settle(f *dense.Flush) error {
	again := sh.pending[:copy(sh.pending, sh.pending[len(sh.calls):])]
	for i := range sh.calls {
		c := &sh.calls[i]
		d := &f.Deltas[c.deltaIndex]
		switch reply := c.reply.Val().(type) {
		case int64:
			if d.Granted != nil {
				d.Granted.Or(d.Members)
			}
		default:
			if err := cutDown(d, reply, c.keys.granted); err != nil {
				return err
			}
			sh.rounds[c.deltaIndex]++
			if d.Count > 0 {
				again = append(again, c.deltaIndex)
			}
		}
	}
	sh.pending = again
	return nil
}

// cutDown takes out of a delta whose place is settled, by the reply to a call that was refused: the bitmap, and that of those
// who are excluded if there are any.
func cutDown(d *dense.Delta, reply any, key string) error {
	var texts [2]string
	whole := false
	switch reply := reply.(type) {
	case string:
		texts[0], whole = reply, true
	case []any:
		if len(reply) == 2 {
			texts[0], _ = reply[0].(string)
			texts[1], whole = reply[1].(string)
		}
	}
	if !whole {
		return fmt.Errorf("chunk script: unexpected reply %v for %s", reply, key)
	}
	settled, excluded := new(dense.Bitmap), new(dense.Bitmap)
	copy(settled[:], texts[0])
	copy(excluded[:], texts[1])
	duplicates := d.Members.Subtract(settled)
	if duplicates == nil || len(texts[0]) > len(settled) {
		return fmt.Errorf("%w: %s is said to overlap a delta, and does not", ErrInconsistent, key)
	}
	d.Count -= duplicates.Count()
	if texts[1] != "" {
		d.Withheld = union(d.Withheld, duplicates.Subtract(excluded))
		settled.Subtract(excluded)
	}
	d.Granted = settled
	if duplicates.Any() {
		d.Duplicates = union(d.Duplicates, duplicates)
	}
	return nil
}

// union adds a set of members to another one; either may be nil.
func union(a, b *dense.Bitmap) *dense.Bitmap {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	a.Or(b)
	return a
}
