package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/sharding/opaque"
)

var _ opaque.Sink = (*Grants)(nil)

// restEntries is how many entries a refused call returns at most.
const restEntries = 256

// AddMembers implements opaque.Sink. What Grant says of flushes, errors, time and spec holds for it, too; in addition a
// *FullError says that a bucket can take no more.
func (l *Grants) AddMembers(ctx context.Context, f *opaque.Flush) (err error) {
	s := l.session.Load()
	if s == nil {
		return errNoSession
	}
	ctx, span := tracer.Start(ctx, "ledger.flush")
	defer span.End()
	defer func() { recordError(span, err) }()
	began := time.Now()
	if err := l.ensureLease(ctx); err != nil {
		return err
	}
	sh := s.shard(f.Shard)
	if err := sh.takeMembers(l, f); err != nil {
		return err
	}
	sh.encodeMembers(f)
	if err := l.deliverFlush(ctx, f.Shard, f.Seq, func() error { return l.sendMembers(ctx, s, sh, f) }); err != nil {
		return err
	}
	sh.done = true
	if l.observer != nil {
		members := 0
		for i := range f.Deltas {
			if f.Deltas[i].Granted {
				members += f.Deltas[i].Count
			}
		}
		l.observer.FlushDone(f.Shard, members, sh.applied, sh.sent, time.Since(began))
	}
	return nil
}

// takeMembers makes the flush the one under way. One that failed goes on where it was: what was applied is known by its entry.
func (sh *shard) takeMembers(l *Grants, f *opaque.Flush) error {
	switch {
	case f.Seq == sh.seq && !sh.done:
		return nil
	case f.Seq <= sh.seq:
		return fmt.Errorf("flush %d of shard %d came after flush %d: a new shard pool needs a new session (Begin)", f.Seq,
			f.Shard, sh.seq)
	case f.Shard < 0:
		return fmt.Errorf("shard %d: must not be negative", f.Shard)
	}
	var err error
	if sh.ranges, err = appendRanges(sh.ranges[:0], f.Ranges); err != nil {
		return fmt.Errorf("flush %d of shard %d: %w", f.Seq, f.Shard, err)
	}
	sh.head = appendHead(sh.head[:0], l.run, f.Shard, f.Seq)
	sh.seq, sh.done, sh.sent, sh.applied, sh.attempted = f.Seq, false, 0, 0, false
	for i := range f.Deltas {
		f.Deltas[i].Granted, f.Deltas[i].Rest = false, nil
	}
	return nil
}

// encodeMembers prepares the entries.
func (sh *shard) encodeMembers(f *opaque.Flush) {
	sh.buf, sh.tails = sh.buf[:0], sh.tails[:0]
	for i := range f.Deltas {
		d := &f.Deltas[i]
		from := len(sh.buf)
		sh.buf = binary.AppendUvarint(append(sh.buf, sh.head...), uint64(d.Count))
		sh.buf = append(append(sh.buf, sh.ranges...), byte(d.Width))
		sh.buf = append(sh.buf, d.Bytes...)
		sh.tails = append(sh.tails, [2]int{from, len(sh.buf)})
	}
}

// sendMembers makes one attempt: the index, then the calls, and the tips behind them, as send does.
func (l *Grants) sendMembers(ctx context.Context, s *session, sh *shard, f *opaque.Flush) error {
	if err := l.inFlight.take(ctx); err != nil {
		return err
	}
	defer l.inFlight.giveBack()
	var unknown []any
	for i := range f.Deltas {
		if _, ok := sh.known[f.Deltas[i].Bucket]; !ok {
			unknown = append(unknown, f.Deltas[i].Bucket)
		}
	}
	pipe, err := l.indexed(ctx, unknown)
	if err != nil {
		return err
	}
	fence := l.fence()
	replies := make([]*redis.Cmd, len(f.Deltas))
	for i := range f.Deltas {
		d := &f.Deltas[i]
		tail := sh.buf[sh.tails[i][0]:sh.tails[i][1]]
		keys := l.keys.chunk(d.Bucket, "")
		replies[i] = bucketCall.command(ctx, []string{keys.journal, keys.calls},
			d.Seen, d.Count, tail, fence.spec, fence.notBefore, fence.notAfter(), restEntries, MaxBucket)
		if err := pipe.Process(ctx, replies[i]); err != nil {
			return err
		}
		sh.sent += len(tail)
		sh.applied++
	}
	again := sh.attempted
	sh.attempted = true
	if err := l.vouch(ctx, pipe, s, sh, f.Shard); err != nil {
		return fence.refused(err)
	}
	for i := range f.Deltas {
		d := &f.Deltas[i]
		if err := l.settleMembers(d, replies[i].Val(), sh.buf[sh.tails[i][0]:sh.tails[i][1]], again); err != nil {
			return err
		}
	}
	sh.acknowledge(unknown)
	return nil
}

// settleMembers reads the reply to one call. again says that it may have been applied by an attempt before: then its entry is the
// first that its caller has not seen.
func (l *Grants) settleMembers(d *opaque.Delta, reply any, tail []byte, again bool) error {
	key := l.keys.journal(d.Bucket)
	if applied, ok := reply.(int64); ok && applied == 1 {
		d.Granted = true
		return nil
	}
	list, _ := reply.([]any)
	if len(list) == 2 {
		if why, ok := list[0].(int64); ok {
			n, _ := list[1].(int64)
			if why == -2 {
				return &FullError{Key: key, Members: n, Spec: l.campaign.Population}
			}
			return fmt.Errorf("%w: %s: expected at least %d entries, found %d", ErrRegressed, key, d.Seen, n)
		}
	}
	d.Rest = d.Rest[:0]
	for i, entry := range list {
		text, ok := entry.(string)
		if !ok {
			return fmt.Errorf("bucket script: unexpected reply %v for %s", reply, key)
		}
		if i == 0 && again && len(text) > stampBytes && text[stampBytes:] == string(tail) {
			d.Granted, d.Rest = true, nil
			return nil
		}
		e, err := l.entryOf(d.Bucket, int64(d.Seen+i), text)
		if err != nil {
			return err
		}
		d.Rest = append(d.Rest, e)
	}
	if len(list) == 0 {
		return fmt.Errorf("bucket script: unexpected reply %v for %s", reply, key)
	}
	return nil
}

// entryOf returns what an entry, whose members must be as those of this campaign, says of their places.
func (l *Store) entryOf(bucket uint64, at int64, text string) (out opaque.Entry, err error) {
	var e Entry
	m, err := e.UnmarshalBucket([]byte(text))
	if err == nil && m.Width != l.layout.Width {
		err = fmt.Errorf("members of %d bytes: want %d", m.Width, l.layout.Width)
	}
	if err != nil {
		return out, fmt.Errorf("%w: %s[%d]: %w", ErrInconsistent, l.keys.journal(bucket), at, err)
	}
	switch {
	case e.Kind == EntryReinstate:
		return opaque.Entry{Members: m.body, Says: opaque.Admits}, nil
	case e.Kind == EntryExclude:
		return opaque.Entry{Members: m.body, Says: opaque.Excludes}, nil
	case e.Kind.Settles():
		return opaque.Entry{Members: m.body}, nil
	}
	return out, nil
}

// Members implements opaque.Sink.
func (l *Grants) Members(ctx context.Context, wants []opaque.Want) ([][]opaque.Entry, error) {
	return l.readMembers(ctx, wants)
}
