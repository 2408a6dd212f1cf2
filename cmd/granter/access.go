package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/text"
)

func newAccess() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "access",
		Short: "Who has read whose record: report, verify, purge",
		Long: `A desk records every read of a person's record before it answers: who, when, from where, whose, and why
where a reason was given. The entries are in Redis, each chained to the one before by a SHA-256.

` + exitHelp,
	}
	cmd.AddCommand(newAccessReport(), newAccessVerify(), newAccessPurge())
	return cmd
}

// accessFlags are those of all commands about the access log.
type accessFlags struct{ connection }

// open opens the log. The caller calls done.
func (a *accessFlags) open() (log *accesslog.Log, done func(), err error) {
	client, err := a.redisClient()
	if err != nil {
		return nil, nil, err
	}
	return accesslog.New(client), func() { client.Close() }, nil
}

func newAccessReport() *cobra.Command {
	var flags accessFlags
	var from, to, who, user string
	var entries bool
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Say who has read records, how many and whose",
		Long: `Report sums up the access log: of each who read records how many reads, of how many persons, the most at
once, and how many without a reason. --entries lists the reads themselves, as CSV, or as JSON with --json.

` + exitHelp,
		Example: `  granter access report --from 2023-01-01T00:00:00+09:00 --to 2023-02-01T00:00:00+09:00
  granter access report --user 12345678 --entries`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := accesslog.Query{Who: who, User: user}
			var err error
			if q.From, err = instant("--from", from); err != nil {
				return err
			}
			if q.To, err = instant("--to", to); err != nil {
				return err
			}
			log, done, err := flags.open()
			if err != nil {
				return err
			}
			defer done()
			var list []accesslog.Entry
			sum := readers{}
			err = log.Each(cmd.Context(), q, func(e *accesslog.Entry) error {
				sum.add(e)
				if entries {
					list = append(list, *e)
				}
				return nil
			})
			out := cmd.OutOrStdout()
			switch {
			case err != nil:
				return err
			case entries && flags.json:
				return printJSON(out, slices.Concat([]accesslog.Entry{}, list))
			case entries:
				return printAccesses(out, list)
			case flags.json:
				return printJSON(out, sum.sorted())
			}
			sum.print(out)
			return nil
		},
	}
	flags.addServers(cmd, flags.jsonFlag, flags.redisFlags)
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "reads from this moment on, RFC 3339")
	f.StringVar(&to, "to", "", "reads before this moment, RFC 3339")
	f.StringVar(&who, "by", "", "reads by this principal of a desk")
	f.StringVar(&user, "user", "", "reads of this user's record")
	f.BoolVar(&entries, "entries", false, "list the reads themselves")
	return cmd
}

// instant reads a moment from a flag; an empty one is zero.
func instant(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := parseTime(flag, s)
	if err != nil {
		err = usageError(err)
	}
	return at, err
}

// accessReader is what somebody read.
type accessReader struct {
	Who      string    `json:"who"`
	Reads    int       `json:"reads"`
	Persons  int       `json:"persons"`
	Most     int       `json:"most_at_once"`
	Unstated int       `json:"without_reason"`
	Last     time.Time `json:"last"`
	users    map[grant.UserID]bool
}

type readers map[string]*accessReader

func (r readers) add(e *accesslog.Entry) {
	if e.User == nil {
		return
	}
	one := r[e.Who]
	if one == nil {
		one = &accessReader{Who: e.Who, users: map[grant.UserID]bool{}}
		r[e.Who] = one
	}
	one.users[*e.User] = true
	one.Reads, one.Persons, one.Most, one.Last = one.Reads+1, len(one.users), max(one.Most, e.Many, 1), e.At
	if e.Why == "" {
		one.Unstated++
	}
}

// sorted returns who read most first.
func (r readers) sorted() []*accessReader {
	out := []*accessReader{}
	for _, one := range r {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b *accessReader) int { return cmp.Or(cmp.Compare(b.Reads, a.Reads), cmp.Compare(a.Who, b.Who)) })
	return out
}

func (r readers) print(w io.Writer) {
	rows := []string{"who\treads\tpersons\tmost at once\twithout a reason\tlast"}
	for _, one := range r.sorted() {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", oneLine(one.Who), text.Number(one.Reads),
			text.Number(one.Persons), text.Number(one.Most), text.Number(one.Unstated), text.Moment(one.Last)))
	}
	if len(rows) == 1 {
		rows = []string{"nobody has read a record"}
	}
	table(w, rows...)
}

