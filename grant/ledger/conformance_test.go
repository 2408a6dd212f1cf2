package ledger

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

func grantsEveryShape(w *world) {
	r := seeded(w.T)
	shapes := map[uint64]*dense.Bitmap{
		1: bitmap(0), 2: bitmap(65535), 3: span(100, smallDelta, 9), 4: span(100, smallDelta+1, 9),
		5: scattered(r, 4095), 6: scattered(r, 4096), 7: scattered(r, 4097), 8: span(500, 20000, 1),
		9: span(0, dense.ChunkSize, 1), 10: span(1, 32768, 2), 1 << 47: bitmap(3),
	}
	p := w.join()
	want := oracle{}
	before := w.now()
	for chunk, members := range shapes {
		want.add(chunk, members)
		f := p.grant(2, delta(chunk, members))
		require.Nil(w, f.Deltas[0].Duplicates)
		require.Equal(w, want[chunk].Count(), f.Deltas[0].Count)
	}
	after := w.now()
	w.holds(p.parts, want)
	require.EqualValues(w, want.count(), p.seen.granted)

	for chunk, members := range want {
		lows := members.Lows(nil)
		for _, low := range []uint16{lows[0], lows[len(lows)/2], lows[len(lows)-1]} {
			user := grant.NumberID(dense.Join(chunk, low))
			g, ok, err := p.Lookup(w.ctx, user)
			require.NoError(w, err)
			require.True(w, ok)
			require.Equal(w, user, g.User)
			require.Equal(w, p.run, g.Run)
			require.Equal(w, 2, g.Shard)
			require.Positive(w, g.Flush)
			require.Equal(w, []sharding.Range{{Partition: 2, First: 10, Last: 19}, {Partition: 100, First: 5, Last: 5}}, g.Ranges)
			require.False(w, g.At.Before(before) || g.At.After(after), "%s is not between %s and %s", g.At, before, after)
		}
	}
	for _, user := range grant.NumberIDs(0, 1<<16|1, grant.MaxUserID) {
		_, ok, err := p.Lookup(w.ctx, user)
		require.NoError(w, err)
		require.False(w, ok)
	}
	w.answersMany(p, want)
	for key := range w.snapshot() {
		require.NotContains(w, key, ":delta:")
		require.NotContains(w, key, ":scratch")
	}
}

// answersMany holds what is said of many users at once against what is said of each.
func (w *world) answersMany(p *player, want oracle) {
	w.Helper()
	asked := grant.NumberIDs(0, grant.MaxUserID)
	for chunk, members := range want {
		for i, low := range members.Lows(nil) {
			if i < 40 {
				user := grant.NumberID(dense.Join(chunk, low))
				asked = append(asked, user, user, grant.NumberID(user.Number()^1))
			}
		}
	}
	var each []*Grant
	for _, user := range asked {
		g, ok, err := p.Lookup(w.ctx, user)
		require.NoError(w, err)
		if each = append(each, nil); ok {
			each[len(each)-1] = &g
		}
	}
	before := p.fault.pages.Load()
	together, err := p.LookupAll(w.ctx, asked)
	require.NoError(w, err)
	require.Equal(w, each, together)
	require.EqualValues(w, len(want), p.fault.pages.Load()-before, "each chunk's journal is read once")
}

func cutsOverlaps(w *world) {
	p, other, rounds := w.join(), w.join(), 0
	for chunk, sizes := range map[uint64][2]int{1: {3, 5}, 2: {5, 3000}, 3: {3000, 5}, 4: {3000, 6000}, 5: {65536, 65536}, 6: {7, 7}} {
		first, second := span(0, sizes[0], 1), span(0, sizes[1], 1)
		want := oracle{}
		want.add(chunk, first)
		want.add(chunk, second)
		other.grant(1, delta(chunk, first))
		f := p.grant(1, delta(chunk, second))
		d := f.Deltas[0]
		require.Equal(w, max(0, sizes[1]-sizes[0]), d.Count)
		require.Equal(w, d.Count, d.Members.Count())
		require.Equal(w, min(sizes[0], sizes[1]), d.Duplicates.Count())
		require.Equal(w, want[chunk], d.Granted)
		require.False(w, d.Members.Has(0))
		require.True(w, d.Duplicates.Has(0))
	}
	// What was set before the overlap was found is taken back.
	for chunk, members := range map[uint64]*dense.Bitmap{7: bitmap(3, 5, 7, 9), 8: span(0, 3000, 1)} {
		other.grant(1, delta(chunk, bitmap(7)))
		f := p.grant(1, delta(chunk, members))
		require.Equal(w, []uint16{7}, f.Deltas[0].Duplicates.Lows(nil))
		require.Equal(w, f.Deltas[0].Members.Count(), f.Deltas[0].Count)
	}
	// Between two rounds somebody else may be faster again.
	other.grant(1, delta(9, span(0, 100, 1)))
	p.fault.next = func(int) int {
		if rounds++; rounds == 2 {
			other.grant(1, delta(9, span(100, 100, 1)))
		}
		return -1
	}
	f := p.grant(1, delta(9, span(0, 3000, 1)))
	p.fault.never()
	require.Equal(w, []int{2800, 200}, []int{f.Deltas[0].Count, f.Deltas[0].Duplicates.Count()})
	proof, err := p.Prove(w.ctx)
	require.NoError(w, err)
	require.True(w, proof.Holds(), "%+v", proof)
}

