package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/text"
)

// output is the standard output of a command. It remembers its first error, so that a command that prints need not look:
// whoever runs the command does.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// terminal returns the terminal that is written to, if it is one.
func terminal(w io.Writer) (fd int, ok bool) {
	if o, is := w.(*output); is {
		w = o.w
	}
	f, is := w.(*os.File)
	if !is {
		return 0, false
	}
	return int(f.Fd()), term.IsTerminal(int(f.Fd()))
}

// printJSON prints one object, indented: a program does not mind, and a person may look too.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table prints rows of cells separated by tabs, aligned.
func table(w io.Writer, rows ...string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, row)
	}
	t.Flush() //nolint:errcheck // output has the error
}

func printSummary(w io.Writer, s *Summary) {
	fmt.Fprintf(w, "%s, run %s: %s in %.2f s, %s users/s\n\n", s.Campaign, s.Run, s.State, s.Seconds, text.Number(int64(s.UsersPerSecond)))
	rows := []string{"partition\tconsumed\t= granted\t+ duplicate\t+ rejected\t+ withheld"}
	row := func(name string, t grant.Tally) string {
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", name, text.Number(t.Consumed), text.Number(t.Granted), text.Number(t.Duplicate), text.Number(t.Rejected), text.Number(t.Withheld))
	}
	for _, p := range slices.Sorted(maps.Keys(s.Partitions)) {
		rows = append(rows, row(fmt.Sprint(p), s.Partitions[p]))
	}
	table(w, append(rows, row("total", s.Tally))...)
	if len(s.Absent) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s of %s listed users are not granted, because they are not in the topic: ", text.Number(*s.Missing), text.Number(*s.Listed))
	for i, user := range s.Absent {
		fmt.Fprint(w, strings.Repeat(", ", min(i, 1)), user)
	}
	if more := *s.Missing - int64(len(s.Absent)); more > 0 {
		fmt.Fprintf(w, " and %s more", text.Number(more))
	}
	fmt.Fprintln(w)
}
