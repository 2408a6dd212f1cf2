package source

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTheBreakerTripsAboveItsLimitOnly(t *testing.T) {
	reject := func(n int) []deadLetter { return make([]deadLetter, n) }
	t.Run("at the limit and one above", func(t *testing.T) {
		b := &breaker{limit: 0.25, topic: topicName}
		require.NoError(t, b.pass(8000, reject(2000)))
		require.NoError(t, b.pass(4, reject(1)))
		err := b.pass(1, reject(1))
		require.ErrorIs(t, err, ErrTooManyRejected)
		require.ErrorContains(t, err, "2002 of 8005 in topic kakaotalk-users, the limit is 25%")
	})
	t.Run("not before the minimum", func(t *testing.T) {
		b := &breaker{limit: 0.000001}
		require.NoError(t, b.pass(breakerMinimum, reject(breakerMinimum)))
		require.NoError(t, b.pass(1000, nil))
		require.Error(t, b.pass(1, reject(1)))
	})
	t.Run("at the first when none is tolerated", func(t *testing.T) {
		b := &breaker{limit: 0}
		require.NoError(t, b.pass(1<<30, nil))
		require.ErrorContains(t, b.pass(1, reject(1)), "1 of 1073741825 in topic , the limit is 0%")
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
		err := b.pass(1001, append(reject(1000), deadLetter{offset: 77, reason: ReasonSpace, Parts: Parts{Value: []byte(" 12")}}))
		require.ErrorContains(t, err, "the last one for space at offset 77")
		require.NotContains(t, err.Error(), " 12", "who it is about is nobody's business")
	})
}

// A topic in another format would be copied into the dead-letter topic as a whole.
func TestAFloodOfRejectsStopsTheRunBeforeItIsStored(t *testing.T) {
	c := fakeKafka(t, 1)
	var list []*kgo.Record
	for i := range 1500 {
		list = append(list, values(topicName, "user "+strconv.Itoa(i))...)
	}
	produce(t, c.ListenAddrs(), list...)
	for name, count := range map[string]bool{"a run": false, "a canary": true} {
		t.Run(name, func(t *testing.T) {
			seen := new(witness)
			s := prepared(t, c, func(c *Config) { c.Topic.MaxRejected, c.Observer, c.Pass.Private = 0.01, seen, count })
			p, err := read(t, s, 0, 0, 1500).end()
			require.ErrorIs(t, err, ErrTooManyRejected)
			require.Zero(t, p.Next)
			require.Len(t, seen.rejected, floodSamples, "what status shows")
			if count {
				require.ErrorContains(t, err, "granter status --json has samples")
				return
			}
			require.ErrorContains(t, err, letterTopic+" has samples")
			got := stored(t, c.ListenAddrs(), letterTopic, floodSamples)
			require.Equal(t, "1499", header(got[floodSamples-1], HeaderOffset))
		})
	}
}

// 0% means none: the users before the first rejected record are granted, and nobody behind it.
func TestNoneToleratedStopsExactlyAtTheFirst(t *testing.T) {
	c := fakeKafka(t, 1)
	produce(t, c.ListenAddrs(), values(topicName, "1", "2", "x", "4", "y", "6")...)
	seen := new(witness)
	r := read(t, prepared(t, c, func(c *Config) { c.Topic.MaxRejected, c.Observer = 0, seen }), 0, 0, 6)
	p, err := r.end()
	require.ErrorIs(t, err, ErrTooManyRejected)
	require.ErrorContains(t, err, "1 of 3 in topic")
	require.Equal(t, []int64{1, 2}, r.ids())
	require.EqualValues(t, 2, p.Next, "a later run begins with the record that was rejected")
	require.Equal(t, "2", header(stored(t, c.ListenAddrs(), letterTopic, 1)[0], HeaderOffset))
	require.Equal(t, []string{string(ReasonNotDecimal)}, seen.rejected)

	_, err = read(t, prepared(t, c, func(c *Config) { c.Topic.MaxRejected = 0 }), 0, p.Next, 6).end()
	require.ErrorIs(t, err, ErrTooManyRejected, "again")
}

func TestADryRunReadsOnAndKnowsWhereARunWouldStop(t *testing.T) {
	c := fakeKafka(t, 1)
	produce(t, c.ListenAddrs(), values(topicName, "1", "x", "3", "y")...)
	for limit, stops := range map[float64]bool{0: true, 0.01: false} {
		s := prepared(t, c, func(c *Config) { c.Topic.MaxRejected, c.Pass.Private, c.IgnoreLimit = limit, true, true })
		p, err := read(t, s, 0, 0, 4).end()
		require.NoError(t, err)
		require.EqualValues(t, 4, p.Next)
		if stops {
			require.ErrorIs(t, s.WouldStop(), ErrTooManyRejected)
		} else {
			require.NoError(t, s.WouldStop())
		}
	}
}
