//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
)

// The night of a rollout, in two minutes, on real servers and with a real Prometheus looking on: check, dry run, canary,
// throttled start at the scheduled second, pause, resume, one replica killed, full speed, finish, audit. At the end page,
// status, metrics and ledger must say the same.
//
// make rehearsal runs it and prints what it measured.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	const users = 3_000_000
	r := newRehearsal(t, users)
	counts := r.plans[0].Counts()

	r.step("check")
	require.Zero(t, granter(t, r.command("check")).wait())

	r.step("dry run, by a user of Redis who may only read")
	var dry Rehearsal
	r.as("dry runs", func() { r.json(&dry, "run", "--dry-run") })
	require.EqualValues(t, users, dry.WouldGrant)
	require.Equal(t, counts.Repeats, dry.Duplicate)
	require.Equal(t, counts.Malformed, dry.Rejected)
	require.Zero(t, r.client.DBSize(t.Context()).Val(), "a dry run writes nothing")
	r.say("%d would be granted, %d duplicates, %d rejected, in %.1f s", dry.WouldGrant, dry.Duplicate, dry.Rejected, dry.Seconds)

	r.step("canary 1%")
	canary := r.finish("--canary=1%", "--now", "--why=canary before the night", "--listen=off")
	require.InEpsilon(t, users/100, canary.Granted, 0.03)
	require.Equal(t, canary.Consumed, outcomes(canary.Tally))
	require.Empty(t, r.checkpoint(), "a canary moves no offsets")
	r.say("%d granted, %d withheld", canary.Granted, canary.Withheld)

	r.step("two replicas wait for the start, under a throttle")
	const limit = 60_000
	first := r.replica(0, "--follow", "--linger=1m", fmt.Sprintf("--throttle=%d", limit), "--why=the plan")
	second := r.replica(1, "--follow")
	await(t, "both replicas wait", func() bool { s := r.status(); return s.Live() == 2 && s.Phase == status.PhaseWaiting })
	r.page.shows("phase", "Waiting")
	require.Equal(t, canary.Granted, r.granted(), "nobody is granted before the start")
	await(t, "the start", func() bool { return time.Until(r.campaign.StartsAt) < 20*time.Millisecond })
	r.awaitGranted(first, canary.Granted+1)
	late := time.Since(r.campaign.StartsAt)
	r.say("first users seen as granted %.2f s after starts_at (joining the group included)", late.Seconds())

	r.step("the throttle holds")
	await(t, "both replicas have half of the partitions", func() bool { return first.partitions() == 4 && second.partitions() == 4 })
	r.rate(2 * time.Second)          // the group has just changed
	rate := r.rate(15 * time.Second) // shards flush twice a second, so that either end is off by half a second's users at most
	require.LessOrEqual(t, rate, 1.05*limit, "a busy machine may not keep up with it")
	r.say("%.0f users/s granted by two replicas at a limit of %d: %+.1f%%", rate, limit, 100*(rate/limit-1))
	r.evaluateEverything()

	r.step("pause, through the API; those who may not are refused")
	for _, action := range orders {
		for who, code := range map[string]int{"": 401, "viewer": 403, "support": 403} {
			require.Equal(t, code, r.order(who, grant.Order{Action: action, Why: "I should not"}, nil), "%s with the token of %q", action, who)
		}
	}
	var act grant.HistoryEntry
	require.Equal(t, 200, r.order("operator", grant.Order{Action: grant.ActionPause, Why: "the support desk is full"}, &act))
	slowest := r.awaitObeyed(act, grant.CauseOperator)
	<-time.After(time.Until(act.At.Add(time.Second))) // what was in hand may be granted until then
	before := r.granted()
	require.Zero(t, r.rate(2*time.Second), "nobody is granted while paused")
	r.page.shows("phase", "Paused")
	r.say("both replicas closed their gates within %.0f ms; %d granted", slowest.Seconds()*1000, before)

	r.step("resume, one replica killed, full speed")
	require.Zero(t, granter(t, r.command("resume", "--why=it is empty again")).wait())
	r.awaitGranted(first, before+limit/2)
	second.kill()
	require.Zero(t, granter(t, r.command("throttle", "off", "--why=all is well")).wait())

	r.step("finish")
	require.Zero(t, granter(t, r.command("finish", "--why=everybody is in the topic")).wait())
	await(t, "the run has finished", func() bool { return r.record(first).State == grant.RunFinished })
	r.agree(first)
	first.interrupt()
	require.Zero(t, first.wait(), first.err.String())

	r.step("audit")
	r.auditTrail()
	r.exactlyOnce()
}

