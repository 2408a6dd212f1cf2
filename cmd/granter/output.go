package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/granter/granter/grant"
)

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
	t.Flush() //nolint:errcheck // the standard output is gone
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

func printSummary(w io.Writer, asJSON bool, s *Summary) {
	if asJSON {
		printJSON(w, s) //nolint:errcheck // the standard output is gone
		return
	}
	fmt.Fprintf(w, "%s, run %s: %s in %.2f s, %s users/s\n\n", s.Campaign, s.Run, s.State, s.Seconds, number(int64(s.UsersPerSecond)))
	rows := []string{"partition\tconsumed\t= granted\t+ duplicate\t+ rejected\t+ withheld"}
	row := func(name string, t grant.Tally) string {
		return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", name, number(t.Consumed), number(t.Granted), number(t.Duplicate), number(t.Rejected), number(t.Withheld))
	}
	for _, p := range slices.Sorted(maps.Keys(s.Partitions)) {
		rows = append(rows, row(fmt.Sprint(p), s.Partitions[p]))
	}
	table(w, append(rows, row("total", s.Tally))...)
}

// moment writes a time for people, in the zone of the campaign's dates, with the zone.
func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format("2006-01-02 15:04:05 -07:00")
}
