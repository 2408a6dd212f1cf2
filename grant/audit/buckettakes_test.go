package audit

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding/opaque"
)

// Takes where IDs are not dense: the same untruths, written into hashes and lists of buckets.

const memberTakesSpec = `campaign: %s
title: Audited
zone: Asia/Seoul
starts_at: 2023-01-05T00:00:00+09:00
population: 1000
source: {topic: %[1]s-users, id: %s, max_rejected: 50%%}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
  - {id: cheer-up, kind: emoticon, validity: {for: permanent, from: taken}, take_until: 2190-01-01T00:00:00Z}
  - {id: few, kind: item, validity: {days: 30, from: taken}, first: 5}
`

func memberTakesWorld(t *testing.T, ids grant.IDs) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := newWorldOf(t, fmt.Sprintf(memberTakesSpec, "audited", ids), cluster.ListenAddrs(), miniredis.RunT(t).Addr())
	w.grantedMembers()
	w.takeMembers(cheerUp, 1, 2, 3, 4, 5, 1002)
	w.takeMembers(few, 1, 2, 2003)
	return w
}

func (w *world) user(n int) grant.UserID { return grant.TextID(aMember(w.campaign.Input.IDs, n)) }

// takeMembers has users take an item, as the ledger does.
func (w *world) takeMembers(item int, users ...int) {
	w.Helper()
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{RetryFor: time.Minute})
	require.NoError(w, err)
	wishes := make([]ledger.Take, len(users))
	for i, n := range users {
		wishes[i] = ledger.Take{User: w.user(n), Item: item}
	}
	w.flushes++
	out, err := ledger.NewTakes(store, grant.RunID(w.flushes)).Take(w.Context(), w.campaign, wishes)
	require.NoError(w, err)
	for i := range out {
		require.Equal(w, grant.OutcomeTaken, out[i].Outcome)
	}
}

// takenOf is the hash of who took an item in the bucket of a user, takesOf the list, and member the user's field.
func (w *world) takenOf(item, n int) string {
	_, bucket := w.member(n)
	return w.takeKey(bucket, item, fmt.Sprintf("taken:%d", item))
}

func (w *world) takesOf(item, n int) string {
	_, bucket := w.member(n)
	return w.takeKey(bucket, item, "takes")
}

func (w *world) field(n int) string {
	member, _ := w.member(n)
	return string(member)
}

func stampOf(at time.Time) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))[2:])
}

// forgeMembers writes that users took an item at a time: fields and entries that agree with each other, as a script would have,
// which judges nothing.
func (w *world) forgeMembers(item int, at time.Time, users ...int) {
	w.Helper()
	be := binary.BigEndian
	width := ledger.LayoutOf(w.campaign).Width
	for _, n := range users {
		member, _ := w.member(n)
		entry := be.AppendUint64(append([]byte("\x03"+stampOf(at)), 3), 0xf00d)
		entry = width.Append(append(entry, 0, 1, 1, 0, byte(item), byte(width)), member)
		require.NoError(w, w.client.HSet(w.Context(), w.takenOf(item, n), string(member), stampOf(at)).Err())
		require.NoError(w, w.client.RPush(w.Context(), w.takesOf(item, n), entry).Err())
	}
}

func namesOf(kind Kind, users ...int) func(w *world) names {
	return func(w *world) names { return names{kind: w.of(users...)} }
}

func nobody(*world) names { return names{} }

