//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/desk"
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

// get asks the desk as the operator, and returns the status code.
func (d *served) get(path string) int {
	d.Helper()
	r, err := http.NewRequestWithContext(d.Context(), http.MethodGet, d.url+path, http.NoBody)
	require.NoError(d, err)
	r.Header.Set("Authorization", "Bearer "+d.token)
	response, err := http.DefaultClient.Do(r)
	require.NoError(d, err)
	defer response.Body.Close()
	return response.StatusCode
}

// ready asks /readyz.
func (d *served) ready() (code int, why string) {
	d.Helper()
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
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
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
		require.EqualValues(t, 1, d.metric("granter_desk_file_broken"))
		restored()
	}
}

// An order for one campaign, sent to the desk of another one, aborted that one, with exit code 0.
func TestAnOrderThroughADeskIsForItsCampaign(t *testing.T) {
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	d := s.desk()
	other := filepath.Join(t.TempDir(), "other.yaml")
	require.NoError(t, os.WriteFile(other, fmt.Appendf(nil, specText, "another-campaign"), 0o600))
	order := func(action, spec string) *process {
		return granter(t, command{args: []string{action, "-f", spec, "--json", "--desk-url", d.url, "--why", "to see whose it is"}, env: d.env})
	}

	for _, action := range []string{"abort", "pause", "finish"} {
		p := order(action, other)
		require.Equal(t, exitFailed, p.wait())
		require.Contains(t, p.err.String(), "this desk serves the campaign "+s.campaign.Name+", not another-campaign")
		require.Empty(t, p.out.String())
	}
	control, _, err := s.ledger.Control(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Control{}, control, "nothing has changed")
	acts, err := s.ledger.History(t.Context())
	require.NoError(t, err)
	require.Empty(t, acts)

	p := order("pause", s.spec)
	require.Zero(t, p.wait(), p.err.String())
	var done Ordered
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &done))
	require.Equal(t, s.campaign.Name, done.Campaign)
	require.True(t, done.After.Paused)
}
