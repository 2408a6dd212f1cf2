package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// now is what Redis's clock says in these tests, in the middle of a campaign of two days.
var now = time.Date(2022, 11, 5, 12, 0, 0, 0, time.UTC)

var aTopic = grant.TopicID{Cluster: "a-cluster", Topic: [16]byte{7}}

// world is a campaign, the ledger and the topic, as the test wants them.
type world struct {
	subscribers []grant.Subscriber
	campaign    grant.Campaign
	totals      ledger.Totals
	spec        *ledger.StoredSpec
	checkpoint  grant.Checkpoint
	id          grant.TopicID
	lost        *grant.TruncatedError
	runs        []grant.RunRecord
	control     grant.Control
	at          time.Time
	bounds      grant.Bounds
	errs        map[string]error // by method
}

// newWorld is a campaign under way: a tenth of 1,000 records is granted, and nobody runs.
func newWorld() *world {
	return &world{
		campaign: grant.Campaign{
			Name: "sorry-2022", Title: "Sorry", Hash: "aa11", Canonical: []byte("one"),
			StartsAt: now.Add(-24 * time.Hour), EndsAt: now.Add(24 * time.Hour), Population: 2000,
		},
		totals: ledger.Totals{Granted: 100, Bytes: 4096}, spec: &ledger.StoredSpec{Hash: "aa11"},
		bounds: grant.Bounds{Firsts: grant.Offsets{0: 1000, 1: 0}, Ends: grant.Offsets{0: 1400, 1: 600}}, checkpoint: grant.Checkpoint{Topic: aTopic, Next: grant.Offsets{0: 1100, 1: 0}}, id: aTopic,
		at: now, errs: map[string]error{},
	}
}

func (w *world) Taken(context.Context, *grant.Campaign) ([]ledger.ItemTaken, error) {
	return []ledger.ItemTaken{{Item: "first", Taken: 2, First: 3}}, w.errs["taken"]
}
func (w *world) Totals(context.Context) (ledger.Totals, error) { return w.totals, w.errs["totals"] }

func (w *world) Spec(context.Context) (ledger.StoredSpec, bool, error) {
	if w.spec == nil {
		return ledger.StoredSpec{}, false, w.errs["spec"]
	}
	return *w.spec, true, w.errs["spec"]
}

func (w *world) SpecKey() string { return "granter:{sorry-2022}:spec" }

func (w *world) Checkpoints(context.Context, *grant.Campaign) (grant.Checkpoint, error) {
	return w.checkpoint, w.errs["checkpoint"]
}
func (w *world) Runs(context.Context) ([]grant.RunRecord, error) { return w.runs, w.errs["runs"] }

func (w *world) Control(context.Context) (grant.Control, time.Time, error) {
	return w.control, w.at, w.errs["control"]
}

func (w *world) Bounds(context.Context) (grant.Bounds, error) {
	return w.bounds, w.errs["bounds"]
}

func (w *world) gather(t *testing.T) *Status {
	t.Helper()
	s, err := NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), s.At, time.Minute)
	return s
}

func (w *world) Identify(context.Context) (grant.TopicID, error) { return w.id, w.errs["identity"] }

func (w *world) Intact(context.Context, grant.Checkpoint) error {
	if w.lost != nil {
		return w.lost
	}
	return nil
}

// run is a live replica that grants 90 users a second, and what the test changes of it.
func run(id grant.RunID, change ...func(*grant.RunRecord)) grant.RunRecord {
	r := grant.RunRecord{Run: id, State: grant.RunRunning, UpdatedAt: now.Add(-time.Second), Rate: 90}
	for _, fn := range change {
		fn(&r)
	}
	return r
}

func state(s grant.RunState) func(*grant.RunRecord) {
	return func(r *grant.RunRecord) { r.State, r.Rate = s, 0 }
}

