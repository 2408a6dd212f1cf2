package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// scrape returns what the run exports: by metric, by the values of its labels without the campaign.
func (p *process) scrape() map[string]map[string]float64 {
	families, err := p.registry.Gather()
	require.NoError(p.world.t, err)
	out := map[string]map[string]float64{}
	for _, f := range families {
		values := map[string]float64{}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "campaign" {
					labels = append(labels, l.GetValue())
				}
			}
			values[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue() // of which it has one
		}
		out[f.GetName()] = values
	}
	return out
}

func (p *process) series(name string) map[string]float64 { return p.scrape()[name] }

func TestTheCountsAddUpInEveryScrapeAndNeverGoBack(t *testing.T) {
	inWorld(t, newTopic(append(ids(400, 0, 50), malformed, outside), ids(400, 100, 50)), func(t *testing.T, w *world) {
		w.topic.batch, w.topic.pace = 7, 20*time.Millisecond
		p := w.start()
		before := map[string]float64{}
		for i := range 150 {
			time.Sleep(10 * time.Millisecond)
			scrape := p.scrape()
			consumed, records := scrape["granter_consumed_records_total"], scrape["granter_records_total"]
			for partition, n := range consumed {
				sum := 0.0
				for _, outcome := range []string{"granted", "duplicate", "rejected", "withheld"} {
					sum += records[outcome+" "+partition]
				}
				require.InDelta(t, n, sum, 0)
				records[partition] = n
			}
			for labels, n := range before {
				require.GreaterOrEqual(t, records[labels], n, labels)
			}
			before = records
			switch i % 40 {
			case 10:
				w.topic.change(w.topic.rebalance)
			case 30:
				require.True(t, w.store.lose(3))
			}
		}
		require.NoError(t, p.wait())
		w.requireAllGranted()
		require.Positive(t, testutil.ToFloat64(p.metrics().Regressions))
	})
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestOnlyAPartitionWithRecordsThatDoNotMoveIsStalled(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1)), func(t *testing.T, w *world) {
		logged := &lines{}
		p := w.start(follow, func(r *Run) { r.Monitor.log = slog.New(slog.NewTextHandler(logged, nil)) })
		warnings := func() int { return strings.Count(logged.String(), "a partition makes no progress") }
		time.Sleep(time.Hour) // with nothing to do
		require.Empty(t, p.Monitor.Ready())

		w.topic.hold(0, 100)
		w.topic.add(0, ids(50, 2000, 1)...)
		w.settle()
		p.Monitor.Position(0, 100, 150)
		time.Sleep(50 * time.Second)
		require.Empty(t, p.Monitor.Ready(), "it may still come")
		require.Zero(t, warnings())
		time.Sleep(time.Hour)
		require.Equal(t, "partitions make no progress", p.Monitor.Ready())
		require.Equal(t, 1, p.Monitor.Snapshot().Stalled)
		require.InDelta(t, 1, p.series("granter_stalled_partitions")[""], 0)
		require.Equal(t, 1, warnings(), "once")
		require.Contains(t, logged.String(), "partition=0 offset=100 records_waiting=50")

		w.topic.release()
		w.settle()
		require.Empty(t, p.Monitor.Ready())
		require.InDelta(t, 0, p.series("granter_stalled_partitions")[""], 0)

		w.topic.hold(0, 150)
		w.topic.add(0, 9999)
		w.settle()
		p.Monitor.Position(0, 150, 151)
		time.Sleep(time.Hour)
		require.Equal(t, 2, warnings(), "and again the next time")
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
		require.InDelta(t, 0, p.series("granter_stalled_partitions")[""], 0)
	})
}

// A snapshot does not read what came later, so that a partition has more is no reason to be alarmed.
func TestAPartitionThatIsDoneIsNotStalled(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(1, 0)
		p := w.start()
		p.Monitor.Position(0, 100, 5000)
		for at := range int64(100) {
			w.topic.hold(1, at)
			time.Sleep(30 * time.Second)
			require.Empty(t, p.Monitor.Ready())
		}
		w.topic.release()
		require.NoError(t, p.wait())
		ratio, left := p.Monitor.Progress()
		require.InDelta(t, 1, ratio, 0)
		require.Zero(t, left)
	})
}

func TestALedgerThatDoesNotAnswerIsSeen(t *testing.T) {
	inWorld(t, newTopic(ids(1000, 0, 1)), func(t *testing.T, w *world) {
		w.topic.pace, w.topic.batch = 100*time.Millisecond, 10
		p := w.start()
		time.Sleep(3100 * time.Millisecond)
		require.InDelta(t, 100, p.Monitor.Snapshot().Rate, 10)

		answer := make(chan struct{})
		w.store.change(func() {
			w.store.write = func(context.Context) error { <-answer; return nil }
		})
		w.topic.hold(0, 500)
		time.Sleep(time.Minute + time.Second)
		require.Contains(t, p.Monitor.Ready(), "the ledger has taken no checkpoint for 1m")
		require.InDelta(t, 61, p.Monitor.CheckpointAge(), 1)
		require.Zero(t, p.Monitor.Snapshot().Rate, "what it was a minute ago is no news")
		_, left := p.Monitor.Progress()
		require.InDelta(t, -1, left, 0)

		close(answer)
		w.settle()
		require.Empty(t, p.Monitor.Ready())
		require.Less(t, p.Monitor.CheckpointAge(), 1.0)
		w.topic.release()
		require.NoError(t, p.wait())
	})
}

