package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

func keys(t *testing.T) (note.Signer, note.Verifier) {
	t.Helper()
	private, public, err := Keygen("audit.test")
	require.NoError(t, err)
	s, err := note.NewSigner(private)
	require.NoError(t, err)
	v, err := note.NewVerifier(public)
	require.NoError(t, err)
	return s, v
}

var aTree = &Tree{Users: true, Salt: [32]byte{1, 2, 3}}

func (w *world) signed(s note.Signer, set ...func(*Config)) (*Report, []byte) {
	w.Helper()
	r := w.audit(append(set, func(c *Config) { c.Tree = aTree })...)
	text, err := r.Sign(s)
	require.NoError(w, err)
	return r, text
}

func TestASignedReportIsReadAndAnEditedOneIsNot(t *testing.T) {
	w := granted(t)
	s, v := keys(t)
	r, text := w.signed(s)
	got, err := Open(text, v)
	require.NoError(t, err)
	require.Equal(t, r.Topic, got.Topic)
	require.Equal(t, r.Ledger, got.Ledger)
	require.Equal(t, Proven, got.Verdict)
	require.Equal(t, 3, got.Tree.Size)
	for i := range text {
		edited := bytes.Clone(text)
		edited[i] ^= 1
		_, err := Open(edited, v)
		require.ErrorIs(t, err, ErrSignature, "byte %d, %q", i, text[i])
	}
	_, other := keys(t)
	_, err = Open(text, other)
	require.ErrorIs(t, err, ErrSignature)
}

func TestReportsAreChained(t *testing.T) {
	w := granted(t)
	s, v := keys(t)
	var files [][]byte
	var before *Report
	for range 3 {
		r := w.audit(func(c *Config) { c.Previous = before })
		if before != nil {
			r.Follows(files[len(files)-1], before)
		}
		text, err := r.Sign(s)
		require.NoError(t, err)
		files, before = append(files, text), r
	}
	all, err := Chain(files, v)
	require.NoError(t, err)
	require.Len(t, all, 3)
	_, err = Chain([][]byte{files[0], files[2]}, v)
	require.ErrorIs(t, err, ErrChain)
	_, err = Chain([][]byte{files[1], files[0]}, v)
	require.ErrorIs(t, err, ErrChain)
	rewritten := w.audit()
	rewritten.Ledger.Granted++
	text, err := rewritten.Sign(s)
	require.NoError(t, err)
	_, err = Chain([][]byte{text, files[1], files[2]}, v)
	require.ErrorIs(t, err, ErrChain, "history is not rewritten quietly, also not by who has the key")
}

func TestAKeyThatOthersMayReadIsRefused(t *testing.T) {
	private, public, err := Keygen("audit.test")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(private+"\n"), 0o600))
	s, v, err := Signer(file)
	require.NoError(t, err)
	signed, err := note.Sign(&note.Note{Text: "said\n"}, s)
	require.NoError(t, err)
	_, err = note.Open(signed, note.VerifierList(v))
	require.NoError(t, err)
	require.NoError(t, os.Chmod(file, 0o640))
	_, _, err = Signer(file)
	require.ErrorContains(t, err, "others may read it")
	require.NoError(t, os.WriteFile(file, []byte(public), 0o600))
	require.NoError(t, os.Chmod(file, 0o600))
	_, _, err = Signer(file)
	require.ErrorContains(t, err, "no private key")
	_, _, err = Keygen("two words")
	require.Error(t, err)
}

// The root that a report commits to does not depend on who reads the ledger, nor on what was granted after it.
func TestPathsLeadToTheRootThatALibraryComputes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 40), 1, 70).Draw(t, "leaves")
		leaves := make([]sum, len(data))
		for i := range data {
			leaves[i] = leafHash(data[i])
		}
		index := rapid.IntRange(0, len(data)-1).Draw(t, "index")
		var path [][]byte
		for _, h := range treePath(leaves, index) {
			path = append(path, h[:])
		}
		root := treeRoot(leaves)
		require.NoError(t, proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(len(data)),
			rfc6962.DefaultHasher.HashLeaf(data[index]), path, root[:]))
	})
}

// receipts are those of a signed report.
func (w *world) receipts(s note.Signer) *Receipts {
	w.Helper()
	r, _ := w.signed(s)
	var file bytes.Buffer
	require.NoError(w, r.WriteReceipts(&file, aTree))
	out, err := ReadReceipts(bytes.NewReader(file.Bytes()))
	require.NoError(w, err)
	_, err = ReadReceipts(bytes.NewReader(file.Bytes()[:file.Len()-1]))
	require.ErrorContains(w, err, "cut off")
	return out
}

