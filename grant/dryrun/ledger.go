// Package dryrun stands in for ledger and consumer group, so that a run goes its whole way and writes nothing: no grant,
// no checkpoint, no offset, no dead letter. It counts what a run would do.
package dryrun

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// Pass returns the pass that a dry run goes instead of another one: over the same users, from the first record that is
// there, without a trace in Kafka.
func Pass(of grant.Pass) grant.Pass {
	of.Private = true
	return of
}

// Reader is what a dry run asks of the real ledger.
type Reader interface {
	// Permits fails if a run would not be allowed to grant under the spec.
	Permits(ctx context.Context, c *grant.Campaign) error
	// Settled returns of some chunks whose place is settled, and which of those users are excluded; nil where there are none.
	Settled(ctx context.Context, chunks []uint64) (settled, excluded []*dense.Bitmap, err error)
}

// Ledger implements engine.Ledger without a write. What would be granted it remembers, two bits for each ID of a touched
// chunk, so a dense population of 48 million takes 12 MiB, and 400 million IDs 100 MiB.
type Ledger struct {
	reader Reader
	listed map[uint64]*dense.Bitmap // whom a run would exclude first, by chunk

	mu     sync.Mutex
	next   grant.Offsets
	chunks map[uint64]*chunk

	granted, already, excluded atomic.Int64
}

// chunk is what is known of one chunk. Only the shard that owns it changes it.
type chunk struct {
	stored   *dense.Bitmap // who is granted in the real ledger; nil: nobody
	excluded *dense.Bitmap // who is not to be; nil: nobody
	withheld dense.Bitmap  // of them, those in the topic, so far
	seen     dense.Bitmap  // in the topic, so far
	fresh    atomic.Int64  // of them, how many would be granted; Outcome may ask at any time
}

// NewLedger makes a ledger for one dry run, which reads the partitions from the given offsets on. listed are users whom a run
// would exclude before it grants anybody, by chunk.
func NewLedger(r Reader, starts grant.Offsets, listed map[uint64]*dense.Bitmap) *Ledger {
	return &Ledger{reader: r, listed: listed, next: starts.Clone(), chunks: map[uint64]*chunk{}}
}

// Grant implements dense.Sink: it finds out who would be granted.
func (l *Ledger) Grant(ctx context.Context, f *dense.Flush) error {
	states, err := l.load(ctx, f)
	if err != nil {
		return err
	}
	for i := range f.Deltas {
		d, c := &f.Deltas[i], states[i]
		l.withhold(d, c)
		duplicates := d.Members.Subtract(&c.seen)
		c.seen.Or(d.Members)
		if c.stored != nil {
			if had := d.Members.Subtract(c.stored); had != nil {
				l.already.Add(int64(had.Count()))
				if duplicates == nil {
					duplicates = had
				} else {
					duplicates.Or(had)
				}
			}
		}
		d.Count = d.Members.Count()
		c.fresh.Add(int64(d.Count))
		l.granted.Add(int64(d.Count))
		if d.Duplicates = duplicates; duplicates != nil {
			known := c.seen
			d.Granted = &known
		}
	}
	return nil
}

// withhold takes out of a delta who is excluded.
func (l *Ledger) withhold(d *dense.Delta, c *chunk) {
	if c.excluded == nil {
		return
	}
	if d.Withheld = d.Members.Subtract(c.excluded); d.Withheld == nil {
		return
	}
	before := c.withheld.Count()
	c.withheld.Or(d.Withheld)
	l.excluded.Add(int64(c.withheld.Count() - before))
}

// state makes what is known of a chunk out of what the ledger has: a run would exclude who is listed and not granted.
func (l *Ledger) state(number uint64, settled, excluded *dense.Bitmap) *chunk {
	c := &chunk{stored: settled, excluded: excluded}
	if settled != nil && excluded != nil {
		settled.Subtract(excluded)
	}
	if listed := l.listed[number]; listed != nil {
		out := *listed
		if settled != nil {
			out.Subtract(settled)
		}
		if excluded != nil {
			out.Or(excluded)
		}
		c.excluded = &out
	}
	return c
}

// load returns the states of the chunks of a flush; new ones it reads from the real ledger.
func (l *Ledger) load(ctx context.Context, f *dense.Flush) ([]*chunk, error) {
	states := make([]*chunk, len(f.Deltas))
	var missing []uint64
	var at []int
	l.mu.Lock()
	for i := range f.Deltas {
		if states[i] = l.chunks[f.Deltas[i].Chunk]; states[i] == nil {
			missing, at = append(missing, f.Deltas[i].Chunk), append(at, i)
		}
	}
	l.mu.Unlock()
	if len(missing) == 0 {
		return states, nil
	}
	settled, excluded, err := l.reader.Settled(ctx, missing)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, number := range missing {
		states[at[i]] = l.state(number, settled[i], excluded[i])
		l.chunks[number] = states[at[i]]
	}
	return states, nil
}

// EnsureSpec implements engine.Ledger: it fails as a run would.
func (l *Ledger) EnsureSpec(ctx context.Context, c *grant.Campaign) error {
	return l.reader.Permits(ctx, c)
}

// NotBefore implements engine.Ledger. A dry run grants nobody anything, at any time.
func (l *Ledger) NotBefore(time.Time) {}

// Begin implements engine.Ledger.
func (l *Ledger) Begin(ctx context.Context, _ grant.TopicID) (grant.Checkpoint, error) {
	return l.Checkpoints(ctx)
}

// BeginAnew implements engine.Ledger: a dry run reads everything anyway.
func (l *Ledger) BeginAnew(context.Context, grant.TopicID, *grant.TruncatedError) error { return nil }

// Checkpoint implements engine.Ledger, in memory.
func (l *Ledger) Checkpoint(_ context.Context, next grant.Offsets, _ map[int]int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(l.next, next)
	return nil
}

// Checkpoints implements engine.Ledger.
func (l *Ledger) Checkpoints(context.Context) (grant.Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return grant.Checkpoint{Next: l.next.Clone()}, nil
}

// SaveRun implements engine.Ledger: nobody else is to know.
func (l *Ledger) SaveRun(context.Context, grant.RunRecord) error { return nil }

// Outcome is what a run would do.
type Outcome struct {
	WouldGrant     int64 `json:"would_grant"`     // users
	AlreadyGranted int64 `json:"already_granted"` // users of the topic who have been granted
	Excluded       int64 `json:"excluded"`        // users of the topic who are excluded, or would be
	Chunks         int   `json:"chunks"`          // with users who would be granted
	LedgerBytes    int64 `json:"ledger_bytes"`    // what granting them adds to Redis, as projected
}

// Outcome returns what was found out so far. memory projects what so many users in so many chunks take.
func (l *Ledger) Outcome(memory func(users, chunks float64) float64) Outcome {
	o := Outcome{WouldGrant: l.granted.Load(), AlreadyGranted: l.already.Load(), Excluded: l.excluded.Load()}
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := 0
	for _, c := range l.chunks {
		if c.fresh.Load() == 0 {
			continue
		}
		o.Chunks++
		if c.stored == nil {
			fresh++
		}
	}
	o.LedgerBytes = int64(memory(float64(o.WouldGrant), float64(fresh)))
	return o
}
