package documents

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents/clamdtest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func picture(w, h int) *image.Gray { return image.NewGray(image.Rect(0, 0, w, h)) }

func pngOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, picture(w, h)))
	return b.Bytes()
}

func jpegOf(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, picture(40, 30), nil))
	return b.Bytes()
}

func workbook(t testing.TB, files map[string]int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(
		zip.Deflate,
		func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) },
	)
	for name, size := range files {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = io.CopyN(f, zeros{}, int64(size))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

const pdf = "%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n"

func heic() []byte {
	return append([]byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), "\x00\x00\x00\x0cmdatabcd"...)
}

func TestWhatIsADocumentIsToldByItsContent(t *testing.T) {
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"a.pdf": {[]byte(pdf), PDF}, "b.JPG": {jpegOf(t), JPEG}, "c.png": {pngOf(t, 3, 3), PNG}, "사진.heic": {heic(), HEIC},
		"d.xlsx": {workbook(t, map[string]int{"xl/workbook.xml": 1000}), XLSX}, "no ending": {[]byte(pdf), PDF},
		"../../etc/e.pdf": {[]byte(pdf), PDF}, `C:\x\f.pdf`: {[]byte(pdf), PDF},
	} {
		kind, err := Inspect(name, test.data)
		require.NoError(t, err, name)
		require.Equal(t, test.want, kind)
		require.NotEqual(t, ".bin", Ending(kind))
	}
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	many := map[string]int{"xl/workbook.xml": 1}
	for i := range mostEntries {
		many[strings.Repeat("x", i%50)+string(rune('a'+i%26))+time.Duration(i).String()] = 0
	}
	big := pngOf(t, 1, 1)
	copy(big[16:], "\x00\x01\x00\x00\x00\x01\x00\x00") // 65,536 × 65,536
	for name, test := range map[string]struct {
		data []byte
		want Code
	}{
		"empty.pdf":          {nil, Empty},
		"big.pdf":            {append([]byte(pdf), make([]byte, MaxFile)...), TooBig},
		"program.pdf":        {[]byte("MZ\x90\x00"), UnknownType},
		"page.html":          {[]byte("<html><script>alert(1)</script>"), UnknownType},
		"drawing.png":        {[]byte("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"), UnknownType},
		"archive.xlsx":       {workbook(t, map[string]int{"a.exe": 10}), UnknownType},
		"lies.pdf":           {pngOf(t, 2, 2), LyingType},
		"lies.exe":           {[]byte(pdf), LyingType},
		"cut.pdf":            {[]byte(pdf[:30]), CutOff},
		"cut.jpg":            {bytes.TrimSuffix(jpegOf(t), []byte("\xff\xd9")), CutOff},
		"cut-short.jpg":      {jpegOf(t)[:100], CutOff},
		"cut.png":            {pngOf(t, 9, 9)[:50], CutOff},
		"cut.heic":           {heic()[:30], CutOff},
		"cut.xlsx":           {append([]byte("PK\x03\x04"), "xl/workbook.xml"...), CutOff},
		"huge.png":           {big, Bomb},
		"bomb.xlsx":          {workbook(t, map[string]int{"xl/workbook.xml": 10, "xl/a.xml": mostInside}), Bomb},
		"many.xlsx":          {workbook(t, many), Bomb},
		"macro.xlsx":         {workbook(t, map[string]int{"xl/workbook.xml": 10, "xl/vbaProject.bin": 10}), Active},
		"900101-1234567.pdf": {[]byte(pdf), Resident},
	} {
		_, err := Inspect(name, test.data)
		refused, ok := errors.AsType[*RefusedError](err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, test.want, refused.Code, "%s: %v", name, err)
		require.NotContains(t, err.Error(), "1234567")
	}
}

// Whatever somebody sends, looking at it ends, and never panics.
func FuzzInspect(f *testing.F) {
	for _, seed := range [][]byte{[]byte(pdf), jpegOf(f), pngOf(f, 2, 2), heic(),
		workbook(f, map[string]int{"xl/workbook.xml": 9})} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, err := Inspect("file", data)
		if (kind == "") == (err == nil) {
			t.Fatal(kind, err)
		}
	})
}

