//go:build integration

package main

import (
	"testing"

	"github.com/granter/granter/deploy/dev/devtest"
)

func TestPlain(t *testing.T) {
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 1_000_000))
	stop := s.slow(100e6)
	p := s.run()
	p.awaitLog("partitions assigned")
	t.Log("assigned after", p.began)
	p.wait()
	stop()
	t.Log(p.err.String(), p.out.String())
	s.exactlyOnce()
}
