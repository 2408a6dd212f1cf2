package desk

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/status"
)

// asked is a hub and how often it has asked. It runs in a bubble, so times are exact.
type asked struct {
	*hub
	*testing.T
	times atomic.Int64
	err   error
}

func inBubble(t *testing.T, fn func(*asked)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &asked{T: t}
		a.hub = newHub(func(context.Context) (*status.Status, error) {
			if a.err != nil {
				return nil, a.err
			}
			return &status.Status{Granted: a.times.Add(1)}, nil
		}, time.Second, prometheus.NewGauge(prometheus.GaugeOpts{Name: "listeners", Help: "Listeners."}))
		defer a.close()
		fn(a)
	})
}

// granted returns the number in an event, which is that of the question.
func (a *asked) granted(e event) int64 {
	a.Helper()
	require.Equal(a, "status", e.name)
	var s status.Status
	require.NoError(a, json.Unmarshal(e.data, &s))
	return s.Granted
}

func TestAllListenersShareOneAnswer(t *testing.T) {
	inBubble(t, func(a *asked) {
		one, two := a.join(), a.join()
		start := time.Now()
		for i := range int64(10) {
			require.Equal(t, i+1, a.granted(<-one))
			require.Equal(t, i+1, a.granted(<-two))
		}
		require.Equal(t, 9*time.Second, time.Since(start))
		require.EqualValues(t, 10, a.times.Load())
		require.InDelta(t, 2, testutil.ToFloat64(a.count), 0)

		synctest.Wait()
		three := a.join()
		require.EqualValues(t, 10, a.granted(<-three), "the last answer, at once")
		require.EqualValues(t, 10, a.times.Load())
	})
}

func TestNobodyAsksWhileNobodyListens(t *testing.T) {
	inBubble(t, func(a *asked) {
		time.Sleep(time.Minute)
		require.Zero(t, a.times.Load())
		one := a.join()
		require.EqualValues(t, 1, a.granted(<-one))
		a.leave(one)
		a.leave(one)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, a.times.Load())
		require.InDelta(t, 0, testutil.ToFloat64(a.count), 0)
		for _, events := range []chan event{a.join(), a.join()} {
			require.EqualValues(t, 2, a.granted(<-events), "no old answer")
		}
	})
}

func TestASlowListenerIsDropped(t *testing.T) {
	inBubble(t, func(a *asked) {
		slow, quick := a.join(), a.join()
		for i := range int64(backlog + 1) {
			require.Equal(t, i+1, a.granted(<-quick))
		}
		synctest.Wait()
		got := int64(0)
		for e := range slow {
			got = a.granted(e)
		}
		require.EqualValues(t, backlog, got, "it has what it did not take, and nothing more")
		require.EqualValues(t, backlog+2, a.granted(<-quick), "others go on")
		a.leave(slow)
		require.InDelta(t, 1, testutil.ToFloat64(a.count), 0)
	})
}

func TestAProblemIsTold(t *testing.T) {
	inBubble(t, func(a *asked) {
		a.err = errors.New("cannot reach Redis")
		e := <-a.join()
		require.Equal(t, "problem", e.name)
		var p Problem
		require.NoError(t, json.Unmarshal(e.data, &p))
		require.Equal(t, *newProblem(kindUnavailable, "cannot reach Redis"), p)
	})
}

// A status that is never updates becomes a problem.
func TestAnAnswerHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(func(ctx context.Context) (*status.Status, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, time.Second, prometheus.NewGauge(prometheus.GaugeOpts{Name: "listeners", Help: "Listeners."}))
		defer h.close()
		start := time.Now()
		require.Equal(t, "problem", (<-h.join()).name)
		require.Equal(t, answerWithin, time.Since(start))
	})
}

func TestNothingIsLeftOfAClosedHub(t *testing.T) {
	inBubble(t, func(a *asked) {
		one, two := a.join(), a.join()
		<-one
		a.close()
		_, more := <-one
		require.False(t, more)
		require.NotEmpty(t, <-two, "what it had not taken")
		_, more = <-two
		require.False(t, more)
		a.leave(one)
		require.Nil(t, a.join())
		a.close()
	})
}
