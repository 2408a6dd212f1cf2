package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/granter/granter/deploy/dev/devtest"
)

// takeSpec is the campaign whose items users take; the topic is the one that its takes come from, too.
const takeSpec = `campaign: bench
title: Benchmark
starts_at: 2023-01-05T09:00:00+09:00
source: {topic: %s%s}
zone: Asia/Seoul
items:
  - {id: by-api, kind: emoticon, validity: {days: 90, from: taken, until: end_of_day}}
  - {id: by-file, kind: emoticon, validity: {days: 90, from: taken, until: end_of_day}}
  - {id: by-topic, kind: emoticon, validity: {days: 90, from: taken, until: end_of_day}}
  - {id: few, kind: item, validity: {days: 30, from: taken}, first: 1000000000}
`

// takes measures how fast users can take items: by a desk, from a file and from a topic, beside redis-benchmark on the same
// Redis.
func (b *bench) takes(ctx context.Context) ([]checked, error) {
	r, err := comparedRow("")
	if err != nil {
		return nil, err
	}
	r.users = int64(float64(r.users) * b.scale)
	spec, err := b.takeSpec("takers.yaml", r.topic(), "")
	if err != nil {
		return nil, err
	}
	if err := b.load(ctx, r, spec); err != nil {
		return nil, err
	}
	asking, err := b.takeSpec("asking.yaml", "asking", ", format: json, path: user")
	if err != nil {
		return nil, err
	}
	if err := b.load(ctx, r, asking); err != nil {
		return nil, err
	}
	var rows []checked
	for range b.repeats {
		once, err := b.takesOnce(ctx, r, spec)
		if err != nil {
			return nil, err
		}
		rows = append(rows, once...)
	}
	return medians(rows), nil
}

func (b *bench) takeSpec(name, topic, more string) (string, error) {
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, fmt.Appendf(nil, takeSpec, topic, more), 0o600)
}

// takesOnce measures each way once, on a ledger that has granted everybody and given nothing away.
func (b *bench) takesOnce(ctx context.Context, r row, spec string) (rows []checked, err error) {
	return rows, devtest.Standalone(nil, func(tb devtest.TB) error {
		server := devtest.StartRedis(tb, devtest.RedisSet("save", ""), devtest.RedisSet("appendonly", "yes"),
			devtest.RedisSet("appendfsync", "everysec"))
		if _, err := b.run(ctx, r, spec, server); err != nil {
			return err
		}
		c := &checkBench{bench: b, ctx: ctx, row: r, spec: spec, redis: server}
		defer c.stop()
		if err := c.start(); err != nil {
			return err
		}
		list := filepath.Join(b.dir, "takes.csv")
		if err := shuffled(list, r.users); err != nil {
			return err
		}
		single, err := c.redisBenchmark("1", "SETBIT", "1")
		pipelined, err2 := c.redisBenchmark("64", "SETBIT", "1")
		api, err3 := c.load(c.desk, "-path", "/api/v1/campaigns/bench/users/%d/takes", "-body", `{"item":"by-api"}`)
		quota, err4 := c.load(c.desk, "-path", "/api/v1/campaigns/bench/users/%d/takes", "-body", `{"item":"few"}`)
		some := func() (asked, error) {
			return c.load(c.desk, "-path", "/api/v1/campaigns/bench/users/%d/takes", "-body", `{"item":"by-api"}`,
				"-conns", "16", "-rate", "1000", "-for", "1500ms")
		}
		during, _, err7 := c.during("granter desk, 1,000 single takes/s, each due at its time, "+beside, r, some)
		file, err5 := c.takeAll("--item", "by-file", "--csv", list)
		topic, err6 := c.takeAll("--item", "by-topic", "--topic", "asking", "--once", "--brokers", b.kafka.Brokers[0])
		rows = []checked{
			{name: "redis-benchmark, SETBIT, 64 connections", asked: single},
			{name: "redis-benchmark, SETBIT, pipelines of 64", asked: pipelined},
			{name: "granter desk, single takes; " + saturated, asked: api, of: "redis-benchmark, 64 connections",
				ratio: api.PerSecond / single.PerSecond},
			{name: "granter desk, single takes of an item with a quota; " + saturated, asked: quota,
				of: "redis-benchmark, 64 connections", ratio: quota.PerSecond / single.PerSecond},
			during,
			{name: "granter take --csv, everybody in random order", asked: file, of: "redis-benchmark, pipelines",
				ratio: file.PerSecond / pipelined.PerSecond},
			{name: "granter take --topic, everybody in random order", asked: topic, of: "redis-benchmark, pipelines",
				ratio: topic.PerSecond / pipelined.PerSecond},
		}
		return errors.Join(err, err2, err3, err4, err5, err6, err7)
	})
}

// takeAll runs granter take for everybody, from its start to its end. The server is Redis: what granter needs is less.
func (c *checkBench) takeAll(args ...string) (asked, error) {
	args = append([]string{"take", "-f", c.spec, "--redis", c.redis.Addr}, args...)
	cmd := exec.CommandContext(c.ctx, c.granter, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr // outcomes of a file go to /dev/null
	began, before := time.Now(), cpuOf(c.redis.PID())
	if err := cmd.Run(); err != nil {
		return asked{}, fmt.Errorf("granter take: %w: %s", err, stderr.Bytes())
	}
	seconds := time.Since(began).Seconds()
	users := float64(c.row.users)
	own := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	fmt.Fprintf(os.Stderr, "granter take: %.2f µs of processor a user\n", own/users*1e6)
	return asked{PerSecond: users / seconds, Total: users, CPU: (cpuOf(c.redis.PID()) - before) / users * 1e6}, nil
}

// shuffled writes everybody into a file, in random order.
func shuffled(path string, users int64) error {
	ids := make([]int, users)
	for i := range ids {
		ids[i] = i
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	text := make([]byte, 0, 9*users)
	for _, id := range ids {
		text = append(strconv.AppendInt(text, int64(id), 10), '\n')
	}
	return os.WriteFile(path, text, 0o600)
}
