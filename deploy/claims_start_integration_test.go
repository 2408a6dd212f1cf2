//go:build integration

package deploy

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/claims/intake/intaketest"
	"github.com/granter/granter/grant/claims/store"
)

// soon is far more than a process takes to start on a busy machine.
const soon = 90 * time.Second

// claimsTopics are those that the processes of claims name.
var claimsTopics = []string{"claims", "claims.rejected", "payouts", "payouts.ack", "payouts.ack.rejected", "notices"}

// servers are those that damage claims need.
type servers struct {
	kafka    *devtest.Kafka
	postgres *devtest.Postgres
	redis    *devtest.Redis
}

func startServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{
		kafka: devtest.StartKafka(t, devtest.KafkaOptions{}), postgres: devtest.StartPostgres(t), redis: devtest.StartRedis(t),
	}
	for _, topic := range claimsTopics {
		s.kafka.CreateTopic(t, topic, 2, 1, nil)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.Brokers...), kgo.DefaultProduceTopic("claims"))
	require.NoError(t, err)
	defer client.Close()
	for i := range reported {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Value: intaketest.Record(i)}).FirstErr())
	}
	return s
}

// reported is how many claims are in the topic.
const reported = 5

// database makes an empty one.
func (s *servers) database(t *testing.T, name string) (url string) {
	t.Helper()
	db, err := sql.Open("pgx", s.postgres.URL)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "CREATE SCHEMA "+name)
	require.NoError(t, err)
	return s.postgres.Schema(name)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// deployed is one granter as a unit or a service starts it, with nothing in its environment but what that says.
type deployed struct {
	name string
	args []string
	env  map[string]string
}

func (d *deployed) command(ctx context.Context, t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary(t).path, d.args...)
	for name, value := range d.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// start starts it, waits until it is ready, and returns what stops it as systemd and Compose do.
func (d *deployed) start(t *testing.T) (stop func()) {
	t.Helper()
	cmd := d.command(context.WithoutCancel(t.Context()), t)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = cmd.Wait()
	}()
	end := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	t.Cleanup(end)
	deadline := time.Now().Add(soon)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		if answersReady(t, d.env["GRANTER_LISTEN"]) {
			break
		}
		select {
		case <-ended:
			require.Fail(t, d.name+" ended", "%v\n%s", err, &said)
		default:
		}
		if now.After(deadline) {
			end()
			require.Fail(t, d.name+" is not ready", "%s", &said)
		}
	}
	return func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		select {
		case <-ended:
		case <-time.After(soon):
			end()
			require.Fail(t, d.name+" does not end", "%s", &said)
		}
		require.Contains(t, []int{0, 4}, cmd.ProcessState.ExitCode(), "%s: %s", d.name, &said)
	}
}

func answersReady(t *testing.T, address string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	return errors.Join(err, resp.Body.Close()) == nil && resp.StatusCode == http.StatusOK
}

// together starts all of them, the page first, and requires that what is in the topic comes into the database.
func together(t *testing.T, database string, all []deployed) {
	t.Helper()
	stops := make([]func(), len(all))
	for i := range all {
		stops[i] = all[i].start(t)
	}
	s, err := store.Open(t.Context(), database, "")
	require.NoError(t, err)
	defer s.Close()
	deadline := time.Now().Add(soon)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for now := range tick.C {
		counts, err := s.Counts(t.Context(), "outage-2022")
		require.NoError(t, err)
		n := 0
		for _, c := range counts {
			n += c.Claims
		}
		if n == reported {
			break
		}
		require.True(t, now.Before(deadline), "%d of %d claims are there", n, reported)
	}
	for _, stop := range stops {
		stop()
	}
}

// The units of systemd and the services of Compose for damage claims start as they are written, against real servers: with the
// files that README.md names, and nothing else in the environment.
func TestClaimsStartAsWritten(t *testing.T) {
	s := startServers(t)
	t.Run("systemd", func(t *testing.T) { systemdClaims(t, s) })
	t.Run("compose", func(t *testing.T) { composeClaims(t, s) })
}

