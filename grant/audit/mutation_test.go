package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// plant is one untruth in a campaign that was granted.
type plant struct {
	name    string
	do      func(w *world)
	verdict Verdict
	finds   map[Kind]int64 // exactly these, about so many users or records
	ids     found          // exactly these users
	names   func(w *world) names
	counts  func(w *world) int // users, where that many are found of each kind that finds has one of
	says    []string           // for people
	mend    func(w *world, r *Report)
}

// Repair is granter reconcile with the report of an audit in JSON. Its package reads reports, so it is not known in this one.
var Repair func(w *testing.T, store *ledger.Store, in *grant.Input, report []byte)

func reconciled(w *world, r *Report) {
	w.Helper()
	text, err := json.Marshal(r)
	require.NoError(w, err)
	store, err := ledger.Open(w.client, w.campaign, ledger.Config{})
	require.NoError(w, err)
	Repair(w.T, store, &w.campaign.Input, text)
}

// runOnceMore is what a run does that reads again from the older checkpoint.
func runOnceMore(users func(w *world)) func(*world, *Report) {
	return func(w *world, _ *Report) {
		w.open()
		w.begin()
		users(w)
		w.checkpoint(w.ends)
	}
}

var plants = []plant{
	{
		name: "missing users",
		do: func(w *world) {
			w.publish(1, "77", "78", "77")
			w.checkpoint(w.ends)
		},
		verdict: Refuted, finds: map[Kind]int64{Missing: 2}, ids: found{Missing: {77, 78}},
		says: []string{"chunk 0", "77, 78", "a record below the checkpoint"}, mend: reconciled,
	},
	{
		name:    "an extra user",
		do:      func(w *world) { w.grant(0, 3, 4, 500) },
		verdict: Refuted, finds: map[Kind]int64{Extra: 1}, ids: found{Extra: {500}},
		says: []string{"500", "no record of the topic has them"},
	},
	{
		name:    "a bit without an entry",
		do:      func(w *world) { w.setBit(1, 999, 1) },
		verdict: Refuted, finds: map[Kind]int64{BitOnly: 1}, ids: found{BitOnly: {1<<16 | 999}},
		says: []string{"66535", "no entry of the journal has them"}, mend: reconciled,
	},
	{
		name:    "an entry without a bit",
		do:      func(w *world) { w.setBit(1, 4, 0) },
		verdict: Refuted, finds: map[Kind]int64{EntryOnly: 1}, ids: found{EntryOnly: {1<<16 | 4}},
		says: []string{"65540", "the bitmap does not have them"}, mend: reconciled,
	},
	{
		name: "two entries for one user",
		do: func(w *world) {
			entry, err := w.client.LIndex(w.Context(), w.key(0, "journal"), 0).Result()
			require.NoError(w, err)
			require.NoError(w, w.client.RPush(w.Context(), w.key(0, "journal"), entry).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Twice: 20},
		ids:  found{Twice: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}},
		says: []string{"in two entries of the journal, the later one of run"}, mend: reconciled,
	},
	{
		name:    "two chunks in each other's place", // 0, 1, 2… and 0, 3, 6… have 14 of 40 in common
		do:      func(w *world) { swap(w, 0, 5) },
		verdict: Refuted, finds: map[Kind]int64{Swapped: 2, Missing: 2 * 26, Extra: 2 * 26},
		says: []string{
			"chunk 0: the ledger has in it exactly the users that belong into chunk 5",
			"chunk 5: the ledger has in it exactly the users that belong into chunk 0",
		},
	},
	{
		name: "two chunks in each other's place, of which one has all users of the other",
		do: func(w *world) {
			users := in(7, 0, 1, 2)
			w.publish(0, "458752", "458753", "458754")
			w.grant(0, w.ends[0]-3, w.ends[0]-1, users...)
			w.checkpoint(w.ends)
			swap(w, 0, 7)
		},
		verdict: Refuted, finds: map[Kind]int64{Swapped: 2, Missing: perChunk - 3, Extra: perChunk - 3},
		says: []string{"belong into chunk 7", "belong into chunk 0"},
	},
	{
		name: "a chunk that is gone",
		do: func(w *world) {
			require.NoError(w, w.client.Del(w.Context(), w.key(5, "granted"), w.key(5, "journal"), w.key(5, "calls")).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Missing: perChunk}, says: []string{"chunk 5"},
	},
	{
		name: "an index that lacks a chunk",
		do: func(w *world) {
			require.NoError(w, w.client.SRem(w.Context(), "granter:{"+w.campaign.Name+"}:chunks", 5).Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unlisted: 1}, ids: found{}, says: []string{"chunk 5"}, mend: reconciled,
	},
	{
		name: "an entry that no granter writes",
		do: func(w *world) {
			require.NoError(w, w.client.LSet(w.Context(), w.key(0, "journal"), 1, "nonsense").Err())
		},
		verdict: Refuted, finds: map[Kind]int64{Unreadable: 1, BitOnly: 20},
		says: []string{"entry 1 of the journal cannot be read"},
	},
	{
		name: "a Redis that was rolled back",
		do: func(w *world) {
			old := w.snapshot()
			w.publish(1, "300", "301")
			w.grant(1, w.ends[1]-2, w.ends[1]-1, 300, 301)
			w.checkpoint(w.ends)
			w.commit(w.ends)
			w.restore(old)
		},
		verdict: Refuted, finds: map[Kind]int64{RolledBack: 2, Missing: 2}, ids: found{Missing: {300, 301}},
		says: []string{"partition 1", "the ledger lost what it had", "300, 301"},
		mend: runOnceMore(func(w *world) { w.grant(1, w.ends[1]-2, w.ends[1]-1, 300, 301) }),
	},
	{
		name:    "a topic that was made again",
		do:      func(w *world) { w.remakeTopic(); w.publish(0, "1", "2"); w.open() },
		verdict: NotProven, finds: map[Kind]int64{TopicChanged: 1, Unprovable: 3*perChunk - 2},
		says: []string{"deleted and created again", "--new-topic", "no run has read the topic to its end"},
	},
	{
		name:    "a partition that was added",
		do:      func(w *world) { w.addPartition(); w.publish(parts, "4000"); w.open() },
		verdict: NotProven, finds: map[Kind]int64{PartitionAdded: 1}, ids: found{}, says: []string{"partition 3"},
		mend: runOnceMore(func(w *world) { w.grant(parts, 0, 0, 4000) }),
	},
	{
		name: "records that retention removed",
		do: func(w *world) {
			w.deleteRecords(w.campaign.Input.Topic, 2, 10)
			w.grant(0, 3, 4, 500) // an extra one, from records that are there
		},
		// Who has another record is proven by it: user 9 of the chunk, the fourth.
		verdict: Refuted, finds: map[Kind]int64{RecordsGone: 10, Unprovable: 9, Extra: 1},
		ids:  found{Extra: {500}, Unprovable: in(5, 0, 3, 6, 12, 15, 18, 21, 24, 27)},
		says: []string{"offsets 0 to 9 are gone"},
	},
	{
		name: "a partition that lost its tail",
		do: func(w *world) {
			ends := w.ends.Clone()
			ends[1] += 5
			w.checkpoint(ends)
		},
		verdict: NotProven, finds: map[Kind]int64{Truncated: 5}, ids: found{},
		says: []string{"partition 1", "Kafka lost records"},
	},
	{
		name: "a malformed record without a dead letter",
		do: func(w *world) {
			w.publish(0, "not a user")
			w.checkpoint(w.ends)
		},
		verdict: Refuted, finds: map[Kind]int64{NoLetter: 1}, ids: found{}, says: []string{"0/42", "granter rejected recover"},
		mend: func(w *world, _ *Report) {
			w.reject(0, w.ends[0]-1)
			w.reject(0, w.ends[0]-1) // stored twice, when a run was repeated
		},
	},
	{
		name:    "a dead letter of a good record",
		do:      func(w *world) { w.reject(2, 5) },
		verdict: Refuted, finds: map[Kind]int64{StrayLetter: 1}, ids: found{}, says: []string{"2/5"},
	},
	{
		name:    "dead letters that are gone",
		do:      func(w *world) { w.deleteRecords(w.campaign.Input.DeadLetterTopic(), 0, 2) },
		verdict: NotProven, finds: map[Kind]int64{LettersGone: 2}, ids: found{},
		says: []string{"0/41", "1/41", "granter rejected recover"},
		mend: func(w *world, _ *Report) { w.reject(0, w.ends[0]-1); w.reject(1, w.ends[1]-1) },
	},
}

func in(chunk uint64, lows ...uint64) (out []uint64) {
	for _, low := range lows {
		out = append(out, chunk<<16|low)
	}
	return out
}

func (w *world) setBit(chunk uint64, low int64, value int) {
	w.Helper()
	require.NoError(w, w.client.SetBit(w.Context(), w.key(chunk, "granted"), low, value).Err())
}

func swap(w *world, a, b uint64) {
	w.Helper()
	kept := "granter:{" + w.campaign.Name + "/0}:kept"
	for _, name := range []string{"granted", "journal"} {
		require.NoError(w, w.client.Rename(w.Context(), w.key(a, name), kept).Err())
		require.NoError(w, w.client.Rename(w.Context(), w.key(b, name), w.key(a, name)).Err())
		require.NoError(w, w.client.Rename(w.Context(), kept, w.key(b, name)).Err())
	}
}

// named plants an untruth into a campaign that is proven, and requires that it is named, exactly, in the report and in what is
// printed of it; and that the next audit proves when it was mended.
func (p *plant) named(w *world) {
	w.Helper()
	w.finds(Proven, map[Kind]int64{})
	p.do(w)
	finds := maps.Clone(p.finds)
	if p.counts != nil {
		for kind := range finds {
			if kind != Unlisted {
				finds[kind] = int64(p.counts(w))
			}
		}
	}
	r := w.finds(p.verdict, finds)
	if p.ids != nil {
		require.Equal(w, p.ids, w.ids)
	}
	if p.names != nil {
		require.Equal(w, p.names(w), w.names)
	}
	var printed bytes.Buffer
	r.Print(&printed, "en")
	for _, words := range p.says {
		require.Contains(w, printed.String(), words)
	}
	if p.mend == nil {
		return
	}
	p.mend(w, r)
	w.finds(Proven, map[Kind]int64{})
}

func TestEachUntruthIsNamedExactly(t *testing.T) {
	t.Parallel()
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.named(granted(t))
		})
	}
}

