package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/programme"
)

// composition loads compose.yaml as docker compose does, with the services of every profile.
func composition(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"compose/compose.yaml"}, cli.WithProfiles([]string{"*"}))
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func isGranter(s types.ServiceConfig) bool { return s.Build != nil }

func TestComposeServices(t *testing.T) {
	t.Parallel()
	project := composition(t)
	require.ElementsMatch(t, slices.Concat([]string{"load", "run", "follow", "desk", "audit"}, claimsOfCompose,
		[]string{"claims-topics", "postgres", "kafka", "redis", "prometheus", "grafana"}), project.ServiceNames())
	for name, s := range project.Services {
		switch {
		case isGranter(s):
			waits := []string{"kafka", "redis"}
			profile := name
			if isClaims(name) {
				waits, profile = []string{"postgres"}, "claims"
				assert.Equal(t, types.ServiceConditionCompletedSuccessfully, s.DependsOn["claims-topics"].Condition, name)
			}
			assert.Equal(t, []string{profile}, s.Profiles)
			assert.Equal(t, "granter:devel", s.Image)
			for _, server := range waits {
				assert.Equal(t, types.ServiceConditionHealthy, s.DependsOn[server].Condition, "%s waits for %s", name, server)
			}
		case name == "claims-topics": // it ends
			requirePinned(t, s.Image)
			assert.Equal(t, project.Services["kafka"].Image, s.Image)
		default:
			assert.Equal(t, name == "postgres", len(s.Profiles) > 0, "%s: all but the database of claims are always there", name)
			requirePinned(t, s.Image)
			require.NotNil(t, s.HealthCheck, name)
		}
		for other, on := range s.DependsOn {
			if on.Condition == types.ServiceConditionHealthy {
				assert.NotNil(t, project.Services[other].HealthCheck, "%s waits until %s is healthy", name, other)
			}
		}
	}
}

// claimsOfCompose are the processes of damage claims.
var claimsOfCompose = []string{"claims-serve", "claims-receive", "claims-process", "claims-pay", "claims-reconcile", "claims-notify",
	"claims-watch", "claims-desk"}

func isClaims(service string) bool { return slices.Contains(claimsOfCompose, service) }

// Every topic that a process of claims names is made, and so are those of refused records.
func TestComposeMakesTheTopicsOfClaims(t *testing.T) {
	t.Parallel()
	project := composition(t)
	made := strings.Fields(strings.ReplaceAll(strings.Join(project.Services["claims-topics"].Command, " "), ";", " "))
	for _, name := range claimsOfCompose {
		command := project.Services[name].Command
		for i, word := range command {
			if word == "--topic" || word == "--ask" {
				assert.Contains(t, made, command[i+1], name)
			}
		}
		if slices.Contains(command, "receive") || slices.Contains(command, "reconcile") {
			topic := command[slices.Index(command, "--topic")+1]
			assert.Contains(t, made, topic+".rejected")
		}
	}
}

func TestComposeIsConfined(t *testing.T) {
	t.Parallel()
	for name, s := range composition(t).Services {
		assert.Contains(t, s.SecurityOpt, "no-new-privileges:true", name)
		assert.Equal(t, []string{"ALL"}, s.CapDrop, name)
		assert.Equal(t, name != "kafka", s.ReadOnly, name)
		for _, port := range s.Ports {
			assert.Equal(t, "127.0.0.1", port.HostIP, "%s publishes %s", name, port.Published)
		}
		limits := s.Deploy.Resources.Limits
		assert.Positive(t, limits.NanoCPUs, name)
		assert.Positive(t, limits.MemoryBytes, name)
		for key, value := range s.Environment {
			if value != nil && strings.Contains(key, "PASSWORD") {
				assert.True(t, strings.HasSuffix(key, "_FILE"), "%s: %s holds a secret", name, key)
			}
		}
	}
}

