package ledger

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Whoever makes a ledger again is remembered by it: once for each rebuild, however often it was cut off.
func remembersRebuilds(w *world) {
	p := w.join()
	all, err := p.Rebuilds(w.ctx)
	require.NoError(w, err)
	require.Empty(w, all)
	require.NoError(w, p.EndRebuild(w.ctx), "there is none")
	alone := grant.Rebuilt{Who: "minji"}
	for range 2 {
		require.NoError(w, p.BeginRebuild(w.ctx, alone))
	}
	all, err = p.Rebuilds(w.ctx)
	require.NoError(w, err)
	require.Len(w, all, 1)
	require.WithinDuration(w, time.Now(), all[0].At, time.Minute)
	require.Nil(w, all[0].Done)

	export := &grant.Export{At: time.Now().UTC().Truncate(time.Second), SHA256: "ab"}
	require.NoError(w, p.BeginRebuild(w.ctx, grant.Rebuilt{Who: "jihoon", Export: export}), "that is another one")
	require.NoError(w, p.EndRebuild(w.ctx))
	require.NoError(w, p.BeginRebuild(w.ctx, grant.Rebuilt{Who: "jihoon", Export: export}), "the one before came to its end")
	totals, err := p.Totals(w.ctx)
	require.NoError(w, err)
	require.Len(w, totals.Rebuilt, 3)
	require.Nil(w, totals.Rebuilt[0].Done)
	require.Equal(w, export, totals.Rebuilt[1].Export)
	require.NotNil(w, totals.Rebuilt[1].Done)
	require.Nil(w, totals.Rebuilt[2].Done)

	require.NoError(w, w.client.RPush(w.ctx, p.keys.rebuilt, "{").Err())
	_, err = p.Rebuilds(w.ctx)
	require.ErrorIs(w, err, ErrInconsistent)
	require.ErrorContains(w, err, p.keys.rebuilt)
}
