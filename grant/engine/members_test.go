package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
)

// numbers is how a topic's IDs become buckets where they are not dense: 64-bit numbers.
var numbers = opaque.Layout{Bits: opaque.MinBits, Width: 8}

// AddMembers implements opaque.Sink.
func (c *client) AddMembers(ctx context.Context, f *opaque.Flush) error {
	return c.flush(ctx, f.Shard, f.Seq, nil, func() (fresh []uint64, undo func(), err error) {
		var added []uint64
		undo = func() {
			for _, bucket := range added {
				entries := c.buckets[bucket]
				c.buckets[bucket] = entries[:len(entries)-1]
			}
		}
		for i := range f.Deltas {
			if d := &f.Deltas[i]; d.Seen > len(c.buckets[d.Bucket]) {
				return nil, nil, fmt.Errorf("bucket %d: %w", d.Bucket, grant.ErrRegressed)
			}
		}
		for i := range f.Deltas {
			d := &f.Deltas[i]
			entries := c.buckets[d.Bucket]
			d.Granted, d.Rest = false, nil
			if d.Seen < len(entries) {
				d.Rest = entries[d.Seen:]
				continue
			}
			for at := 0; at < len(d.Bytes); at += 8 {
				id := binary.BigEndian.Uint64(d.Bytes[at:])
				if c.users[id] {
					c.broken = append(c.broken, fmt.Sprintf("user %d is granted twice", id))
				}
				c.users[id] = true
				fresh = append(fresh, id)
			}
			c.buckets[d.Bucket] = append(slices.Clip(entries), opaque.Entry{Members: bytes.Clone(d.Bytes)})
			added = append(added, d.Bucket)
			d.Granted = true
		}
		return fresh, undo, nil
	})
}

// Members implements opaque.Sink.
func (c *client) Members(_ context.Context, wants []opaque.Want) ([][]opaque.Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([][]opaque.Entry, len(wants))
	for i, want := range wants {
		entries := c.buckets[want.Bucket]
		if want.Entries > len(entries) {
			return nil, fmt.Errorf("bucket %d: %w", want.Bucket, grant.ErrRegressed)
		}
		out[i] = entries[:want.Entries:want.Entries]
	}
	return out, nil
}

// add hands an ID to a lane, as the topic's IDs are.
func (r *reader) add(ctx context.Context, lane *sharding.Lane, offset int64, id uint64) error {
	if !r.opaque {
		return lane.Add(ctx, offset, id)
	}
	member := binary.BigEndian.AppendUint64(nil, id)
	return lane.AddMember(ctx, offset, opaque.Hash(member), member)
}
