package ledger

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// other is another version of the campaign.
func (w *world) other() *grant.Campaign {
	c := w.campaign()
	c.Hash, c.Canonical = "bb22", []byte("spec: two\n")
	return c
}

// lapse makes the leases of all runs end in Redis, as they do half a minute after a kill.
func (w *world) lapse(p *player) {
	for run, lease := range w.client.HGetAll(w.ctx, p.keys.leases).Val() {
		_, spec, _ := strings.Cut(lease, " ")
		require.NoError(w, w.client.HSet(w.ctx, p.keys.leases, run, "1 "+spec).Err())
	}
}

func leasesTheSpec(w *world) {
	first, second := w.join(), w.play(w.other(), time.Second)
	var conflict *SpecConflictError
	require.ErrorAs(w, second.EnsureSpec(w.ctx, w.other()), &conflict)
	require.Equal(w, []string{"aa11", "bb22"}, []string{conflict.StoredHash, conflict.GivenHash})
	require.Equal(w, w.campaign().Canonical, conflict.Stored)
	require.WithinRange(w, conflict.Leased, w.now(), w.now().Add(leaseLife))
	require.Equal(w, conflict.Leased.Add(-leaseMargin).UnixMilli(), first.lease.Load(), "it ends earlier for who has it")
	require.Equal(w, conflict, second.Permits(w.ctx, w.other()), "a dry run is told the same")
	require.NoError(w, second.Permits(w.ctx, w.campaign()))
	require.ErrorContains(w, conflict, "if the run was killed, start again after "+conflict.Leased.UTC().Format(time.RFC3339))

	// Who ends in order leaves at once.
	require.NoError(w, first.SaveRun(w.ctx, grant.RunRecord{Run: first.run, State: grant.RunRunning}))
	require.Error(w, second.EnsureSpec(w.ctx, w.other()))
	require.NoError(w, first.SaveRun(w.ctx, grant.RunRecord{Run: first.run, State: grant.RunStopped}))
	require.NoError(w, second.Permits(w.ctx, w.other()))
	require.NoError(w, second.EnsureSpec(w.ctx, w.other()))

	// Who does not know what became of a call stays, until the lease lapses.
	second.begin()
	second.fault.always(0)
	second.retryFor = time.Nanosecond
	require.Error(w, second.Grant(w.ctx, second.flush(1, delta(1, bitmap(1)))))
	second.fault.never()
	require.NoError(w, second.SaveRun(w.ctx, grant.RunRecord{Run: second.run, State: grant.RunFailed}))
	third := w.play(w.campaign(), time.Second)
	require.ErrorAs(w, third.EnsureSpec(w.ctx, w.campaign()), &conflict)
	require.Zero(w, conflict.Leased, "the index lists what may have been granted")
	require.NoError(w, w.client.Del(w.ctx, third.keys.chunks).Err())
	require.ErrorAs(w, third.EnsureSpec(w.ctx, w.campaign()), &conflict)
	require.NotZero(w, conflict.Leased)
	w.lapse(third)
	require.NoError(w, third.EnsureSpec(w.ctx, w.campaign()))
	require.Len(w, w.client.HGetAll(w.ctx, third.keys.leases).Val(), 1, "what lapsed is forgotten")
}

func fencesChunks(w *world) {
	first := w.join()
	first.grant(1, delta(1, span(0, 9, 1)), delta(2, span(0, 3000, 1)))
	before := w.truth()
	second := w.play(w.other(), time.Second)
	_, err := second.Begin(w.ctx, aTopic)
	require.NoError(w, err)
	second.lease.Store(1 << 53) // as if it had one
	second.seqs = map[int]uint64{}
	for chunk, members := range map[uint64]*dense.Bitmap{1: bitmap(100), 2: span(5000, 3000, 1)} {
		var conflict *SpecConflictError
		err := second.Grant(w.ctx, second.flush(1, delta(chunk, members)))
		require.ErrorAs(w, err, &conflict)
		require.Equal(w, &SpecConflictError{
			StoredHash: "aa11", Stored: w.campaign().Canonical, GivenHash: "bb22", Given: w.other().Canonical,
		}, conflict)
	}
	require.Empty(w, changed(before, w.truth()))

	// Version 0.1 wrote no spec: the next call does.
	require.NoError(w, w.client.HDel(w.ctx, first.keys.chunk(1, "").calls, "spec").Err())
	first.grant(1, delta(1, bitmap(200)))
	require.Equal(w, "aa11", w.client.HGet(w.ctx, first.keys.chunk(1, "").calls, "spec").Val())
}

