package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func TestKindOfErrors(t *testing.T) {
	for text, want := range map[string]string{
		"READONLY You can't write against a read only replica.":                                                KindReadOnly,
		"LOADING Redis is loading the dataset in memory":                                                       KindLoading,
		"CLUSTERDOWN The cluster is down":                                                                      KindClusterDown,
		"TRYAGAIN Multiple keys request during rehashing of slot":                                              KindTryAgain,
		"MOVED 3999 127.0.0.1:6381":                                                                            KindMoved,
		"ASK 3999 127.0.0.1:6381":                                                                              KindMoved,
		"MASTERDOWN Link with MASTER is down":                                                                  KindMasterDown,
		"OOM command not allowed when used memory > 'maxmemory'. script: 8f, on @user_script:12.":              KindOOM,
		"ERR Error running script (call to f_8f): @user_script:12: @user_script: 12: -OOM command not allowed": KindOOM,
		"MISCONF Redis is configured to save RDB snapshots":                                                    KindMisconf,
		"NOREPLICAS Not enough good replicas to write.":                                                        KindNoReplicas,
		"NOSCRIPT No matching script. Please use EVAL.":                                                        KindNoScript,
		"BUSY Redis is busy running a script.":                                                                 KindBusy,
		"ERR max number of clients reached":                                                                    KindMaxClients,
		"NOAUTH Authentication required.":                                                                      KindAuth,
		"WRONGPASS invalid username-password pair or user is disabled.":                                        KindAuth,
		"ERR AUTH <password> called without any password configured for the default user.":                     KindAuth,
		"NOPERM this user has no permissions to run the 'evalsha' command":                                     KindNoPerm,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                                    KindOther,
		"ERR unknown command":                                                                                  KindOther,
		"OOMPH":                                                                                                KindOther,
	} {
		require.Equal(t, want, Kind(refusal(text)), text)
		require.Equal(t, want, Kind(fmt.Errorf("wrapped: %w", refusal(text))), text)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{redis.ErrPoolTimeout, KindTimeout},
		{os.ErrDeadlineExceeded, KindTimeout},
		{context.DeadlineExceeded, KindTimeout}, // of a dial: that of the caller's context ends the retries
		{io.EOF, KindNetwork},
		{io.ErrUnexpectedEOF, KindNetwork},
		{net.ErrClosed, KindNetwork},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, KindNetwork},
		{&net.DNSError{IsNotFound: true}, KindNetwork},
		{errors.New("redis: cluster has no nodes"), KindClusterDown},
		{errors.New("redis: all sentinels specified in configuration are unreachable"), KindNetwork},
		{redis.ErrClosed, KindOther},
		{ErrRegressed, KindRegressed},
		{errors.New("x"), KindOther},
	} {
		require.Equal(t, c.want, Kind(c.err), "%v", c.err)
	}
}

func TestKindsAreAllKindsAndHaveHints(t *testing.T) {
	for _, c := range codes {
		require.Contains(t, Kinds, c.kind)
	}
	for _, kind := range Kinds {
		if kind != KindNoScript && kind != KindRegressed && kind != KindOther {
			require.NotEmpty(t, Hint(kind), kind)
		}
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(Kinds))), len(Kinds))
}

func TestRetriesWhatMayPass(t *testing.T) {
	m := startMini(t)
	w := newWorld(t, Options{Addrs: []string{m.Addr()}})
	for _, code := range []string{"READONLY", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "OOM", "MISCONF", "NOREPLICAS", "BUSY"} {
		p := w.join()
		p.seen.onError = func(_ string, n int) {
			if n == 3 {
				m.SetError("")
			}
		}
		m.SetError(code + " for a while")
		p.grant(1, delta(1, bitmap(1)))
		require.Equal(t, map[string]int{replyKind(code + " x"): 3}, p.seen.kinds)
	}
}

func TestGivesUp(t *testing.T) {
	m := startMini(t)
	w := newWorld(t, Options{Addrs: []string{m.Addr()}})
	p := w.joinFor(30 * time.Millisecond)
	before := time.Now().Add(-time.Second)

	m.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	err := p.Grant(w.ctx, p.flush(1, delta(1, bitmap(1))))
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.Equal(t, KindOOM, unavailable.Kind)
	require.Greater(t, unavailable.Attempts, 1)
	require.True(t, unavailable.Since.After(before))
	require.ErrorContains(t, err, "granting flush 1 of shard 1: Redis refuses since ")
	require.ErrorContains(t, err, "raise maxmemory")

	for _, text := range []string{"WRONGPASS no", "NOPERM no", "ERR what"} {
		m.SetError(text)
		require.ErrorAs(t, p.Checkpoint(w.ctx, nil, nil), &unavailable)
		require.Equal(t, 1, unavailable.Attempts, "there is no use in trying again")
	}
	require.ErrorContains(t, &UnavailableError{What: "x", Kind: KindAuth, Err: io.EOF, Attempts: 1}, "x: EOF (check user name and password)")
	m.SetError("")
}

func TestNewRefusesClientsThatRepeat(t *testing.T) {
	campaign := &grant.Campaign{Name: "c"}
	single, cluster := redis.NewClient(&redis.Options{}), redis.NewClusterClient(&redis.ClusterOptions{})
	ring := redis.NewRing(&redis.RingOptions{})
	defer single.Close()
	defer cluster.Close()
	defer ring.Close()
	for _, client := range []redis.UniversalClient{single, cluster} {
		_, err := open(client, campaign, 1, Config{})
		require.ErrorContains(t, err, "repeats commands")
	}
	_, err := open(ring, campaign, 1, Config{})
	require.ErrorContains(t, err, "want a single")
}

func TestConnectRefusesContradictions(t *testing.T) {
	for _, o := range []Options{{}, {Addrs: []string{"a"}, Cluster: true, Sentinel: "m"}, {Addrs: []string{"a", "b"}, DB: 1}} {
		_, err := Connect(o)
		require.Error(t, err)
	}
	for _, c := range []struct {
		Options
		want any
	}{
		{Options{Addrs: []string{"a:1"}, DB: 2}, &redis.Client{}},
		{Options{Addrs: []string{"a:1", "b:1"}, Sentinel: "m", DB: 2}, &redis.Client{}},
		{Options{Addrs: []string{"a:1", "b:1"}}, &redis.ClusterClient{}},
		{Options{Addrs: []string{"a:1"}, Cluster: true}, &redis.ClusterClient{}},
	} {
		client, err := Connect(c.Options)
		require.NoError(t, err)
		require.IsType(t, c.want, client)
		_, err = open(client, &grant.Campaign{Name: "c"}, 1, Config{})
		require.NoError(t, err)
		require.NoError(t, client.Close())
	}
}
