package opaque

import (
	"bytes"
	"cmp"
	"context"
	"math/bits"
	"slices"

	"github.com/granter/granter/sharding"
)

// ref is where a member lies in the memory of a flush, and which of its blocks brought it.
type ref struct {
	hash      uint64
	at, block uint32
}

// scratch is the memory of a flush under way.
type scratch struct {
	refs    []ref
	sorted  []ref  // a part of refs
	members []byte // of refs, as Width.Append writes them
	counts  []uint32
	prints  []uint32
	bytes   []byte // of deltas
}

// flush is one under way.
type flush struct {
	*set
	*scratch

	ids    []sharding.IDs
	ranges []sharding.Range
	found  []sharding.Found
	// withheld are the members of ids that turned out to be excluded. Until the end of the flush they count as repeats.
	withheld map[string]bool
}

// waiting is the members of one bucket that are still to be granted.
type waiting struct {
	*bucket
	number uint64
	refs   []ref    // ascending by hash, and by their bytes where that is the same; all are different
	after  []uint32 // fingerprints of the bucket when refs are granted as they are; nil: not known
}

func (f *flush) member(r ref) []byte { return f.layout.Width.member(f.members[r.at:]) }

// gather sorts what waits by hash, and in the order of arrival where that is the same. It is first split into parts that stay
// in a processor's cache while they are sorted, compared and encoded; so blocks are read once, in their own order.
func (f *flush) gather() {
	n := 0
	for i := range f.ids {
		n += len(f.ids[i].Keys)
	}
	depth := min(max(bits.Len(uint(n)/partMembers), 1), maxParts)
	fixed := bits.Len64(f.first) - 1 - (bits.Len(uint(len(f.buckets))) - 1) // bits that all of a shard share
	part := func(hash uint64) uint64 { return hash << fixed >> (64 - depth) }
	var counts, sizes [1<<maxParts + 1]uint32
	width := f.layout.Width
	for i := range f.ids {
		for j, hash := range f.ids[i].Keys {
			counts[part(hash)+1]++
			if width == 0 {
				sizes[part(hash)+1] += uint32(width.Size(f.ids[i].Member(j)))
			}
		}
	}
	for i := range 1 << depth {
		counts[i+1] += counts[i]
		sizes[i+1] = max(sizes[i]+sizes[i+1], counts[i+1]*uint32(width))
	}
	f.refs = slices.Grow(f.refs[:0], n)[:n]
	size := int(sizes[1<<depth])
	f.members = slices.Grow(f.members[:0], size)[:size]
	for i := range f.ids {
		ids := &f.ids[i]
		for j, hash := range ids.Keys {
			p := part(hash)
			at := sizes[p]
			f.refs[counts[p]] = ref{hash, at, uint32(i)}
			counts[p]++
			sizes[p] += uint32(width.put(f.members[at:], ids.Member(j)))
		}
	}
	for i, from := 0, uint32(0); i < 1<<depth; i++ {
		to := counts[i]
		f.sort(f.refs[from:to], fixed+depth)
		from = to
	}
}

// A flush is split into at most 256 parts, since a processor has about as many lines of its first cache for writing them, and
// into no more than leave this many members in each: 128 KiB of UUIDs and refs.
const (
	maxParts    = 8
	partMembers = 4096
)

