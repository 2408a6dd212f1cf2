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
	"time"

	"golang.org/x/term"

	"github.com/granter/granter/grant"
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

// number writes an integer with thousands separators.
func number[T ~int | ~int64](n T) string {
	s := fmt.Sprintf("%d", n)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func printSummary(w io.Writer, s *Summary) {
	fmt.Fprintf(w, "%s, run %s: %s in %.2f s, %s users/s\n\n", s.Campaign, s.Run, s.State, s.Seconds, number(int64(s.UsersPerSecond)))
	rows := []string{"partition\tconsumed\t= granted\t+ duplicate\t+ rejected\t+ withheld"}
	row := func(name string, t grant.Tally) string {
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", name, number(t.Consumed), number(t.Granted), number(t.Duplicate), number(t.Rejected), number(t.Withheld))
	}
	for _, p := range slices.Sorted(maps.Keys(s.Partitions)) {
		rows = append(rows, row(fmt.Sprint(p), s.Partitions[p]))
	}
	table(w, append(rows, row("total", s.Tally))...)
	if len(s.Absent) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s of %s listed users are not granted, because they are not in the topic: ", number(*s.Missing), number(*s.Listed))
	for i, user := range s.Absent {
		fmt.Fprint(w, strings.Repeat(", ", min(i, 1)), user)
	}
	if more := *s.Missing - int64(len(s.Absent)); more > 0 {
		fmt.Fprintf(w, " and %s more", number(more))
	}
	fmt.Fprintln(w)
}

// moment writes a time for people, in the zone of the campaign's dates, with the zone.
func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("2006-01-02 15:04:05 -07:00")
}
