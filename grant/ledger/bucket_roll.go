package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/opaque"
)

// Rolled is what the entries of a bucket make of one member.
type Rolled struct {
	Member  []byte
	Encoded []byte // Member as an entry has it
	Place   grant.Place
	State   grant.UserState // what acts made; Keeps says whether there is any
	Keeps   bool
	Twice   bool   // entries settle the member more than once
	Broken  string // an act that could not be done to the member when it was; empty: none

	hash uint64
}

// Roll goes through all entries of a bucket, and returns its members, each once, in the order in which entries have them. Those
// who have a note and no place are among them.
func Roll(entries []string) ([]Rolled, error) {
	var r roll
	for i, text := range entries {
		if _, err := r.add(text); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return r.all(), nil
}

// roll collects the entries of a bucket, from the first on.
type roll struct {
	entries []rolledEntry
	seats   []rolledSeat
	width   opaque.Width
	acts    int64
}

type rolledEntry struct {
	kind EntryKind
	act  *grant.Act
}

type rolledSeat struct {
	hash   uint64
	member []byte
	entry  int
}

// add adds the next entry, and returns the width of its members; one that cannot be read counts as empty.
func (r *roll) add(text string) (width opaque.Width, err error) {
	var e Entry
	number := len(r.entries)
	r.entries = append(r.entries, rolledEntry{})
	members, err := e.UnmarshalBucket([]byte(text))
	if err == nil {
		err = e.readAct()
	}
	if err != nil {
		return 0, err
	}
	begins := len(r.seats)
	err = members.Each(func(hash uint64, member []byte) bool {
		r.seats = append(r.seats, rolledSeat{hash, member, number})
		return true
	})
	if err != nil {
		r.seats = r.seats[:begins]
		return 0, err
	}
	if r.entries[number], r.width = (rolledEntry{e.Kind, e.Act}), members.Width; e.Act != nil {
		r.acts++
	}
	return members.Width, nil
}

// all are the members of the entries.
func (r *roll) all() []Rolled {
	slices.SortFunc(r.seats, func(a, b rolledSeat) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.member, b.member), cmp.Compare(a.entry, b.entry))
	})
	out := make([]Rolled, 0, len(r.seats))
	for seats := r.seats; len(seats) > 0; {
		n := 1
		for n < len(seats) && bytes.Equal(seats[n].member, seats[0].member) {
			n++
		}
		out, seats = append(out, r.one(seats[:n])), seats[n:]
	}
	return out
}

// one goes through the entries of one member.
func (r *roll) one(seats []rolledSeat) Rolled {
	m := Rolled{Member: seats[0].member, hash: seats[0].hash, Place: grant.PlaceNone}
	m.Encoded = r.width.Append(make([]byte, 0, len(m.Member)+2), m.Member)
	for _, seat := range seats {
		e := &r.entries[seat.entry]
		before := m.Place
		if e.kind.Settles() {
			m.Twice = m.Twice || m.Place != grant.PlaceNone
			if m.Place = grant.PlaceGranted; e.kind == EntryExclude {
				m.Place = grant.PlaceExcluded
			}
		}
		if e.act == nil || !e.act.Keeps() {
			continue
		}
		place, state, err := m.State.After(before, e.act)
		if err != nil {
			m.Broken = fmt.Sprintf("%s: %v", e.act.Kind, err)
			continue
		}
		m.Place, m.State, m.Keeps = place, state, true
	}
	return m
}
