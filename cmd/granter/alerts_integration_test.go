//go:build integration

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/deploy/prometheus"
	"github.com/granter/granter/deploy/prometheus/promtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk"
)

// quicker is how the nights of TestAlertsInRealNights pass: what takes a minute takes ten seconds. The expressions are the
// shipped ones.
var quicker = prometheus.Scale{Factor: 6, Shortest: 5 * time.Second}

// silence is longer than any alert waits that could come when a night is over, but for BehindPlan, which needs a replica.
const silence = 35 * time.Second

// waitingUsers are how many are left in front of an alert that stayed silent once.
const waitingUsers = 119_093

// night is a campaign that a real Prometheus looks on.
type night struct {
	*scenario
	prometheus *promtest.Server
	addresses  []string // of the metrics of two replicas, and of a desk
	began      time.Time
}

// Real granters on real servers are watched by a real Prometheus with the shipped rules, quicker. Every alert that a night
// does not name must stay silent in it from its beginning to its end.
func TestAlertsInRealNights(t *testing.T) {
	t.Parallel()
	nights := map[string]func(*night){
		"normal":       (*night).isNormal,
		"killed":       (*night).losesItsLastReplica,
		"slow":         (*night).isTooSlow,
		"frozen-redis": (*night).hasAFrozenRedis,
		"follower":     (*night).leavesAFollower,
	}
	addresses := map[string][]string{}
	var all []string
	for name := range nights {
		for range 3 {
			addresses[name] = append(addresses[name], freeAddress(t))
		}
		all = append(all, addresses[name]...)
	}
	server := promtest.StartQuicker(t, quicker, all...)
	var dawn sync.WaitGroup
	for name, plays := range nights { // all pass at the same time, however few processors there are: they mostly wait
		dawn.Go(func() {
			t.Run(name, func(t *testing.T) {
				plays(&night{scenario: &scenario{T: t}, prometheus: server, addresses: addresses[name], began: time.Now()})
			})
		})
	}
	dawn.Wait()
}

// campaign begins the night: a topic with users, who are granted from a moment on.
func (n *night) campaign(startsIn time.Duration) *devtest.Redis {
	n.Helper()
	r := devtest.StartRedis(n.T, durable()...)
	n.scenario = newScenario(n.T, 4, r.Addr)
	n.flags = []string{"--json", "--checkpoint-every=200ms", "--slow-at=memory=85%"} // the machine of a test may be slow
	text, err := os.ReadFile(n.spec)
	require.NoError(n, err)
	start := time.Now().Add(startsIn).Truncate(time.Second).Format(time.RFC3339)
	text = regexp.MustCompile(`(?m)^starts_at: .*`).ReplaceAll(text, fmt.Appendf(nil, "starts_at: %s\npopulation: %d", start, waitingUsers))
	require.NoError(n, os.WriteFile(n.spec, text, 0o600))
	n.scenario.campaign, err = campaign.Load(n.spec)
	require.NoError(n, err)
	n.useRedis(n.redis...)
	n.publish(n.users(0, waitingUsers))
	return r
}

// replica starts one that Prometheus knows.
func (n *night) replica(i int, flags ...string) *process {
	n.Helper()
	return n.run(append(flags, "--listen="+n.addresses[i])...)
}

func (n *night) desk() {
	n.Helper()
	_, line, err := desk.NewToken("viewer", "viewer")
	require.NoError(n, err)
	access := filepath.Join(n.TempDir(), "access")
	require.NoError(n, os.WriteFile(access, []byte(line+"\n"), 0o600))
	p := start(n.T, n.command("desk", "--desk=127.0.0.1:0", "--desk-access="+access, "--listen="+n.addresses[2]))
	p.awaitLog("serving the desk")
}

// fired returns which alerts have fired so far.
func (n *night) fired() map[string]int {
	n.Helper()
	found, err := n.prometheus.Fired(n.Context(), n.scenario.campaign.Name, n.began)
	require.NoError(n, err)
	return found
}

func (n *night) awaitAlert(name string) {
	n.Helper()
	awaitFor(n.T, 3*patience, name+" fires", func() bool { return n.fired()[name] > 0 })
	n.Logf("%s fires after %s", name, time.Since(n.began).Round(time.Second))
}

// awaitSilence waits until no alert fires any more.
func (n *night) awaitSilence() {
	n.Helper()
	expr := fmt.Sprintf(`count(ALERTS{alertstate="firing", campaign=%q})`, n.scenario.campaign.Name)
	awaitFor(n.T, 3*patience, "no alert fires", func() bool {
		firing, err := n.prometheus.Query(n.Context(), expr)
		require.NoError(n, err)
		return len(firing) == 0
	})
}

