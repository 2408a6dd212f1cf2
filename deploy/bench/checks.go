package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/desk"
)

// checked is a row of the table of checks.
type checked struct {
	name string
	asked
	ratio float64 // to the bare handler, or to redis-benchmark, measured right before it; 0: none
	of    string
}

// checks measures how fast other services can ask whether users hold an item: by a desk, by the bare handler, and by
// redis-benchmark, in turns, on the same Redis.
func (b *bench) checks(ctx context.Context) ([]checked, error) {
	dense, err := b.checksOf(ctx, "", (*checkBench).measure)
	if err != nil {
		return nil, err
	}
	uuids, err := b.checksOf(ctx, "^16 M UUIDs v4$", (*checkBench).measureUUIDs)
	return append(dense, ofUUIDs(uuids, dense)...), err
}

// checksOf measures of the population of a row.
func (b *bench) checksOf(
	ctx context.Context, name string, measure func(*checkBench) ([]checked, error),
) (rows []checked, err error) {
	r, err := comparedRow(name)
	if err != nil {
		return nil, err
	}
	r.users = int64(float64(r.users) * b.scale)
	spec, err := b.spec(r)
	if err != nil {
		return nil, err
	}
	if err := b.load(ctx, r, spec); err != nil {
		return nil, err
	}
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
		rows, err = measure(c)
		return err
	})
}

// checkBench is the servers that are compared.
type checkBench struct {
	*bench

	ctx   context.Context //nolint:containedctx // of one measurement
	row   row
	spec  string
	ids   string // a file of the users, where they are no dense numbers
	redis *devtest.Redis
	// others is how many campaigns were made out of the same topic.
	others int

	token            string
	tokens           string // a file of those who look users up
	desk, bare, pool server // pool is the bare handler whose requests share pipelines
	ends             []func()
}

// server is a process that answers checks.
type server struct {
	addr    string
	pid     int
	metrics string // the address of its metrics; empty: it has none
}

func (c *checkBench) stop() {
	for _, end := range slices.Backward(c.ends) {
		end()
	}
}

// measureUUIDs is what measure does by a desk alone: the bare handler knows bits only.
func (c *checkBench) measureUUIDs() ([]checked, error) {
	if err := c.everybody(filepath.Join(c.dir, "checked.txt"), 1e6); err != nil {
		return nil, err
	}
	var rows []checked
	for range c.repeats {
		ours, err := c.load(c.desk)
		calm, err2 := c.load(c.desk, "-conns", "16", "-rate", "5000")
		fast, err3 := c.look("-conns", "32")
		slow, err4 := c.look("-conns", "8", "-rate", "100")
		if err := errors.Join(err, err2, err3, err4); err != nil {
			return nil, err
		}
		rows = append(rows, checked{name: deskFast, asked: ours}, checked{name: deskPaced, asked: calm},
			checked{name: lookupsFast, asked: fast}, checked{name: lookupsPaced, asked: slow})
	}
	rows = medians(rows)
	during, err := c.duringRuns()
	return append(rows, during...), err
}

func (c *checkBench) measure() ([]checked, error) {
	var rows []checked
	for range c.repeats {
		once, err := c.round()
		if err != nil {
			return nil, err
		}
		looked, err := c.lookups()
		if err != nil {
			return nil, err
		}
		rows = append(append(rows, once...), looked...)
	}
	rows = medians(rows)
	during, err := c.duringRuns()
	return append(rows, during...), err
}

const (
	saturated = "64 connections, as fast as they are answered"
	paced     = "5,000 checks/s, each due at its time"

	deskFast     = "granter desk; " + saturated
	deskPaced    = "granter desk; " + paced
	lookupsFast  = "granter desk, lookups; 32 connections, as fast as they are answered"
	lookupsPaced = "granter desk, 100 lookups/s, each due at its time"
)

// round measures each way once.
func (c *checkBench) round() ([]checked, error) {
	single, err := c.redisBenchmark("1", "GETBIT")
	pipelined, err2 := c.redisBenchmark("64", "GETBIT")
	bare, err3 := c.load(c.bare)
	shared, err4 := c.load(c.pool)
	ours, err5 := c.load(c.desk)
	calm, err6 := c.load(c.desk, "-conns", "16", "-rate", "5000")
	lists, err7 := c.lists()
	return []checked{
		{name: "redis-benchmark, GETBIT, 64 connections", asked: single},
		{name: "redis-benchmark, GETBIT, pipelines of 64", asked: pipelined},
		{name: "bare handler, one GETBIT a request; " + saturated, asked: bare},
		{name: "bare handler, requests share pipelines; " + saturated, asked: shared, of: "bare",
			ratio: shared.PerSecond / bare.PerSecond},
		{name: deskFast, asked: ours, ratio: ours.PerSecond / bare.PerSecond, of: "bare"},
		{name: deskPaced, asked: calm},
		{name: "granter desk, lists of 1,048,576 random users, binary", asked: lists, of: "redis-benchmark, pipelines",
			ratio: lists.PerSecond / pipelined.PerSecond},
	}, errors.Join(err, err2, err3, err4, err5, err6, err7)
}

