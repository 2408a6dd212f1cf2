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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/deploy/dev/devtest"
)

// takeSpec is the campaign whose items users take; the topic is the one that its takes come from, too.
const takeSpec = `campaign: bench
title: Benchmark
starts_at: 2023-01-05T09:00:00+09:00
%ssource: {topic: %s%s}
zone: Asia/Seoul
items:
  - {id: by-api, kind: emoticon, validity: {days: 90, from: taken, until: end_of_day}}
  - {id: by-file, kind: emoticon, validity: {days: 90, from: taken, until: end_of_day}}
  - {id: by-topic, kind: emoticon, validity: {days: 90, from: taken, until: end_of_day}}
  - {id: few, kind: item, validity: {days: 30, from: taken}, first: 1000000000}
`

// takes measures how fast users can take items: by a desk, from a file and from a topic, beside redis-benchmark on the same
// Redis; and the same of users whose IDs are UUIDs, of whom there are fewer, because each take of theirs is kept by itself.
func (b *bench) takes(ctx context.Context) ([]checked, error) {
	var all []takers
	for _, name := range []string{"", "^4 M UUIDs v4$"} {
		r, err := comparedRow(name)
		if err != nil {
			return nil, err
		}
		r.users = int64(float64(r.users) * b.scale)
		t := takers{row: r, asking: "asking"}
		if r.ids != "" {
			t.asking = "asking-uuids"
		}
		if t.spec, err = b.takeSpec(r, "takers", r.topic(), ""); err != nil {
			return nil, err
		}
		asking, err := b.takeSpec(r, "asking", t.asking, ", format: json, path: user")
		if err != nil {
			return nil, err
		}
		if err := errors.Join(b.load(ctx, r, t.spec), b.load(ctx, r, asking)); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	var rows []checked
	for range b.repeats {
		var dense []checked
		for _, t := range all {
			once, err := b.takesOnce(ctx, t)
			if err != nil {
				return nil, err
			}
			if t.row.ids != "" {
				once = ofUUIDs(once, dense)
			}
			rows, dense = append(rows, once...), once
		}
	}
	return medians(rows), nil
}

// takers are users who take items.
type takers struct {
	row    row
	spec   string
	asking string // the topic of what they ask for
}

// ofUUIDs names rows that were measured of UUIDs, and compares those that are compared with nothing else with those of dense IDs
// of the same round.
func ofUUIDs(rows, dense []checked) []checked {
	for i := range rows {
		at := slices.IndexFunc(dense, func(d checked) bool { return d.name == rows[i].name })
		if at >= 0 && rows[i].of == "" {
			rows[i].ratio, rows[i].of = rows[i].PerSecond/dense[at].PerSecond, "dense IDs"
		}
		rows[i].name = "UUIDs: " + rows[i].name
	}
	return rows
}

func (b *bench) takeSpec(r row, name, topic, more string) (string, error) {
	population := ""
	if r.ids != "" {
		population, more, name = fmt.Sprintf("population: %d\n", r.users), ", id: "+string(r.ids)+more, name+"-"+string(r.ids)
	}
	path := filepath.Join(b.dir, name+".yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, takeSpec, population, topic, more), 0o600)
}

// takesOnce measures each way once, on a ledger that has granted everybody and given nothing away.
func (b *bench) takesOnce(ctx context.Context, of takers) (rows []checked, err error) {
	r, spec := of.row, of.spec
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
		if err := c.everybody(list, int(r.users)); err != nil {
			return err
		}
		const path = "/api/v1/campaigns/bench/users/%s/takes"
		api, err := c.load(c.desk, "-path", path, "-body", `{"item":"by-api"}`)
		quota, err2 := c.load(c.desk, "-path", path, "-body", `{"item":"few"}`)
		some := func() (asked, error) {
			return c.load(c.desk, "-path", path, "-body", `{"item":"by-api"}`, "-conns", "16", "-rate", "1000", "-for", "1500ms")
		}
		during, _, err3 := c.during("granter desk, 1,000 single takes/s, each due at its time, "+beside, r, some)
		file, err4 := c.takeAll("--item", "by-file", "--csv", list)
		topic, err5 := c.takeAll("--item", "by-topic", "--topic", of.asking, "--once", "--brokers", b.kafka.Brokers[0])
		rows = []checked{
			{name: "granter desk, single takes; " + saturated, asked: api},
			{name: "granter desk, single takes of an item with a quota; " + saturated, asked: quota},
			during,
			{name: "granter take --csv, everybody in random order", asked: file},
			{name: "granter take --topic, everybody in random order", asked: topic},
		}
		if err := errors.Join(err, err2, err3, err4, err5); err != nil || r.ids != "" {
			return err
		}
		single, err := c.redisBenchmark("1", "SETBIT", "1")
		pipelined, err2 := c.redisBenchmark("64", "SETBIT", "1")
		for _, i := range []int{0, 1} {
			rows[i].ratio, rows[i].of = rows[i].PerSecond/single.PerSecond, "redis-benchmark, 64 connections"
		}
		for _, i := range []int{3, 4} {
			rows[i].ratio, rows[i].of = rows[i].PerSecond/pipelined.PerSecond, "redis-benchmark, pipelines"
		}
		rows = append([]checked{
			{name: "redis-benchmark, SETBIT, 64 connections", asked: single},
			{name: "redis-benchmark, SETBIT, pipelines of 64", asked: pipelined},
		}, rows...)
		return errors.Join(err, err2)
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

// everybody writes the users into a file, in random order; where they are no dense numbers, about n of them, whom the load
// generator takes from it, too.
func (c *checkBench) everybody(path string, n int) error {
	if c.row.ids == "" {
		return shuffled(path, c.row.users)
	}
	ids, err := someOf(c.ctx, c.kafka.Brokers[0], c.row.topic(), 0, n)
	if err != nil {
		return err
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	c.ids = path
	return os.WriteFile(path, []byte(strings.Join(ids, "\n")+"\n"), 0o600)
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
