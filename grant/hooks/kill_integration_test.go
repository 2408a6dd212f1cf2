//go:build integration

package hooks

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/ledger"
)

// Two replicas watch a campaign on a real Redis; whoever tells is killed (kill -9) while a server and a program are being called.
// The other one tells what was not told to the end, under the same IDs, and nothing is an event twice.
func TestTheLeaderIsKilled(t *testing.T) {
	redis := devtest.StartRedis(t)
	web := newServer(t)
	called := make(chan struct{}, 100)
	release := make(chan struct{})
	web.answer = func(_ http.ResponseWriter, r *http.Request, n int) {
		called <- struct{}{}
		if n == 1 { // the call of the one that is killed
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}
	defer close(release)
	log := filepath.Join(t.TempDir(), "program")
	begin := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{redis.Addr, web.URL, log}, " "))
		cmd.Stderr = t.Output()
		require.NoError(t, cmd.Start())
		return cmd
	}
	first := begin()
	<-called
	second := begin()
	lines := func() []string {
		says, _ := os.ReadFile(log)
		return strings.Fields(string(says))
	}
	require.Eventually(t, func() bool { return len(lines()) >= 1 }, time.Minute, 5*time.Millisecond, "the program was called")
	require.NoError(t, first.Process.Kill())
	_ = first.Wait()
	// Whoever comes next would wait for the lead of the dead one.
	client, err := ledger.Connect(ledger.Options{Addrs: []string{redis.Addr}})
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Del(t.Context(), "granter:{sorry-2022}:publisher:hooks").Err())
	require.Eventually(t, func() bool { return len(web.ids()) >= 3 }, 2*time.Minute, 5*time.Millisecond)
	require.NoError(t, second.Process.Signal(os.Interrupt))
	_ = second.Wait()
	require.Equal(t, []string{"sorry-2022/start", "sorry-2022/start", "sorry-2022/half"}, web.ids())
	count := map[string]int{}
	for _, id := range lines() {
		count[id]++
	}
	require.Len(t, count, 2)
	for id, n := range count { // what was called and not noted is called again
		require.LessOrEqual(t, n, 2, id)
	}
}
