package devtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Redis is one redis-server. Its methods may be called from any goroutine; a failure ends the calling one.
type Redis struct {
	Addr string // host:port, the same after a restart
	Dir  string // configuration, log, and whatever it persists

	tb     TB
	server *server
}

// RedisOption changes how a Redis is started.
type RedisOption func(*redisOptions)

type redisOptions struct {
	args       []string // of redis.sh
	directives []string // of redis.conf
	env        []string
	replica    bool
}

// RedisSet gives one directive of redis.conf, such as RedisSet("appendonly", "yes"). Without any, a Redis persists
// nothing and evicts nothing.
func RedisSet(directive string, values ...string) RedisOption {
	return func(o *redisOptions) {
		o.directives = append(append(o.directives, "--"+directive), values...)
	}
}

// RedisEnv gives a variable of the server's environment, such as RedisEnv("TZ=UTC").
func RedisEnv(variable string) RedisOption {
	return func(o *redisOptions) { o.env = append(o.env, variable) }
}

// ReplicaOf makes it a replica; StartRedis then waits until it is in sync.
func ReplicaOf(primary *Redis) RedisOption {
	return func(o *redisOptions) {
		_, port, _ := net.SplitHostPort(primary.Addr)
		o.args = append(o.args, "--replicaof", port)
		o.replica = true
	}
}

func clusterNode(o *redisOptions) { o.args = append(o.args, "--cluster") }

// StartRedis starts an empty Redis on a free port, and ends it with the test.
func StartRedis(tb TB, opts ...RedisOption) *Redis {
	tb.Helper()
	r, err := startRedis(tb, tempDir(tb), opts)
	if err != nil {
		tb.Fatalf("starting Redis: %v", err)
	}
	return r
}

func startRedis(tb TB, dir string, opts []RedisOption) (*Redis, error) {
	var o redisOptions
	for _, opt := range opts {
		opt(&o)
	}
	args := append([]string{"config", dir}, o.args...)
	args = append(append(args, "--"), o.directives...)
	addr, err := output("redis.sh", args...)
	if err != nil {
		return nil, err
	}
	r := &Redis{Addr: addr, Dir: dir, tb: tb}
	r.server = &server{
		name:  "redis-server " + addr,
		args:  []string{"redis.sh", "run", dir},
		env:   o.env,
		log:   filepath.Join(dir, "redis.log"),
		ready: func() error { return pingRedis(addr) },
	}
	r.server.cleanup(tb)
	if err := r.server.launch(); err != nil {
		return nil, err
	}
	if err := r.server.await(); err != nil {
		return nil, err
	}
	if o.replica {
		return r, awaitSync(addr)
	}
	return r, nil
}

// PID is that of the redis-server, or 0 while it is down.
func (r *Redis) PID() int { return r.server.pid() }

// Stop shuts down cleanly, as an administrator would: with persistence on, nothing is lost.
func (r *Redis) Stop() { r.server.stop() }

// Kill ends it with SIGKILL, as the kernel's memory killer would.
func (r *Redis) Kill() { r.server.kill() }

// Restart starts it again on the same port and data, and waits until it has loaded them. One that is still running is
// stopped cleanly first.
func (r *Redis) Restart() {
	r.tb.Helper()
	r.server.stop()
	if err := r.server.launch(); err != nil {
		r.tb.Fatalf("restarting Redis: %v", err)
	}
	if err := r.server.await(); err != nil {
		r.tb.Fatalf("restarting Redis: %v", err)
	}
}

// Freeze stops the process with SIGSTOP: connections stay open, and nothing answers.
func (r *Redis) Freeze() {
	r.tb.Helper()
	if err := r.server.signal(syscall.SIGSTOP); err != nil {
		r.tb.Fatalf("freezing Redis: %v", err)
	}
}

// Resume ends a Freeze.
func (r *Redis) Resume() {
	r.tb.Helper()
	if err := r.server.signal(syscall.SIGCONT); err != nil {
		r.tb.Fatalf("resuming Redis: %v", err)
	}
}

// Cluster is a Redis Cluster. Node i of its masters has the replicas masters+i, 2*masters+i and so on, until a
// fail-over changes that.
type Cluster struct {
	Addrs []string
	Nodes []*Redis
}

// StartRedisCluster starts masters*(1+replicasEach) nodes and returns when every one of them sees the whole cluster and
// replicas are in sync. A master that dies is replaced after about four seconds, if it has a replica and there are at
// least three masters.
func StartRedisCluster(tb TB, masters, replicasEach int, opts ...RedisOption) *Cluster {
	tb.Helper()
	dir := tempDir(tb)
	opts = append([]RedisOption{clusterNode}, opts...)
	nodes := masters * (1 + replicasEach)
	c := &Cluster{Addrs: make([]string, 0, nodes), Nodes: make([]*Redis, 0, nodes)}
	dirs := make([]string, 0, nodes)
	for i := range nodes {
		node, err := startRedis(tb, filepath.Join(dir, fmt.Sprintf("node-%d", i)), opts)
		if err != nil {
			tb.Fatalf("starting node %d of a Redis Cluster: %v", i, err)
		}
		c.Nodes = append(c.Nodes, node)
		c.Addrs = append(c.Addrs, node.Addr)
		dirs = append(dirs, node.Dir)
	}
	form := append([]string{"form", "--replicas", strconv.Itoa(replicasEach)}, dirs...)
	if _, err := output("cluster.sh", form...); err != nil {
		tb.Fatalf("forming a Redis Cluster: %v", err)
	}
	return c
}

// pingRedis returns nil when the server answers anything but that it is still loading: one that wants a password is up.
func pingRedis(addr string) error {
	reply, err := askRedis(addr, "PING")
	if err == nil && strings.HasPrefix(reply, "-LOADING") {
		return errors.New(reply)
	}
	return err
}

func awaitSync(addr string) error {
	deadline := time.Now().Add(startTimeout)
	for {
		info, err := askRedis(addr, "INFO replication")
		if err == nil && strings.Contains(info, "master_link_status:up") {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("replica %s does not come into sync (%q): %w", addr, info, err)
		}
		time.Sleep(pollInterval)
	}
}

// askRedis sends one inline command. Readiness is all that devtest asks, so that it needs no Redis client, which
// would keep connections and goroutines.
func askRedis(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "$") {
		return line, nil
	}
	size, err := strconv.Atoi(line[1:])
	if err != nil {
		return "", err
	}
	body := make([]byte, size)
	_, err = io.ReadFull(in, body)
	return string(body), err
}
