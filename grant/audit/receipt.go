package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
)

// Receipt shows that one user was granted, and leads from that to the signed root of a report. It can be checked without any
// server: by granter receipt verify, and by docs/verify_receipt.py. Nothing in it is about another user but how many they are.
type Receipt struct {
	Format   int       `json:"format"` // formatDense or formatMembers, or what they were before
	Campaign string    `json:"campaign"`
	User     string    `json:"user"`
	At       time.Time `json:"granted_at"`
	Run      string    `json:"run"`
	Flush    string    `json:"flush"`
	ByHand   bool      `json:"by_hand"`
	Acts     bool      `json:"acts"` // something was done about the user after the grant: a revocation, an extension, a note
	Spec     string    `json:"spec"` // what the campaign grants: the canonical spec, whose hash the root is signed with
	Items    []Item    `json:"items"`
	Blind    string    `json:"blind"`
	Group    Step      `json:"group"`  // from the user to the root of the group
	Chunk    ChunkStep `json:"chunk"`  // from there to that of the chunk's users
	Report   Step      `json:"report"` // from the chunk to the root of the report
	Head     string    `json:"head"`   // which is signed
}

// Item is one thing that the user was granted.
type Item struct {
	ID    string `json:"id"`
	Until string `json:"until"` // a time, "permanent", or what decides: "from when it is taken"
}

// Step is a path in one tree.
type Step struct {
	Index int      `json:"index"`
	Size  int      `json:"size"`
	Path  []string `json:"path"`
}

// ChunkStep is the step of a chunk, with what its leaf says besides.
type ChunkStep struct {
	Step

	Chunk   string `json:"chunk"`
	Users   uint32 `json:"users"`
	Content string `json:"content"`
}

// Formats of receipts. In those of before (1, and 2 where IDs are not dense), how many users the group has was not signed.
const (
	formatDense   = 3
	formatMembers = 4
)

// kindOf is what the format of a receipt says; false: this granter does not know it.
func (r *Receipt) kindOf() (form treeForm, members, known bool) {
	switch r.Format {
	case 1, 2:
		return ofRoots, r.Format == 2, true
	case formatDense, formatMembers:
		return ofSizes, r.Format == formatMembers, true
	}
	return 0, false, false
}

func (r *Receipt) unknown() error {
	return fmt.Errorf("the receipt has format %d, and this granter knows 1 to %d: use a newer one", r.Format, formatMembers)
}

func newReceipt(c *grant.Campaign, head string, s statement, blind [blindSize]byte, form treeForm) *Receipt {
	at := time.UnixMilli(int64(s.at)).UTC()
	format, user := formatDense, strconv.FormatUint(s.user, 10)
	if s.text != "" {
		format, user = formatMembers, s.text
	}
	if form == ofRoots {
		format -= formatDense - 1
	}
	return &Receipt{
		Format: format, Campaign: c.Name, User: user, At: at, Run: grant.RunID(s.run).String(),
		Flush: strconv.FormatUint(s.flush, 10), ByHand: s.kind == kindHand, Acts: s.acted, Spec: string(c.Canonical),
		Items: itemsOf(c, at), Blind: hex.EncodeToString(blind[:]), Head: head,
	}
}

// itemsOf says what somebody who was granted at a moment has by the spec alone.
func itemsOf(c *grant.Campaign, at time.Time) []Item {
	out := make([]Item, 0, len(c.Items))
	for _, e := range c.Entitlements(&grant.Holding{GrantedAt: at}, at) {
		i := Item{ID: e.ID, Until: "permanent"}
		switch {
		case e.Offered():
			i.Until = "from when it is taken"
		case !e.ExpiresAt.IsZero():
			i.Until = e.ExpiresAt.UTC().Format(time.RFC3339)
		}
		out = append(out, i)
	}
	return out
}

// Errors of a receipt.
var (
	ErrReceipt = errors.New("the receipt does not lead to the signed root: it was edited, or is of another user")
	ErrSpec    = errors.New("the spec in the receipt is not the one that the root was signed with")
)

// About is what the signed root says of the report that a receipt is of.
type About struct {
	At      string  `json:"at"`
	Verdict Verdict `json:"verdict"`
}

// headSays is what the text of a head says.
type headSays struct {
	campaign, size, at, spec, verdict string
	root                              []byte
}

// readHead reads what Report.head writes, without the signature.
func readHead(text string) (h headSays, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 6 {
		return h, errors.New("the head of a tree has six lines")
	}
	h.size = lines[1]
	h.root, err = base64.StdEncoding.DecodeString(lines[2])
	for i, line := range map[int]struct {
		prefix string
		into   *string
	}{0: {origin, &h.campaign}, 3: {"at ", &h.at}, 4: {"spec ", &h.spec}, 5: {"verdict ", &h.verdict}} {
		value, is := strings.CutPrefix(lines[i], line.prefix)
		if *line.into = value; !is {
			err = fmt.Errorf("line %d of the head of a tree: want %q in front", i+1, line.prefix)
		}
	}
	return h, err
}