func grantsManyDeltas(w *world) {
	r := seeded(w.T)
	p := w.join()
	want := oracle{}
	var group errgroup.Group
	for shard := range 3 {
		var deltas []dense.Delta
		for i := range maxCalls + 40 { // more than one pipeline takes
			members := scattered(r, 1+r.IntN(30))
			chunk := uint64(i*3 + shard)
			want.add(chunk, members)
			deltas = append(deltas, delta(chunk, members))
		}
		f := p.flush(shard, deltas...)
		group.Go(func() error { return p.Grant(w.ctx, f) })
	}
	require.NoError(w, group.Wait())
	w.holds(p.parts, want)
	require.GreaterOrEqual(w, p.seen.calls, 3*(maxCalls+40))
	if len(p.seen.kinds) == 0 { // on a slow machine a time-out, or a lease that lapsed, repeats a pipeline
		require.Equal(w, 3*(maxCalls+40), p.seen.calls)
	}
}

func countsOnceWhenRepliesAreLost(w *world) {
	p := w.join()
	want := oracle{}
	for i, share := range []float64{0, 0.4, 0.7, 1} {
		for chunk, members := range map[uint64]*dense.Bitmap{1: span(i*100, 9, 1), 2: span(i*8000, 8000, 1)} {
			want.add(chunk, members)
			p.fault.once(share, nil)
			f := p.grant(1, delta(chunk, members), delta(chunk+10, bitmap(uint16(i))))
			want.add(chunk+10, bitmap(uint16(i)))
			require.Equal(w, members.Count(), f.Deltas[0].Count)
			require.Nil(w, f.Deltas[0].Duplicates)
		}
	}
	require.Equal(w, 8, p.seen.kinds[KindNetwork])
	require.EqualValues(w, want.count(), p.seen.granted)
	w.holds(p.parts, want)
}

func countsOnceBetweenOthers(w *world) {
	sizes := map[uint64]int{1: 9, 2: 3000}
	if w.ids == grant.IDsInt64 {
		delete(sizes, 2) // they would be in several calls
	}
	for chunk, n := range sizes {
		p, other := w.join(), w.join()
		p.fault.once(1, func() { other.grant(1, delta(chunk, span(0, 2*n, 1))) })
		f := p.grant(1, delta(chunk, span(0, n, 1)))
		require.Equal(w, n, f.Deltas[0].Count, "its own call came first")
		require.Nil(w, f.Deltas[0].Duplicates)
		require.Equal(w, n, other.seen.granted)
	}
}

func goesOnAfterFailure(w *world) {
	p, other := w.joinFor(time.Millisecond), w.join()
	other.grant(1, delta(2, span(0, 100, 1)))
	want := oracle{}
	want.add(1, span(0, 3000, 1))
	want.add(2, span(0, 3000, 1))
	f := p.flush(1, delta(1, span(0, 3000, 1)), delta(2, span(0, 3000, 1)))

	// The second pipeline, with what was left of chunk 2, is applied, but its replies are lost.
	pipelines := 0
	p.fault.next = func(n int) int {
		if pipelines++; pipelines == 1 {
			return -1
		}
		return n
	}
	var unavailable *UnavailableError
	require.ErrorAs(w, p.Grant(w.ctx, f), &unavailable)
	require.Equal(w, KindNetwork, unavailable.Kind)
	p.fault.never()
	require.NoError(w, p.Grant(w.ctx, f))
	require.Equal(w, []int{3000, 2900}, []int{f.Deltas[0].Count, f.Deltas[1].Count})
	require.Nil(w, f.Deltas[0].Duplicates)
	require.Equal(w, 100, f.Deltas[1].Duplicates.Count())
	w.holds(p.parts, want)
	p.grant(1, delta(3, bitmap(1)))

	p.fault.always(0)
	f = p.flush(1, delta(4, bitmap(1)))
	require.ErrorAs(w, p.Grant(w.ctx, f), &unavailable)
	p.fault.never()
	f.Deltas[0].Chunk = 5
	require.ErrorContains(w, p.Grant(w.ctx, f), "came again with other chunks")
}

