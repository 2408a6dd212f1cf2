package ledger

import (
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

func storesItsFormat(w *world) {
	p := w.play(w.campaign(), time.Second)
	require.NoError(w, p.EnsureSpec(w.ctx, p.campaign))
	found, err := w.client.HGetAll(w.ctx, p.keys.format).Result()
	require.NoError(w, err)
	require.Equal(w, map[string]string{"version": strconv.Itoa(format), "granter": formatSince}, found)
	p.begin()
	p.grant(1, delta(1, bitmap(1)))
	require.Equal(w, EntryGrant, w.journal(1)[0].Kind)
	w.toldToOldGranters(p)
}

// toldToOldGranters checks that granter 0.1, which knows no format, refuses the stored spec, and shows why.
func (w *world) toldToOldGranters(p *player) {
	w.Helper()
	text, err := w.client.HGet(w.ctx, p.keys.spec, "stored_at").Result()
	require.NoError(w, err)
	_, err = time.Parse(time.RFC3339, text) // as it does
	require.ErrorContains(w, err, "(format 2, for granter 0.2 or later)")
	stored, found, err := p.Spec(w.ctx)
	require.NoError(w, err)
	require.True(w, found)
	require.WithinDuration(w, time.Now(), stored.StoredAt, time.Minute)
}

// A ledger that granter 0.1 left, with an entry as it wrote it, is continued by this one.
func raisesTheFormat(w *world) {
	p := w.join()
	p.grant(1, delta(1, bitmap(1)))
	key := p.keys.journal(1)
	text, err := w.client.LIndex(w.ctx, key, 0).Result()
	require.NoError(w, err)
	require.NoError(w, w.client.LSet(w.ctx, key, 0, "\x01"+text[1:stampBytes]+text[stampBytes+kindBytes:]).Err())
	require.NoError(w, w.client.Del(w.ctx, p.keys.format, p.keys.leases).Err())
	require.NoError(w, w.client.HSet(w.ctx, p.keys.spec, "stored_at", time.Now().UTC().Format(time.RFC3339)).Err())

	for range 2 { // the second time there is nothing to raise
		next := w.join()
		found, err := w.client.HGet(w.ctx, p.keys.format, "version").Result()
		require.NoError(w, err)
		require.Equal(w, strconv.Itoa(format), found)
		w.toldToOldGranters(next)
	}
	next := w.join()
	next.grant(1, delta(1, bitmap(2)))
	want := oracle{1: bitmap(1, 2)}
	w.holds(next.parts, want)
	for _, low := range []uint16{1, 2} {
		_, granted, err := next.Lookup(w.ctx, grant.NumberID(dense.Join(1, low)))
		require.NoError(w, err)
		require.True(w, granted)
	}
}

func refusesANewerFormat(w *world) {
	p := w.join()
	p.grant(1, delta(1, bitmap(1)))
	require.NoError(w, w.client.HSet(w.ctx, p.keys.format, "version", formatLast+1, "granter", "0.9").Err())
	before := w.snapshot()
	other := *w.campaign()
	other.Hash = "bb22"
	_, _, spec := p.Spec(w.ctx)
	_, _, control := p.Control(w.ctx)
	_, order := p.Order(w.ctx, grant.Order{Action: grant.ActionPause, Who: "jiyoon", Via: "cli", Why: "a test"})
	_, proof := p.Prove(w.ctx)
	for what, err := range map[string]error{
		"renewing the lease": p.EnsureSpec(w.ctx, p.campaign), "a run": w.play(w.campaign(), time.Second).EnsureSpec(w.ctx, w.campaign()),
		"another spec": w.play(&other, time.Second).EnsureSpec(w.ctx, &other), "a dry run": p.Permits(w.ctx, p.campaign),
		"status": spec, "orders": control, "an order": order, "a proof": proof,
	} {
		var refused *FormatError
		require.ErrorAs(w, err, &refused, what)
		require.ErrorContains(w, err, p.keys.format, what)
		require.ErrorContains(w, err, "use granter 0.9 or later", what)
	}
	require.Equal(w, before, w.snapshot())

	require.NoError(w, w.client.HDel(w.ctx, p.keys.format, "granter").Err())
	require.ErrorContains(w, p.EnsureSpec(w.ctx, p.campaign), "use a newer granter")
	require.NoError(w, w.client.HSet(w.ctx, p.keys.format, "version", "three").Err())
	_, _, err := p.Spec(w.ctx)
	require.ErrorIs(w, err, ErrInconsistent)
}
