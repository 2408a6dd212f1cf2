package documents

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// after is a folder that does something as soon as a document is put.
type after struct {
	Folder
	do func() error
}

func (a after) Put(name string, data []byte) error {
	return errors.Join(a.Folder.Put(name, data), a.do())
}

// A document that came whole is kept, whether or not its sender waits for the answer.
func TestWhoGoesAwayHasSentTheDocumentAllTheSame(t *testing.T) {
	a := newArchive(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	a.Blobs = after{Folder(a.folder), func() error { cancel(); return nil }}
	kept, err := a.Add(ctx, a.claim, Sent{Kind: "x", Name: "x.pdf", Body: strings.NewReader(pdf), By: store.Owner})
	require.NoError(t, err)
	_, data, err := a.Open(t.Context(), a.claim.ID, kept.Digest)
	require.NoError(t, err)
	require.Equal(t, pdf, string(data))
}

// Where nobody knows whether the database has a document, its file stays until somebody can ask. One that has none of it is gone
// at once.
func TestAFileStaysWhereNobodyKnowsWhetherItIsADocument(t *testing.T) {
	a := newArchive(t, nil)
	s, err := store.Open(t.Context(), a.database, "")
	require.NoError(t, err)
	defer s.Close()
	dies := NewKeeper(s, after{Folder(a.folder), s.Close}, nil)
	_, err = dies.Add(t.Context(), a.claim, Sent{Kind: "x", Name: "x.pdf", Body: strings.NewReader(pdf), By: store.Owner})
	require.Error(t, err)
	require.Len(t, a.files(), 1)
	swept, err := a.Sweep(t.Context(), time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, Swept{Deleted: 1}, *swept)

	a.Blobs = after{Folder(a.folder), func() error { // somebody else decides at the same time
		list, err := a.Store.Get(t.Context(), a.claim.ID)
		require.NoError(t, err)
		return a.Store.Commit(t.Context(), []store.Step{{Claim: list[0], Action: claims.Withdraw, By: store.Owner}}, nil)
	}}
	_, err = a.add("x.pdf", strings.NewReader(pdf))
	r, ok := errors.AsType[*RefusedError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, Late, r.Code)
	require.Empty(t, a.files())
}

// committed is a folder behind which a document is added as soon as it is put, as by a commit whose answer is lost.
type committed struct {
	Folder
	add func(blob string) error
}

func (c committed) Put(name string, data []byte) error {
	return errors.Join(c.Folder.Put(name, data), c.add(name))
}

func TestADocumentWhoseCommitHadNoAnswerIsKept(t *testing.T) {
	a := newArchive(t, nil)
	sum := sha256.Sum256([]byte(pdf))
	a.Blobs = committed{Folder(a.folder), func(blob string) error {
		list, err := a.Store.Get(t.Context(), a.claim.ID)
		require.NoError(t, err)
		return a.Store.AddDocument(t.Context(), list[0], store.Kept{Claim: a.claim.ID, Blob: blob, Document: store.Document{
			Kind: "proof_of_sales_damage", Type: PDF, Size: int64(len(pdf)), Digest: hex.EncodeToString(sum[:]), Scan: NotScanned,
		}}, MaxFiles, MaxAll, store.Owner)
	}}
	kept, err := a.add("x.pdf", strings.NewReader(pdf))
	require.NoError(t, err)
	_, data, err := a.Open(t.Context(), a.claim.ID, kept.Digest)
	require.NoError(t, err)
	require.Equal(t, pdf, string(data))
}

// A folder that has no room, or fails, is an error of its own kind, and nothing is half-written.
func TestAFolderThatFailsIsSaid(t *testing.T) {
	a := newArchive(t, nil)
	var kinds []store.ErrorKind
	a.Store.OnError(func(k store.ErrorKind) { kinds = append(kinds, k) })
	a.Blobs = after{Folder(a.folder), func() error { return fs.ErrPermission }}
	_, err := a.add("x.pdf", strings.NewReader(pdf))
	require.Equal(t, store.ErrorFiles, store.KindOf(err))
	require.True(t, store.Passing(err))
	require.Equal(t, []store.ErrorKind{store.ErrorFiles}, kinds)

	a.Blobs = Folder(a.folder)
	kept, err := a.add("x.pdf", strings.NewReader(pdf))
	require.NoError(t, err)
	require.NoError(t, a.Blobs.Delete(kept.Blob))
	_, _, err = a.Open(t.Context(), a.claim.ID, kept.Digest)
	require.Equal(t, store.ErrorFiles, store.KindOf(err), "who asks is not told that there is no such document")
}

// Every document is opened with its key, and every file is some claim's: whatever is missing, altered, or nobody's is named or
// counted.
func TestDocumentsAreComparedWithTheirFiles(t *testing.T) {
	a := newArchive(t, nil)
	var all []*store.Kept
	for i := range 4 {
		kept, err := a.add("x.pdf", strings.NewReader(strings.Replace(pdf, "<<", strings.Repeat(" ", i)+"<<", 1)))
		require.NoError(t, err)
		all = append(all, kept)
	}
	compare := func(in time.Duration) *Compared {
		t.Helper()
		out, err := a.Compare(t.Context(), time.Now().Add(in))
		require.NoError(t, err)
		return out
	}
	bytes := int64(4*len(pdf) + 6)
	require.Equal(t, &Compared{Documents: 4, Bytes: bytes}, compare(0))

	folder := Folder(a.folder)
	write := func(name string, data []byte) {
		t.Helper()
		path, err := folder.path(name)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
	write("ab/incoming-123", []byte("half"))
	lost := filepath.Join(a.folder, "lost+found") // as some disks have it, where only root may look
	require.NoError(t, os.Mkdir(lost, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(lost, strings.Repeat("7", 64)), nil, 0o600))
	require.NoError(t, os.Chmod(lost, 0o000))
	defer func() { require.NoError(t, os.Chmod(lost, 0o700)) }()
	require.Equal(t, &Compared{Documents: 4, Bytes: bytes, Orphans: 1, Young: 1}, compare(0))
	require.NoError(t, folder.Delete(all[0].Blob))
	other, err := folder.Get(all[1].Blob)
	require.NoError(t, err)
	write(all[2].Blob, other) // of the same claim, and another document
	other[len(other)-1] ^= 1
	write(all[1].Blob, other)
	write(strings.Repeat("7", 64), []byte("of nobody"))
	out := compare(2 * time.Hour)
	says := make([]string, 0, len(out.Wrong))
	for _, f := range out.Wrong {
		require.Equal(t, a.claim.ID, f.Claim)
		says = append(says, f.What)
	}
	require.Len(t, says, 3)
	require.Contains(t, says[0], all[0].Digest[:12]+" is missing")
	require.Contains(t, says[1], all[1].Digest[:12]+" cannot be opened as what was sent")
	require.Contains(t, says[2], all[2].Digest[:12]+" cannot be opened as what was sent: it is not")
	out.Wrong = nil
	require.Equal(t, &Compared{
		Documents: 4, Bytes: int64(len(pdf) + 3), Missing: 1, Altered: 2, Orphans: 2,
	}, out)

	swept, err := a.Sweep(t.Context(), time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, Swept{Deleted: 2, Missing: 1}, *swept)
	require.Zero(t, compare(0).Orphans)
}

// A folder is one database's: by a typing error nothing of it is deleted, and nothing is added.
func TestAFolderIsOneDatabases(t *testing.T) {
	a := newArchive(t, nil)
	kept, err := a.add("x.pdf", strings.NewReader(pdf))
	require.NoError(t, err)
	s, p := storetest.Open(t)
	foreign := NewKeeper(s, Folder(a.folder), nil)
	swept, err := foreign.Sweep(t.Context(), time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.Zero(t, *swept, "a database without claims has no say")
	claim := storetest.Receive(t, s, p, 1, 900_000)[0]
	_, err = foreign.Sweep(t.Context(), time.Now().Add(2*time.Hour))
	require.ErrorIs(t, err, ErrOther)
	_, err = foreign.Add(t.Context(), claim, Sent{Kind: "x", Name: "x.pdf", Body: strings.NewReader(pdf), By: store.Owner})
	require.ErrorIs(t, err, ErrOther)
	_, err = foreign.Compare(t.Context(), time.Now())
	require.ErrorIs(t, err, ErrOther)
	require.Len(t, a.files(), 1)
	_, _, err = a.Open(t.Context(), a.claim.ID, kept.Digest)
	require.NoError(t, err)
}

// Of what waits for the scanner one that cannot be opened keeps no other waiting.
func TestOneBrokenDocumentKeepsNoOtherInQuarantine(t *testing.T) {
	scanner := &lame{away: true}
	a := newArchive(t, scanner)
	broken, err := a.add("x.pdf", strings.NewReader(pdf))
	require.NoError(t, err)
	good, err := a.add("y.pdf", strings.NewReader(strings.Replace(pdf, "<<", " <<", 1)))
	require.NoError(t, err)
	require.NoError(t, a.Blobs.Delete(broken.Blob))
	scanner.away = false
	got, err := a.Rescan(t.Context())
	require.ErrorContains(t, err, broken.Digest[:12])
	require.Equal(t, &Scanned{Clean: 1}, got)
	_, _, err = a.Open(t.Context(), a.claim.ID, good.Digest)
	require.NoError(t, err)
}

// lame is a scanner that may be away, and finds nothing.
type lame struct{ away bool }

func (l *lame) Scan(context.Context, []byte) (string, error) {
	if l.away {
		return "", errors.New("away")
	}
	return "", nil
}
