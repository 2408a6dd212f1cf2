//go:build integration

package pagetest

import (
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

const (
	specHash = "3f2a91c07d5be1640a9c2f8e7b6d5c4a3f2a91c07d5be1640a9c2f8e7b6d5c4a"
	million  = 1_000_000
)

var seoul = time.FixedZone("", 9*60*60)

// running is a rollout in the middle of its night: two replicas at full speed.
func running() status.Status {
	now := time.Now()
	start := now.Add(-11 * time.Second).Truncate(time.Second).In(seoul)
	ends := start.Add(90 * 24 * time.Hour)
	checkpoint, left, end := now.Add(-400*time.Millisecond), 17.0, now.Add(17*time.Second)
	st := status.Status{
		Campaign: "sorry-2022-emoticons", Title: "Three emoticons for every KakaoTalk user", Spec: specHash,
		Phase: status.PhaseRunning, StartsAt: start, EndsAt: &ends,
		Granted: 31_204_118, Expected: 48 * million, Percentage: 65.0085, Records: 48_240_000, Lag: 16_908_410, Rate: 1_984_120.4,
		SecondsLeft: &left, EstimatedEnd: &end, LedgerBytes: 75_010_000, LastCheckpoint: &checkpoint,
		Holds: []grant.Hold{}, Rejects: map[string]int64{"not_decimal": 1204, "empty": 311, "over_limit": 2},
		Samples: []grant.Reject{
			{Partition: 3, Offset: 2_204_551, Reason: "not_decimal", Value: `"kakao:1234567"`},
			{Partition: 6, Offset: 1_100_204, Reason: "not_decimal", Value: `"12 345x"`},
			{Partition: 0, Offset: 77, Reason: "empty", Value: `""`},
			{Partition: 1, Offset: 90_001, Reason: "over_limit", Value: `"9223372036854775808"`},
		},
		Partitions: partitions(8),
		Runs: []status.Replica{
			replica("grant-job-0-x7k2p", 0, now), replica("grant-job-1-b9wq4", 1, now),
		},
		Parts: told(now),
	}
	old := replica("grant-job-0-0ld01", 2, now.Add(-3*time.Hour))
	old.State, old.Live, old.Pass, old.Rate = grant.RunFinished, false, "canary 1%", 0
	st.Runs = slices.Insert(st.Runs, 0, old)
	return st
}

// told are the parts of a status, all of one moment.
func told(at time.Time) []status.Part {
	var list []status.Part
	for _, name := range status.Parts() {
		list = append(list, status.Part{Part: name, At: &at})
	}
	return list
}

func partitions(n int) []status.Partition {
	list := make([]status.Partition, n)
	for i := range list {
		p := status.Partition{Partition: i, End: 6_030_000}
		p.Lag = 2_000_000 + int64(i*7919%n)*(700_000/int64(n))
		p.Checkpoint = p.End - p.Lag
		list[i] = p
	}
	return list
}

func replica(host string, n int, at time.Time) status.Replica {
	granted := []int64{15_702_004, 15_190_114, 312_000}[n]
	return status.Replica{
		Live: true, Obeys: true,
		RunRecord: grant.RunRecord{
			Run: grant.RunID(0x0661f0e2a4c00000 + uint64(n)*0x1a2b3c), Host: host, PID: 11, Version: "v1.4.0", Spec: specHash,
			State: grant.RunRunning, StartedAt: at.Add(-12 * time.Second), UpdatedAt: at.Add(-200 * time.Millisecond),
			Partitions: [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}, {}}[n],
			Tally:      grant.Tally{Consumed: granted + 80_200, Granted: granted, Duplicate: 79_441, Rejected: 759},
			Rate:       []float64{1_002_411, 981_709.4, 0}[n], Skew: 1.1 + float64(n)/10,
			Redis: grant.RedisHealth{
				LatencySeconds: 0.0021 + 0.0004*float64(n), MemoryBytes: 1_310_000_000, MemoryLimit: 4 << 30,
				ReplicaLag: 1_204_224, ClockAhead: 0.012 - 0.02*float64(n),
			},
		},
	}
}

