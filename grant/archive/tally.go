package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/digest"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/dense"
)

// tally counts parts as they are written, or read back, and makes their digests. What is said of users is in that of the ledger:
// all of a chunk's keys, in whatever order they come. It is a sum, so that a long key may come in pages.
type tally struct {
	end     End
	users   digest.Users
	members digest.Members // where IDs are not dense
	buckets bool
	sum     [4]uint64

	chunk             uint64
	granted, excluded dense.Bitmap
	open              bool
}

// bitmapOf is the bitmap that a part has.
func bitmapOf(p *ledger.Part) (b dense.Bitmap, err error) {
	if copy(b[:], p.Items[0]) < len(p.Items[0]) {
		err = fmt.Errorf("%w: chunk %d, %s: %d bytes are more than a chunk has",
			ledger.ErrInconsistent, p.Chunk, p.Name, len(p.Items[0]))
	}
	return b, err
}

func (t *tally) add(p *ledger.Part) error {
	t.end.Parts++
	ofUsers := p.OfChunk || p.Name != "" && p.Name[0] >= '0' && p.Name[0] <= '9'
	if !ofUsers {
		return nil
	}
	if p.OfChunk && (!t.open || p.Chunk != t.chunk) {
		if t.open && p.Chunk < t.chunk {
			return fmt.Errorf("chunk %d comes after chunk %d", p.Chunk, t.chunk)
		}
		t.closeChunk()
		t.chunk, t.open = p.Chunk, true
		t.end.Chunks++
	}
	if ofBits(p) {
		b, err := bitmapOf(p)
		switch {
		case err != nil:
			return err
		case p.OfChunk && p.Name == "granted":
			t.granted = b
		case p.OfChunk && p.Name == "excluded":
			t.excluded = b
		}
	}
	if p.OfChunk && p.Name == "journal" && ledger.OfBucket(p.Items[0]) {
		if err := t.bucket(p); err != nil {
			return err
		}
	}
	t.addItems(p)
	return nil
}

// bucket counts the members of a bucket.
func (t *tally) bucket(p *ledger.Part) error {
	t.buckets = true
	members, err := ledger.Roll(p.Items)
	if err != nil {
		return fmt.Errorf("%w: bucket %d: %w", ledger.ErrInconsistent, p.Chunk, err)
	}
	for i := range members {
		switch m := &members[i]; m.Place {
		case grant.PlaceGranted:
			t.end.Granted++
			t.members.Add(m.Encoded)
		case grant.PlaceExcluded:
			t.end.Excluded++
		case grant.PlaceNone:
		}
	}
	return nil
}

func (t *tally) addItems(p *ledger.Part) {
	step := 1
	if p.Kind == ledger.PartHash {
		step = 2
	}
	for i := 0; i < len(p.Items); i += step {
		h := sha256.New()
		fmt.Fprintf(h, "%t %d %d %s\n", p.OfChunk, p.Chunk, p.Kind, p.Name)
		if p.Kind == ledger.PartList {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(i)))
		}
		for _, item := range p.Items[i : i+step] {
			if ofBits(p) {
				item = strings.TrimRight(item, "\x00") // zeros at the end say nothing
			}
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(item))))
			h.Write([]byte(item))
		}
		var carry uint64
		sum := h.Sum(nil)
		for k := range t.sum {
			t.sum[k], carry = bits.Add64(t.sum[k], binary.LittleEndian.Uint64(sum[8*k:]), carry)
		}
	}
}

func (t *tally) closeChunk() {
	if !t.open {
		return
	}
	t.granted.Subtract(&t.excluded)
	t.end.Granted += int64(t.granted.Count())
	t.end.Excluded += int64(t.excluded.Count())
	t.users.Add(t.chunk, &t.granted)
	t.granted, t.excluded, t.open = dense.Bitmap{}, dense.Bitmap{}, false
}

func (t *tally) done() End {
	t.closeChunk()
	if t.end.Users = t.users.Sum(); t.buckets {
		t.end.Users = t.members.Sum()
	}
	var sum []byte
	for _, word := range t.sum {
		sum = binary.LittleEndian.AppendUint64(sum, word)
	}
	t.end.Ledger = hex.EncodeToString(sum)
	return t.end
}
