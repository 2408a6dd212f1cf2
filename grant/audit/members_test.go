package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
)

// Campaigns whose IDs are not dense: the same world, and other untruths.

const membersSpec = `campaign: %s
title: Audited
starts_at: 2023-01-05T00:00:00+09:00
population: 1000
source: {topic: %[1]s-users, id: %s, max_rejected: 50%%}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
`

// aMember is the n-th user of a kind of IDs; aRecord is another spelling, where there is one.
func aMember(ids grant.IDs, n int) string {
	switch ids {
	case grant.IDsInt64:
		return fmt.Sprint(int64(n)*-7919 + 5)
	case grant.IDsString:
		return fmt.Sprintf("민지-%d@example.com", n)
	case grant.IDsDense, grant.IDsUUID:
	}
	return fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", n)
}

func aRecord(ids grant.IDs, n int) string {
	if ids == grant.IDsUUID && n%2 == 1 {
		return "{" + strings.ToUpper(aMember(ids, n)) + "}"
	}
	return aMember(ids, n)
}

// names is who an audit finds something about.
type names map[Kind][]string

func (f names) Add(kind Kind, user grant.UserID) error {
	f[kind] = append(f[kind], user.String())
	slices.Sort(f[kind])
	return nil
}

// malformedMember is a record that is none of any kind.
const malformedMember = "\xff not one"

// grantedMembers is granted of IDs that are not dense: perChunk users in each partition, one of them twice in the topic, and a
// malformed record.
func grantedMembers(t *testing.T, ids grant.IDs) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := newWorldOf(t, fmt.Sprintf(membersSpec, "audited", ids), cluster.ListenAddrs(), miniredis.RunT(t).Addr())
	return w.grantedMembers()
}

func (w *world) grantedMembers() *world {
	w.Helper()
	for partition := range parts {
		var records []string
		var users []int
		for i := range perChunk {
			users = append(users, 1000*partition+i)
			records = append(records, aRecord(w.campaign.Input.IDs, users[i]))
		}
		w.publish(partition, append(records, aMember(w.campaign.Input.IDs, users[3]), malformedMember)...)
		w.grantMembers(partition, 0, 19, users[:20]...)
		w.grantMembers(partition, 20, perChunk+1, users[20:]...)
		w.reject(partition, w.ends[partition]-1)
	}
	w.checkpoint(w.ends)
	return w
}

// stored is a member as the ledger has it, and its bucket.
func (w *world) member(n int) (member []byte, bucket uint64) {
	w.Helper()
	form := userid.FormOf(&w.campaign.Input)
	member, fault := form.Member(nil, []byte(aMember(w.campaign.Input.IDs, n)))
	require.Empty(w, fault)
	return member, ledger.LayoutOf(w.campaign).Bucket(opaque.Hash(member))
}

// grantMembers grants users as a flush does that read some offsets of a partition.
func (w *world) grantMembers(partition int, from, to int64, users ...int) {
	w.Helper()
	layout := ledger.LayoutOf(w.campaign)
	byBucket := map[uint64][][]byte{}
	for _, n := range users {
		member, bucket := w.member(n)
		byBucket[bucket] = append(byBucket[bucket], member)
	}
	for some := range slices.Chunk(sortedKeys(byBucket), opaque.MaxDeltas) {
		w.flushes++
		f := &opaque.Flush{Seq: w.flushes, Ranges: []sharding.Range{{Partition: partition, First: from, Last: to}}}
		for _, bucket := range some {
			seen, err := w.client.LLen(w.Context(), w.key(bucket, "journal")).Result()
			require.NoError(w, err)
			slices.SortFunc(byBucket[bucket], opaque.Compare)
			d := opaque.Delta{Bucket: bucket, Seen: int(seen), Count: len(byBucket[bucket]), Width: layout.Width}
			for _, m := range byBucket[bucket] {
				d.Bytes = layout.Width.Append(d.Bytes, m)
			}
			f.Deltas = append(f.Deltas, d)
		}
		require.NoError(w, w.grants.AddMembers(w.Context(), f))
		for i := range f.Deltas {
			require.True(w, f.Deltas[i].Granted)
		}
	}
}

// of are the members of users, as they are printed.
func (w *world) of(users ...int) (out []string) {
	for _, n := range users {
		out = append(out, aMember(w.campaign.Input.IDs, n))
	}
	slices.Sort(out)
	return out
}

