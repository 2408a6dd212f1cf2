//go:build integration

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// The same on a real Kafka and a real Redis, where a process that is killed leaves a member in its group, connections, and calls
// that were sent.
func TestWhoKeepsALedgerIsKilledOnRealServers(t *testing.T) {
	t.Parallel()
	addr := devtest.StartRedis(t, durable()...).Addr
	k := &kept{
		T: t, name: fmt.Sprint("kept-", time.Now().UnixNano()), brokers: devtest.SharedKafka(t).Brokers, most: 400, rounds: 2,
	}
	k.env = []string{
		"GRANTER_BROKERS=" + strings.Join(k.brokers, ","), "GRANTER_REDIS=" + addr, "GRANTER_LISTEN=off", "GRANTER_TIMEOUT=20s",
	}
	k.calls = k.callsOfOthers
	k.open(addr).throughKills(24_000)
}

var commandsProcessed = regexp.MustCompile(`total_commands_processed:(\d+)`)

// callsOfOthers is how many calls a real Redis has had, but those of the test.
func (k *kept) callsOfOthers() int {
	k.Helper()
	info, err := k.client.Info(k.Context(), "stats").Result()
	require.NoError(k, err)
	all, err := strconv.Atoi(commandsProcessed.FindStringSubmatch(info)[1])
	require.NoError(k, err)
	k.asked.mu.Lock()
	defer k.asked.mu.Unlock()
	return all - k.asked.calls
}
