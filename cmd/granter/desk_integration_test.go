//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/grant/status"
)

// served is a desk of its own process, and how operators of its campaign reach it.
type served struct {
	*process
	url, access string
	token       string   // of an operator
	env         []string // with that token
	lines       map[desk.Role]string
}

// desk starts a desk with a token for each role.
func (s *scenario) desk(flags ...string) *served {
	s.Helper()
	d := &served{access: filepath.Join(s.TempDir(), "access"), lines: map[desk.Role]string{}}
	text := ""
	for _, role := range []desk.Role{desk.RoleViewer, desk.RoleSupport, desk.RoleOperator} {
		token, line, err := desk.NewToken(string(role), role)
		require.NoError(s, err)
		d.lines[role] = line
		text += line + "\n"
		d.token, d.env = token, []string{"GRANTER_TOKEN=" + token}
	}
	require.NoError(s, os.WriteFile(d.access, []byte(text), 0o600))
	flags = append([]string{"--desk=127.0.0.1:0", "--desk-access=" + d.access, "--listen=127.0.0.1:0"}, flags...)
	d.process = start(s.T, s.command("desk", flags...))
	d.awaitLog("serving the desk")
	page, _ := d.logged("serving the desk", "page").(string)
	d.url = page[:len(page)-1]
	return d
}

// A desk that was started with another validity showed its own, for users who were granted otherwise, with 200.
func TestADeskAnswersByTheLedgersSpec(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	s.publish(population.Plan{Topic: s.campaign.Input, Users: 10})
	s.finish()
	other, granted := *s, s.campaign
	text, err := os.ReadFile(s.spec)
	require.NoError(t, err)
	other.spec = filepath.Join(t.TempDir(), "other.yaml")
	require.NoError(t, os.WriteFile(other.spec, bytes.Replace(text, []byte("validity: 90d"), []byte("validity: 30d"), 1), 0o600))
	other.campaign, err = campaign.Load(other.spec)
	require.NoError(t, err)

	isGranted := func(entitlements []lookup.Entitlement, at *time.Time, differs *status.Differs) {
		t.Helper()
		require.True(t, at.Add(90*24*time.Hour).Equal(*entitlements[1].ExpiresAt), "%s", entitlements[1].ExpiresAt)
		require.Equal(t, granted.Hash, differs.Ledger)
		require.Equal(t, other.campaign.Hash, differs.File)
		require.Contains(t, differs.Fields, "stored 90d, given 30d")
	}
	d := other.desk()
	var u lookup.Answer
	require.Equal(t, http.StatusOK, d.ask("/api/v1/campaigns/"+granted.Name+"/users/3", &u))
	isGranted(u.Entitlements, u.GrantedAt, u.SpecDiffers)

	p := granter(t, other.command("verify", "--json", "3"))
	require.Zero(t, p.wait(), p.err.String())
	var answers []lookup.Answer
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &answers))
	isGranted(answers[0].Entitlements, answers[0].GrantedAt, answers[0].SpecDiffers)
	require.Contains(t, p.err.String(), granted.Hash[:12])
	require.Contains(t, p.err.String(), other.campaign.Hash[:12])
	require.Equal(t, exitNotGranted, granter(t, other.command("verify", "--json", "3", "11")).wait(), "the exit code is about the user")

	key := "granter:{" + granted.Name + "}:spec"
	stored := s.client.HGet(t.Context(), key, "canonical").Val()
	require.NoError(t, s.client.HSet(t.Context(), key, "canonical", "garbage").Err())
	p = granter(t, other.command("verify", "3"))
	require.Equal(t, exitFailed, p.wait())
	require.Contains(t, p.err.String(), key)
	require.Equal(t, http.StatusInternalServerError, d.ask("/api/v1/campaigns/"+granted.Name+"/users/3", nil))
	require.NoError(t, s.client.HSet(t.Context(), key, "canonical", stored).Err())
	s.proven()
}

// With Kafka away there was no status, in command line and desk, and nobody saw whether a pause was obeyed.
func TestWhatIsKnownStaysWhenKafkaIsAway(t *testing.T) {
	t.Parallel()
	k := devtest.StartKafka(t, devtest.KafkaOptions{})
	s := newScenarioOn(t, k, 1, devtest.StartRedis(t, durable()...).Addr)
	s.publish(population.Plan{Topic: s.campaign.Input, Users: 10})
	s.finish()
	d := s.desk("--timeout=1s")
	path := "/api/v1/campaigns/" + s.campaign.Name + "/status"
	var known status.Status
	require.Equal(t, http.StatusOK, d.ask(path, &known))
	require.EqualValues(t, 10, known.Records)
	k.Stop(0)

	p := granter(t, s.command("status", "--json", "--timeout=1s"))
	require.Equal(t, exitFailed, p.wait())
	require.Contains(t, p.err.String(), "the status of "+s.campaign.Name+" is not complete: Kafka at ")
	var printed status.Status
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &printed))
	require.EqualValues(t, 10, printed.Granted)
	for _, part := range printed.Parts {
		require.Equal(t, part.Part == status.PartKafka, part.Error != "", "%+v", part)
	}
	require.Contains(t, granter(t, s.command("status", "--timeout=1s")).out.String(), "NOT KNOWN")

	pause := granter(t, command{args: []string{"pause", "-f", s.spec, "--desk-url", d.url, "--why", "Kafka is away"}, env: d.env})
	require.Zero(t, pause.wait(), pause.err.String())
	await(t, "the desk says that Kafka is away", func() bool {
		var now status.Status
		require.Equal(t, http.StatusOK, d.ask(path, &now))
		require.True(t, now.Control.Paused)
		require.EqualValues(t, 10, now.Records, "what is known stays")
		return now.Of(status.PartKafka).Error != ""
	})
	k.Restart(0)
	await(t, "all is as of now", func() bool {
		var now status.Status
		require.Equal(t, http.StatusOK, d.ask(path, &now))
		return now.Of(status.PartKafka).Error == ""
	})
	s.proven()
}

