package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// A command that changes the ledger does not look as if it hung while Redis is full: it says so, once.
func TestACommandSaysThatItWaitsForRedis(t *testing.T) {
	servers, err := startInProcess()
	require.NoError(t, err)
	t.Cleanup(servers.close)
	client, err := ledger.Connect(ledger.Options{Addrs: []string{servers.redis.Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })

	var said bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&said)
	store, err := ledger.Open(client, &grant.Campaign{Name: "full"}, patiently(cmd, 300*time.Millisecond))
	require.NoError(t, err)
	servers.redis.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	_, err = ledger.NewPurger(store).Mark(t.Context())
	require.ErrorContains(t, err, "OOM")
	require.Equal(t, "granter: Redis refuses (oom): Redis reached maxmemory: raise maxmemory (CONFIG SET maxmemory …), "+
		"the granter then goes on; trying again for 300ms\n", said.String())
}
