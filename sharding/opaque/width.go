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