// sort sorts refs that have their first bits in common. Hashes are spread evenly, so counting by as many of the next bits as
// there are refs leaves few in each place.
func (f *flush) sort(refs []ref, fixed int) {
	depth := bits.Len(uint(len(refs))) - 2
	if depth < 3 {
		sortFew(refs)
		return
	}
	place := func(hash uint64) uint64 { return hash << fixed >> (64 - depth) }
	f.counts = slices.Grow(f.counts[:0], 1<<depth+1)[:1<<depth+1]
	clear(f.counts)
	for i := range refs {
		f.counts[place(refs[i].hash)+1]++
	}
	for i := range 1 << depth {
		f.counts[i+1] += f.counts[i]
	}
	f.sorted = slices.Grow(f.sorted[:0], len(refs))[:len(refs)]
	for _, r := range refs {
		p := place(r.hash)
		f.sorted[f.counts[p]] = r
		f.counts[p]++
	}
	copy(refs, f.sorted)
	for i, from := 0, uint32(0); i < 1<<depth; i++ {
		to := f.counts[i]
		sortFew(refs[from:to])
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
	all, kept := f.refs, 0
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
	f.refs = all[:kept]
}

// grantAll grants what waits, some buckets at a time.
func (f *flush) grantAll(ctx context.Context) error {
	part := make([]waiting, 0, MaxDeltas)
	for rest := f.refs; len(rest) > 0; {
		number := f.layout.Bucket(rest[0].hash)
		n := 1
		for n < len(rest) && f.layout.Bucket(rest[n].hash) == number {
			n++
		}
		part = append(part, waiting{bucket: &f.buckets[number-f.first], number: number, refs: rest[:n]})
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
			for _, e := range deltas[i].Rest {
				if err := f.meet(w, e, true); err != nil {
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
			for at, e := range entries {
				if err := f.meet(of[i], e, at >= wants[i].Entries); err != nil {
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

// suspicious reports whether a member has the fingerprint of one that was seen. If none has, it keeps what the bucket's
// fingerprints are with them.
func (f *flush) suspicious(w *waiting) bool {
	seen := w.prints
	all := make([]uint32, len(seen)+len(w.refs))
	at := 0
	for i, r := range w.refs {
		p := f.layout.Print(r.hash)
		for at < len(seen) && seen[at] < p {
			all[at+i] = seen[at]
			at++
		}
		if at < len(seen) && seen[at] == p {
			return true
		}
		all[at+i] = p
	}
	copy(all[at+len(w.refs):], seen[at:])
	w.after = all
	return false
}

// meet leaves out whose place an entry settles, and remembers one that is new.
func (f *flush) meet(w *waiting, e Entry, fresh bool) error {
	if e.Says == Admits || len(e.Members) == 0 {
		if fresh {
			w.seen++ // and its fingerprints are as they were
		}
		return f.admit(w.number, e.Members)
	}
	f.prints = f.prints[:0]
	at, kept := 0, 0
	err := f.walk(w.number, e.Members, func(hash uint64, member []byte) {
		if fresh {
			f.prints = append(f.prints, f.layout.Print(hash))
		}
		for at < len(w.refs) && w.refs[at].hash < hash {
			w.refs[kept] = w.refs[at]
			at, kept = at+1, kept+1
		}
		for i := at; i < len(w.refs) && w.refs[i].hash == hash; i++ {
			if bytes.Equal(f.member(w.refs[i]), member) {
				f.found[w.refs[i].block].Repeats++
				if e.Says == Excludes {
					f.withhold(member)
				}
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
		w.after = nil
		f.learn(w.bucket, merge(w.prints, f.prints))
	}
	return nil
}

// withhold notes that a member that waits is excluded.
func (f *flush) withhold(member []byte) {
	if f.withheld == nil {
		f.withheld = map[string]bool{}
	}
	f.withheld[string(member)] = true
}

// admit notes that members are excluded no more.
func (f *flush) admit(bucket uint64, members []byte) error {
	if len(f.withheld) == 0 {
		return nil
	}
	return f.walk(bucket, members, func(_ uint64, member []byte) { delete(f.withheld, string(member)) })
}

// countWithheld counts the records of excluded users as such: each of them was counted as a repeat.
func (f *flush) countWithheld() {
	for i := range f.ids {
		for j := range f.ids[i].Keys {
			if f.withheld[string(f.ids[i].Member(j))] {
				f.found[i].Repeats--
				f.found[i].Withheld++
			}
		}
	}
}

// deltas are what is still to be granted.
func (f *flush) deltas(part []waiting) (deltas []Delta, of []*waiting) {
	f.bytes = f.bytes[:0]
	width := f.layout.Width
	for i := range part {
		w := &part[i]
		if len(w.refs) == 0 {
			continue
		}
		from := len(f.bytes)
		if width == 0 {
			for _, r := range w.refs {
				f.bytes = append(f.bytes, width.encoded(f.members[r.at:])...)
			}
		} else {
			f.bytes = slices.Grow(f.bytes, int(width)*len(w.refs))
			to := f.bytes[from : from+int(width)*len(w.refs)]
			for i, r := range w.refs {
				width.put(to[i*int(width):], f.members[r.at:])
			}
			f.bytes = f.bytes[:from+len(to)]
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
	all := w.after
	if all == nil {
		f.prints = f.prints[:0]
		for _, r := range w.refs {
			f.prints = append(f.prints, f.layout.Print(r.hash))
		}
		all = merge(w.prints, f.prints)
	}
	w.refs, w.after = nil, nil
	f.learn(w.bucket, all)
}
