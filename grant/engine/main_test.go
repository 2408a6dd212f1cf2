package engine

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/metrics"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a topic and a store, in which runs live. Its clock is that of its synctest bubble.
type world struct {
	t     *testing.T
	topic *topic
	store *store
}

// inWorld calls fn in a bubble, and then checks what must hold whatever has happened.
func inWorld(t *testing.T, tp *topic, fn func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tp.changed = make(chan struct{}) // it belongs to the bubble
		w := &world{t: t, topic: tp, store: newStore(tp)}
		fn(t, w)
		require.Empty(t, tp.broken)
		require.Empty(t, w.store.broken)
	})
}

// process is a run under way.
type process struct {
	*Run
	world    *world
	registry *prometheus.Registry
	cancel   context.CancelFunc
	done     chan error
}

// process makes a run with small blocks, so that a few records make several flushes.
func (w *world) process(set ...func(*Run)) *process {
	r := NewRun()
	p := &process{Run: r, world: w, registry: prometheus.NewPedanticRegistry(), done: make(chan error, 1)}
	m := metrics.New(p.registry, metrics.Labels{Campaign: "c", Version: "test"})
	r.Campaign = &grant.Campaign{Name: "c", Hash: "one", StartsAt: time.Now().Add(-time.Hour)}
	r.Log = slog.New(slog.DiscardHandler)
	r.Monitor = NewMonitor(m, r.Log, time.Minute, func() metrics.Pool { return metrics.Pool{} })
	metrics.Register(p.registry, "c", r.Monitor)
	r.Record = grant.RunRecord{Run: grant.NewRunID(time.Now()), Host: "host", PID: 7}
	r.Source, r.Ledger = &reader{topic: w.topic, monitor: r.Monitor}, w.store.client(r.Record.Run)
	r.Sharding = dense.Config{
		Config:   sharding.Config{Shards: 2, BlockIDs: 16, QueueBlocks: 2, MaxPending: 64, MaxDelay: 500 * time.Millisecond},
		Observer: r.Monitor,
	}
	r.Peek = w.topic.Bounds
	for _, fn := range set {
		fn(r)
	}
	return p
}

// start starts a run and returns when it waits for something: a run that is started before another is its elder in the
// group. A run that hangs ends with an error after a day.
func (w *world) start(set ...func(*Run)) *process {
	p := w.process(set...)
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	p.cancel = cancel
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.done <- p.Do(ctx)
	}()
	w.t.Cleanup(func() { cancel(); <-over })
	synctest.Wait()
	return p
}

// settle waits for a while, in which everything that can happen happens.
func (w *world) settle() {
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

// wait returns how the run ended. Its counts must add up.
func (p *process) wait() error {
	err := <-p.done
	s := p.Monitor.Snapshot()
	require.Equal(p.world.t, s.Tally.Consumed, outcomes(s.Tally), "%+v", s.Tally)
	for partition, t := range s.Partitions {
		require.Equal(p.world.t, t.Consumed, outcomes(t), "partition %d: %+v", partition, t)
	}
	record, _ := p.world.store.record(p.Record.Run)
	require.Equal(p.world.t, s.Tally, record.Tally, "the record has the counts")
	return err
}

// outcomes returns how many records have one: every one that was consumed.
func outcomes(t grant.Tally) int64 { return t.Granted + t.Duplicate + t.Rejected + t.Withheld }

// requireAllGranted checks that everybody is granted and everything is settled.
func (w *world) requireAllGranted() {
	w.t.Helper()
	require.Equal(w.t, w.topic.users(), w.store.users)
	require.Equal(w.t, w.topic.end(), w.store.at())
}

// metrics returns what the run counts.
func (p *process) metrics() *metrics.Metrics { return p.Monitor.metrics }

func follow(r *Run) { r.Follow = true }

// anHourPasses is for use inside a world, whose time passes as soon as everybody waits.
func anHourPasses() { time.Sleep(time.Hour) }
