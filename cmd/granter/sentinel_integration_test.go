//go:build integration

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// The master dies while its replica is down. Sentinel promotes the replica when it is back, with what it had.
func TestSentinelPromotesALaggingReplica(t *testing.T) {
	t.Parallel()
	for _, ids := range []string{"dense", "uuid"} {
		t.Run(ids, func(t *testing.T) {
			t.Parallel()
			master := devtest.StartRedis(t, durable()...)
			replica := devtest.StartRedis(t, append(durable(), devtest.ReplicaOf(master))...)
			s := newScenario(t, 4, master.Addr)
			if ids == "uuid" {
				s.ofUUIDs()
			}
			s.redis = []string{startSentinel(t, "granter", master.Addr)}
			s.flags = append(s.flags, "--redis-sentinel=granter")
			s.lossy(func() {
				replica.Kill()
				before := s.granted()
				await(t, "the run goes on", func() bool { return s.granted() > before+s.share(200_000) })
				master.Kill()
				replica.Restart()
				s.useRedis(replica.Addr)
			})
		})
	}
}

// startSentinel starts one Sentinel that needs nobody's consent, and returns its address.
func startSentinel(t *testing.T, name, master string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	host, masterPort, err := net.SplitHostPort(master)
	require.NoError(t, err)
	dir := t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `bind 127.0.0.1
port %[1]s
dir %[2]s
sentinel monitor %[3]s %[4]s %[5]s 1
sentinel down-after-milliseconds %[3]s 1000
sentinel failover-timeout %[3]s 3000
`, port, dir, name, host, masterPort), 0o600))
	cmd := exec.Command("redis-server", conf, "--sentinel")
	cmd.SysProcAttr = childAttributes()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	await(t, "Sentinel answers", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return addr
}