// truth is everything but tips and what is staged.
func (w *world) truth() snapshot {
	s := w.snapshot()
	for key := range s {
		if l := w.name(key); l == "tip" || l == "delta" {
			delete(s, key)
		}
	}
	return s
}

// changed returns the keys in which two snapshots differ.
func changed(a, b snapshot) (keys []string) {
	both := maps.Clone(a)
	maps.Copy(both, b)
	for key := range both {
		if !reflect.DeepEqual(a[key], b[key]) {
			keys = append(keys, key)
		}
	}
	return keys
}

// name returns the word behind the tag of a key.
func (w *world) name(key string) string {
	_, rest, _ := strings.Cut(key, "}:")
	name, _, _ := strings.Cut(rest, ":")
	return name
}

func fencesSleepers(w *world) {
	p := w.join()
	p.lease.Store(1) // its lease has lapsed
	p.grant(1, delta(1, bitmap(1)))
	require.Greater(w, p.lease.Load(), w.now().UnixMilli(), "it is renewed while the spec is the same")
	require.Equal(w, 1, p.seen.kinds[KindFenced])

	w.flush()
	p = w.join()
	require.NoError(w, w.client.HDel(w.ctx, p.keys.leases, p.run.String()).Err())
	p.lease.Store(1)
	second := w.play(w.other(), time.Second)
	require.NoError(w, second.EnsureSpec(w.ctx, w.other()))
	var conflict *SpecConflictError
	require.ErrorAs(w, p.Grant(w.ctx, p.flush(1, delta(1, bitmap(1)), delta(2, span(0, 3000, 1)))), &conflict)
	require.Equal(w, "bb22", conflict.StoredHash)
	w.holds(p.parts, oracle{})
}

// Redis's own clock decides: nobody's time is before the start, or not before the end.
func fencesTime(w *world) {
	c := w.campaign()
	p := w.play(c, time.Second)
	p.begin()
	low := uint16(0)
	var f *dense.Flush
	try := func() error {
		if f == nil {
			low++
			f = p.flush(1, delta(1, bitmap(low)), delta(2, span(int(low)*100%60000, 100, 1)))
		}
		err := p.Grant(w.ctx, f)
		if err == nil {
			f = nil
		}
		return err
	}
	start := w.now().Add(50 * time.Millisecond)
	p.NotBefore(start)
	for err := try(); err != nil; err = try() {
		var early *grant.EarlyError
		require.ErrorAs(w, err, &early)
		require.True(w, early.Now.Before(early.Start))
		require.Equal(w, milliseconds(start), early.Start.UnixMilli())
	}
	c.EndsAt = w.now().Add(50 * time.Millisecond)
	err := try()
	for err == nil {
		err = try()
	}
	require.ErrorIs(w, err, grant.ErrEnded)
	for _, chunk := range []uint64{1, 2} {
		for _, e := range w.journal(chunk) {
			require.False(w, e.At.Before(start), "%s is before the start %s", e.At, start)
			require.True(w, e.At.Before(c.EndsAt), "%s is not before the end %s", e.At, c.EndsAt)
		}
	}

	p = w.play(w.campaign(), time.Second) // the same without an end
	p.begin()
	p.NotBefore(w.now().Add(time.Hour))
	var tooEarly *grant.EarlyError
	require.ErrorAs(w, p.Grant(w.ctx, p.flush(1, delta(7, bitmap(1)))), &tooEarly)
	require.Zero(w, w.client.Exists(w.ctx, p.keys.granted(7)).Val())
	p.NotBefore(time.Time{})
	p.grant(2, delta(7, bitmap(1)))
}

