package audit

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/userid"
)

// Receipts makes receipts of the users of one report. It is safe for concurrent use.
type Receipts struct {
	Campaign string
	Head     string // the signed root

	file   io.ReaderAt
	closer io.Closer
	spec   *grant.Campaign
	salted *salted
	form   treeForm
	bucket bool    // the file is one of buckets
	layout *layout // of its users; nil: their IDs are dense
	root   []byte
	chunks []chunkLeaf
	leaves []sum
}

// OpenReceipts opens the file of receipts of a report. The caller closes it.
func OpenReceipts(name string) (*Receipts, error) {
	file, err := os.Open(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	r, err := readReceipts(file, info.Size())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	r.closer = file
	return r, nil
}

// Close closes the file.
func (r *Receipts) Close() error { return r.closer.Close() }

func readReceipts(file io.ReaderAt, size int64) (*Receipts, error) {
	const head, foot = len(receiptsMagic) + saltSize, 8 + len(indexMagic)
	begin, end := make([]byte, head), make([]byte, foot)
	if size < int64(head+foot) {
		return nil, errReceiptsDamaged
	}
	_, err := file.ReadAt(begin, 0)
	_, err2 := file.ReadAt(end, size-int64(foot))
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	at := binary.BigEndian.Uint64(end)
	of, known := beginnings[string(begin[:len(receiptsMagic)])]
	switch {
	case !known:
		return nil, errors.New("no file of receipts that this granter reads: granter audit --receipts writes one")
	case string(end[8:]) != indexMagic || at > uint64(size)-uint64(foot) || at < uint64(head):
		return nil, errReceiptsDamaged
	}
	index := make([]byte, size-int64(foot)-int64(at))
	if _, err := file.ReadAt(index, int64(at)); err != nil {
		return nil, err
	}
	r := &Receipts{file: file, salted: newSalted([saltSize]byte(begin[len(receiptsMagic):])), form: of.form, bucket: of.bucket}
	spec, err := r.parseIndex(index)
	if err != nil {
		return nil, err
	}
	if r.spec, err = campaign.Parse("the file of receipts", spec); err != nil {
		return nil, fmt.Errorf("%w: %w", errReceiptsDamaged, err)
	}
	if r.layout = layoutOf(r.spec); r.bucket != (r.layout != nil) {
		return nil, errReceiptsDamaged
	}
	said, err := readHead(r.Head)
	if root := treeRoot(r.leaves); err != nil || !bytes.Equal(said.root, root[:]) || said.spec != r.spec.Hash ||
		said.campaign != r.Campaign {
		return nil, errReceiptsDamaged
	}
	r.root = said.root
	return r, nil
}

// ErrNotInReport means that a user was not granted when the report was made.
var ErrNotInReport = errors.New("the user was not granted when the report was made")

// User reads the ID of a user as the campaign of the report does.
func (r *Receipts) User(text string) (grant.UserID, error) {
	if r.layout == nil {
		return userid.Parse(text, grant.MaxUserID)
	}
	return r.layout.form.Parse(text)
}

// whose returns which chunk, or bucket, a user is in, and what a statement about the user begins with. There is none about an ID
// that is not of the campaign's form.
func (r *Receipts) whose(user grant.UserID) (chunk uint64, said statement, of bool) {
	if r.layout == nil {
		return user.Number() >> chunkBits, statement{user: user.Number()}, true
	}
	member, fault := r.layout.form.Member(nil, []byte(user.String()))
	if fault != "" {
		return 0, said, false
	}
	return r.layout.bucket(hashOf(member)), statement{text: r.layout.form.ID(member).String()}, true
}

// Of makes the receipt of a user.
func (r *Receipts) Of(user grant.UserID) (*Receipt, error) {
	chunk, whose, of := r.whose(user)
	at, found := slices.BinarySearchFunc(r.chunks, chunk, func(l chunkLeaf, chunk uint64) int {
		return cmp.Compare(l.chunk, chunk)
	})
	if !found || !of {
		return nil, ErrNotInReport
	}
	leaf := &r.chunks[at]
	blind := r.salted.of(&whose)
	b := block{r: r, leaf: leaf}
	members, over := b.group(blind[0]), &b.groups
	if b.err != nil {
		return nil, b.err
	}
	hashes := make([]sum, len(members))
	var mine *statement
	index := -1
	for i := range members {
		said := b.statement(&members[i])
		hashes[i] = leafHash(said.data(nil, r.salted.of(&said)))
		if said.text == whose.text && said.user == whose.user {
			index, mine = i, &said
		}
	}
	switch {
	case b.err != nil:
		return nil, b.err
	case mine == nil:
		return nil, ErrNotInReport
	}
	out := newReceipt(r.spec, r.Head, *mine, blind, r.form)
	out.Group = Step{Index: index, Size: len(members), Path: texts(treePath(hashes, index))}
	out.Chunk = ChunkStep{
		Step:  Step{Index: int(blind[0]), Size: groups, Path: texts(treePath(overGroups(over, r.form), int(blind[0])))},
		Chunk: fmt.Sprint(chunk), Users: leaf.users, Content: hex.EncodeToString(leaf.content[:]),
	}
	out.Report = Step{Index: at, Size: len(r.leaves), Path: texts(treePath(r.leaves, at))}
	if err := out.climb(r.layout, r.root); err != nil { // no receipt is handed out that nobody could verify
		return nil, fmt.Errorf("%w: %w", errReceiptsDamaged, err)
	}
	return out, nil
}

// block reads from the block of one chunk. After its first error it reads nothing.
type block struct {
	r       *Receipts
	leaf    *chunkLeaf
	groups  [groups]group
	entries map[uint32]statement
	count   int // of entries
	err     error
}

func (b *block) read(at, size int) []byte {
	out := make([]byte, size)
	if b.err != nil {
		return out
	}
	if at < 0 || size < 0 || at+size > int(b.leaf.size) {
		b.err = errReceiptsDamaged
		return out
	}
	_, b.err = b.r.file.ReadAt(out, int64(b.leaf.at)+int64(at))
	return out
}

// group reads the members of a group, and the roots of all.
func (b *block) group(number byte) []member {
	be := binary.BigEndian
	head := b.read(0, groupsSize(b.r.form)+countsSize+4)
	counts := head[groupsSize(b.r.form):]
	for i := range b.groups {
		g := &b.groups[i]
		row := head[i*len(g.data(b.r.form)):]
		if copy(g.root[:], row); b.r.form == ofSizes {
			g.size = be.Uint32(row[len(g.root):])
		}
	}
	b.count = int(be.Uint32(counts[countsSize:]))
	b.entries = map[uint32]statement{}
	from, until := 0, int(be.Uint32(counts[4*int(number):]))
	if number > 0 {
		from = int(be.Uint32(counts[4*(int(number)-1):]))
	}
	if until < from || b.count > int(b.leaf.size)/entrySize || b.r.layout == nil && until > 1<<chunkBits {
		b.err = cmp.Or(b.err, errReceiptsDamaged)
		return nil
	}
	wide, begins := width(b.count), len(head)+b.count*entrySize
	if b.r.layout != nil {
		return b.memberRows(b.read(begins+from, until-from), wide)
	}
	rows := b.read(begins+from*(2+wide), (until-from)*(2+wide))
	out := make([]member, 0, until-from)
	for ; len(rows) > 0; rows = rows[2+wide:] {
		m := member{low: be.Uint16(rows)}
		m.read(rows[2 : 2+wide])
		out = append(out, m)
	}
	return out
}

// statement is what the report says of a member.
func (b *block) statement(m *member) statement {
	s, known := b.entries[m.entry]
	if !known {
		row := b.read(groupsSize(b.r.form)+countsSize+4+int(m.entry)*entrySize, entrySize)
		be := binary.BigEndian
		s = statement{at: be.Uint64(row), run: be.Uint64(row[8:]), flush: be.Uint64(row[16:]), kind: kind(row[24])}
		b.entries[m.entry] = s
	}
	if s.acted = m.acted; m.id != nil {
		s.text = b.r.layout.user(m.id).String()
	} else {
		s.user = b.leaf.chunk<<chunkBits | uint64(m.low)
	}
	return s
}

func texts(list []sum) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = hex.EncodeToString(list[i][:])
	}
	return out
}
