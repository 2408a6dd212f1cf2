package source

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTheBreakerTripsAboveItsLimitOnly(t *testing.T) {
	reject := func(n int) []letter { return make([]letter, n) }
	t.Run("at the limit and one above", func(t *testing.T) {
		b := &breaker{limit: 0.25, topic: topicName}
		require.NoError(t, b.pass(8000, reject(2000)))
		require.NoError(t, b.pass(4, reject(1)))
		err := b.pass(1, reject(1))
		require.ErrorIs(t, err, ErrTooManyRejected)
		require.ErrorContains(t, err, "2002 of 8005 in topic kakaotalk-users, the limit is 25%")
	})
	t.Run("not before the minimum", func(t *testing.T) {
		b := &breaker{limit: 0}
		require.NoError(t, b.pass(breakerMinimum, reject(breakerMinimum)))
		require.NoError(t, b.pass(1000, nil))
		require.Error(t, b.pass(1, reject(1)))
	})
	t.Run("never when all may be rejected", func(t *testing.T) {
		b := &breaker{limit: 1}
		require.NoError(t, b.pass(1<<30, reject(1<<20)))
		require.NoError(t, b.pass(1, reject(1)))
	})
	t.Run("not for a partition that rejects nothing", func(t *testing.T) {
		b := &breaker{limit: 0.01}
		require.Error(t, b.pass(5000, reject(5000)))
		require.NoError(t, b.pass(10, nil))
	})
	t.Run("an example is named", func(t *testing.T) {
		b := &breaker{limit: 0.5}
		err := b.pass(1001, append(reject(1000), letter{offset: 77, reason: ReasonSpace, value: []byte(" 12")}))
		require.ErrorContains(t, err, "the last one for space at offset 77")
		require.NotContains(t, err.Error(), " 12", "who it is about is nobody's business")
	})
}

// A topic in another format would be copied into the dead-letter topic as a whole.
func TestAFloodOfRejectsStopsTheRunBeforeItIsStored(t *testing.T) {
	flood := make([]rec, 1500)
	for i := range flood {
		flood[i] = rec{offset: int64(i), value: []byte("user 7")}
	}
	var produced atomic.Int64
	b := startScripted(t, serveLog(t, batchOf(flood...)))
	b.other = func(req kmsg.Request) kmsg.Response {
		if _, ok := req.(*kmsg.ProduceRequest); ok {
			produced.Add(1)
		}
		return nil
	}
	seen := new(witness)
	s := newSource(t, []string{b.addr}, func(c *Config) { c.Topic.MaxRejected, c.Observer = 0.01, seen })
	r := read(t, s, 0, 0, 1500)
	p, err := r.end()
	require.ErrorIs(t, err, ErrTooManyRejected)
	require.Zero(t, produced.Load())
	require.Zero(t, p.Next)
	require.Empty(t, seen.rejected)
}
