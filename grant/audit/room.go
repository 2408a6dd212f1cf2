package audit

import (
	"slices"
	"sync"
	"sync/atomic"
)

// room is the memory of an audit. Its passes use it one after the other, so that several take no more than one: what was left to
// the garbage collector between them would be there twice until it is collected.
type room struct {
	budget  int                    // pages at most
	waiting int                    // users that markers keep at most, all together
	near    []atomic.Pointer[cell] // of the pass

	free    sync.Mutex
	cells   []*cell
	pages   []*page
	markers []*marker
}

// leastWaiting is 4 MiB: with less, so few users of a section wait that marking them together gains nothing.
const leastWaiting = 1 << 20

// newRoom divides so many bytes: a quarter, at most, is for users that wait to be marked.
func newRoom(bytes int64) *room {
	waiting := min(max(int(bytes/4/userBytes), leastWaiting), waitingUsers)
	return &room{
		waiting: waiting, budget: max(int(bytes-int64(waiting*userBytes))/pageBytes, 8),
		near: make([]atomic.Pointer[cell], nearChunks),
	}
}

// begin begins a pass from one chunk on. Of the chunks that the ledger has, it takes as many as there is room for, so that users
// of a later pass cost nothing but being read; chunks that only the topic has make it end earlier.
func (r *room) begin(from uint64, chunks []uint64) *cells {
	c := &cells{room: r, from: from}
	c.limit.Store(noLimit)
	at, _ := slices.BinarySearch(chunks, from)
	if most := max(r.budget*7/16, 1); len(chunks)-at > most { // of most chunks two pages, and some have more
		c.limit.Store(chunks[at+most])
	}
	return c
}

// end takes back what a pass had that is judged. What it gave up before its end others may still have at hand: that is left to
// the garbage collector.
func (r *room) end(c *cells) {
	r.free.Lock()
	defer r.free.Unlock()
	for _, chunk := range c.all {
		done := c.at(chunk)
		if more := done.beyond.Swap(nil); more != nil {
			r.pages = append(r.pages, more)
		}
		if h := done.ledger; h != nil {
			r.pages = append(r.pages, h.settled)
			if h.byRun != h.settled {
				r.pages = append(r.pages, h.byRun)
			}
			done.ledger = nil
		}
		r.cells = append(r.cells, done)
	}
	for i := range r.near {
		r.near[i].Store(nil)
	}
}

// cell returns an empty one.
func (r *room) cell() *cell {
	used, found := take(r, &r.cells)
	if !found {
		return new(cell)
	}
	used.below = page{}
	return used
}

// page returns an empty one.
func (r *room) page() *page {
	used, found := take(r, &r.pages)
	if !found {
		return new(page)
	}
	*used = page{}
	return used
}

// take takes one of what is free.
func take[T any](r *room, of *[]T) (last T, found bool) {
	r.free.Lock()
	defer r.free.Unlock()
	n := len(*of) - 1
	if n < 0 {
		return last, false
	}
	last = (*of)[n]
	*of = (*of)[:n]
	return last, true
}
