//go:build !integration

package ledger

import "testing"

// With servers, the same is asked of a real Redis and of a real Cluster.

func TestOnMiniredis(t *testing.T) {
	conformance(t, Options{Addrs: []string{startMini(t).Addr()}})
}

// One miniredis says that it is a cluster with all slots: the client, the 64 anchors and the routing are those of a cluster.
func TestOnMiniredisAsCluster(t *testing.T) {
	conformance(t, Options{Addrs: []string{startMini(t).Addr()}, Cluster: true})
}