// What Kafka has for the group says that the ledger was further than it is. So does the report before.
func TestARolledBackRedisIsNamedByTheReportBefore(t *testing.T) {
	w := granted(t)
	old := w.snapshot()
	w.publish(1, "300", "301")
	w.grant(1, w.ends[1]-2, w.ends[1]-1, 300, 301)
	w.checkpoint(w.ends)
	later := w.finds(Proven, map[Kind]int64{})
	w.restore(old)
	w.finds(Proven, map[Kind]int64{}) // a ledger of before is consistent in itself
	w.finds(Refuted, map[Kind]int64{RolledBack: 2 + 2, Missing: 2}, func(c *Config) { c.Committed, c.Previous = nil, later })
}

// Kafka has forgotten the group, and nobody kept a report. A ledger of before is then one on its way, and the audit says that it
// cannot tell; but a dead letter of what waits, by a run that the ledger does not know, says that it was further. So it is where
// the ledger was emptied. A run that may just have begun is no such witness. Reading again settles it.
func TestARolledBackRedisIsNamedByDeadLetters(t *testing.T) {
	w := granted(t)
	old, ends := w.snapshot(), maps.Clone(w.ends)
	w.publish(1, "300", "y", "z")
	w.run = grant.NewRunID(time.Now().Add(-time.Hour))
	w.reject(1, w.ends[1]-2)
	w.reject(1, w.ends[1]-1)
	unseen := func(c *Config) { c.Committed = nil }
	r := w.finds(NotProven, map[Kind]int64{LedgerChanged: 2}, unseen)
	require.Equal(t, "topic "+w.campaign.Input.DeadLetterTopic(), r.Findings[0].Where)
	require.Contains(t, r.Findings[0].What, fmt.Sprintf("record 1/%d by run %s", w.ends[1]-1, w.run))
	require.Equal(t, []Witness{WitnessLetters}, r.Witnesses)
	w.record("") // a ledger that knows the run has not read those records yet
	r = w.finds(Proven, map[Kind]int64{}, unseen)
	require.Empty(t, r.Witnesses)
	for lang, says := range map[string][]string{
		"en": {"put back to an older state would look the same", "none but the ledger itself"},
		"ko": {"이전 상태로 되돌려졌더라도 똑같이 보입니다", "원장 자체 외에 없음"},
	} {
		var printed bytes.Buffer
		r.Print(&printed, lang)
		for _, words := range says {
			require.Contains(t, printed.String(), words)
		}
	}
	w.restore(old)
	w.commit(ends)
	require.Equal(t, []Witness{WitnessGroup, WitnessReport, WitnessLetters},
		w.finds(NotProven, map[Kind]int64{LedgerChanged: 2 + 1}, func(c *Config) { c.Previous = r }).Witnesses,
		"the report before names the run, too")
	w.finds(NotProven, map[Kind]int64{LedgerChanged: 2})
	w.run = grant.NewRunID(time.Now())
	w.begin()
	w.grant(1, ends[1], w.ends[1]-1, 300)
	w.checkpoint(w.ends)
	require.NotContains(t, w.finds(Proven, map[Kind]int64{}).Sentence("en"), "put back")
}

