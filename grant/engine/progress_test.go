package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     Snapshot
		ratio float64
		left  float64
	}{
		{"before anything is known", Snapshot{}, 0, -1},
		{"waiting for the start", Snapshot{State: grant.RunWaiting}, 0, -1},
		{"running, but not assigned yet", Snapshot{State: grant.RunRunning}, 0, -1},
		{"standing by", Snapshot{State: grant.RunRunning, Member: true}, 1, 0},
		{"nothing done yet", Snapshot{State: grant.RunRunning, Member: true, Work: 100}, 0, -1},
		{"half done", Snapshot{State: grant.RunRunning, Member: true, Work: 100, Done: 50, Rate: 10}, 0.5, 5},
		{"half done, at a stand", Snapshot{State: grant.RunRunning, Member: true, Work: 100, Done: 50}, 0.5, -1},
		{"between two generations", Snapshot{State: grant.RunRunning, Work: 100, Done: 25, Rate: 10}, 0.25, 7.5},
		{"all done", Snapshot{State: grant.RunRunning, Member: true, Work: 100, Done: 100, Rate: 10}, 1, 0},
		{"finished", Snapshot{State: grant.RunFinished, Work: 100, Done: 100}, 1, 0},
		{"finished with nothing to do", Snapshot{State: grant.RunFinished}, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ratio, left := c.s.Progress()
			require.InDelta(t, c.ratio, ratio, 1e-12)
			require.InDelta(t, c.left, left, 1e-12)
		})
	}
}