// over waits for what may come when the night is over, and then checks which alerts have fired in it: all of some, perhaps
// some of others, and no more.
func (n *night) over(must []string, may ...string) {
	n.Helper()
	<-time.After(silence)
	found := n.fired()
	for _, name := range must {
		require.Contains(n, found, name)
		delete(found, name)
	}
	for _, name := range may {
		delete(found, name)
	}
	require.Empty(n, found, "these must stay silent; all that fired: %v", slices.Sorted(maps.Keys(found)))
	n.exactlyOnce()
}

// Two replicas wait for the start, grant everybody within the plan, and end. A canary went before, and a desk stays.
func (n *night) isNormal() {
	n.campaign(40 * time.Second)
	n.desk()
	canary := n.replica(0, "--canary=1%", "--now", "--why=canary before the night")
	require.Zero(n, canary.wait(), canary.err.String())
	plan := time.Now().Add(10 * time.Minute).Format(time.RFC3339)
	first := n.replica(0, "--throttle=4000", "--why=the plan", "--finish-by="+plan, "--linger=10s")
	second := n.replica(1, "--finish-by="+plan)
	require.Zero(n, first.waitFor(5*patience), first.err.String())
	require.Zero(n, second.wait(), second.err.String())
	n.over(nil)
}

// The last replica is killed in front of users who wait, under a limit at which a fetch takes minutes; nobody has a desk.
func (n *night) losesItsLastReplica() {
	n.campaign(0)
	p := n.replica(0, "--throttle=400", "--why=slowly")
	n.awaitGranted(p, 2000)
	<-time.After(10 * time.Second) // which is a minute: it has been scraped
	p.kill()
	n.awaitAlert("GranterNobodyRuns")
	n.throttle(0)
	p = n.replica(0, "--linger=10s")
	n.awaitSilence()
	require.Zero(n, p.wait(), p.err.String())
	n.over([]string{"GranterNobodyRuns"})
}

// The limit is too low for the plan; somebody lifts it, and all is well.
func (n *night) isTooSlow() {
	n.campaign(0)
	n.desk()
	plan := time.Now().Add(30 * time.Second).Format(time.RFC3339)
	p := n.replica(0, "--throttle=400", "--why=too slow", "--finish-by="+plan, "--linger=10s")
	n.awaitAlert("GranterBehindPlan")
	require.True(n, p.running())
	n.throttle(0)
	require.Zero(n, p.wait(), p.err.String())
	n.over([]string{"GranterBehindPlan"})
}

// Redis does not answer until the run gives up.
func (n *night) hasAFrozenRedis() {
	r := n.campaign(0)
	p := n.replica(0, "--throttle=400", "--why=slowly", "--timeout=2s", "--retry-for=30s")
	n.awaitGranted(p, 2000)
	<-time.After(10 * time.Second)
	r.Freeze()
	p.awaitReady("not ready: Redis does not answer, or refuses")
	n.awaitAlert("GranterLedgerUnavailable")
	require.Equal(n, exitFailed, p.waitFor(3*patience), p.err.String())
	n.awaitAlert("GranterNobodyRuns")
	r.Resume()
	n.throttle(0)
	p = n.replica(0, "--linger=10s")
	n.awaitSilence()
	require.Zero(n, p.wait(), p.err.String())
	// How many calls fail until the run gives up depends on the machine.
	n.over([]string{"GranterLedgerUnavailable", "GranterNobodyRuns"}, "GranterLedgerErrors", "GranterCheckpointOld")
}

// A Job grants what is there and ends; a follower stays for who comes later, and ends when it is told to.
func (n *night) leavesAFollower() {
	n.campaign(0)
	n.desk()
	follower := n.replica(0, "--follow", "--throttle=4000", "--why=the plan")
	job := n.replica(1, "--linger=5s")
	require.Zero(n, job.waitFor(5*patience), job.err.String())
	<-time.After(silence)
	require.Empty(n, n.fired(), "the Job has ended, and is not lost")
	o := grant.Order{Action: grant.ActionFinish, Who: "test", Via: "test", Why: "everybody is there", Ends: n.ends(n.scenario.campaign.Input.Topic)}
	_, err := n.coordination.Order(n.Context(), o)
	require.NoError(n, err)
	require.Zero(n, follower.wait(), follower.err.String())
	n.over(nil)
}
