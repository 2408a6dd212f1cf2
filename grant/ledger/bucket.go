package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/opaque"
)

// A campaign whose IDs are not dense has buckets in place of chunks: see opaque.Layout for which one a user is in. A bucket has
// the keys journal and calls of a chunk of its number, and is listed in the same index. Its journal is the only record of who is
// granted.
//
// Entries are of version 3: as those of version 2 up to the ranges and the act, and then, in place of the Roaring bitmap,
//
//	1 byte   width of a member in bytes: 16 of a UUID, 8 of a number (two's complement, big-endian); 0 of strings, each of which
//	         has its length in front, as a uvarint
//	rest     members, ascending by their hash (XXH64), and by their bytes where that is the same
//
// calls has the spec of the first grant, and count: how many members there are, so that nobody has to read them to say how many.
const bucketEntryVersion = 3

// unknownPopulation is for how many users buckets are laid out where the spec does not say how many there are: from a million to
// half a billion of them can be granted, at some cost at both ends.
const unknownPopulation = 48_000_000

// MaxBucket is how many members a bucket may have: 16 MiB of UUIDs, which is read at once by whoever looks one of them up.
const MaxBucket = 1 << 20

// LayoutOf returns how the users of a campaign become buckets. It follows from the spec, so it is fixed by the first grant.
func LayoutOf(c *grant.Campaign) opaque.Layout {
	users := c.Population
	if users <= 0 {
		users = unknownPopulation
	}
	form := userid.FormOf(&c.Input)
	return opaque.Layout{Bits: opaque.BitsFor(users), Width: opaque.Width(form.Width())}
}

// ErrOpaque says that something is not built for campaigns whose IDs are not dense.
var ErrOpaque = errors.New("is not possible yet for a campaign whose source.id is not dense")

// Dense fails, with ErrOpaque, if the IDs of the store's campaign are not dense.
func (l *Store) Dense(what string) error { return Dense(l.campaign, what) }

// Dense fails, with ErrOpaque, if the IDs of a campaign are not dense.
func Dense(c *grant.Campaign, what string) error {
	if !c.Input.Opaque() {
		return nil
	}
	return fmt.Errorf("%s %w: %s has source.id: %s", what, ErrOpaque, c.Name, c.Input.IDs)
}

// FullError says that a bucket has as many members as it may have.
type FullError struct {
	Key     string
	Members int64
	Spec    int64 // its population; 0: not said
}

func (e *FullError) Error() string {
	said := fmt.Sprintf("which says population: %d", e.Spec)
	if e.Spec == 0 {
		said = "which does not say its population"
	}
	return fmt.Sprintf("%s has %d users, and those who come now would be more than the %d that a bucket may have: the campaign "+
		"has many more users than its spec was laid out for, %s, and about %d are granted by now. They stay so. Grant the "+
		"others in three steps: 1. granter export -f SPEC --why TEXT --format text had.csv. 2. Copy the spec to another "+
		"file, with another name behind campaign:, with population: as many users as there will ever be, and with the "+
		"line exclude: [{file: had.csv, reason: has it already}]. 3. granter run -f that file",
		e.Key, e.Members, MaxBucket, said, e.Members<<LayoutOf(&grant.Campaign{Population: e.Spec}).Bits)
}

// BucketMembers are the members of a stored entry.
type BucketMembers struct {
	Width opaque.Width
	count int
	body  []byte
}

// OfBucket reports whether a stored entry is one of a bucket.
func OfBucket(entry string) bool { return len(entry) > 0 && entry[0] == bucketEntryVersion }

// UserOf returns the user that a member is.
func (l *Store) UserOf(member []byte) grant.UserID { return l.form.ID(member) }

// UnmarshalBucket reads an entry of a bucket up to its members, which are valid as long as b is. It leaves Members alone.
func (e *Entry) UnmarshalBucket(b []byte) (m BucketMembers, err error) {
	if len(b) < stampBytes+kindBytes+runLength {
		return m, fmt.Errorf("journal entry of %d bytes: too short", len(b))
	}
	if b[0] != bucketEntryVersion {
		return m, fmt.Errorf("journal entry of version %d: want %d in a bucket", b[0], bucketEntryVersion)
	}
	rest := b[stampBytes:]
	if e.Kind = EntryKind(rest[0]); !e.Kind.known() {
		return m, fmt.Errorf("journal entry of kind %d, which this granter does not know: use a newer one", e.Kind)
	}
	rest = rest[kindBytes:]
	e.At, e.Run, e.Act, e.act = entryTime(b), grant.RunID(binary.BigEndian.Uint64(rest)), nil, nil
	r := fields{rest: rest[runLength:]}
	e.origin(&r, MaxBucket)
	if e.Kind != EntryGrant {
		e.act = r.bytes("act", maxActBytes)
	}
	if r.err == nil && len(r.rest) == 0 {
		r.err = errShort
	}
	if r.err != nil {
		return m, fmt.Errorf("journal entry: %w", r.err)
	}
	return BucketMembers{Width: opaque.Width(r.rest[0]), count: e.Count, body: r.rest[1:]}, nil
}

// DecodeAct fills in Act, which UnmarshalBucket leaves as it is stored.
func (e *Entry) DecodeAct() error { return e.readAct() }

// Each hands the members to fn, in their order, until it returns false. Where it does not, their number and order are checked.
func (m *BucketMembers) Each(fn func(hash uint64, member []byte) bool) error {
	n, last := 0, uint64(0)
	for rest := m.body; len(rest) > 0; n++ {
		member, more, err := m.Width.Next(rest)
		if err != nil {
			return fmt.Errorf("journal entry: %w", err)
		}
		hash := opaque.Hash(member)
		if hash < last {
			return fmt.Errorf("journal entry: members: %w", errOrder)
		}
		if !fn(hash, member) {
			return nil
		}
		last, rest = hash, more
	}
	if n != m.count {
		return fmt.Errorf("journal entry: %d members, and it says %d", n, m.count)
	}
	return nil
}
