package ledger

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

func keepsSpec(w *world) {
	l, err := open(w.client, w.campaign(), 1, Config{})
	require.NoError(w, err)
	_, ok, err := l.Spec(w.ctx)
	require.NoError(w, err)
	require.False(w, ok)
	p := w.join()
	one, two := w.campaign(), &grant.Campaign{Name: w.campaign().Name, Hash: "bb22", Canonical: []byte("spec: two\n")}
	require.NoError(w, p.EnsureSpec(w.ctx, two))
	require.NoError(w, p.EnsureSpec(w.ctx, one), "nobody is granted yet")
	p.grant(1, delta(1, bitmap(1)))
	require.NoError(w, p.EnsureSpec(w.ctx, one))
	var conflict *SpecConflictError
	require.ErrorAs(w, p.EnsureSpec(w.ctx, two), &conflict)
	require.Equal(w, &SpecConflictError{StoredHash: "aa11", Stored: one.Canonical, GivenHash: "bb22", Given: two.Canonical}, conflict)
	stored, ok, err := p.Spec(w.ctx)
	require.NoError(w, err)
	require.True(w, ok)
	require.Equal(w, "aa11", stored.Hash)
	require.Equal(w, one.Canonical, stored.Canonical)
	require.WithinDuration(w, time.Now(), stored.StoredAt, time.Minute)
}

func remembersRuns(w *world) {
	p := w.join()
	runs, err := p.Runs(w.ctx)
	require.NoError(w, err)
	require.Empty(w, runs)
	at := time.Date(2022, 11, 5, 0, 0, 0, 0, time.UTC)
	first := grant.RunRecord{Run: 7, Host: "a", State: grant.RunRunning, StartedAt: at, UpdatedAt: at, Partitions: []int{0, 2}}
	second := grant.RunRecord{Run: 1 << 60, Host: "b", State: grant.RunFailed, Error: "x", StartedAt: at, UpdatedAt: at}
	require.NoError(w, p.SaveRun(w.ctx, second))
	require.NoError(w, p.SaveRun(w.ctx, first))
	first.State, first.Tally.Granted = grant.RunFinished, 5
	require.NoError(w, p.SaveRun(w.ctx, first))
	runs, err = p.Runs(w.ctx)
	require.NoError(w, err)
	require.Equal(w, []grant.RunRecord{first, second}, runs)
	require.NoError(w, w.client.HSet(w.ctx, p.keys.runs, "odd", "{").Err())
	runs, err = p.Runs(w.ctx)
	require.ErrorIs(w, err, ErrInconsistent)
	require.Len(w, runs, 2)
}

func findsViolations(w *world) {
	p := w.join()
	for chunk := range uint64(8) {
		p.grant(1, delta(chunk, span(0, 100, 2)))
		p.grant(1, delta(chunk, span(1000, 3000, 1)))
	}
	journal := func(chunk uint64) string { return p.keys.journal(chunk) }
	do := func(err error) { w.Helper(); require.NoError(w, err) }
	do(w.client.SetBit(w.ctx, p.keys.granted(1), 7, 1).Err())
	do(w.client.SetBit(w.ctx, p.keys.granted(2), 8, 0).Err())
	entry := w.client.LIndex(w.ctx, journal(3), 0).Val()
	do(w.client.RPush(w.ctx, journal(3), entry).Err())
	do(w.client.RPush(w.ctx, journal(4), "rubbish").Err())
	do(w.client.LPop(w.ctx, journal(5)).Err())
	do(w.client.Del(w.ctx, p.keys.granted(6)).Err())
	do(w.client.Append(w.ctx, p.keys.granted(7), string(make([]byte, dense.BitmapBytes))).Err())

	proof, err := p.Prove(w.ctx)
	require.NoError(w, err)
	require.False(w, proof.Holds())
	require.Equal(w, 8, proof.Chunks)
	require.Equal(w, 7, proof.Broken)
	found := map[int]string{}
	for _, v := range proof.Violations {
		var chunk int
		_, err := fmt.Sscanf(v.Where, "chunk %d", &chunk)
		require.NoError(w, err)
		found[chunk] += v.What
	}
	require.Equal(w, "1 users are granted but in no entry, the first is 65543", found[1])
	require.Equal(w, "1 users are in an entry but not granted, the first is 131080", found[2])
	require.Equal(w, "entry 2: 100 users are in an earlier entry too, the first is 196608", found[3])
	require.Contains(w, found[4], "entry 2: journal entry of 7 bytes")
	require.Contains(w, found[5], "100 users are granted but in no entry")
	require.Contains(w, found[6], "3100 users are in an entry but not granted")
	require.Contains(w, found[7], "more than 8192")

	_, _, err = p.Lookup(w.ctx, grant.NumberID(dense.Join(1, 7)))
	require.ErrorIs(w, err, ErrInconsistent)
	_, _, err = p.Lookup(w.ctx, grant.NumberID(dense.Join(5, 0)))
	require.ErrorIs(w, err, ErrInconsistent)
}
