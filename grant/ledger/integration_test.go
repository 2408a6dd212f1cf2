//go:build integration

package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

func TestOnRedis(t *testing.T) { //nolint:tparallel // cases share their Redis
	t.Parallel()
	conformance(t, Options{Addrs: []string{devtest.StartRedis(t).Addr}})
}

func TestOnRedisCluster(t *testing.T) { //nolint:tparallel // cases share their Redis
	t.Parallel()
	conformance(t, Options{Addrs: devtest.StartRedisCluster(t, 3, 0).Addrs, Cluster: true})
}

// single is a world on one Redis.
func single(t *testing.T, opts ...devtest.RedisOption) (*world, *devtest.Redis) {
	t.Helper()
	server := devtest.StartRedis(t, opts...)
	return newWorld(t, Options{Addrs: []string{server.Addr}}), server
}

// A power cut takes the end of the append-only file: everything after the last fsync, cut anywhere, even within an entry.
func TestPowerCutIsNoticedOrHarmless(t *testing.T) {
	t.Parallel()
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			t.Parallel()
			powerCuts(t, layout.ids)
		})
	}
}

func powerCuts(t *testing.T, ids grant.IDs) {
	r := seeded(t)
	regressed := 0
	for round := range 6 {
		w, server := single(t, devtest.RedisSet("appendonly", "yes"), devtest.RedisSet("appendfsync", "everysec"))
		w.ids = ids
		p := w.join()
		want := oracle{}
		users := func(i int) *dense.Bitmap { return span(i*2000, w.many(), 1) }
		for i := range 20 {
			p.grant(i%2, delta(uint64(i%2), users(i)), delta(9, bitmap(uint16(i))))
			if i%5 == 4 && i < 15 {
				require.NoError(t, p.Checkpoint(w.ctx, grant.Offsets{0: int64(i + 1)}, nil))
			}
			want.add(uint64(i%2), users(i))
			want.add(9, bitmap(uint16(i)))
		}
		server.Kill()
		files, err := filepath.Glob(filepath.Join(server.Dir, "appendonlydir", "*.incr.aof"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		size := fileSize(t, files[0])
		require.NoError(t, os.Truncate(files[0], size-[]int64{0, 1, size / 20, size / 3, size / 2, r.Int64N(size)}[round]))
		server.Restart()

		if err := p.Checkpoint(w.ctx, grant.Offsets{0: 20}, nil); err != nil {
			require.ErrorIs(t, err, ErrRegressed)
			regressed++
			proof, err := p.Prove(w.ctx)
			require.NoError(t, err)
			require.True(t, proof.Holds(), "what is left is whole: %+v", proof)
			p.begin()
			for i := int(p.start[0]); i < 20; i++ {
				p.grant(i%2, delta(uint64(i%2), users(i)), delta(9, bitmap(uint16(i))))
			}
			require.NoError(t, p.Checkpoint(w.ctx, grant.Offsets{0: 20}, nil))
		}
		w.holds(p.parts, want)
	}
	require.GreaterOrEqual(t, regressed, 3)
}

func fileSize(t *testing.T, name string) int64 {
	info, err := os.Stat(name)
	require.NoError(t, err)
	return info.Size()
}

func TestRestartIsWaitedFor(t *testing.T) {
	t.Parallel()
	w, server := single(t, devtest.RedisSet("appendonly", "yes"))
	p := w.joinFor(30 * time.Second)
	p.grant(1, delta(1, span(0, 3000, 1)))
	server.Stop()
	var once sync.Once
	p.seen.onError = func(string, int) { once.Do(server.Restart) }
	f := p.grant(1, delta(1, span(3000, 3000, 1)))
	require.Equal(t, 3000, f.Deltas[0].Count)
	require.NoError(t, p.Checkpoint(w.ctx, grant.Offsets{0: 1}, nil))
	require.Positive(t, p.seen.kinds[KindNetwork])
	require.Positive(t, p.seen.kinds[KindNoScript], "a restart forgets scripts")
}

func TestReplicaIsRefused(t *testing.T) {
	t.Parallel()
	primary := devtest.StartRedis(t)
	replica := devtest.StartRedis(t, devtest.ReplicaOf(primary))
	client, err := Connect(Options{Addrs: []string{replica.Addr}})
	require.NoError(t, err)
	defer client.Close()
	l, err := open(client, &grant.Campaign{Name: "c"}, 1, Config{RetryFor: 50 * time.Millisecond})
	require.NoError(t, err)
	_, err = l.Begin(t.Context(), aTopic)
	require.NoError(t, err, "reading is allowed")
	err = l.Grant(t.Context(), &dense.Flush{Seq: 1, Deltas: []dense.Delta{delta(1, bitmap(1))}})
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.Equal(t, KindReadOnly, unavailable.Kind)
	require.ErrorContains(t, err, "this is a replica")

	facts, err := l.Inspect(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, "slave", facts.Masters[0].Role)
	require.Contains(t, facts.Masters[0].WriteError, "READONLY")
	require.Contains(t, facts.Masters[0].WriteHint, "this is a replica")
}

// With maxmemory reached, Redis refuses a call as a whole, and the granter goes on when there is room.
func TestOutOfMemoryIsWaitedFor(t *testing.T) {
	t.Parallel()
	w, _ := single(t, devtest.RedisSet("maxmemory-policy", "noeviction"))
	p := w.joinFor(30 * time.Second)
	want := oracle{}
	p.grant(1, delta(1, bitmap(9)))
	want.add(1, bitmap(9))
	set := func(maxmemory string) error {
		return w.client.ConfigSet(w.ctx, "maxmemory", maxmemory).Err()
	}
	require.NoError(t, set("1"))
	p.seen.onError = func(_ string, n int) {
		if n < 3 {
			return
		}
		proof, err := p.Prove(w.ctx)
		require.NoError(t, errors.Join(err, set("0")))
		require.True(t, proof.Holds(), "%+v", proof)
	}
	f := p.grant(1, delta(1, span(100, 3000, 1)), delta(2, span(0, 5, 1)))
	want.add(1, span(100, 3000, 1))
	want.add(2, span(0, 5, 1))
	require.Equal(t, map[string]int{KindOOM: 3}, p.seen.kinds)
	require.Nil(t, f.Deltas[0].Duplicates)
	w.holds(p.parts, want)

	// So does a Redis that is filled up to the last byte while calls come: each is applied as a whole or not at all.
	used, err := w.client.InfoMap(w.ctx, "memory").Result()
	require.NoError(t, err)
	bytes, err := strconv.Atoi(used["Memory"]["used_memory"])
	require.NoError(t, err)
	require.NoError(t, set(strconv.Itoa(bytes+300_000)))
	for i := range 200 {
		p.grant(1, delta(uint64(10+i), span(i*300, 1+i%2*3000, 1)))
		want.add(uint64(10+i), span(i*300, 1+i%2*3000, 1))
	}
	require.Greater(t, p.seen.kinds[KindOOM], 3)
	w.holds(p.parts, want)
}

func TestPasswordsAndPermissions(t *testing.T) {
	t.Parallel()
	server := devtest.StartRedis(t, devtest.RedisSet("requirepass", "right"))
	try := func(user, password string) error {
		client, err := Connect(Options{Addrs: []string{server.Addr}, Username: user, Password: password})
		require.NoError(t, err)
		defer client.Close()
		l, err := open(client, &grant.Campaign{Name: "c"}, 1, Config{})
		require.NoError(t, err)
		if _, err = l.Begin(t.Context(), aTopic); err != nil {
			return err
		}
		facts, err := l.Inspect(t.Context(), true)
		require.NoError(t, err)
		if e := facts.Masters[0].WriteError; e != "" {
			return errors.New(e)
		}
		return l.Grant(t.Context(), &dense.Flush{Seq: 1, Deltas: []dense.Delta{delta(1, span(0, 100, 1)), delta(2, bitmap(1))}})
	}
	for _, password := range []string{"", "wrong"} {
		var unavailable *UnavailableError
		require.ErrorAs(t, try("", password), &unavailable)
		require.Equal(t, KindAuth, unavailable.Kind)
		require.Equal(t, 1, unavailable.Attempts)
	}
	require.NoError(t, try("", "right"))

	admin := redis.NewClient(&redis.Options{Addr: server.Addr, Password: "right"})
	defer admin.Close()
	acl := func(rules ...string) {
		args := []any{"acl", "setuser", "granter", "reset", "on", ">secret"}
		for _, rule := range rules {
			args = append(args, rule)
		}
		require.NoError(t, admin.Do(t.Context(), args...).Err())
	}
	// What docs must tell administrators: this is enough, except that CONFIG and INFO are unknown to a preflight.
	acl("~granter:*", "+@read", "+@write", "+evalsha", "+script|load", "+time", "+ping", "+@connection", "-@dangerous")
	require.NoError(t, try("granter", "secret"))
	acl("~granter:*", "+@read", "+@write", "+script|load", "+time", "+ping", "+@connection")
	require.Equal(t, KindNoPerm, replyKind(try("granter", "secret").Error()))
	acl("~other:*", "+@all")
	require.Equal(t, KindNoPerm, Kind(try("granter", "secret")))
}

// A Redis that hangs may have done what it did not answer for.
func TestHangingRedisIsWaitedForAndCountsOnce(t *testing.T) {
	t.Parallel()
	server := devtest.StartRedis(t)
	w := newWorld(t, Options{Addrs: []string{server.Addr}, ReadTimeout: 100 * time.Millisecond})
	p := w.joinFor(30 * time.Second)
	p.grant(1, delta(1, bitmap(9)))
	for i := range 3 {
		server.Freeze()
		p.seen.onError = func(_ string, n int) {
			if n == 2*(i+1) { // two attempts wait in Redis when it comes back
				server.Resume()
			}
		}
		f := p.grant(1, delta(1, span(1000+i*3000, 3000, 1)), delta(2, span(i*5, 5, 1)))
		require.Equal(t, []int{3000, 5}, []int{f.Deltas[0].Count, f.Deltas[1].Count})
		require.Nil(t, f.Deltas[0].Duplicates)
	}
	require.Equal(t, map[string]int{KindTimeout: 6}, p.seen.kinds)
	require.NoError(t, p.Checkpoint(w.ctx, grant.Offsets{0: 1}, nil))
	want := oracle{}
	want.add(1, bitmap(9))
	want.add(1, span(1000, 9000, 1))
	want.add(2, span(0, 15, 1))
	w.holds(p.parts, want)
}

// marathon grants until the tests says that it is enough, and replays what the ledger lost.
func marathon(w *world, p *player, enough func(step int) bool) {
	w.Helper()
	const chunks = 40 // so that every master has some
	deltas := func(step int) (deltas []dense.Delta) {
		for chunk := range uint64(chunks) {
			deltas = append(deltas, delta(chunk, span(step*20, 20, 1)))
		}
		return deltas
	}
	step, last := 0, 0
	for ; !enough(last) && step < 3000; step++ {
		err := p.Grant(w.ctx, p.flush(1, deltas(step)...))
		if err == nil && step%5 == 4 {
			err = p.Checkpoint(w.ctx, grant.Offsets{0: int64(step + 1)}, nil)
		}
		if err != nil {
			require.ErrorIs(w, err, ErrRegressed)
			w.Logf("step %d: %v", step, err)
			p.begin()
			step = int(p.start[0]) - 1
		}
		last = max(last, step)
	}
	for ; step <= last; step++ {
		p.grant(1, deltas(step)...)
	}
	want := oracle{}
	for chunk := range uint64(chunks) {
		want.add(chunk, span(0, step*20, 1))
	}
	w.holds(p.parts, want)
}

func TestClusterFailover(t *testing.T) {
	t.Parallel()
	cluster := devtest.StartRedisCluster(t, 3, 1)
	w := newWorld(t, Options{Addrs: cluster.Addrs, Cluster: true})
	p := w.joinFor(time.Minute)
	failed, before := 0, p.sameMasters()
	p.seen.onError = func(string, int) { failed++ }
	killed, until := false, 0
	marathon(w, p, func(step int) bool {
		switch {
		case !killed && step == 20:
			cluster.Nodes[1].Kill()
			killed = true
		case failed > 0 && until == 0:
			until = step + 20
		}
		return until > 0 && step >= until
	})
	t.Logf("errors: %v", p.seen.kinds)
	p.otherMasters(before)

	// A master hands over to its replica, and takes over again. Nobody is started again, and the masters are those of before.
	first := p.sameMasters()
	failOver := func(to *devtest.Redis) {
		client := redis.NewClient(&redis.Options{Addr: to.Addr})
		defer client.Close()
		require.Eventually(t, func() bool {
			role, err := client.Do(w.ctx, "role").Slice()
			if err == nil && role[0] == "master" {
				return true
			}
			_ = client.ClusterFailover(w.ctx).Err() // refused until it is a replica, in sync
			return false
		}, 20*time.Second, 700*time.Millisecond)
	}
	failOver(cluster.Nodes[3])
	second := p.otherMasters(first)
	failOver(cluster.Nodes[0])
	require.NotEqual(t, first, p.otherMasters(second))
}

// sameMasters is what Masters says twice.
func (p *player) sameMasters() string {
	p.w.Helper()
	one, err := p.Masters(p.w.ctx)
	require.NoError(p.w, err)
	require.NotEmpty(p.w, one)
	other, err := p.Masters(p.w.ctx)
	require.NoError(p.w, err)
	require.Equal(p.w, one, other)
	return one
}

// otherMasters waits until Masters says something else, by which whoever publishes knows that it has to read again what it sent.
func (p *player) otherMasters(than string) (now string) {
	p.w.Helper()
	require.Eventually(p.w, func() bool {
		var err error
		now, err = p.Masters(p.w.ctx)
		return err == nil && now != "" && now != than
	}, 20*time.Second, 20*time.Millisecond)
	return now
}

// A slot that moves makes the client ask elsewhere.
func TestClusterSlotMoves(t *testing.T) {
	t.Parallel()
	cluster := devtest.StartRedisCluster(t, 3, 0)
	w := newWorld(t, Options{Addrs: cluster.Addrs, Cluster: true})
	p := w.join()
	p.grant(1, delta(1, bitmap(1)))
	from, to := nodeID(t, cluster.Nodes[0]), nodeID(t, cluster.Nodes[2])
	chunk := uint64(2)
	var slot int
	for ; ; chunk++ { // one of the first master, with no key in its slot
		key := p.keys.granted(chunk)
		tag := key[strings.Index(key, "{")+1 : strings.Index(key, "}")]
		if slot = int(crc16(tag)) % slots; slot < 5000 && slot%anchorStride != 0 {
			break
		}
	}
	require.NotEqual(t, from, to)
	for _, i := range []int{2, 0, 1} { // the new owner first
		client := redis.NewClient(&redis.Options{Addr: cluster.Nodes[i].Addr})
		require.NoError(t, client.Do(t.Context(), "cluster", "setslot", slot, "node", to).Err())
		require.NoError(t, client.Close())
	}
	p.grant(1, delta(chunk, span(0, 100, 1)), delta(1, bitmap(2)))
	require.Positive(t, p.seen.kinds[KindMoved])
	want := oracle{}
	want.add(chunk, span(0, 100, 1))
	want.add(1, bitmap(1, 2))
	w.holds(p.parts, want)
}

func nodeID(t *testing.T, node *devtest.Redis) string {
	client := redis.NewClient(&redis.Options{Addr: node.Addr})
	defer client.Close()
	id, err := client.Do(t.Context(), "cluster", "myid").Text()
	require.NoError(t, err)
	return id
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			t.Parallel()
			primary := devtest.StartRedis(t)
			replica := devtest.StartRedis(t, devtest.ReplicaOf(primary))
			sentinel := startSentinel(t, primary, replica)
			w := newWorld(t, Options{Addrs: []string{sentinel}, Sentinel: "sorry"})
			w.ids = layout.ids
			p := w.joinFor(time.Minute)
			before := p.sameMasters()
			killed, until := false, 0
			marathon(w, p, func(step int) bool {
				if !killed && step == 20 {
					primary.Kill()
					killed = true
					until = step + 20
				}
				return until > 0 && step >= until
			})
			t.Logf("errors: %v", p.seen.kinds)
			require.NotEmpty(t, p.seen.kinds)
			p.otherMasters(before)
		})
	}
}

