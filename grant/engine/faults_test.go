package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

var errLane = errors.New("the partition could not be read")

// simulation is a topic, replicas that are started again until they finish, and what goes wrong meanwhile.
type simulation struct {
	opaque   bool // IDs are not dense
	parts    [][]int64
	replicas int
	batch    int
	pace     time.Duration
	sharding dense.Config
	faults   []fault
}

type fault struct {
	at    time.Duration
	kind  string
	who   int // replica or partition
	count int
}

var faults = []string{
	"loss", "loss", "loss of everything", "rebalance", "rebalance", "lane", "drain", "kill",
	"flush refused", "acknowledgement lost", "checkpoint refused", "commits refused",
}

func drawSimulation(t *rapid.T) simulation {
	id := rapid.Custom(func(t *rapid.T) int64 {
		n := rapid.Int64Range(-2, 600).Draw(t, "id")
		if n < 0 {
			return n // malformed or outside
		}
		return n%3<<dense.ChunkBits | n
	})
	return simulation{
		opaque:   rapid.Bool().Draw(t, "opaque"),
		parts:    rapid.SliceOfN(rapid.SliceOfN(id, 0, 300), 1, 4).Draw(t, "parts"),
		replicas: rapid.IntRange(1, 3).Draw(t, "replicas"),
		batch:    rapid.IntRange(1, 40).Draw(t, "batch"),
		pace:     time.Duration(rapid.IntRange(1, 100).Draw(t, "pace")) * time.Millisecond,
		sharding: dense.Config{Config: sharding.Config{
			Shards:     rapid.IntRange(1, 4).Draw(t, "shards"),
			BlockIDs:   rapid.IntRange(1, 32).Draw(t, "block"),
			MaxPending: rapid.IntRange(1, 100).Draw(t, "pending"),
		}},
		faults: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fault {
			return fault{
				at:    time.Duration(rapid.IntRange(0, 3000).Draw(t, "at")) * time.Millisecond,
				kind:  rapid.SampledFrom(faults).Draw(t, "kind"),
				who:   rapid.IntRange(0, 3).Draw(t, "who"),
				count: rapid.IntRange(1, 30).Draw(t, "count"),
			}
		}), 0, 15).Draw(t, "faults"),
	}
}

// Whatever goes wrong, and in whatever order: in the end everybody is granted, the counts of every run add up, no
// checkpoint was ever beyond what is granted, and what the runs say they granted is what the ledger acknowledged.
func TestWhateverFailsEverybodyIsGrantedOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawSimulation(rt)
		require.Empty(rt, s.run(t), "%+v", s.faults)
	})
}

// live is the state of a simulation under way.
type live struct {
	*world
	simulation

	mu       sync.Mutex
	current  []*process // by replica
	cancel   []context.CancelFunc
	problems []string
	granted  int64
}

// run returns what must not be.
func (s simulation) run(t *testing.T) (problems []string) {
	synctest.Test(t, func(t *testing.T) {
		tp := newTopic(s.parts...)
		tp.changed, tp.batch, tp.pace, tp.opaque = make(chan struct{}), s.batch, s.pace, s.opaque
		l := &live{
			world: &world{t: t, topic: tp, store: newStore(tp)}, simulation: s,
			current: make([]*process, s.replicas), cancel: make([]context.CancelFunc, s.replicas),
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var wg sync.WaitGroup
		for i := range s.replicas {
			wg.Go(func() { l.replica(ctx, i) })
		}
		for _, f := range s.faults {
			wg.Go(func() {
				time.Sleep(f.at)
				l.strike(f)
			})
		}
		wg.Wait()
		l.finish()
		problems = l.problems
	})
	return problems
}

func (l *live) problem(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

// replica starts a run again and again until it finishes.
func (l *live) replica(ctx context.Context, i int) {
	for {
		p := l.process(func(r *Run) {
			r.Sharding = l.simulation.sharding
			r.Sharding.Observer = r.Monitor
			if l.simulation.opaque {
				r.Members = &Members{Sink: r.Ledger.(*client), Layout: numbers}
			}
		})
		running, cancel := context.WithCancel(ctx)
		l.mu.Lock()
		l.current[i], l.cancel[i] = p, cancel
		l.mu.Unlock()
		err := p.Do(running)
		cancel()

		s := p.Monitor.Snapshot()
		if s.Tally.Consumed != outcomes(s.Tally) {
			l.problem("replica %d: %+v", i, s.Tally)
		}
		l.mu.Lock()
		l.granted += s.Tally.Granted
		l.mu.Unlock()
		switch {
		case err == nil:
			return
		case ctx.Err() != nil:
			l.problem("replica %d hangs", i)
			return
		case errors.Is(err, ErrDrained), errors.Is(err, context.Canceled), errors.Is(err, errLane), errors.Is(err, errDown):
		default:
			l.problem("replica %d: %v", i, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (l *live) strike(f fault) {
	who := f.who % l.replicas
	partition := f.who % len(l.parts)
	switch f.kind {
	case "loss":
		l.store.lose(f.count)
	case "loss of everything":
		l.store.loseEverything()
	case "rebalance":
		l.topic.change(l.topic.rebalance)
	case "lane":
		offset := int64(f.count * len(l.parts[partition]) / 30)
		l.topic.change(func() { l.topic.failures[partition] = failure{offset: offset, err: errLane, once: true} })
	case "drain", "kill":
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case l.current[who] == nil: // not started yet
		case f.kind == "drain":
			l.current[who].Drain()
		default:
			l.cancel[who]()
		}
	case "flush refused", "acknowledgement lost":
		l.store.change(func() {
			l.store.grant = func(*dense.Flush) (bool, error) {
				l.store.grant = nil
				return f.kind == "acknowledgement lost", errDown
			}
		})
	case "checkpoint refused":
		l.store.change(func() {
			l.store.write = func(context.Context) error {
				l.store.change(func() { l.store.write = nil })
				return errDown
			}
		})
	case "commits refused":
		l.topic.change(func() { l.topic.commitErr = errDown })
		time.Sleep(time.Duration(f.count) * 50 * time.Millisecond)
		l.topic.change(func() { l.topic.commitErr = nil })
	}
}

// finish checks what must hold when every replica has finished.
func (l *live) finish() {
	l.problems = append(l.problems, append(l.topic.broken, l.store.broken...)...)
	if want := l.topic.users(); !maps.Equal(want, l.store.users) {
		l.problem("%d users, %d granted", len(want), len(l.store.users))
	}
	if ends := l.topic.end(); !maps.Equal(ends, l.store.checkpoint) {
		l.problem("the topic ends at %v, the checkpoint is %v", ends, l.store.checkpoint)
	}
	if l.store.spec == "" {
		l.problem("nobody knows what was granted: the spec is lost")
	}
	if l.granted != l.store.granted {
		l.problem("the runs say %d were granted, the ledger acknowledged %d", l.granted, l.store.granted)
	}
	if len(l.topic.members) > 0 {
		l.problem("%d members are still in the group", len(l.topic.members))
	}
}
