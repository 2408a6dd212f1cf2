package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Where items are offered, an audit reads who took them, too: of each chunk and item a bitmap, the times, and the entries of the
// list of takes (grant/ledger/take_keys.go has the layout). It reads them before the journal of the chunk, so whoever took
// something must be granted by what it reads then.

// takesStored is what an audit reads of takes. grant/ledger implements it; it changes nothing.
type takesStored interface {
	// TakenChunks lists every chunk with takes, and keys that are of none that there can be.
	TakenChunks(ctx context.Context, c *grant.Campaign) (chunks []uint64, strange []string, err error)
	// StoredTakes reads the takes of an item in a chunk; when it begins anew, it calls begin again.
	StoredTakes(ctx context.Context, c *grant.Campaign, chunk uint64, item int, begin func(*ledger.StoredTakes),
		entry func(at int64, text string)) error
	// StoredMemberTakes is StoredTakes of a bucket.
	StoredMemberTakes(ctx context.Context, c *grant.Campaign, bucket uint64, item int, begin func(*ledger.StoredMemberTakes),
		entry func(at int64, text string)) error
	// StoredQuota reads the counter of an item with a quota.
	StoredQuota(ctx context.Context, c *grant.Campaign, item int) (ledger.StoredQuota, error)
}

// offersOf are the indices of the items that users take.
func offersOf(c *grant.Campaign) (out []int) {
	for i := range c.Items {
		if c.Items[i].Offered() {
			out = append(out, i)
		}
	}
	return out
}

// sameList reports whether the entries of two items are in one list: that of the items with a quota, or that of those without.
func (a *audit) sameList(one, other int) bool {
	return (a.Campaign.Items[one].First > 0) == (a.Campaign.Items[other].First > 0)
}

// firstOfList reports whether an item is the first of those in its list, which is read for each of them: what is in it of no item
// is told once.
func (a *audit) firstOfList(index int) bool {
	return index == a.offers[slices.IndexFunc(a.offers, func(other int) bool { return a.sameList(index, other) })]
}

// strangeEntry says what is wrong with an entry of the list of an item that cannot be read, or is of an item whose entries are
// elsewhere; empty: nothing.
func (a *audit) strangeEntry(index, item int, number int64, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("entry %d cannot be read: %v", number, err)
	case !slices.Contains(a.offers, item) || !a.sameList(index, item):
		return fmt.Sprintf("entry %d is of item %d, which is none that users take so", number, item)
	}
	return ""
}

const (
	timedUsers = 1024 // of one string of times
	timeSize   = 6    // of one of them: Unix milliseconds; 0: the user has not taken it, or in a call of many
	placeSize  = 4    // of the place of an entry of many users
)

// takesRead reads the takes of chunks, one after the other. It belongs to one goroutine.
type takesRead struct {
	*audit

	chunk  uint64
	items  []itemRead
	anyone page // who took anything
	e      entry
	past   past
}

// itemRead is who took one item of a chunk.
type itemRead struct {
	index  int
	item   *grant.Item
	stored *ledger.StoredTakes
	bits   page
	told   page    // by the entries
	at     []int64 // of each user, by the entries
	many   map[int64]bool
	of     page // in entries of many users, who have no time of their own
	late   page
	read   int64 // entries of the list
	mine   int64 // of them, those of the item
	found  []func(*reading)
}

func (a *audit) newTakesRead() *takesRead {
	if len(a.offers) == 0 {
		return nil
	}
	t := &takesRead{audit: a, items: make([]itemRead, len(a.offers))}
	for i, index := range a.offers {
		t.items[i] = itemRead{index: index, item: &a.Campaign.Items[index]}
	}
	return t
}

// chunkOf reads the takes of a chunk.
func (t *takesRead) chunkOf(ctx context.Context, chunk uint64) error {
	t.chunk, t.anyone = chunk, page{}
	for i := range t.items {
		it := &t.items[i]
		strange := t.firstOfList(it.index)
		err := t.ledger.StoredTakes(ctx, t.Campaign, chunk, it.index,
			func(s *ledger.StoredTakes) { it.begin(s) },
			func(at int64, text string) { t.entry(it, at, []byte(text), strange) })
		if err != nil {
			return err
		}
		if it.read < it.stored.Entries {
			it.damage(it.stored.List, "it became shorter")
		}
		t.anyone.or(&it.bits)
		t.anyone.or(&it.told)
	}
	return nil
}

func (it *itemRead) damage(key, what string) {
	it.found = append(it.found, func(r *reading) {
		r.found = append(r.found, func(f *findings) { f.add(Unreadable, key, 1, what, look) })
	})
}