// startSentinel watches the primary with a quorum of one, and returns once it knows the replica.
func startSentinel(t *testing.T, primary, replica *devtest.Redis) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close())
	host, port, _ := net.SplitHostPort(primary.Addr)
	_, own, _ := net.SplitHostPort(addr)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `port %s
bind 127.0.0.1
dir %s
sentinel monitor sorry %s %s 1
sentinel down-after-milliseconds sorry 500
sentinel failover-timeout sorry 5000
`, own, filepath.Dir(conf), host, port), 0o600))
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, "redis-server", conf, "--sentinel")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	client := redis.NewSentinelClient(&redis.Options{Addr: addr})
	defer client.Close()
	require.Eventually(t, func() bool {
		replicas, err := client.Replicas(t.Context(), "sorry").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["name"] == replica.Addr && replicas[0]["slave-repl-offset"] != "0"
	}, 20*time.Second, 50*time.Millisecond)
	return addr
}

func TestInspectTellsOfARealRedis(t *testing.T) {
	t.Parallel()
	w, server := single(t, devtest.RedisSet("appendonly", "yes"), devtest.RedisSet("maxmemory", "100mb"))
	p := w.join()
	facts, err := p.Inspect(w.ctx, true)
	require.NoError(t, err)
	require.Len(t, facts.Masters, 1)
	n := facts.Masters[0]
	require.Equal(t, server.Addr, n.Addr)
	require.Equal(t, []string{"master", "standalone", "noeviction", "yes", "everysec", "ok", "ok", "0", ""},
		[]string{n.Role, n.Mode, n.MaxMemoryPolicy, n.AOF, n.AppendFsync, n.LastSave, n.LastAOFWrite, n.MinReplicas, n.Save})
	require.EqualValues(t, 100<<20, n.MaxMemory)
	require.Positive(t, n.UsedMemory)
	require.Zero(t, n.Replicas)
	require.Regexp(t, `^\d+\.\d+`, n.Version)

	totals, err := p.Totals(w.ctx)
	require.NoError(t, err)
	require.Zero(t, totals.Bytes)
	p.grant(1, delta(1, span(0, 3000, 3)))
	totals, err = p.Totals(w.ctx)
	require.NoError(t, err)
	require.Greater(t, totals.Bytes, int64(14000))
	require.Less(t, totals.Bytes, int64(30000))
}
