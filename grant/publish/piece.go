package publish

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// place is a list of a chunk that a subscriber has a cursor in.
type place struct {
	chunk uint64
	list  ledger.List
}

// listEndings is what ends in a chunk. It is in no list of the ledger, but follows from those: see endings.go.
const listEndings ledger.List = "ends"

// field is the name of the cursor.
func (p place) field() string {
	if p.list == ledger.ListJournal {
		return strconv.FormatUint(p.chunk, 10)
	}
	return strconv.FormatUint(p.chunk, 10) + ":" + string(p.list)
}

func parsePlace(field string) (place, bool) {
	number, list, _ := strings.Cut(field, ":")
	chunk, err := strconv.ParseUint(number, 10, 64)
	p := place{chunk, ledger.List(list)}
	return p, err == nil && p.field() == field
}

// piece is an entry, or some of its members, on the way to a subscriber.
type piece struct {
	place
	index int64
	head  head
	entry *ledger.Entry // of an ending: as if there was one. Its members are who
	who   users
	item  int // of a take or an ending: its index in the spec
	ends  map[grant.UserID]time.Time
	// untold are those members of an act's entry of whom nobody is told why any more.
	untold []grant.UserID
	first  int // the members from this one on, ascending
	count  int // how many of them
}

// readPiece makes a piece of an entry as it is stored.
func readPiece(l layout, at place, index int64, text string, from int) (piece, error) {
	p := piece{place: at, index: index, head: headOf(text), first: from}
	var err error
	if p.entry, p.item, p.who, err = l.read(at, text); err != nil {
		return p, err
	}
	p.count = p.entry.Count - from
	return p, nil
}

// texts yields the IDs of those users who are on the way, each of which is valid until the next.
func (p *piece) texts() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		left := p.count
		for text := range p.who.texts(p.first) {
			if left--; left < 0 || !yield(text) {
				return
			}
		}
	}
}

// rank says in which order pieces of the same millisecond come: what settles a user first, what ends last.
func (p *piece) rank() int {
	switch {
	case p.list == listEndings:
		return 3
	case p.list != ledger.ListJournal:
		return 1
	case p.entry.Kind.Settles():
		return 0
	}
	return 2
}

// before reports whether a piece of a chunk comes before one of another list.
func (p *piece) before(o *piece) bool {
	return cmp.Or(p.entry.At.Compare(o.entry.At), cmp.Compare(p.rank(), o.rank())) < 0
}

// maxSkew is how far the clocks of two masters may differ.
const maxSkew = 10 * time.Second

// settles reports whether a piece settles users of a take of an item with a quota, whose time is of another master: whoever
// took was granted before, whatever the clocks say.
func (p *piece) settles(take *piece) bool {
	return p.rank() == 0 && !p.entry.At.After(take.entry.At.Add(maxSkew)) && p.who.meets(take.who)
}

// part is a list of a chunk, as far as it was read.
type part struct {
	pieces []piece // that are not sent
	more   bool    // it has more, which was not read
}

// comesBefore reports whether the next piece of a journal has to come before a take of an item with a quota, whatever their times
// are: one that was read settles users of it, or one that was not may. What was done about a user of it comes in the order of
// time: that user is settled.
func (j *part) comesBefore(take *piece) bool {
	if slices.ContainsFunc(j.pieces, func(p piece) bool { return p.settles(take) }) {
		return true
	}
	if len(j.pieces) == 0 || !j.more || j.pieces[len(j.pieces)-1].entry.At.After(take.entry.At.Add(maxSkew)) {
		return false
	}
	next := &j.pieces[0]
	return next.rank() == 0 || !next.who.meets(take.who)
}

// merge puts the parts of a chunk, of which the journal is the first, into the one order in which its users see them, up to
// what the limits allow. wait says which pieces are not to be sent yet, and with them all that follow. It reports whether there
// is more to send now.
func merge(parts []part, l limits, events int, wait func(*piece) bool) (out []piece, more bool) {
	for {
		var next *part
		for i := range parts {
			at := &parts[i]
			if len(at.pieces) == 0 {
				if at.more {
					return out, true
				}
				continue
			}
			if next == nil || at.pieces[0].before(&next.pieces[0]) {
				next = at
			}
		}
		if next == nil || wait(&next.pieces[0]) {
			return out, false
		}
		if journal, take := &parts[0], &next.pieces[0]; take.list == ledger.ListFirsts && journal.comesBefore(take) {
			next = journal
		}
		if l.events > 0 && events > 0 && events >= l.events || len(out) >= l.entries {
			return out, true
		}
		p := next.pieces[0]
		next.pieces = next.pieces[1:]
		if l.members > 0 && p.count > l.members {
			p.count = l.members
			return append(out, p), true // the rest of the entry comes first
		}
		events += p.count
		out = append(out, p)
	}
}

// entryID identifies an entry of a list, by its place and by what is in it: where a ledger lost its last writes, another entry
// comes to have the place, and its events must not be taken for the old ones. What ends is identified by what it is.
func entryID(c *grant.Campaign, p *piece) string {
	id := c.Name + "/" + strconv.FormatUint(p.chunk, 10) + "/"
	switch p.list {
	case listEndings:
		return id + fmt.Sprintf("expired/%s/%d", c.Items[p.item].ID, p.entry.At.UnixMilli())
	case ledger.ListJournal:
	default:
		id += string(p.list) + "/"
	}
	return id + strconv.FormatInt(p.index, 10) + "-" + p.head.String()
}
