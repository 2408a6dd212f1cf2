package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Each of these plants one untruth into a campaign that was granted, and requires that exactly that is named.

func TestAMissingUserIsNamed(t *testing.T) {
	w := granted(t)
	w.publish(1, "77", "78", "77")
	w.checkpoint(w.ends)
	r := w.finds(Refuted, map[Kind]int64{Missing: 2})
	require.Equal(t, "chunk 0", r.Findings[0].Where)
	require.Equal(t, []string{"77", "78"}, r.Findings[0].Users)
	require.Equal(t, found{Missing: {77, 78}}, w.ids)
}

func TestAnExtraUserIsNamed(t *testing.T) {
	w := granted(t)
	w.grant(0, 3, 4, 500)
	w.finds(Refuted, map[Kind]int64{Extra: 1})
	require.Equal(t, found{Extra: {500}}, w.ids)
}

func TestABitWithoutAnEntryIsNamed(t *testing.T) {
	w := granted(t)
	require.NoError(t, w.client.SetBit(t.Context(), w.key(1, "granted"), 999, 1).Err())
	w.finds(Refuted, map[Kind]int64{BitOnly: 1})
	require.Equal(t, found{BitOnly: {1<<16 | 999}}, w.ids)
}

func TestAnEntryWithoutABitIsNamed(t *testing.T) {
	w := granted(t)
	require.NoError(t, w.client.SetBit(t.Context(), w.key(1, "granted"), 4, 0).Err())
	w.finds(Refuted, map[Kind]int64{EntryOnly: 1})
	require.Equal(t, found{EntryOnly: {1<<16 | 4}}, w.ids)
}

func TestTwoEntriesForOneUserAreNamed(t *testing.T) {
	w := granted(t)
	journal := w.key(0, "journal")
	entry, err := w.client.LIndex(t.Context(), journal, 0).Result()
	require.NoError(t, err)
	require.NoError(t, w.client.RPush(t.Context(), journal, entry).Err())
	r := w.finds(Refuted, map[Kind]int64{Twice: 20})
	require.Contains(t, r.Findings[0].What, w.run.String())
	require.Len(t, w.ids[Twice], 20)
}

func TestASwappedChunkIsNamed(t *testing.T) {
	w := granted(t)
	for _, name := range []string{"granted", "journal"} {
		require.NoError(t, w.client.Rename(t.Context(), w.key(0, name), "kept").Err())
		require.NoError(t, w.client.Rename(t.Context(), w.key(5, name), w.key(0, name)).Err())
		require.NoError(t, w.client.Rename(t.Context(), "kept", w.key(5, name)).Err())
	}
	r := w.audit()
	var swapped []string
	for _, f := range r.Findings {
		if f.Kind == Swapped {
			swapped = append(swapped, f.Where+": "+f.What)
		}
	}
	require.Equal(t, []string{
		"chunk 0: the ledger has in it exactly the users that belong into chunk 5",
		"chunk 5: the ledger has in it exactly the users that belong into chunk 0",
	}, swapped)
	require.Equal(t, Refuted, r.Verdict)
}

func TestAChunkThatIsGoneIsMissing(t *testing.T) {
	w := granted(t)
	require.NoError(t, w.client.Del(t.Context(), w.key(5, "granted"), w.key(5, "journal"), w.key(5, "calls")).Err())
	w.finds(Refuted, map[Kind]int64{Missing: perChunk})
}

func TestWhatNoGranterWritesIsNamed(t *testing.T) {
	w := granted(t)
	require.NoError(t, w.client.LSet(t.Context(), w.key(0, "journal"), 1, "nonsense").Err())
	require.NoError(t, w.client.SRem(t.Context(), "granter:{audited}:chunks", 5).Err())
	r := w.finds(Refuted, map[Kind]int64{Unreadable: 1, BitOnly: 20, Unlisted: 1})
	require.Contains(t, r.Findings[len(r.Findings)-1].What, "entry 1 of the journal cannot be read")
}

func TestMalformedRecordsAreHeldAgainstDeadLetters(t *testing.T) {
	w := granted(t)
	w.publish(0, "not a user")
	w.checkpoint(w.ends)
	r := w.finds(Refuted, map[Kind]int64{NoLetter: 1})
	require.Equal(t, []string{fmt.Sprintf("0/%d", w.ends[0]-1)}, r.Findings[0].Users)
	w.reject(0, w.ends[0]-1)
	w.reject(0, w.ends[0]-1) // stored twice, when a run was repeated
	w.finds(Proven, map[Kind]int64{})
	w.reject(2, 5)
	r = w.finds(Refuted, map[Kind]int64{StrayLetter: 1})
	require.Equal(t, []string{"2/5"}, r.Findings[0].Users)
}

