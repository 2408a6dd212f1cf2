package audit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
)

// heldBucket is what the ledger has of one bucket, besides its members.
type heldBucket struct {
	found   []func(*findings)
	replays []replayedMembers
	leaf    *chunkLeaf // nil: no tree is asked for
	size    int64      // bytes that found and replays keep
	settled int64
	took    []took // of each item that users take
	totals
}

// seat is one member of one entry. Its memory counts: a bucket may have a million.
type seat struct {
	hash  uint64
	at    uint32 // where the bucket's members have it, as it is stored
	entry uint32 // of those that could be read
}

// told is what an entry says of its members.
type told struct {
	statement

	canary *grant.Pass // nil: none, or it granted everybody
	replay bool
	number int64 // in the journal
}

// bucketReading reads buckets, one after the other. It belongs to one goroutine.
type bucketReading struct {
	*audit
	*layout

	bucket  uint64
	e       entry
	arena   []byte
	seats   []seat
	told    []told
	replays []replayedMembers
	content journalHash
	takes   *bucketTakes // nil: users take nothing
	entries int64
	found   []func(*findings)
	size    int64
}

func (r *bucketReading) begin(bucket uint64) {
	r.bucket, r.entries, r.size = bucket, 0, 0
	r.arena, r.seats, r.told = r.arena[:0], r.seats[:0], r.told[:0]
	r.replays, r.found = nil, nil
	r.content.begin()
	if r.takes != nil {
		r.takes.begin()
	}
}

func (r *bucketReading) damage(what string) {
	where := fmt.Sprintf("bucket %d", r.bucket)
	r.found = append(r.found, func(f *findings) { f.add(Unreadable, where, 1, what, look) })
}

// read reads a bucket of the ledger, and finds what contradicts itself there.
func (r *bucketReading) read(ctx context.Context, bucket uint64) (*pack, error) {
	if r.takes != nil {
		if err := r.takes.read(ctx, bucket); err != nil {
			return nil, err
		}
	}
	r.begin(bucket)
	stored, err := r.ledger.Stored(ctx, bucket, func(at int64, text string) {
		if at == 0 {
			r.begin(bucket)
		}
		r.entry(at, []byte(text))
	})
	if err != nil {
		return nil, err
	}
	for _, what := range stored.Misused {
		r.damage(what)
	}
	slices.SortFunc(r.seats, func(a, b seat) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(r.member(a), r.member(b)), cmp.Compare(a.entry, b.entry))
	})
	return r.pack(), nil
}

func (r *bucketReading) stored(s seat) []byte {
	size, _ := r.layout.size(r.arena[s.at:])
	return r.arena[s.at:][:size]
}

func (r *bucketReading) member(s seat) []byte {
	size, begins := r.layout.size(r.arena[s.at:])
	return r.arena[s.at:][begins:size]
}

func (r *bucketReading) entry(at int64, text []byte) {
	r.entries++
	r.content.add(text)
	members, err := r.e.readBucket(text, r.layout)
	if err != nil {
		r.damage(fmt.Sprintf("entry %d of the journal cannot be read: %v", at, err))
		return
	}
	if r.takes != nil {
		r.takes.journal(&r.e, members)
	}
	e := told{statement: statement{at: uint64(r.e.at), run: r.e.run, flush: r.e.flush, kind: r.e.kind}, number: at}
	if r.e.kind == kindGrant {
		e.canary, e.replay = r.canaries[r.e.run], r.repairing[r.e.run]
	}
	number, begins := uint32(len(r.told)), len(r.arena)
	r.told, r.arena = append(r.told, e), append(r.arena, members...)
	for at := begins; at < len(r.arena); {
		size, from := r.layout.size(r.arena[at:])
		r.seats = append(r.seats, seat{hashOf(r.arena[at+from : at+size]), uint32(at), number})
		at += size
	}
	if e.replay {
		r.replays = append(r.replays, r.replayOf(members))
		r.size += int64(2 * len(members))
	}
}

func (r *bucketReading) replayOf(members []byte) replayedMembers {
	out := replayedMembers{entry: entry{run: r.e.run, count: r.e.count, spans: slices.Clone(r.e.spans)}}
	for len(members) > 0 {
		size, _ := r.layout.size(members)
		out.users = append(out.users, r.user(members[:size]))
		members = members[size:]
	}
	return out
}

// fate is what all entries together say of one member.
type fate struct {
	entry   int  // that settled it; -1: none
	granted bool // by whatever
	byRun   bool // not by a replay
	byHand  bool
	acted   bool
	twice   int // an entry that settled it again; -1: none
}

// fate goes through the seats of one member, in the order of their entries.
func (r *bucketReading) fate(seats []seat) fate {
	f := fate{entry: -1, twice: -1}
	for _, s := range seats {
		switch e := &r.told[s.entry]; {
		case e.kind.settles() && f.entry >= 0:
			f.twice = int(s.entry)
		case e.kind.settles():
			f.entry, f.granted = int(s.entry), e.kind != kindExclude
			f.byRun, f.byHand = e.kind == kindGrant && !e.replay, e.kind == kindHand
		case f.entry < 0: // a note about somebody who has no place
		default:
			f.acted = true
			if e.kind == kindReinstate && !f.granted { // who was excluded has it from then on
				f.entry, f.granted, f.byHand = int(s.entry), true, true
			}
		}
	}
	return f
}

