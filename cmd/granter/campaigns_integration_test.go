//go:build integration

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/grant/status"
)

// named is a command about a campaign by its name, as support gives it, who has no file.
func (s *scenario) named(name string, flags ...string) *process {
	s.Helper()
	c := s.command(name, flags...)
	args := []string{name, "--campaign", s.campaign.Name}
	return granter(s.T, command{args: append(args, c.args[3:]...), env: c.env, of: c.of}) // without -f FILE
}

// published is a campaign on the same servers with some users in its topic.
func published(t *testing.T, redis string, users int64) *scenario {
	t.Helper()
	s := newScenario(t, 2, redis)
	s.publish(population.Plan{Topic: s.campaign.Input, Users: users})
	return s
}

// simulated says for n replicas that they live, which 20 processes on one machine could not.
func (s *scenario) simulated(n int) (say func()) {
	first := grant.NewRunID(time.Now())
	return func() {
		s.Helper()
		for i := range n {
			require.NoError(s, s.coordination.SaveRun(s.Context(), grant.RunRecord{
				Run: first + grant.RunID(i), Host: fmt.Sprintf("granter-%d", i), Spec: s.campaign.Hash, State: grant.RunRunning,
				StartedAt: time.Now(), UpdatedAt: time.Now(), Control: 100, Rate: 1,
				Holds: []grant.Hold{{Cause: grant.CauseOperator, Detail: "paused", Since: time.Now()}},
			}))
		}
	}
}

// Five campaigns and 20 replicas (one a process, 19 of them records of runs) on one desk that has no file but that of the
// campaign which has not begun: one aborted, one not started, one finished, one held, one with a spec that cannot be read.
func TestOneDeskServesAllCampaigns(t *testing.T) {
	t.Parallel()
	redis := devtest.StartRedis(t, durable()...).Addr
	finished := published(t, redis, 1000)
	finished.finish()
	aborted := published(t, redis, 50_000)
	aborted.order("throttle", "1k", "--why=to see the middle")
	run := aborted.run("--follow")
	aborted.awaitGranted(run, 100)
	aborted.order("abort", "--why=the wrong emoticon")
	require.Equal(t, exitAborted, run.wait())
	broken := published(t, redis, 100)
	broken.finish()
	require.NoError(t, broken.client.HSet(t.Context(), "granter:{"+broken.campaign.Name+"}:spec", "canonical", "garbage").Err())
	require.NoError(t, broken.client.HDel(t.Context(), "granter:campaigns", broken.campaign.Name).Err(),
		"as an older granter left it")
	held := published(t, redis, 50_000)
	held.order("throttle", "1k", "--why=to see the middle")
	run = held.run("--follow")
	held.awaitGranted(run, 100)
	require.Zero(t, held.named("pause", "--why=complaints").wait())
	say := held.simulated(19)
	upcoming := published(t, redis, 10)
	upcoming.asked.unauditable("it has not begun: nobody is granted")
	upcoming.spec = filepath.Join(t.TempDir(), "upcoming.yaml")
	text := strings.Replace(fmt.Sprintf(specText, upcoming.campaign.Name),
		"2023-01-05T00:00:00+09:00", time.Now().Add(time.Hour).Format(time.RFC3339), 1)
	require.NoError(t, os.WriteFile(upcoming.spec, []byte(text), 0o600))

	d := upcoming.desk()
	want := map[string]status.Phase{
		finished.campaign.Name: status.PhaseFinished, aborted.campaign.Name: status.PhaseAborted,
		broken.campaign.Name: status.PhaseUnknown, held.campaign.Name: status.PhasePaused,
		upcoming.campaign.Name: status.PhaseWaiting,
	}
	var list struct {
		Campaigns []status.Brief `json:"campaigns"`
	}
	phases := func() map[string]status.Phase {
		out := map[string]status.Phase{}
		for _, b := range list.Campaigns {
			out[b.Campaign] = b.Phase
		}
		return out
	}
	await(t, "all replicas live", func() bool {
		say()
		require.Equal(t, http.StatusOK, d.ask("/api/v1/campaigns", &list))
		require.Len(t, list.Campaigns, 5)
		return list.Campaigns[0].Replicas == 20
	})
	require.Equal(t, want, phases())
	require.Equal(t, held.campaign.Name, list.Campaigns[0].Campaign)
	require.Equal(t, grant.CauseOperator, list.Campaigns[0].Holds[0].Cause)
	for _, b := range list.Campaigns {
		path := "/api/v1/campaigns/" + b.Campaign
		if b.Campaign == broken.campaign.Name {
			require.Contains(t, b.Error, "cannot be read")
			require.Equal(t, http.StatusInternalServerError, d.get(path+"/status"))
			require.Equal(t, http.StatusOK, d.get(path+"/history"))
			continue
		}
		var whole status.Status
		require.Equal(t, http.StatusOK, d.ask(path+"/status", &whole))
		require.Equal(t, want[b.Campaign], whole.Phase, "by Kafka, too")
		require.Equal(t, b.Granted, whole.Granted)
		require.Equal(t, http.StatusOK, d.get("/campaigns/"+b.Campaign+"/"))
	}
	require.EqualValues(t, 1000, list.Campaigns[len(list.Campaigns)-1].Granted)

	byName(t, d, finished, broken)

	late := published(t, redis, 10)
	late.finish()
	await(t, "a new campaign is there without a restart", func() bool {
		require.Equal(t, http.StatusOK, d.ask("/api/v1/campaigns", &list))
		return phases()[late.campaign.Name] == status.PhaseFinished
	})
	held.named("abort", "--why=enough", "--wait=0").wait()
	run.wait()

	broken.asked.unauditable("its spec cannot be read")
	finished.proven()
	late.proven()
	aborted.finds(audit.NotComplete)
	held.finds(audit.NotComplete)
}

