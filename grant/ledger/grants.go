package ledger

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

var _ dense.Sink = (*Grants)(nil)

// Grants are what one run writes: who is granted, and up to where the topic is settled. See Begin and Grant for which calls
// must not overlap.
type Grants struct {
	*Store
	run          grant.RunID
	reader       *Reader
	coordination *Coordination
	session      atomic.Pointer[session]

	lease     atomic.Int64 // until when this run may grant, in Unix milliseconds by Redis's clock; 0: it has not asked
	notBefore atomic.Int64 // the same for when the campaign starts
	surveyed  atomic.Bool  // the index of chunks was compared with the keys of all masters
	inDoubt   atomic.Bool  // whether some call was applied is not known
	inFlight  turns        // pipelines of chunk calls
}

// NewGrants makes what a run writes to a store.
func NewGrants(s *Store, run grant.RunID) *Grants {
	g := &Grants{Store: s, run: run, reader: NewReader(s), coordination: NewCoordination(s), inFlight: newTurns()}
	g.NotBefore(s.campaign.StartsAt)
	return g
}

// Grant implements dense.Sink. See there for what it promises; in addition:
//
// Flush.Seq must grow from flush to flush of a shard, except for a flush that is handed in again after an error. Counts
// are exact as long as the same run's last call for a chunk is remembered by the ledger, which it is unless 64 other runs
// granted there since.
//
// The time of the campaign and its spec are judged by Redis in each call: grant.EarlyError, grant.ErrEnded and
// *SpecConflictError mean that the chunks that were refused are as they were.
//
// ErrRegressed means that the ledger lost acknowledged writes: call Begin. An *UnavailableError says that Redis refused
// for longer than Config.RetryFor, or for good. When the context is cancelled, Grant returns within the client's read
// timeout. After any error it is unknown which members are granted.
func (l *Grants) Grant(ctx context.Context, f *dense.Flush) (err error) {
	s := l.session.Load()
	if s == nil {
		return errNoSession
	}
	ctx, span := l.traceFlush(ctx, f)
	defer span.End()
	defer func() { recordError(span, err) }()
	began := time.Now()
	if err := l.ensureLease(ctx); err != nil {
		return err
	}
	sh := s.shard(f.Shard)
	if err := sh.take(l, f); err != nil {
		return err
	}
	for len(sh.pending) > 0 {
		if err := sh.encode(l, s, f); err != nil {
			return err
		}
		if err := l.deliverFlush(ctx, f.Shard, f.Seq, func() error { return l.send(ctx, s, sh, f) }); err != nil {
			return err
		}
		if err := sh.settle(f); err != nil {
			return err
		}
	}
	sh.done = true
	if l.observer != nil {
		members := 0
		for i := range f.Deltas {
			members += f.Deltas[i].Count
		}
		l.observer.FlushDone(f.Shard, members, sh.applied, sh.sent, time.Since(began))
	}
	return nil
}

// ensureLease takes the lease of the spec, if a run has none yet.
func (l *Grants) ensureLease(ctx context.Context) error {
	if l.lease.Load() != 0 {
		return nil
	}
	return l.EnsureSpec(ctx, l.campaign)
}

// deliverFlush sends what a flush has to say until Redis has answered. If it gives up, some of it may still arrive.
func (l *Grants) deliverFlush(ctx context.Context, shard int, seq uint64, send func() error) error {
	err := l.deliver(ctx, fmt.Sprintf("granting flush %d of shard %d", seq, shard), send)
	if err != nil {
		l.inDoubt.Store(true)
	}
	return err
}