func held(causes ...grant.Cause) func(*grant.RunRecord) {
	return func(r *grant.RunRecord) {
		for _, cause := range causes {
			r.Holds = append(r.Holds, grant.Hold{Cause: cause, Detail: "of " + r.Run.String(), Since: now})
		}
	}
}

func lost(r *grant.RunRecord) { r.UpdatedAt = now.Add(-time.Hour) }

func TestPhases(t *testing.T) {
	before := func(w *world) { w.campaign.StartsAt = now.Add(time.Hour) }
	untouched := func(w *world) { w.totals.Granted, w.checkpoint = 0, grant.Checkpoint{} }
	done := func(w *world) { w.checkpoint.Next = grant.Offsets{0: 1400, 1: 600} }
	runs := func(runs ...grant.RunRecord) func(*world) { return func(w *world) { w.runs = runs } }
	aborted := func(w *world) {
		w.control.Abort, w.control.AbortedBy = 1, &grant.Given{At: now, Who: "minji", Why: "wrong"}
	}
	finish := func(end int64) func(*world) { // of partition 1, of which nobody is granted yet
		return func(w *world) { w.control.Finish = &grant.Finish{Version: 1, Ends: grant.Offsets{0: 1100, 1: end}} }
	}
	for _, test := range []struct {
		name string
		is   []func(*world)
		want Phase
	}{
		{"before the start, nobody there", []func(*world){before, untouched}, PhaseWaiting},
		{"before the start, all wait", []func(*world){before, untouched, runs(run(1, state(grant.RunWaiting), held(grant.CauseSchedule)))}, PhaseWaiting},
		{
			"before the start, after a canary", []func(*world){
				before, untouched, func(w *world) { w.totals.Granted = 10 },
				runs(run(1, state(grant.RunFinished)), run(2, state(grant.RunWaiting), held(grant.CauseSchedule))),
			}, PhaseWaiting,
		},
		{"before the start, a canary runs", []func(*world){before, untouched, runs(run(1))}, PhaseRunning},
		{"started early, and then stopped", []func(*world){before, runs(run(1, state(grant.RunStopped)))}, PhaseIdle},
		{"at the start", []func(*world){untouched, func(w *world) { w.campaign.StartsAt = now }}, PhaseIdle},
		{"postponed", []func(*world){untouched, func(w *world) { later := now.Add(time.Hour); w.control.StartsAt = &later }}, PhaseWaiting},
		{"a second before the postponed start", []func(*world){untouched, func(w *world) { later := now.Add(time.Second); w.control.StartsAt = &later }}, PhaseWaiting},
		{"at the postponed start", []func(*world){untouched, func(w *world) { w.control.StartsAt = &now }}, PhaseIdle},

		{"nobody runs", nil, PhaseIdle},
		{"the only replica was killed", []func(*world){runs(run(1, lost))}, PhaseIdle},
		{"one failed", []func(*world){runs(run(1, state(grant.RunFailed)))}, PhaseIdle},

		{"one grants", []func(*world){runs(run(1))}, PhaseRunning},
		{"one waits for the other's partitions", []func(*world){done, runs(run(1))}, PhaseRunning},
		{"one is slow", []func(*world){runs(run(1), run(2, held(grant.CauseLatency)))}, PhaseThrottled},
		{"by order", []func(*world){runs(run(1, held(grant.CauseThrottle)))}, PhaseThrottled},
		{"one of two cannot reach Redis", []func(*world){runs(run(1), run(2, held(grant.CauseUnavailable)))}, PhaseThrottled},
		{"what held a lost replica is over", []func(*world){runs(run(1), run(2, lost, held(grant.CauseLatency)))}, PhaseRunning},

		{"paused by order", []func(*world){func(w *world) { w.control.Paused = true }, runs(run(1), run(2))}, PhasePaused},
		{"both stand", []func(*world){runs(run(1, held(grant.CauseCritical, grant.CauseMemory)), run(2, held(grant.CauseUnavailable)))}, PhasePaused},
		{"preflight fails at the start", []func(*world){runs(run(1, state(grant.RunWaiting), held(grant.CausePreflight)))}, PhasePaused},
		{"paused, and nobody runs", []func(*world){func(w *world) { w.control.Paused = true }}, PhasePaused},
		{"paused, all granted, and nobody runs", []func(*world){done, func(w *world) { w.control.Paused = true }}, PhaseFinished},
		{
			"before the start by the replicas' clocks, and not by Redis's", []func(*world){
				untouched, func(w *world) { w.campaign.StartsAt = now.Add(-3 * time.Second) },
				runs(run(1, state(grant.RunWaiting), held(grant.CauseSchedule)), run(2, state(grant.RunWaiting), held(grant.CauseSchedule))),
			}, PhaseWaiting,
		},
		{"postponed in the last moment, after it had begun", []func(*world){runs(run(1, held(grant.CauseSchedule)))}, PhasePaused},

		{"aborted", []func(*world){aborted}, PhaseAborted},
		{"aborted before the start", []func(*world){before, untouched, aborted}, PhaseAborted},
		{"aborted, and one has not heard of it", []func(*world){aborted, runs(run(1))}, PhaseAborted},
		{"aborted, and one stands by", []func(*world){aborted, runs(run(1, state(grant.RunWaiting), held(grant.CauseAborted)))}, PhaseAborted},
		{"aborted when all was granted", []func(*world){done, aborted}, PhaseAborted},

		{"ordered to finish", []func(*world){finish(600), runs(run(1))}, PhaseFinishing},
		{"ordered to finish, with a limit", []func(*world){finish(600), runs(run(1, held(grant.CauseThrottle)))}, PhaseFinishing},
		{
			"ordered to finish, for the topic that was there before", []func(*world){
				finish(600), func(w *world) { w.control.Finish.Topic = grant.TopicID{Cluster: "a-cluster", Topic: [16]byte{8}} }, runs(run(1)),
			}, PhaseRunning,
		},
		{"ordered to finish, and paused", []func(*world){finish(600), func(w *world) { w.control.Paused = true }, runs(run(1))}, PhasePaused},
		{"ordered to finish, and nobody runs", []func(*world){finish(600)}, PhaseIdle},
		{"finished as ordered; more came later", []func(*world){finish(0)}, PhaseFinished},
		{"the same, and one stands by", []func(*world){finish(0), runs(run(1, state(grant.RunWaiting), held(grant.CauseFinished)))}, PhaseFinished},

		{"all granted", []func(*world){done, runs(run(1, state(grant.RunFinished)))}, PhaseFinished},
		{"an empty topic", []func(*world){untouched, func(w *world) { w.bounds = grant.Bounds{Firsts: grant.Offsets{0: 5}, Ends: grant.Offsets{0: 5}} }}, PhaseFinished},
		{"at the end of the campaign", []func(*world){func(w *world) { w.campaign.EndsAt = now }, runs(run(1))}, PhaseEnded},
		{"a second before it", []func(*world){func(w *world) { w.campaign.EndsAt = now.Add(time.Second) }, runs(run(1))}, PhaseRunning},
		{"no end", []func(*world){func(w *world) { w.campaign.EndsAt = time.Time{} }, runs(run(1))}, PhaseRunning},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			for _, is := range test.is {
				is(w)
			}
			require.Equal(t, test.want, w.gather(t).Phase)
		})
	}
}

