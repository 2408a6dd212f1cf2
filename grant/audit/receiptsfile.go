package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/granter/granter/grant"
)

// The file of receipts of one report has everything that receipts of its users are made from: neither the ledger nor the
// report is asked, and one receipt reads a few kilobytes of it. It says who has what, and its salt makes the hashes of a
// report guessable: it is as secret as an export of the ledger.
//
//	"granter receipts 4\n", salt 32, blocks, index, where the index begins 8, "granter index 2\n"
//	index   campaign, head, spec: each its length 4, then as many bytes; number of chunks 4; of each chunk, ascending:
//	        chunk 8, where its block is 8, its length 4, users 4, content 32, root of its users 32
//	block   of each of the 256 groups its root 32, its members 4
//	        how many members each group and all before it have, 4 each
//	        number of entries that grant 4, each: at 8, run 8, flush 8, kind 1
//	        members of all groups, each group's in the order of its tree: place in the chunk 2, entry twice and 1 more where
//	        there are acts about the user: 1, 2 or 4 bytes, whatever suffices for all entries of the chunk
//
// Integers are big-endian. Where IDs are not dense, the file begins with "granter receipts 5\n", chunks are buckets, a member's
// place is the member as a bucket has it, and in place of how many members the groups have it says how many bytes those take.
// Before (census.go), the files began with "granter receipts 2\n" and "granter receipts 3\n", and blocks with the roots alone.
const (
	receiptsMagic = "granter receipts 4\n"
	membersMagic  = "granter receipts 5\n"
	indexMagic    = "granter index 2\n"
	countsSize    = groups * 4
	entrySize     = 8 + 8 + 8 + 1
	chunkRow      = 8 + 8 + 4 + 4 + 32 + 32
)

// ReceiptsWriter writes the file of receipts while an audit reads the ledger. Its methods may be called at the same time.
type ReceiptsWriter struct {
	mu  sync.Mutex
	out io.Writer
	at  uint64
}

// NewReceiptsWriter begins the file of receipts of a campaign and a tree with users.
func NewReceiptsWriter(out io.Writer, c *grant.Campaign, salt [saltSize]byte) (*ReceiptsWriter, error) {
	w := &ReceiptsWriter{out: out}
	magic := receiptsMagic
	if c.Input.Opaque() {
		magic = membersMagic
	}
	_, err := w.write(append([]byte(magic), salt[:]...))
	return w, err
}

// write appends, and returns where.
func (w *ReceiptsWriter) write(b []byte) (at uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at = w.at
	n, err := w.out.Write(b)
	w.at += uint64(n)
	return at, err
}

// keep writes a chunk's block, if somebody asks for receipts. Nil is a chunk without a leaf.
func (l *chunkLeaf) keep(t *Tree) (err error) {
	if l == nil || l.block == nil {
		return nil
	}
	size := len(l.block)
	l.at, err = t.Receipts.write(l.block)
	l.block = nil
	if l.size = uint32(size); err != nil {
		err = fmt.Errorf("writing the file of receipts: %w", err)
	}
	return err
}

// Finish completes the file of a report that was signed, and that granted by a spec.
func (w *ReceiptsWriter) Finish(r *Report, spec *grant.Campaign) error {
	if r.Tree == nil || !r.Tree.Users || r.Tree.Head == "" {
		return errors.New("the report commits to no users, or is not signed")
	}
	be := binary.BigEndian
	var b []byte
	for _, text := range []string{r.Campaign, r.Tree.Head, string(spec.Canonical)} {
		b = append(be.AppendUint32(b, uint32(len(text))), text...)
	}
	b = be.AppendUint32(b, uint32(len(r.leaves)))
	for _, l := range r.leaves {
		b = be.AppendUint64(b, l.chunk)
		b = be.AppendUint64(b, l.at)
		b = be.AppendUint32(b, l.size)
		b = be.AppendUint32(b, l.users)
		b = append(b, l.content[:]...)
		b = append(b, l.usersRoot[:]...)
	}
	b = be.AppendUint64(b, w.at)
	_, err := w.write(append(b, indexMagic...))
	return err
}

// width is how many bytes a member says its entry with.
func width(entries int) int {
	switch {
	case entries <= 1<<7:
		return 1
	case entries <= 1<<15:
		return 2
	}
	return 4
}

// beginnings are what files of receipts begin with.
var beginnings = map[string]struct {
	form   treeForm
	bucket bool
}{
	receiptsMagic: {ofSizes, false}, membersMagic: {ofSizes, true},
	"granter receipts 2\n": {ofRoots, false}, "granter receipts 3\n": {ofRoots, true},
}

// groupsSize is how many bytes the groups at the beginning of a block take.
func groupsSize(form treeForm) int {
	var g group
	return groups * len(g.data(form))
}

func encodeBlock(bucket bool, over *[groups]group, entries []statement, members *[groups][]member) []byte {
	be, wide := binary.BigEndian, width(len(entries))
	var ends [groups]uint32
	n, size := uint32(0), 0
	for i := range members {
		for k := range members[i] {
			m := &members[i][k]
			if size += 2 + wide; m.id != nil {
				size += len(m.id) - 2
			}
		}
		if n += uint32(len(members[i])); bucket {
			n = uint32(size)
		}
		ends[i] = n
	}
	b := make([]byte, 0, groupsSize(ofSizes)+countsSize+4+entrySize*len(entries)+size)
	for i := range over {
		b = append(b, over[i].data(ofSizes)...)
	}
	for _, end := range &ends {
		b = be.AppendUint32(b, end)
	}
	b = be.AppendUint32(b, uint32(len(entries)))
	for _, e := range entries {
		b = be.AppendUint64(be.AppendUint64(be.AppendUint64(b, e.at), e.run), e.flush)
		b = append(b, byte(e.kind))
	}
	for i := range members {
		for k := range members[i] {
			m := &members[i][k]
			if b = append(b, m.id...); !bucket {
				b = be.AppendUint16(b, m.low)
			}
			b = m.append(b, wide)
		}
	}
	return b
}

var errReceiptsDamaged = errors.New(
	"the file of receipts is cut off or damaged: restore it, or make another by granter audit --receipts")

// parseIndex reads the index of a file.
func (r *Receipts) parseIndex(b []byte) (spec []byte, err error) {
	f := fields{rest: b}
	r.Campaign, r.Head = string(f.take(int(f.number(4)))), string(f.take(int(f.number(4))))
	spec = bytes.Clone(f.take(int(f.number(4))))
	n := int(f.number(4))
	if f.short || len(f.rest) != n*chunkRow {
		return nil, errReceiptsDamaged
	}
	r.chunks, r.leaves = make([]chunkLeaf, n), make([]sum, n)
	for i := range r.chunks {
		l := &r.chunks[i]
		l.form, l.bucket = r.form, r.bucket
		l.chunk, l.at, l.size, l.users = f.number(8), f.number(8), uint32(f.number(4)), uint32(f.number(4))
		copy(l.content[:], f.take(len(l.content)))
		copy(l.usersRoot[:], f.take(len(l.usersRoot)))
		r.leaves[i] = l.hash()
	}
	return spec, nil
}

type fields struct {
	rest  []byte
	short bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.short = true
		return nil
	}
	out := f.rest[:n]
	f.rest = f.rest[n:]
	return out
}

func (f *fields) number(size int) (n uint64) {
	for _, b := range f.take(size) {
		n = n<<8 | uint64(b)
	}
	return n
}
