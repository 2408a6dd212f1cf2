package audit

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func TestEverybodyIsGrantedOnceAndNobodyElse(t *testing.T) {
	w := granted(t)
	r := w.finds(Proven, map[Kind]int64{})
	require.True(t, r.Over)
	require.EqualValues(t, 3*perChunk, r.Topic.Users)
	require.EqualValues(t, 3*(perChunk+2), r.Topic.Records)
	require.EqualValues(t, 3, r.Topic.Malformed)
	require.Equal(t, LettersReport{Topic: w.campaign.Input.DeadLetterTopic(), Malformed: 3, Letters: 3}, r.Letters)
	require.EqualValues(t, 3*perChunk, r.Ledger.ByRun)
	require.EqualValues(t, 6, r.Ledger.Entries)
	require.EqualValues(t, 3, r.Ledger.Chunks)
	require.Equal(t, r.Topic.Digest, r.Ledger.Digest)
	proof, err := w.reader.Prove(t.Context())
	require.NoError(t, err)
	require.Equal(t, proof.Digest, r.Ledger.Digest, "the digest is that of granter status --prove")
	require.Empty(t, w.ids)
}

// While a run goes on, an audit speaks of the offsets below the checkpoint; who was granted beyond it is no error.
func TestWhatARunHasNotGrantedYetWaits(t *testing.T) {
	w := granted(t)
	w.publish(0, "70", "71", "y")
	w.grant(0, perChunk+2, perChunk+2, 70)
	r := w.finds(Proven, map[Kind]int64{})
	require.False(t, r.Over)
	require.EqualValues(t, 1, r.Topic.Waiting)
	w.finds(NotProven, map[Kind]int64{NotComplete: 1}, func(c *Config) { c.Complete = true })
}

// A topic whose users' bits do not fit into memory is read in passes, which come to the same.
func TestPassesOverRangesOfChunksComeToTheSame(t *testing.T) {
	w := granted(t)
	w.publish(2, "9000000", "123456789", "99999999999")
	w.grant(2, perChunk+2, perChunk+4, 9000000, 123456789, 99999999999)
	w.checkpoint(w.ends)
	whole := w.finds(Proven, map[Kind]int64{})
	require.Equal(t, 1, whole.Passes)
	small := w.finds(Proven, map[Kind]int64{}, func(c *Config) { c.Memory = 1 })
	require.Greater(t, small.Passes, 1)
	small.Passes, small.At, small.Seconds = whole.Passes, whole.At, whole.Seconds
	require.Equal(t, whole, small)
	require.NoError(t, w.client.SetBit(t.Context(), w.key(5, "granted"), 6, 0).Err())
	w.finds(Refuted, map[Kind]int64{EntryOnly: 1}, func(c *Config) { c.Memory = 1 })
}

func TestACanaryGrantsItsShareOnly(t *testing.T) {
	w := granted(t)
	canary := grant.Pass{Name: "canary 10%", Includes: func(id uint64) bool { return id%2 == 0 }}
	of := func(c *Config) { c.Canaries = map[grant.RunID]*grant.Pass{w.run: &canary} }
	r := w.finds(Refuted, map[Kind]int64{OutsideCanary: perChunk/2 + perChunk/2}, of) // odd ones, of chunks 0 and 5
	require.Contains(t, r.Findings[0].What, "canary 10%")
	require.Subset(t, w.ids[OutsideCanary], []uint64{1, 3, 5<<16 | 3})
}
