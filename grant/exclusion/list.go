// Package exclusion reads the lists of users who do not get a campaign, and sees to it that the ledger withholds everybody on
// them before anybody is granted. A list with a line that cannot be read is refused whole: who is named there would be granted.
package exclusion

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

const (
	// mostUsers bounds all lists of a campaign together: 16 bytes for each while they are read, so 320 MB.
	mostUsers = 20_000_000
	// mostBytes bounds the IDs of those whose IDs are not dense: 20 million UUIDs, and a user takes 16 bytes more.
	mostBytes = 512 << 20
	// namedProblems is how many problems are told one by one.
	namedProblems = 20
)

// List is who is on the lists of a campaign, each user once: the first reason counts.
type List struct {
	Sources []Count
	entries []entry
	reasons []string

	form    userid.Form
	layout  opaque.Layout // of IDs that are not dense
	opaque  bool          // they are not
	members []byte        // of those, as Width.Append writes them
}

// listOf makes an empty list of users of a campaign.
func listOf(c *grant.Campaign) List {
	l := List{form: userid.FormOf(&c.Input), opaque: c.Input.Opaque()}
	if l.opaque {
		l.layout = ledger.LayoutOf(c)
	}
	return l
}

// Count is how many users one list names, those included whom another one named before.
type Count struct {
	Name  string
	Users int64
}

type entry struct {
	user   uint64 // or the hash of a member
	reason uint32
	at     uint32 // of members, where that is
}

// member is what the ledger knows a user by whose ID is not dense.
func (l *List) member(e entry) []byte {
	member, _, _ := l.layout.Width.Next(l.members[e.at:]) // add wrote it
	return member
}

// id is who an entry is about.
func (l *List) id(e entry) grant.UserID {
	if l.opaque {
		return l.form.ID(l.member(e))
	}
	return grant.NumberID(e.user)
}

// group is the chunk, or bucket, that a user is in.
func (l *List) group(e entry) uint64 {
	if l.opaque {
		return l.layout.Bucket(e.user)
	}
	chunk, _ := dense.Split(e.user)
	return chunk
}

// compare orders users by chunk and number, or by bucket and as entries of buckets have them.
func (l *List) compare(x, y entry) int {
	if order := cmp.Compare(x.user, y.user); order != 0 || !l.opaque {
		return order
	}
	return bytes.Compare(l.member(x), l.member(y))
}

// Users returns how many are on the lists.
func (l *List) Users() int64 { return int64(len(l.entries)) }

// Chunks returns the users by chunk, where IDs are dense; nil is a list of nobody.
func (l *List) Chunks() map[uint64]*dense.Bitmap {
	out := map[uint64]*dense.Bitmap{}
	if l == nil || l.opaque {
		return out
	}
	for _, e := range l.entries {
		chunk, low := dense.Split(e.user)
		if out[chunk] == nil {
			out[chunk] = new(dense.Bitmap)
		}
		out[chunk].Set(low)
	}
	return out
}

// Buckets returns the users by bucket, as an entry of it has them, where IDs are not dense; nil is a list of nobody.
func (l *List) Buckets() map[uint64][]byte {
	out := map[uint64][]byte{}
	if l == nil || !l.opaque {
		return out
	}
	for _, e := range l.entries {
		bucket := l.group(e)
		out[bucket] = l.layout.Width.Append(out[bucket], l.member(e))
	}
	return out
}

// String says how many users are on which list.
func (l *List) String() string {
	words := make([]string, len(l.Sources))
	for i, s := range l.Sources {
		words[i] = fmt.Sprintf("%d from %s", s.Users, s.Name)
	}
	return strings.Join(words, ", ")
}

// builder puts a list together.
type builder struct {
	List
	known    map[string]uint32 // reasons
	problems []error
	more     int // problems beyond those that are named
}

func (b *builder) add(user grant.UserID, reason string) error {
	if len(b.entries) == mostUsers {
		return fmt.Errorf("more than %d users are to be excluded", mostUsers)
	}
	at, ok := b.known[reason]
	if !ok {
		at = uint32(len(b.reasons))
		b.reasons = append(b.reasons, reason)
		b.known[reason] = at
	}
	e := entry{user: user.Number(), reason: at}
	if b.opaque {
		if len(b.members) > mostBytes {
			return fmt.Errorf("the IDs of the users to be excluded take more than %d MiB", mostBytes>>20)
		}
		member, _ := b.form.Member(nil, user.Append(nil)) // it was read by the same form
		e.user, e.at = opaque.Hash(member), uint32(len(b.members))
		b.members = b.layout.Width.Append(b.members, member)
	}
	b.entries = append(b.entries, e)
	return nil
}

func (b *builder) problem(format string, args ...any) {
	if len(b.problems) == namedProblems {
		b.more++
		return
	}
	b.problems = append(b.problems, fmt.Errorf(format, args...))
}

// list returns what was put together, or every problem.
func (b *builder) list() (*List, error) {
	if b.more > 0 {
		b.problems = append(b.problems, fmt.Errorf("and %d more lines that cannot be read", b.more))
	}
	if len(b.problems) > 0 {
		return nil, &BadError{errors.Join(b.problems...)}
	}
	slices.SortStableFunc(b.entries, b.compare)
	b.entries = slices.CompactFunc(b.entries, func(x, y entry) bool { return b.compare(x, y) == 0 })
	return &b.List, nil
}

// BadError says that lists cannot be used as they are: each problem, with its line or offset, on a line of its own.
type BadError struct{ error }

func (e *BadError) Unwrap() error { return e.error }
