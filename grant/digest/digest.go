// Package digest makes one short text of a set of users, which is the same for the same set, in whatever order its parts are
// met and whoever met them: a ledger, the copy of it in a file, or the topic that it was made of. Two sets with the same
// digest are the same set, as surely as SHA-256 has no collisions.
package digest

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/granter/granter/sharding/dense"
)

// Users collects a set of users, chunk by chunk. Its zero value is the empty set. It keeps 40 bytes of each chunk.
//
//	leaf   = SHA-256("granter chunk\n", chunk as 8 bytes big-endian, its 8,192 bytes as Redis keeps them: user n is bit
//	         7−n%8 of byte n/8)
//	digest = SHA-256("granter users\n", the leaves of all chunks that have a user, ascending by chunk)
type Users struct{ leaves []leaf }

type leaf struct {
	chunk uint64
	sum   [sha256.Size]byte
}

// Add adds the users of a chunk. Each chunk may come once, in any order; one without users changes nothing.
func (u *Users) Add(chunk uint64, members *dense.Bitmap) {
	if *members == (dense.Bitmap{}) {
		return
	}
	h := sha256.New()
	h.Write([]byte("granter chunk\n"))
	h.Write(binary.BigEndian.AppendUint64(nil, chunk))
	h.Write(members[:])
	l := leaf{chunk: chunk}
	h.Sum(l.sum[:0])
	u.leaves = append(u.leaves, l)
}

// Sum returns the digest of what was added: 64 hexadecimal digits.
func (u *Users) Sum() string {
	slices.SortFunc(u.leaves, func(a, b leaf) int { return cmp.Compare(a.chunk, b.chunk) })
	h := sha256.New()
	h.Write([]byte("granter users\n"))
	for i := range u.leaves {
		h.Write(u.leaves[i].sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
