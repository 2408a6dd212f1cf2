//go:build integration

package ledger

import (
	"math"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// takeCases are the ways through the scripts of takes.
func takeCases(w *world, l *parts) []scriptCase {
	c := w.offers(time.Time{})
	t := NewTakes(l.Store, 7)
	granted := func(*parts) { w.join().grant(1, delta(1, span(0, 3000, 1))) }
	settled := func(l *parts) {
		granted(l)
		a := w.actor()
		a.done(a.act(grant.ActExclude), users(1, 4000)...)
		a.done(a.act(grant.ActNote), users(1, 9)...)
	}
	half := func(item int, low uint16) func(*parts) {
		return func(l *parts) {
			settled(l)
			_, err := NewTakes(l.Store, 8).Take(w.ctx, c, []Take{{user(1, low), item}})
			require.NoError(w, err)
		}
	}
	call := func(name string, before func(*parts), item int, first int64, lows ...uint16) scriptCase {
		g := &takeGroup{chunk: 1, item: item, lows: lows, keys: l.takeKeys(c, 1, item)}
		tail, offsets := t.entry(g), g.offsets()
		keys := append([]string{g.keys.taken, g.keys.list}, g.keys.segments(lows)...)
		if g.keys.first != "" {
			return scriptCase{name: name, script: &quotaCall, before: before,
				keys: append([]string{l.keys.spec, g.keys.first}, keys...),
				args: []any{"aa11", offsets, math.MaxInt64, tail, first, math.MaxInt64}}
		}
		return scriptCase{name: name, script: &takeCall, before: before,
			keys: append(l.keys.place(1), keys...), args: []any{"aa11", offsets, math.MaxInt64, tail}}
	}
	many := make([]uint16, 100)
	for i := range many {
		many[i] = uint16(20 * i)
	}
	crowd := make([]uint16, 700) // some segments have 32 and more of them, the last one fewer
	for i := range crowd {
		crowd[i] = uint16(3 * i)
	}
	manyOf := func(name string, before func(*parts), more ...uint16) scriptCase {
		g := &takeGroup{campaign: c, chunk: 1, item: itemTaken, many: true, lows: append(more, crowd...)}
		g.keys = l.takeKeys(c, 1, itemTaken)
		g.tail = t.entry(g)
		k := l.keys.chunk(1, "x")
		return scriptCase{name: name, script: &manyCall, before: before, stage: g.members[:],
			keys: append(l.keys.place(1), g.keys.taken, g.keys.list, g.keys.many(), k.delta, k.scratch),
			args: []any{"aa11", g.members.Count(), math.MaxInt64, g.tail}}
	}
	tookMany := func(first uint16) func(l *parts) {
		return func(l *parts) {
			granted(l)
			var wishes []Take
			for _, low := range crowd {
				wishes = append(wishes, Take{user(1, low+first), itemTaken})
			}
			_, err := NewTakes(l.Store, 8).Take(w.ctx, c, wishes)
			require.NoError(w, err)
		}
	}
	judge := scriptCase{name: "judge", script: &judgeCall, before: settled, keys: l.keys.place(1),
		args: []any{"aa11", []byte{0, 5, 0, 9}}}
	judges := scriptCase{name: "judge many", script: &judgeCall, before: settled, keys: l.keys.place(1),
		args: []any{"aa11", (&takeGroup{lows: crowd}).offsets()}}
	return append(bucketTakeCases(w, l), []scriptCase{
		call("first take", granted, itemTaken, 0, 5, 6, 2500),
		call("take", half(itemTaken, 7), itemTaken, 0, 5, 6, 2500),
		call("take of many", half(itemTaken, 7), itemTaken, 0, many...),
		call("take of very many", half(itemTaken, 7), itemTaken, 0, crowd...),
		call("first take of very many", granted, itemTaken, 0, crowd...),
		call("take, taken before", half(itemTaken, 5), itemTaken, 0, 5),
		judge, judges,
		manyOf("first take on bitmaps", granted), manyOf("take on bitmaps", tookMany(1)),
		manyOf("take on bitmaps, taken before", tookMany(0)),
		manyOf("take on bitmaps, one took it before", half(itemTaken, 7), 7), manyOf("take on bitmaps, with acts", settled, 9),
		call("first take of some", granted, itemFirst, 10, 5, 6, 2500),
		call("take of some", half(itemFirst, 7), itemFirst, 10, 5, 6, 2500),
		call("take of the last", half(itemFirst, 7), itemFirst, 4, 5, 6, 2500),
		call("take of more than there are", half(itemFirst, 7), itemFirst, 2, 5, 6),
		call("take of many of some", half(itemFirst, 7), itemFirst, 1000, many...),
		call("take of very many of some", half(itemFirst, 7), itemFirst, 1000, crowd...),
		call("take of some, taken before", half(itemFirst, 5), itemFirst, 10, 5),
	}...)
}

// bucketTakeCases are the ways through the scripts of takes in a bucket.
func bucketTakeCases(w *world, l *parts) []scriptCase {
	c := w.offers(time.Time{})
	chunk := l.keys.chunk(1, "")
	journal := func(*parts) {
		require.NoError(w, w.client.RPush(w.ctx, chunk.journal, "entry").Err())
		require.NoError(w, w.client.HSet(w.ctx, chunk.calls, "spec", "aa11", "count", 3).Err())
		require.NoError(w, w.client.HSet(w.ctx, l.keys.spec, "hash", "aa11", "canonical", "spec: one\n").Err())
	}
	first, taken, plain := l.takeKeys(c, 1, itemFirst), l.takeKeys(c, 1, itemTaken), []string{chunk.journal, chunk.calls}
	took := func(k takeKeys, member string) func(*parts) {
		return func(l *parts) {
			journal(l)
			require.NoError(w, w.client.HSet(w.ctx, k.taken, member, "\x00\x00\x00\x00\x00\x07").Err())
			require.NoError(w, w.client.RPush(w.ctx, k.list, "\x03\x00\x00\x00\x00\x00\x07tail").Err())
			if k.first != "" {
				require.NoError(w, w.client.HSet(w.ctx, k.first, "taken", 1).Err())
			}
		}
	}
	take := func(name string, before func(*parts), seen int, members ...any) scriptCase {
		return scriptCase{name: name, script: &bucketTakeCall, before: before, keys: append(plain[:2:2], taken.taken, taken.list),
			args: append([]any{"aa11", math.MaxInt64, "tail", seen, 0}, members...)}
	}
	some := func(name string, before func(*parts), limit int, members ...any) scriptCase {
		return scriptCase{name: name, script: &bucketQuotaCall, before: before,
			keys: []string{l.keys.spec, first.first, first.taken, first.list},
			args: append([]any{"aa11", math.MaxInt64, "tail", math.MaxInt64, limit}, members...)}
	}
	return []scriptCase{
		take("first take in a bucket", journal, 1, "a", "b", "c"),
		take("take in a bucket", took(taken, "z"), 1, "a", "b", "c"),
		take("take in a bucket, taken before", took(taken, "b"), 1, "a", "b"),
		take("take in a bucket, sent again", took(taken, "a"), 1, "a"),
		take("take in a bucket, others were first", journal, 0, "a"),
		{name: "judge in a bucket", script: &bucketJudgeCall, before: journal, keys: plain, args: []any{"aa11", 1}},
		some("first take of some in a bucket", journal, 10, "a", "b"),
		some("take of some in a bucket", took(first, "z"), 10, "a", "b"),
		some("take of the last in a bucket", took(first, "z"), 3, "a", "b"),
		some("take of more than there are in a bucket", took(first, "z"), 2, "a", "b"),
		some("take of some in a bucket, sent again", took(first, "a"), 10, "a"),
	}
}
