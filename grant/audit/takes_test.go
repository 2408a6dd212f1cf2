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
)

const takesSpec = `campaign: %s
title: Audited
zone: Asia/Seoul
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: %[1]s-users, max_rejected: 50%%}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
  - {id: cheer-up, kind: emoticon, validity: {for: permanent, from: taken}, take_until: 2190-01-01T00:00:00Z}
  - {id: few, kind: item, validity: {days: 30, from: taken}, first: 5}
  - {id: lets-go, kind: emoticon, validity: {days: 90, from: taken}}
`

// The items of it that users take.
const (
	cheerUp = 1
	few     = 2
	letsGo  = 3
)

// inOneCall is how many users of chunk 9 took an item in one call: those have no time of their own.
const inOneCall = 300

func takesWorld(t *testing.T) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return newWorldOf(t, fmt.Sprintf(takesSpec, "audited"), cluster.ListenAddrs(), miniredis.RunT(t).Addr()).taken()
}

// taken is a world in which some of those who are granted took something.
func (w *world) taken() *world {
	w.Helper()
	w.granted()
	var records []string
	var many []uint64
	for i := range uint64(inOneCall) {
		many = append(many, 9<<16|2*i)
		records = append(records, fmt.Sprint(many[i]))
	}
	w.publish(0, records...)
	w.grant(0, w.ends[0]-inOneCall, w.ends[0]-1, many...)
	w.checkpoint(w.ends)
	w.take(cheerUp, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	w.take(cheerUp, 1<<16|2)
	w.take(few, 1, 2)
	w.take(few, 5<<16|3)
	w.take(letsGo, many...)
	return w
}

// take has users take an item, as the ledger does.
func (w *world) take(item int, users ...uint64) {
	w.Helper()
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{RetryFor: time.Minute})
	require.NoError(w, err)
	wishes := make([]ledger.Take, len(users))
	for i, user := range users {
		wishes[i] = ledger.Take{User: grant.NumberID(user), Item: item}
	}
	w.flushes++
	out, err := ledger.NewTakes(store, grant.RunID(w.flushes)).Take(w.Context(), w.campaign, wishes)
	require.NoError(w, err)
	for i := range out {
		require.Equal(w, grant.OutcomeTaken, out[i].Outcome)
	}
}

func (w *world) takeKey(chunk uint64, item int, name string) string {
	if w.campaign.Items[item].First > 0 {
		return fmt.Sprintf("granter:{%s}:%d:%s", w.campaign.Name, chunk, name)
	}
	return w.key(chunk, name)
}

func (w *world) counter() string { return fmt.Sprintf("granter:{%s}:first:%d", w.campaign.Name, few) }

// forge writes that users of a chunk took an item at a time: bits, times and an entry that agree with each other, as a script
// would have, which judges nothing.
func (w *world) forge(item int, at time.Time, chunk uint64, lows ...uint16) {
	w.Helper()
	ctx, ms := w.Context(), uint64(at.UnixMilli())
	le, be := binary.LittleEndian, binary.BigEndian
	entry := append([]byte{2}, be.AppendUint64(nil, ms)[2:]...)
	entry = be.AppendUint64(append(entry, 3), 0xf00d)
	entry = append(entry, 0, 1, byte(len(lows)), 0, byte(item)) // shard, flush, members, no ranges, item
	entry = le.AppendUint32(le.AppendUint32(entry, cookieNone), 1)
	entry = le.AppendUint32(le.AppendUint16(le.AppendUint16(entry, 0), uint16(len(lows)-1)), 16)
	for _, low := range lows {
		entry = le.AppendUint16(entry, low)
		w.stamp(item, at, chunk, low)
		require.NoError(w, w.client.SetBit(ctx, w.takeKey(chunk, item, fmt.Sprintf("taken:%d", item)), int64(low), 1).Err())
	}
	require.NoError(w, w.client.RPush(ctx, w.takeKey(chunk, item, "takes"), entry).Err())
}

// stamp writes when a user took an item.
func (w *world) stamp(item int, at time.Time, chunk uint64, low uint16) {
	w.Helper()
	key := w.takeKey(chunk, item, fmt.Sprintf("taken:%d:%d", item, low/timedUsers))
	stamp := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))[2:]
	require.NoError(w, w.client.SetRange(w.Context(), key, int64(low%timedUsers)*timeSize, string(stamp)).Err())
}

func hence(d time.Duration) time.Time { return time.Now().Add(d) }

