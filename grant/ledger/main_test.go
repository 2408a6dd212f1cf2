package ledger

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startMini(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestOnMiniredis(t *testing.T) {
	conformance(t, Options{Addrs: []string{startMini(t).Addr()}})
}

// One miniredis says that it is a cluster with all slots: the client, the 64 anchors and the routing are those of a cluster.
func TestOnMiniredisAsCluster(t *testing.T) {
	conformance(t, Options{Addrs: []string{startMini(t).Addr()}, Cluster: true})
}