var memberTakePlants = []plant{
	{
		name: "a take that no entry has",
		do: func(w *world) {
			require.NoError(w, w.client.HSet(w.Context(), w.takenOf(cheerUp, 30), w.field(30), stampOf(hence(0))).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TakeBitOnly: 1}, names: namesOf(TakeBitOnly, 30),
		says: []string{"bucket ", "took cheer-up by the hash, and no entry has them"},
		mend: func(w *world, _ *Report) {
			require.NoError(w, w.client.HDel(w.Context(), w.takenOf(cheerUp, 30), w.field(30)).Err())
		},
	},
	{
		name: "an entry of a take without its field",
		do: func(w *world) {
			require.NoError(w, w.client.HDel(w.Context(), w.takenOf(cheerUp, 4), w.field(4)).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TakeEntryOnly: 1}, names: namesOf(TakeEntryOnly, 4),
		says: []string{"took cheer-up by an entry, and the hash does not have them"},
	},
	{
		name: "two entries for one take",
		do: func(w *world) {
			entry, err := w.client.LIndex(w.Context(), w.takesOf(few, 2003), 0).Result()
			require.NoError(w, err)
			require.NoError(w, w.client.RPush(w.Context(), w.takesOf(few, 2003), entry).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TookTwice: 1}, names: namesOf(TookTwice, 2003),
		says: []string{"took few in two entries"},
	},
	{
		name:    "a take of somebody who is not granted",
		do:      func(w *world) { w.forgeMembers(cheerUp, hence(time.Minute), w.stranger()) },
		verdict: Refuted, finds: map[Kind]int64{TookUngranted: 1},
		names: func(w *world) names { return names{TookUngranted: w.of(w.stranger())} },
		says:  []string{"took cheer-up, and are not granted"},
	},
	{
		name: "a take with a quota of somebody who is not granted",
		do: func(w *world) {
			w.forgeMembers(few, hence(time.Minute), 5001)
			require.NoError(w, w.client.HIncrBy(w.Context(), w.counter(), "taken", 1).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TookUngranted: 1}, names: namesOf(TookUngranted, 5001),
	},
	{
		name: "a take of somebody who is excluded",
		do: func(w *world) {
			w.does(w.user(5002), grant.Act{Kind: grant.ActExclude})
			w.forgeMembers(cheerUp, hence(time.Minute), 5002)
		},
		verdict: Refuted, finds: map[Kind]int64{TookUngranted: 1}, names: namesOf(TookUngranted, 5002),
	},
	{
		name:    "a take before the grant",
		do:      func(w *world) { w.forgeMembers(cheerUp, hence(-time.Hour), 30) },
		verdict: Refuted, finds: map[Kind]int64{TookEarly: 1}, names: namesOf(TookEarly, 30),
		says: []string{"took cheer-up before they were granted"},
	},
	{
		name:    "a take after take_until",
		do:      func(w *world) { w.forgeMembers(cheerUp, time.Date(2191, 1, 1, 0, 0, 0, 0, time.UTC), 30) },
		verdict: Refuted, finds: map[Kind]int64{TookLate: 1}, names: namesOf(TookLate, 30),
		says: []string{"could not be taken any more"},
	},
	{
		name: "takes while acts stand in the way",
		do: func(w *world) {
			w.does(w.user(1), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake}) // who took it before
			w.does(w.user(31), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
			w.does(w.user(32), grant.Act{Kind: grant.ActRecall, Item: "cheer-up"})
			w.does(w.user(33), grant.Act{Kind: grant.ActRecall, Item: "few"})
			w.does(w.user(34), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
			w.does(w.user(34), grant.Act{Kind: grant.ActReinstate})
			w.forgeMembers(cheerUp, hence(time.Hour), 31, 32, 33, 34)
		},
		verdict: Refuted, finds: map[Kind]int64{TookBarred: 2}, names: namesOf(TookBarred, 31, 32),
		says: []string{"revoked, recalled or moved"},
	},
	{
		name: "more takes than the quota",
		do: func(w *world) {
			w.forgeMembers(few, hence(time.Minute), 33, 34)
			w.forgeMembers(few, hence(2*time.Minute), 1006)
			w.forgeMembers(few, hence(3*time.Minute), 20)
			require.NoError(w, w.client.HSet(w.Context(), w.counter(), "taken", 7, "full_at", hence(0).UnixMilli()).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{QuotaExceeded: 2}, names: namesOf(QuotaExceeded, 20, 1006),
		says: []string{"first:2", "after it was taken by the first 5"},
	},
	{
		name: "a counter that is not what was taken",
		do: func(w *world) {
			require.NoError(w, w.client.HSet(w.Context(), w.counter(), "taken", 2).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{QuotaDiffers: 1}, names: nobody,
		says: []string{"the counter says that 2 users took few, of the first 5, and is not full; by the entries 3 did"},
		mend: func(w *world, _ *Report) {
			require.NoError(w, w.client.HSet(w.Context(), w.counter(), "taken", 3).Err())
		},
	},
	{
		name: "a quota that is full too early",
		do: func(w *world) {
			require.NoError(w, w.client.HSet(w.Context(), w.counter(), "full_at", hence(0).UnixMilli()).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{QuotaDiffers: 1}, names: nobody, says: []string{"and is full since"},
	},
	{
		name: "another time of a take",
		do: func(w *world) {
			require.NoError(w, w.client.HSet(w.Context(), w.takenOf(cheerUp, 4), w.field(4), stampOf(hence(time.Hour))).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TakeTime: 1}, names: namesOf(TakeTime, 4),
		says: []string{"at another time than their entries say"},
	},
	{
		name: "a time of a take that is none",
		do: func(w *world) {
			require.NoError(w, w.client.HSet(w.Context(), w.takenOf(cheerUp, 4), w.field(4), "soon").Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1}, names: nobody,
		says: []string{"a time has 4 bytes, and should have 6"},
	},
	{
		name: "an entry of a take that no granter writes",
		do: func(w *world) {
			require.NoError(w, w.client.RPush(w.Context(), w.takesOf(cheerUp, 4), "nonsense of any length").Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1}, names: nobody, says: []string{"cannot be read"},
	},
	{
		name: "a take in the bucket of another",
		do: func(w *world) {
			n := 5000
			for w.bucketOf(n) == w.bucketOf(4) {
				n++
			}
			member, _ := w.member(n)
			at := stampOf(hence(0))
			layout := ledger.LayoutOf(w.campaign)
			entry := binary.BigEndian.AppendUint64(append([]byte("\x03"+at), 3), 0xf00d)
			entry = layout.Width.Append(append(entry, 0, 1, 1, 0, cheerUp, byte(layout.Width)), member)
			require.NoError(w, w.client.RPush(w.Context(), w.takesOf(cheerUp, 4), entry).Err())
			require.NoError(w, w.client.HSet(w.Context(), w.takenOf(cheerUp, 4), string(member), at).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1, TookUngranted: 1}, says: []string{"who belongs into bucket"},
	},
	{
		name: "a take of an item that is not offered",
		do: func(w *world) {
			require.NoError(w, w.client.HSet(w.Context(), w.key(w.bucketOf(4), "taken:0"), "x", "y").Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1}, names: nobody, says: []string{"taken:0", "do not take"},
	},
}

func (w *world) bucketOf(n int) uint64 {
	member, _ := w.member(n)
	return ledger.LayoutOf(w.campaign).Bucket(opaque.Hash(member))
}

// stranger is somebody who is not granted, in the bucket of one who is.
func (w *world) stranger() int {
	n := 5000
	for w.bucketOf(n) != w.bucketOf(4) {
		n++
	}
	return n
}

// Whoever took what is compared with itself, the journal and the quotas, and named exactly.
func TestEachUntruthAboutTakesOfMembersIsNamedExactly(t *testing.T) {
	t.Parallel()
	for i, p := range memberTakePlants {
		ids := []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64}[i%3]
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.named(memberTakesWorld(t, ids))
		})
	}
}

// Who took what is counted, item by item; fewer than before is a finding.
func TestTakesOfMembersAreCountedAndNoneIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, ids := range []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64} {
		w := memberTakesWorld(t, ids)
		w.takeMembers(few, 3, 4)
		before := w.finds(Proven, map[Kind]int64{})
		require.Len(t, before.Ledger.Takes, 2)
		require.Equal(t, []int64{6, 5}, []int64{before.Ledger.Takes[0].Users, before.Ledger.Takes[1].Users})
		small := w.finds(Proven, map[Kind]int64{}, func(c *Config) { c.Memory = 1 })
		require.Greater(t, small.Passes, 1)
		require.Equal(t, before.Ledger.Takes, small.Ledger.Takes, "several passes count none twice")
		require.NoError(t, w.client.Del(t.Context(), w.takenOf(cheerUp, 1002), w.takesOf(cheerUp, 1002)).Err())
		w.finds(Proven, map[Kind]int64{})
		r := w.finds(Refuted, map[Kind]int64{TakesGone: 1}, func(c *Config) { c.Previous = before })
		require.Contains(t, r.Findings[0].What, "6 users had taken cheer-up")
	}
}
