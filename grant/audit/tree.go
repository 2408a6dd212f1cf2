package audit

import (
	"crypto/sha256"
	"math/bits"
)

// Trees are hashed as RFC 6962 says: SHA-256(0, data) for a leaf, SHA-256(1, left, right) above, and the left part of a tree of n
// leaves is the largest power of two below n. They are verified by another implementation, in tests and by whoever reads a
// receipt.
type sum [sha256.Size]byte

func leafHash(data []byte) sum {
	return sha256.Sum256(append([]byte{0}, data...))
}

func nodeHash(left, right *sum) sum {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// leftOf is how many of n leaves, two or more, are in the left part.
func leftOf(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// treeRoot is the root over leaf hashes.
func treeRoot(leaves []sum) sum {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		left, right := treeRoot(leaves[:leftOf(n)]), treeRoot(leaves[leftOf(n):])
		return nodeHash(&left, &right)
	}
}

// treePath returns the hashes that lead from a leaf to the root, the lowest first.
func treePath(leaves []sum, index int) []sum {
	n := len(leaves)
	if n <= 1 {
		return []sum{}
	}
	k := leftOf(n)
	if index < k {
		return append(treePath(leaves[:k], index), treeRoot(leaves[k:]))
	}
	return append(treePath(leaves[k:], index-k), treeRoot(leaves[:k]))
}