func TestGather(t *testing.T) {
	w := newWorld()
	earlier, later := now.Add(-2*time.Minute), now.Add(-time.Minute)
	w.control.Version = 3
	w.runs = []grant.RunRecord{
		run(1, func(r *grant.RunRecord) { r.Control, r.CheckpointAt = 3, &earlier }),
		run(2, func(r *grant.RunRecord) { r.Control, r.CheckpointAt, r.Rate = 2, &later, 60 }),
		run(3, func(r *grant.RunRecord) { r.Pass, r.CheckpointAt, r.Control = "canary 1%", &now, 4 }),
		run(4, lost),
	}
	s := w.gather(t)
	require.Equal(t, "sorry-2022 Sorry aa11", s.Campaign+" "+s.Title+" "+s.Spec)
	require.Equal(t, w.campaign.StartsAt, s.StartsAt)
	require.Nil(t, s.PostponedFrom)
	require.Equal(t, w.campaign.EndsAt, *s.EndsAt)
	require.Equal(t, w.control, s.Control)
	require.EqualValues(t, 100, s.Granted)
	require.EqualValues(t, 4096, s.LedgerBytes)
	require.EqualValues(t, 1000, s.Records)
	require.EqualValues(t, 900, s.Lag)
	require.Equal(t, []Partition{
		{Partition: 0, First: 1000, End: 1400, Checkpoint: 1100, Lag: 300},
		{Partition: 1, First: 0, End: 600, Checkpoint: 0, Lag: 600},
	}, s.Partitions)
	require.InDelta(t, 5, s.Percentage, 1e-9, "of the 2,000 that are expected")
	require.InDelta(t, 240, s.Rate, 1e-9, "of all who are alive")
	require.InDelta(t, 6, *s.SecondsLeft, 1e-9, "the canary does not count: it brings the campaign no nearer to its end")
	require.WithinDuration(t, s.At.Add(6*time.Second), *s.EstimatedEnd, time.Second)
	require.Equal(t, later, *s.LastCheckpoint, "of those that grant everybody")
	require.Equal(t, 3, s.Live())
	var obey []bool
	for _, r := range s.Runs {
		obey = append(obey, r.Obeys)
	}
	require.Equal(t, []bool{true, false, true, false}, obey)

	w.campaign.Population = 0
	require.InDelta(t, 10, w.gather(t).Percentage, 1e-9, "of the records")
	w.bounds, w.checkpoint = grant.Bounds{}, grant.Checkpoint{}
	require.Zero(t, w.gather(t).Percentage)
}

