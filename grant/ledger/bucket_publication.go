package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/granter/granter/sharding/opaque"
)

// Buckets reports whether users are in buckets, because their IDs are not dense, and not in chunks.
func (l *Store) Buckets() bool { return l.campaign.Input.Opaque() }

var errNotUTF8 = errors.New("journal entry: a member is not UTF-8")

// ReadBucket reads an entry of a list of a bucket as Texts returns it, and its members, which the Entry does not have: that they
// are of the campaign's width, as many as the entry says, in their order, and UTF-8 where they are strings. Item is 0 in the
// journal.
func (l *Reader) ReadBucket(list List, text string) (*TakeEntry, BucketMembers, error) {
	e, b := new(TakeEntry), []byte(text)
	var m BucketMembers
	var err error
	if list == ListJournal {
		if m, err = e.Entry.UnmarshalBucket(b); err == nil {
			err = e.readAct()
		}
	} else {
		m, err = e.UnmarshalBucket(b)
	}
	if err == nil && m.Width != l.layout.Width {
		err = fmt.Errorf("journal entry: members of %d bytes: want %d", m.Width, l.layout.Width)
	}
	if err != nil {
		return nil, m, err
	}
	valid := true
	err = m.Each(func(_ uint64, member []byte) bool {
		valid = valid && (m.Width > 0 || utf8.Valid(member))
		return true
	})
	if err == nil && !valid {
		err = errNotUTF8
	}
	return e, m, err
}

// AppendUser appends the text of the user that a member is.
func (l *Store) AppendUser(dst, member []byte) []byte { return l.form.Append(dst, member) }

// BucketMembersOf are some members of a bucket, which it sorts.
func BucketMembersOf(width opaque.Width, members [][]byte) BucketMembers {
	slices.SortFunc(members, opaque.Compare)
	m := BucketMembers{Width: width, count: len(members)}
	for _, member := range members {
		m.body = width.Append(m.body, member)
	}
	return m
}

// Count is how many members there are.
func (m *BucketMembers) Count() int { return m.count }

// From yields the members from one on, which is counted from 0, in their order. They were checked: what cannot be read ends it.
func (m *BucketMembers) From(n int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := m.behind(n); len(rest) > 0; {
			member, more, err := m.Width.Next(rest)
			if err != nil || !yield(member) {
				return
			}
			rest = more
		}
	}
}

// Span returns n members from one on, as entries have them.
func (m *BucketMembers) Span(from, n int) []byte {
	begin := m.behind(from)
	rest := BucketMembers{Width: m.Width, body: begin}
	return begin[:len(begin)-len(rest.behind(n))]
}

// behind is what is behind the first n members.
func (m *BucketMembers) behind(n int) []byte {
	if m.Width > 0 {
		return m.body[min(n*int(m.Width), len(m.body)):]
	}
	rest := m.body
	for ; n > 0 && len(rest) > 0; n-- {
		_, more, err := m.Width.Next(rest)
		if err != nil {
			return nil
		}
		rest = more
	}
	return rest
}

// Meets reports whether somebody is among both.
func (m *BucketMembers) Meets(o *BucketMembers) bool {
	a, b := memberWalk{width: m.Width, rest: m.body}, memberWalk{width: o.Width, rest: o.body}
	for there := a.next() && b.next(); there; {
		switch order := cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.member, b.member)); {
		case order == 0:
			return true
		case order < 0:
			there = a.next()
		default:
			there = b.next()
		}
	}
	return false
}

// memberWalk goes through members that were checked.
type memberWalk struct {
	width  opaque.Width
	rest   []byte
	member []byte
	hash   uint64
}

func (w *memberWalk) next() bool {
	if len(w.rest) == 0 {
		return false
	}
	var err error
	w.member, w.rest, err = w.width.Next(w.rest)
	w.hash = opaque.Hash(w.member)
	return err == nil
}
