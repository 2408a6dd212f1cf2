package audit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
)

// A report commits to every user who was granted, so that one of them can be shown it without a word about the others:
//
//	user    SHA-256(0, blind 16, user 8, at 8, run 8, flush 8, kind 1, acts 1): a leaf of RFC 6962, integers big-endian
//	        blind = AES-256(salt; "granter\0", user 8)
//	group   a tree over the users of a chunk whose blind begins with the same byte, ascending by their hashes
//	users   a tree over the 256 groups of a chunk: of each its root 32, and of how many users it is 4
//	leaf    "granter chunk 2\n", number of the chunk 8, of its users 4, content 32, root of users 32
//	        content = HMAC-SHA-256(salt; bitmap 8,192, SHA-256 of all entries, each behind its length in 8 bytes)
//	root    a tree over all chunks, ascending
//
// Where IDs are not dense there are buckets in place of chunks, and
//
//	user    SHA-256(0, blind 16, length of the ID 2, ID as it is printed, at 8, run 8, flush 8, kind 1, acts 1)
//	        blind = AES-256(salt; the first 16 bytes of SHA-256("granter member\n", ID as it is printed))
//	leaf    "granter bucket 2\n", number of the bucket 8, of its users 4, content 32, root of users 32
//	        content = HMAC-SHA-256(salt; SHA-256 of all entries, each behind its length in 8 bytes)
//
// Before, leaves began with "granter chunk 1\n" and "granter bucket 1\n", and the tree over groups was over their roots alone:
// how many users the group of a receipt has was not signed. Receipts and files of receipts of then are still read.
//
// Without the salt nothing of a hash can be guessed, so a path tells of others only how many they are in the group and the chunk.
// Groups are chosen, and their members ordered, by what the salt makes of IDs: neither tells who is whose neighbour.
const (
	groups       = 256
	saltSize     = 32
	blindSize    = aes.BlockSize
	memberPrefix = "granter member\n"
	userSize     = blindSize + 8 + 8 + 8 + 8 + 1 + 1
)

// treeForm is how leaves are made of groups and chunks.
type treeForm int

const (
	ofRoots treeForm = 1 // the tree over groups is over their roots alone
	ofSizes treeForm = 2 // and over how many users they have
)

// group is a group of users in the tree over those of a chunk.
type group struct {
	root sum
	size uint32 // users
}

// data is the content of the group's leaf.
func (g *group) data(form treeForm) []byte {
	if form == ofRoots {
		return g.root[:]
	}
	return binary.BigEndian.AppendUint32(bytes.Clone(g.root[:]), g.size)
}

// salted makes blinds of one salt.
type salted struct {
	salt  [saltSize]byte
	block cipher.Block
}

func newSalted(salt [saltSize]byte) *salted {
	block, err := aes.NewCipher(salt[:])
	if err != nil {
		panic(err) // of its length only
	}
	return &salted{salt, block}
}

// of is the blind of whoever a statement is about.
func (s *salted) of(said *statement) (out [blindSize]byte) {
	if said.text == "" {
		return s.blind(said.user)
	}
	h := sha256.Sum256(append([]byte(memberPrefix), said.text...))
	s.block.Encrypt(out[:], h[:blindSize])
	return out
}

func (s *salted) blind(user uint64) (out [blindSize]byte) {
	copy(out[:], "granter\x00")
	binary.BigEndian.PutUint64(out[8:], user)
	s.block.Encrypt(out[:], out[:])
	return out
}

// statement is what a report says of one user.
type statement struct {
	text                 string // the ID, where it is not dense
	user, at, run, flush uint64
	kind                 kind
	acted                bool
}

// data is the content of the user's leaf.
func (s *statement) data(dst []byte, blind [blindSize]byte) []byte {
	dst = append(dst, blind[:]...)
	if s.text != "" {
		dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(s.text))), s.text...)
	} else {
		dst = binary.BigEndian.AppendUint64(dst, s.user)
	}
	for _, v := range [...]uint64{s.at, s.run, s.flush} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	acted := byte(0)
	if s.acted {
		acted = 1
	}
	return append(dst, byte(s.kind), acted)
}

// census is who of a chunk was granted, by which entry. It is made entry by entry.
type census struct {
	entries []statement // of each entry that grants, without its users
	owner   [1 << chunkBits]uint32
	has     page
	acted   page
	content journalHash
}

func (c *census) begin() {
	c.entries, c.has, c.acted = c.entries[:0], page{}, page{}
	c.content.begin()
}

// journalHash is the hash of all entries of a journal, as they are stored.
type journalHash struct {
	hash.Hash

	read uint64 // entries
}

func (h *journalHash) begin() { h.Hash, h.read = sha256.New(), 0 }

