// Command bench measures granter on real servers and prints a table: make bench.
//
// Every figure of a row comes from the same few minutes on the same machine. Before each run of granter the same topic
// is merely fetched, by granter's own client and by kafka-go's fastest, so that the ratio holds when the machine's
// speed drifts. Each measurement is made several times; the table has the medians.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/population"
)

func main() {
	children := map[string]func([]string) error{
		"reader": reader, "ask": ask, "lists": askLists, "bare": bare, "nx": setNXAlone, "lookups": lookUps,
	}
	if len(os.Args) > 1 && children[os.Args[1]] != nil {
		if err := children[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	repeats := flag.Int("repeats", 3, "measurements of each kind; the table has the medians")
	scale := flag.Float64("scale", 1, "multiply every population by this, for a quick look")
	only := flag.String("only", "", "measure only the rows whose name has a match of this regular expression, or, with -claims, "+
		"the databases whose name contains it")
	revision := flag.String(
		"against",
		"",
		"compare this tree with this revision of the repository, on the first row that -only leaves or on 48 M dense, and measure nothing else",
	)
	onlyChecks := flag.Bool("checks", false, "measure checks only")
	onlyTakes := flag.Bool("takes", false, "measure takes only")
	kinds := flag.String("ids", "", "measure only users that are no dense numbers, of these kinds: uuid,int64,string")
	onlyClaims := flag.Bool("claims", false, "measure damage claims only: 620,000 of them times -scale")
	kills := flag.Int("kills", 20, "with -claims: kill -9 so many processes while all run at once; 0: do not")
	intake := flag.Bool("intake", false, "with -claims: measure intake by itself, and nothing after it")
	docs := flag.String("docs", "", "write performance.md's table and plot into this folder")
	flag.Parse()
	err := devtest.Standalone(
		func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
		func(tb devtest.TB) error {
			b, err := newBench(tb, *repeats, *scale)
			if err != nil {
				return err
			}
			if *revision != "" {
				r, err := comparedRow(*only)
				if err != nil {
					return err
				}
				text, err := b.against(context.Background(), *revision, r)
				fmt.Print(text)
				return err
			}
			ctx := context.Background()
			if *onlyClaims {
				text, err := b.claims(ctx, *kills, *only, *intake)
				fmt.Print(text)
				return err
			}
			if !*onlyChecks && !*onlyTakes && *kinds == "" {
				results, err := b.all(ctx, *only)
				if err != nil {
					return err
				}
				text := b.report(results)
				fmt.Print(text)
				if *docs != "" {
					if err := b.publish(*docs, text, results); err != nil {
						return err
					}
				}
			}
			if !*onlyChecks && !*onlyTakes {
				text, err := b.idTable(ctx, *kinds, *only)
				if err != nil {
					return err
				}
				if err := b.table(*docs, "ids", text); err != nil {
					return err
				}
			}
			if *only != "" || *kinds != "" {
				return nil
			}
			for _, table := range []struct {
				name    string
				measure func(context.Context) ([]checked, error)
				skip    bool
			}{{"checks", b.checks, *onlyTakes}, {"takes", b.takes, *onlyChecks}} {
				if table.skip {
					continue
				}
				rows, err := table.measure(ctx)
				if err != nil {
					return err
				}
				if err := b.table(*docs, table.name, b.reportChecks(rows)); err != nil {
					return err
				}
			}
			return nil
		},
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one line of the table.
type row struct {
	name     string
	users    int64
	spread   int64
	order    string
	codec    string
	fsync    bool   // Redis with AOF everysec
	again    bool   // measure a second run over the finished topic
	large    bool   // minutes, and gigabytes of topic: measured when -only asks for it
	publish  string // measure granter publish in this form, after a run
	audit    string // measure granter audit with so much --memory, after a run
	masters  int    // of a Redis Cluster; 0: one Redis
	baseline bool   // kafka-go's Reader with pipelines of 1,000 SET NX, instead of granter

	ids   grant.IDs // what they are; empty: dense numbers
	uuid  string    // version
	twice float64   // the share of them that is in the topic twice
	nice  int       // how far its run stands back for everything else on the machine
	keyed float64   // how many of them are set with SET NX, too; 0: two million
}

var rows = []row{
	{name: "1 M dense, shuffled", users: 1e6, fsync: true},
	{name: "2 M dense, shuffled", users: 2e6, fsync: true},
	{name: "4 M dense, shuffled", users: 4e6, fsync: true},
	{name: "kafka-go Reader, SET NX × 1,000", users: 4e6, fsync: true, baseline: true},
	{name: "4 M granted, events as JSON", users: 4e6, fsync: true, publish: "json"},
	{name: "4 M granted, events compact", users: 4e6, fsync: true, publish: "compact"},
	{name: "4 M UUIDs granted, events as JSON", users: 4e6, fsync: true, publish: "json", ids: grant.IDsUUID, uuid: population.UUIDv4},
	{name: "4 M UUIDs granted, events compact", users: 4e6, fsync: true, publish: "compact", ids: grant.IDsUUID, uuid: population.UUIDv4},
	{name: "8 M dense, shuffled", users: 8e6, fsync: true},
	{name: "16 M dense, shuffled", users: 16e6, fsync: true},
	{name: "48 M dense, shuffled", users: 48e6, fsync: true},
	{name: "48 M again, all duplicates", users: 48e6, fsync: true, again: true},
	{name: "48 M, Redis without AOF", users: 48e6},
	{name: "48 M, lz4 topic", users: 48e6, codec: "lz4", fsync: true},
	{name: "48 M ascending", users: 48e6, order: "ascending", fsync: true},
	{name: "48 M spread over 400 M", users: 48e6, spread: 400e6, fsync: true},
	{name: "48 M dense, Redis Cluster", users: 48e6, fsync: true, masters: 3},
	{name: "48 M granted, audited", users: 48e6, fsync: true, audit: "256 MiB"},
	{name: "480 M dense, shuffled", users: 480e6, fsync: true, large: true},
	{name: "480 M granted, audited", users: 480e6, fsync: true, audit: "256 MiB", large: true},
	{name: "480 M granted, audited in passes", users: 480e6, fsync: true, audit: "48 MiB", large: true},
}

const partitions = 8

// bench holds what all rows share.
type bench struct {
	tb      devtest.TB
	kafka   *devtest.Kafka
	dir     string
	granter string
	self    string
	repeats int
	scale   float64
}

func newBench(tb devtest.TB, repeats int, scale float64) (*bench, error) {
	b := &bench{tb: tb, dir: tb.TempDir(), repeats: max(repeats, 1), scale: scale}
	b.granter = filepath.Join(b.dir, "granter")
	if out, err := exec.Command("go", "build", "-o", b.granter, "./cmd/granter").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building granter (run this from the repository's root): %w\n%s", err, out)
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	b.kafka = devtest.StartKafka(tb, devtest.KafkaOptions{})
	return b, nil
}

// table prints a table, and puts it into performance.md of a folder, if there is one.
func (b *bench) table(docs, name, text string) error {
	fmt.Print(text)
	if docs == "" {
		return nil
	}
	return replaceTable(filepath.Join(docs, "performance.md"), name, text)
}

// all measures the rows. Rows of the same population share its topic.
func (b *bench) all(ctx context.Context, only string) ([]result, error) {
	named, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	var results []result
	loaded := map[string]bool{}
	for _, r := range rows {
		if !named.MatchString(r.name) || r.large && only == "" {
			continue
		}
		r.users, r.spread = int64(float64(r.users)*b.scale), int64(float64(r.spread)*b.scale)
		spec, err := b.spec(r)
		if err != nil {
			return nil, err
		}
		if !loaded[r.topic()] {
			if err := b.load(ctx, r, spec); err != nil {
				return nil, err
			}
			loaded[r.topic()] = true
		}
		res, err := b.measure(ctx, r, spec)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Fprintln(os.Stderr, res.line())
		results = append(results, res)
	}
	return results, nil
}

// topic names the population of a row.
func (r row) topic() string {
	name := fmt.Sprintf("bench-%d-%d-%s%s", r.users, r.spread, r.order, r.codec)
	if r.ids != "" {
		name += fmt.Sprintf("-%s%s-%g", r.ids, r.uuid, r.twice)
	}
	return name
}

func (b *bench) spec(r row) (string, error) {
	path := filepath.Join(b.dir, r.topic()+".yaml")
	population, source := "", "topic: "+r.topic()
	if r.ids != "" {
		population, source = fmt.Sprintf("population: %d\n", r.users), source+", id: "+string(r.ids)
	}
	return path, os.WriteFile(path, []byte(fmt.Sprintf(`campaign: bench
title: Benchmark
starts_at: 2023-01-05T00:00:00+09:00
%ssource: {%s}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
  - {id: cheer-up-90d, kind: emoticon, validity: 90d}
  - {id: lets-go-90d, kind: emoticon, validity: 90d}
`, population, source)), 0o600)
}

func (b *bench) load(ctx context.Context, r row, spec string) error {
	args := []string{
		"load", "-f", spec, "--brokers", b.kafka.Brokers[0], "--partitions", fmt.Sprint(partitions), "--replicas", "1",
		"--generate", fmt.Sprint(r.users), "--spread", fmt.Sprint(r.spread),
	}
	if r.order != "" {
		args = append(args, "--order", r.order)
	}
	if r.codec != "" {
		args = append(args, "--compression", r.codec)
	}
	if r.uuid != "" {
		args = append(args, "--uuid", r.uuid)
	}
	if r.twice > 0 {
		args = append(args, "--duplicates", fmt.Sprintf("%g%%", 100*r.twice))
	}
	out, err := exec.CommandContext(ctx, b.granter, args...).CombinedOutput()
	fmt.Fprintf(os.Stderr, "%s", out)
	return err
}
