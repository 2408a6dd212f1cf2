package ledger

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

// layouts are the two that a ledger may have. What every ledger promises is tested on both.
var layouts = []struct {
	name string
	ids  grant.IDs
}{{"chunks", grant.IDsDense}, {"buckets", grant.IDsInt64}}

// many is how many users are sent as a bitmap, in a campaign of chunks. In one of buckets they are in two calls.
func (w *world) many() int {
	if w.ids == grant.IDsInt64 {
		return 100
	}
	return 3000
}

// numbers grants what is handed in for chunks in a campaign of 64-bit numbers, which is kept in buckets. So one test does for
// both layouts. It is a pool's set in small: it knows what it has seen, makes calls until everybody is granted, and says who was
// granted before.
type numbers struct {
	grants *Grants

	mu     sync.Mutex
	shards map[int]*numbersShard
}

// numbersShard is what one shard has under way, and has seen.
type numbersShard struct {
	flush *dense.Flush // the last one
	want  *opaque.Flush
	seq   uint64
	seen  map[uint64]int  // entries of each bucket
	knows map[uint64]bool // members of those
	had   map[uint64]bool // of the flush, who had been granted before
}

// forget makes the shards those of a new pool.
func (n *numbers) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shards = map[int]*numbersShard{}
}

func (n *numbers) shard(i int) *numbersShard {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.shards[i] == nil {
		n.shards[i] = &numbersShard{seen: map[uint64]int{}, knows: map[uint64]bool{}}
	}
	return n.shards[i]
}

// Grant implements dense.Sink.
func (n *numbers) Grant(ctx context.Context, f *dense.Flush) error {
	if n.grants.session.Load() == nil {
		return errNoSession
	}
	sh := n.shard(f.Shard)
	if sh.flush == nil || sh.flush.Seq != f.Seq || sh.want == nil {
		sh.flush, sh.had, sh.want = f, map[uint64]bool{}, nil
	}
	for {
		if sh.want == nil {
			if sh.want = n.next(sh, f); len(sh.want.Deltas) == 0 {
				break
			}
		}
		if err := n.grants.AddMembers(ctx, sh.want); err != nil {
			return err
		}
		for i := range sh.want.Deltas {
			d := &sh.want.Deltas[i]
			if d.Granted {
				d.Rest = []opaque.Entry{{Members: d.Bytes}}
			}
			for _, e := range d.Rest {
				sh.learn(d.Bucket, e.Members, !d.Granted)
			}
		}
		sh.want = nil
	}
	n.tell(sh, f)
	return nil
}

// learn takes an entry in: of this flush, or of somebody else, whose members had been granted before.
func (sh *numbersShard) learn(bucket uint64, members []byte, before bool) {
	sh.seen[bucket]++
	for _, id := range members8(members) {
		sh.knows[id], sh.had[id] = true, before
	}
}

func members8(b []byte) (ids []uint64) {
	for ; len(b) > 0; b = b[8:] {
		ids = append(ids, binary.BigEndian.Uint64(b))
	}
	return ids
}

// next makes the next call of a flush: of the members of which nothing is known yet, those in the first buckets.
func (n *numbers) next(sh *numbersShard, f *dense.Flush) *opaque.Flush {
	layout := n.grants.layout
	all := map[uint64][][]byte{}
	for i := range f.Deltas {
		for _, low := range f.Deltas[i].Members.Lows(nil) {
			id := dense.Join(f.Deltas[i].Chunk, low)
			if _, known := sh.had[id]; known {
				continue
			}
			member := binary.BigEndian.AppendUint64(nil, id)
			bucket := layout.Bucket(opaque.Hash(member))
			if sh.knows[id] {
				sh.had[id] = true
				continue
			}
			all[bucket] = append(all[bucket], member)
		}
	}
	sh.seq++
	out := &opaque.Flush{Shard: f.Shard, Seq: sh.seq, Ranges: f.Ranges}
	for bucket, members := range all {
		slices.SortFunc(members, opaque.Compare)
		d := opaque.Delta{Bucket: bucket, Seen: sh.seen[bucket], Count: len(members), Width: layout.Width}
		for _, m := range members {
			d.Bytes = layout.Width.Append(d.Bytes, m)
		}
		out.Deltas = append(out.Deltas, d)
	}
	slices.SortFunc(out.Deltas, func(a, b opaque.Delta) int { return int(a.Bucket) - int(b.Bucket) })
	out.Deltas = out.Deltas[:min(len(out.Deltas), opaque.MaxDeltas)]
	return out
}

// tell says of each delta what a sink must.
func (n *numbers) tell(sh *numbersShard, f *dense.Flush) {
	for i := range f.Deltas {
		d := &f.Deltas[i]
		whole, had := *d.Members, new(dense.Bitmap)
		for _, low := range d.Members.Lows(nil) {
			if sh.had[dense.Join(d.Chunk, low)] {
				had.Set(low)
			}
		}
		d.Duplicates, d.Granted = nil, nil
		if had.Any() {
			d.Members.Subtract(had)
			d.Duplicates, d.Granted = had, &whole
		}
		d.Count = d.Members.Count()
	}
}

// inBuckets returns who has been granted in a campaign of 64-bit numbers.
func (w *world) inBuckets(l *parts) oracle {
	w.Helper()
	got := oracle{}
	buckets, err := l.Chunks(w.ctx)
	require.NoError(w, err)
	stored, err := l.BucketMembers(w.ctx, buckets)
	require.NoError(w, err)
	for _, entries := range stored {
		for _, e := range entries {
			for _, id := range members8(e.Members) {
				chunk, low := dense.Split(id)
				require.False(w, got[chunk] != nil && got[chunk].Has(low), "%d is granted twice", id)
				got.add(chunk, bitmap(low))
			}
		}
	}
	return got
}
