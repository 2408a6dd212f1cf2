package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/text"
)

// replayFlags are the settings of granter rejected replay.
type replayFlags struct {
	letterFlags
	mapping, command string
	format, path     string
	from, tombstones string
	maxID            uint64
	dryRun           bool
	why, who         string
}

func newRejectedReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay {-f SPEC | --campaign NAME} {--map FILE | --command SHELL | --format …} [PARTITION/OFFSET...]",
		Short: "Grant the users of rejected records, once somebody says what the records mean",
		Long: `Replay finds out which users rejected records mean, in one of three ways, and grants them as a run does: with the
time, and with the place of the record, which verify shows.

  --map FILE       two columns, FROM,TO: what the record holds where the ID should be, as text or as 0x and hexadecimal digits,
                   and the user ID that it means
  --command SHELL  is given what each record holds as a line, and answers each with a line: a user ID, or nothing
  --format …       reads the records by other rules than the spec's: --format, --path, --from, --max-id, --tombstones

A record is replayed once, however often this is done, by whomever, and whoever is killed in between: the ledger remembers which
user it was for. What has no user stays where it is, with the new reason. The audit trail has the reason of it all (--why).
--dry-run shows what would come of it, and writes nothing.

` + exitHelp,
		Example: `  granter rejected replay -f SPEC --dry-run --command 'tr -d " "' --reason space
  granter rejected replay -f SPEC --map repaired.csv --why "SUP-77: the app wrote account names"
  granter rejected replay -f SPEC --format json --path user.id --why "half of the producers write JSON"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.why == "" && !f.dryRun {
				return usageError(errors.New("say why: the audit trail keeps it for those who ask tomorrow (--why TEXT), " +
					"or look first (--dry-run)"))
			}
			filter, err := f.filter(args)
			if err != nil {
				return err
			}
			return f.replay(cmd, filter)
		},
	}
	f.addFilterFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.mapping, "map", "", "file of two columns: what a record holds, and the user ID that it means")
	flags.StringVar(&f.command, "command", "", "shell command that answers each line with a user ID, or with an empty line")
	flags.StringVar(&f.format, "format", "", "read the records in another format: decimal, json, int64be or text")
	flags.StringVar(&f.path, "path", "", "with a format that has fields, such as json: where the ID is")
	flags.StringVar(&f.from, "from", "", "read the key or the value (default: as the spec says)")
	flags.StringVar(&f.tombstones, "tombstones", "", "grant: a key without a value is a user like others")
	flags.Uint64Var(&f.maxID, "max-id", 0, "another limit for IDs")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would come of it, and write nothing")
	flags.StringVar(&f.why, "why", "", "the reason, for the audit trail")
	flags.StringVar(&f.who, "who", "", whoHelp)
	return cmd
}

// repair is what the flags say records mean.
func (f *replayFlags) repair(c *grant.Campaign) (rejected.Repair, error) {
	decoder := f.format != "" || f.path != "" || f.from != "" || f.tombstones != "" || f.maxID != 0
	ways := 0
	for _, on := range []bool{f.mapping != "", f.command != "", decoder} {
		if on {
			ways++
		}
	}
	if ways != 1 {
		return nil, errors.New("say in one way what the records mean: --map FILE, --command SHELL, " +
			"or other rules to read them by (--format, --from, …)")
	}
	in := c.Input
	switch {
	case f.mapping != "":
		file, err := os.Open(f.mapping)
		if err != nil {
			return nil, fmt.Errorf("--map: %w", err)
		}
		defer file.Close()
		mapping, err := rejected.ReadMapping(file, in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.mapping, err)
		}
		return rejected.ByMapping(mapping, in), nil
	case f.command != "":
		return rejected.ByCommand(f.command, in), nil
	}
	if f.format != "" {
		in.Format, in.Path = grant.Format(f.format), ""
	}
	if f.path != "" {
		in.Path = f.path
	}
	if in.Format.Schemas() && in.Format != c.Input.Format {
		return nil, fmt.Errorf("--format %s: its schemas would have to be in the spec: say what they mean by --map or --command",
			in.Format)
	}
	if in.Format.Fields() != (in.Path != "") {
		return nil, errors.New("--path and a format with fields, such as --format json, need each other")
	}
	if f.from != "" {
		in.From = grant.Part(f.from)
	}
	if f.tombstones != "" {
		in.Tombstones = grant.Tombstones(f.tombstones)
	}
	if !slices.Contains([]grant.Part{grant.FromKey, grant.FromValue, "", c.Input.From}, in.From) {
		return nil, fmt.Errorf("--from %s: want key or value, or the header that the spec names: letters keep no other",
			f.from)
	}
	if !slices.Contains([]grant.Tombstones{grant.GrantTombstones, grant.RejectTombstones, ""}, in.Tombstones) {
		return nil, fmt.Errorf("--tombstones %s: want grant or reject", f.tombstones)
	}
	if f.maxID != 0 {
		in.MaxID = f.maxID
	}
	k, err := f.kafka()
	if err != nil {
		return nil, err
	}
	return rejected.ByDecoder(in, k)
}

// maxOutcomes is how many outcomes are printed for people; --json has all.
const maxOutcomes = 20

func (f *replayFlags) replay(cmd *cobra.Command, filter rejected.Filter) error {
	ctx := cmd.Context()
	who, err := whoami(f.who)
	if err != nil {
		return err
	}
	q, err := f.letters(ctx)
	if err != nil {
		return err
	}
	defer q.close()
	repair, err := f.repair(q.campaign)
	if err != nil {
		return usageError(err)
	}
	store, err := openReplay(q, f.patiently(f.retryFor))
	if err != nil {
		return err
	}
	outcomes := []rejected.Outcome{}
	r := rejected.Replay{
		Campaign: q.campaign, From: q.source, Store: store, Coordination: q.coordination, Reader: q.reader,
		Record: replayRecord(), Filter: filter, Repair: repair, DryRun: f.dryRun,
		Each: func(o rejected.Outcome) {
			if f.json || len(outcomes) < maxOutcomes && o.Result != rejected.Before {
				outcomes = append(outcomes, o)
			}
		},
	}
	if !f.dryRun { // before anybody is granted
		o := grant.Order{Action: grant.ActionReplay, Who: who, Via: "cli", Why: f.why}
		if err := o.Validate(); err != nil {
			return usageError(err)
		}
		if _, err := q.coordination.Order(ctx, o); err != nil {
			return err
		}
	}
	summary, err := r.Do(ctx)
	if f.json {
		err = errors.Join(f.lettersErrorOf(err), printJSON(cmd.OutOrStdout(), struct {
			rejected.Summary

			Outcomes []rejected.Outcome `json:"outcomes"`
		}{summary, outcomes}))
		return err
	}
	printReplay(cmd.OutOrStdout(), &summary, outcomes)
	return f.lettersErrorOf(err)
}

func (f *replayFlags) lettersErrorOf(err error) error {
	if err == nil {
		return nil
	}
	return f.lettersError(err)
}

func printReplay(w io.Writer, s *rejected.Summary, outcomes []rejected.Outcome) {
	granted := "granted"
	if s.DryRun {
		granted = "would be granted"
	}
	fmt.Fprintf(w, "%s rejected records: %s %s, %s whose users had it before, %s replayed before, %s still bad\n",
		text.Number(s.Letters), text.Number(s.Granted), granted,
		text.Number(s.Duplicate), text.Number(s.Before), text.Number(s.StillBad))
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(s.Reasons)) {
		reasons = append(reasons, fmt.Sprintf("%s %s", reason, text.Number(s.Reasons[reason])))
	}
	if len(reasons) > 0 {
		fmt.Fprintln(w, "still bad:", strings.Join(reasons, ", "))
	}
	if len(outcomes) == 0 {
		return
	}
	rows := []string{"\npartition/offset\twas\tresult\tuser\tstill bad because"}
	for i := range outcomes {
		o := &outcomes[i]
		user := ""
		if o.User != nil {
			user = o.User.String()
		}
		rows = append(rows, fmt.Sprintf("%d/%d\t%s\t%s\t%s\t%s", o.Partition, o.Offset, o.Was, o.Result, user, o.Reason))
	}
	table(w, rows...)
	if s.Letters > int64(len(outcomes)) {
		fmt.Fprintln(w, "--json lists all of them")
	}
}