// get asks the desk as the operator, and returns the status code.
func (d *served) get(path string) int { d.Helper(); return d.ask(path, nil) }

// ask does the same, and reads a good answer.
func (d *served) ask(path string, into any) int {
	d.Helper()
	r, err := http.NewRequestWithContext(d.Context(), http.MethodGet, d.url+path, http.NoBody)
	require.NoError(d, err)
	r.Header.Set("Authorization", "Bearer "+d.token)
	response, err := http.DefaultClient.Do(r)
	require.NoError(d, err)
	defer response.Body.Close()
	if into != nil && response.StatusCode == http.StatusOK {
		require.NoError(d, json.NewDecoder(response.Body).Decode(into))
	}
	return response.StatusCode
}

// ready asks /readyz.
func (d *served) ready() (code int, why string) {
	d.Helper()
	await(d.T, "metrics are served", func() bool { return d.logged("serving", "metrics") != nil })
	metrics, _ := d.logged("serving", "metrics").(string)
	r, err := http.NewRequestWithContext(d.Context(), http.MethodGet, strings.TrimSuffix(metrics, "metrics")+"readyz", http.NoBody)
	require.NoError(d, err)
	response, err := http.DefaultClient.Do(r)
	require.NoError(d, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(d, err)
	return response.StatusCode, string(text)
}

// The last line of the access file, deleted, left the desk open to its owner, and so did an empty, broken or missing file.
func TestWhoIsTakenOutOfTheAccessFileIsOut(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	s.asked.unauditable("nobody is granted")
	d := s.desk("--desk-access-grace=1s")
	answers := func(code int) func() bool {
		return func() bool { return d.get("/api/v1/me") == code }
	}
	full, err := os.ReadFile(d.access)
	require.NoError(t, err)
	restored := func() {
		require.NoError(t, os.WriteFile(d.access, full, 0o600))
		await(t, "the operator is let in", answers(http.StatusOK))
		await(t, "the desk is ready", func() bool { code, _ := d.ready(); return code == http.StatusOK })
	}
	restored()
	for name, change := range map[string]func() error{
		"a line less": func() error { return os.WriteFile(d.access, []byte(d.lines[desk.RoleViewer]), 0o600) },
		"no line":     func() error { return os.WriteFile(d.access, nil, 0o600) },
	} {
		require.NoError(t, change(), name)
		await(t, name, answers(http.StatusUnauthorized))
		restored()
	}
	for name, change := range map[string]func() error{
		"a broken file": func() error { return os.WriteFile(d.access, append(full, "jihoon\n"...), 0o600) },
		"no file":       func() error { return os.Remove(d.access) },
	} {
		require.NoError(t, change(), name)
		await(t, name, answers(http.StatusUnauthorized))
		code, why := d.ready()
		require.Equal(t, http.StatusServiceUnavailable, code)
		require.Contains(t, why, "not ready: the access file: ")
		require.InDelta(t, 1, d.metric("granter_desk_file_broken"), 0)
		restored()
	}
}

// An order for one campaign, sent to the desk of another one, aborted that one, with exit code 0.
func TestAnOrderThroughADeskIsForItsCampaign(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	s.asked.unauditable("nobody is granted")
	d := s.desk()
	other := filepath.Join(t.TempDir(), "other.yaml")
	require.NoError(t, os.WriteFile(other, fmt.Appendf(nil, specText, "another-campaign"), 0o600))
	order := func(action, spec string) *process {
		return granter(t, command{args: []string{action, "-f", spec, "--json", "--desk-url", d.url, "--why", "to see whose it is"}, env: d.env})
	}

	for _, action := range []string{"abort", "pause", "finish"} {
		p := order(action, other)
		require.Equal(t, exitFailed, p.wait())
		require.Contains(t, p.err.String(), "there is no campaign another-campaign here")
		require.Empty(t, p.out.String())
	}
	control, _, err := s.coordination.Control(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Control{}, control, "nothing has changed")
	acts, err := s.coordination.History(t.Context())
	require.NoError(t, err)
	require.Empty(t, acts)

	p := order("pause", s.spec)
	require.Zero(t, p.wait(), p.err.String())
	var done Ordered
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &done))
	require.Equal(t, s.campaign.Name, done.Campaign)
	require.True(t, done.After.Paused)
}