func tellsPoolsApart(w *world) {
	p := w.join()
	p.grant(1, delta(1, span(0, w.many(), 1)))
	p.begin()
	f := p.grant(1, delta(1, span(3000, w.many(), 1))) // flush 1 again, of the same run
	require.Equal(w, w.many(), f.Deltas[0].Count)
	want := oracle{}
	want.add(1, span(0, w.many(), 1))
	want.add(1, span(3000, w.many(), 1))
	w.holds(p.parts, want)
}

// late stages what the first pipeline with a bitmap did once more, in the middle of the second: a connection that was given
// up may still have it in its buffers.
type late struct{ first []any }

func (l *late) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (l *late) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (l *late) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		staged := 1 + slices.IndexFunc(cmds, func(c redis.Cmder) bool { return c.Name() == "set" })
		if staged > 0 && l.first == nil {
			l.first = slices.Clone(cmds[staged-1].Args())
			l.first[2] = slices.Clone(l.first[2].([]byte)) // the members will be cut down
			staged = 0
		}
		if staged == 0 {
			return next(ctx, cmds)
		}
		between := redis.NewStatusCmd(ctx, l.first...)
		return cmp.Or(next(ctx, cmds[:staged]), next(ctx, []redis.Cmder{between}), next(ctx, cmds[staged:]))
	}
}

func keepsLateCallsApart(w *world) {
	p, other := w.join(), w.join()
	other.grant(1, delta(1, span(0, 100, 1)))
	p.Grants.client.AddHook(&late{})
	f := p.grant(1, delta(1, span(0, 3000, 1))) // two rounds: of all, and of those who were not granted
	require.Equal(w, 2900, f.Deltas[0].Count)
	want := oracle{}
	want.add(1, span(0, 3000, 1))
	w.holds(p.parts, want)
}