func (h *journalHash) add(text []byte) {
	h.read++
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	h.Write(length[:])
	h.Write(text)
}

// add adds an entry as it was read, and as it is stored.
func (c *census) add(e *entry, text []byte) {
	c.content.add(text)
	switch {
	case e == nil:
	case e.kind == kindGrant || e.kind == kindHand:
		c.entries = append(c.entries, statement{at: uint64(e.at), run: e.run, flush: e.flush, kind: e.kind})
		number := uint32(len(c.entries) - 1)
		e.spread.each(func(low uint16) { c.owner[low] = number })
		e.spread.into(&c.has)
	case !e.kind.settles():
		e.spread.into(&c.acted)
		if e.kind == kindReinstate {
			c.readmit(e)
		}
	}
}

// readmit grants those who were excluded until then.
func (c *census) readmit(e *entry) {
	number := uint32(len(c.entries))
	e.spread.each(func(low uint16) {
		if !c.has.has(low) {
			c.owner[low] = number
		}
	})
	c.entries = append(c.entries, statement{at: uint64(e.at), kind: kindHand})
	e.spread.into(&c.has)
}

func (c *census) statement(chunk uint64, low uint16) statement {
	s := c.entries[c.owner[low]]
	s.user, s.acted = chunk<<chunkBits|uint64(low), c.acted.has(low)
	return s
}

// chunkLeaf is what is kept of a chunk for the tree.
type chunkLeaf struct {
	form      treeForm
	bucket    bool   // it is of a bucket
	chunk     uint64 // or bucket
	entries   uint64 // of the journal
	users     uint32
	content   sum
	usersRoot sum
	block     []byte // for receipts, until it is written; nil: nobody asks for it
	at        uint64 // where it was written
	size      uint32
}

// leaf commits to the users of the chunk. It also makes what receipts of them are made from, if somebody wants that.
func (c *census) leaf(s *salted, chunk uint64, bitmap *page, t *Tree) *chunkLeaf {
	out := &chunkLeaf{form: ofSizes, chunk: chunk, entries: c.content.read, users: uint32(c.has.count())}
	mac := hmac.New(sha256.New, s.salt[:])
	mac.Write(bitmap.bytes())
	mac.Write(c.content.Sum(nil))
	mac.Sum(out.content[:0])
	if !t.Users {
		return out
	}
	var members [groups][]member
	for i := range members {
		members[i] = make([]member, 0, out.users/groups+out.users/groups/4+8)
	}
	buf := make([]byte, 1, 1+userSize)
	c.has.each(func(low uint16) {
		said := c.statement(chunk, low)
		blind := s.blind(said.user)
		m := member{hash: sha256.Sum256(said.data(buf[:1], blind)), low: low, entry: c.owner[low], acted: said.acted}
		members[blind[0]] = append(members[blind[0]], m)
	})
	over := groupsOf(&members)
	out.usersRoot = treeRoot(overGroups(over, out.form))
	if t.Receipts != nil {
		out.block = encodeBlock(false, over, c.entries, &members)
	}
	return out
}

// groupsOf puts the members of groups into the order of their trees.
func groupsOf(members *[groups][]member) *[groups]group {
	var out [groups]group
	for i := range members {
		slices.SortFunc(members[i], func(a, b member) int { return bytes.Compare(a.hash[:], b.hash[:]) })
		out[i] = group{groupRoot(members[i]), uint32(len(members[i]))}
	}
	return &out
}

// member is one user of a group.
type member struct {
	hash  sum // of the leaf
	low   uint16
	id    []byte // as it is stored, where it is not dense
	entry uint32 // of the chunk's entries that grant
	acted bool
}

func groupRoot(members []member) sum {
	hashes := make([]sum, len(members))
	for i := range members {
		hashes[i] = members[i].hash
	}
	return treeRoot(hashes)
}

// overGroups are the leaf hashes of the tree over groups.
func overGroups(of *[groups]group, form treeForm) []sum {
	out := make([]sum, groups)
	for i := range of {
		out[i] = leafHash(of[i].data(form))
	}
	return out
}

// data is the content of the chunk's leaf. usersRoot is zero where the report does not commit to single users.
func chunkData(form treeForm, bucket bool, chunk uint64, users uint32, content, usersRoot sum) []byte {
	what := "chunk"
	if bucket {
		what = "bucket"
	}
	out := fmt.Appendf(make([]byte, 0, 128), "granter %s %d\n", what, form)
	out = binary.BigEndian.AppendUint64(out, chunk)
	out = binary.BigEndian.AppendUint32(out, users)
	out = append(out, content[:]...)
	return append(out, usersRoot[:]...)
}

func (l *chunkLeaf) hash() sum {
	return leafHash(chunkData(l.form, l.bucket, l.chunk, l.users, l.content, l.usersRoot))
}
