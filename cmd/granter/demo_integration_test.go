//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/lookup"
)

// demo starts the build of granter that make demo runs. Its output is no terminal.
func demo(t *testing.T, args ...string) *process {
	t.Helper()
	args = append([]string{"demo"}, args...)
	return begin(t, exec.Command(demoBinary(t), args...), command{args: args})
}

// buildDemo builds it once: linking takes seconds.
var buildDemo = sync.OnceValues(func() (binary string, err error) {
	binary = filepath.Join(binaries, "granter-demo")
	if out, err := exec.Command("go", "build", "-tags=demo", "-o="+binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

func demoBinary(t *testing.T) string {
	t.Helper()
	binary, err := buildDemo()
	require.NoError(t, err)
	return binary
}

// awaitOutput waits until the demo has printed something, and returns the submatches.
func (p *process) awaitOutput(what string) (found []string) {
	p.Helper()
	await(p.T, "it prints "+what, func() bool {
		require.True(p, p.running(), "%s%s", p.out.String(), p.err.String())
		found = regexp.MustCompile(what).FindStringSubmatch(p.out.String())
		return found != nil
	})
	return found
}

// Where nobody watches, the demo ends by itself, and needs none of its ports.
func TestDemoEndsByItselfWhereNobodyWatches(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:9464", "127.0.0.1:9465"} {
		if l, err := net.Listen("tcp", address); err == nil { // or else somebody else has it
			t.Cleanup(func() { l.Close() })
		}
	}
	for _, flag := range []string{"--json=false", "--once", "--json"} {
		p := demo(t, flag, "--users=50000")
		require.Zero(t, p.wait(), "%s%s", p.out.String(), p.err.String())
		if flag != "--json" {
			require.Contains(t, p.out.String(), "PROVEN: 50,000 users granted exactly once")
			require.NotContains(t, p.out.String(), "http://")
			continue
		}
		var shown struct {
			Run Summary `json:"run"`
		}
		require.NoError(t, json.Unmarshal([]byte(p.out.String()), &shown))
		require.EqualValues(t, 50_000, shown.Run.Granted)
	}
}

// The users of a demo may have IDs of any kind.
func TestDemoOfUUIDs(t *testing.T) {
	t.Parallel()
	p := demo(t, "--json", "--users=20000", "--ids=uuid")
	require.Zero(t, p.wait(), p.err.String())
	var shown struct {
		Run    Summary       `json:"run"`
		Proof  Proof         `json:"proof"`
		Lookup lookup.Answer `json:"lookup"`
	}
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &shown))
	require.EqualValues(t, 20_000, shown.Run.Granted)
	require.True(t, shown.Proof.Holds)
	require.True(t, shown.Lookup.Granted)
	require.Len(t, shown.Lookup.User.String(), 36)
	refused := demo(t, "--once", "--users=100", "--ids=uuid", "--keep="+t.TempDir()+"/kept")
	require.Equal(t, exitUsage, refused.wait())
	require.Contains(t, refused.err.String(), "--keep is not possible yet for a campaign whose source.id is not dense")
}

func TestDemoSaysThatItsOutputIsLost(t *testing.T) {
	t.Parallel()
	binary := demoBinary(t)
	for _, flag := range []string{"--once", "--json"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(t, err)
		t.Cleanup(func() { full.Close() })
		cmd := exec.Command(binary, "demo", flag, "--users=100")
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &stderr
		require.Error(t, cmd.Run())
		require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
		require.Contains(t, stderr.String(), "no space left on device")
	}
}

// The demo is slow at first, so that it can be watched by the link that it prints, and is then released.
func TestDemoCanBeWatched(t *testing.T) {
	t.Parallel()
	p := demo(t, "--once=false", "--users=300000", "--throttle=1000", "--watch=2s", "--desk="+freeAddress(t), "--listen="+freeAddress(t))
	link := p.awaitOutput(`(http://\S+)/#token=(granter_\S+)`)
	status := func() (s Status) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link[1]+"/api/v1/campaigns/demo-emoticons/status", http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+link[2])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return s // the desk opens a moment after the link is printed
		}
		defer resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
		return s
	}
	defer http.DefaultClient.CloseIdleConnections()
	var slow Status
	await(t, "it runs under its limit", func() bool { slow = status(); return slow.Status != nil && slow.Control.Throttle == 1000 })
	require.Less(t, slow.Granted, int64(300_000))
	p.awaitOutput("PROVEN: 300,000 users")
	p.awaitOutput("serving until Ctrl-C")
	require.Zero(t, status().Control.Throttle, "released")
	p.signal(syscall.SIGINT)
	require.Zero(t, p.wait(), "%s%s", p.out.String(), p.err.String())
}

