package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/sharding/dense"
)

func of(lows ...uint16) *dense.Bitmap {
	b := new(dense.Bitmap)
	for _, low := range lows {
		b.Set(low)
	}
	return b
}

func TestTheSameUsersHaveTheSameDigest(t *testing.T) {
	var a, b Users
	a.Add(3, of(1, 2))
	a.Add(1<<40, of(65535))
	b.Add(1<<40, of(65535))
	b.Add(7, of())
	b.Add(3, of(2, 1))
	require.Equal(t, a.Sum(), b.Sum(), "the order does not matter, nor does a chunk without users")
	before := a.Sum()
	require.Equal(t, before, a.Sum(), "asking changes nothing")

	for name, other := range map[string]func(*Users){
		"a user more":    func(u *Users) { u.Add(3, of(1, 2, 3)); u.Add(1<<40, of(65535)) },
		"a user less":    func(u *Users) { u.Add(3, of(1)); u.Add(1<<40, of(65535)) },
		"another chunk":  func(u *Users) { u.Add(4, of(1, 2)); u.Add(1<<40, of(65535)) },
		"swapped chunks": func(u *Users) { u.Add(3, of(65535)); u.Add(1<<40, of(1, 2)) },
		"nobody":         func(*Users) {},
	} {
		var c Users
		other(&c)
		require.NotEqual(t, a.Sum(), c.Sum(), name)
	}
}

// Whoever writes a reader in another language goes by this.
func TestTheDigestIsWhatItsCommentSays(t *testing.T) {
	var u Users
	u.Add(629, of(8863)) // user 41,231,007
	bitmap := make([]byte, 8192)
	bitmap[8863/8] = 1 << (7 - 8863%8)
	leaf := sha256.Sum256(append([]byte("granter chunk\n\x00\x00\x00\x00\x00\x00\x02\x75"), bitmap...))
	sum := sha256.Sum256(append([]byte("granter users\n"), leaf[:]...))
	require.Equal(t, hex.EncodeToString(sum[:]), u.Sum())
}