// waiting is before the start, which has been postponed by an hour.
func waiting() status.Status {
	st := running()
	planned := time.Now().Add(73*time.Minute + 9*time.Second).Truncate(time.Second).In(seoul)
	start := planned.Add(time.Hour)
	st.Phase, st.StartsAt, st.PostponedFrom = status.PhaseWaiting, start, &planned
	st.Granted, st.Percentage, st.Lag, st.Rate, st.LedgerBytes = 0, 0, st.Records, 0, 0
	st.SecondsLeft, st.EstimatedEnd, st.LastCheckpoint = nil, nil, nil
	st.Rejects, st.Samples = map[string]int64{}, []grant.Reject{}
	for i := range st.Partitions {
		st.Partitions[i].Checkpoint, st.Partitions[i].Lag = 0, st.Partitions[i].End
	}
	st.Control = grant.Control{Version: 1, StartsAt: &start}
	hold(&st, grant.CauseSchedule, "starts at "+start.Format(time.RFC3339), 20*time.Minute)
	st.Runs = st.Runs[1:]
	for i := range st.Runs {
		r := &st.Runs[i]
		r.State, r.Rate, r.Tally, r.Control, r.Skew = grant.RunWaiting, 0, grant.Tally{}, 1, 1
	}
	return st
}

// hold adds a cause that is in force in all live replicas.
func hold(st *status.Status, cause grant.Cause, detail string, since time.Duration) {
	h := grant.Hold{Cause: cause, Detail: detail, Since: time.Now().Add(-since)}
	st.Holds = append(st.Holds, h)
	for i := range st.Runs {
		if st.Runs[i].Live {
			st.Runs[i].Holds = append(st.Runs[i].Holds, h)
		}
	}
}

// throttled is slowed by Redis in one replica, and limited by an operator.
func throttled() status.Status {
	st := running()
	st.Phase, st.Rate = status.PhaseThrottled, 198_412
	left, end := 85.0, time.Now().Add(85*time.Second)
	st.SecondsLeft, st.EstimatedEnd = &left, &end
	st.Control = grant.Control{Version: 3, Throttle: 200_000}
	hold(&st, grant.CauseThrottle, "limited to 200000 users/s over all replicas by jiyoon at 2022-11-05T00:00:41+09:00: start "+
		"gently", 95*time.Second)
	slow := grant.Hold{Cause: grant.CauseLatency, Detail: "612 ms, above 500 ms", Since: time.Now().Add(-12 * time.Second)}
	st.Holds = slices.Insert(st.Holds, 0, slow)
	for i := range st.Runs {
		st.Runs[i].Control, st.Runs[i].Limit = 3, 100_000
	}
	st.Runs[1].Holds = slices.Insert(st.Runs[1].Holds, 0, slow)
	st.Runs[1].Redis.LatencySeconds = 0.612
	st.Runs[1].Rate, st.Runs[2].Rate = 99_004, 99_408
	return st
}

// paused has one replica that does not obey yet, one that was lost, and one of another build.
func paused() status.Status {
	st := running()
	st.Phase, st.Rate, st.SecondsLeft, st.EstimatedEnd = status.PhasePaused, 0, nil, nil
	st.Control = grant.Control{Version: 4, Paused: true}
	hold(&st, grant.CauseOperator, "paused by an operator: granter history says by whom and why", 3*time.Minute)
	lost := replica("grant-job-2-l0st9", 2, time.Now().Add(-4*time.Minute))
	lost.Run += 2
	lost.Live, lost.Obeys, lost.Control, lost.Rate = false, false, 3, 0
	st.Runs = append(st.Runs, lost)
	for i := range 3 {
		st.Runs[i].Control, st.Runs[i].Obeys, st.Runs[i].Rate = 4, true, 0
	}
	st.Runs[2].Control, st.Runs[2].Obeys, st.Runs[2].Version = 3, false, "v1.3.9"
	st.Runs[2].Redis.ClockAhead = -1.4
	return st
}

