package sharding

import (
	"context"
	"fmt"
	"sync/atomic"
)

// block is a run of IDs of one lane for one shard, and what the lane knows at its end.
type block struct {
	lane        int
	first, last int64 // offsets of the first and last ID
	ids         IDs
	sent        int64 // IDs that the lane sent to this shard, this block included: the lane's own count
	mark        int64 // if marked: everything of the lane below this offset has been sent
	marked      bool
	idle        bool // the lane has nothing more to give at the moment
	limited     bool // the lane has waited at the gate
}

// Lane is one partition's way into the pool. One goroutine uses it.
type Lane struct {
	pool      *Pool
	partition int
	index     int
	start     int64
	groupBits uint
	mask      uint64   // the number of shards − 1
	open      []*block // the block being filled for each shard
	sent      []int64  // IDs routed to each shard
	consumed  int64

	includes       func(id uint64) bool // Config.Includes
	includesMember func(hash uint64, member []byte) bool

	quota int         // IDs that may still be added before the gate is asked
	held  atomic.Bool // it waits at the gate

	limited bool // it has waited there since the last mark

	rejected, withheld atomic.Int64
	pendingRejected    int64
	pendingWithheld    int64
}

// Withheld reports whether the users of this run do not include an ID; its record is to be counted by Withhold.
func (l *Lane) Withheld(id uint64) bool {
	return l.includes != nil && !l.includes(id)
}

// WithheldMember is Withheld for an opaque ID.
func (l *Lane) WithheldMember(hash uint64, member []byte) bool {
	return l.includesMember != nil && !l.includesMember(hash, member)
}

// Admitted reports whether an ID may be added without waiting.
func (l *Lane) Admitted() bool {
	if l.quota <= 0 {
		l.quota = l.pool.admit()
	}
	return l.quota > 0
}

// Await waits until an ID may be added. It fails only when the context is cancelled. Whoever calls it should have marked
// how far it is: it may take hours.
func (l *Lane) Await(ctx context.Context) error {
	l.held.Store(true)
	defer l.held.Store(false)
	l.limited = true
	for !l.Admitted() {
		if err := l.pool.cfg.Gate.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Add routes the ID of the record at an offset; it must be admitted. Offsets of a lane ascend. It blocks while the shard is busy, and fails
// only when the context is cancelled; the record is then not added.
func (l *Lane) Add(ctx context.Context, offset int64, id uint64) error {
	s := id >> (l.groupBits & 63) & l.mask
	b := l.open[s]
	if len(b.ids.Keys) == cap(b.ids.Keys) {
		if !l.send(int(s), ctx.Done()) {
			return ctx.Err()
		}
		b = l.open[s]
	}
	if len(b.ids.Keys) == 0 {
		b.first = offset
	}
	b.ids.Keys = append(b.ids.Keys, id)
	b.last = offset
	l.consumed++
	l.quota--
	return nil
}

// AddMember is Add for an opaque ID: its key is a hash of the member, which is copied.
func (l *Lane) AddMember(ctx context.Context, offset int64, key uint64, member []byte) error {
	s := key >> (l.groupBits & 63) & l.mask
	b := l.open[s]
	if n := len(b.ids.Keys); n > 0 && (n == cap(b.ids.Keys) || len(b.ids.members)+len(member) > maxMembers) {
		if !l.send(int(s), ctx.Done()) {
			return ctx.Err()
		}
		b = l.open[s]
	}
	if len(b.ids.Keys) == 0 {
		b.first = offset
	}
	b.ids.Add(key, member)
	b.last = offset
	l.consumed++
	l.quota--
	return nil
}

// maxMembers bounds the bytes of opaque IDs in one block, so that blocks of long ones take no more memory than 4,096 of 16 bytes.
const maxMembers = 64 << 10

// Reject counts a record without a valid ID. The caller must have stored the record durably before the next Mark.
func (l *Lane) Reject() { l.consumed++; l.pendingRejected++ }

// Withhold counts a record whose user does not get the items in this run.
func (l *Lane) Withhold() { l.consumed++; l.pendingWithheld++ }

// Mark says that every record below next has been added, rejected or withheld, and hands over what is still in open
// blocks. idle says that the partition has nothing more to give at the moment, so waiting for more would only delay.
//
// A cancelled context does not keep it from doing so while the pool runs: whoever is stopped in the middle marks how far
// it came, or all since its last mark would be read again.
func (l *Lane) Mark(ctx context.Context, next int64, idle bool) error {
	if err := l.count(next); err != nil {
		return err
	}
	for s, b := range l.open {
		b.mark, b.marked, b.idle = next, true, idle
		if !l.send(s, ctx.Done()) && !l.send(s, l.pool.ended) {
			return ctx.Err()
		}
	}
	l.limited = false
	if l.quota > 0 && l.pool.cfg.Gate != nil {
		l.pool.cfg.Gate.Return(l.quota) // a lane that has nothing to do must not keep what it was admitted hours ago
		l.quota = 0
	}
	return nil
}

// count publishes what was rejected and withheld since the last mark, and fails if an ID was lost on the way into its
// block. It comes before the mark is sent: no position may pass an ID that was lost.
func (l *Lane) count(next int64) error {
	rejected := l.rejected.Add(l.pendingRejected)
	withheld := l.withheld.Add(l.pendingWithheld)
	l.pendingRejected, l.pendingWithheld = 0, 0
	var routed int64
	for s, b := range l.open {
		routed += l.sent[s] + int64(len(b.ids.Keys))
	}
	if l.consumed != routed+rejected+withheld {
		return fmt.Errorf("%w in partition %d at offset %d: consumed %d, routed %d + rejected %d + withheld %d",
			ErrUnbalanced, l.partition, next, l.consumed, routed, rejected, withheld)
	}
	return nil
}

// send hands over the open block of a shard, unless it is stopped before the shard takes it.
func (l *Lane) send(s int, stopped <-chan struct{}) bool {
	b := l.open[s]
	b.sent, b.limited = l.sent[s]+int64(len(b.ids.Keys)), l.limited
	sent := b.sent // the shard owns b from now on
	select {
	case l.pool.shards[s].in <- b:
	case <-stopped:
		return false
	}
	l.sent[s] = sent
	l.open[s] = l.pool.block(l)
	return true
}