// What operators have ordered is shown while nobody runs, too, with who, when and why.
func TestOrdersAreShownWhenNobodyRuns(t *testing.T) {
	w := newWorld()
	by := func(why string) *grant.Given { return &grant.Given{At: now, Who: "minji@ops", Why: why} }
	w.control = grant.Control{
		Version: 4, Paused: true, PausedBy: by("look"), Throttle: 50, ThrottledBy: by("slowly"), Abort: 3, AbortedBy: by("wrong"),
		Finish: &grant.Finish{Given: *by("over"), Version: 4, Ends: grant.Offsets{0: 1400, 1: 10}},
	}
	s := w.gather(t)
	at := now.In(w.campaign.StartsAt.Location()).Format(time.RFC3339)
	require.Equal(t, []grant.Standing{
		{Action: grant.ActionAbort, Says: "aborted by minji@ops at " + at + ": wrong"},
		{Action: grant.ActionPause, Says: "paused by minji@ops at " + at + ": look"},
		{Action: grant.ActionThrottle, Says: "limited to 50 users/s over all replicas by minji@ops at " + at + ": slowly"},
		{Action: grant.ActionFinish, Says: "ordered to finish by minji@ops at " + at + ": over"},
	}, s.Orders)
	require.EqualValues(t, 310, *s.FinishLag)
	require.Equal(t, []grant.Hold{
		{Cause: grant.CauseOperator, Detail: s.Orders[1].Says, Since: now}, {Cause: grant.CauseThrottle, Detail: s.Orders[2].Says, Since: now},
	}, s.Holds)
	w.runs = []grant.RunRecord{run(1)}
	require.Empty(t, w.gather(t).Holds, "live replicas know better")
	w.control = grant.Control{Version: 1}
	s = w.gather(t)
	require.Empty(t, s.Orders)
	require.Nil(t, s.FinishLag)
}