// duringRuns measures checks while granter grants everybody, run after run, and how long the runs take with and without: at
// the priority of everything else on the machine, and below it.
func (c *checkBench) duringRuns() ([]checked, error) {
	var without []float64
	for range c.repeats {
		alone, err := c.fresh(c.ctx, c.row, c.spec)
		if err != nil {
			return nil, err
		}
		without = append(without, alone.seconds)
	}
	slices.Sort(without)
	checks := func() (asked, error) { return c.load(c.desk, "-conns", "16", "-rate", "1000", "-for", "1500ms") }
	low := c.row
	low.nice = 10
	var rows []checked
	for _, at := range []struct {
		name string
		row  row
		load func() (asked, error)
	}{
		{"granter desk, 1,000 checks/s, each due at its time, " + beside, c.row, checks},
		{"granter desk, 1,000 checks/s, each due at its time, " + beside + ", started by nice -n 10", low, checks},
		{"granter desk, 100 lookups/s, each due at its time, " + beside, c.row, func() (asked, error) {
			return c.look("-conns", "8", "-rate", "100", "-for", "1500ms")
		}},
	} {
		during, seconds, err := c.during(at.name, at.row, at.load)
		if err != nil {
			return nil, err
		}
		during.ratio, during.of = seconds/without[len(without)/2], "the run's time alone"
		rows = append(rows, during)
	}
	return rows, nil
}

const beside = "while granter run grants all users"

// during returns what a load of the desk takes beside a run, and the seconds of that run.
func (c *checkBench) during(name string, row row, load func() (asked, error)) (checked, float64, error) {
	var rows []checked
	var with []float64
	for range c.repeats {
		// Another campaign on the same Redis: what is checked stays granted.
		other, err := c.other()
		if err != nil {
			return checked{}, 0, err
		}
		var res asked
		var both errgroup.Group
		both.Go(func() (err error) {
			res, err = load()
			return err
		})
		took, err := c.bench.run(c.ctx, row, other, c.redis)
		if err := errors.Join(err, both.Wait()); err != nil {
			return checked{}, 0, err
		}
		with = append(with, took.seconds)
		rows = append(rows, checked{name: name, asked: res})
	}
	slices.Sort(with)
	return medians(rows)[0], with[len(with)/2], nil
}

// other writes the spec of one more campaign out of the same topic.
func (c *checkBench) other() (string, error) {
	text, err := os.ReadFile(c.spec)
	if err != nil {
		return "", err
	}
	c.others++
	path := filepath.Join(c.dir, fmt.Sprintf("other-%d.yaml", c.others))
	text = bytes.Replace(text, []byte("campaign: bench"), fmt.Appendf(nil, "campaign: other-%d", c.others), 1)
	return path, os.WriteFile(path, text, 0o600)
}

// load loads a server with single checks.
func (c *checkBench) load(of server, more ...string) (asked, error) {
	args := append([]string{"ask", "-addr", of.addr, "-token", c.token, "-users", fmt.Sprint(c.row.users)}, more...)
	if c.ids != "" {
		args = append(args, "-ids", c.ids)
	}
	return c.asks(of, args...)
}

func (c *checkBench) lists() (asked, error) {
	return c.asks(c.desk, "lists", "-addr", c.desk.addr, "-token", c.token, "-users", fmt.Sprint(c.row.users))
}

// asks runs a child process that asks a server.
func (c *checkBench) asks(of server, args ...string) (out asked, err error) {
	before := cpuOf(of.pid)
	var looked []bucket
	if of.metrics != "" {
		if looked, err = bucketsOf(of.metrics, timesOfChecks); err != nil {
			return out, err
		}
	}
	text, err := exec.CommandContext(c.ctx, c.self, args...).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return out, fmt.Errorf("%s: %w: %s", args[0], err, failed.Stderr)
	}
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(text, &out); err != nil {
		return out, err
	}
	out.CPU = (cpuOf(of.pid) - before) / out.Total * 1e6
	if of.metrics != "" {
		looks, err := bucketsOf(of.metrics, timesOfChecks)
		if err != nil {
			return out, err
		}
		out.Server99 = quantile(0.99, looked, looks)
	}
	return out, nil
}

const timesOfChecks = "granter_desk_check_duration_seconds"

// redisBenchmark asks for a bit again and again: its random numbers have leading zeros, which Redis takes for no offset.
func (c *checkBench) redisBenchmark(pipeline, command string, args ...string) (out asked, err error) {
	host, port, _ := strings.Cut(c.redis.Addr, ":")
	n := "200000"
	if pipeline != "1" {
		n = "3000000"
	}
	args = append([]string{
		"-h", host, "-p", port, "-c", "64", "-n", n, "-P", pipeline, "--csv", command, "granter:{bench/7}:granted", "4242",
	}, args...)
	text, err := exec.CommandContext(c.ctx, "redis-benchmark", args...).Output()
	if err != nil {
		return out, err
	}
	lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(lines) < 2 || len(lines[1]) < 7 {
		return out, fmt.Errorf("redis-benchmark: %w: %s", err, text)
	}
	number := func(i int) float64 {
		v, numErr := strconv.ParseFloat(lines[1][i], 64)
		err = errors.Join(err, numErr)
		return v
	}
	return asked{PerSecond: number(1), P50: number(4), P99: number(6)}, err
}