// pack makes what is kept of the bucket until the topic is read.
func (r *bucketReading) pack() *pack {
	p := &pack{held: heldBucket{totals: totals{entries: r.entries}}}
	members := make([]byte, 0, len(r.arena)+len(r.seats))
	count := 0
	census := r.newCensus()
	lists := map[string]*listed{}
	for rest := r.seats; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].hash == rest[0].hash && bytes.Equal(r.member(rest[n]), r.member(rest[0])) {
			n++
		}
		f, hash, stored := r.fate(rest[:n]), rest[0].hash, r.stored(rest[0])
		rest = rest[n:]
		switch {
		case r.layout.bucket(hash) != r.bucket:
			r.list(lists, Misplaced, stored, fmt.Sprintf("users belong into bucket %d, and nobody finds them here",
				r.layout.bucket(hash)))
			continue
		case f.entry < 0:
			continue
		}
		p.held.settled++
		p.held.add(&f)
		if f.granted {
			r.grantedTaker(stored)
		}
		r.judgeEntries(lists, &f, hash, stored)
		mark := byte(0)
		switch {
		case f.byRun:
			mark = markRun
		case !f.granted:
			mark = markOut
		}
		members, count = append(append(members, stored...), mark), count+1
		if census != nil && f.granted {
			census.add(stored, &f)
		}
	}
	if census != nil {
		p.held.leaf = census.leaf()
	}
	if r.takes != nil {
		r.takes.judge(r, lists)
		p.held.took = r.takes.counts()
	}
	for _, what := range sortedKeys(lists) {
		l := lists[what]
		r.found = append(r.found, func(f *findings) { f.members(l.kind, l.bucket, l.users, l.what) })
	}
	p.held.found, p.held.replays, p.held.size = r.found, r.replays, r.size
	if count > 0 {
		p.fill(r.layout, slices.Clip(members), count)
	}
	return p
}

// grantedTaker notes that a member, who may have taken something, is granted.
func (r *bucketReading) grantedTaker(stored []byte) {
	if r.takes == nil || len(r.takes.anyone) == 0 {
		return
	}
	_, begins := r.layout.size(stored)
	if member := string(stored[begins:]); r.takes.anyone[member] {
		r.takes.granted[member] = true
	}
}

// judgeEntries looks whether entries of a member contradict each other.
func (r *bucketReading) judgeEntries(lists map[string]*listed, f *fate, hash uint64, stored []byte) {
	if f.twice >= 0 {
		r.list(lists, Twice, stored, fmt.Sprintf("users are in two entries of the journal, the later one of run %016x",
			r.told[f.twice].run))
	}
	size, begins := r.layout.size(stored)
	if canary := r.told[f.entry].canary; canary != nil && !canary.IncludesMember(hash, stored[begins:size]) {
		r.list(lists, OutsideCanary, stored, outsideCanary(canary))
	}
}

func (t *totals) add(f *fate) {
	switch {
	case f.byRun:
		t.byRun++
	case f.byHand:
		t.byHand++
	case f.granted:
		t.byReplay++
	default:
		t.excluded++
	}
	if f.acted {
		t.acted++
	}
}

// listed are users of a bucket of whom the same is found.
type listed struct {
	kind   Kind
	bucket uint64
	users  []grant.UserID
	what   string
}

func (r *bucketReading) list(lists map[string]*listed, kind Kind, stored []byte, what string) {
	l := lists[what]
	if l == nil {
		l = &listed{kind: kind, bucket: r.bucket, what: what}
		lists[what] = l
	}
	user := r.user(stored)
	l.users = append(l.users, user)
	r.size += int64(64 + len(user.String()))
}

// readBuckets reads the buckets of a pass, as many as there is room for.
func (a *audit) readBuckets(ctx context.Context, s *packs, buckets []uint64) error {
	g, ctx := errgroup.WithContext(ctx)
	at, _ := slices.BinarySearch(buckets, s.from)
	var mu sync.Mutex
	next := func() (bucket uint64, more bool) {
		mu.Lock()
		defer mu.Unlock()
		if at == len(buckets) || buckets[at] >= s.limit.Load() {
			return 0, false
		}
		at++
		return buckets[at-1], true
	}
	for range readers() {
		g.Go(func() error {
			r := &bucketReading{audit: a, layout: s.layout, takes: a.newBucketTakes()}
			for bucket, more := next(); more; bucket, more = next() {
				p, err := r.read(ctx, bucket)
				if err != nil {
					return err
				}
				if !s.hold(bucket, p) {
					return nil // the next pass reads it again
				}
				if err := p.held.leaf.keep(a.Tree); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