// A Redis that was put back to an older state is consistent in itself. What Kafka has for the group says that it was further,
// and then who is missing is exact.
func TestARolledBackRedisIsNamed(t *testing.T) {
	w := granted(t)
	old := w.snapshot()
	earlier := w.finds(Proven, map[Kind]int64{})
	w.publish(1, "300", "301")
	w.grant(1, w.ends[1]-2, w.ends[1]-1, 300, 301)
	w.checkpoint(w.ends)
	later := w.finds(Proven, map[Kind]int64{})
	require.EqualValues(t, 2, later.Ledger.Granted-earlier.Ledger.Granted)
	w.restore(old)
	w.finds(Proven, map[Kind]int64{}) // nothing that is still there says so

	w.commit(w.ends)
	w.finds(Refuted, map[Kind]int64{RolledBack: 2, Missing: 2})
	require.Equal(t, []uint64{300, 301}, w.ids[Missing])
	w.finds(Refuted, map[Kind]int64{RolledBack: 2 + 2, Missing: 2}, func(c *Config) { c.Committed, c.Previous = nil, later })
}

func TestATopicThatWasMadeAgainIsNamed(t *testing.T) {
	w := granted(t)
	w.remakeTopic()
	w.publish(0, "1", "2")
	w.open()
	r := w.finds(NotProven, map[Kind]int64{TopicChanged: 1, Unprovable: 3*perChunk - 2})
	require.Contains(t, r.Findings[0].What, "deleted and created again")
	require.Contains(t, r.Findings[0].Do, "--new-topic")
}

func TestAnExtraPartitionIsNamed(t *testing.T) {
	w := granted(t)
	w.addPartition()
	w.finds(Proven, map[Kind]int64{}) // it is empty
	w.publish(parts, "4000")
	r := w.finds(NotProven, map[Kind]int64{PartitionAdded: 1})
	require.Equal(t, "partition 3", r.Findings[0].Where)
	require.EqualValues(t, 1, r.Topic.Waiting)
}

// What retention removed cannot be proven any more, and who may have been in it is not called extra.
func TestWhatRetentionRemovedIsNamed(t *testing.T) {
	w := granted(t)
	w.deleteRecords(2, 10)
	w.grant(0, 3, 4, 500) // an extra one, from records that are there
	w.finds(Refuted, map[Kind]int64{RecordsGone: 10, Unprovable: 9, Extra: 1})
	require.NotContains(t, w.ids[Unprovable], uint64(5<<16|9), "who has another record is proven by it")
	require.Equal(t, []uint64{500}, w.ids[Extra])
}

func TestARunThatLostItsTailIsNamed(t *testing.T) {
	w := granted(t)
	ends := w.ends.Clone()
	ends[1] += 5
	w.checkpoint(ends)
	r := w.finds(NotProven, map[Kind]int64{Truncated: 5})
	require.Equal(t, "partition 1", r.Findings[0].Where)
}

// What somebody said that rejected records meant is no record of the topic. Those records are.
func TestUsersOfReplayedRecordsAreNeitherExtraNorUnchecked(t *testing.T) {
	w := granted(t)
	malformed := w.ends[1] - 1
	w.run = grant.NewRunID(time.Now().Add(time.Second))
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{RetryFor: time.Minute})
	require.NoError(t, err)
	w.grants = ledger.NewGrants(store, w.run)
	w.begin()
	w.record(grant.ReplayPass)
	w.grant(1, malformed, malformed, 9<<16|7)
	r := w.finds(Proven, map[Kind]int64{})
	require.EqualValues(t, 1, r.Ledger.ByReplay)
	require.Equal(t, 3*int64(perChunk)+1, r.Ledger.Granted)
	w.grant(1, malformed, malformed, 9<<16|8) // of the same record
	w.finds(Refuted, map[Kind]int64{Extra: 1})
	require.Equal(t, found{Extra: {9<<16 | 8}}, w.ids)
	w.grant(0, 5, 5, 9<<16|9) // of a record that is not malformed
	w.finds(Refuted, map[Kind]int64{Extra: 2})
}