func letsRunsRace(w *world) {
	r := seeded(w.T)
	want := oracle{}
	var group errgroup.Group
	players := []*player{w.join(), w.join()}
	for _, p := range players {
		for shard := range 2 {
			random := rand.New(rand.NewPCG(r.Uint64(), 0))
			var flushes []*dense.Flush
			for range 6 {
				a, b := scattered(random, 1+random.IntN(2*w.many())), scattered(random, 1+random.IntN(20))
				want.add(uint64(shard), a)
				want.add(uint64(shard+2), b)
				flushes = append(flushes, p.flush(shard, delta(uint64(shard), a), delta(uint64(shard+2), b)))
			}
			group.Go(func() error {
				for _, f := range flushes {
					if err := p.Grant(w.ctx, f); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	require.NoError(w, group.Wait())
	w.holds(players[0].parts, want)
	require.EqualValues(w, want.count(), players[0].seen.granted+players[1].seen.granted)
}

func loadsScriptsAgain(w *world) {
	p := w.join()
	forget := func() { w.each(func(c *redis.Client) error { return c.ScriptFlush(w.ctx).Err() }) }
	forget()
	f := p.grant(1, delta(1, span(0, 9, 1)), delta(2, span(0, w.many(), 1)))
	require.Equal(w, w.many(), f.Deltas[1].Count)
	forget()
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 1}, nil))
	forget()
	require.NoError(w, p.EnsureSpec(w.ctx, w.campaign()))
	require.Equal(w, map[string]int{KindNoScript: 3}, p.seen.kinds)
	want := oracle{}
	want.add(1, span(0, 9, 1))
	want.add(2, span(0, w.many(), 1))
	w.holds(p.parts, want)
}

func readsLongJournals(w *world) {
	p := w.join()
	want := oracle{}
	for i := range 2*journalPage + 3 {
		members := bitmap(uint16(i * 3))
		want.add(1, members)
		p.grant(i%2, delta(1, members))
	}
	w.holds(p.parts, want)
	last := grant.NumberID(dense.Join(1, uint16((2*journalPage+2)*3)))
	g, ok, err := p.Lookup(w.ctx, last)
	require.NoError(w, err)
	require.True(w, ok)
	require.EqualValues(w, journalPage+2, g.Flush)
}

func forgetsDeadRuns(w *world) {
	p := w.join()
	calls := p.keys.chunk(1, "").calls
	for i := range 70 {
		require.NoError(w, w.client.HSet(w.ctx, calls, string(runBytes(grant.RunID(i+1))), "x").Err())
	}
	p.grant(1, delta(1, bitmap(1)))
	p.fault.once(1, nil)
	f := p.grant(1, delta(1, bitmap(2)))
	require.Equal(w, 1, f.Deltas[0].Count)
	require.EqualValues(w, 2, w.client.HLen(w.ctx, calls).Val(), "its own, and the spec")
}

// A chunk that is missing in the index would be missing in every proof. The index may lose what no tip vouches for.
func indexesFirst(w *world) {
	p := w.join()
	p.fault.once(1, func() { require.NoError(w, w.client.Del(w.ctx, p.keys.chunks).Err()) })
	p.grant(1, delta(7, bitmap(1)))
	// This time it is lost before the pipeline comes, which may reach another master first.
	p.fault.next = func(int) int {
		p.fault.next = nil
		require.True(w, w.client.SIsMember(w.ctx, p.keys.chunks, 8).Val(), "a process that dies now must not have granted anybody unindexed")
		require.NoError(w, w.client.SRem(w.ctx, p.keys.chunks, 8).Err())
		return -1
	}
	p.grant(1, delta(8, bitmap(1)))
	chunks, err := p.Chunks(w.ctx)
	require.NoError(w, err)
	require.Equal(w, []uint64{7, 8}, chunks)
}

func returnsWhenCancelled(w *world) {
	p := w.join()
	p.fault.always(0)
	ctx, cancel := context.WithCancelCause(w.ctx)
	reason := errors.New("stop")
	var once sync.Once
	p.seen.onError = func(string, int) { once.Do(func() { cancel(reason) }) }
	require.ErrorIs(w, p.Grant(ctx, p.flush(1, delta(1, bitmap(1)))), reason)
	require.ErrorIs(w, p.Checkpoint(ctx, nil, nil), reason)
}

func inspects(w *world) {
	p := w.join()
	before := w.snapshot()
	facts, err := p.Inspect(w.ctx, true)
	require.NoError(w, err)
	require.NotEmpty(w, facts.Masters)
	require.Equal(w, w.options.Cluster, facts.Cluster)
	require.Empty(w, facts.Anchors)
	for _, node := range facts.Masters {
		require.Empty(w, node.WriteError)
		require.Less(w, node.ClockAhead.Abs(), node.RoundTrip+time.Second)
	}
	require.Equal(w, before, w.snapshot(), "the probe leaves nothing")
}

func refusesMisuse(w *world) {
	client := w.connect()
	for _, name := range []string{"", "a{b", "a}b"} {
		_, err := open(client, &grant.Campaign{Name: name}, 1, Config{})
		require.ErrorContains(w, err, "campaign name")
	}
	l, err := open(client, w.campaign(), 1, Config{})
	require.NoError(w, err)
	require.ErrorIs(w, l.Grant(w.ctx, &dense.Flush{Seq: 1}), errNoSession)
	require.ErrorIs(w, l.Checkpoint(w.ctx, nil, nil), errNoSession)

	p := w.join()
	p.grant(1, delta(1, bitmap(1)))
	old := &dense.Flush{Shard: 1, Seq: 1, Deltas: []dense.Delta{delta(1, bitmap(2))}}
	require.ErrorContains(w, p.Grant(w.ctx, old), "new session")
	wrong := delta(1, bitmap(2))
	wrong.Count = 2
	require.ErrorContains(w, p.Grant(w.ctx, p.flush(1, wrong)), "is said to have 2 members and has 1")
	require.ErrorContains(w, p.Grant(w.ctx, p.flush(1, delta(1, bitmap()))), "0 members")
	require.NoError(w, p.Grant(w.ctx, p.flush(1)), "nothing to grant")
}
