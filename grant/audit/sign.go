package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A signed report is a note (C2SP signed-note): the report as JSON, an empty line, and a line with an Ed25519 signature of all
// before that. So every byte of it counts. The root of its tree is signed once more by itself, as a checkpoint of a transparency
// log (C2SP tlog-checkpoint), so that a receipt need not hold the whole report.

// Keygen makes a pair of keys under a name: the private one, which is a secret, and the public one.
func Keygen(name string) (private, public string, err error) {
	if name == "" || strings.ContainsAny(name, "+ \t\n") ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", "", fmt.Errorf("key name %q: want ASCII without blanks or +, such as audit.example.com", name)
	}
	return note.GenerateKey(rand.Reader, name)
}

// Signer reads a private key file, and what verifies what it signs. Its group may read it, because that is how Kubernetes gives a
// pod a secret; nobody else may, and the group may not write.
func Signer(file string) (note.Signer, note.Verifier, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, nil, err
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return nil, nil, fmt.Errorf("%s: others may use it (%04o), and it signs reports: "+
			"chmod 600 it, or make another by granter audit keygen", file, mode)
	}
	content, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, nil, err
	}
	text := strings.TrimSpace(string(content))
	s, err := note.NewSigner(text)
	var v note.Verifier
	if err == nil {
		v, err = publicOf(s.Name(), text)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: no private key as granter audit keygen writes it: %w", file, err)
	}
	return s, v, nil
}

// publicOf returns what verifies what a private key signs.
func publicOf(name, private string) (note.Verifier, error) {
	fields := strings.SplitN(private, "+", 5) // PRIVATE, KEY, name, hash, and base64, which may have a + of its own
	seed, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, fmt.Errorf("it holds no seed of %d bytes (%w)", ed25519.SeedSize, err)
	}
	public := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	text, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// Verifier reads a public key file.
func Verifier(file string) (note.Verifier, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: no public key as granter audit keygen writes it: %w", file, err)
	}
	return v, nil
}

const origin = "granter.audit/"

// head is the text of the checkpoint of the report's tree.
func (r *Report) head() string {
	return fmt.Sprintf("%s%s\n%d\n%s\nat %s\nspec %s\nverdict %s\n", origin, r.Campaign, r.Tree.Size, r.Tree.Root,
		r.At.Format(time.RFC3339Nano), r.Spec, r.Verdict)
}

// Sign signs the report, and fills in the head of its tree.
func (r *Report) Sign(s note.Signer) ([]byte, error) {
	if r.Tree != nil {
		head, err := note.Sign(&note.Note{Text: r.head()}, s)
		if err != nil {
			return nil, err
		}
		r.Tree.Head = string(head)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: string(text) + "\n"}, s)
}

// Errors of whoever verifies.
var (
	ErrSignature = errors.New("the signature is not that of this text by this key: it was edited, or another key signed it")
	ErrChain     = errors.New("it does not continue the report before it")
)

// Text verifies whatever was signed, and returns its text.
func Text(signed []byte, v note.Verifier) (string, error) {
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return "", fmt.Errorf("%w (%w)", ErrSignature, err)
	}
	for _, sig := range n.Sigs { // the last character has bits that say nothing: only one form of a report has its name
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return "", fmt.Errorf("%w (%w)", ErrSignature, err)
		}
	}
	return n.Text, nil
}

// Open verifies a signed report, and reads it.
func Open(signed []byte, v note.Verifier) (*Report, error) {
	text, err := Text(signed, v)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, fmt.Errorf("the report is signed, and is none that this granter reads: %w", err)
	}
	if r.Format != 1 {
		return nil, fmt.Errorf("the report has format %d, and this granter knows 1: use a newer one", r.Format)
	}
	if r.Tree == nil {
		return &r, nil
	}
	head, err := note.Open([]byte(r.Tree.Head), note.VerifierList(v))
	if err != nil || head.Text != r.head() {
		return nil, fmt.Errorf("%w: the head of the tree is not that of the report", ErrSignature)
	}
	return &r, nil
}

// Name is what a later report names a signed one by.
func Name(signed []byte) string {
	h := sha256.Sum256(signed)
	return hex.EncodeToString(h[:])
}

// Follows makes r the report after another one.
func (r *Report) Follows(signed []byte, before *Report) {
	r.Previous = &Link{SHA256: Name(signed), At: before.At}
}

// Remarks say what a chain that is in order leaves open: what was before it, and where clocks were set back.
func Remarks(reports []*Report) (out []string) {
	if len(reports) == 0 {
		return nil
	}
	if p := reports[0].Previous; p != nil {
		out = append(out, fmt.Sprintf(
			"the first of them, of %s, continues another one, of %s (SHA-256 %s), which is not among them",
			reports[0].At.Format(time.RFC3339), p.At.Format(time.RFC3339), p.SHA256))
	}
	for i := 1; i < len(reports); i++ {
		if now, was := reports[i].At, reports[i-1].At; !now.After(was) {
			out = append(out, fmt.Sprintf("report %d is of %s, and the one before it of %s: a clock was set back", i+1,
				now.Format(time.RFC3339Nano), was.Format(time.RFC3339Nano)))
		}
	}
	return out
}

// Chain verifies signed reports, oldest first, each of which must name the one before: one that is left out, exchanged or put
// elsewhere is noticed by that. The first may have been preceded by others.
func Chain(signed [][]byte, v note.Verifier) ([]*Report, error) {
	out := make([]*Report, 0, len(signed))
	var before *Report
	name := "" // of the one before
	for i, text := range signed {
		r, err := Open(text, v)
		switch {
		case err != nil:
			return nil, fmt.Errorf("report %d: %w", i+1, err)
		case before == nil:
		case r.Campaign != before.Campaign:
			return nil, fmt.Errorf(
				"report %d: %w: it is of %s, and the one before of %s",
				i+1,
				ErrChain,
				r.Campaign,
				before.Campaign,
			)
		case r.Previous == nil || r.Previous.SHA256 != name:
			return nil, fmt.Errorf("report %d, of %s: %w, of %s: one between them is missing, or one was exchanged", i+1,
				r.At.Format(time.RFC3339), ErrChain, before.At.Format(time.RFC3339))
		}
		out, before, name = append(out, r), r, Name(text)
	}
	return out, nil
}
