package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/deploy/dev/devtest"
)

// result is what was measured for a row: medians.
type result struct {
	row
	seconds   float64 // from the first connection to Kafka to the last checkpoint
	fetch     float64 // seconds to fetch the topic with granter's client
	kafkaGo   float64 // seconds to fetch the topic with kafka-go's Batch.Read
	ratio     float64 // of seconds to fetch, pair by pair
	ratioGo   float64
	bytes     float64 // of Redis memory, per user
	rss       int64   // peak, bytes
	cpu       float64 // seconds of granter
	redisCPU  float64
	brokerCPU float64
}

// measure alternates the two ways of merely fetching with the real run.
func (b *bench) measure(ctx context.Context, r row, spec string) (result, error) {
	var all []result
	for range b.repeats {
		one, err := b.once(ctx, r, spec)
		if err != nil {
			return result{}, err
		}
		all = append(all, one)
	}
	median := func(of func(result) float64) float64 {
		v := make([]float64, len(all))
		for i := range all {
			v[i] = of(all[i])
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return result{
		row:     r,
		seconds: median(func(r result) float64 { return r.seconds }), fetch: median(func(r result) float64 { return r.fetch }),
		kafkaGo: median(func(r result) float64 { return r.kafkaGo }), ratio: median(func(r result) float64 { return r.seconds / r.fetch }),
		ratioGo: median(func(r result) float64 { return r.seconds / r.kafkaGo }), bytes: median(func(r result) float64 { return r.bytes }),
		rss: int64(median(func(r result) float64 { return float64(r.rss) })), cpu: median(func(r result) float64 { return r.cpu }),
		redisCPU: median(func(r result) float64 { return r.redisCPU }), brokerCPU: median(func(r result) float64 { return r.brokerCPU }),
	}, nil
}

func (b *bench) once(ctx context.Context, r row, spec string) (res result, err error) {
	return res, devtest.Standalone(nil, func(tb devtest.TB) error {
		options := []devtest.RedisOption{devtest.RedisSet("save", "")}
		if r.fsync {
			options = append(options, devtest.RedisSet("appendonly", "yes"), devtest.RedisSet("appendfsync", "everysec"))
		}
		var nodes []*devtest.Redis
		if r.masters > 0 {
			nodes = devtest.StartRedisCluster(tb, r.masters, 0, options...).Nodes
		} else {
			nodes = append(nodes, devtest.StartRedis(tb, options...))
		}
		server := nodes[0]
		client := redis.NewClient(&redis.Options{Addr: server.Addr})
		defer client.Close()
		if r.again || r.publish != "" || r.audit != "" {
			if _, err := b.run(ctx, r, spec, server); err != nil {
				return err
			}
		}
		if r.again {
			// A new consumer group and no checkpoint: every record is read again, and every user is in the ledger.
			if err := forgetCheckpoints(ctx, client); err != nil {
				return err
			}
		}
		fetch, err := b.child(ctx, b.self, "reader", "-how", "own", "-brokers", b.kafka.Brokers[0], "-topic", r.topic())
		if err != nil {
			return err
		}
		kafkaGo, err := b.child(ctx, b.self, "reader", "-how", "kafka-go", "-brokers", b.kafka.Brokers[0], "-topic", r.topic())
		if err != nil {
			return err
		}
		empty, redisBefore, err := taken(ctx, nodes)
		if err != nil {
			return err
		}
		brokerBefore := cpuOf(b.kafka.PID(0))
		switch {
		case r.baseline:
			res, err = b.child(ctx, b.self, "reader", "-how", "set-nx", "-brokers", b.kafka.Brokers[0], "-topic", r.topic(), "-redis", server.Addr)
		case r.publish != "":
			res, err = b.check(r)(b.child(ctx, b.granter, "publish", "-f", spec, "--json", "--once", "--form", r.publish, "--topic",
				fmt.Sprintf("events-%d", rand.Uint64()), "--partitions", fmt.Sprint(partitions), "--replicas", "1",
				"--brokers", b.kafka.Brokers[0], "--redis", server.Addr))
		case r.audit != "":
			res, err = b.auditRow(ctx, r, spec, server)
		default:
			res, err = b.run(ctx, r, spec, server)
		}
		if err != nil {
			return err
		}
		used, redisCPU, err := taken(ctx, nodes)
		res.redisCPU, res.brokerCPU = redisCPU-redisBefore, cpuOf(b.kafka.PID(0))-brokerBefore
		res.bytes = float64(used-empty) / float64(r.users)
		res.fetch, res.kafkaGo = fetch.seconds, kafkaGo.seconds
		return err
	})
}

// outcome is what a child process prints: the summary of granter run, or as much of it as reader knows.
type outcome struct {
	Consumed  int64   `json:"consumed"`
	Granted   int64   `json:"granted"`
	Duplicate int64   `json:"duplicate"`
	Rejected  int64   `json:"rejected"`
	Withheld  int64   `json:"withheld"`
	Events    int64   `json:"events"` // of granter publish
	Seconds   float64 `json:"seconds"`
	Ledger    struct {
		Granted int64 `json:"granted"`
	} `json:"ledger"` // of granter audit
}

func (b *bench) run(ctx context.Context, r row, spec string, server *devtest.Redis) (result, error) {
	args := []string{"run", "-f", spec, "--json", "--force", "--why", "bench", "--listen", "off",
		"--brokers", b.kafka.Brokers[0], "--redis", server.Addr, "--group", fmt.Sprintf("bench-%d", rand.Uint64())}
	if r.ids != "" {
		args = append(args, "--memory", idMemory)
	}
	if r.masters > 0 {
		args = append(args, "--redis-cluster")
	}
	if r.nice > 0 {
		return b.check(r)(b.child(ctx, "nice", append([]string{"-n", fmt.Sprint(r.nice), b.granter}, args...)...))
	}
	return b.check(r)(b.child(ctx, b.granter, args...))
}

// auditRow measures granter audit as a process: from its start to its end, of which a report says only the most part.
func (b *bench) auditRow(ctx context.Context, r row, spec string, server *devtest.Redis) (result, error) {
	memory, err := strconv.Atoi(strings.TrimSuffix(r.audit, " MiB"))
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	res, err := b.check(r)(b.child(ctx, b.granter, "audit", "-f", spec, "--json", "--complete", "--memory", fmt.Sprint(memory<<20),
		"--brokers", b.kafka.Brokers[0], "--redis", server.Addr))
	res.seconds = time.Since(began).Seconds()
	return res, err
}

// check refuses figures of a run that did not grant everybody.
func (b *bench) check(r row) func(result, error) (result, error) {
	return func(res result, err error) (result, error) {
		if want := r.users + int64(math.Round(float64(r.users)*r.twice)); err == nil && res.users != want {
			err = fmt.Errorf("granted or found granted %d users of %d records", res.users, want)
		}
		return res, err
	}
}

// child runs a process and returns what it said and used.
func (b *bench) child(ctx context.Context, name string, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	var o outcome
	if err := json.Unmarshal(stdout.Bytes(), &o); err != nil {
		return result{}, fmt.Errorf("%s: %w", name, err)
	}
	if o.Consumed != o.Granted+o.Duplicate+o.Rejected+o.Withheld {
		return result{}, fmt.Errorf("%s: the counts do not add up: %+v", name, o)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return result{}, errors.New("this system does not say what a process used")
	}
	res := result{seconds: o.Seconds, rss: usage.Maxrss << 10}
	res.users = o.Granted + o.Duplicate + o.Events + o.Ledger.Granted
	res.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return res, nil
}

// taken returns how much memory and processor, in seconds, some servers have taken.
func taken(ctx context.Context, nodes []*devtest.Redis) (bytes int64, cpu float64, err error) {
	for _, node := range nodes {
		client := redis.NewClient(&redis.Options{Addr: node.Addr})
		n, nodeErr := memory(ctx, client)
		bytes, cpu, err = bytes+n, cpu+cpuOf(node.PID()), errors.Join(err, nodeErr, client.Close())
	}
	return bytes, cpu, err
}

func memory(ctx context.Context, client *redis.Client) (int64, error) {
	info, err := client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(info["Memory"]["used_memory"], 10, 64)
}

func forgetCheckpoints(ctx context.Context, client *redis.Client) error {
	keys, err := client.Keys(ctx, "granter:*:checkpoint:*").Result()
	if err != nil || len(keys) == 0 {
		return errors.Join(err, errors.New("no checkpoint found"))
	}
	return client.Del(ctx, keys...).Err()
}

// cpuOf returns the processor time that a process has used, in seconds (Linux).
func cpuOf(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may contain anything; utime and stime are the 12th and 13th fields behind it.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return (time.Duration(ticks) * (time.Second / 100)).Seconds() // USER_HZ is 100 on every Linux
}
