package audit

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// The bits of an audit are its own: what counts here must not share a fault with what granted.

const (
	chunkBits  = 16
	pageWords  = 1 << chunkBits / 64
	pageBytes  = pageWords * 8
	noLimit    = 1 << (64 - chunkBits)
	nearChunks = 1 << 18 // chunks from a pass's first on that are found without a hash: 17 G of IDs
)

// page has a bit for each of the 65,536 numbers of a chunk. Bit 0 is the highest of word 0, as in a bitmap of Redis.
type page [pageWords]uint64

func place(low uint16) (word int, mask uint64) { return int(low >> 6), 1 << 63 >> (low & 63) }

func (p *page) has(low uint16) bool {
	word, mask := place(low)
	return p[word]&mask != 0
}

func (p *page) set(low uint16) {
	word, mask := place(low)
	p[word] |= mask
}

func (p *page) count() (n int64) {
	for _, w := range p {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

func (p *page) empty() bool { return *p == page{} }

func (p *page) or(o *page) {
	for i, w := range o {
		p[i] |= w
	}
}

// without returns the bits of p that o does not have; nil is empty.
func (p *page) without(o *page) *page {
	out := *p
	if o != nil {
		for i, w := range o {
			out[i] &^= w
		}
	}
	return &out
}

// both returns the bits that p and o have.
func (p *page) both(o *page) *page {
	out := *p
	for i, w := range o {
		out[i] &= w
	}
	return &out
}

func (p *page) each(fn func(low uint16)) {
	for i, w := range p {
		for w != 0 {
			lead := bits.LeadingZeros64(w)
			fn(uint16(i*64 + lead))
			w &^= 1 << (63 - lead)
		}
	}
}

// load reads a bitmap as Redis has it, and reports whether it fits.
func (p *page) load(text string) bool {
	var b [pageBytes]byte
	fits := copy(b[:], text) == len(text)
	for i := range p {
		p[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return fits
}

// bytes are the page as Redis would have it.
func (p *page) bytes() []byte {
	out := make([]byte, 0, pageBytes)
	for _, w := range p {
		out = binary.BigEndian.AppendUint64(out, w)
	}
	return out
}

// cell is what a pass of an audit keeps of one chunk.
type cell struct {
	below  page                 // users of records below the checkpoint
	beyond atomic.Pointer[page] // users of records from there on
	ledger *held                // what the ledger has; nil: nothing
}

// cells are those of the chunks from one up to, not including, a limit. When they become too many, the limit falls, and what is
// beyond it is left to the next pass: so memory is bounded whatever IDs a topic holds.
type cells struct {
	*room

	from  uint64
	limit atomic.Uint64
	locks locks

	mu   sync.Mutex
	far  sync.Map // chunk → *cell
	used int      // pages
	all  []uint64 // chunks that have one
}

// at returns the cell of a chunk; nil: it is none of this pass, or there is none.
func (c *cells) at(chunk uint64) *cell {
	if at := chunk - c.from; at < uint64(len(c.near)) {
		return c.near[at].Load()
	}
	if found, ok := c.far.Load(chunk); ok {
		return found.(*cell)
	}
	return nil
}

// need returns the cell of a chunk, and makes it; nil: it is none of this pass.
func (c *cells) need(chunk uint64) *cell {
	if chunk < c.from || chunk >= c.limit.Load() {
		return nil
	}
	if found := c.at(chunk); found != nil {
		return found
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.at(chunk); found != nil {
		return found
	}
	c.makeRoom(1)
	if chunk >= c.limit.Load() {
		return nil
	}
	made := c.cell()
	c.put(chunk, made)
	c.all = append(c.all, chunk)
	c.used++
	return made
}

func (c *cells) put(chunk uint64, v *cell) {
	if at := chunk - c.from; at < uint64(len(c.near)) {
		c.near[at].Store(v)
		return
	}
	c.far.Store(chunk, v)
}

// makeRoom lowers the limit until so many more pages fit. One chunk stays in any case, so that every pass comes further.
func (c *cells) makeRoom(more int) {
	for c.used+more > c.budget && len(c.all) > 1 {
		slices.Sort(c.all)
		half := len(c.all) / 2
		c.limit.Store(c.all[half])
		for _, chunk := range c.all[half:] {
			c.used -= c.at(chunk).size()
			if at := chunk - c.from; at < uint64(len(c.near)) {
				c.near[at].Store(nil)
			} else {
				c.far.Delete(chunk)
			}
		}
		c.all = c.all[:half]
	}
}

// size is in pages.
func (c *cell) size() int {
	n := 1
	if c.beyond.Load() != nil {
		n++
	}
	if c.ledger != nil {
		n += c.ledger.size()
	}
	return n
}

// hold notes what the ledger has of a chunk, and reports whether it is one of this pass.
func (c *cells) hold(chunk uint64, h *held) bool {
	found := c.need(chunk)
	if found == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.makeRoom(h.size())
	if chunk >= c.limit.Load() {
		return false
	}
	found.ledger = h
	c.used += h.size()
	return true
}

// chunks are those of the pass that have a cell, ascending.
func (c *cells) chunks() []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.all)
	return c.all
}