func (it *itemRead) begin(s *ledger.StoredTakes) {
	it.stored, it.bits, it.told, it.of, it.late = s, page{}, page{}, page{}, page{}
	it.read, it.mine, it.found, it.many = 0, 0, nil, map[int64]bool{}
	clear(it.at)
	for _, what := range s.Misused {
		it.damage(s.Key, what)
	}
	if !it.bits.load(s.Taken) {
		it.damage(s.Key, fmt.Sprintf("the bitmap has %d bytes, more than %d", len(s.Taken), pageBytes))
	}
	if len(s.Many)%placeSize != 0 {
		it.damage(s.Key+":many", fmt.Sprintf("it has %d bytes, and should have %d for each call of many", len(s.Many), placeSize))
	}
	for many := []byte(s.Many); len(many) >= placeSize; many = many[placeSize:] {
		it.many[int64(binary.BigEndian.Uint32(many))] = true
	}
}

// entry reads an entry of the list, in which other items of the chunk have theirs, too.
func (t *takesRead) entry(it *itemRead, number int64, text []byte, strange bool) {
	it.read++
	item, err := t.e.readTake(text)
	if wrong := t.strangeEntry(it.index, item, number, err); wrong != "" && strange {
		it.damage(it.stored.List, wrong)
	}
	if err != nil || item != it.index {
		return
	}
	if it.mine++; it.at == nil {
		it.at = make([]int64, 1<<chunkBits)
	}
	m, run := &t.e.spread, t.e.run
	if twice := m.join(&it.told); twice != nil {
		it.users(TookTwice, twice, fmt.Sprintf("users took %s in two entries, the later one by %016x", it.item.ID, run))
	}
	m.each(func(low uint16) {
		if it.at[low] == 0 {
			it.at[low] = t.e.at
		}
	})
	if it.many[number] {
		delete(it.many, number)
		m.into(&it.of)
	}
	if until := it.item.TakeUntil; !until.IsZero() && t.e.at >= until.UnixMilli() {
		m.into(&it.late)
	}
}

func (it *itemRead) users(kind Kind, who *page, what string) {
	it.found = append(it.found, func(r *reading) { r.users(kind, r.takes.chunk, who, what) })
}

// judge compares what was taken with itself and with the journal, which was read since.
func (t *takesRead) judge(r *reading) {
	granted := r.union.without(&r.out)
	for i := range t.items {
		it := &t.items[i]
		id := it.item.ID
		for _, tell := range it.found {
			tell(r)
		}
		for place := range it.many {
			what := fmt.Sprintf("it says that entry %d is one of many users who took %s, and that is not", place, id)
			r.found = append(r.found, func(f *findings) { f.add(Unreadable, it.stored.Key+":many", 1, what, look) })
		}
		all := it.bits
		all.or(&it.told)
		r.users(TakeBitOnly, t.chunk, it.bits.without(&it.told), "users took "+id+" by the bitmap, and no entry has them")
		r.users(TakeEntryOnly, t.chunk, it.told.without(&it.bits),
			"users took "+id+" by an entry, and the bitmap does not have them")
		r.users(TookUngranted, t.chunk, all.without(granted), tookUngranted(id))
		late := it.late
		r.users(TookLate, t.chunk, &late, tookLate(it.item))
		t.compareTimes(r, it)
		t.past.judge(r, it, t.chunk, it.told.both(granted))
	}
}

// What is found of takes, whatever the layout.
func tookUngranted(item string) string { return "users took " + item + ", and are not granted" }
func tookEarly(item string) string     { return "users took " + item + " before they were granted" }
func tookBarred(item string) string {
	return "users took " + item + " while it was revoked, recalled or moved to another account"
}
func tookLate(item *grant.Item) string {
	return "users took " + item.ID + " when it could not be taken any more (" + item.TakeUntil.UTC().Format(time.RFC3339) + ")"
}

// compareTimes holds the times against those of the entries.
func (t *takesRead) compareTimes(r *reading, it *itemRead) {
	differs := new(page)
	for n, text := range it.stored.Times {
		if len(text) > timedUsers*timeSize || len(text)%timeSize != 0 {
			key, what := fmt.Sprintf("%s:%d", it.stored.Key, n), fmt.Sprintf("it has %d bytes, and no times of %d users",
				len(text), timedUsers)
			r.found = append(r.found, func(f *findings) { f.add(Unreadable, key, 1, what, look) })
			continue
		}
		for i := range timedUsers {
			low, at := uint16(n*timedUsers+i), int64(0)
			if it.at != nil && !it.of.has(low) {
				at = it.at[low]
			}
			if stored := timeAt(text, i); stored != at && (it.told.has(low) || !it.bits.has(low)) {
				differs.set(low)
			}
		}
	}
	r.users(TakeTime, t.chunk, differs, "users took "+it.item.ID+" at another time than their entries say")
}

// timeAt is one of some times; 0: there is none.
func timeAt(text string, i int) (at int64) {
	if len(text) < (i+1)*timeSize {
		return 0
	}
	for _, b := range []byte(text[i*timeSize : (i+1)*timeSize]) {
		at = at<<8 | int64(b)
	}
	return at
}
