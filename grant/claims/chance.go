package claims

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// SecondLooked reports whether chance has an approved claim looked at again: a share, in a million, of all claims. It depends on
// the claim's number and a secret of the programme alone. So whoever does not have the secret cannot tell before, and nobody can
// try again: neither owners by another number or amount, nor reviewers by when they decide.
func SecondLooked(secret []byte, claim string, share int) bool {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("second look\x00" + claim))
	// The first 64 bits, as a number below a million, each as likely as the others to one in 10^13.
	drawn, _ := bits.Mul64(binary.BigEndian.Uint64(h.Sum(nil)), 1_000_000)
	return drawn < uint64(max(share, 0))
}
