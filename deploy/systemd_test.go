package deploy

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var units = []string{"granter@.service", "granter-desk@.service", "granter-audit@.service"}

// unit is a unit file: section and key to their values, in order.
type unit map[string][]string

// readUnit reads a unit as systemd starts it for the campaign sorry. No line is continued.
func readUnit(t *testing.T, name string) unit {
	t.Helper()
	text, err := os.ReadFile("systemd/" + name)
	require.NoError(t, err)
	u, section := unit{}, ""
	expand := strings.NewReplacer("%i", "sorry", "%d", "/run/credentials/granter@sorry.service")
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch key, value, ok := strings.Cut(line, "="); {
		case line == "", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
		default:
			require.True(t, ok, line)
			u[section+"."+key] = append(u[section+"."+key], expand.Replace(value))
		}
	}
	return u
}

// one returns the value of a key that is there once.
func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	require.Len(t, u["Service."+key], 1, key)
	return u["Service."+key][0]
}

func (u unit) environment() map[string]string {
	env := map[string]string{}
	for _, line := range u["Service.Environment"] {
		for assignment := range strings.FieldsSeq(line) {
			key, value, _ := strings.Cut(assignment, "=")
			env[key] = value
		}
	}
	return env
}

func TestSystemdSpeaksGranter(t *testing.T) {
	t.Parallel()
	b := binary(t)
	for _, name := range units {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := readUnit(t, name)
			program, args, _ := strings.Cut(u.one(t, "ExecStart"), " ")
			require.Equal(t, "/usr/local/bin/granter", program)
			env := u.environment()
			b.understands(t, strings.Fields(args), env)
			memory, ok := strings.CutSuffix(u.one(t, "MemoryMax"), "M")
			require.True(t, ok)
			limit, err := strconv.ParseInt(memory, 10, 64)
			require.NoError(t, err)
			requireMemoryLimit(t, env["GOMEMLIMIT"], limit<<20)
			for _, credential := range u["Service.LoadCredential"] {
				id, source, _ := strings.Cut(credential, ":")
				require.Equal(t, "/etc/granter/secrets/"+id, source)
				variable := "GRANTER_" + strings.ToUpper(strings.ReplaceAll(id, "-", "_")) + "_FILE"
				if id == "audit-key" { // a flag that names a file
					variable = "GRANTER_KEY"
				}
				require.Equal(t, "/run/credentials/granter@sorry.service/"+id, env[variable])
			}
		})
	}
}

func TestSystemdStopsAndRestarts(t *testing.T) {
	t.Parallel()
	u := readUnit(t, "granter@.service")
	require.Equal(t, "SIGTERM", u.one(t, "KillSignal"))
	stop, err := time.ParseDuration(u.one(t, "TimeoutStopSec"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, stop, binary(t).drains(t, u.environment()))
	require.Equal(t, "on-failure", u.one(t, "Restart"))
	require.Equal(t, "4 6", u.one(t, "SuccessExitStatus"), "an abort is not undone by a restart")
	require.Equal(t, "2 5 6", u.one(t, "RestartPreventExitStatus"), "none of them mends itself")
}

// An audit keeps its reports in the one place that it may write to, and its verdict is no failure of the unit.
func TestSystemdAuditKeepsReports(t *testing.T) {
	t.Parallel()
	u := readUnit(t, "granter-audit@.service")
	require.Contains(t, u.one(t, "ExecStart"), "--report /var/lib/"+u.one(t, "StateDirectory")+"/")
	require.Equal(t, "strict", u.one(t, "ProtectSystem"))
	require.Equal(t, "4 7 8", u.one(t, "SuccessExitStatus"))
	require.Equal(t, "2", u.one(t, "RestartPreventExitStatus"))
}
