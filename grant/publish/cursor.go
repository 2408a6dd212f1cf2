package publish

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/granter/granter/grant/ledger"
)

// head identifies an entry by what is in it: the first 48 bits of its SHA-256, without why an act was done, so that an erasure
// neither makes another entry of it nor leaves something to guess a reason by.
type head uint64

func headOf(text string) head {
	sum := sha256.Sum256([]byte(ledger.WithoutWhy(text)))
	return head(binary.BigEndian.Uint64(sum[:]) >> 16)
}

func (h head) String() string { return fmt.Sprintf("%012x", uint64(h)) }

// cursor is how far a subscriber is in a chunk's journal. As text it is
//
//	<entries>+<members>|<index>:<head> <index>:<head> …
//
// where the marks are some of the entries that were sent, the newest first: the last one, and of those before it fewer and fewer,
// so that a ledger that lost any number of its last entries still has the one or other that can be found again.
type cursor struct {
	entries int64 // that were sent whole
	members int   // of the entry behind those, how many users were sent; then it has a mark, too
	marks   []mark
}

type mark struct {
	index int64
	head  head
}

func (c *cursor) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d+%d|", c.entries, c.members)
	for i, m := range c.marks {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d:%s", m.index, m.head)
	}
	return b.String()
}

var errCursor = errors.New("not a cursor")

// parseCursor reads the text of a cursor, and nothing else.
func parseCursor(text string) (c cursor, err error) {
	counts, marks, ok := strings.Cut(text, "|")
	entries, members, ok2 := strings.Cut(counts, "+")
	if !ok || !ok2 {
		return c, fmt.Errorf("%q: %w", text, errCursor)
	}
	n, err1 := strconv.ParseUint(entries, 10, 62)
	m, err2 := strconv.ParseUint(members, 10, 31)
	if err := errors.Join(err1, err2); err != nil {
		return c, fmt.Errorf("%q: %w: %w", text, errCursor, err)
	}
	c.entries, c.members = int64(n), int(m)
	for field := range strings.FieldsSeq(marks) {
		index, hex, _ := strings.Cut(field, ":")
		i, err1 := strconv.ParseUint(index, 10, 62)
		h, err2 := strconv.ParseUint(hex, 16, 48)
		if err := errors.Join(err1, err2); err != nil {
			return c, fmt.Errorf("%q: %w: %w", text, errCursor, err)
		}
		c.marks = append(c.marks, mark{int64(i), head(h)})
	}
	again := slices.ContainsFunc(c.marks[min(1, len(c.marks)):], func(m mark) bool { return m.index >= c.marks[0].index })
	descending := slices.IsSortedFunc(c.marks, func(a, b mark) int { return cmp.Compare(b.index, a.index) })
	begun, marked := c.last() >= 0, len(c.marks) > 0
	if again || !descending || begun != marked || marked && c.marks[0].index != c.last() {
		return c, fmt.Errorf("%q: %w", text, errCursor)
	}
	return c, nil
}

// last is the index of the last entry of which something was sent; −1: nothing was.
func (c *cursor) last() int64 {
	if c.members > 0 {
		return c.entries
	}
	return c.entries - 1
}

// sent returns the cursor after an entry was sent: whole, or its first members.
func (c *cursor) sent(index int64, h head, members int, whole bool) cursor {
	next := cursor{entries: index, members: members}
	if whole {
		next.entries, next.members = index+1, 0
	}
	old := c.marks
	if len(old) > 0 && old[0].index == index {
		old = old[1:]
	}
	next.marks = append(make([]mark, 0, len(old)+1), mark{index, h})
	for _, m := range old {
		if m.index%apart(index-m.index) == 0 {
			next.marks = append(next.marks, m)
		}
	}
	return next
}

// apart is how far from each other marks are that are so far away: half of that, as a power of two. What stays is decided by the
// index alone, so those that are to stay later have not been dropped before.
func apart(far int64) int64 {
	if far < 4 {
		return 1
	}
	return 1 << (bits.Len64(uint64(far)) - 2)
}

// back returns the cursor behind its newest mark that the journal still has; the zero one, if it has none of them.
func (c *cursor) back(has func(mark) bool) cursor {
	for i, m := range c.marks {
		if !has(m) {
			continue
		}
		if i == 0 {
			return *c
		}
		return cursor{entries: m.index + 1, marks: c.marks[i:]}
	}
	return cursor{}
}
