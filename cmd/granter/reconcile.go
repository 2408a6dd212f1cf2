package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/reconcile"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
)

// reconcileFlags are the settings of granter reconcile.
type reconcileFlags struct {
	connection
	dryRun   bool
	why, who string
}

func newReconcile() *cobra.Command {
	var f reconcileFlags
	cmd := &cobra.Command{
		Use:   "reconcile {-f SPEC | --campaign NAME} --why TEXT FILE|-",
		Short: "Repair what an audit found, where ledger and topic say what is right",
		Long: `Reconcile repairs what an audit found, and the journal has the reason, and who did it:

  missing            granted by hand, since their record is in the topic
  entry_without_bit  the bit is set again, since the journal has the user
  bit_without_entry  an entry by hand says from now on what the bit says: since when it was is not known any more
  granted_twice      the first entry of the user stays, the others lose the user
  unlisted_chunk     the index gets the chunk, or bucket (from the report only)

Of everything else it says what a person has to do, and leaves it alone. FILE is that of granter audit --ids, the report of
granter audit --json (if it names all users), or a list of user IDs who are missing, one a line. Audit again afterwards.

It may be done again: the same file is the same act, which is done to a user once. --dry-run says what it would do, and
writes nothing.

` + exitHelp,
		Example: `  granter audit -f SPEC --ids found.csv
  granter reconcile -f SPEC --dry-run found.csv
  granter reconcile -f SPEC --why "INC-12: missed by the run of 5 January" found.csv`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.reconcile(cmd, args[0]) },
	}
	f.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.redisFlags, f.retryFlag)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and write nothing")
	cmd.Flags().StringVar(&f.why, "why", "", "the reason, for the journal and the audit trail")
	cmd.Flags().StringVar(&f.who, "who", "", whoHelp)
	return cmd
}

// reconciled is what reconcile prints.
type reconciled struct {
	Campaign string                     `json:"campaign"`
	DryRun   bool                       `json:"dry_run,omitempty"`
	Results  map[reconcile.Result]int64 `json:"results"`
	Left     map[audit.Kind]int64       `json:"left"`             // what was found and is not repaired
	Chunks   int                        `json:"chunks,omitempty"` // put back into the index
	Users    []reconcile.Outcome        `json:"users"`
}

func (f *reconcileFlags) reconcile(cmd *cobra.Command, path string) error {
	ctx := cmd.Context()
	who, err := whoami(f.who)
	if err != nil {
		return err
	}
	o := grant.Order{Action: grant.ActionReconcile, Who: who, Via: "cli", Why: f.why}
	if err := o.Validate(); err != nil && !f.dryRun {
		return usageError(err)
	}
	if f.dryRun {
		f.why = "a dry run"
	}
	q, err := f.queryLedger(ctx, f.retryFor)
	if err != nil {
		return err
	}
	defer q.close()
	if q.campaign, _, err = status.InForce(ctx, q.coordination, q.reader, q.campaign); err != nil {
		return err
	}
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // the operator names it
		if err != nil {
			return usageError(err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	work, err := reconcile.Read(data, &q.campaign.Input)
	if err != nil {
		return usageError(fmt.Errorf("%s: %w", path, err))
	}
	store, err := ledger.Open(q.redis, q.campaign, f.patiently(f.retryFor))
	if err != nil {
		return err
	}
	if !f.dryRun && work.Anything() {
		if _, err := q.coordination.Order(ctx, o); err != nil {
			return err
		}
	}
	acts := ledger.NewActs(store, grant.NewRunID(time.Now()))
	users, err := reconcile.Do(ctx, acts, work, who, f.why, f.dryRun)
	out := reconciled{Campaign: q.campaign.Name, DryRun: f.dryRun, Left: work.Left, Chunks: len(work.Chunks), Users: users}
	out.Results = map[reconcile.Result]int64{}
	for _, u := range users {
		out.Results[u.Result]++
	}
	if f.json {
		err = errors.Join(err, printJSON(cmd.OutOrStdout(), out))
	} else {
		printReconciled(cmd.OutOrStdout(), &out)
	}
	if n := out.Results[reconcile.Refused]; err == nil && n > 0 {
		err = fmt.Errorf("%s users were not granted: see why", text.Number(n))
	}
	return err
}

// repairs are what was done about bits and entries, in words.
var repairs = map[reconcile.Result]string{
	ledger.MendedBit:    "the journal had them: their bits %sset again",
	ledger.MendedEntry:  "their bits were set: an entry by hand %sadded, which says so from now on",
	ledger.MendedRepeat: "several entries had them: all but the first %sremoved",
}

func printReconciled(w io.Writer, r *reconciled) {
	would := ""
	if r.DryRun {
		would = "would be "
	}
	fmt.Fprintf(w, "%s: %s users: %s %sgranted, %s had it by now, %s refused\n",
		r.Campaign, text.Number(int64(len(r.Users))), text.Number(r.Results[reconcile.Granted]), would,
		text.Number(r.Results[reconcile.Had]), text.Number(r.Results[reconcile.Refused]))
	for result, what := range repairs {
		if n := r.Results[result]; n > 0 {
			fmt.Fprintf(w, "%s users: %s\n", text.Number(n), fmt.Sprintf(what, would))
		}
	}
	if r.Chunks > 0 {
		fmt.Fprintf(w, "%s chunks %sput back into the index\n", text.Number(int64(r.Chunks)), would)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Left)) {
		fmt.Fprintf(w, "left alone: %s, %s: %s\n", kind, text.Number(r.Left[kind]), reconcile.Next(kind))
	}
	shown := 0
	rows := []string{"\nuser\tresult\twhy"}
	for _, u := range r.Users {
		if u.Result == reconcile.Refused || len(r.Users) <= maxOutcomes {
			if shown++; shown > maxOutcomes {
				break
			}
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s", u.User, u.Result, oneLine(u.Why)))
		}
	}
	if shown > 0 {
		table(w, rows...)
	}
}
