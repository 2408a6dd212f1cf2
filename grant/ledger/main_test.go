package ledger

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
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

// A master may join a cluster in mid-run, and get slots of which none is an anchor's. What it loses could not be noticed, so
// no checkpoint is written any more.
func TestAMasterThatJoinsWithoutAnAnchorStopsTheCheckpoints(t *testing.T) {
	m := startMini(t)
	w := newWorld(t, Options{Addrs: []string{m.Addr()}, Cluster: true})
	p := w.joinFor(time.Millisecond)
	p.grant(1, delta(7, bitmap(1)))
	require.NoError(t, p.Checkpoint(t.Context(), grant.Offsets{0: 10}, nil))
	m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if cmd != "CLUSTER" || len(args) == 0 || !strings.EqualFold(args[0], "slots") {
			return false
		}
		host, port, _ := net.SplitHostPort(m.Addr())
		number, _ := strconv.Atoi(port)
		slots := [][2]int{{0, 16382}, {16383, 16383}}
		c.WriteLen(len(slots))
		for i, s := range slots {
			c.WriteLen(3)
			c.WriteInt(s[0])
			c.WriteInt(s[1])
			c.WriteLen(3)
			c.WriteBulk(host)
			c.WriteInt(number)
			c.WriteBulk("node-" + strconv.Itoa(i))
		}
		return true
	})
	err := p.Checkpoint(t.Context(), grant.Offsets{0: 20}, nil)
	require.ErrorContains(t, err, "owns no slot that is a multiple of")
	found, err := p.Checkpoints(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Offsets{0: 10}, found.Next)
	m.Server().SetPreHook(nil)
}

// What was staged may be gone when its call comes: evicted, or lost with the replica that was promoted in between. The call must
// not count as one that granted everybody.
func TestWhatWasStagedIsGoneWhenItsCallComes(t *testing.T) {
	m := startMini(t)
	w := newWorld(t, Options{Addrs: []string{m.Addr()}})
	p := w.join()
	var mu sync.Mutex
	staged := ""
	m.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.EqualFold(cmd, "set") && strings.Contains(args[0], "delta") && staged == "":
			staged = args[0]
		case strings.EqualFold(cmd, "evalsha") && staged != "":
			m.Del(staged)
			staged = "gone"
		}
		return false
	})
	p.grant(1, delta(2, span(0, 3000, 1)))
	m.Server().SetPreHook(nil)
	want := oracle{}
	want.add(2, span(0, 3000, 1))
	w.holds(p.parts, want)
}

// A call that was cut down is another call. What was staged for the one before may arrive late, on a connection that was
// given up, between the new members and their call: it must not take their place.
func TestWhatWasStagedBeforeACutArrivesLate(t *testing.T) {
	m := startMini(t)
	w := newWorld(t, Options{Addrs: []string{m.Addr()}})
	other, p := w.join(), w.join()
	other.grant(1, delta(2, span(0, 100, 1)))
	var mu sync.Mutex
	var staged [][]string
	m.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.EqualFold(cmd, "set") && strings.Contains(args[0], "delta"):
			staged = append(staged, args)
		case strings.EqualFold(cmd, "evalsha") && len(staged) == 2:
			_ = m.Set(staged[0][0], staged[0][1])
		}
		return false
	})
	f := p.grant(1, delta(2, span(0, 3000, 1)))
	m.Server().SetPreHook(nil)
	mu.Lock()
	require.Len(t, staged, 2)
	mu.Unlock()
	require.Equal(t, 2900, f.Deltas[0].Count)
	want := oracle{}
	want.add(2, span(0, 3000, 1))
	w.holds(p.parts, want)
}
