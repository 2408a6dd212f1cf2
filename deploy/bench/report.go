package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

func (r result) rate() float64 { return float64(r.users) / r.seconds / 1e6 }

// line is a row of the table, in Markdown.
func (r result) line() string {
	return fmt.Sprintf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.0f | %.2f | %.2f | %.2f |",
		r.name, r.seconds, r.rate(), r.fetch, r.ratio, r.ratioGo, r.bytes, float64(r.rss)/(1<<20), r.cpu, r.redisCPU, r.brokerCPU)
}

func (b *bench) report(results []result) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d processors (%s/%s), broker, Redis and granter on the same machine; %d partitions; medians of %d.\n\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, partitions, b.repeats)
	s.WriteString("| population | seconds | M users/s | fetch only, s | ÷ fetch only | ÷ kafka-go fetch only | Redis bytes/user | peak RSS, MiB | granter CPU s | Redis CPU s | Kafka CPU s |\n")
	s.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		s.WriteString(r.line() + "\n")
	}
	return s.String()
}

// publish replaces the table in performance.md and draws the plot beside it.
func (b *bench) publish(dir, text string, results []result) error {
	if err := replaceTable(filepath.Join(dir, "performance.md"), "", text); err != nil {
		return err
	}
	return draw(filepath.Join(dir, "performance.svg"), results)
}

// replaceTable puts a text between the marks of a table; the first one has no name.
func replaceTable(path, name, text string) error {
	what := "written by make bench"
	if name != "" {
		what = name + ", " + what
	}
	begin, end := "<!-- begin: "+what+" -->\n", "<!-- end: "+what+" -->\n"
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the table: want the lines %q and %q", path, begin, end)
	}
	return os.WriteFile(path, []byte(head+begin+text+end+tail), 0o644)
}

// draw plots seconds against users for the dense populations, with what fetching alone takes.
func draw(path string, results []result) error {
	var run, fetch, kafkaGo plotter.XYs
	for _, r := range results {
		if r.order != "" || r.spread != 0 || r.codec != "" || r.again || r.baseline || r.publish != "" || r.audit != "" || r.masters > 0 || !r.fsync {
			continue
		}
		x := float64(r.users) / 1e6
		run = append(run, plotter.XY{X: x, Y: r.seconds})
		fetch = append(fetch, plotter.XY{X: x, Y: r.fetch})
		kafkaGo = append(kafkaGo, plotter.XY{X: x, Y: r.kafkaGo})
	}
	p := plot.New()
	p.Title.Text = "Time to grant every user, against their number"
	p.X.Label.Text = "million users"
	p.Y.Label.Text = "seconds"
	p.X.Min, p.Y.Min = 0, 0
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	if err := plotutil.AddLinePoints(p, "granter run", run, "fetch only, granter's client", fetch, "fetch only, kafka-go", kafkaGo); err != nil {
		return err
	}
	return p.Save(18*vg.Centimeter, 11*vg.Centimeter, path)
}