// Verify checks the receipt against a public key, offline.
func (r *Receipt) Verify(v note.Verifier) (about About, err error) {
	if _, _, known := r.kindOf(); !known {
		return about, r.unknown()
	}
	head, err := note.Open([]byte(r.Head), note.VerifierList(v))
	if err != nil {
		return about, fmt.Errorf("%w (%w)", ErrSignature, err)
	}
	said, err := readHead(head.Text)
	switch hash := sha256.Sum256([]byte(r.Spec)); {
	case err != nil || said.campaign != r.Campaign:
		return about, fmt.Errorf("%w: the root is of another campaign", ErrReceipt)
	case said.size != strconv.Itoa(r.Report.Size):
		return about, fmt.Errorf("%w: the root is of %s chunks", ErrReceipt, said.size)
	case said.spec != hex.EncodeToString(hash[:]):
		return about, ErrSpec
	}
	c, err := campaign.Parse("the receipt", []byte(r.Spec))
	if err != nil {
		return about, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if err := r.climb(layoutOf(c), said.root); err != nil {
		return about, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	about.At, about.Verdict = said.at, Verdict(said.verdict)
	if want := itemsOf(c, r.At); fmt.Sprint(want) != fmt.Sprint(r.Items) || c.Name != r.Campaign {
		return about, fmt.Errorf("%w: by the spec and the time of the grant the items are %v", ErrReceipt, want)
	}
	return about, nil
}

// climb goes from the user to the root. The layout is that of the campaign's users; nil: their IDs are dense.
func (r *Receipt) climb(l *layout, want []byte) error {
	form, members, _ := r.kindOf()
	if members != (l != nil) {
		return fmt.Errorf("by the spec a receipt of format %d is one of other IDs", r.Format)
	}
	said, number, err := r.statement(l)
	blind, err2 := hex.DecodeString(r.Blind)
	content, err3 := hex.DecodeString(r.Chunk.Content)
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	if len(blind) != blindSize || len(content) != len(sum{}) || int(blind[0]) != r.Chunk.Index || r.Chunk.Size != groups {
		return errors.New("the blind is not that of the group")
	}
	if chunk := strconv.FormatUint(number, 10); chunk != r.Chunk.Chunk {
		return fmt.Errorf("the user belongs into chunk or bucket %s", chunk)
	}
	if r.Group.Size < 1 || r.Group.Size > math.MaxUint32 {
		return errors.New("no group has so many users")
	}
	root, err := r.Group.root(said.data(nil, [blindSize]byte(blind)))
	if err != nil {
		return err
	}
	of := group{sum(root), uint32(r.Group.Size)}
	users, err := r.Chunk.root(of.data(form))
	if err != nil {
		return err
	}
	got, err := r.Report.root(chunkData(form, l != nil, number, r.Chunk.Users, sum(content), sum(users)))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("its root is another one")
	}
	return nil
}

// statement returns what the receipt says of its user, and in which chunk, or bucket, the user is.
func (r *Receipt) statement(l *layout) (s statement, number uint64, err error) {
	if s, err = r.said(); err != nil {
		return s, 0, err
	}
	if l == nil {
		s.user, err = strconv.ParseUint(r.User, 10, 64)
		return s, s.user >> chunkBits, err
	}
	s.text = r.User
	member, fault := l.form.Member(nil, []byte(s.text))
	if fault != "" || l.form.ID(member).String() != s.text {
		return s, 0, fmt.Errorf("%q is not how an ID of the campaign is written", s.text)
	}
	return s, l.bucket(hashOf(member)), nil
}

// said is the statement without its user.
func (r *Receipt) said() (s statement, err error) {
	run, err := grant.ParseRunID(r.Run)
	flush, err2 := strconv.ParseUint(r.Flush, 10, 64)
	s = statement{at: uint64(r.At.UnixMilli()), run: uint64(run), flush: flush, kind: kindGrant, acted: r.Acts}
	if r.ByHand {
		s.kind = kindHand
	}
	return s, errors.Join(err, err2)
}

// root computes the root that a leaf and its path lead to, by a library that shares no code with what made them.
func (s *Step) root(leaf []byte) ([]byte, error) {
	path := make([][]byte, len(s.Path))
	for i, text := range s.Path {
		var err error
		if path[i], err = hex.DecodeString(text); err != nil {
			return nil, err
		}
	}
	hasher := rfc6962.DefaultHasher
	return proof.RootFromInclusionProof(hasher, uint64(s.Index), uint64(s.Size), hasher.HashLeaf(leaf), path)
}
