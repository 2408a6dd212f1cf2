// Package deploy tests what granter is deployed with: the image, compose, Kubernetes, systemd and the release. What a
// manifest says to granter, the real binary must understand.
package deploy

//go:generate kubernetes/components/monitoring/rules.sh

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// root is the root of the repository.
const root = ".."

// testVersion is what the binary of the tests says of itself.
const testVersion = "v0.0.0-test"

// scratch is a folder for what all tests share.
var scratch string

func TestMain(m *testing.M) { os.Exit(inScratch(m.Run)) }

func inScratch(run func() int) int {
	dir, err := os.MkdirTemp("", "granter-deploy")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	scratch = dir
	return run()
}

// built is the binary of the image: made by the Dockerfile's own command, from nothing but what .dockerignore lets
// through.
type built struct {
	path string
	help map[string]string // by command
	err  error
	out  []byte
}

var build = sync.OnceValue(func() *built {
	b := &built{path: filepath.Join(scratch, "granter"), help: map[string]string{}}
	var command string
	for _, i := range dockerfile() {
		if _, after, ok := strings.Cut(i.args, "CGO_ENABLED=0"); ok && i.name == "RUN" {
			command = strings.Replace("CGO_ENABLED=0"+after, " -o /granter ", " -o "+b.path+" ", 1)
		}
	}
	context := filepath.Join(scratch, "context")
	if b.err = copyContext(context); b.err != nil {
		return b
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = context
	cmd.Env = append(os.Environ(), "VERSION="+testVersion, "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH, "GOFLAGS=")
	if b.out, b.err = cmd.CombinedOutput(); b.err != nil {
		return b
	}
	b.out, b.err = exec.Command(b.path, "--help").Output()
	b.commands(string(b.out))
	return b
})

// commands asks the commands that a help lists for theirs; those of claims, too, which is a command of commands.
func (b *built) commands(help string, of ...string) {
	_, list, _ := strings.Cut(help, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		command := append(slices.Clone(of), strings.Fields(line)[0])
		out, err := exec.Command(b.path, append(command, "--help")...).Output()
		if err != nil {
			b.err = err
		}
		b.help[strings.Join(command, " ")] = string(out)
		if command[0] == "claims" && len(command) < 3 {
			b.commands(string(out), command...)
		}
	}
}

// commandOf is the longest command that arguments begin with.
func (b *built) commandOf(args []string) (command string) {
	for i := range args {
		if name := strings.Join(args[:i+1], " "); b.help[name] != "" {
			command = name
		}
	}
	return command
}

// binary builds granter once for all tests.
func binary(t *testing.T) *built {
	t.Helper()
	b := build()
	require.NoError(t, b.err, "%s", b.out)
	require.Contains(t, b.help, "run")
	return b
}

var flagLine = regexp.MustCompile(`(?m)^ +(?:-\w, |    )--([a-z0-9-]+)`)

// flags returns the flags of a command.
func (b *built) flags(command string) map[string]bool {
	all := map[string]bool{}
	for _, m := range flagLine.FindAllStringSubmatch(b.help[command], -1) {
		all[m[1]] = true
	}
	return all
}

// flagOf is the flag that a variable sets.
func flagOf(variable string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "GRANTER_"), "_", "-"))
}

// understands requires that the binary takes the arguments and the environment as they are: that every flag exists and
// takes its value, and that every GRANTER_ variable is a flag of this command or another, or is named by the help.
func (b *built) understands(t *testing.T, args []string, env map[string]string) {
	t.Helper()
	require.NotEmpty(t, args)
	command := b.commandOf(args)
	if !assertHas(t, b.help, command, "granter has no command %s", args[0]) {
		return
	}
	if rest := args[len(strings.Fields(command)):]; len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		t.Errorf("granter %s has no command %s", command, rest[0])
	}
	own := b.flags(command)
	var help strings.Builder
	for _, text := range b.help {
		help.WriteString(text)
	}
	line := append([]string{}, args...)
	for name, value := range env {
		switch flag := flagOf(name); {
		case !strings.HasPrefix(name, "GRANTER_"):
		case own[flag]:
			line = append(line, "--"+flag+"="+value)
		case strings.Contains(help.String(), " --"+flag+" "), strings.Contains(help.String(), name):
		default:
			t.Errorf("granter %s: nothing reads %s", command, name)
		}
	}
	// Flags are parsed before help is given, so nothing runs, but a wrong flag or value is an error.
	out, err := exec.Command(b.path, append(line, "--help")...).CombinedOutput()
	if err != nil {
		t.Errorf("granter %s: %s", strings.Join(line, " "), out)
	}
}

func assertHas[V any](t *testing.T, in map[string]V, key, format string, args ...any) bool {
	t.Helper()
	_, ok := in[key]
	if !ok {
		t.Errorf(format, args...)
	}
	return ok
}

var retryDefault = regexp.MustCompile(`--retry-for duration .*\(default ([0-9hms]+)\)`)

// drains is how long a run may take to end after SIGTERM: while Redis does not answer it tries for --retry-for, and then
// it tells Kafka and those who scrape it that it leaves.
func (b *built) drains(t *testing.T, env map[string]string) time.Duration {
	t.Helper()
	text := env["GRANTER_RETRY_FOR"]
	if text == "" {
		m := retryDefault.FindStringSubmatch(b.help["run"])
		require.Len(t, m, 2, "run --help says no default of --retry-for")
		text = m[1]
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d + leaving
}

// leaving is ample for what comes after the last flush: a checkpoint, leaving the group, a last scrape.
const leaving = 20 * time.Second

// requireMemoryLimit requires that Go collects garbage in time, and not so early that it does little else.
func requireMemoryLimit(t *testing.T, goMemLimit string, limit int64) {
	t.Helper()
	number, ok := strings.CutSuffix(goMemLimit, "MiB")
	require.True(t, ok, "GOMEMLIMIT=%q: want MiB", goMemLimit)
	mib, err := strconv.ParseInt(number, 10, 64)
	require.NoError(t, err)
	share := float64(mib<<20) / float64(limit)
	require.True(t, share >= 0.8 && share <= 0.9, "GOMEMLIMIT is %.0f%% of the limit; want 80 to 90%%", 100*share)
}