// inBucket are those who were granted and are in the bucket of one of them.
func (w *world) inBucket(of int) (users []int) {
	w.Helper()
	_, wanted := w.member(of)
	for partition := range parts {
		for i := range perChunk {
			if _, bucket := w.member(1000*partition + i); bucket == wanted {
				users = append(users, 1000*partition+i)
			}
		}
	}
	return users
}

func bucketKey(w *world, n int, name string) string {
	w.Helper()
	_, bucket := w.member(n)
	return w.key(bucket, name)
}

func swapBuckets(w *world, a, b int) {
	w.Helper()
	kept := bucketKey(w, a, "kept")
	for _, move := range [][2]string{
		{bucketKey(w, a, "journal"), kept}, {bucketKey(w, b, "journal"), bucketKey(w, a, "journal")},
		{kept, bucketKey(w, b, "journal")},
	} {
		require.NoError(w, w.client.Rename(w.Context(), move[0], move[1]).Err())
	}
}

var memberPlants = []plant{
	{
		name: "missing users",
		do: func(w *world) {
			ids := w.campaign.Input.IDs
			w.publish(1, aMember(ids, 5000), aMember(ids, 5001), aMember(ids, 5000))
			w.checkpoint(w.ends)
		},
		verdict: Refuted, finds: map[Kind]int64{Missing: 2},
		names: func(w *world) names { return names{Missing: w.of(5000, 5001)} },
		says:  []string{"bucket ", "a record below the checkpoint"},
		mend:  runOnceMore(func(w *world) { w.grantMembers(1, w.ends[1]-3, w.ends[1]-1, 5000, 5001) }),
	},
	{
		name:    "an extra user",
		do:      func(w *world) { w.grantMembers(0, 3, 4, 6000) },
		verdict: Refuted, finds: map[Kind]int64{Extra: 1},
		names: func(w *world) names { return names{Extra: w.of(6000)} },
		says:  []string{"no record of the topic has them"},
	},
	{
		name: "an entry that is there twice",
		do: func(w *world) {
			key := bucketKey(w, 7, "journal")
			entry, err := w.client.LIndex(w.Context(), key, 0).Result()
			require.NoError(w, err)
			require.NoError(w, w.client.RPush(w.Context(), key, entry).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Twice: 1}, counts: func(w *world) int { return len(w.inFirstEntry(7)) },
		names: func(w *world) names { return names{Twice: w.of(w.inFirstEntry(7)...)} },
		says:  []string{"in two entries of the journal, the later one of run"}, mend: reconciled,
	},
	{
		name:    "two buckets in each other's place",
		do:      func(w *world) { swapBuckets(w, 7, 2008) },
		verdict: Refuted, finds: map[Kind]int64{Misplaced: 1, Missing: 1},
		counts: func(w *world) int { return len(w.inBucket(7)) + len(w.inBucket(2008)) },
		names: func(w *world) names {
			both := w.of(append(w.inBucket(7), w.inBucket(2008)...)...)
			return names{Misplaced: both, Missing: both}
		},
		says: []string{"nobody finds them here"}, mend: func(w *world, _ *Report) { swapBuckets(w, 2008, 7) },
	},
	{
		name: "a bucket of a number that no user has",
		do: func(w *world) {
			entry, err := w.client.LIndex(w.Context(), bucketKey(w, 7, "journal"), 0).Result()
			require.NoError(w, err)
			require.NoError(w, w.client.RPush(w.Context(), w.key(3, "journal"), entry).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Misplaced: 1, Unlisted: 1},
		counts: func(w *world) int { return len(w.inFirstEntry(7)) },
		says:   []string{"bucket 3"},
	},
	{
		name: "a bucket that is gone",
		do: func(w *world) {
			require.NoError(w, w.client.Del(w.Context(), bucketKey(w, 7, "journal"), bucketKey(w, 7, "calls")).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Missing: 1}, counts: func(w *world) int { return len(w.inBucket(7)) },
		names: func(w *world) names { return names{Missing: w.of(w.inBucket(7)...)} },
	},
	{
		name: "an index that lacks a bucket",
		do: func(w *world) {
			_, bucket := w.member(7)
			require.NoError(w, w.client.SRem(w.Context(), "granter:{"+w.campaign.Name+"}:chunks", bucket).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unlisted: 1}, names: func(*world) names { return names{} },
		says: []string{"bucket "}, mend: reconciled,
	},
	{
		name: "an entry that no granter writes",
		do: func(w *world) {
			require.NoError(w, w.client.RPush(w.Context(), bucketKey(w, 7, "journal"), "nonsense of any length").Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1}, says: []string{"of the journal cannot be read"},
	},
	{
		name: "a Redis that was rolled back",
		do: func(w *world) {
			old := w.snapshot()
			w.publish(1, aMember(w.campaign.Input.IDs, 7000), aMember(w.campaign.Input.IDs, 7001))
			w.grantMembers(1, w.ends[1]-2, w.ends[1]-1, 7000, 7001)
			w.checkpoint(w.ends)
			w.commit(w.ends)
			w.restore(old)
		},
		verdict: Refuted, finds: map[Kind]int64{RolledBack: 2, Missing: 2},
		names: func(w *world) names { return names{Missing: w.of(7000, 7001)} },
		mend:  runOnceMore(func(w *world) { w.grantMembers(1, w.ends[1]-2, w.ends[1]-1, 7000, 7001) }),
	},
	{
		name: "records that retention removed",
		do: func(w *world) {
			w.deleteRecords(w.campaign.Input.Topic, 2, 10)
			w.grantMembers(0, 3, 4, 6000) // an extra one, from records that are there
		},
		// Who has another record is proven by it: the fourth.
		verdict: Refuted, finds: map[Kind]int64{RecordsGone: 10, Unprovable: 9, Extra: 1},
		names: func(w *world) names {
			return names{Extra: w.of(6000), Unprovable: w.of(2000, 2001, 2002, 2004, 2005, 2006, 2007, 2008, 2009)}
		},
		says: []string{"offsets 0 to 9 are gone"},
	},
}

// inFirstEntry are those who were granted by the first entry of the bucket of one of them: all of a flush.
func (w *world) inFirstEntry(of int) (users []int) {
	w.Helper()
	first := w.inBucket(of)[0]
	for _, n := range w.inBucket(of) {
		if n/1000 == first/1000 && (n%1000 < 20) == (first%1000 < 20) {
			users = append(users, n)
		}
	}
	return users
}

func TestEachUntruthAboutMembersIsNamedExactly(t *testing.T) {
	t.Parallel()
	for i, p := range memberPlants {
		ids := []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64}[i%3]
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.named(grantedMembers(t, ids))
		})
	}
}

func TestEverybodyIsGrantedOnceWhateverTheIDs(t *testing.T) {
	t.Parallel()
	for _, ids := range []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64} {
		w := grantedMembers(t, ids)
		r := w.finds(Proven, map[Kind]int64{})
		require.True(t, r.Over)
		require.Equal(t, ids, r.IDs)
		require.EqualValues(t, 3*perChunk, r.Topic.Users)
		require.EqualValues(t, 3*(perChunk+2), r.Topic.Records)
		require.EqualValues(t, 3, r.Topic.Malformed)
		require.EqualValues(t, 3*perChunk, r.Ledger.ByRun)
		require.Equal(t, r.Topic.Digest, r.Ledger.Digest)
		proof, err := w.reader.Prove(t.Context())
		require.NoError(t, err)
		require.Equal(t, proof.Digest, r.Ledger.Digest, "the digest is that of granter status --prove")
		require.Equal(t, proof.Entries, r.Ledger.Entries)
		require.Empty(t, w.names)

		w.publish(0, aMember(ids, 8000), aMember(ids, 8001))
		w.grantMembers(0, perChunk+2, perChunk+2, 8000)
		r = w.finds(Proven, map[Kind]int64{})
		require.False(t, r.Over)
		require.EqualValues(t, 1, r.Topic.Waiting)
		w.finds(NotProven, map[Kind]int64{NotComplete: 1}, func(c *Config) { c.Complete = true })
	}
}

// Users that do not fit into memory are compared in passes over ranges of buckets, which come to the same; so do those that only
// the topic has.
func TestPassesOverRangesOfBucketsComeToTheSame(t *testing.T) {
	t.Parallel()
	w := grantedMembers(t, grant.IDsUUID)
	var waiting []string
	for n := range 400 {
		waiting = append(waiting, aMember(grant.IDsUUID, 10_000+n))
	}
	w.publish(0, waiting...)
	whole := w.finds(Proven, map[Kind]int64{})
	require.Equal(t, 1, whole.Passes)
	require.EqualValues(t, 400, whole.Topic.Waiting)
	small := w.finds(Proven, map[Kind]int64{}, func(c *Config) { c.Memory = 32 << 10 })
	require.Greater(t, small.Passes, 2)
	require.Less(t, small.Passes, 40)
	small.Passes, small.At, small.Seconds = whole.Passes, whole.At, whole.Seconds
	require.Equal(t, whole, small)
	require.NoError(t, w.client.Del(t.Context(), bucketKey(w, 7, "journal")).Err())
	gone := int64(len(w.inBucket(7)))
	w.finds(Refuted, map[Kind]int64{Missing: gone, Unreadable: 1}, func(c *Config) { c.Memory = 32 << 10 })
	require.Equal(t, names{Missing: w.of(w.inBucket(7)...)}, w.names)
}

func TestUsersOfReplayedRecordsOfMembersAreNeitherExtraNorUnchecked(t *testing.T) {
	t.Parallel()
	w := grantedMembers(t, grant.IDsUUID)
	malformed := w.ends[1] - 1
	w.run = grant.NewRunID(time.Now().Add(time.Second))
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{RetryFor: time.Minute})
	require.NoError(t, err)
	w.grants, w.flushes = ledger.NewGrants(store, w.run), 0
	w.begin()
	w.record(grant.ReplayPass)
	w.grantMembers(1, malformed, malformed, 9000)
	r := w.finds(Proven, map[Kind]int64{})
	require.EqualValues(t, 1, r.Ledger.ByReplay)
	require.Equal(t, 3*int64(perChunk)+1, r.Ledger.Granted)
	w.grantMembers(1, malformed, malformed, 9001) // of the same record
	w.finds(Refuted, map[Kind]int64{Extra: 1})
	w.grantMembers(0, 5, 5, 9002) // of a record that is not malformed
	w.finds(Refuted, map[Kind]int64{Extra: 2})
}