// archive is a store with one claim, and a folder beside it.
type archive struct {
	*Keeper
	claim    *store.Claim
	folder   string
	database string
	t        *testing.T
}

func newArchive(t *testing.T, scanner Scanner) *archive {
	t.Helper()
	database := filepath.Join(t.TempDir(), "claims.db")
	s, p := storetest.At(t, database)
	folder := filepath.Join(t.TempDir(), "documents")
	return &archive{NewKeeper(s, Folder(folder), scanner), storetest.Receive(t, s, p, 2, 900_000)[0], folder, database, t}
}

func (a *archive) add(name string, body io.Reader) (*store.Kept, error) {
	a.t.Helper()
	return a.Add(a.t.Context(), a.claim, Sent{Kind: "proof_of_sales_damage", Name: name, Body: body, By: store.Owner})
}

// files are all bytes of documents that are in the folder, whole or not, by path.
func (a *archive) files() map[string]string {
	a.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(a.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ownerFile {
			return err
		}
		data, err := os.ReadFile(path)
		out[path] = string(data)
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(a.t, err)
	}
	return out
}

func TestADocumentIsKeptEncryptedAndErasedWithItsKey(t *testing.T) {
	a := newArchive(t, nil)
	kept, err := a.add("../../x.pdf", strings.NewReader(pdf))
	require.NoError(t, err)
	require.Equal(t, NotScanned, kept.Scan)
	again, err := a.add("other name.pdf", strings.NewReader(pdf))
	require.NoError(t, err)
	require.Equal(t, kept.Blob, again.Blob, "it is there once")
	files := a.files()
	require.Len(t, files, 1)
	for path, data := range files {
		require.True(t, strings.HasPrefix(path, a.folder), "nothing is written elsewhere")
		require.NotContains(t, data, "PDF")
		require.True(t, strings.HasPrefix(data, "age-encryption.org/v1"))
	}
	doc, data, err := a.Open(t.Context(), a.claim.ID, kept.Digest)
	require.NoError(t, err)
	require.Equal(t, pdf, string(data))
	require.Equal(t, PDF, doc.Type)
	_, _, err = a.Open(t.Context(), "c-000001", kept.Digest)
	require.ErrorIs(t, err, store.ErrNotFound, "it is of another claim")

	require.NoError(t, a.Store.Commit(t.Context(), []store.Step{{Claim: a.claim, Action: claims.Withdraw, By: store.Owner}}, nil))
	seo := store.Actor{Name: "seo", Duty: claims.Privacy}
	require.NoError(t, a.Store.Erase(t.Context(), a.claim, seo, "the owner asked"))
	_, _, err = a.Open(t.Context(), a.claim.ID, kept.Digest)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = a.open(t.Context(), kept)
	require.ErrorIs(t, err, store.ErrNotFound, "also for who kept the file, and knows where it was: the key is gone")
	swept, err := a.Sweep(t.Context(), time.Now())
	require.NoError(t, err)
	require.Zero(t, *swept, "it may be a document that is being taken in")
	swept, err = a.Sweep(t.Context(), time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, Swept{Deleted: 1}, *swept)
	require.Empty(t, a.files())
}

func TestWhatIsRefusedLeavesNothingBehind(t *testing.T) {
	server, err := clamdtest.Start()
	require.NoError(t, err)
	defer server.Close()
	a := newArchive(t, Clamd(server.Addr()))
	refused := func(want Code, name string, body io.Reader) {
		t.Helper()
		_, err := a.add(name, body)
		r, ok := errors.AsType[*RefusedError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, want, r.Code)
		require.Empty(t, a.files())
	}
	refused(TooBig, "x.pdf", io.MultiReader(strings.NewReader(pdf), zeros{}))
	refused(CutOff, "x.pdf", io.MultiReader(strings.NewReader(pdf), iotest.ErrReader(io.ErrUnexpectedEOF)))
	refused(UnknownType, "../../../../tmp/x", strings.NewReader("#!/bin/sh"))
	refused(Malware, "x.pdf", strings.NewReader(strings.Replace(pdf, "<< >>", clamdtest.EICAR, 1)))
	list, err := a.Store.Get(t.Context(), a.claim.ID)
	require.NoError(t, err)
	require.Empty(t, list[0].Documents)
	require.NoError(t, a.Store.Commit(t.Context(), []store.Step{{Claim: a.claim, Action: claims.Withdraw, By: store.Owner}}, nil))
	refused(Late, "x.pdf", strings.NewReader(pdf))
}

