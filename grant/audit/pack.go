package audit

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// Marks of a member.
const (
	markBelow  byte = 1 << iota // a record below the checkpoint has it
	markBeyond                  // a record from there on has it
	markRun                     // a run granted it, so a record must have it
	markOut                     // it is excluded
)

// pack is what a pass of an audit keeps of one bucket: its members, whole, so whoever asks for one finds that one. Of those that
// the ledger has, each is there once, with a byte of marks behind it, ascending by hash, and by bytes where that is the same.
type pack struct {
	mu      sync.Mutex
	members []byte
	index   []uint32 // where those begin whose hash goes on so, behind the bits of the bucket
	more    []byte   // those that only the topic has, and their marks: up to sorted as members, then as they came
	sorted  int
	given   bool // back: another pass has the bucket
	held    heldBucket
}

// nearMembers is how many members are looked through to find one.
const nearMembers = 8

// fill makes members, of which there are so many, those of the ledger.
func (p *pack) fill(l *layout, members []byte, count int) {
	p.members = members
	depth := uint(0)
	for depth < 24 && count>>depth > nearMembers {
		depth++
	}
	p.index = make([]uint32, 1<<depth)
	slot := 0
	for at := 0; at < len(members); {
		size, begins := l.size(members[at:])
		for of := p.slot(l, hashOf(members[at+begins:at+size])); slot <= of; slot++ {
			p.index[slot] = uint32(at)
		}
		at += size + 1
	}
	for ; slot < len(p.index); slot++ {
		p.index[slot] = uint32(len(members))
	}
}

func (p *pack) slot(l *layout, hash uint64) int {
	depth := bits.Len(uint(len(p.index))) - 1
	return int(hash << l.bits >> (64 - depth)) // by 64, where there is one slot: none
}

// mark notes that a record has a member, and returns how many bytes that took.
func (p *pack) mark(l *layout, hash uint64, member []byte, with byte) (took int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given {
		return 0
	}
	if len(p.index) > 0 {
		slot := p.slot(l, hash)
		end := len(p.members)
		if slot+1 < len(p.index) {
			end = int(p.index[slot+1])
		}
		for at := int(p.index[slot]); at < end; {
			size, begins := l.size(p.members[at:])
			if bytes.Equal(p.members[at+begins:at+size], member) {
				p.members[at+size] |= with
				return 0
			}
			at += size + 1
		}
	}
	before := cap(p.more)
	p.more = append(l.stored(p.more, member), with)
	if len(p.more) > 2*p.sorted+4096 {
		p.settle(l)
	}
	return cap(p.more) - before
}

// one is the first of some members with marks behind each.
type one struct {
	hash   uint64
	member []byte
	stored []byte
	marks  byte
}

// first splits the first member and its marks off; of none it has no bytes.
func (l *layout) one(b []byte) (o one, rest []byte) {
	if len(b) == 0 {
		return one{}, nil
	}
	size, begins := l.size(b)
	member := b[begins:size:size]
	return one{hashOf(member), member, b[:size:size], b[size]}, b[size+1:]
}

func (o *one) compare(other *one) int {
	return cmp.Or(cmp.Compare(o.hash, other.hash), bytes.Compare(o.member, other.member))
}

// settle orders those that only the topic has, and makes one of those that came several times.
func (p *pack) settle(l *layout) {
	var all []one
	for rest := p.more; len(rest) > 0; {
		var o one
		o, rest = l.one(rest)
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b one) int { return a.compare(&b) })
	out := make([]byte, 0, len(p.more))
	for i := range all {
		if i > 0 && bytes.Equal(all[i].stored, all[i-1].stored) {
			out[len(out)-1] |= all[i].marks
			continue
		}
		out = append(append(out, all[i].stored...), all[i].marks)
	}
	p.more, p.sorted = out, len(out)
}

