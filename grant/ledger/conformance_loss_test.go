package ledger

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func keepsHighestCheckpoint(w *world) {
	p, other := w.join(), w.join()
	require.Empty(w, p.start)
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 10, 1: 20}, nil))
	require.NoError(w, other.Checkpoint(w.ctx, grant.Offsets{1: 15, 2: 0}, nil))
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 5}, nil))
	require.NoError(w, p.Checkpoint(w.ctx, nil, nil))
	found, err := p.Checkpoints(w.ctx)
	require.NoError(w, err)
	require.Equal(w, grant.Offsets{0: 10, 1: 20, 2: 0}, found.Next)
	other.begin()
	require.Equal(w, found.Next, other.start)

	p.fault.once(1, nil) // the write is repeated
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 11}, nil))
	other.begin()
	require.Equal(w, grant.Offsets{0: 11, 1: 20, 2: 0}, other.start)

	// What was written once is expected, also when less was asked for since.
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 3}, nil))
	require.NoError(w, w.client.HSet(w.ctx, p.keys.checkpoint(p.keys.anchors[0], p.keys.version), "0", 8).Err())
	require.ErrorIs(w, p.Checkpoint(w.ctx, nil, nil), ErrRegressed)
}

// A session may go on for longer than tips live: every checkpoint renews them, or it would look like a loss.
func keepsTips(w *world) {
	p := w.join()
	p.grant(1, delta(7, bitmap(1)))
	s := p.session.Load()
	for _, anchor := range p.keys.anchors {
		key := p.keys.tip(anchor, s.id)
		require.Positive(w, w.client.TTL(w.ctx, key).Val(), "those of a session that died before its first checkpoint go, too")
		late := tipCall.command(w.ctx, []string{key}, 1, 0, 0, 60) // an older pipeline that comes late
		require.NoError(w, w.client.Process(w.ctx, late))
		require.Equal(w, "1", w.client.HGet(w.ctx, key, "1").Val())
		require.True(w, w.client.Expire(w.ctx, p.keys.tip(anchor, s.id), time.Minute).Val())
	}
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 10}, nil))
	for _, anchor := range p.keys.anchors {
		require.Greater(w, w.client.TTL(w.ctx, p.keys.tip(anchor, s.id)).Val(), tipLife-time.Hour)
	}
}

func takesLowestCheckpoint(w *world) {
	p := w.join()
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 10, 1: 20}, nil))
	anchor := p.keys.checkpoint(p.keys.anchors[len(p.keys.anchors)/2], p.keys.version)
	require.NoError(w, w.client.HSet(w.ctx, anchor, "1", 7).Err())
	other := w.join()
	require.Equal(w, grant.Offsets{0: 10, 1: 7}, other.start)
	require.NoError(w, w.client.HDel(w.ctx, anchor, "1").Err())
	other.begin()
	require.Equal(w, grant.Offsets{0: 10}, other.start)
	require.ErrorIs(w, p.Checkpoint(w.ctx, grant.Offsets{0: 11}, nil), ErrRegressed)

	require.NoError(w, w.client.Del(w.ctx, anchor).Err())
	other.begin()
	require.Empty(w, other.start)
	require.NoError(w, other.Checkpoint(w.ctx, grant.Offsets{0: 3, 1: 4}, nil))
	other.begin()
	require.Equal(w, grant.Offsets{0: 3, 1: 4}, other.start)
}

func noticesFlushAllAtGrant(w *world) {
	p := w.join()
	p.grant(1, delta(1, span(0, 9, 1)))
	w.flush()
	require.ErrorIs(w, p.Grant(w.ctx, p.flush(1, delta(2, span(0, 9, 1)))), ErrRegressed)
	p.begin()
	require.Empty(w, p.start)
	f := p.grant(1, delta(1, span(0, 9, 1)), delta(2, span(0, 9, 1)))
	require.Nil(w, f.Deltas[0].Duplicates)
	want := oracle{}
	want.add(1, span(0, 9, 1))
	want.add(2, span(0, 9, 1))
	w.holds(p.parts, want)
}

func noticesFlushAllAtCheckpoint(w *world) {
	p := w.join()
	p.grant(1, delta(1, span(0, 9, 1)))
	w.flush()
	require.ErrorIs(w, p.Checkpoint(w.ctx, grant.Offsets{0: 1}, nil), ErrRegressed)
	require.Empty(w, w.snapshot(), "nothing may be written")

	// A session that granted nothing notices by what it began with.
	p.begin()
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 1}, nil))
	p.begin()
	w.flush()
	err := p.Checkpoint(w.ctx, grant.Offsets{3: 1}, nil)
	require.ErrorIs(w, err, ErrRegressed)
	require.ErrorContains(w, err, "partition 0: expected 1, found -1")
	require.Equal(w, KindRegressed, Kind(err))
}

func noticesSnapshotAtGrant(w *world) {
	p := w.join()
	p.grant(1, delta(1, span(0, 9, 1)))
	old := w.snapshot()
	p.grant(1, delta(1, span(9, 9, 1)))
	w.restore(old)
	err := p.Grant(w.ctx, p.flush(1, delta(1, span(18, 9, 1))))
	require.ErrorIs(w, err, ErrRegressed)
	require.ErrorContains(w, err, "shard 1: expected at least pipeline 2, found 1")
}

func noticesSnapshotAtCheckpoint(w *world) {
	p := w.join()
	p.grant(1, delta(1, span(0, 9, 1)))
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 9}, nil))
	p.grant(2, delta(2, span(0, 9, 1)))
	old := w.snapshot()
	p.grant(2, delta(2, span(9, w.many(), 1)))
	w.restore(old)
	p.grant(1, delta(1, span(9, 9, 1))) // this shard lost nothing
	require.ErrorIs(w, p.Checkpoint(w.ctx, grant.Offsets{0: 18, 1: 3009}, nil), ErrRegressed)
	p.begin()
	require.Equal(w, grant.Offsets{0: 9}, p.start)
}

// A first attempt fails at the index of chunks but leaves its tip; the second succeeds, and its writes are lost together
// with everything since the first. Had the second used the tip of the first, nobody would notice.
func trustsNoTipOfFailedAttempt(w *world) {
	p := w.join()
	p.grant(1, delta(1, span(0, 9, 1)))
	var between snapshot
	p.fault.once(1, func() {
		between = w.snapshot()
		keys := p.keys.chunk(2, "")
		for _, key := range []string{keys.granted, keys.journal, keys.calls} {
			delete(between, key)
		}
	})
	p.grant(1, delta(2, span(0, 9, 1)))
	w.restore(between)
	require.ErrorIs(w, p.Checkpoint(w.ctx, grant.Offsets{0: 18}, nil), ErrRegressed)
}
