package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func TestAGapStopsTheRunBeforeItReads(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1), ids(100, 1000, 1), ids(100, 2000, 1)), func(t *testing.T, w *world) {
		w.topic.firsts = grant.Offsets{0: 40, 2: 100}
		err := w.start().wait()
		var gap *grant.GapError
		require.ErrorAs(t, err, &gap)
		gaps := []grant.Gap{{Partition: 0, From: 0, To: 40}, {Partition: 2, From: 0, To: 100}}
		require.Equal(t, gaps, gap.Gaps, "all of them are named at once")
		require.Zero(t, w.store.has())
		require.Empty(t, w.topic.calls(1))

		beyond := grant.Gap{Partition: 1, From: 0, To: 1 << 40}
		accept := func(r *Run) { r.Pass.AcceptGaps = []grant.Gap{gaps[0], gaps[1], beyond} }
		require.NoError(t, w.start(accept).wait())
		require.Equal(t, 160, w.store.has())
		require.Equal(t, w.topic.end(), w.store.at(), "a partition of which nothing is left is settled, too")
	})
}
