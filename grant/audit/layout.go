package audit

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
)

// layout is how users whose IDs are not dense become buckets (sharding/opaque): a bucket has those whose hash, XXH64, begins with
// the bits of its number behind the first one. As with chunks, an audit reads buckets by code of its own.
type layout struct {
	bits  uint
	width int // of a member in bytes; 0: each has its length in front, as a uvarint
	form  userid.Form
}

// layoutOf returns the layout of a campaign; nil: its IDs are dense.
func layoutOf(c *grant.Campaign) *layout {
	if !c.Input.Opaque() {
		return nil
	}
	of := ledger.LayoutOf(c)
	return &layout{bits: of.Bits, width: int(of.Width), form: userid.FormOf(&c.Input)}
}

func hashOf(member []byte) uint64 { return xxhash.Sum64(member) }

func (l *layout) bucket(hash uint64) uint64 { return 1<<l.bits | hash>>(64-l.bits) }

// first and end are the buckets that there can be: those from the one up to, not including, the other.
func (l *layout) first() uint64 { return 1 << l.bits }
func (l *layout) end() uint64   { return 2 << l.bits }

// maxMember is how long a member may be.
const maxMember = 256

var errMember = errors.New("a member of it is cut off, or has no length that a member may have")

// size is how long the first of some members is, as it is stored, and where in that it begins; 0: there is none.
func (l *layout) size(b []byte) (size, begins int) {
	if l.width > 0 {
		if len(b) < l.width {
			return 0, 0
		}
		return l.width, 0
	}
	n, begins := binary.Uvarint(b)
	if begins <= 0 || n == 0 || n > maxMember || uint64(len(b)-begins) < n {
		return 0, 0
	}
	return begins + int(n), begins
}

// stored appends a member as it is stored.
func (l *layout) stored(dst, member []byte) []byte {
	if l.width == 0 {
		dst = binary.AppendUvarint(dst, uint64(len(member)))
	}
	return append(dst, member...)
}

// user is the user that a stored member is.
func (l *layout) user(stored []byte) grant.UserID {
	_, begins := l.size(stored)
	return l.form.ID(stored[begins:])
}

const bucketVersion = 3

// readBucket reads an entry of a bucket up to its members, which it returns as they are stored. They are checked: as many as it
// says, in the order of their hashes. As with chunks, its spans use the memory of the one before.
func (e *entry) readBucket(text []byte, l *layout) (members []byte, err error) {
	if len(text) < 16 {
		return nil, errCutOff
	}
	if text[0] != bucketVersion {
		return nil, fmt.Errorf("it is of version %d, and this granter knows %d: use a newer one", text[0], bucketVersion)
	}
	e.kind, e.at = kind(text[7]), timeOf(text)
	rest, err := e.head(text[8:])
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return nil, errCutOff
	}
	if width := int(rest[0]); width != l.width {
		return nil, fmt.Errorf("its members have %d bytes, and should have %d", width, l.width)
	}
	return l.check(rest[1:], e.count)
}

// readBucketTake reads an entry of a list of takes of a bucket, and returns the index of the item in the spec, and the members.
func (e *entry) readBucketTake(text []byte, l *layout) (item int, members []byte, err error) {
	if len(text) < 16 {
		return 0, nil, errCutOff
	}
	if e.kind = kind(text[7]); text[0] != bucketVersion || e.kind != kindTake {
		return 0, nil, fmt.Errorf(
			"it is of version %d and kind %d, and this granter knows version %d and kind 3: use a newer one",
			text[0], e.kind, bucketVersion)
	}
	e.at, e.act = timeOf(text), nil
	n := e.origin(text[8:])
	if item = int(n.next()); n.short || len(n.rest) == 0 {
		return 0, nil, errCutOff
	}
	if width := int(n.rest[0]); width != l.width {
		return 0, nil, fmt.Errorf("its members have %d bytes, and should have %d", width, l.width)
	}
	members, err = l.check(n.rest[1:], e.count)
	return item, members, err
}

// check returns members if they are as many as an entry says, in the order of their hashes.
func (l *layout) check(members []byte, count int) ([]byte, error) {
	n, last := 0, uint64(0)
	for at := 0; at < len(members); n++ {
		size, begins := l.size(members[at:])
		if size == 0 {
			return nil, errMember
		}
		hash := hashOf(members[at+begins : at+size])
		if hash < last {
			return nil, errors.New("its members are not in order")
		}
		last, at = hash, at+size
	}
	if n != count || n == 0 {
		return nil, fmt.Errorf("it says that it has %d members, and has %d", count, n)
	}
	return members, nil
}

// each hands members, which were checked, to fn.
func (l *layout) each(members []byte, fn func(member []byte)) {
	for len(members) > 0 {
		size, begins := l.size(members)
		fn(members[begins:size])
		members = members[size:]
	}
}
