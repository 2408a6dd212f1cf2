package rejected

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stored are the letters of a dead-letter topic.
type stored []*source.Letter

func (s stored) EachLetter(_ context.Context, visit func(*source.Letter) error) error {
	for _, l := range s {
		if err := visit(l); err != nil {
			return err
		}
	}
	return nil
}

// desk is an empty ledger, and what a replay needs of it.
type desk struct {
	*testing.T
	mini *miniredis.Miniredis
	c    *grant.Campaign
	kill *killer
	*ledger.Coordination
	*ledger.Reader
	store *ledger.Store
}

// killer lets a number of calls through, and none after them; the last one may be carried out although nobody hears of it.
type killer struct {
	left   atomic.Int64
	silent bool
}

var errKilled = errors.New("killed")

func (k *killer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (k *killer) allow(run func() error) error {
	switch left := k.left.Add(-1); {
	case left < 0 || left == 0 && !k.silent:
		return errKilled
	case left == 0:
		return errors.Join(run(), errKilled)
	}
	return run()
}

func (k *killer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := k.allow(func() error { return next(ctx, cmd) })
		if errors.Is(err, errKilled) {
			cmd.SetErr(err)
		}
		return err
	}
}

func (k *killer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := k.allow(func() error { return next(ctx, cmds) })
		if errors.Is(err, errKilled) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

func newDesk(t *testing.T) *desk { t.Helper(); return newDeskOf(t, "") }

// kinds are dense IDs, and others whose text is the same.
var kinds = []grant.IDs{"", grant.IDsInt64}

func newDeskOf(t *testing.T, ids grant.IDs) *desk {
	t.Helper()
	d := &desk{T: t, mini: miniredis.RunT(t), kill: &killer{}}
	d.c = &grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("{}")}
	d.c.Input = grant.Input{Topic: "users", Format: grant.FormatDecimal, IDs: ids}
	d.c.Population = 1000
	client, err := ledger.Connect(ledger.Options{Addrs: []string{d.mini.Addr()}, PoolSize: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	d.live()
	client.AddHook(d.kill)
	d.store, err = ledger.Open(client, d.c, ledger.Config{Pass: Pass()})
	require.NoError(t, err)
	d.Coordination, d.Reader = ledger.NewCoordination(d.store), ledger.NewReader(d.store)
	return d
}

func (d *desk) live() { d.kill.left.Store(1 << 40) }

var aTopic = grant.TopicID{Cluster: "k", Topic: [16]byte{1}}

func bad(partition int, offset int64, value string) *source.Letter {
	return &source.Letter{
		Partition: partition, Offset: offset, Topic: "users", TopicID: aTopic, Campaign: "sorry", Run: 7,
		Reason: source.ReasonSpace, Value: []byte(value),
	}
}

func (d *desk) replay(letters stored, repair Repair, set ...func(*Replay)) (Summary, []Outcome, error) {
	var outcomes []Outcome
	r := Replay{
		Campaign: d.c, From: letters, Store: d.store, Coordination: d.Coordination, Reader: d.Reader, Repair: repair,
		Record: grant.RunRecord{Run: grant.NewRunID(time.Now()), Host: "h", PID: 1},
		Each:   func(o Outcome) { outcomes = append(outcomes, o) },
	}
	for _, fn := range set {
		fn(&r)
	}
	s, err := r.Do(d.Context())
	return s, outcomes, err
}

// trimmed takes the spaces out.
var trimmed = each(func(l *source.Letter) Meaning {
	decode, _ := source.Decoder(grant.Input{Format: grant.FormatDecimal})
	user, reason := decode(&source.Parts{Value: []byte(strings.ReplaceAll(string(l.Value), " ", ""))})
	return Meaning{grant.NumberID(user), reason}
})

// grantBefore grants a user as a run does.
func (d *desk) grantBefore(user grant.UserID, partition int, offset int64) {
	d.Helper()
	run := grant.NewRunID(time.Now())
	g := ledger.NewGrants(d.store, run)
	_, err := g.Begin(d.Context(), aTopic)
	require.NoError(d, err)
	ranges := []sharding.Range{{Partition: partition, First: max(0, offset-10), Last: offset + 10}}
	if d.c.Input.Opaque() {
		form, seq := userid.FormOf(&d.c.Input), uint64(0)
		member, fault := form.Member(nil, []byte(user.String()))
		require.Empty(d, fault)
		_, err := g.AddSome(d.Context(), &seq, ranges, [][]byte{member})
		require.NoError(d, err)
	} else {
		chunk, low := dense.Split(user.Number())
		members := new(dense.Bitmap)
		members.Set(low)
		require.NoError(d, g.Grant(d.Context(), &dense.Flush{
			Seq: 1, Ranges: ranges, Deltas: []dense.Delta{{Chunk: chunk, Members: members, Count: 1}},
		}))
	}
	require.NoError(d, g.SaveRun(d.Context(), grant.RunRecord{Run: run, Spec: d.c.Hash, State: grant.RunFinished, Topic: aTopic}))
}

func TestALetterIsReplayedOnce(t *testing.T) {
	for _, ids := range kinds {
		t.Run("IDs "+string(ids), func(t *testing.T) { replaysOnce(newDeskOf(t, ids)) })
	}
}

func replaysOnce(d *desk) {
	t := d.T
	d.grantBefore(grant.NumberID(5), 0, 3) // its range has letter 0/3 in it, which did not grant it
	letters := stored{
		bad(0, 1, " 70000"), bad(0, 2, "70000 "), bad(0, 3, "5 "), bad(1, 9, "oops"), bad(1, 10, "8 8"), bad(0, 1, " 70000"), nil,
		{Campaign: "another", Topic: "users", Value: []byte("9")},
	}
	summary, outcomes, err := d.replay(letters, trimmed, func(r *Replay) { r.DryRun = true })
	require.NoError(t, err)
	want := Summary{Run: summary.Run, DryRun: true, Letters: 5, Granted: 2, Duplicate: 2, StillBad: 1,
		Reasons: map[source.Reason]int64{source.ReasonNotDecimal: 1}}
	require.Equal(t, want, summary)
	require.Len(t, outcomes, 5)
	replays, err := d.Replays(t.Context())
	require.NoError(t, err)
	require.Zero(t, replays, "a dry run writes nothing")

	summary, _, err = d.replay(letters, trimmed)
	require.NoError(t, err)
	want.DryRun, want.Run = false, summary.Run
	require.Equal(t, want, summary)
	found, granted, err := d.Lookup(t.Context(), grant.NumberID(70000))
	require.NoError(t, err)
	require.True(t, granted)
	require.Equal(t, []sharding.Range{{Partition: 0, First: 1, Last: 1}}, found.Ranges, "it says which record it was")
	runs, err := d.Runs(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Tally{Consumed: 4, Granted: 2, Duplicate: 2}, runs[1].Tally)
	require.Equal(t, grant.RunFinished, runs[1].State)
	require.Equal(t, aTopic, runs[1].Topic)

	// Another mapping changes nothing of what was replayed; what was bad may be good now.
	summary, _, err = d.replay(letters, each(func(*source.Letter) Meaning { return Meaning{User: grant.NumberID(1 << 40)} }))
	require.NoError(t, err)
	require.Equal(t, Summary{Run: summary.Run, Letters: 5, Before: 4, Granted: 1, Reasons: map[source.Reason]int64{}}, summary)
	replays, err = d.Replays(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Replays{Granted: 3, Duplicate: 2}, replays)
	totals, err := d.Totals(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 4, totals.Granted)
	require.Equal(t, replays, totals.Replays)
	proof, err := d.Prove(t.Context())
	require.NoError(t, err)
	require.True(t, proof.Holds(), "%+v", proof)
}

// What a letter means is remembered whatever its user's ID is, also one with spaces in it.
func TestALetterOfAnyIDIsReplayedOnce(t *testing.T) {
	for ids, text := range map[grant.IDs]string{
		grant.IDsUUID: "6ba7b810-9dad-41d1-80b4-00c04fd430c8", grant.IDsInt64: "-7919", grant.IDsString: "민지 7 a",
	} {
		d := newDeskOf(t, ids)
		letters := stored{bad(0, 1, "?")}
		means := each(func(*source.Letter) Meaning { return Meaning{User: grant.TextID(text)} })
		first, _, err := d.replay(letters, means)
		require.NoError(t, err)
		require.EqualValues(t, 1, first.Granted, text)
		again, _, err := d.replay(letters, means)
		require.NoError(t, err)
		require.EqualValues(t, 1, again.Before, text)
		held, err := d.Letters(t.Context(), []string{aTopic.String() + "/0/1"})
		require.NoError(t, err)
		require.Equal(t, ledger.Claim{Letter: aTopic.String() + "/0/1", User: grant.TextID(text), Run: first.Run}, held[0].Claim)
	}
}

// Whoever is killed at any call, and whichever way the next one reads the letters: every user is granted once, every letter
// counted once, and no letter grants two users.
func TestAReplayThatIsKilledAnywhereIsDoneAgain(t *testing.T) {
	letters := stored{bad(0, 1, " 7"), bad(0, 2, "7 "), bad(0, 5, "70000 "), bad(1, 1, "5 "), bad(1, 2, "9 ")}
	other := each(func(l *source.Letter) Meaning { return Meaning{User: grant.NumberID(uint64(1000 + l.Offset))} })
	for i, silent := range []bool{false, true, false, true} {
		calls := int64(0)
		for through := false; !through; {
			calls++
			t.Run(fmt.Sprint("IDs ", kinds[i/2], ", call ", calls, ", carried out: ", silent), func(t *testing.T) {
				d := newDeskOf(t, kinds[i/2])
				d.grantBefore(grant.NumberID(5), 1, 1)
				d.kill.silent = silent
				d.kill.left.Store(calls)
				_, _, err := d.replay(letters, trimmed)
				through = err == nil
				d.live()
				claimed, err := d.Letters(t.Context(), []string{aTopic.String() + "/0/1"})
				require.NoError(t, err)
				_, _, err = d.replay(letters, other)
				require.NoError(t, err)
				_, claimHolds, err := d.Lookup(t.Context(), grant.NumberID(7))
				require.NoError(t, err)
				require.Equal(t, claimed[0].Claim.Letter != "", claimHolds)
				replays, err := d.Replays(t.Context())
				require.NoError(t, err)
				require.Equal(t, grant.Replays{Granted: 3, Duplicate: 2}, replays)
				totals, err := d.Totals(t.Context())
				require.NoError(t, err)
				require.EqualValues(t, 1+3, totals.Granted)
				proof, err := d.Prove(t.Context())
				require.NoError(t, err)
				require.True(t, proof.Holds(), "%+v", proof)
			})
		}
		require.Greater(t, calls, int64(10))
	}
}

func TestWhatOperatorsHoldIsNotReplayed(t *testing.T) {
	d := newDesk(t)
	order := func(action grant.Action) {
		_, err := d.Order(t.Context(), grant.Order{Action: action, Who: "m", Via: "cli", Why: "a test"})
		require.NoError(t, err)
	}
	letters := stored{bad(0, 1, " 7")}
	for _, action := range []grant.Action{grant.ActionPause, grant.ActionAbort} {
		order(action)
		_, _, err := d.replay(letters, trimmed)
		require.ErrorIs(t, err, ErrHeld)
		require.ErrorContains(t, err, "by m at")
		order(grant.ActionResume)
	}
	d.c.StartsAt = time.Now().Add(time.Hour)
	_, _, err := d.replay(letters, trimmed)
	require.ErrorIs(t, err, ErrHeld)
	replays, err := d.Replays(t.Context())
	require.NoError(t, err)
	require.Zero(t, replays)
}

// A topic that was made again has a record at every place of the old one. Letters of before 0.2 say by their run which it was.
func TestLettersOfAnotherTopicAreOthers(t *testing.T) {
	d := newDesk(t)
	again := grant.TopicID{Cluster: "k", Topic: [16]byte{2}}
	require.NoError(t, d.SaveRun(t.Context(), grant.RunRecord{Run: 9, Topic: again}))
	first, second := bad(0, 1, " 7"), bad(0, 1, " 8")
	second.TopicID, second.Run = grant.TopicID{}, 9
	summary, _, err := d.replay(stored{first, second}, trimmed)
	require.NoError(t, err)
	require.EqualValues(t, 2, summary.Granted)
	runs, err := d.Runs(t.Context())
	require.NoError(t, err)
	topics := map[grant.TopicID]int64{}
	for _, r := range runs {
		topics[r.Topic] += r.Tally.Granted
	}
	require.Equal(t, map[grant.TopicID]int64{aTopic: 1, again: 1}, topics)
}

func TestFiltersAndTheLastOnes(t *testing.T) {
	d := newDesk(t)
	letters := stored{bad(0, 1, " 7"), bad(0, 2, "x"), bad(3, 4, "")}
	letters[1].Reason, letters[2].Reason, letters[2].Run = source.ReasonNotDecimal, source.ReasonEmpty, 8
	for name, c := range map[string]struct {
		filter Filter
		want   []int
	}{
		"all":       {Filter{}, []int{0, 1, 2}},
		"reason":    {Filter{Reasons: []source.Reason{source.ReasonSpace, source.ReasonEmpty}}, []int{0, 2}},
		"partition": {Filter{Partitions: []int{3}}, []int{2}},
		"run":       {Filter{Runs: []grant.RunID{7}}, []int{0, 1}},
		"place":     {Filter{Places: []Place{{0, 2}}}, []int{1}},
	} {
		list, err := Read(t.Context(), letters, d.Coordination, d.c, nil, c.filter, 10)
		require.NoError(t, err)
		require.EqualValues(t, len(c.want), list.Letters, name)
		for i, shown := range list.Last {
			require.Equal(t, letters[c.want[i]], shown.Letter, name)
		}
	}
	list, err := Read(t.Context(), letters, d.Coordination, d.c, nil, Filter{}, 1)
	require.NoError(t, err)
	require.Len(t, list.Last, 2, "the last one of each partition")
	require.EqualValues(t, 2, list.Last[0].Offset)
	_, _, err = d.replay(letters, trimmed)
	require.NoError(t, err)
	list, err = Read(t.Context(), letters, d.Coordination, d.c, nil, Filter{}, 10)
	require.NoError(t, err)
	require.True(t, list.Last[0].LetterState.Granted)
	require.Equal(t, grant.NumberID(7), list.Last[0].User)
	require.False(t, list.Last[1].Settled())
}