func systemdClaims(t *testing.T, s *servers) {
	database, dir := s.database(t, "systemd"), t.TempDir()
	here := strings.NewReplacer("/etc/granter", dir+"/etc", "/var/lib", dir+"/var", "/run/credentials/granter@sorry.service",
		dir+"/etc/secrets")
	write := func(name string, lines ...string) {
		path := filepath.Join(dir, "etc", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	}
	for _, name := range []string{
		"database-password", "kafka-password", "redis-password", "business-key", "account-token", "smtp-password",
		"webhook-secret",
	} {
		write("secrets/" + name) // empty where none is needed
	}
	key := filepath.Join(dir, "etc", "secrets", "audit-key")
	out, err := exec.Command(binary(t).path, "audit", "keygen", key).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for from, to := range map[string]string{"outage-2022": "claims-programme", "retention": "claims-retention"} {
		text, err := os.ReadFile("programmes/" + from + ".yaml")
		require.NoError(t, err)
		write(to+".yaml", string(text))
	}
	access, err := exec.Command(binary(t).path, "token", "lee", "claims-reviewer").Output()
	require.NoError(t, err)
	write("desk-access", string(access))
	write("granter.env", "GRANTER_REDIS="+s.redis.Addr)
	write("claims.env", "GRANTER_DATABASE="+database, "GRANTER_BROKERS="+s.kafka.Brokers[0])
	listen := func() string { return "GRANTER_LISTEN=" + freeAddress(t) } // other tests have the units' own
	write("claims-serve.env", listen(), "GRANTER_PAGE="+freeAddress(t), "GRANTER_PUBLIC=https://claims.example.com",
		"GRANTER_CONTACT=1577-0000")
	write("claims-desk.env", listen(), "GRANTER_DESK="+freeAddress(t))
	const nobody = "http://127.0.0.1:9"
	write("claims-process.env", listen(), "GRANTER_BUSINESS_SERVICE="+nobody, "GRANTER_ACCOUNT_SERVICE="+nobody)
	write("claims-notify.env", listen(), "GRANTER_TOPIC=notices")
	write("claims-purge.env", "GRANTER_CONFIRM=outage-2022")
	for _, name := range []string{"receive", "pay", "reconcile", "watch"} {
		write("claims-"+name+".env", listen())
	}

	asWritten := func(name string) deployed {
		u := readUnit(t, name)
		d := deployed{name: name, env: map[string]string{}}
		set := func(lines string) {
			for line := range strings.Lines(lines) {
				if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
					d.env[key] = value
				}
			}
		}
		for key, value := range u.environment() {
			d.env[key] = here.Replace(value)
		}
		for _, file := range u["Service.EnvironmentFile"] { // what they say wins
			if text, err := os.ReadFile(here.Replace(strings.TrimPrefix(file, "-"))); err == nil {
				set(string(text))
			}
		}
		for _, folder := range u["Service.StateDirectory"] {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "var", folder), 0o750))
		}
		for word := range strings.FieldsSeq(strings.TrimPrefix(u.one(t, "ExecStart"), "/usr/local/bin/granter ")) {
			word = os.Expand(word, func(name string) string { return d.env[name] })
			d.args = append(d.args, here.Replace(word))
		}
		return d
	}
	var all []deployed
	for _, name := range append(slices.Clone(claimsServices), "granter-claims-desk.service") {
		all = append(all, asWritten(name))
	}
	together(t, database, all)
	for _, name := range []string{"granter-claims-money.service", "granter-claims-purge.service"} { // which end
		d := asWritten(name)
		out, err := d.command(t.Context(), t).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
	reports, err := filepath.Glob(filepath.Join(dir, "var", "granter-claims-money", "*.money"))
	require.NoError(t, err)
	require.Len(t, reports, 1)
	out, err = exec.Command(binary(t).path, "claims", "report", "verify", "--public", key+".pub", reports[0]).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func composeClaims(t *testing.T, s *servers) {
	database, dir := s.database(t, "compose"), t.TempDir()
	script, err := os.ReadFile("compose/secrets.sh")
	require.NoError(t, err)
	copied := filepath.Join(dir, "secrets.sh")
	require.NoError(t, os.WriteFile(copied, script, 0o755))
	out, err := exec.Command("bash", copied).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secrets", "redis-password"), nil, 0o600)) // this Redis has none
	project := composition(t)
	var all []deployed
	for _, name := range claimsOfCompose {
		service := project.Services[name]
		replace := []string{
			"postgres://granter@postgres/claims", database, "kafka:9092", s.kafka.Brokers[0], "redis:6379", s.redis.Addr,
		}
		for _, secret := range service.Secrets { // no other file is there
			replace = append(replace, "/run/secrets/"+secret.Source, filepath.Join(dir, "secrets", secret.Source))
		}
		for _, volume := range service.Volumes {
			source := volume.Source
			if volume.Type == "volume" {
				source = filepath.Join(dir, volume.Source)
				require.NoError(t, os.MkdirAll(source, 0o750))
			}
			replace = append(replace, volume.Target, source)
		}
		here := strings.NewReplacer(replace...)
		d := deployed{name: name, env: map[string]string{}}
		for key, value := range service.Environment {
			d.env[key] = here.Replace(*value)
		}
		for _, word := range service.Command {
			if strings.HasPrefix(word, ":") { // a port of the container, which is this machine here
				word = freeAddress(t)
			}
			d.args = append(d.args, here.Replace(word))
		}
		require.Equal(t, ":9464", d.env["GRANTER_LISTEN"])
		d.env["GRANTER_LISTEN"] = freeAddress(t)
		all = append(all, d)
	}
	together(t, database, all)
}
