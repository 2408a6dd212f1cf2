package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/population"
)

// idRows are populations whose IDs are no dense numbers.
var idRows = []row{
	{name: "1 M UUIDs v4", users: 1e6, ids: grant.IDsUUID, uuid: population.UUIDv4},
	{name: "4 M UUIDs v4", users: 4e6, ids: grant.IDsUUID, uuid: population.UUIDv4},
	{name: "16 M UUIDs v4", users: 16e6, ids: grant.IDsUUID, uuid: population.UUIDv4},
	{name: "16 M UUIDs v7, in their order", users: 16e6, ids: grant.IDsUUID, uuid: population.UUIDv7, order: "ascending"},
	{name: "16 M random int64", users: 16e6, ids: grant.IDsInt64},
	{name: "16 M strings of 20 bytes", users: 16e6, ids: grant.IDsString},
	{name: "48 M UUIDs v4", users: 48e6, ids: grant.IDsUUID, uuid: population.UUIDv4, keyed: 48e6},
	{name: "48 M UUIDs v4, started by nice -n 10", users: 48e6, ids: grant.IDsUUID, uuid: population.UUIDv4, nice: 10},
	{name: "48 M UUIDs v4, 1% of them twice", users: 48e6, ids: grant.IDsUUID, uuid: population.UUIDv4, twice: 0.01},
	{name: "48 M UUIDs v7, in their order", users: 48e6, ids: grant.IDsUUID, uuid: population.UUIDv7, order: "ascending"},
	{name: "48 M random int64", users: 48e6, ids: grant.IDsInt64},
	{name: "48 M strings of 20 bytes", users: 48e6, ids: grant.IDsString},
}

// idMemory is what a run has for users that are no dense numbers. Of 48 million it remembers 192 MiB of fingerprints.
const idMemory = "600MiB"

// keyed is what SET NX does with a part of the same users: a key for each.
type keyed struct {
	One   float64 `json:"one"`  // users a second, pipelines of 1,000 on one connection
	Many  float64 `json:"many"` // on as many connections as there are partitions, at the same time
	Each  float64 `json:"each"` // seconds of processor for a user, of both sides
	Bytes float64 `json:"bytes"`
}

// ofIDs is what was measured of a population whose IDs are no dense numbers.
type ofIDs struct {
	result
	keyed
	lookedUp // granter verify, meanwhile
}

// idTable measures the rows of some kinds of ID; of all, if none is named.
func (b *bench) idTable(ctx context.Context, kinds, only string) (string, error) {
	named, err := regexp.Compile(only)
	if err != nil {
		return "", fmt.Errorf("-only: %w", err)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%d processors (%s/%s), broker, Redis and granter on the same machine; %d partitions; medians of %d.\n\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, partitions, b.repeats)
	s.WriteString("| population | seconds | M users/s | ÷ fetch only | × `SET NX`, one connection | " +
		"× `SET NX`, 8 connections | × `SET NX`, processor | `SET NX` of, M | " +
		"Redis bytes/user | `SET NX` bytes/user | peak RSS, MiB | " +
		"lookup p50, ms | lookup p99, ms | PING p50, ms | PING p99, ms | " +
		"granter CPU s | Redis CPU s |\n")
	s.WriteString("|" + strings.Repeat("---|", 17) + "\n")
	for _, r := range idRows {
		if kinds != "" && !slices.Contains(strings.Split(kinds, ","), string(r.ids)) || !named.MatchString(r.name) {
			continue
		}
		r.users = int64(float64(r.users) * b.scale)
		r.fsync = true
		line, err := b.idRow(ctx, r)
		if err != nil {
			return "", fmt.Errorf("%s: %w", r.name, err)
		}
		s.WriteString(line)
	}
	return s.String(), nil
}