// Everything that is mounted exists, and is where the command and the environment look for it.
func TestComposeMounts(t *testing.T) {
	t.Parallel()
	project := composition(t)
	for name, s := range project.Services {
		targets := map[string]bool{}
		for _, v := range s.Volumes {
			targets[v.Target] = true
			if v.Type == types.VolumeTypeBind {
				assert.True(t, v.ReadOnly, "%s may write to %s", name, v.Source)
				_, err := os.Stat(v.Source)
				assert.NoError(t, err, name)
			} else {
				assert.Contains(t, project.Volumes, v.Source, "%s keeps %s in a named volume", name, v.Target)
			}
		}
		for _, secret := range s.Secrets {
			targets["/run/secrets/"+secret.Source] = true
			assert.Contains(t, project.Secrets, secret.Source)
		}
		words := append([]string{}, s.Command...)
		for _, value := range s.Environment {
			if value != nil {
				words = append(words, *value)
			}
		}
		for _, word := range words {
			_, file, inside := strings.Cut(word, "/etc/prometheus/")
			if inside {
				_, err := os.Stat(filepath.Join("prometheus", file))
				assert.NoError(t, err, name)
			}
			if strings.HasPrefix(word, "/run/secrets/") || strings.HasPrefix(word, "/etc/granter/") {
				assert.True(t, targets[word], "%s looks for %s, which is not mounted", name, word)
			}
		}
		for _, v := range s.Volumes {
			var err error
			switch v.Target {
			case "/etc/granter/campaign.yaml":
				_, err = campaign.Load(v.Source)
			case "/etc/granter/programme.yaml":
				_, err = programme.Load(v.Source)
			}
			assert.NoError(t, err)
		}
	}
}

// What is started again whatever happens stands by while the campaign is aborted, instead of ending again and again.
func TestComposeFollowersStandBy(t *testing.T) {
	t.Parallel()
	for name, s := range composition(t).Services {
		if restarts := s.Restart != "" && s.Restart != "no"; isGranter(s) && slices.Contains(s.Command, "run") {
			require.Equal(t, restarts, slices.Contains(s.Command, "--stand-by"), name)
		}
	}
}

// Prometheus asks every granter, and Grafana finds its dashboards and Prometheus.
func TestComposeIsWatched(t *testing.T) {
	t.Parallel()
	project := composition(t)
	read := func(file string) object {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		return decode(t, text)[0]
	}
	asked := map[string]bool{}
	for _, scrape := range read("prometheus/prometheus.yml").list("scrape_configs") {
		for _, discovery := range scrape.list("dns_sd_configs") {
			for _, name := range discovery.texts("names") {
				asked[name] = true
				listen := project.Services[name].Environment["GRANTER_LISTEN"]
				require.NotNil(t, listen, "Prometheus asks %s", name)
				require.Equal(t, *listen, ":"+strconv.Itoa(discovery.number("port")))
			}
		}
	}
	want := map[string]bool{"run": true, "follow": true, "desk": true, "audit": true}
	for _, name := range claimsOfCompose {
		want[name] = true
	}
	require.Equal(t, want, asked)

	source := read("grafana/provisioning/datasources/prometheus.yml").list("datasources")[0]
	require.Equal(t, "http://prometheus:9090", source.text("url"))
	folder := read("grafana/provisioning/dashboards/granter.yml").list("providers")[0].text("options", "path")
	i := slices.IndexFunc(project.Services["grafana"].Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == folder })
	require.GreaterOrEqual(t, i, 0, "nothing is mounted at %s", folder)
	dashboards, err := filepath.Glob(filepath.Join(project.Services["grafana"].Volumes[i].Source, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, dashboards)
}

func TestComposeSecretsAreMade(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("compose/secrets.sh")
	require.NoError(t, err)
	dir := t.TempDir()
	copied := filepath.Join(dir, "secrets.sh")
	require.NoError(t, os.WriteFile(copied, script, 0o755))
	made := map[string]string{}
	for range 2 { // the second time it keeps what there is
		out, err := exec.Command("bash", copied).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Empty(t, string(out), "secrets are not shown")
		for name, secret := range composition(t).Secrets {
			file := filepath.Join(dir, "secrets", filepath.Base(secret.File))
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Greater(t, len(text), 40, "%s is hard to guess", name)
			if made[name] != "" {
				require.Equal(t, made[name], string(text))
			}
			made[name] = string(text)
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.EqualValues(t, 0o644, info.Mode().Perm(), "a container reads it as a user of its own")
		}
	}
	info, err := os.Stat(filepath.Join(dir, "secrets"))
	require.NoError(t, err)
	require.EqualValues(t, 0o700, info.Mode().Perm(), "nobody else on this machine")
	_, err = desk.ParseAccess(made["desk-access"])
	require.NoError(t, err)
}

func TestComposeSpeaksGranter(t *testing.T) {
	t.Parallel()
	b := binary(t)
	for name, s := range composition(t).Services {
		if !isGranter(s) {
			continue
		}
		env := map[string]string{}
		for key, value := range s.Environment {
			env[key] = *value
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.understands(t, s.Command, env)
			requireMemoryLimit(t, env["GOMEMLIMIT"], int64(s.Deploy.Resources.Limits.MemoryBytes))
			if s.Command[0] == "run" {
				require.GreaterOrEqual(t, time.Duration(*s.StopGracePeriod), b.drains(t, env), "SIGTERM drains")
			}
		})
	}
}
