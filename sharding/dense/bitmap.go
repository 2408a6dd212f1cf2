package dense

import (
	"encoding/binary"
	"math/bits"
)

const (
	// ChunkBits is the number of low bits of an ID that say where it is inside its chunk.
	ChunkBits = 16
	// ChunkSize is the number of consecutive IDs in a chunk.
	ChunkSize = 1 << ChunkBits
	// BitmapBytes is the size of a chunk's bitmap: one bit for each ID.
	BitmapBytes = ChunkSize / 8
)

// Split returns the chunk of an ID and its place inside the chunk.
func Split(id uint64) (chunk uint64, low uint16) { return id >> ChunkBits, uint16(id) }

// Join is the inverse of Split.
func Join(chunk uint64, low uint16) uint64 { return chunk<<ChunkBits | uint64(low) }

// Bitmap holds one bit for each ID of a chunk, in the bit order of Redis: bit 0 is the most significant bit of byte 0.
type Bitmap [BitmapBytes]byte

// Set sets a bit and reports whether it was clear before.
func (b *Bitmap) Set(low uint16) bool {
	p, bit := &b[low>>3], byte(0x80)>>(low&7)
	if *p&bit != 0 {
		return false
	}
	*p |= bit
	return true
}

// Has reports whether a bit is set.
func (b *Bitmap) Has(low uint16) bool { return b[low>>3]&(0x80>>(low&7)) != 0 }

// Clear clears a bit.
func (b *Bitmap) Clear(low uint16) { b[low>>3] &^= 0x80 >> (low & 7) }

// Word returns 64 bits starting at bit 64*i; the first of them is the most significant.
func (b *Bitmap) Word(i int) uint64 { return binary.BigEndian.Uint64(b[i*8:]) }

// SetWord replaces 64 bits starting at bit 64*i.
func (b *Bitmap) SetWord(i int, w uint64) { binary.BigEndian.PutUint64(b[i*8:], w) }

// Words is the number of 64-bit words in a Bitmap.
const Words = BitmapBytes / 8

// Count returns the number of bits set.
func (b *Bitmap) Count() int {
	n := 0
	for i := range Words {
		n += bits.OnesCount64(b.Word(i))
	}
	return n
}

// Any reports whether any bit is set.
func (b *Bitmap) Any() bool { return *b != Bitmap{} }

// Or sets every bit that is set in o.
func (b *Bitmap) Or(o *Bitmap) {
	for i := range Words {
		b.SetWord(i, b.Word(i)|o.Word(i))
	}
}

// Subtract clears every bit of b that is set in o, and returns the bits it cleared, or nil when there were none.
func (b *Bitmap) Subtract(o *Bitmap) *Bitmap {
	var cleared *Bitmap
	for i := range Words {
		w, both := b.Word(i), b.Word(i)&o.Word(i)
		if both == 0 {
			continue
		}
		if cleared == nil {
			cleared = new(Bitmap)
		}
		cleared.SetWord(i, both)
		b.SetWord(i, w&^both)
	}
	return cleared
}

// Lows appends the places of all set bits, ascending, to dst.
func (b *Bitmap) Lows(dst []uint16) []uint16 {
	for i := range Words {
		for w := b.Word(i); w != 0; {
			lead := bits.LeadingZeros64(w)
			dst = append(dst, uint16(i*64+lead))
			w &^= 1 << (63 - lead)
		}
	}
	return dst
}