func TestAReceiptLeadsToTheSignedRoot(t *testing.T) {
	w := granted(t)
	s, v := keys(t)
	all := w.receipts(s)
	w.publish(0, "900")
	w.grant(0, perChunk+2, perChunk+2, 900) // later than the report
	for _, user := range []grant.UserID{0, 1, 39, 1<<16 | 4, 5<<16 | 117} {
		r, err := all.Of(t.Context(), w.reader, w.campaign, user)
		require.NoError(t, err)
		require.NoError(t, r.Verify(v))
		text, err := json.Marshal(r)
		require.NoError(t, err)
		var read Receipt
		require.NoError(t, json.Unmarshal(text, &read))
		require.NoError(t, read.Verify(v))
		require.Equal(t, []Item{{"thank-you-permanent", "permanent"}}, read.Items)
		g, _, err := w.reader.Lookup(t.Context(), user)
		require.NoError(t, err)
		require.True(t, g.At.Equal(r.At))
		require.Equal(t, g.Run.String(), r.Run)
	}
	for _, user := range []grant.UserID{900, 41, 3 << 16, 99 << 16} {
		_, err := all.Of(t.Context(), w.reader, w.campaign, user)
		require.ErrorIs(t, err, ErrNotInReport, user)
	}
}

func TestAReceiptThatWasEditedOrIsOfAnotherUserIsRefused(t *testing.T) {
	w := granted(t)
	s, v := keys(t)
	all := w.receipts(s)
	mine, err := all.Of(t.Context(), w.reader, w.campaign, 7)
	require.NoError(t, err)
	other, err := all.Of(t.Context(), w.reader, w.campaign, 8)
	require.NoError(t, err)
	for name, edit := range map[string]func(*Receipt){
		"another user":  func(r *Receipt) { r.User = "8" },
		"another chunk": func(r *Receipt) { r.User = "65543" },
		"a later time":  func(r *Receipt) { r.At = r.At.Add(1e6) },
		"another run":   func(r *Receipt) { r.Run = "0000000000000001" },
		"no acts":       func(r *Receipt) { r.Acts = true },
		"by hand":       func(r *Receipt) { r.ByHand = true },
		"an item":       func(r *Receipt) { r.Items = append([]Item{}, Item{"more", "permanent"}) },
		"the spec":      func(r *Receipt) { r.Spec += " " },
		"the blind":     func(r *Receipt) { r.Blind = other.Blind },
		"the path":      func(r *Receipt) { r.Report.Path = r.Report.Path[1:] },
		"the campaign":  func(r *Receipt) { r.Campaign = "other" },
		"the head":      func(r *Receipt) { r.Head = strings.Replace(r.Head, "spec ", "spec 0", 1) },
		"the count":     func(r *Receipt) { r.Chunk.Users++ },
	} {
		r := *mine
		edit(&r)
		require.Error(t, r.Verify(v), name)
	}
	swapped := *mine
	swapped.User, swapped.Blind = other.User, other.Blind
	require.ErrorIs(t, swapped.Verify(v), ErrReceipt)
	require.NoError(t, mine.Verify(v))
}

// A receipt has no ID but its user's: neither of those in the group, nor the order in which they come.
func TestAReceiptNamesNobodyElse(t *testing.T) {
	w := granted(t)
	s, _ := keys(t)
	all := w.receipts(s)
	r, err := all.Of(t.Context(), w.reader, w.campaign, 1<<16|30)
	require.NoError(t, err)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	for i := range uint64(perChunk) {
		if i != 15 {
			require.NotContains(t, string(text), `"`+strconv.FormatUint(1<<16|i*2, 10)+`"`)
		}
	}
	require.EqualValues(t, perChunk, r.Chunk.Users, "how many they are is told")
}

func TestALedgerThatWasChangedMakesNoReceipt(t *testing.T) {
	w := granted(t)
	s, _ := keys(t)
	all := w.receipts(s)
	require.NoError(t, w.client.LTrim(t.Context(), w.key(0, "journal"), 0, 0).Err())
	_, err := all.Of(t.Context(), w.reader, w.campaign, 1)
	require.ErrorContains(t, err, "fewer entries")
	entry, err := w.client.LIndex(t.Context(), w.key(0, "journal"), 0).Result()
	require.NoError(t, err)
	require.NoError(t, w.client.RPush(t.Context(), w.key(0, "journal"), entry).Err())
	_, err = all.Of(t.Context(), w.reader, w.campaign, 1)
	require.ErrorContains(t, err, "not what it was")
}
