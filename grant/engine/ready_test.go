package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Whoever asks /readyz wants to know within seconds, and why.
func TestAServerThatDoesNotAnswerMakesARunUnready(t *testing.T) {
	silent := errors.New("no answer")
	kafkaIsSilent := func(_ *board, kafka *atomic.Bool) { kafka.Store(true) }
	redisIsSilent := func(b *board, _ *atomic.Bool) { b.change(func() { b.err = silent }) }
	for _, c := range []struct {
		name    string
		breakIt func(b *board, kafka *atomic.Bool)
		says    string
		waiting bool
	}{
		{"Redis", redisIsSilent, "Redis does not answer, or refuses: no answer", false},
		{"Redis before the start", redisIsSilent, "Redis does not answer, or refuses: no answer", true},
		{"Kafka", kafkaIsSilent, "Kafka does not answer: no answer", false},
		{"Kafka before the start", kafkaIsSilent, "Kafka does not answer: no answer", true},
	} {
		inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
			b := newBoard()
			var kafka atomic.Bool // is silent
			options := []func(*Run){follow, b.orders, func(r *Run) {
				peek := r.Peek
				r.Peek = func(ctx context.Context) (grant.Bounds, error) {
					if kafka.Load() {
						return grant.Bounds{}, silent
					}
					return peek(ctx)
				}
			}}
			well := ""
			if c.waiting {
				options, well = append(options, dates(time.Hour, 0)), "waiting for starts_at"
			}
			p := w.start(options...)
			w.settle()
			require.Equal(t, well, p.Monitor.Ready(), c.name)
			c.breakIt(b, &kafka)
			time.Sleep(surveyEvery + surveyFor + time.Second)
			require.Equal(t, c.says, p.Monitor.Ready())
			require.Equal(t, kafka.Load(), testutil.ToFloat64(p.metrics().KafkaSilent) > 0)
			b.change(func() { b.err = nil })
			kafka.Store(false)
			time.Sleep(surveyEvery + surveyFor + time.Second)
			require.Equal(t, well, p.Monitor.Ready(), "it answers again")
			require.Zero(t, testutil.ToFloat64(p.metrics().KafkaSilent))
			p.Drain()
			require.ErrorIs(t, p.wait(), ErrDrained)
			require.Equal(t, "the run has ended: stopped", p.Monitor.Ready())
		})
	}
}

// A Redis that is full, or a replica, answers questions and refuses grants.
func TestALedgerThatRefusesIsUnavailable(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		p := w.start(follow, b.orders)
		w.settle()
		answer := make(chan struct{})
		w.store.change(func() {
			w.store.write = func(context.Context) error {
				p.Monitor.LedgerError("oom")
				<-answer
				return nil
			}
		})
		w.topic.add(0, ids(50, 1000, 1)...)
		time.Sleep(refusedAfter + time.Second)
		require.Contains(t, p.Monitor.Ready(), "refuses: Redis has taken no checkpoint since")
		require.Contains(t, p.Monitor.Ready(), "oom")
		require.Equal(t, grant.CauseUnavailable, p.Monitor.Holds()[0].Cause)
		close(answer)
		w.store.change(func() { w.store.write = nil })
		w.settle()
		require.Empty(t, p.Monitor.Ready())
		require.Empty(t, p.Monitor.Holds())
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
	})
}
