//go:build integration

package main

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// lossy is a scenario in which Redis loses something in the middle of a run: what it loses is different each time, what
// granter must do is the same.
func (s *scenario) lossy(lose func()) {
	s.Helper()
	s.publish(s.users(0, 1_000_000))
	normal := s.slow(100 * time.Millisecond)
	p := s.run("--shards=1", "--timeout=2s")
	s.awaitGranted(p, 300_000)
	lose()
	normal()
	require.Zero(s, p.wait(), p.err.String())
	require.True(s, p.says("older checkpoint"), p.err.String())
	s.Logf("%d records of %d were read, some of them again: %v", p.summary().Consumed, s.plans[0].Counts().Records,
		p.logged("reading again from the ledger's older checkpoint", "reason"))
	s.exactlyOnce()
}

// A machine that loses its power loses what was not written to disk yet: with appendfsync everysec, up to a second.
func TestRedisLosesItsLastWrites(t *testing.T) {
	r := devtest.StartRedis(t, durable()...)
	s := newScenario(t, 4, r.Addr)
	s.lossy(func() {
		r.Kill()
		truncateTail(t, r.Dir, 0.3)
		r.Restart()
	})
}

// truncateTail cuts a part off the end of an append-only file.
func truncateTail(t *testing.T, dir string, share float64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	require.NoError(t, os.Truncate(files[0], int64(float64(info.Size())*(1-share))))
}

// A backup is restored that was made while the run was going on.
func TestRedisIsRestoredFromABackup(t *testing.T) {
	r := devtest.StartRedis(t, durable()...)
	s := newScenario(t, 4, r.Addr)
	backup := filepath.Join(t.TempDir(), "backup")
	s.lossy(func() {
		live := filepath.Join(r.Dir, "appendonlydir")
		require.NoError(t, os.CopyFS(backup, os.DirFS(live)))
		before := s.granted()
		await(t, "the run goes on", func() bool { return s.granted() > before+200_000 })
		r.Kill()
		require.NoError(t, os.RemoveAll(live))
		require.NoError(t, os.CopyFS(live, os.DirFS(backup)))
		r.Restart()
	})
}

func TestFlushallInMidRun(t *testing.T) {
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.lossy(func() { require.NoError(t, s.client.FlushAll(t.Context()).Err()) })
}

// Kafka's offsets say that everything is done, and Redis has nothing: Redis is right.
func TestFlushallBetweenRuns(t *testing.T) {
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 300_000))
	s.finish()
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	require.EqualValues(t, 300_000, s.finish().Granted)
	s.exactlyOnce()
}

// A granter that follows a topic to which nobody publishes any more notices a loss all the same, and says so.
func TestFlushallWhileNobodyPublishes(t *testing.T) {
	s := newScenario(t, 4, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 100_000))
	p := s.run("--follow", "--listen=127.0.0.1:0")
	s.awaitGranted(p, 100_000)
	require.Zero(t, p.metric("granter_ledger_regressions_total"))
	require.NoError(t, s.client.FlushAll(t.Context()).Err())
	await(t, "the loss is noticed", func() bool { return p.metric("granter_ledger_regressions_total") == 1 })
	s.awaitGranted(p, 100_000)
	p.interrupt()
	require.Equal(t, exitStopped, p.wait())
	s.exactlyOnce()
}

// The master dies, and the replica that takes its place has not seen its last seconds.
func TestFailoverToALaggingReplica(t *testing.T) {
	master := devtest.StartRedis(t, durable()...)
	link := newProxy(t, master.Addr)
	replica := devtest.StartRedis(t, append(durable(), devtest.ReplicaOf(&devtest.Redis{Addr: link.addr}))...)
	service := newProxy(t, master.Addr)
	s := newScenario(t, 4, master.Addr)
	s.redis = []string{service.addr}
	s.lossy(func() {
		link.freeze()
		before := s.granted()
		await(t, "the run goes on", func() bool { return s.granted() > before+200_000 })
		master.Kill()
		link.close()
		s.useRedis(replica.Addr)
		require.NoError(t, s.client.(*redis.Client).ReplicaOf(t.Context(), "NO", "ONE").Err())
		service.redirect(replica.Addr)
	})
}

// proxy forwards connections to an address that may change: what a service address does on fail-over.
type proxy struct {
	addr     string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	to     string
	frozen chan struct{} // closed: bytes flow
	conns  map[net.Conn]struct{}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: listener.Addr().String(), listener: listener, to: to, frozen: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(p.frozen)
	p.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.forward(conn) })
		}
	})
	t.Cleanup(p.close)
	return p
}

func (p *proxy) forward(from net.Conn) {
	defer from.Close()
	p.mu.Lock()
	to, err := net.Dial("tcp", p.to)
	if err == nil {
		p.conns[from], p.conns[to] = struct{}{}, struct{}{}
	}
	p.mu.Unlock()
	if err != nil {
		return
	}
	defer to.Close()
	var wg sync.WaitGroup
	wg.Go(func() { p.copy(to, from) })
	wg.Go(func() { p.copy(from, to) })
	wg.Wait()
}

func (p *proxy) copy(dst, src net.Conn) {
	defer dst.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		<-frozen
		if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// freeze keeps connections open and forwards nothing any more.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

// drop closes all connections; what is under way is lost.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
	select {
	case <-p.frozen:
	default:
		close(p.frozen)
	}
}

// redirect sends everybody to another address.
func (p *proxy) redirect(to string) {
	p.mu.Lock()
	p.to = to
	p.mu.Unlock()
	p.drop()
}

func (p *proxy) close() {
	p.listener.Close()
	p.drop()
	p.wg.Wait()
}