// Ctrl-C ends it with exit code 0 at any moment.
func TestDemoEndsWhenInterrupted(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"publishing", "published", "Ctrl-C ends it", "PROVEN"} {
		p := demo(t, "--once=false", "--users=200000", "--throttle=50000", "--watch=2s", "--desk="+freeAddress(t), "--listen="+freeAddress(t))
		p.awaitOutput(moment)
		p.signal(syscall.SIGINT)
		require.Zero(t, p.wait(), "interrupted after %q:\n%s%s", moment, p.out.String(), p.err.String())
		require.True(t, strings.HasSuffix(p.out.String(), "stopped\n"), p.out.String())
	}
}

// What a demo leaves is checked when its Kafka and Redis are gone.
func TestADemoLeavesWhatAnAuditorNeeds(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	p := demo(t, "--once", "--users=70000", "--keep="+dir)
	require.Zero(t, p.wait(), "%s%s", p.out.String(), p.err.String())
	require.Contains(t, p.out.String(), "audited: PROVEN: all 70,000 users")
	reports, err := filepath.Glob(dir + "/*.report")
	require.NoError(t, err)
	require.Len(t, reports, 1)
	public := filepath.Join(dir, "audit.key.pub")
	verify := granter(t, command{args: []string{"audit", "verify", "--public", public, reports[0]}})
	require.Zero(t, verify.wait(), verify.err.String())
	receipt := granter(t, command{args: []string{"receipt", "66000", "--report", dir, "--public", public}})
	require.Zero(t, receipt.wait(), receipt.err.String())
	require.Contains(t, receipt.out.String(), "VERIFIED: it leads to the root that granter-demo signed")
	again := demo(t, "--once", "--users=100", "--keep="+dir)
	require.Equal(t, exitUsage, again.wait())
	require.Contains(t, again.err.String(), "name another directory")
}

// Claims go all the way, sums agree to the won, and whoever watches finds an owner's claim and the review desk. Nothing is left.
func TestADemoOfClaimsPaysAndProvesThem(t *testing.T) {
	t.Parallel()
	p := demo(t, "--claims=100", "--json")
	require.Zero(t, p.wait(), "%s%s", p.out.String(), p.err.String())
	var shown struct {
		Promised int `json:"promised"`
		Settled  int `json:"settled"`
		Reserved int `json:"reserved"`
		Owed     int `json:"owed"`
		Bank     int `json:"bank"`
		Paid     int `json:"paid"`
	}
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &shown))
	require.Greater(t, shown.Paid, 50)
	require.Equal(t, shown.Promised, shown.Settled+shown.Reserved+shown.Owed)
	require.Equal(t, shown.Settled, shown.Bank)

	temporary := t.TempDir()
	cmd := exec.Command(demoBinary(t), "demo", "--claims=100", "--once=false", "--page="+freeAddress(t), "--desk="+freeAddress(t))
	// A browser that notes what it is to open.
	browser := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(browser, "xdg-open"), []byte("#!/bin/sh\necho \"$1\" >> "+browser+"/opened\n"), 0o700))
	p = begin(t, cmd, command{args: cmd.Args[1:], env: []string{
		"TMPDIR=" + temporary, "DISPLAY=:0", "PATH=" + browser + string(os.PathListSeparator) + os.Getenv("PATH"),
	}})
	require.Contains(t, p.awaitOutput(`carried: .*`)[0], "carried: 3 for, 1 against, 1 abstained")
	require.Contains(t, p.awaitOutput(`PROVEN: 100 claims.*`)[0], "won promised = ")
	minutes := p.awaitOutput(`claims/(k-\d+)\?lang=en\n +(http://\S+/claims/minutes/1)`)
	require.Contains(t, p.out.String(), "documents "+minutes[1])
	enter := p.awaitOutput(`link +(http://\S+)`)[1]
	review := p.awaitOutput(`(http://\S+/claims)\?lang=en\n +granter_\S+\n\nserving until Ctrl-C`)[1]
	defer http.DefaultClient.CloseIdleConnections()
	for _, page := range []string{enter, review, minutes[2]} {
		await(t, "it serves "+page, func() bool {
			resp, err := http.Get(page)
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			return resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusUnauthorized // the desk asks for the token
		})
	}
	await(t, "both pages are opened", func() bool {
		opened, _ := os.ReadFile(filepath.Join(browser, "opened"))
		return strings.Count(string(opened), "http://127.0.0.1:") == 2 && strings.Contains(string(opened), review)
	})
	p.signal(syscall.SIGINT)
	require.Zero(t, p.wait(), "%s%s", p.out.String(), p.err.String())
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)

	p = demo(t, "--claims", "--users=5")
	require.Equal(t, exitUsage, p.wait())
	require.Contains(t, p.err.String(), "--users goes without --claims")
}
