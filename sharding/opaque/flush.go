package opaque

import (
	"bytes"
	"cmp"
	"context"
	"math/bits"
	"slices"

	"github.com/granter/granter/sharding"
)

// ref is where an ID waits.
type ref struct {
	hash         uint64
	block, index uint32
}

// scratch is the memory of a flush under way.
type scratch struct {
	refs, sorted []ref
	counts       []uint32
	prints       []uint32
	bytes        []byte
}

// flush is one under way.
type flush struct {
	*set
	*scratch

	ids    []sharding.IDs
	ranges []sharding.Range
	found  []sharding.Found
}

// waiting is the members of one bucket that are still to be granted.
type waiting struct {
	*bucket
	number uint64
	refs   []ref // ascending by hash, and by their bytes where that is the same; all are different
}

func (f *flush) member(r ref) []byte { return f.ids[r.block].Member(int(r.index)) }

// gather sorts what waits by hash, and in the order of arrival where that is the same. Hashes are spread evenly, so counting by
// as many of their first bits as there are IDs leaves few in each place.
func (f *flush) gather() {
	n := 0
	for i := range f.ids {
		n += len(f.ids[i].Keys)
	}
	f.refs, f.sorted = slices.Grow(f.refs[:0], n)[:n], slices.Grow(f.sorted[:0], n)[:n]
	depth := max(bits.Len(uint(n))-2, 1)
	fixed := uint(bits.Len64(f.first) - 1 - (bits.Len(uint(len(f.buckets))) - 1)) // bits that all of a shard share
	place := func(hash uint64) uint64 { return hash << fixed >> (64 - depth) }
	f.counts = slices.Grow(f.counts[:0], 1<<depth+1)[:1<<depth+1]
	clear(f.counts)
	at := 0
	for i := range f.ids {
		for j, hash := range f.ids[i].Keys {
			f.refs[at] = ref{hash, uint32(i), uint32(j)}
			f.counts[place(hash)+1]++
			at++
		}
	}
	for i := range 1 << depth {
		f.counts[i+1] += f.counts[i]
	}
	for _, r := range f.refs {
		p := place(r.hash)
		f.sorted[f.counts[p]] = r
		f.counts[p]++
	}
	for i, from := 0, uint32(0); i < 1<<depth; i++ {
		to := f.counts[i]
		sortFew(f.sorted[from:to])
		from = to
	}
}

// sortFew keeps the order of those with the same hash.
func sortFew(refs []ref) {
	if len(refs) > 32 {
		slices.SortStableFunc(refs, func(a, b ref) int { return cmp.Compare(a.hash, b.hash) })
		return
	}
	for i := 1; i < len(refs); i++ {
		for j := i; j > 0 && refs[j-1].hash > refs[j].hash; j-- {
			refs[j-1], refs[j] = refs[j], refs[j-1]
		}
	}
}

// dropRepeats leaves the first of each member.
func (f *flush) dropRepeats() {
	all, kept := f.sorted, 0
	for i := 0; i < len(all); {
		run := 1
		for i+run < len(all) && all[i+run].hash == all[i].hash {
			run++
		}
		first := kept
		for _, r := range all[i : i+run] {
			at, again := len(all[first:kept]), false
			if run > 1 {
				member := f.member(r)
				at, again = slices.BinarySearchFunc(all[first:kept], member, func(r ref, member []byte) int {
					return bytes.Compare(f.member(r), member)
				})
			}
			if again {
				f.found[r.block].Repeats++
				continue
			}
			copy(all[first+at+1:kept+1], all[first+at:kept])
			all[first+at] = r
			kept++
		}
		i += run
	}
	f.sorted = all[:kept]
}

// grantAll grants what waits, some buckets at a time.
func (f *flush) grantAll(ctx context.Context) error {
	part := make([]waiting, 0, MaxDeltas)
	for rest := f.sorted; len(rest) > 0; {
		number := f.layout.Bucket(rest[0].hash)
		n := 1
		for n < len(rest) && f.layout.Bucket(rest[n].hash) == number {
			n++
		}
		part = append(part, waiting{&f.buckets[number-f.first], number, rest[:n]})
		if rest = rest[n:]; len(rest) > 0 && len(part) < MaxDeltas {
			continue
		}
		if err := f.grantPart(ctx, part); err != nil {
			return err
		}
		part = part[:0]
	}
	return nil
}