// Until it ends is how long it takes to where it was ordered to finish.
func TestTheEstimatedEndIsThatOfTheOrder(t *testing.T) {
	w := newWorld()
	w.runs = []grant.RunRecord{run(1)}
	w.control.Finish = &grant.Finish{Version: 1, Ends: grant.Offsets{0: 1100, 1: 450}}
	require.InDelta(t, 5, *w.gather(t).SecondsLeft, 1e-9)
}

func TestRetentionAndGrowthOfPartitions(t *testing.T) {
	w := newWorld()
	// In 0 retention has passed the checkpoint, 1 was made again with less in it, 2 is new.
	w.bounds = grant.Bounds{Firsts: grant.Offsets{0: 500, 1: 0, 2: 0}, Ends: grant.Offsets{0: 900, 1: 10, 2: 50}}
	w.checkpoint.Next = grant.Offsets{0: 100, 1: 40, 7: 3}
	s := w.gather(t)
	require.Equal(t, []Partition{
		{0, 500, 900, 100, 400}, {1, 0, 10, 40, 0}, {2, 0, 50, 0, 50},
	}, s.Partitions)
	require.EqualValues(t, 450, s.Lag)
	require.EqualValues(t, 460, s.Records)
	require.EqualValues(t, 400, s.Gone, "those of 0 between the checkpoint and what is there")

	w.errs["checkpoint"] = context.DeadlineExceeded
	s, err := NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
	require.Error(t, err)
	require.Zero(t, s.Gone, "that needs both")
}

func TestAPostponedStartIsShownWithTheOriginal(t *testing.T) {
	w := newWorld()
	later := now.Add(3 * time.Hour)
	w.control = grant.Control{Version: 1, StartsAt: &later}
	s := w.gather(t)
	require.Equal(t, later, s.StartsAt)
	require.Equal(t, w.campaign.StartsAt, *s.PostponedFrom)
}

// A campaign that stands has no end, and neither has one that would take longer than a life.
func TestWhatHasNoEstimatedEnd(t *testing.T) {
	for name, is := range map[string]func(*world){
		"paused":           func(w *world) { w.control.Paused, w.runs = true, []grant.RunRecord{run(1)} },
		"held":             func(w *world) { w.runs = []grant.RunRecord{run(1, held(grant.CauseUnavailable))} },
		"nobody runs":      func(*world) {},
		"nothing moves":    func(w *world) { w.runs = []grant.RunRecord{run(1, func(r *grant.RunRecord) { r.Rate = 0 })} },
		"only a canary":    func(w *world) { w.runs = []grant.RunRecord{run(1, func(r *grant.RunRecord) { r.Pass = "canary 1%" })} },
		"it takes forever": func(w *world) { w.runs = []grant.RunRecord{run(1, func(r *grant.RunRecord) { r.Rate = 1e-12 })} },
	} {
		w := newWorld()
		is(w)
		s := w.gather(t)
		require.Nil(t, s.EstimatedEnd, name)
		require.Nil(t, s.SecondsLeft, name)
		_, err := json.Marshal(s)
		require.NoError(t, err, name)
	}
}

// Clocks of replicas differ; each says by how much Redis's clock is ahead of its own.
func TestAReplicaIsGoneAfterSecondsOfSilenceByRedissClock(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour} {
		for _, test := range []struct {
			silent time.Duration
			live   bool
		}{{0, true}, {SilentAfter - time.Millisecond, true}, {SilentAfter, false}, {time.Hour, false}, {-time.Second, true}} {
			w := newWorld()
			w.runs = []grant.RunRecord{run(1, func(r *grant.RunRecord) {
				r.Redis.ClockAhead = ahead.Seconds()
				r.UpdatedAt = now.Add(-test.silent - ahead)
			})}
			require.Equal(t, test.live, w.gather(t).Runs[0].Live, "clock ahead by %s, silent for %s", ahead, test.silent)
		}
	}
	for _, over := range []grant.RunState{grant.RunFinished, grant.RunStopped, grant.RunFailed} {
		w := newWorld()
		w.runs = []grant.RunRecord{run(1, state(over))}
		require.False(t, w.gather(t).Runs[0].Live, over)
	}
}

