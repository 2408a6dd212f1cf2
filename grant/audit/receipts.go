package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/granter/granter/grant"
)

// Receipts is what makes receipts of the users of one report, together with the ledger. It is as secret as the ledger: with its
// salt, and a receipt, one could find out by trying who else is in a group.
//
//	"granter receipts 1\n"
//	salt 32 | campaign, head: each its length 4, then as many bytes | number of chunks 4
//	for each chunk: chunk 8 | entries 8 | users 4 | content 32 | the roots of its 256 groups, 32 each
//
// Integers are big-endian.
type Receipts struct {
	Campaign string
	Head     string // the signed root
	salted   *salted
	chunks   []*chunkLeaf
	leaves   []sum
}

const receiptsMagic = "granter receipts 1\n"

// WriteReceipts writes the file of receipts of a report that was signed and commits to users.
func (r *Report) WriteReceipts(w io.Writer, t *Tree) error {
	if r.Tree == nil || !r.Tree.Users || r.Tree.Head == "" {
		return errors.New("the report commits to no users, or is not signed")
	}
	out := bufio.NewWriter(w)
	be := binary.BigEndian
	out.WriteString(receiptsMagic) //nolint:errcheck // Flush tells
	out.Write(t.Salt[:])           //nolint:errcheck // the same
	for _, text := range []string{r.Campaign, r.Tree.Head} {
		out.Write(be.AppendUint32(nil, uint32(len(text)))) //nolint:errcheck // the same
		out.WriteString(text)                              //nolint:errcheck // the same
	}
	out.Write(be.AppendUint32(nil, uint32(len(r.leaves)))) //nolint:errcheck // the same
	for _, l := range r.leaves {
		b := be.AppendUint64(nil, l.chunk)
		b = be.AppendUint64(b, l.entries)
		b = be.AppendUint32(b, l.users)
		b = append(b, l.content[:]...)
		out.Write(b) //nolint:errcheck // the same
		for i := range l.groups {
			out.Write(l.groups[i][:]) //nolint:errcheck // the same
		}
	}
	return out.Flush()
}

// ReadReceipts reads what WriteReceipts wrote.
func ReadReceipts(r io.Reader) (*Receipts, error) {
	all, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(all, []byte(receiptsMagic))
	if !ok {
		return nil, errors.New("no file of receipts: granter audit --receipts writes one")
	}
	f := fields{rest: rest}
	out := &Receipts{}
	var salt [saltSize]byte
	copy(salt[:], f.take(saltSize))
	out.salted = newSalted(salt)
	out.Campaign, out.Head = string(f.take(int(f.number(4)))), string(f.take(int(f.number(4))))
	for range f.number(4) {
		l := &chunkLeaf{chunk: f.number(8), entries: f.number(8), users: uint32(f.number(4))}
		copy(l.content[:], f.take(len(l.content)))
		for i := range l.groups {
			copy(l.groups[i][:], f.take(len(l.groups[i])))
		}
		if f.short {
			break
		}
		out.chunks = append(out.chunks, l)
		out.leaves = append(out.leaves, l.hash(true))
	}
	if f.short || len(f.rest) > 0 {
		return nil, errors.New("the file of receipts is cut off or damaged: make another one by granter audit --receipts")
	}
	return out, nil
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

// ErrNotInReport means that a user was not granted when the report was made.
var ErrNotInReport = errors.New("the user was not granted when the report was made")

// Of makes the receipt of a user. The ledger may have more users by now, and more entries: those that the report is about are the
// first ones of each journal.
func (r *Receipts) Of(ctx context.Context, l Ledger, c *grant.Campaign, user grant.UserID) (*Receipt, error) {
	chunk, low := uint64(user)>>chunkBits, uint16(user)
	at, found := slices.BinarySearchFunc(r.chunks, chunk, func(l *chunkLeaf, chunk uint64) int {
		switch {
		case l.chunk < chunk:
			return -1
		case l.chunk > chunk:
			return 1
		}
		return 0
	})
	if !found {
		return nil, ErrNotInReport
	}
	leaf := r.chunks[at]
	who, err := r.census(ctx, l, leaf)
	if err != nil {
		return nil, err
	}
	changed := fmt.Errorf("chunk %d of the ledger is not what it was when the report was made: entries were changed", chunk)
	if uint32(who.has.count()) != leaf.users {
		return nil, changed
	}
	if !who.has.has(low) {
		return nil, ErrNotInReport
	}
	blind := r.salted.blind(uint64(user))
	members := who.group(r.salted, chunk, blind[0])
	if treeRoot(members) != leaf.groups[blind[0]] {
		return nil, changed
	}
	said := who.statement(chunk, low)
	index := slices.Index(members, leafHash(said.data(nil, blind)))
	out := newReceipt(c, r.Head, said, blind)
	out.Group = Step{Index: index, Size: len(members), Path: texts(treePath(members, index))}
	out.Chunk = ChunkStep{
		Step:  Step{Index: int(blind[0]), Size: groups, Path: texts(treePath(leaf.groupLeaves(), int(blind[0])))},
		Chunk: fmt.Sprint(chunk), Users: leaf.users, Content: hex.EncodeToString(leaf.content[:]),
	}
	out.Report = Step{Index: at, Size: len(r.leaves), Path: texts(treePath(r.leaves, at))}
	return out, nil
}

// census reads as many entries of a chunk as the report was made of.
func (r *Receipts) census(ctx context.Context, l Ledger, leaf *chunkLeaf) (*census, error) {
	c := new(census)
	c.begin()
	var broken error
	_, err := l.Stored(ctx, leaf.chunk, func(at int64, text string) {
		if at == 0 {
			c.begin()
			broken = nil
		}
		var e entry
		if uint64(at) >= leaf.entries || broken != nil {
			return
		}
		if broken = e.read([]byte(text)); broken == nil {
			c.add(&e, []byte(text))
		}
	})
	if err == nil && broken != nil {
		err = fmt.Errorf("chunk %d: an entry of the journal cannot be read: %w", leaf.chunk, broken)
	}
	if err == nil && c.read < leaf.entries {
		err = fmt.Errorf("chunk %d: the journal has fewer entries than when the report was made: Redis was put back", leaf.chunk)
	}
	return c, err
}

func texts(list []sum) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = hex.EncodeToString(list[i][:])
	}
	return out
}