func finished() status.Status {
	st := running()
	st.Phase, st.Granted, st.Percentage, st.Lag, st.Rate = status.PhaseFinished, 47_998_483, 99.99684, 0, 0
	st.SecondsLeft, st.EstimatedEnd = nil, nil
	st.LedgerBytes = 115_400_000
	for i := range st.Partitions {
		st.Partitions[i].Lag, st.Partitions[i].Checkpoint = 0, st.Partitions[i].End
	}
	for i := range st.Runs {
		st.Runs[i].State, st.Runs[i].Live, st.Runs[i].Rate = grant.RunFinished, false, 0
	}
	return st
}

// many has a thousand partitions.
func many() status.Status {
	st := running()
	st.Partitions = partitions(1000)
	st.Partitions[517].Lag += million
	st.Runs[1].Partitions, st.Runs[2].Partitions = nil, nil
	for i := range 1000 {
		r := &st.Runs[1+i%2]
		r.Partitions = append(r.Partitions, i)
	}
	return st
}

// trail is an audit trail with one of everything.
func trail() []grant.HistoryEntry {
	at := time.Now().Add(-20 * time.Minute).UTC()
	later := at.Add(10 * time.Hour)
	control := func(version int64, change func(c *grant.Control)) *grant.Control {
		c := &grant.Control{Version: version}
		if change != nil {
			change(c)
		}
		return c
	}
	limited := func(c *grant.Control) { c.Throttle = 200_000 }
	acts := []grant.HistoryEntry{
		{Action: grant.ActionPostpone, Who: "jiyoon", Via: "cli", Why: "Redis fail-over drill ran late",
			Before: control(0, nil), After: control(1, func(c *grant.Control) { c.StartsAt = &later })},
		{Action: grant.ActionPause, Who: "wallboard", Via: "api", Refused: "refused: role viewer, needs operator"},
		{Action: grant.ActionStartEarly, Who: "dohyun", Via: "cli", Why: "rehearsal", Before: control(1, nil),
			After: control(1, nil)},
		{Action: grant.ActionThrottle, Who: "jiyoon", Via: "api", Why: "start gently", Before: control(1, nil),
			After: control(2, limited)},
		{Action: grant.ActionPause, Who: "jiyoon", Via: "api", Why: "customer centre reports wrong expiry dates",
			Before: control(2, limited), After: control(3, func(c *grant.Control) { c.Throttle, c.Paused = 200_000, true })},
		{Action: grant.ActionFinish, Who: "dohyun", Via: "cli", Why: "everybody is in", Before: control(3, nil),
			After: control(4, func(c *grant.Control) { c.Finish = &grant.Finish{Version: 4, Ends: grant.Offsets{0: 1, 1: 2}} })},
		{Action: grant.ActionAbort, Who: "jiyoon", Via: "api", Why: "wrong spec <b>at</b> work", Before: control(4, nil),
			After: control(5, func(c *grant.Control) { c.Abort = 5 })},
	}
	for i := range acts {
		acts[i].At = at.Add(time.Duration(i) * 90 * time.Second)
	}
	return acts
}

// aborted was to finish, is paused, and was aborted; nobody runs.
func aborted() status.Status {
	st := running()
	st.Phase, st.Rate, st.SecondsLeft, st.EstimatedEnd, st.Runs = status.PhaseAborted, 0, nil, nil, st.Runs[:1]
	given := time.Now().Add(-time.Minute).Truncate(time.Second).In(seoul)
	st.Control = grant.Control{
		Version: 7, Paused: true, PausedBy: &grant.Given{At: given, Who: "minseo", Why: "to look"},
		Abort: 7, AbortedBy: &grant.Given{At: given, Who: "jiyoon", Why: "wrong <b>emoticon</b>"},
		Finish: &grant.Finish{Version: 5, Ends: grant.Offsets{0: 6_030_000},
			Given: grant.Given{At: given, Who: "dohyun", Why: "everybody is in"}},
	}
	lag := int64(2_000_000)
	st.Orders, st.FinishLag = st.Control.Standing(seoul), &lag
	return st
}

// scenarios are the faces of the page, by name.
var scenarios = map[string]func() status.Status{
	"waiting": waiting, "running": running, "throttled": throttled, "paused": paused, "aborted": aborted, "finished": finished,
	"many": many,
}
