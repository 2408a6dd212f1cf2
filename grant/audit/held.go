package audit

import (
	"context"
	"fmt"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Ledger is what an audit reads of the ledger. grant/ledger implements it; it changes nothing.
type Ledger interface {
	// StoredChunks lists every chunk that there is, ascending, those that the index lacks, and what is wrong with the index.
	StoredChunks(ctx context.Context) (chunks, unlisted []uint64, damage string, err error)
	// Stored reads one chunk as it is stored. entry gets the entries in order, and from at = 0 on again after a failure.
	Stored(ctx context.Context, chunk uint64, entry func(at int64, text string)) (ledger.StoredChunk, error)
	takesStored
}

// held is what the ledger has of one chunk.
type held struct {
	settled *page // by bitmap or journal: what the journal has and the bitmap has not is found already
	byRun   *page // of them, those whom a run granted; often the same page
	found   []func(*findings)
	pages   int // that found and replays keep
	replays []replayed
	leaf    *chunkLeaf // nil: no tree is asked for
	granted []byte     // where somebody is excluded: the digest's leaf of all others
	took    []took     // by item that users take
	totals
}

func (h *held) size() int {
	n := 1 + h.pages
	if h.byRun != h.settled {
		n++
	}
	return n
}

// totals are counts of the ledger.
type totals struct {
	entries, byRun, byReplay, byHand, excluded, acted int64
}

// reading reads chunks, one after the other. It belongs to one goroutine.
type reading struct {
	*audit
	e       entry
	union   page // of all entries that settle
	byRun   page
	byHand  page
	out     page // who is excluded
	acted   page // about whom there are acts
	entries int64
	census  *census           // nil: no tree is asked for
	found   []func(*findings) // of the chunk; kept apart until it was read without a failure
	pages   int               // of users, that found and replays keep
	repairs page              // users of replays
	replays []replayed
	takes   *takesRead // nil: users take nothing
	text    []byte     // of an entry
}

func (r *reading) users(kind Kind, chunk uint64, who *page, what string) {
	if who.empty() { // a page of each chunk would be kept for nothing
		return
	}
	r.pages++
	r.found = append(r.found, func(f *findings) { f.users(kind, chunk, who, what) })
}

func (r *reading) damage(chunk uint64, what string) {
	where := fmt.Sprintf("chunk %d", chunk)
	r.found = append(r.found, func(f *findings) { f.add(Unreadable, where, 1, what, look) })
}

// chunk reads a chunk of the ledger, and finds what contradicts itself there.
func (r *reading) chunk(ctx context.Context, chunk uint64) (*held, error) {
	if r.takes != nil {
		if err := r.takes.chunkOf(ctx, chunk); err != nil {
			return nil, err
		}
	}
	r.begin()
	stored, err := r.ledger.Stored(ctx, chunk, func(at int64, text string) {
		if at == 0 {
			r.begin()
		}
		r.text = append(r.text[:0], text...)
		r.entry(chunk, at, r.text)
	})
	if err != nil {
		return nil, err
	}
	for _, what := range stored.Misused {
		r.damage(chunk, what)
	}
	var bitmap, excluded page
	if !bitmap.load(stored.Granted) {
		r.damage(chunk, fmt.Sprintf("the bitmap has %d bytes, more than %d", len(stored.Granted), pageBytes))
	}
	excluded.load(stored.Excluded)
	r.users(BitOnly, chunk, bitmap.without(&r.union), "users are settled by the bitmap, and no entry of the journal has them")
	r.users(EntryOnly, chunk, r.union.without(&bitmap), "users are in the journal, and the bitmap does not have them")
	r.users(Excluded, chunk, excluded.without(&r.out), "users are excluded by the bitmap, and by no entry of the journal")
	r.users(Excluded, chunk, r.out.without(&excluded), "users are excluded by the journal, and not by the bitmap")
	if r.takes != nil {
		r.takes.judge(r)
	}
	h := r.hold(&bitmap)
	if r.takes != nil {
		h.took = r.takes.counts()
	}
	if h.excluded > 0 {
		h.granted = digestLeaf(chunk, h.settled.without(&r.out))
	}
	if r.census != nil {
		h.leaf = r.census.leaf(r.salted, chunk, &bitmap, r.Tree)
	}
	return h, nil
}

// begin forgets the chunk before.
func (r *reading) begin() {
	r.union, r.byRun, r.byHand, r.out, r.acted = page{}, page{}, page{}, page{}, page{}
	r.repairs, r.replays = page{}, nil
	r.entries, r.found, r.pages = 0, nil, 0
	if r.census != nil {
		r.census.begin()
	}
	if r.takes != nil {
		r.takes.past.begin(&r.takes.anyone)
	}
}

func (r *reading) entry(chunk uint64, at int64, text []byte) {
	r.entries++
	if err := r.e.read(text); err != nil {
		r.damage(chunk, fmt.Sprintf("entry %d of the journal cannot be read: %v", at, err))
		if r.census != nil {
			r.census.add(nil, text)
		}
		return
	}
	if r.census != nil {
		r.census.add(&r.e, text)
	}
	if r.takes != nil {
		r.takes.past.entry(&r.e)
	}
	m := &r.e.spread
	if !r.e.kind.settles() {
		m.into(&r.acted)
		if r.e.kind == kindReinstate { // who was excluded has it from then on
			back := m.among(&r.out)
			if back == nil {
				return
			}
			r.out = *r.out.without(back)
			r.byHand.or(back)
		}
		return
	}
	if twice := m.join(&r.union); twice != nil {
		r.users(Twice, chunk, twice, fmt.Sprintf("users are in two entries of the journal, the later one of run %016x", r.e.run))
	}
	switch {
	case r.e.kind == kindGrant && r.repairing[r.e.run]:
		m.into(&r.repairs)
		r.replays = append(r.replays, replayedOf(&r.e))
		r.pages += 1 + 2*r.e.count/pageBytes
	case r.e.kind == kindGrant:
		m.into(&r.byRun)
	case r.e.kind == kindHand:
		m.into(&r.byHand)
	default:
		m.into(&r.out)
	}
	if canary := r.canaries[r.e.run]; canary != nil {
		outside := new(page)
		m.each(func(low uint16) {
			if !canary.Includes(chunk<<chunkBits | uint64(low)) {
				outside.set(low)
			}
		})
		r.users(OutsideCanary, chunk, outside, outsideCanary(canary))
	}
}

func outsideCanary(p *grant.Pass) string {
	return "users were granted by a run of " + p.Name + ", which should have withheld them"
}

// hold returns what is kept of the chunk until the topic is read.
func (r *reading) hold(bitmap *page) *held {
	h := &held{settled: r.room.page(), found: r.found, pages: r.pages, replays: r.replays, totals: totals{
		entries: r.entries, byRun: r.byRun.count(), byReplay: r.repairs.count(), byHand: r.byHand.count(),
		excluded: r.out.count(), acted: r.acted.count(),
	}}
	*h.settled = *bitmap
	h.settled.or(&r.union)
	h.byRun = h.settled
	if r.byRun != *h.settled {
		h.byRun = r.room.page()
		*h.byRun = r.byRun
	}
	return h
}
