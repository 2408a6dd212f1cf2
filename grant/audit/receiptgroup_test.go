package audit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant"
)

// crowded is a world of which one chunk has so many users that a group of them has several.
func crowded(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	const users = 2000
	var records []string
	var ids []uint64
	for i := range uint64(users) {
		ids = append(ids, 3*i)
		records = append(records, fmt.Sprint(3*i))
	}
	w.publish(0, records...)
	w.grant(0, 0, users-1, ids...)
	w.checkpoint(w.ends)
	return w
}

// sameLength reports whether a group of another size has a path of the same length for the user.
func sameLength(s *Step, size int) bool {
	length := func(size int) int { // of the path of a leaf, RFC 9162, section 2.1.3
		inner := bits.Len(uint(s.Index ^ (size - 1)))
		return inner + bits.OnesCount(uint(s.Index)>>inner)
	}
	return s.Index < size && length(size) == length(s.Size)
}

// A receipt that says of the user's group that it has another size is refused, also where a path of the same length leads to the
// same root of the group; and so is one in the form of before, in which that was not signed.
func TestHowManyUsersAGroupHasIsSigned(t *testing.T) {
	w := crowded(t)
	s, v := keys(t)
	all, _ := w.receipts(s)
	alike := 0
	for user := range uint64(60) {
		r, err := all.Of(grant.NumberID(3 * user))
		require.NoError(t, err)
		require.Equal(t, formatDense, r.Format)
		_, err = r.Verify(v)
		require.NoError(t, err)
		for size := range 4 * r.Group.Size {
			if size == r.Group.Size {
				continue
			}
			if sameLength(&r.Group, size) {
				alike++
			}
			edited := *r
			edited.Group.Size = size
			_, err = edited.Verify(v)
			require.ErrorIs(t, err, ErrReceipt, "%d of %d", size, r.Group.Size)
		}
		for format := range 6 {
			if edited := *r; format != formatDense {
				edited.Format = format
				_, err = edited.Verify(v)
				require.Error(t, err, "format %d", format)
			}
		}
	}
	require.Greater(t, alike, 50, "of some users another size has a path of the same length")
}

// Receipts, and files to make them of, that were left by a granter of before are read and verified, and say that they are of that
// form.
func TestReceiptsOfBeforeAreVerified(t *testing.T) {
	dir := filepath.Join("testdata", "before")
	key, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	require.NoError(t, err)
	v, err := note.NewVerifier(string(key[:len(key)-1]))
	require.NoError(t, err)
	for name, of := range map[string]struct {
		format int
		user   grant.UserID
	}{"dense": {1, grant.NumberID(9)}, "uuid": {2, grant.TextID(aMember(grant.IDsUUID, 7))}} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, name+".json"))
			require.NoError(t, err)
			r, err := ReadReceipt(text)
			require.NoError(t, err)
			require.Equal(t, of.format, r.Format)
			about, err := r.Verify(v)
			require.NoError(t, err)
			require.Equal(t, Proven, about.Verdict)
			packed, err := os.Open(filepath.Join(dir, name+".receipts.gz"))
			require.NoError(t, err)
			defer packed.Close()
			unpacked, err := gzip.NewReader(packed)
			require.NoError(t, err)
			file, err := io.ReadAll(unpacked)
			require.NoError(t, err)
			all, err := readReceipts(bytes.NewReader(file), int64(len(file)))
			require.NoError(t, err)
			made, err := all.Of(of.user)
			require.NoError(t, err)
			require.Equal(t, r, made, "of the file of then the same receipt is made")
			made.Format += 2
			_, err = made.Verify(v)
			require.ErrorIs(t, err, ErrReceipt)
			out, err := byPython(t, filepath.Join(dir, "key.pub"), r)
			require.NoError(t, err, out)
			out, err = byPython(t, filepath.Join(dir, "key.pub"), made)
			require.Error(t, err, out)
		})
	}
}

// The verifier in Python refuses another size of the group, too.
func TestPythonRefusesAnotherSizeOfTheGroup(t *testing.T) {
	w := crowded(t)
	private, public, err := Keygen("audit.test")
	require.NoError(t, err)
	s, err := note.NewSigner(private)
	require.NoError(t, err)
	key := filepath.Join(t.TempDir(), "key.pub")
	require.NoError(t, os.WriteFile(key, []byte(public+"\n"), 0o600))
	all, _ := w.receipts(s)
	for user := uint64(0); ; user += 3 {
		r, err := all.Of(grant.NumberID(user))
		require.NoError(t, err)
		if !sameLength(&r.Group, r.Group.Size+1) {
			continue
		}
		out, err := byPython(t, key, r)
		require.NoError(t, err, out)
		r.Group.Size++
		out, err = byPython(t, key, r)
		require.Error(t, err)
		require.Contains(t, out, "does not lead to the signed root")
		return
	}
}

// byPython has docs/verify_receipt.py check a receipt.
func byPython(t *testing.T, key string, r *Receipt) (string, error) {
	t.Helper()
	text, err := json.Marshal(r)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "receipt.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return pythonSays(t, key, file)
}
