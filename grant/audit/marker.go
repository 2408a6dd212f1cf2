package audit

import (
	"runtime"
	"sync"
)

// A bit that is set by itself costs more than all else that is done for a record: its place is nowhere near the last one, and
// others write there, too. So a reader keeps users until it has enough of one section of the chunks, and marks these while it
// has the section for itself: no write needs to be a locked one, and each line of memory is fetched for several users.
const (
	sections = 4096 // for 48 million dense users each has one chunk, of 732
	// waitingUsers bounds what all markers together keep: 64 MiB, of which only the sections that there are take any.
	waitingUsers = 16 << 20
	userBytes    = 4
	sectionful   = 1024 // of 65,536: eight in each line of memory
	// roundsKnown is how many chunks of one section are found without looking each user's up: 4 G of IDs. Where there are more
	// chunks than sections, users of all chunks of a section come mixed.
	roundsKnown = 16
)

// markers mark the users of a part of the topic. There are as many as can run at the same time, not one for each reader: what
// waits in them is small enough to stay near a processor.
type markers struct {
	cells *cells
	part  part
	free  chan *marker
}

// marker is one of them. It belongs to whoever took it.
type marker struct {
	full    int              // users of a section
	waiting []uint32         // of each section so many: which of its chunks, and who of the chunk
	count   [sections]uint16 // of those that wait
}

// markers returns those for so many records; done must be called when all are read.
func (c *cells) markers(part part, records int64) *markers {
	n := runtime.GOMAXPROCS(0)
	ms := &markers{cells: c, part: part, free: make(chan *marker, n)}
	full := max(min(sectionful, c.waiting/sections/n, int(records/sections)+1), 1)
	for range n {
		m, found := take(c.room, &c.room.markers)
		if !found {
			m = new(marker)
		}
		if m.full = full; len(m.waiting) < full*sections {
			m.waiting = make([]uint32, full*sections)
		}
		ms.free <- m
	}
	return ms
}

// add has some users marked, at the latest when it is done.
func (ms *markers) add(ids []uint64) {
	m := <-ms.free
	c := ms.cells
	here := c.limit.Load() - c.from
	for _, id := range ids {
		chunk := id>>chunkBits - c.from
		switch {
		case chunk >= here: // of another pass
		case chunk >= sections<<chunkBits: // so far from the others that nothing is near
			ms.one(id)
		default:
			section := int(chunk % sections)
			n := int(m.count[section])
			m.waiting[section*m.full+n] = uint32(chunk/sections)<<chunkBits | uint32(uint16(id))
			if n++; n == m.full {
				ms.mark(section, m.waiting[section*m.full:][:n])
				n = 0
			}
			m.count[section] = uint16(n)
		}
	}
	ms.free <- m
}

// done marks those who wait. The markers are of no use afterwards.
func (ms *markers) done() {
	r := ms.cells.room
	for range cap(ms.free) {
		m := <-ms.free
		for section := range m.count {
			if n := m.count[section]; n > 0 {
				ms.mark(section, m.waiting[section*m.full:][:n])
			}
		}
		clear(m.count[:])
		r.free.Lock()
		r.markers = append(r.markers, m)
		r.free.Unlock()
	}
}

func (ms *markers) one(id uint64) {
	lock := &ms.cells.locks[id>>chunkBits%sections]
	lock.Lock()
	defer lock.Unlock()
	if p := ms.cells.pageOf(id>>chunkBits, ms.part); p != nil {
		p.set(uint16(id))
	}
}

func (ms *markers) mark(section int, waiting []uint32) {
	c := ms.cells
	lock := &c.locks[(c.from+uint64(section))%sections]
	lock.Lock()
	defer lock.Unlock()
	var known [roundsKnown]*page
	for _, who := range waiting {
		of := who >> chunkBits
		if of >= roundsKnown {
			if p := c.pageOf(c.from+uint64(section)+sections*uint64(of), ms.part); p != nil {
				p.set(uint16(who))
			}
			continue
		}
		p := known[of] //nolint:gosec // it is below roundsKnown
		if p == nil {
			if p = c.pageOf(c.from+uint64(section)+sections*uint64(of), ms.part); p == nil {
				continue
			}
			known[of] = p //nolint:gosec // it is below roundsKnown
		}
		p.set(uint16(who))
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
	if c.makeRoom(1); chunk >= c.limit.Load() {
		return nil
	}
	p := c.page()
	c.used++
	found.beyond.Store(p)
	return p
}

// locks are those of the sections: each guards the pages of its chunks.
type locks [sections]sync.Mutex
