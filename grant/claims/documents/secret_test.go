package documents

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// Each claim has a key of its own: who has that of one claim reads no document of another, and erasing one leaves the others.
func TestEachClaimHasAKeyOfItsOwn(t *testing.T) {
	a := newArchive(t, nil)
	list, err := a.Store.Get(t.Context(), "c-000001")
	require.NoError(t, err)
	mine, other := a.claim, list[0]
	kept := map[*store.Claim]*store.Kept{}
	for _, c := range []*store.Claim{mine, other} {
		kept[c], err = a.Add(t.Context(), c, Sent{Kind: "x", Name: "x.pdf", Body: strings.NewReader(pdf), By: store.Owner})
		require.NoError(t, err)
	}
	require.Equal(t, kept[mine].Digest, kept[other].Digest)
	require.NotEqual(t, kept[mine].Blob, kept[other].Blob, "the same document of two claims is kept twice, by two keys")
	keys := map[string]bool{}
	for c := range kept {
		key, err := a.Store.Key(t.Context(), c.ID, "")
		require.NoError(t, err)
		keys[key] = true
	}
	require.Len(t, keys, 2)
	foreign := *kept[other]
	foreign.Claim = mine.ID
	_, err = a.open(t.Context(), &foreign)
	require.ErrorContains(t, err, "incorrect identity", "the key of one claim does not open what is the other's")

	require.NoError(t, a.Store.Commit(t.Context(), []store.Step{{Claim: mine, Action: claims.Withdraw, By: store.Owner}}, nil))
	require.NoError(t, a.Store.Erase(t.Context(), mine, store.Actor{Name: "seo", Duty: claims.Privacy}, "the owner asked"))
	_, err = a.open(t.Context(), kept[mine])
	require.ErrorIs(t, err, store.ErrNotFound)
	swept, err := a.Sweep(t.Context(), time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, Swept{Deleted: 1}, *swept)
	_, data, err := a.Open(t.Context(), other.ID, kept[other].Digest)
	require.NoError(t, err)
	require.Equal(t, pdf, string(data))
}

// What is kept is known by its content: a file that was changed, or exchanged for another one of the claim, is not given out.
func TestAFileThatWasChangedIsNotGivenOut(t *testing.T) {
	a := newArchive(t, nil)
	first, err := a.add("a.pdf", strings.NewReader(pdf))
	require.NoError(t, err)
	second, err := a.add("b.pdf", strings.NewReader(pdf+"%%EOF\n"))
	require.NoError(t, err)
	path := filepath.Join(a.folder, first.Blob[:2], first.Blob)
	sealed, err := os.ReadFile(path)
	require.NoError(t, err)
	for what, data := range map[string][]byte{
		"one byte": append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1), "cut off": sealed[:len(sealed)-8],
		"another": []byte(a.files()[filepath.Join(a.folder, second.Blob[:2], second.Blob)]),
	} {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		_, got, err := a.Open(t.Context(), a.claim.ID, first.Digest)
		require.Error(t, err, what)
		require.Empty(t, got)
	}
}

// No name leads out of the folder, whoever asks for it.
func TestAFolderHasNoOtherNames(t *testing.T) {
	folder := Folder(filepath.Join(t.TempDir(), "documents"))
	for _, name := range []string{
		"", "x", "../../x", "/etc/passwd", strings.Repeat("0", 63), strings.Repeat("A", 64), "..",
		strings.Repeat("0", 64) + "/..",
		strings.Repeat("0", 64) + "\n",
	} {
		require.ErrorContains(t, folder.Put(name, nil), "is no name of a document")
		_, err := folder.Get(name)
		require.ErrorContains(t, err, "is no name of a document")
		require.ErrorContains(t, folder.Delete(name), "is no name of a document")
	}
	_, err := os.Stat(string(folder))
	require.ErrorIs(t, err, os.ErrNotExist, "nothing was written")
}

// An image of any type that would fill a memory where somebody opens it is refused, by what it says of itself.
func TestAnImageThatWouldFillAMemoryIsRefused(t *testing.T) {
	huge := jpegOf(t)
	at := bytes.Index(huge, []byte("\xff\xc0"))
	if at < 0 {
		at = bytes.Index(huge, []byte("\xff\xc2"))
	}
	require.Positive(t, at)
	binary.BigEndian.PutUint16(huge[at+5:], 65_500)
	binary.BigEndian.PutUint16(huge[at+7:], 65_500)
	size := func(w, h uint32) []byte { // a grid of small parts is a large picture
		meta := append(bytes.Clone(heicSize), 0, 0, 2, 0, 0, 0, 2, 0)
		meta = append(append(meta, heicSize...), binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)...)
		box := append(binary.BigEndian.AppendUint32(nil, uint32(8+len(meta))), "meta"...)
		return append(append(heic(), box...), meta...)
	}
	_, err := Inspect("phone.heic", size(4032, 3024))
	require.NoError(t, err)
	for name, data := range map[string][]byte{"a.jpg": huge, "a.heic": size(65_536, 65_536), "b.heic": size(0, 9)} {
		_, err := Inspect(name, data)
		refused, ok := errors.AsType[*RefusedError](err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, Bomb, refused.Code, name)
	}
}
