// Package exclusion reads the lists of users who do not get a campaign, and sees to it that the ledger withholds everybody on
// them before anybody is granted. A list with a line that cannot be read is refused whole: who is named there would be granted.
package exclusion

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

const (
	// mostUsers bounds all lists of a campaign together: 16 bytes for each while they are read, so 320 MB.
	mostUsers = 20_000_000
	// namedProblems is how many problems are told one by one.
	namedProblems = 20
)

// List is who is on the lists of a campaign, each user once: the first reason counts.
type List struct {
	Sources []Count
	entries []entry
	reasons []string
}

// Count is how many users one list names, those included whom another one named before.
type Count struct {
	Name  string
	Users int64
}

type entry struct {
	user   uint64
	reason uint32
}

// Users returns how many are on the lists.
func (l *List) Users() int64 { return int64(len(l.entries)) }

// Chunks calls fn with the users of each chunk, ascending.
func (l *List) Chunks() map[uint64]*dense.Bitmap {
	out := map[uint64]*dense.Bitmap{}
	for _, e := range l.entries {
		chunk, low := dense.Split(e.user)
		if out[chunk] == nil {
			out[chunk] = new(dense.Bitmap)
		}
		out[chunk].Set(low)
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
	b.entries = append(b.entries, entry{user.Number(), at})
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
	slices.SortStableFunc(b.entries, func(x, y entry) int {
		switch {
		case x.user < y.user:
			return -1
		case x.user > y.user:
			return 1
		}
		return 0
	})
	b.entries = slices.CompactFunc(b.entries, func(x, y entry) bool { return x.user == y.user })
	return &b.List, nil
}

// BadError says that lists cannot be used as they are: each problem, with its line or offset, on a line of its own.
type BadError struct{ error }

func (e *BadError) Unwrap() error { return e.error }