func (f *flush) grantPart(ctx context.Context, part []waiting) error {
	if err := f.lookUp(ctx, part); err != nil {
		return err
	}
	for {
		deltas, of := f.deltas(part)
		if len(deltas) == 0 {
			break
		}
		if err := f.grant(ctx, f.ranges, deltas); err != nil {
			return err
		}
		for i := range deltas {
			w := of[i]
			if deltas[i].Granted {
				f.granted(w)
				continue
			}
			for _, members := range deltas[i].Rest {
				if err := f.meet(w, members, true); err != nil {
					return err
				}
			}
		}
	}
	for i := range part {
		f.forget(part[i].bucket)
	}
	return nil
}

// lookUp reads the buckets in which something may be a repeat, by its fingerprint, and leaves out what is one.
func (f *flush) lookUp(ctx context.Context, part []waiting) error {
	var wants []Want
	var of []*waiting
	size := 0
	ask := func() error {
		found, err := f.sink.Members(ctx, wants)
		if err != nil {
			return err
		}
		for i, entries := range found {
			for _, members := range entries {
				if err := f.meet(of[i], members, false); err != nil {
					return err
				}
			}
		}
		wants, of, size = wants[:0], of[:0], 0
		return nil
	}
	for i := range part {
		w := &part[i]
		if !f.suspicious(w) {
			continue
		}
		wants, of = append(wants, Want{w.number, w.seen}), append(of, w)
		if size += len(w.prints) * max(int(f.layout.Width), 32); size >= maxRead {
			if err := ask(); err != nil {
				return err
			}
		}
	}
	if len(wants) == 0 {
		return nil
	}
	return ask()
}

// maxRead is about how many bytes of buckets are read at once.
const maxRead = 4 << 20

// suspicious reports whether a member has the fingerprint of one that was seen.
func (f *flush) suspicious(w *waiting) bool {
	at := 0
	for _, r := range w.refs {
		p := f.layout.print(r.hash)
		for at < len(w.prints) && w.prints[at] < p {
			at++
		}
		if at == len(w.prints) {
			return false
		}
		if w.prints[at] == p {
			return true
		}
	}
	return false
}

// meet leaves out who is a member of an entry, and remembers one that is new.
func (f *flush) meet(w *waiting, members []byte, fresh bool) error {
	f.prints = f.prints[:0]
	at, kept := 0, 0
	err := f.walk(w.number, members, func(hash uint64, member []byte) {
		if fresh {
			f.prints = append(f.prints, f.layout.print(hash))
		}
		for at < len(w.refs) && w.refs[at].hash < hash {
			w.refs[kept] = w.refs[at]
			at, kept = at+1, kept+1
		}
		for i := at; i < len(w.refs) && w.refs[i].hash == hash; i++ {
			if bytes.Equal(f.member(w.refs[i]), member) {
				f.found[w.refs[i].block].Repeats++
				copy(w.refs[at+1:i+1], w.refs[at:i])
				at++
				break
			}
		}
	})
	if err != nil {
		return err
	}
	kept += copy(w.refs[kept:], w.refs[at:])
	w.refs = w.refs[:kept]
	if fresh {
		f.learn(w.bucket, f.prints)
	}
	return nil
}

// deltas are what is still to be granted.
func (f *flush) deltas(part []waiting) (deltas []Delta, of []*waiting) {
	f.bytes = f.bytes[:0]
	for i := range part {
		w := &part[i]
		if len(w.refs) == 0 {
			continue
		}
		from := len(f.bytes)
		for _, r := range w.refs {
			f.bytes = f.layout.Width.Append(f.bytes, f.member(r))
		}
		deltas = append(deltas, Delta{
			Bucket: w.number, Seen: w.seen, Count: len(w.refs), Width: f.layout.Width,
			Bytes: f.bytes[from:len(f.bytes):len(f.bytes)],
		})
		of = append(of, w)
	}
	return deltas, of
}

// granted remembers that the members of a bucket are in its next entry.
func (f *flush) granted(w *waiting) {
	f.prints = f.prints[:0]
	for _, r := range w.refs {
		f.prints = append(f.prints, f.layout.print(r.hash))
	}
	w.refs = nil
	f.learn(w.bucket, f.prints)
}