// Reports of before have nothing about witnesses, and say nothing of them.
func TestAReportOfBeforeSaysNothingOfWitnesses(t *testing.T) {
	r := &Report{Verdict: Proven, Topic: TopicReport{Waiting: 3}}
	require.NotContains(t, r.Sentence("en"), "put back")
	for _, row := range r.Rows("en") {
		require.NotContains(t, row[0], "witness")
	}
}

func TestAnEmptyPartitionThatWasAddedIsNothing(t *testing.T) {
	w := granted(t)
	w.addPartition()
	r := w.finds(Proven, map[Kind]int64{})
	require.Len(t, r.Topic.Partitions, parts+1)
}

// A partition lost its tail, and other records have those places now. Somebody ordered to begin anew: whom the runs of before
// granted from what is lost is not extra.
func TestWhoWasGrantedBeforeRecordsWereLostIsUnprovable(t *testing.T) {
	w := granted(t)
	w.grant(0, 3, 4, 500)
	w.finds(Refuted, map[Kind]int64{Extra: 1})
	w.open()
	w.begin()
	for partition := range parts { // it reads everything again
		w.reject(partition, w.ends[partition]-1)
	}
	r := w.finds(NotProven, map[Kind]int64{Truncated: 1, Unprovable: 1}, func(c *Config) {
		c.Anew = time.Now()
		for i := range c.Runs {
			if c.Runs[i].Run == w.run {
				c.Runs[i].UpdatedAt = c.Anew.Add(time.Second)
			}
		}
	})
	require.Contains(t, r.Findings[0].What, "ordered to begin anew")
	require.Equal(t, found{Unprovable: {500}}, w.ids)
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