func completesTheIndex(w *world) {
	p := w.join()
	want := oracle{}
	for chunk := range uint64(5) {
		want.add(chunk, bitmap(uint16(chunk)))
		p.grant(1, delta(chunk, bitmap(uint16(chunk))))
	}
	require.NoError(w, p.EnsureSpec(w.ctx, w.campaign()))
	for _, hurt := range []func() error{
		func() error { return w.client.SRem(w.ctx, p.keys.chunks, 1, 3).Err() },
		func() error { return w.client.Del(w.ctx, p.keys.chunks).Err() },
	} {
		require.NoError(w, hurt())
		proof, err := p.Prove(w.ctx)
		require.NoError(w, err)
		require.False(w, proof.Holds())
		require.EqualValues(w, 5, proof.Granted, "everybody is found all the same")
		require.Contains(w, fmt.Sprint(proof.Violations), "{chunk 1 "+p.keys.chunks+" does not list it")
		totals, err := p.Totals(w.ctx)
		require.NoError(w, err)
		require.Positive(w, totals.Missing)
		var conflict *SpecConflictError
		second := w.play(w.other(), time.Second)
		require.ErrorAs(w, second.EnsureSpec(w.ctx, w.other()), &conflict, "no other spec gets in")
		require.Equal(w, conflict, second.Permits(w.ctx, w.other()))
		unlisted, err := second.Unlisted(w.ctx)
		require.NoError(w, err)
		require.Len(w, unlisted, int(totals.Missing))

		require.NoError(w, p.EnsureSpec(w.ctx, w.campaign()), "a run repairs it at its next checkpoint")
		w.holds(p.parts, want)
		require.NoError(w, hurt())
		w.join()
		w.holds(p.parts, want)
	}
}

func believesNoKeyAlone(w *world) {
	p := w.join()
	p.grant(1, delta(1, bitmap(1)), delta(2, bitmap(2)))
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 2}, nil))
	require.NoError(w, p.EnsureSpec(w.ctx, w.campaign()))
	record := grant.RunRecord{Run: p.run, Spec: "aa11", State: grant.RunFinished}
	record.Tally.Granted = 2
	require.NoError(w, p.SaveRun(w.ctx, record))
	whole := w.snapshot()
	for name, c := range map[string]struct {
		hurt   []string
		proof  string
		other  string // what another spec is told; empty: it gets in
		damage bool
	}{
		"index and memory of it": {[]string{p.keys.chunks, "chunks"}, "does not list it", "does not list chunk 1", true},
		"spec and index":         {[]string{p.keys.chunks, p.keys.spec}, p.keys.spec + " it is gone", p.keys.spec + " is gone", true},
		"all chunks": {
			[]string{
				p.keys.chunks, "chunks", p.keys.granted(1), p.keys.journal(1), p.keys.chunk(1, "").calls,
				p.keys.granted(2), p.keys.journal(2), p.keys.chunk(2, "").calls,
			}, "nobody is granted, but the checkpoint is at offset 2", "runs of that spec say that they granted 2", true,
		},
		"a chunk's journal and bitmap": {[]string{p.keys.granted(1), p.keys.journal(1)}, "bitmap and journal are gone", "", false},
	} {
		w.Run(name, func(t *testing.T) {
			w := &world{T: t, ctx: w.ctx, options: w.options, client: w.client}
			w.restore(whole)
			for _, key := range c.hurt {
				if key == "chunks" {
					require.NoError(t, w.client.HDel(w.ctx, p.keys.spec, "chunks").Err())
				} else {
					require.NoError(t, w.client.Del(w.ctx, key).Err())
				}
			}
			proof, err := p.Prove(w.ctx)
			require.NoError(t, err)
			require.False(t, proof.Holds())
			require.Contains(t, fmt.Sprint(proof.Violations), c.proof)
			var conflict *SpecConflictError
			second := w.play(w.other(), time.Second)
			require.ErrorAs(t, second.EnsureSpec(w.ctx, w.other()), &conflict)
			require.Equal(t, conflict, second.Permits(w.ctx, w.other()))
			require.Contains(t, conflict.Damage, c.other)
		})
	}
	w.restore(whole)

	// Keys of a wrong type are named, and the rest is looked at.
	for _, key := range []string{
		p.keys.granted(1), p.keys.journal(1), p.keys.chunk(1, "").calls, p.keys.chunks, p.keys.spec, p.keys.runs,
		p.keys.control, p.keys.history, p.keys.checkpoint(p.keys.anchors[0], p.keys.version),
	} {
		w.restore(whole)
		require.NoError(w, w.client.Del(w.ctx, key).Err())
		if key == p.keys.chunks {
			require.NoError(w, w.client.Set(w.ctx, key, "x", 0).Err())
		} else {
			require.NoError(w, w.client.SAdd(w.ctx, key, "x").Err())
		}
		require.NoError(w, w.client.SetBit(w.ctx, p.keys.granted(2), 7, 1).Err())
		proof, err := p.Prove(w.ctx)
		require.NoError(w, err, key)
		text := fmt.Sprint(proof.Violations)
		require.Contains(w, text, key)
		require.Contains(w, text, "WRONGTYPE")
		require.Contains(w, text, "{chunk 2 1 users are granted but in no entry")
	}
}
