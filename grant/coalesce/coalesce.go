// Package coalesce lets those who ask at the same time share calls. There is no goroutine for that: who finds a call free makes
// it at once; the others gather, and go together when one has come back, led by the first of them. So nobody waits for more
// people to come, and for no longer than calls are under way.
package coalesce

import "sync"

// Limits bound a group.
type Limits struct {
	Items   int // of one call
	Calls   int // under way
	Waiting int // items that may wait; 0: any number
}

// Group is those who share calls. Its zero value is ready for use; it is safe for concurrent use.
type Group[T any] struct {
	mu      sync.Mutex
	waiting []*waiter[T]
	flying  int
	free    sync.Pool // of waiters
}

// waiter is one who waits.
type waiter[T any] struct {
	item T
	told chan []*waiter[T] // nil: it is answered; else it leads this call, itself in it
}

// Do has an item in one call, and returns it as that left it; ok is false if too many wait, and then it was in none. A call is
// made by one of those in it, and changes the items that it is for.
func (g *Group[T]) Do(limits Limits, item T, call func(items []*T)) (_ T, ok bool) {
	mine, _ := g.free.Get().(*waiter[T])
	if mine == nil {
		mine = &waiter[T]{told: make(chan []*waiter[T], 1)}
	}
	defer g.free.Put(mine)
	mine.item = item
	g.mu.Lock()
	var batch []*waiter[T]
	switch {
	case g.flying < limits.Calls:
		g.flying++
		batch = []*waiter[T]{mine}
	case limits.Waiting > 0 && len(g.waiting) >= limits.Waiting:
		g.mu.Unlock()
		return item, false
	default:
		g.waiting = append(g.waiting, mine)
	}
	g.mu.Unlock()
	if batch == nil {
		batch = <-mine.told
	}
	if batch != nil {
		g.lead(limits, mine, batch, call)
	}
	return mine.item, true
}

// lead makes one call, tells those who are in it, and hands the next one to somebody who came meanwhile.
func (g *Group[T]) lead(limits Limits, mine *waiter[T], batch []*waiter[T], call func(items []*T)) {
	items := make([]*T, len(batch))
	for i, w := range batch {
		items[i] = &w.item
	}
	call(items)
	g.mu.Lock()
	var next []*waiter[T]
	if n := min(len(g.waiting), limits.Items); n > 0 {
		next = append(next, g.waiting[:n]...)
		g.waiting = append(g.waiting[:0], g.waiting[n:]...)
	} else {
		g.flying--
	}
	g.mu.Unlock()
	if next != nil {
		next[0].told <- next
	}
	for _, w := range batch {
		if w != mine { // from then on it is its owner's
			w.told <- nil
		}
	}
}

// Calls returns how many are under way.
func (g *Group[T]) Calls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.flying
}
