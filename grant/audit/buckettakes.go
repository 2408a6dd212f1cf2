package audit

import (
	"context"
	"fmt"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// bucketTakes reads the takes of buckets, one after the other, as takesRead does those of chunks. It belongs to one goroutine.
type bucketTakes struct {
	*audit

	items   []bucketItem
	anyone  map[string]bool // who took anything
	granted map[string]bool // of those, who is
	since   map[string]int64
	acts    map[string][]*grant.Act
	e       entry
}

// bucketItem is who took one item of a bucket.
type bucketItem struct {
	index  int
	item   *grant.Item
	stored *ledger.StoredMemberTakes
	told   map[string]int64 // when each member took it, by the first entry that says so
	twice  map[string]uint64
	late   []string
	read   int64 // entries of the list
	mine   int64 // of them, those of the item
	found  []func(*findings)
}

func (a *audit) newBucketTakes() *bucketTakes {
	if len(a.offers) == 0 {
		return nil
	}
	t := &bucketTakes{audit: a, items: make([]bucketItem, len(a.offers))}
	for i, index := range a.offers {
		t.items[i] = bucketItem{index: index, item: &a.Campaign.Items[index]}
	}
	return t
}

// read reads the takes of a bucket. It comes before its journal, so whoever took something must be granted by what is read then.
func (t *bucketTakes) read(ctx context.Context, bucket uint64) error {
	t.anyone = map[string]bool{}
	for i := range t.items {
		it := &t.items[i]
		strange := t.firstOfList(it.index)
		err := t.ledger.StoredMemberTakes(ctx, t.Campaign, bucket, it.index,
			func(s *ledger.StoredMemberTakes) { it.begin(s) },
			func(at int64, text string) { t.entry(it, bucket, at, []byte(text), strange) })
		if err != nil {
			return err
		}
		if it.read < it.stored.Entries {
			it.damage(it.stored.List, "it became shorter")
		}
		for member := range it.stored.Taken {
			t.anyone[member] = true
		}
		for member := range it.told {
			t.anyone[member] = true
		}
	}
	return nil
}

func (it *bucketItem) begin(s *ledger.StoredMemberTakes) {
	it.stored, it.told, it.twice, it.late = s, map[string]int64{}, map[string]uint64{}, nil
	it.read, it.mine, it.found = 0, 0, nil
	for _, what := range s.Misused {
		it.damage(s.Key, what)
	}
}

func (it *bucketItem) damage(key, what string) {
	it.found = append(it.found, func(f *findings) { f.add(Unreadable, key, 1, what, look) })
}

// entry reads an entry of the list, in which other items of the bucket have theirs, too.
func (t *bucketTakes) entry(it *bucketItem, bucket uint64, number int64, text []byte, strange bool) {
	it.read++
	item, members, err := t.e.readBucketTake(text, t.layout)
	if wrong := t.strangeEntry(it.index, item, number, err); wrong != "" && strange {
		it.damage(it.stored.List, wrong)
	}
	if err != nil || item != it.index {
		return
	}
	it.mine++
	until := it.item.TakeUntil
	t.layout.each(members, func(member []byte) {
		if _, twice := it.told[string(member)]; twice {
			it.twice[string(member)] = t.e.run
			return
		}
		it.told[string(member)] = t.e.at
		if !until.IsZero() && t.e.at >= until.UnixMilli() {
			it.late = append(it.late, string(member))
		}
		if belongs := t.layout.bucket(hashOf(member)); belongs != bucket {
			it.damage(it.stored.List, fmt.Sprintf("entry %d has a user who belongs into bucket %d", number, belongs))
		}
	})
}

// begin forgets what the journal said of the bucket before.
func (t *bucketTakes) begin() {
	t.since, t.acts, t.granted = map[string]int64{}, map[string][]*grant.Act{}, map[string]bool{}
}

// journal adds an entry of the journal.
func (t *bucketTakes) journal(e *entry, members []byte) {
	if len(t.anyone) == 0 {
		return
	}
	var act *grant.Act
	if e.kind != kindGrant {
		if act = e.actDone(); act == nil {
			return
		}
	}
	t.layout.each(members, func(member []byte) {
		switch {
		case !t.anyone[string(member)]:
		case e.kind != kindGrant:
			t.acts[string(member)] = append(t.acts[string(member)], act)
		case t.since[string(member)] == 0:
			t.since[string(member)] = e.at
		}
	})
}

// judge compares what was taken with itself and with the journal, which was read since.
func (t *bucketTakes) judge(r *bucketReading, lists map[string]*listed) {
	for i := range t.items {
		it := &t.items[i]
		id := it.item.ID
		r.found = append(r.found, it.found...)
		list := func(kind Kind, member, what string) { r.list(lists, kind, t.layout.stored(nil, []byte(member)), what) }
		for _, member := range sortedKeys(it.twice) {
			list(TookTwice, member, fmt.Sprintf("users took %s in two entries, the later one by %016x", id, it.twice[member]))
		}
		for _, member := range sortedKeys(it.stored.Taken) {
			at, told := it.told[member]
			switch when := it.stored.Taken[member]; {
			case !told:
				list(TakeBitOnly, member, "users took "+id+" by the hash, and no entry has them")
			case len(when) != timeSize:
				key, what := it.stored.Key, fmt.Sprintf("a time has %d bytes, and should have %d", len(when), timeSize)
				r.found = append(r.found, func(f *findings) { f.add(Unreadable, key, 1, what, look) })
			case timeAt(when, 0) != at:
				list(TakeTime, member, "users took "+id+" at another time than their entries say")
			}
			if !t.granted[member] {
				list(TookUngranted, member, tookUngranted(id))
			}
		}
		for _, member := range sortedKeys(it.told) {
			if _, stored := it.stored.Taken[member]; !stored {
				list(TakeEntryOnly, member, "users took "+id+" by an entry, and the hash does not have them")
			}
			if !t.granted[member] {
				if _, stored := it.stored.Taken[member]; !stored {
					list(TookUngranted, member, tookUngranted(id))
				}
				continue
			}
			early, barred := tookWrongly(t.since[member], t.acts[member], it.item, it.told[member])
			if early {
				list(TookEarly, member, tookEarly(id))
			}
			if barred {
				list(TookBarred, member, tookBarred(id))
			}
		}
		for _, member := range it.late {
			list(TookLate, member, tookLate(it.item))
		}
	}
}

// counts are those of the bucket that was read last, by item.
func (t *bucketTakes) counts() []took {
	out := make([]took, len(t.items))
	for i := range t.items {
		it := &t.items[i]
		out[i] = took{users: int64(len(it.told)), told: int64(len(it.told)), entries: it.mine}
		for member := range it.stored.Taken {
			if _, told := it.told[member]; !told {
				out[i].users++
			}
		}
		for _, at := range it.told {
			out[i].last = max(out[i].last, at)
		}
	}
	return out
}

// lastIn hands who took an item of a bucket, and when, to fn; noTime is for whom no entry has.
func (t *bucketTakes) lastIn(it *bucketItem, fn func(takeOf)) {
	for _, member := range sortedKeys(t.anyone) {
		at, told := it.told[member]
		if !told {
			at = noTime
		}
		fn(takeOf{at: at, order: hashOf([]byte(member)), user: t.layout.form.ID([]byte(member))})
	}
}