func TestACanaryOfMembersGrantsItsShareOnly(t *testing.T) {
	w := grantedMembers(t, grant.IDsUUID)
	canary := grant.Pass{Name: "canary 10%", IncludesMember: func(hash uint64, member []byte) bool {
		return hash == hashOf(member) && member[15] != 5
	}}
	r := w.finds(Refuted, map[Kind]int64{OutsideCanary: 2}, func(c *Config) { // 5 and 1029
		c.Canaries = map[grant.RunID]*grant.Pass{w.run: &canary}
	})
	require.Contains(t, r.Findings[0].What, "canary 10%")
}

// A receipt of a user leads to the signed root whatever the IDs are; one that was edited does not.
func TestAReceiptOfAMemberLeadsToTheSignedRoot(t *testing.T) {
	t.Parallel()
	for _, ids := range []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64} {
		w := grantedMembers(t, ids)
		s, v := keys(t)
		all, file := w.receipts(s)
		for _, n := range []int{0, 1, 39, 1007, 2039} {
			user, err := all.User(aRecord(ids, n))
			require.NoError(t, err)
			r, err := all.Of(user)
			require.NoError(t, err)
			text, err := json.Marshal(r)
			require.NoError(t, err)
			var read Receipt
			require.NoError(t, json.Unmarshal(text, &read))
			about, err := read.Verify(v)
			require.NoError(t, err)
			require.Equal(t, Proven, about.Verdict)
			require.Equal(t, aMember(ids, n), read.User)
			g, _, err := w.reader.Lookup(t.Context(), user)
			require.NoError(t, err)
			require.True(t, g.At.Equal(r.At))
			require.Equal(t, g.Run.String(), r.Run)
			require.NotContains(t, string(text), aMember(ids, n+1))
		}
		for _, n := range []int{40, 999, 5000} {
			_, err := all.Of(grant.TextID(aMember(ids, n)))
			require.ErrorIs(t, err, ErrNotInReport)
		}
		mine, err := all.Of(grant.TextID(aMember(ids, 7)))
		require.NoError(t, err)
		for name, edit := range map[string]func(*Receipt){
			"another user":  func(r *Receipt) { r.User = aMember(ids, 8) },
			"the format":    func(r *Receipt) { r.Format = 1 },
			"a later time":  func(r *Receipt) { r.At = r.At.Add(1e6) },
			"another chunk": func(r *Receipt) { r.Chunk.Chunk += "0" },
			"by hand":       func(r *Receipt) { r.ByHand = true },
		} {
			r := *mine
			edit(&r)
			_, err := r.Verify(v)
			require.ErrorIs(t, err, ErrReceipt, name)
		}
		brokenFiles(t, file, v, grant.TextID(aMember(ids, 7)))
	}
}
