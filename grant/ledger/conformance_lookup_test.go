package ledger

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// A user of the newest entry costs one page, however long the journal is; one of the oldest costs each entry once, in few
// pages.
func looksUpTheNewestFirst(w *world) {
	const entries = 300
	p := w.join()
	for i := range uint16(entries) {
		p.grant(1, delta(3, bitmap(100+i)))
	}
	for _, c := range []struct {
		low            uint16
		pages, entries int64
	}{
		{100 + entries - 1, 1, 64},
		{100 + entries - 64, 1, 64},
		{100 + entries - 65, 2, 64 + 128},
		{100, 3, entries},
		{7, 0, 0}, // nobody
	} {
		pages, read := p.fault.pages.Load(), p.fault.entries.Load()
		g, granted, err := p.Lookup(w.ctx, grant.NumberID(dense.Join(3, c.low)))
		require.NoError(w, err)
		require.Equal(w, c.low != 7, granted)
		if granted {
			require.EqualValues(w, c.low-99, g.Flush)
		}
		require.Equal(w, c.pages, p.fault.pages.Load()-pages, "user %d", c.low)
		require.Equal(w, c.entries, p.fault.entries.Load()-read, "user %d", c.low)
	}
}

// A lookup does not decode who else is in an entry: what is wrong there is the proof's to find.
func looksUpWithoutDecoding(w *world) {
	p := w.join()
	p.grant(1, delta(3, span(0, 30000, 2))) // a bitmap
	key := p.keys.journal(3)
	text, err := w.client.LIndex(w.ctx, key, 0).Result()
	require.NoError(w, err)
	damaged := text[:len(text)-1] + "\x01" // 65,528 is no member
	require.NotEqual(w, text, damaged)
	require.True(w, strings.HasSuffix(text, "\x00"))
	require.NoError(w, w.client.LSet(w.ctx, key, 0, damaged).Err())
	_, granted, err := p.Lookup(w.ctx, grant.NumberID(dense.Join(3, 4)))
	require.NoError(w, err)
	require.True(w, granted)
	proof, err := p.Prove(w.ctx)
	require.NoError(w, err)
	require.False(w, proof.Holds())
	require.Contains(w, proof.Violations[0].What, "30001 bits, 30000 in the entry")
}
