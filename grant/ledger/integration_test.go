//go:build integration

package ledger

import (
	"testing"

	"github.com/granter/granter/deploy/dev/devtest"
)

func TestOnRedis(t *testing.T) {
	conformance(t, Options{Addrs: []string{devtest.StartRedis(t).Addr}})
}

func TestOnRedisCluster(t *testing.T) {
	conformance(t, Options{Addrs: devtest.StartRedisCluster(t, 3, 0).Addrs, Cluster: true})
}
