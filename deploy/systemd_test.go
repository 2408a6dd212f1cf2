package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	// services are all units that run granter, as they are when they are started for the campaign sorry.
	services = slices.Concat([]string{
		"granter@sorry.service", "granter-desk@sorry.service", "granter-audit@sorry.service",
		"granter-claims-desk.service", "granter-claims-money.service", "granter-claims-purge.service",
	}, claimsServices)
	// claimsServices are the processes of claims, of one template.
	claimsServices = []string{
		"granter-claims@serve.service", "granter-claims@receive.service", "granter-claims@process.service",
		"granter-claims@pay.service", "granter-claims@reconcile.service", "granter-claims@notify.service",
		"granter-claims@watch.service",
	}
)

// unitFiles are the files of which a unit is made: its own or its template's, and those that add to it.
func unitFiles(t *testing.T, name string) (list []string, instance string) {
	t.Helper()
	file := name
	if before, after, ok := strings.Cut(name, "@"); ok {
		file, instance = before+"@.service", strings.TrimSuffix(after, ".service")
	}
	more, err := filepath.Glob("systemd/" + name + ".d/*.conf")
	require.NoError(t, err)
	return append([]string{"systemd/" + file}, more...), instance
}

// unit is a unit file: section and key to their values, in order.
type unit map[string][]string

// readUnit reads a unit as systemd starts it. No line is continued.
func readUnit(t *testing.T, name string) unit {
	t.Helper()
	files, instance := unitFiles(t, name)
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(text)
	}
	u, section := unit{}, ""
	expand := strings.NewReplacer("%i", instance, "%d", "/run/credentials/granter@sorry.service")
	for line := range strings.Lines(all.String()) {
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
	for _, name := range services {
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
	u := readUnit(t, "granter@sorry.service")
	require.Equal(t, "SIGTERM", u.one(t, "KillSignal"))
	stop, err := time.ParseDuration(u.one(t, "TimeoutStopSec"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, stop, binary(t).drains(t, u.environment()))
	require.Equal(t, "on-failure", u.one(t, "Restart"))
	require.Equal(t, "4 6", u.one(t, "SuccessExitStatus"), "an abort is not undone by a restart")
	require.Equal(t, "2 5 6", u.one(t, "RestartPreventExitStatus"), "none of them mends itself")
}

// A run stands back for the desk beside it, whose checks are to be answered within 10 ms (docs/performance.md).
func TestSystemdRunStandsBackForTheDesk(t *testing.T) {
	t.Parallel()
	require.Equal(t, "10", readUnit(t, "granter@sorry.service").one(t, "Nice"))
	require.Empty(t, readUnit(t, "granter-desk@sorry.service")["Service.Nice"])
}

// An audit keeps its reports in the one place that it may write to, and its verdict is no failure of the unit.
func TestSystemdAuditKeepsReports(t *testing.T) {
	t.Parallel()
	u := readUnit(t, "granter-audit@sorry.service")
	require.Contains(t, u.one(t, "ExecStart"), "--report /var/lib/"+u.one(t, "StateDirectory")+"/")
	require.Equal(t, "strict", u.one(t, "ProtectSystem"))
	require.Equal(t, "4 7 8", u.one(t, "SuccessExitStatus"))
	require.Equal(t, "2", u.one(t, "RestartPreventExitStatus"))
}

// Each process of claims is there: what goes on for ever has a unit, and each has its own address for metrics and its
// own secrets.
func TestSystemdClaimsAreWhole(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("systemd/granter-claims@*.service.d")
	require.NoError(t, err)
	require.Len(t, folders, len(claimsServices), "a folder that no unit of the tests has")
	addresses, secrets := map[string]string{}, map[string][]string{}
	for _, name := range append([]string{"granter-claims-desk.service"}, claimsServices...) {
		u := readUnit(t, name)
		listen := u.environment()["GRANTER_LISTEN"]
		require.Regexp(t, `^127\.0\.0\.1:\d+$`, listen, name)
		require.Empty(t, addresses[listen], "%s has the address of %s", name, addresses[listen])
		addresses[listen] = name
		require.Equal(t, "always", u.one(t, "Restart"), name)
		for _, credential := range u["Service.LoadCredential"] {
			id, _, _ := strings.Cut(credential, ":")
			secrets[id] = append(secrets[id], name)
		}
	}
	for _, id := range []string{"business-key", "account-token"} {
		require.Equal(t, []string{"granter-claims@process.service"}, secrets[id], id)
	}
	require.Equal(t, []string{"granter-claims@notify.service"}, secrets["smtp-password"])
	require.NotContains(t, secrets["kafka-password"], "granter-claims@serve.service", "the page needs no Kafka")
}

// Documents have one folder and one user, whoever reads or writes them.
func TestSystemdClaimsShareDocuments(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"granter-claims@serve.service", "granter-claims-desk.service", "granter-claims-purge.service",
	} {
		u := readUnit(t, name)
		require.Equal(t, "/var/lib/"+u.one(t, "StateDirectory"), u.environment()["GRANTER_DOCUMENTS"], name)
		require.Equal(t, "granter-claims", u.one(t, "User"), name)
		require.Equal(t, "0700", u.one(t, "StateDirectoryMode"), name)
	}
	money := readUnit(t, "granter-claims-money.service")
	require.Contains(t, money.one(t, "ExecStart"), "--out /var/lib/"+money.one(t, "StateDirectory")+"/")
	for _, timer := range []string{"money", "purge"} {
		require.FileExists(t, "systemd/granter-claims-"+timer+".service")
		u := readUnit(t, "granter-claims-"+timer+".timer")
		require.Len(t, u["Timer.OnCalendar"], 1)
		require.Contains(t, u["Timer.OnCalendar"][0], "Asia/Seoul", "the zone is said")
	}
}