var takePlants = []plant{
	{
		name: "a take that no entry has",
		do: func(w *world) {
			require.NoError(w, w.client.SetBit(w.Context(), w.takeKey(0, cheerUp, "taken:1"), 30, 1).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TakeBitOnly: 1}, ids: found{TakeBitOnly: {30}},
		says: []string{"chunk 0", "took cheer-up by the bitmap, and no entry has them"},
		mend: func(w *world, _ *Report) {
			require.NoError(w, w.client.SetBit(w.Context(), w.takeKey(0, cheerUp, "taken:1"), 30, 0).Err())
		},
	},
	{
		name: "an entry of a take without its bit",
		do: func(w *world) {
			require.NoError(w, w.client.SetBit(w.Context(), w.takeKey(0, cheerUp, "taken:1"), 4, 0).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TakeEntryOnly: 1}, ids: found{TakeEntryOnly: {4}},
		says: []string{"took cheer-up by an entry, and the bitmap does not have them"},
	},
	{
		name: "two entries for one take",
		do: func(w *world) {
			list := w.takeKey(5, few, "takes")
			entry, err := w.client.LIndex(w.Context(), list, 0).Result()
			require.NoError(w, err)
			require.NoError(w, w.client.RPush(w.Context(), list, entry).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TookTwice: 1}, ids: found{TookTwice: {5<<16 | 3}},
		says: []string{"took few in two entries"},
	},
	{
		name:    "a take of somebody who is not granted",
		do:      func(w *world) { w.forge(cheerUp, hence(time.Minute), 0, 50) },
		verdict: Refuted, finds: map[Kind]int64{TookUngranted: 1}, ids: found{TookUngranted: {50}},
		says: []string{"took cheer-up, and are not granted"},
	},
	{
		name: "a take in a chunk in which nobody is granted",
		do: func(w *world) {
			w.forge(few, hence(time.Minute), 77, 1)
			require.NoError(w, w.client.HIncrBy(w.Context(), w.counter(), "taken", 1).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{TookUngranted: 1}, ids: found{TookUngranted: in(77, 1)},
		says: []string{"chunk 77"},
	},
	{
		name: "a take of somebody who is excluded",
		do: func(w *world) {
			w.does(grant.NumberID(51), grant.Act{Kind: grant.ActExclude})
			w.forge(cheerUp, hence(time.Minute), 0, 51)
		},
		verdict: Refuted, finds: map[Kind]int64{TookUngranted: 1}, ids: found{TookUngranted: {51}},
	},
	{
		name:    "a take before the grant",
		do:      func(w *world) { w.forge(cheerUp, hence(-time.Hour), 0, 30) },
		verdict: Refuted, finds: map[Kind]int64{TookEarly: 1}, ids: found{TookEarly: {30}},
		says: []string{"took cheer-up before they were granted"},
	},
	{
		name:    "a take after take_until",
		do:      func(w *world) { w.forge(cheerUp, time.Date(2191, 1, 1, 0, 0, 0, 0, time.UTC), 0, 30) },
		verdict: Refuted, finds: map[Kind]int64{TookLate: 1}, ids: found{TookLate: {30}},
		says: []string{"could not be taken any more"},
	},
	{
		name: "takes while acts stand in the way",
		do: func(w *world) {
			w.does(grant.NumberID(1), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake}) // who took it before
			w.does(grant.NumberID(31), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
			w.does(grant.NumberID(32), grant.Act{Kind: grant.ActRecall, Item: "cheer-up"})
			w.does(grant.NumberID(33), grant.Act{Kind: grant.ActRecall, Item: "lets-go"})
			w.does(grant.NumberID(34), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
			w.does(grant.NumberID(34), grant.Act{Kind: grant.ActReinstate})
			w.forge(cheerUp, hence(time.Hour), 0, 31, 32, 33, 34)
		},
		verdict: Refuted, finds: map[Kind]int64{TookBarred: 2}, ids: found{TookBarred: {31, 32}},
		says: []string{"31, 32", "revoked, recalled or moved"},
	},
	{
		name: "more takes than the quota",
		do: func(w *world) {
			w.forge(few, hence(time.Minute), 0, 33, 34)
			w.forge(few, hence(2*time.Minute), 5, 6)
			w.forge(few, hence(3*time.Minute), 0, 20)
			require.NoError(w, w.client.HSet(w.Context(), w.counter(), "taken", 7, "full_at", hence(0).UnixMilli()).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{QuotaExceeded: 2}, ids: found{QuotaExceeded: {20, 5<<16 | 6}},
		says: []string{"first:2", "after it was taken by the first 5"},
	},
	{
		name: "a counter that is not what was taken",
		do: func(w *world) {
			require.NoError(w, w.client.HSet(w.Context(), w.counter(), "taken", 2).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{QuotaDiffers: 1}, ids: found{},
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
		verdict: Refuted, finds: map[Kind]int64{QuotaDiffers: 1}, ids: found{}, says: []string{"and is full since"},
	},
	{
		name:    "another time of a take",
		do:      func(w *world) { w.stamp(cheerUp, hence(time.Hour), 0, 4) },
		verdict: Refuted, finds: map[Kind]int64{TakeTime: 1}, ids: found{TakeTime: {4}},
		says: []string{"at another time than their entries say"},
	},
	{
		name:    "a time of a take that there was not",
		do:      func(w *world) { w.stamp(cheerUp, hence(time.Hour), 0, 39) },
		verdict: Refuted, finds: map[Kind]int64{TakeTime: 1}, ids: found{TakeTime: {39}},
	},
	{
		name: "an entry of a take that no granter writes",
		do: func(w *world) {
			require.NoError(w, w.client.RPush(w.Context(), w.takeKey(0, cheerUp, "takes"), "nonsense of any length").Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1}, ids: found{}, says: []string{"entry 1 cannot be read"},
	},
	{
		name: "a take of an item that is not offered",
		do: func(w *world) {
			require.NoError(w, w.client.SetBit(w.Context(), w.key(0, "taken:0"), 4, 1).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1}, ids: found{}, says: []string{"taken:0", "do not take"},
	},
	{
		name: "the place of an entry of many that is another's",
		do: func(w *world) {
			require.NoError(w, w.client.Set(w.Context(), w.takeKey(9, letsGo, "taken:3:many"), "\x00\x00\x00\x07", 0).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1, TakeTime: inOneCall}, says: []string{"entry 7 is one of many"},
	},
}

// Whoever took what is compared with itself, the journal and the quotas, and named exactly.
func TestEachUntruthAboutTakesIsNamedExactly(t *testing.T) {
	t.Parallel()
	for _, p := range takePlants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.named(takesWorld(t))
		})
	}
}

// Who took what is counted, item by item, whoever took it how; fewer than before is a finding.
func TestTakesAreCountedAndNoneIsGivenBack(t *testing.T) {
	t.Parallel()
	w := takesWorld(t)
	w.take(few, 3, 4)
	before := w.finds(Proven, map[Kind]int64{})
	require.Equal(t, []Takes{
		{Item: "cheer-up", Users: 11, Entries: 2}, {Item: "few", Users: 5, Entries: 3, First: 5},
		{Item: "lets-go", Users: inOneCall, Entries: 1},
	}, before.Ledger.Takes)
	for lang, says := range map[string]string{"en": "few: 5 users, of the first 5", "ko": "few: 5명(선착순 5명)"} {
		require.Contains(t, fmt.Sprint(before.Rows(lang)), says)
	}
	small := w.finds(Proven, map[Kind]int64{}, func(c *Config) { c.Memory = 1 })
	require.Greater(t, small.Passes, 1)
	require.Equal(t, before.Ledger.Takes, small.Ledger.Takes, "several passes count none twice")
	require.NoError(t, w.client.Del(t.Context(), w.takeKey(1, cheerUp, "taken:1"), w.takeKey(1, cheerUp, "taken:1:0"),
		w.takeKey(1, cheerUp, "takes")).Err())
	w.finds(Proven, map[Kind]int64{})
	r := w.finds(Refuted, map[Kind]int64{TakesGone: 1}, func(c *Config) { c.Previous = before })
	require.Contains(t, r.Findings[0].What, "11 users had taken cheer-up")
}

// Clocks of two masters are not the same, and a repair that gives a user an entry again comes later than what the user took.
func TestNobodyIsAccusedByAnotherClockOrARepair(t *testing.T) {
	t.Parallel()
	w := takesWorld(t)
	w.does(grant.NumberID(31), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
	w.forge(cheerUp, hence(clocksApart*time.Millisecond-2*time.Second), 0, 31)
	w.forge(cheerUp, hence(-clocksApart*time.Millisecond+2*time.Second), 0, 30)
	w.setBit(0, 999, 1)
	w.forge(cheerUp, hence(-time.Hour), 0, 999)
	r := w.finds(Refuted, map[Kind]int64{BitOnly: 1, TookUngranted: 1})
	byIDs := w.ids
	require.Equal(t, found{BitOnly: {999}, TookUngranted: {999}}, byIDs)
	reconciled(w, r)
	w.finds(Proven, map[Kind]int64{})
}
