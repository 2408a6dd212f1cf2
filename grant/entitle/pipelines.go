package entitle

import (
	"context"
	"time"

	"github.com/granter/granter/grant/coalesce"
	"github.com/granter/granter/grant/ledger"
)

// A pipeline of 256 users holds up others in Redis for 0.2 ms; one more is under way while the next gathers.
var pipelines = coalesce.Limits{Items: 256, Calls: 2}

// look is one user whom somebody waits for: in some campaigns, each of which is one glance.
type look struct {
	add func(*ledger.Glances)
	err error
}

// sharer lets those who ask at the same time share pipelines.
type sharer struct {
	timeout time.Duration // of a pipeline
	looks   coalesce.Group[look]
}

// see looks at a user: add is called once, before it returns. The glances belong to a pipeline that begin starts.
func (s *sharer) see(begin func(context.Context) *ledger.Glances, add func(*ledger.Glances)) error {
	seen, _ := s.looks.Do(pipelines, look{add: add}, func(batch []*look) {
		err := s.send(begin, batch)
		for _, l := range batch {
			l.err = err
		}
	})
	return seen.err
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