func TestHoldsOfAllReplicas(t *testing.T) {
	w := newWorld()
	hold := func(cause grant.Cause, since time.Duration, detail string) grant.Hold {
		return grant.Hold{Cause: cause, Since: now.Add(-since), Detail: detail}
	}
	holds := func(ahead time.Duration, holds ...grant.Hold) func(*grant.RunRecord) {
		return func(r *grant.RunRecord) {
			r.Holds, r.Redis.ClockAhead, r.UpdatedAt = holds, ahead.Seconds(), r.UpdatedAt.Add(-ahead)
		}
	}
	w.runs = []grant.RunRecord{
		run(1, holds(0, hold(grant.CauseMemory, time.Minute, "first"), hold(grant.CauseThrottle, time.Minute, "1"))),
		run(2, holds(0, hold(grant.CauseUnavailable, time.Second, "2"), hold(grant.CauseMemory, 2*time.Minute, "second"))),
		run(3, holds(0, hold(grant.CauseMemory, time.Hour, "nobody")), lost),
		run(4, holds(0, hold(grant.CauseQuery, time.Hour, "nobody")), state(grant.RunStopped)),
		// Its clock is an hour behind, so it says that an hour longer has passed than did.
		run(5, holds(time.Hour, hold(grant.CauseMemory, time.Hour+30*time.Second, "late"), hold(grant.CauseLatency, time.Hour+time.Second, "5"))),
	}
	require.Equal(t, []grant.Hold{
		hold(grant.CauseUnavailable, time.Second, "2"),
		hold(grant.CauseLatency, time.Second, "5"),
		hold(grant.CauseMemory, 2*time.Minute, "second"),
		hold(grant.CauseThrottle, time.Minute, "1"),
	}, w.gather(t).Holds)
}

func TestTheYoungestRunsAreListed(t *testing.T) {
	w := newWorld()
	for id := range 60 { // oldest first, as the ledger gives them
		if id%20 == 0 || id >= 57 { // 0, 20 and 40, and the last three
			w.runs = append(w.runs, run(grant.RunID(id)))
		} else {
			w.runs = append(w.runs, run(grant.RunID(id), state(grant.RunStopped)))
		}
	}
	var listed []grant.RunID
	s := w.gather(t)
	for _, r := range s.Runs {
		listed = append(listed, r.Run)
	}
	want := []grant.RunID{0, 20}
	for id := grant.RunID(36); id < 60; id++ {
		want = append(want, id)
	}
	require.Equal(t, want, listed, "six that live, and the last twenty others")
	require.Equal(t, 6, s.Live())

	w.runs = w.runs[1:20]
	require.Len(t, w.gather(t).Runs, 19)
}

func TestRejectsOfAllRuns(t *testing.T) {
	reject := func(reason string, partition int, offset int64) grant.Reject {
		return grant.Reject{Partition: partition, Offset: offset, Reason: reason, Value: fmt.Sprint(offset)}
	}
	rejects := func(n int64, samples ...grant.Reject) func(*grant.RunRecord) {
		return func(r *grant.RunRecord) { r.Rejects, r.Samples = map[string]int64{"empty": n, "huge": 1}, samples }
	}
	w := newWorld()
	w.runs = []grant.RunRecord{
		run(1, rejects(5, reject("huge", 0, 3), reject("empty", 1, 9), reject("empty", 0, 9))),
		run(2, lost, rejects(2, reject("empty", 0, 9), reject("empty", 0, 8))), // it read the same record again
		run(3, state(grant.RunFinished), rejects(1)),
		run(4),
	}
	s := w.gather(t)
	require.Equal(t, map[string]int64{"empty": 8, "huge": 3}, s.Rejects)
	require.Equal(t, []grant.Reject{reject("empty", 0, 8), reject("empty", 0, 9), reject("empty", 1, 9), reject("huge", 0, 3)}, s.Samples)

	for id := range int64(300) {
		w.runs = append(w.runs, run(grant.RunID(5+id), lost, rejects(1, reject("huge", 0, 100+id))))
	}
	s = w.gather(t)
	require.Len(t, s.Samples, 3+maxSamples)
	require.EqualValues(t, 303, s.Rejects["huge"], "counted is every one")
}