func printAccesses(w io.Writer, list []accesslog.Entry) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"n", "at", "who", "from", "what", "user", "at_once", "why"}}
	for _, e := range list {
		user := ""
		if e.User != nil {
			user = e.User.String()
		}
		rows = append(rows, []string{
			strconv.FormatInt(e.N, 10), e.At.Format(time.RFC3339Nano), text.Cell(e.Who), e.From, string(e.What), user,
			strconv.Itoa(max(e.Many, 1)), text.Cell(e.Why),
		})
	}
	return c.WriteAll(rows)
}

func newAccessVerify() *cobra.Command {
	var flags accessFlags
	var known string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Say whether the access log is as it was written",
		Long: `Verify reads the whole access log, and names entries that were changed, left out or put between. It prints
the end of the log: kept elsewhere and given by --known later, it shows that the log was not made anew by
somebody who can write to Redis.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var head accesslog.Head
			var err error
			if known != "" {
				if head, err = accesslog.ParseHead(known); err != nil {
					return usageError(fmt.Errorf("--known: %w", err))
				}
			}
			log, done, err := flags.open()
			if err != nil {
				return err
			}
			defer done()
			v, err := log.Verify(cmd.Context(), head)
			if err != nil {
				return err
			}
			if flags.json {
				err = printJSON(cmd.OutOrStdout(), v)
			} else {
				printVerdict(cmd.OutOrStdout(), v)
			}
			if err == nil && !v.Holds() {
				return &exitError{code: exitFailed}
			}
			return err
		},
	}
	flags.addServers(cmd, flags.jsonFlag, flags.redisFlags)
	cmd.Flags().StringVar(&known, "known", "", "an end of the log that this command printed before, NUMBER:DIGEST")
	return cmd
}

func printVerdict(w io.Writer, v *accesslog.Verdict) {
	for _, wrong := range v.Violations {
		fmt.Fprintf(w, "entry %d: %s\n", wrong.N, wrong.What)
	}
	switch {
	case !v.Holds():
		fmt.Fprintln(w, "the access log is NOT as it was written")
	case v.Head.N == 0:
		fmt.Fprintln(w, "the access log is empty")
	default:
		fmt.Fprintf(
			w,
			"the access log is as it was written: entries %d to %d, %s of them\n",
			v.From,
			v.Head.N,
			text.Number(v.Entries),
		)
		fmt.Fprintf(w, "keep its end elsewhere: %s\n", v.End)
	}
}

func newAccessPurge() *cobra.Command {
	var flags accessFlags
	var before, who, why string
	cmd := &cobra.Command{
		Use:   "purge --before TIME --why TEXT",
		Short: "Remove old entries of the access log",
		Long: `Purge removes the entries before a moment, when the time for which they must be kept is over. The removal is
an entry itself, and what is left can still be verified.

` + exitHelp,
		Example: `  granter access purge --before 2023-01-01T00:00:00+09:00 --why "kept for two years"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := instant("--before", before)
			if err != nil {
				return err
			}
			if at.IsZero() {
				return usageError(errors.New("before when? Say --before, RFC 3339"))
			}
			if err := grant.ValidateWhy(why); err != nil {
				return usageError(fmt.Errorf("%w (--why TEXT)", err))
			}
			name, err := whoami(who)
			if err != nil {
				return err
			}
			log, done, err := flags.open()
			if err != nil {
				return err
			}
			defer done()
			host, _ := os.Hostname()
			n, err := log.Purge(cmd.Context(), at, name, host, why)
			if err != nil {
				return err
			}
			if flags.json {
				return printJSON(cmd.OutOrStdout(), struct {
					Before  time.Time `json:"before"`
					Removed int64     `json:"removed"`
				}{at, n})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s entries before %s are removed\n", text.Number(n), text.Moment(at))
			return nil
		},
	}
	flags.addServers(cmd, flags.jsonFlag, flags.redisFlags)
	f := cmd.Flags()
	f.StringVar(&before, "before", "", "remove what is older than this moment, RFC 3339")
	f.StringVar(&who, "who", "", whoHelp)
	f.StringVar(&why, "why", "", "the reason, for the log")
	return cmd
}