func (b *bench) idRow(ctx context.Context, r row) (string, error) {
	spec, err := b.spec(r)
	if err != nil {
		return "", err
	}
	if err := b.load(ctx, r, spec); err != nil {
		return "", err
	}
	var all []ofIDs
	for range b.repeats {
		one, err := b.idsOnce(ctx, r, spec)
		if err != nil {
			return "", err
		}
		all = append(all, one)
	}
	median := func(of func(*ofIDs) float64) float64 {
		v := make([]float64, len(all))
		for i := range all {
			v[i] = of(&all[i])
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	rate := func(m *ofIDs) float64 { return float64(r.users) / m.seconds }
	line := fmt.Sprintf("| %s | %.2f | %.2f | %.2f | %.1f | %.1f | %.1f | %.0f | %.2f | %.1f | %.0f"+
		strings.Repeat(" | %.2f", 6)+" |\n",
		r.name,
		median(func(m *ofIDs) float64 { return m.seconds }), median(rate)/1e6,
		median(func(m *ofIDs) float64 { return m.seconds / m.fetch }),
		median(func(m *ofIDs) float64 { return rate(m) / m.One }), median(func(m *ofIDs) float64 { return rate(m) / m.Many }),
		median(func(m *ofIDs) float64 { return m.Each * float64(r.users) / (m.cpu + m.redisCPU) }),
		float64(r.toKey())/1e6,
		median(func(m *ofIDs) float64 { return m.bytes }), median(func(m *ofIDs) float64 { return m.Bytes }),
		median(func(m *ofIDs) float64 { return float64(m.rss) / (1 << 20) }),
		median(func(m *ofIDs) float64 { return m.P50 }), median(func(m *ofIDs) float64 { return m.P99 }),
		median(func(m *ofIDs) float64 { return m.Ping50 }), median(func(m *ofIDs) float64 { return m.Ping99 }),
		median(func(m *ofIDs) float64 { return m.cpu }), median(func(m *ofIDs) float64 { return m.redisCPU }))
	fmt.Fprint(os.Stderr, line)
	return line, b.drop(ctx, r)
}

// toKey is how many of a row's users are set with SET NX: all of them take minutes.
func (r row) toKey() int64 { return min(r.users, max(2*setNXBlock, int64(r.keyed))) }

// idsOnce measures SET NX, merely fetching, a run, and lookups during another.
func (b *bench) idsOnce(ctx context.Context, r row, spec string) (res ofIDs, err error) {
	within := func(fn func(server *devtest.Redis, client *redis.Client) error) error {
		return devtest.Standalone(nil, func(tb devtest.TB) error {
			server := devtest.StartRedis(tb, persistent...)
			client := redis.NewClient(&redis.Options{Addr: server.Addr})
			defer client.Close()
			return fn(server, client)
		})
	}
	if err := within(func(server *devtest.Redis, _ *redis.Client) error {
		return b.output(exec.CommandContext(ctx, b.self, "nx", "-brokers", b.kafka.Brokers[0], "-topic", r.topic(), "-redis",
			server.Addr, "-users", fmt.Sprint(r.toKey())), &res.keyed)
	}); err != nil {
		return res, err
	}
	fetch, err := b.child(ctx, b.self, "reader", "-how", "own", "-brokers", b.kafka.Brokers[0], "-topic", r.topic())
	if err != nil {
		return res, err
	}
	if err := within(func(server *devtest.Redis, client *redis.Client) error {
		empty, err := memory(ctx, client)
		if err != nil {
			return err
		}
		before := cpuOf(server.PID())
		if res.result, err = b.run(ctx, r, spec, server); err != nil {
			return err
		}
		used, err := memory(ctx, client)
		res.fetch, res.redisCPU = fetch.seconds, cpuOf(server.PID())-before
		res.bytes = float64(used-empty) / float64(r.users)
		return err
	}); err != nil {
		return res, err
	}
	return res, within(func(server *devtest.Redis, _ *redis.Client) error { // once more, while somebody asks
		asking, err := b.lookUps(ctx, r, spec, server)
		if err != nil {
			return err
		}
		_, err = b.run(ctx, r, spec, server)
		res.lookedUp, err = asking(err)
		return err
	})
}

// persistent is a Redis that writes an append-only file, to disk every second, and does not rewrite it meanwhile: a file of
// nothing but new grants, or keys, becomes no smaller by that.
var persistent = []devtest.RedisOption{
	devtest.RedisSet("save", ""), devtest.RedisSet("appendonly", "yes"), devtest.RedisSet("appendfsync", "everysec"),
	devtest.RedisSet("auto-aof-rewrite-percentage", "0"),
}

// lookUps starts a process that looks users of a topic up, until the returned function is called.
func (b *bench) lookUps(ctx context.Context, r row, spec string, server *devtest.Redis) (func(error) (lookedUp, error), error) {
	cmd := exec.CommandContext(ctx, b.self, "lookups", "-f", spec, "-brokers", b.kafka.Brokers[0], "-topic", r.topic(), "-redis",
		server.Addr)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	failed := func(err error) error {
		if err = errors.Join(err, cmd.Wait()); err != nil {
			return fmt.Errorf("lookups: %w\n%s", err, stderr.String())
		}
		return nil
	}
	if _, err := lines.ReadString('\n'); err != nil { // it has read whom it looks up
		return nil, failed(err)
	}
	return func(ran error) (res lookedUp, err error) {
		in.Close()
		text, err := io.ReadAll(lines)
		if err = failed(err); err == nil {
			err = json.Unmarshal(text, &res)
		}
		return res, errors.Join(ran, err)
	}, nil
}

// output runs a process that prints an object.
func (b *bench) output(cmd *exec.Cmd, into any) error {
	text, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%s: %w\n%s", cmd.Args[1], err, failed.Stderr)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// drop deletes the topic of a row: a disk may not have room for all.
func (b *bench) drop(ctx context.Context, r row) error {
	client := kafka.Client{Addr: kafka.TCP(b.kafka.Brokers...)}
	answer, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{r.topic()}})
	if err != nil {
		return err
	}
	return answer.Errors[r.topic()]
}
