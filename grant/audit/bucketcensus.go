package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// bucketCensus is who of a bucket was granted, by which entry: see census.go.
type bucketCensus struct {
	r       *bucketReading
	users   uint32
	members [groups][]member
	buf     []byte
}

// newCensus begins the census of a bucket; nil: no tree is asked for.
func (r *bucketReading) newCensus() *bucketCensus {
	if r.Tree == nil {
		return nil
	}
	return &bucketCensus{r: r}
}

// saying is what an entry says of its members.
func (t *told) saying() statement {
	s := t.statement
	if s.kind == kindReinstate {
		s.kind, s.run, s.flush = kindHand, 0, 0
	}
	return s
}

// add adds one user, as the bucket's memory has it, who has the campaign.
func (c *bucketCensus) add(stored []byte, f *fate) {
	c.users++
	if !c.r.Tree.Users {
		return
	}
	said := c.r.told[f.entry].saying()
	said.text, said.acted = c.r.user(stored).String(), f.acted
	blind := c.r.salted.of(&said)
	c.buf = said.data(append(c.buf[:0], 0), blind)
	c.members[blind[0]] = append(c.members[blind[0]],
		member{hash: sha256.Sum256(c.buf), id: stored, entry: uint32(f.entry), acted: f.acted})
}

// leaf commits to the users of the bucket. It also makes what receipts of them are made from, if somebody wants that.
func (c *bucketCensus) leaf() *chunkLeaf {
	r := c.r
	out := &chunkLeaf{form: ofSizes, bucket: true, chunk: r.bucket, entries: r.content.read, users: c.users}
	mac := hmac.New(sha256.New, r.salted.salt[:])
	mac.Write(r.content.Sum(nil))
	mac.Sum(out.content[:0])
	if !r.Tree.Users {
		return out
	}
	over := groupsOf(&c.members)
	out.usersRoot = treeRoot(overGroups(over, out.form))
	if r.Tree.Receipts != nil {
		entries := make([]statement, len(r.told))
		for i := range r.told {
			entries[i] = r.told[i].saying()
		}
		out.block = encodeBlock(true, over, entries, &c.members)
	}
	return out
}

// memberRows reads rows of members whose IDs are not dense.
func (b *block) memberRows(rows []byte, wide int) (out []member) {
	for len(rows) > 0 {
		size, _ := b.r.layout.size(rows)
		if size == 0 || len(rows) < size+wide {
			b.err = errReceiptsDamaged
			return nil
		}
		var m member
		m.id = rows[:size]
		m.read(rows[size:][:wide])
		out, rows = append(out, m), rows[size+wide:]
	}
	return out
}

// read reads by which entry a member was granted, and whether there are acts.
func (m *member) read(b []byte) {
	v := uint32(0)
	for _, c := range b {
		v = v<<8 | uint32(c)
	}
	m.entry, m.acted = v>>1, v&1 == 1
}

// append writes what read reads.
func (m *member) append(dst []byte, wide int) []byte {
	var said [4]byte
	v := m.entry << 1
	if m.acted {
		v |= 1
	}
	binary.BigEndian.PutUint32(said[:], v)
	return append(dst, said[4-wide:]...)
}