func TestAScannerThatIsAwayMakesDocumentsWait(t *testing.T) {
	server, err := clamdtest.Start()
	require.NoError(t, err)
	defer server.Close()
	a := newArchive(t, Clamd(server.Addr()))
	require.NoError(t, Clamd(server.Addr()).Ping(t.Context()))
	server.Away(true)
	require.Error(t, Clamd(server.Addr()).Ping(t.Context()))
	good, err := a.add("good.pdf", strings.NewReader(pdf))
	require.NoError(t, err)
	require.True(t, good.Quarantined)
	bad, err := a.add("bad.pdf", strings.NewReader(strings.Replace(pdf, "<< >>", clamdtest.EICAR, 1)))
	require.NoError(t, err)
	_, _, err = a.Open(t.Context(), a.claim.ID, good.Digest)
	r, ok := errors.AsType[*RefusedError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, InQuarantine, r.Code)
	got, err := a.Rescan(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, got.Waiting)
	require.NotEmpty(t, got.Away)
	server.Away(false)
	got, err = a.Rescan(t.Context())
	require.NoError(t, err)
	require.Equal(t, &Scanned{Clean: 1, Malware: 1}, got)
	_, data, err := a.Open(t.Context(), a.claim.ID, good.Digest)
	require.NoError(t, err)
	require.Equal(t, pdf, string(data))
	_, _, err = a.Open(t.Context(), a.claim.ID, bad.Digest)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Len(t, a.files(), 1)
	list, err := a.Store.Get(t.Context(), a.claim.ID)
	require.NoError(t, err)
	require.Len(t, list[0].Documents, 1)
	require.Equal(t, Clean, list[0].Documents[0].Scan)
}

func TestManyDocumentsAtOnce(t *testing.T) {
	a := newArchive(t, nil)
	var wg sync.WaitGroup
	results := make(chan error, MaxFiles+8)
	for i := range MaxFiles + 8 {
		wg.Go(func() {
			list, err := a.Store.Get(t.Context(), a.claim.ID)
			if err == nil {
				_, err = a.Add(t.Context(), list[0], Sent{Kind: "x", Name: "x.pdf", By: store.Owner,
					Body: strings.NewReader(strings.Replace(pdf, "<<", strings.Repeat(" ", i)+"<<", 1))})
			}
			results <- err
		})
	}
	wg.Wait()
	close(results)
	taken := 0
	for err := range results {
		if err == nil {
			taken++
		}
	}
	require.LessOrEqual(t, taken, MaxFiles)
	require.Len(t, a.files(), taken)
	kept, err := a.Store.Documents(t.Context(), a.claim.ID)
	require.NoError(t, err)
	require.Len(t, kept, taken)
}

func TestAClaimHasSoManyDocuments(t *testing.T) {
	a := newArchive(t, nil)
	for i := range MaxFiles + 1 {
		_, err := a.add("x.pdf", strings.NewReader(strings.Replace(pdf, "<<", strings.Repeat(" ", i)+"<<", 1)))
		if i < MaxFiles {
			require.NoError(t, err)
			continue
		}
		r, ok := errors.AsType[*RefusedError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, Full, r.Code)
	}
	require.Len(t, a.files(), MaxFiles)
}

func TestAnAnswerThatIsNoneIsNoCleanDocument(t *testing.T) {
	server, err := clamdtest.Start()
	require.NoError(t, err)
	defer server.Close()
	_, err = Clamd(server.Addr()).Scan(t.Context(), make([]byte, clamdtest.MaxStream+1))
	require.Error(t, err)
	_, err = Clamd("/nowhere/clamd.sock").Scan(t.Context(), nil)
	require.Error(t, err)
}
