package audit

import "sync"

// A bit that is set by itself costs more than all else that is done for a record: its place is nowhere near the last one, and
// others write there, too. So a reader keeps users until it has enough of one section of the chunks, and marks these while it
// has the section for itself: no write needs to be a locked one, and each line of memory is fetched for several users.
const (
	sections = 4096 // for 48 million dense users each has one chunk, of 732
	// waitingUsers bounds what all readers together keep: 64 MiB, of which only the sections that there are take any.
	waitingUsers = 16 << 20
	sectionful   = 512 // of 65,536: four in each line of memory
)

// marker marks the users of one reader's records. It belongs to one goroutine, which flushes it at the end.
type marker struct {
	cells   *cells
	part    part
	full    int      // users of a section
	waiting []uint32 // of each section so many: which of its chunks, and who of the chunk
	count   []uint16 // of those that wait
}

// marker returns one for one of some readers, which has so many records to read.
func (c *cells) marker(part part, readers int, records int64) *marker {
	full := min(sectionful, waitingUsers/sections/readers, int(records/sections)+1)
	return &marker{cells: c, part: part, full: full, waiting: make([]uint32, full*sections), count: make([]uint16, sections)}
}

func (m *marker) add(id uint64) {
	chunk := id>>chunkBits - m.cells.from
	if chunk >= sections<<chunkBits { // of a pass before, or so far from the others that nothing is near
		m.one(id)
		return
	}
	section := int(chunk % sections)
	n := int(m.count[section])
	m.waiting[section*m.full+n] = uint32(chunk/sections)<<chunkBits | uint32(uint16(id))
	if n++; n == m.full {
		m.mark(section, n)
		n = 0
	}
	m.count[section] = uint16(n)
}

func (m *marker) flush() {
	for section, n := range m.count {
		if n > 0 {
			m.mark(section, int(n))
		}
	}
	clear(m.count)
}

func (m *marker) one(id uint64) {
	lock := &m.cells.locks[id>>chunkBits%sections]
	lock.Lock()
	defer lock.Unlock()
	if p := m.cells.pageOf(id>>chunkBits, m.part); p != nil {
		p.set(uint16(id))
	}
}

func (m *marker) mark(section, n int) {
	lock := &m.cells.locks[(m.cells.from+uint64(section))%sections]
	lock.Lock()
	defer lock.Unlock()
	var p *page
	last := ^uint32(0)
	for _, who := range m.waiting[section*m.full:][:n] {
		if of := who >> chunkBits; of != last {
			p, last = m.cells.pageOf(m.cells.from+uint64(section)+sections*uint64(of), m.part), of
		}
		if p != nil {
			p.set(uint16(who))
		}
	}
}

// pageOf returns where users of a chunk are marked; nil: the chunk is none of this pass.
func (c *cells) pageOf(chunk uint64, part part) *page {
	found := c.need(chunk)
	if found == nil {
		return nil
	}
	if part == below {
		return &found.below
	}
	if p := found.beyond.Load(); p != nil {
		return p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := new(page)
	if c.makeRoom(1); chunk >= c.limit.Load() {
		return nil
	}
	c.pages++
	found.beyond.Store(p)
	return p
}

// locks are those of the sections: each guards the pages of its chunks.
type locks [sections]sync.Mutex