// start starts a desk and two bare handlers.
func (c *checkBench) start() error {
	token, line, err := desk.NewToken("bench", desk.RoleService+",take")
	if err != nil {
		return err
	}
	c.token = token
	access := filepath.Join(c.dir, "access")
	lookers, err := c.lookers()
	if err != nil {
		return err
	}
	if err := os.WriteFile(access, []byte(line+"\n"+lookers), 0o600); err != nil {
		return err
	}
	page, metrics := "", ""
	says := func(line string) string {
		var entry struct {
			Page    string `json:"page"`
			Metrics string `json:"metrics"`
		}
		_ = json.Unmarshal([]byte(line), &entry) // other lines are not for here
		page, metrics = cmp.Or(page, entry.Page), cmp.Or(metrics, entry.Metrics)
		if page == "" || metrics == "" {
			return ""
		}
		return strings.TrimSuffix(strings.TrimPrefix(page, "http://"), "/") + " " + metrics
	}
	same := func(line string) string { return line }
	c.desk, err = c.serve(says, c.granter, "desk", "--desk", "127.0.0.1:0", "--desk-access", access,
		"--listen", "127.0.0.1:0", "--log-format", "json", "--redis", c.redis.Addr, "--brokers", c.kafka.Brokers[0])
	c.desk.addr, c.desk.metrics, _ = strings.Cut(c.desk.addr, " ")
	if err == nil {
		c.bare, err = c.serve(same, c.self, "bare", "-redis", c.redis.Addr)
	}
	if err == nil {
		c.pool, err = c.serve(same, c.self, "bare", "-redis", c.redis.Addr, "-share")
	}
	return err
}

// serve starts a server, and returns where it is, which a line of its output says.
func (c *checkBench) serve(where func(line string) string, name string, args ...string) (server, error) {
	cmd := exec.CommandContext(c.ctx, name, args...)
	out, in, err := os.Pipe()
	if err != nil {
		return server{}, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		return server{}, err
	}
	in.Close()
	c.ends = append(c.ends, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // that it was killed is known
		out.Close()
	})
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if addr := where(lines.Text()); addr != "" {
				select {
				case found <- addr:
				default:
				}
			}
		}
	}()
	select {
	case addr := <-found:
		return server{addr: addr, pid: cmd.Process.Pid}, nil
	case <-time.After(time.Minute):
		return server{}, fmt.Errorf("%s does not say where it serves", name)
	}
}

// medians makes one row of those of the same name, each of whose figures is the median.
func medians(all []checked) []checked {
	var rows []checked
	for _, one := range all {
		if slices.ContainsFunc(rows, func(r checked) bool { return r.name == one.name }) {
			continue
		}
		var same []checked
		for _, other := range all {
			if other.name == one.name {
				same = append(same, other)
			}
		}
		median := func(of func(checked) float64) float64 {
			v := make([]float64, len(same))
			for i := range same {
				v[i] = of(same[i])
			}
			slices.Sort(v)
			return v[len(v)/2]
		}
		rows = append(rows, checked{
			name: one.name, of: one.of, ratio: median(func(r checked) float64 { return r.ratio }),
			asked: asked{
				PerSecond: median(func(r checked) float64 { return r.PerSecond }),
				P50:       median(func(r checked) float64 { return r.P50 }),
				P99:       median(func(r checked) float64 { return r.P99 }),
				Server99:  median(func(r checked) float64 { return r.Server99 }),
				CPU:       median(func(r checked) float64 { return r.CPU }),
			},
		})
	}
	return rows
}

// reportChecks is the table, in Markdown.
func (b *bench) reportChecks(rows []checked) string {
	var s strings.Builder
	s.WriteString("| asked by | users/s | p50, ms | p99, ms | p99 of the server alone, ms | server CPU, µs a user | ratio |\n")
	s.WriteString("|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		ratio, cpu, alone := "", "", ""
		if r.CPU > 0 {
			cpu = fmt.Sprintf("%.2f", r.CPU)
		}
		if r.Server99 > 0 {
			alone = fmt.Sprintf("%.2f", r.Server99)
		}
		if r.ratio > 0 {
			ratio = fmt.Sprintf("%.2f × %s", r.ratio, r.of)
		}
		fmt.Fprintf(&s, "| %s | %.0f | %.2f | %.2f | %s | %s | %s |\n", r.name, r.PerSecond, r.P50, r.P99, alone, cpu, ratio)
	}
	return s.String()
}