func TestReadyMeansThatTheRunDoesItsWork(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		other, err := w.topic.Join() // it does not answer
		require.NoError(t, err)
		p := w.start()
		require.Equal(t, "no partitions assigned", p.Monitor.Ready())
		require.NoError(t, other.Leave())
		synctest.Wait()
		require.NoError(t, p.wait())
		require.Empty(t, p.Monitor.Ready(), "it has done its work")
	})
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		w.topic.fail(0, 5, errLane)
		p := w.start()
		require.ErrorIs(t, p.wait(), errLane)
		require.NotEmpty(t, p.Monitor.Ready())
	})
}

func TestTheStateIsOneOfTheRunsStates(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 5)
		p := w.start(dates(time.Minute, 0))
		require.Equal(t, map[string]float64{"waiting": 1}, p.series("granter_run_state"))
		time.Sleep(2 * time.Minute)
		require.Equal(t, map[string]float64{"waiting": 0, "running": 1}, p.series("granter_run_state"))
		w.topic.release()
		require.NoError(t, p.wait())
		require.Equal(t, map[string]float64{"waiting": 0, "running": 0, "finished": 1}, p.series("granter_run_state"))
	})
}

func TestProgressCountsTheWorkOfThisProcess(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(300, 1000, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 50)
		w.topic.hold(1, 150)
		a := w.start()
		w.settle()
		s := a.Monitor.Snapshot()
		require.Equal(t, []int64{200, 400}, []int64{s.Done, s.Work})

		b := w.start() // it takes partition 1
		w.settle()
		s = a.Monitor.Snapshot()
		require.Equal(t, []int64{50, 100}, []int64{s.Done, s.Work})
		s = b.Monitor.Snapshot()
		require.Equal(t, []int64{0, 150}, []int64{s.Done, s.Work}, "it begins where the other was")
		require.Equal(t, map[string]float64{"0": 50}, a.series("granter_partition_position_offset"), "the other knows better")
		require.Equal(t, map[string]float64{"0": 100, "1": 300}, a.series("granter_partition_end_offset"))
		require.Equal(t, map[string]float64{"0": 50, "1": 150}, a.series("granter_partition_checkpoint_offset"))
		require.Equal(t, map[string]float64{"0": 50, "1": 150}, a.series("granter_partition_lag_records"))

		w.topic.release()
		require.NoError(t, a.wait())
		require.NoError(t, b.wait())
		s = b.Monitor.Snapshot()
		require.Equal(t, []int64{150, 150}, []int64{s.Done, s.Work})
	})
}

func TestProgressGoesBackWithALoss(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 80)
		first := w.start()
		w.settle()
		first.Drain()
		require.ErrorIs(t, first.wait(), ErrDrained)
		second := w.start()
		w.settle()
		s := second.Monitor.Snapshot()
		require.Equal(t, []int64{0, 20}, []int64{s.Done, s.Work})

		w.topic.hold(0, 40)
		w.store.loseEverything()
		w.settle()
		s = second.Monitor.Snapshot()
		require.Equal(t, []int64{40, 100}, []int64{s.Done, s.Work})
		w.topic.release()
		require.NoError(t, second.wait())
	})
}

func TestWhatTheRunSaysAboutItselfCanAlwaysBeStored(t *testing.T) {
	inWorld(t, newTopic(ids(10, 0, 1)), func(t *testing.T, w *world) {
		w.topic.hold(0, 5)
		p := w.start()
		time.Sleep(p.CheckpointEvery)
		synctest.Wait()
		w.topic.release() // the last checkpoint is at the same moment of this clock
		require.NoError(t, p.wait())
		for _, record := range w.store.records[p.Record.Run] {
			text, err := json.Marshal(record)
			require.NoError(t, err, "%+v", record)
			require.NotContains(t, string(text), `"partitions":null`)
		}
	})
}

func TestFlushesAreCounted(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1000)), func(t *testing.T, w *world) {
		p := w.start()
		require.NoError(t, p.wait())
		users := 0.0
		for shard, n := range p.series("granter_shard_users_total") {
			require.Contains(t, []string{"0", "1"}, shard)
			users += n
		}
		require.InDelta(t, 100, users, 0)
		p.Monitor.FlushDone(0, 60, 3, 1000, time.Second)
		p.Monitor.FlushDone(1, 40, 2, 500, time.Second)
		require.InDelta(t, 5, testutil.ToFloat64(p.metrics().LedgerCalls), 0)
		require.InDelta(t, 1500, testutil.ToFloat64(p.metrics().LedgerBytes), 0)
		p.Monitor.LedgerError("timeout")
		require.InDelta(t, 1, testutil.ToFloat64(p.metrics().RedisErrors.WithLabelValues("timeout")), 0)
	})
}

func TestTheQueuesAreSeenWhileARunHasPartitions(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		p := w.start(follow, func(r *Run) { r.Sharding = dense.Config{Config: sharding.Config{Shards: 4}} })
		w.settle()
		require.Equal(t, []int{0, 0, 0, 0}, p.Monitor.QueueDepths())
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
		require.Empty(t, p.Monitor.QueueDepths())
	})
}
