package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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

func TestASignedReportIsReadAndAnEditedOneIsNot(t *testing.T) { editedReports(granted(t)) }

func editedReports(w *world) {
	w.Helper()
	t := w.T
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
	require.NoError(t, os.Chmod(file, 0o440)) // a secret in a pod
	_, _, err = Signer(file)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(file, 0o644))
	_, _, err = Signer(file)
	require.ErrorContains(t, err, "others may use it")
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

// receipts are those of a signed report, and the file that they are made from.
func (w *world) receipts(s note.Signer) (*Receipts, []byte) {
	w.Helper()
	var file bytes.Buffer
	tree := *aTree
	var err error
	tree.Receipts, err = NewReceiptsWriter(&file, w.campaign, tree.Salt)
	require.NoError(w, err)
	r := w.audit(func(c *Config) { c.Tree = &tree })
	_, err = r.Sign(s)
	require.NoError(w, err)
	require.NoError(w, tree.Receipts.Finish(r, w.campaign))
	out, err := readReceipts(bytes.NewReader(file.Bytes()), int64(file.Len()))
	require.NoError(w, err)
	return out, file.Bytes()
}

func TestAReceiptLeadsToTheSignedRoot(t *testing.T) {
	w := granted(t)
	s, v := keys(t)
	all, _ := w.receipts(s)
	w.publish(0, "900")
	w.grant(0, perChunk+2, perChunk+2, 900) // later than the report
	for _, user := range grant.NumberIDs(0, 1, 39, 1<<16|4, 5<<16|117) {
		r, err := all.Of(user)
		require.NoError(t, err)
		about, err := r.Verify(v)
		require.NoError(t, err)
		require.Equal(t, Proven, about.Verdict)
		text, err := json.Marshal(r)
		require.NoError(t, err)
		var read Receipt
		require.NoError(t, json.Unmarshal(text, &read))
		_, err = read.Verify(v)
		require.NoError(t, err)
		require.Equal(t, []Item{{"thank-you-permanent", "permanent"}}, read.Items)
		g, _, err := w.reader.Lookup(t.Context(), user)
		require.NoError(t, err)
		require.True(t, g.At.Equal(r.At))
		require.Equal(t, g.Run.String(), r.Run)
	}
	for _, user := range grant.NumberIDs(900, 41, 3<<16, 99<<16) {
		_, err := all.Of(user)
		require.ErrorIs(t, err, ErrNotInReport, user)
	}
}

func TestAReceiptThatWasEditedOrIsOfAnotherUserIsRefused(t *testing.T) { editedReceipts(granted(t)) }

func editedReceipts(w *world) {
	w.Helper()
	t := w.T
	s, v := keys(t)
	all, _ := w.receipts(s)
	mine, err := all.Of(grant.NumberID(7))
	require.NoError(t, err)
	other, err := all.Of(grant.NumberID(8))
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
		_, err := r.Verify(v)
		require.Error(t, err, name)
	}
	swapped := *mine
	swapped.User, swapped.Blind = other.User, other.Blind
	_, err = swapped.Verify(v)
	require.ErrorIs(t, err, ErrReceipt)
	_, err = mine.Verify(v)
	require.NoError(t, err)
}

// A receipt has no ID but its user's: neither of those in the group, nor the order in which they come.
func TestAReceiptNamesNobodyElse(t *testing.T) {
	w := granted(t)
	s, _ := keys(t)
	all, _ := w.receipts(s)
	r, err := all.Of(grant.NumberID(1<<16 | 30))
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

// A receipt is of its report: it is made without the ledger, however that goes on, after a trickle as after a bulk.
func TestReceiptsNeedNoLedger(t *testing.T) {
	w := granted(t)
	s, v := keys(t)
	for i := range uint64(300) { // a trickle: more entries than a byte can tell apart
		w.grant(0, 3, 3, 7<<16|i)
	}
	w.does(grant.NumberID(7<<16|200), grant.Act{Kind: grant.ActNote})
	all, _ := w.receipts(s)
	was, _, err := w.reader.Lookup(t.Context(), grant.NumberID(7<<16|299))
	require.NoError(t, err)
	require.NoError(t, w.client.FlushAll(t.Context()).Err())
	for _, user := range grant.NumberIDs(7<<16|299, 7<<16|200, 3) {
		r, err := all.Of(user)
		require.NoError(t, err)
		_, err = r.Verify(v)
		require.NoError(t, err)
		require.Equal(t, user == grant.NumberID(7<<16|200), r.Acts)
		if user == was.User {
			require.True(t, was.At.Equal(r.At))
		}
	}
}

// Whatever happened to the file, nobody is given a receipt that cannot be verified.
func TestADamagedFileMakesNoReceipt(t *testing.T) {
	w := granted(t)
	s, v := keys(t)
	_, file := w.receipts(s)
	brokenFiles(t, file, v, grant.NumberID(7))
}

func brokenFiles(t *testing.T, file []byte, v note.Verifier, user grant.UserID) {
	t.Helper()
	for n := 0; n < len(file); n += max(97, len(file)/100) {
		_, err := readReceipts(bytes.NewReader(file[:n]), int64(n))
		require.Error(t, err, n)
	}
	refused := 0
	for i := 0; i < len(file); i += max(31, len(file)/100) {
		damaged := bytes.Clone(file)
		damaged[i] ^= 0x40
		all, err := readReceipts(bytes.NewReader(damaged), int64(len(damaged)))
		if err != nil {
			refused++
			continue
		}
		r, err := all.Of(user)
		if err != nil {
			refused++
			continue
		}
		if _, err = r.Verify(v); err != nil { // the text of the head is compared with the tree; its signature by who verifies
			require.ErrorIs(t, err, ErrSignature, "byte %d", i)
		}
	}
	require.Positive(t, refused)
}

// A directory has reports of several campaigns, whose names may begin alike.
func TestTheNewestFileOfACampaignIsFound(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2023, 1, 5, 0, 0, 0, 0, time.UTC)
	for campaign, at := range map[string]time.Time{"sorry": at, "sorry-2022": at.Add(time.Hour), "sorry-2022-20230105": at} {
		for _, at := range []time.Time{at, at.Add(time.Minute)} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, FileName(campaign, at)+".receipts"), nil, 0o600))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.report.receipts"), nil, 0o600))
	names, err := Campaigns(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"sorry", "sorry-2022", "sorry-2022-20230105"}, names)
	newest, err := Newest(dir, "sorry", ReceiptsSuffix)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "sorry-20230105T000100.000Z.report.receipts"), newest)
	none, err := Newest(filepath.Join(dir, "none"), "sorry", ReceiptsSuffix)
	require.NoError(t, err)
	require.Empty(t, none)
}