// orders are all that can be ordered through the API.
var orders = []grant.Action{
	grant.ActionPause, grant.ActionResume, grant.ActionThrottle, grant.ActionAbort, grant.ActionFinish, grant.ActionPostpone,
}

// agree checks that whoever is asked says the same at the end.
func (r *rehearsal) agree(last *process) {
	r.Helper()
	totals, err := r.reader.Totals(r.Context())
	require.NoError(r, err)
	granted := totals.Granted
	require.Equal(r, r.campaign.Population, granted)
	s := r.status()
	require.Equal(r, granted, s.Granted)
	require.Zero(r, s.Lag)
	require.Equal(r, status.PhaseFinished, s.Phase)
	var viaAPI status.Status
	require.Equal(r, 200, r.get("viewer", "status", &viaAPI))
	require.Equal(r, granted, viaAPI.Granted)
	// Prometheus scrapes once a second, and replicas count once in five.
	awaitFor(r.T, patience, "Prometheus has the final numbers", func() bool {
		return r.query(`max(granter_ledger_granted_users)`) == float64(granted) &&
			r.query(`min(granter_ledger_granted_users)`) == float64(granted) &&
			r.query(`sum(granter_campaign_lag_records)`) == 0
	})
	record := r.record(last)
	for outcome, n := range map[string]int64{
		"granted": record.Tally.Granted, "duplicate": record.Tally.Duplicate, "rejected": record.Tally.Rejected, "withheld": record.Tally.Withheld,
	} {
		expr := fmt.Sprintf(`sum(granter_records_total{instance=%q,outcome=%q})`, r.addresses[0], outcome)
		require.InDelta(r, n, r.query(expr), 0, "metrics and the run's record: %s", outcome)
	}
	r.page.shows("granted", text.Number(granted))
	r.page.shows("phase", "Finished")
	r.say("ledger, status, API, page and Prometheus: %d users granted", granted)
}

// auditTrail checks that each order and each refusal of this night is in granter history.
func (r *rehearsal) auditTrail() {
	r.Helper()
	var trail struct {
		Acts []grant.HistoryEntry `json:"acts"`
	}
	r.json(&trail, "history")
	var done, refused []string
	for _, a := range trail.Acts {
		require.NotEmpty(r, a.Who)
		if a.Refused != "" {
			refused = append(refused, a.Who+" "+string(a.Action))
			continue
		}
		require.NotEmpty(r, a.Why)
		done = append(done, string(a.Action)+" "+a.Via)
	}
	require.Equal(r, []string{"start-early run", "throttle run", "pause api", "resume cli", "throttle cli", "finish cli"}, done)
	var want []string
	for _, action := range orders {
		want = append(want, "anonymous "+string(action), "viewer "+string(action), "support "+string(action))
	}
	require.ElementsMatch(r, want, refused)
	r.say("%d orders carried out and %d refused, all in the audit trail", len(done), len(refused))
}

// rate returns how many users are granted per second, over a time.
func (r *rehearsal) rate(over time.Duration) float64 {
	r.Helper()
	began, before := time.Now(), r.granted()
	<-time.After(over)
	return float64(r.granted()-before) / time.Since(began).Seconds()
}

// awaitObeyed waits until every live replica holds for a cause, and returns how long after the order the last one did.
func (r *rehearsal) awaitObeyed(act grant.HistoryEntry, cause grant.Cause) (slowest time.Duration) {
	r.Helper()
	await(r.T, "every replica obeys", func() bool {
		slowest = time.Duration(math.MinInt64)
		replicas := 0
		for _, run := range r.status().Runs {
			for _, h := range run.Holds {
				if run.Live && run.Control >= act.After.Version && h.Cause == cause {
					replicas++
					slowest = max(slowest, h.Since.Add(time.Duration(run.Redis.ClockAhead*float64(time.Second))).Sub(act.At))
				}
			}
		}
		return replicas == 2
	})
	return slowest
}

func (r *rehearsal) step(name string) { r.Logf("=== %s", name) }

func (r *rehearsal) say(format string, args ...any) { r.Logf("    "+format, args...) }

// json runs a granter to its end, which must be a success, and reads what it prints.
func (r *rehearsal) json(into any, name string, flags ...string) {
	r.Helper()
	p := granter(r.T, r.command(name, append(flags, "--json")...))
	require.Zero(r, p.wait(), p.err.String())
	require.NoError(r, json.Unmarshal([]byte(p.out.String()), into), p.out.String())
}

func (r *rehearsal) status() *status.Status {
	r.Helper()
	s, err := status.NewGatherer(r.campaign, r.coordination, r.reader, r.topic).Gather(r.Context())
	require.NoError(r, err)
	return s
}
