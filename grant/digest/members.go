package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// Members is Users where IDs are not dense. Its zero value is the empty set.
//
//	digest = "members-", how many they are, "-", and the first half of the SHA-256 of all members, as an entry has them: those
//	         of fixed width as they are, strings behind their length as a uvarint; ascending by their XXH64, and by their bytes
//	         where that is the same
type Members struct {
	hash hash.Hash
	n    int64
}

// Add adds a member as an entry has it. They must come in their order, each once.
func (m *Members) Add(encoded []byte) {
	if m.hash == nil {
		m.hash = sha256.New()
	}
	m.hash.Write(encoded)
	m.n++
}

// Sum returns the digest of what was added.
func (m *Members) Sum() string {
	if m.hash == nil {
		m.hash = sha256.New()
	}
	return fmt.Sprintf("members-%d-%s", m.n, hex.EncodeToString(m.hash.Sum(nil)[:sha256.Size/2]))
}
