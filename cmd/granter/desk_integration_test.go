//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	env         []string // with the token of an operator
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
		d.env = []string{"GRANTER_TOKEN=" + token}
	}
	require.NoError(s, os.WriteFile(d.access, []byte(text), 0o600))
	flags = append([]string{"--desk=127.0.0.1:0", "--desk-access=" + d.access, "--listen=127.0.0.1:0"}, flags...)
	d.process = start(s.T, s.command("desk", flags...))
	d.awaitLog("serving the desk")
	page, _ := d.logged("serving the desk", "page").(string)
	d.url = page[:len(page)-1]
	return d
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