// byName asks and orders without any file, straight and through the desk.
func byName(t *testing.T, d *served, finished, broken *scenario) {
	t.Helper()
	say := func(code int, p *process) string {
		t.Helper()
		require.Equal(t, code, p.wait(), p.err.String())
		return p.out.String() + p.err.String()
	}
	require.Contains(t, say(0, finished.named("verify", "7")), "granted "+finished.campaign.Name+" at ")
	require.Contains(t, say(0, finished.named("verify", "7")), "+09:00", "the zone of the spec's dates")
	require.Contains(t, say(exitNotGranted, finished.named("verify", "1001")), "NOT granted")
	require.Contains(t, say(0, finished.named("status")), "1,000 users")
	require.Contains(t, say(0, finished.named("status", "--prove")), "PROVEN")
	for _, order := range [][]string{{"pause"}, {"resume"}, {"throttle", "5k"}, {"finish"}, {"abort"}} {
		require.Contains(t, say(0, finished.named(order[0], append(order[1:], "--why=by name")...)), "of "+finished.campaign.Name)
	}
	require.Contains(t, say(exitFailed, finished.named("postpone", "--until=2099-01-01T00:00:00Z", "--why=x")), "started at")
	require.Contains(t, say(0, finished.named("history")), "by name")

	require.Contains(t, say(exitFailed, broken.named("status")), "cannot be read")
	require.Contains(t, say(exitFailed, broken.named("verify", "7")), "cannot be read")
	require.Contains(t, say(0, broken.named("pause", "--why=its spec is damaged")), "paused")
	require.Contains(t, say(0, broken.named("history")), "its spec is damaged")

	desked := func(args ...string) *process {
		return granter(t, command{args: append(args, "--desk-url", d.url), env: d.env})
	}
	require.Contains(t, say(0, desked("resume", "--campaign", finished.campaign.Name, "--why=through the desk")), "goes on")
	require.Contains(t, say(0, desked("history", "--campaign", finished.campaign.Name)), "through the desk")
	require.Contains(t, say(exitFailed, desked("pause", "--campaign=none", "--why=x")), "there is no campaign none here")

	unknown := *finished
	c := *finished.campaign
	c.Name = "none"
	unknown.campaign = &c
	text := say(exitUsage, unknown.named("status"))
	require.Contains(t, text, "has no campaign none")
	require.Contains(t, text, finished.campaign.Name, "it says which there are")
	both := granter(t, command{args: []string{"status", "-f", finished.spec, "--campaign", "a"}})
	require.Contains(t, say(exitUsage, both), "exclude each other")
}
