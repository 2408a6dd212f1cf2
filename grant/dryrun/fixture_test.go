package dryrun

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/engine"
	"github.com/granter/granter/metrics"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stored is a Reader of a ledger in memory.
type stored struct {
	chunks    map[uint64]*dense.Bitmap
	excluded  map[uint64]*dense.Bitmap // of those
	forbidden error                    // of Permits

	mu    sync.Mutex
	err   error
	asked map[uint64]int // how often for each chunk
}

func (s *stored) Permits(context.Context, *grant.Campaign) error { return s.forbidden }

func (s *stored) Settled(_ context.Context, chunks []uint64) (settled, excluded []*dense.Bitmap, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*dense.Bitmap, len(chunks))
	for i, chunk := range chunks {
		if s.asked == nil {
			s.asked = map[uint64]int{}
		}
		s.asked[chunk]++
		if b := s.chunks[chunk]; b != nil {
			c := *b
			out[i] = &c
		}
	}
	excluded = make([]*dense.Bitmap, len(chunks))
	for i, chunk := range chunks {
		if b := s.excluded[chunk]; b != nil {
			c := *b
			excluded[i] = &c
		}
	}
	return out, excluded, s.err
}

func bitmap(lows ...uint16) *dense.Bitmap {
	b := new(dense.Bitmap)
	for _, low := range lows {
		b.Set(low)
	}
	return b
}

func delta(chunk uint64, lows ...uint16) dense.Delta {
	b := bitmap(lows...)
	return dense.Delta{Chunk: chunk, Members: b, Count: b.Count()}
}

// lows returns the members of a bitmap; nil has none.
func lows(b *dense.Bitmap) []uint16 {
	if b == nil {
		return nil
	}
	return b.Lows(nil)
}

// malformed is a record without a user ID.
const malformed = -1

// records is a topic in memory, one slice for each partition. It is read, and nothing else.
type records struct {
	t     *testing.T
	parts [][]int64
	err   error
}

func (s *records) Prepare(context.Context) error {
	s.t.Error("a dry run made a dead-letter topic")
	return nil
}

func (s *records) Bind(context.Context) (grant.TopicID, error) {
	return grant.TopicID{Cluster: "c"}, s.err
}
func (s *records) Intact(context.Context, grant.Checkpoint) error { return nil }
func (s *records) Epoch(int, int64) int32                         { return -1 }

func (s *records) Join() (grant.Group, error) {
	s.t.Error("a dry run joined the consumer group")
	return nil, nil
}

func (s *records) Bounds(context.Context) (grant.Bounds, error) {
	out := grant.Bounds{Firsts: grant.Offsets{}, Ends: grant.Offsets{}}
	for i, part := range s.parts {
		out.Firsts[i], out.Ends[i] = 0, int64(len(part))
	}
	return out, s.err
}

func (s *records) Consume(ctx context.Context, partition int, from, until int64, lane *sharding.Lane) error {
	for offset := from; offset < until; offset++ {
		id := s.parts[partition][offset]
		switch {
		case id == malformed:
			lane.Reject()
		case lane.Withheld(uint64(id)):
			lane.Withhold()
		default:
			if err := lane.Await(ctx); err != nil {
				return err
			}
			if err := lane.Add(ctx, offset, uint64(id)); err != nil {
				return err
			}
		}
		if offset%97 == 96 {
			if err := lane.Mark(ctx, offset+1, false); err != nil {
				return err
			}
		}
	}
	return lane.Mark(ctx, until, true)
}

// rehearse is a run of the whole way, as run --dry-run makes it.
func rehearse(ctx context.Context, s *records, c *grant.Campaign, reader Reader, includes func(uint64) bool) (grant.Tally, *Ledger, error) {
	bounds, _ := s.Bounds(ctx)
	dry := NewLedger(reader, bounds.Firsts, nil)
	r := engine.NewRun()
	r.Campaign, r.Source, r.Ledger, r.Now, r.Pass = c, Source{Source: s}, dry, true, Pass(grant.Pass{Includes: includes})
	r.Log = slog.New(slog.DiscardHandler)
	m := metrics.New(prometheus.NewPedanticRegistry(), metrics.Labels{Campaign: c.Name, Version: "test"})
	r.Monitor = engine.NewMonitor(m, r.Log, time.Minute, func() metrics.Pool { return metrics.Pool{} })
	r.Record = grant.RunRecord{Run: grant.NewRunID(time.Now())}
	r.Sharding = dense.Config{
		Config:    sharding.Config{Shards: 4, BlockIDs: 64, MaxPending: 256},
		MaxChunks: 3,
		Observer:  r.Monitor,
	}
	err := r.Do(ctx)
	tally := r.Monitor.Snapshot().Tally
	return tally, dry, err
}

// projected is a projection that gives its arguments back.
func projected(users, chunks float64) float64 { return users + 1e6*chunks }

func outcome(l *Ledger) Outcome { return l.Outcome(projected) }
