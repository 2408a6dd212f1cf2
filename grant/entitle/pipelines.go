package entitle

import (
	"context"
	"sync"
	"time"

	"github.com/granter/granter/grant/ledger"
)

const (
	// A pipeline of 256 users holds up others in Redis for 0.2 ms; one more is under way while the next gathers.
	pipelineUsers = 256
	pipelines     = 2
)

// look is one user whom somebody waits for: in some campaigns, each of which is one glance.
type look struct {
	add  func(*ledger.Glances)
	err  error
	told chan []*look // nil: it is seen; else it leads this pipeline, itself in it
}

var looks = sync.Pool{New: func() any { return &look{told: make(chan []*look, 1)} }}

// sharer lets those who ask at the same time share pipelines. There is no goroutine for that: who finds a pipeline free sends his
// own at once; the others gather, and go together when one has come back, led by the first of them. So nobody waits for more
// people to come, and for no longer than pipelines are under way.
type sharer struct {
	timeout time.Duration // of a pipeline

	mu      sync.Mutex
	waiting []*look
	flying  int
}

// see looks at a user: add is called once, before it returns. The glances belong to a pipeline that begin starts.
func (s *sharer) see(begin func(context.Context) *ledger.Glances, add func(*ledger.Glances)) error {
	mine := looks.Get().(*look)
	defer looks.Put(mine)
	mine.add, mine.err = add, nil
	s.mu.Lock()
	batch := []*look(nil)
	if s.flying < pipelines {
		s.flying++
		batch = []*look{mine}
	} else {
		s.waiting = append(s.waiting, mine)
	}
	s.mu.Unlock()
	if batch == nil {
		batch = <-mine.told
	}
	if batch != nil {
		s.lead(begin, mine, batch)
	}
	return mine.err
}

// lead sends one pipeline, tells those who are in it, and hands the next one to somebody who came meanwhile.
func (s *sharer) lead(begin func(context.Context) *ledger.Glances, mine *look, batch []*look) {
	err := s.send(begin, batch)
	s.mu.Lock()
	var next []*look
	if n := min(len(s.waiting), pipelineUsers); n > 0 {
		next = append(next, s.waiting[:n]...)
		s.waiting = append(s.waiting[:0], s.waiting[n:]...)
	} else {
		s.flying--
	}
	s.mu.Unlock()
	if next != nil {
		next[0].told <- next
	}
	for _, l := range batch {
		if l.err = err; l != mine { // from then on it is its owner's
			l.told <- nil
		}
	}
}

func (s *sharer) send(begin func(context.Context) *ledger.Glances, batch []*look) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	g := begin(ctx)
	for _, l := range batch {
		l.add(g)
	}
	return g.Send()
}
