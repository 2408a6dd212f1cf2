package opaque

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Width is how long each member is in bytes; 0: each has its length in front, as a uvarint.
type Width int

// MaxMember is how long a member may be.
const MaxMember = 256

// Append appends a member.
func (w Width) Append(dst, member []byte) []byte {
	if w == 0 {
		dst = binary.AppendUvarint(dst, uint64(len(member)))
	}
	return append(dst, member...)
}

// Size is how many bytes Append appends.
func (w Width) Size(member []byte) int {
	if w == 0 && len(member) >= 1<<7 {
		return 2 + len(member)
	}
	if w == 0 {
		return 1 + len(member)
	}
	return int(w)
}

// put is Append into memory that has room, and returns how much that took.
func (w Width) put(dst, member []byte) int {
	switch w {
	case 16:
		*(*[16]byte)(dst) = [16]byte(member)
		return 16
	case 8:
		*(*[8]byte)(dst) = [8]byte(member)
		return 8
	case 0:
		n := binary.PutUvarint(dst, uint64(len(member)))
		return n + copy(dst[n:], member)
	}
	return copy(dst[:w], member[:w])
}

// encoded is the first of the members that Append or put wrote.
func (w Width) encoded(b []byte) []byte {
	if w == 0 {
		n, size := binary.Uvarint(b)
		return b[:size+int(n)]
	}
	return b[:w]
}

// member is the first of the members that Append or put wrote.
func (w Width) member(b []byte) []byte {
	if w == 0 {
		n, size := binary.Uvarint(b)
		return b[size : size+int(n)]
	}
	return b[:w]
}

var errCutOff = errors.New("a member is cut off")

// Next splits the first member off.
func (w Width) Next(b []byte) (member, rest []byte, err error) {
	n := uint64(w)
	if w == 0 {
		var size int
		if n, size = binary.Uvarint(b); size <= 0 || n == 0 || n > MaxMember {
			return nil, nil, fmt.Errorf("a member of %d bytes: want 1 to %d", n, MaxMember)
		}
		b = b[size:]
	}
	if uint64(len(b)) < n {
		return nil, nil, errCutOff
	}
	return b[:n:n], b[n:], nil
}