// each hands over all members, in the order of the bucket, with their marks; held says whether the ledger has it. Nobody marks
// any meanwhile.
func (p *pack) each(l *layout, fn func(o *one, held bool)) {
	p.settle(l)
	a, restA := l.one(p.members)
	b, restB := l.one(p.more)
	for len(a.stored)+len(b.stored) > 0 {
		if len(b.stored) == 0 || len(a.stored) > 0 && a.compare(&b) < 0 {
			fn(&a, true)
			a, restA = l.one(restA)
			continue
		}
		fn(&b, false)
		b, restB = l.one(restB)
	}
}

func (p *pack) size() int64 {
	return int64(cap(p.members)+4*len(p.index)+cap(p.more)) + packBytes + p.held.size
}

// packBytes is about what a pack takes besides its members.
const packBytes = 256

// packs are those of the buckets from one up to, not including, a limit. When they take too much, the limit falls, and what is
// beyond it is left to the next pass: so memory is bounded whatever topic and ledger hold.
type packs struct {
	*layout

	budget int64
	from   uint64
	top    uint64 // the last bucket that the ledger filled
	limit  atomic.Uint64
	used   atomic.Int64
	all    []atomic.Pointer[pack] // by bucket, from the first that there can be on

	mu sync.Mutex
}

func newPacks(l *layout, budget int64) *packs {
	return &packs{layout: l, budget: budget, all: make([]atomic.Pointer[pack], l.end()-l.first())}
}

// begin begins a pass, and forgets the one before.
func (s *packs) begin(from uint64) {
	for i := range s.all {
		s.all[i].Store(nil)
	}
	s.from, s.top = from, from
	s.limit.Store(s.end())
	s.used.Store(0)
}

// hold notes what the ledger has of a bucket. Where that takes the room that is for the ledger, the pass has no more buckets: an
// eighth is for users that only the topic has. It reports whether the bucket is one of this pass.
func (s *packs) hold(bucket uint64, p *pack) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bucket >= s.limit.Load() {
		return false
	}
	s.all[bucket-s.first()].Store(p)
	s.top = max(s.top, bucket)
	if s.used.Add(p.size()) > s.budget/8*7 {
		s.limit.Store(s.top + 1)
	}
	return true
}

// mark notes that a record of a part of the topic has a member.
func (s *packs) mark(member []byte, with byte) {
	hash := hashOf(member)
	bucket := s.bucket(hash)
	if bucket < s.from || bucket >= s.limit.Load() {
		return
	}
	at := &s.all[bucket-s.first()]
	p := at.Load()
	if p == nil {
		made := new(pack)
		if at.CompareAndSwap(nil, made) {
			s.used.Add(packBytes)
		}
		if p = at.Load(); p == nil { // the limit fell
			return
		}
	}
	if took := p.mark(s.layout, hash, member, with); took != 0 && s.used.Add(int64(took)) > s.budget {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.makeRoom(s.budget)
	}
}

// makeRoom lowers the limit until the packs take no more than that. One stays in any case, so that every pass comes further.
func (s *packs) makeRoom(most int64) {
	for s.used.Load() > most {
		there := s.there()
		if len(there) < 2 {
			return
		}
		keep, size := 0, int64(0)
		for keep < len(there) && size <= most*3/4 { // not so close that the next one is too much again
			size += s.at(there[keep]).locked((*pack).size)
			keep++
		}
		keep = min(max(keep-1, 1), len(there)-1)
		s.limit.Store(there[keep])
		for _, bucket := range there[keep:] {
			p := s.all[bucket-s.first()].Swap(nil)
			s.used.Add(-p.locked(func(p *pack) int64 {
				p.given = true
				return p.size()
			}))
		}
	}
}

func (p *pack) locked(fn func(*pack) int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fn(p)
}

func (s *packs) at(bucket uint64) *pack { return s.all[bucket-s.first()].Load() }

// there are the buckets of the pass that have a pack, ascending.
func (s *packs) there() (out []uint64) {
	for bucket := s.from; bucket < s.limit.Load(); bucket++ {
		if s.at(bucket) != nil {
			out = append(out, bucket)
		}
	}
	return out
}
