package audit

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant/source"
)

// cleaned is a topic from which compaction removed some records.
type cleaned struct {
	Topic

	gone map[int]map[int64]bool // by partition
}

func (c cleaned) Read(ctx context.Context, partition int, from, until int64,
	visit func(int64, *source.Parts) error,
) (int64, error) {
	return c.Topic.Read(ctx, partition, from, until, func(offset int64, parts *source.Parts) error {
		if c.gone[partition][offset] {
			return nil
		}
		return visit(offset, parts)
	})
}

// ReadNumbers is there so that the audit could read in blocks, which tell no offsets: it must not.
func (c cleaned) ReadNumbers(ctx context.Context, partition int, from, until int64, limit uint64, numbers func([]uint64),
	other func(int64, *source.Parts) error,
) (int64, error) {
	return c.Read(ctx, partition, from, until, func(offset int64, parts *source.Parts) error {
		id, err := strconv.ParseUint(string(parts.Value), 10, 64)
		if err != nil || id > limit {
			return other(offset, parts)
		}
		numbers([]uint64{id})
		return nil
	})
}

// Compaction removes the record of a user whose key came again, and a tombstone that is a dead letter: nobody is accused of that,
// and nothing of it is called proven. Whoever was granted from records that are all there, and is in none, is extra as ever.
func TestWhoseRecordWasCompactedAwayIsUnprovable(t *testing.T) {
	w := granted(t)
	gone := map[int]map[int64]bool{0: {3: true, perChunk: true}, 2: {perChunk + 1: true}} // user 3, twice, and a malformed one
	topic := func(c *Config) { c.Topic = cleaned{c.Topic, gone} }
	compacted := func(c *Config) { topic(c); c.Compacted = true }
	w.finds(Refuted, map[Kind]int64{Extra: 1, StrayLetter: 1}, topic)
	for _, memory := range []int64{0, 1} {
		w.finds(NotProven, map[Kind]int64{Unprovable: 1}, compacted, func(c *Config) { c.Memory = memory })
		require.Equal(t, found{Unprovable: {3}}, w.ids)
	}
	w.grant(0, 4, perChunk-1, 500)
	w.grant(0, 2, 3, 501)
	r := w.finds(Refuted, map[Kind]int64{Unprovable: 2, Extra: 1}, compacted)
	require.Equal(t, found{Unprovable: {3, 501}, Extra: {500}}, w.ids)
	require.Contains(t, r.Findings[1].What, "compaction")
	delete(gone, 0)
	w.finds(Refuted, map[Kind]int64{Extra: 2}, compacted)
}

func TestHolesAreFoundExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &holes{places: places{pages: map[uint64]*page{}}}
		gone := map[int64]bool{}
		const end = 3 << chunkBits
		for _, offset := range rapid.SliceOfNDistinct(rapid.Int64Range(0, end-1), 0, 40, rapid.ID[int64]).Draw(t, "gone") {
			gone[offset] = true
		}
		for offset := range int64(end) {
			if !gone[offset] {
				h.before(offset)
			}
		}
		h.before(end)
		first := rapid.Int64Range(0, end-1).Draw(t, "first")
		last := min(end-1, first+rapid.Int64Range(0, 200).Draw(t, "length"))
		want := false
		for offset := first; offset <= last; offset++ {
			want = want || gone[offset]
		}
		require.Equal(t, want, h.any(first, last))
	})
}