// Programs read the JSON: a list that is empty is a list.
func TestAnEmptyStatusHasItsLists(t *testing.T) {
	w := newWorld()
	w.bounds, w.campaign.EndsAt = grant.Bounds{}, time.Time{}
	text, err := json.Marshal(w.gather(t))
	require.NoError(t, err)
	for _, part := range []string{`"holds":[]`, `"rejects":{}`, `"samples":[]`, `"partitions":[]`, `"runs":[]`, `"phase":"finished"`, `"parts":[`} {
		require.Contains(t, string(text), part)
	}
	require.NotContains(t, string(text), "ends_at")
}

func TestALedgerThatContradictsItselfIsSaidToBeDamaged(t *testing.T) {
	w := newWorld()
	s, err := NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
	require.NoError(t, err)
	require.Empty(t, s.Damage)
	w.totals.Missing = 2
	s, err = NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
	require.NoError(t, err)
	require.Contains(t, s.Damage, ":chunks has had 2 more chunks than it lists")
}

// Nothing of a checkpoint counts that is of another topic, and nothing behind what Kafka has lost.
func TestACheckpointOfAnotherTopicCountsForNothing(t *testing.T) {
	w := newWorld()
	w.campaign.Population = 0
	w.checkpoint.Next = grant.Offsets{0: 1400, 1: 600}
	require.Equal(t, PhaseFinished, w.gather(t).Phase)
	require.InDelta(t, 100, w.gather(t).Percentage, 0)

	again := aTopic
	again.Topic[0]++
	w.id = again
	s := w.gather(t)
	require.Equal(t, PhaseIdle, s.Phase)
	require.Zero(t, s.Percentage)
	require.EqualValues(t, 1000, s.Lag)
	require.Equal(t, []string{again.String(), aTopic.String()}, []string{s.TopicID, s.CheckpointID})
	require.Contains(t, s.TopicChanged, "--new-topic")
	w.control.Finish = &grant.Finish{Version: 1, Ends: grant.Offsets{0: 1400, 1: 600}, Topic: aTopic}
	require.Nil(t, w.gather(t).FinishLag, "the order was for the topic of then")
	w.control.Finish = nil

	w.id = aTopic
	w.lost = &grant.TruncatedError{Partition: 1, Offset: 600, Epoch: 1, EndEpoch: 0, End: 450}
	s = w.gather(t)
	require.Equal(t, PhaseIdle, s.Phase)
	require.EqualValues(t, 150, s.Lag)
	require.Contains(t, s.TopicChanged, "partition 1 has lost records")
}

// How many took what is in the status where there is something to take, and is of the ledger's part.
func TestTakesAreCountedWhereSomethingIsOffered(t *testing.T) {
	w := newWorld()
	gather := func() (*Status, error) { return NewGatherer(&w.campaign, w, w, w).Gather(t.Context()) }
	s, err := gather()
	require.NoError(t, err)
	require.Empty(t, s.Taken)
	w.campaign.Items = []grant.Item{{ID: "first", Validity: grant.Validity{Taken: true}, First: 3}}
	s, err = gather()
	require.NoError(t, err)
	require.Equal(t, []ledger.ItemTaken{{Item: "first", Taken: 2, First: 3}}, s.Taken)
	w.errs["taken"] = errors.New("away")
	_, err = gather()
	require.ErrorContains(t, err, "away")
}
