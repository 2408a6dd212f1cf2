package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/archive"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/text"
)

// newKeeping are the commands that keep and repair a ledger.
func newKeeping() []*cobra.Command {
	return []*cobra.Command{newExport(), newImport(), newDigest(), newRebuild(), newReconcile(), newRejected()}
}

// exportFlags are the settings of granter export.
type exportFlags struct {
	connection
	format   string
	why, who string
}

func newExport() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export {-f SPEC | --campaign NAME} --why TEXT FILE|-",
		Short: "Write the whole ledger of a campaign to one file",
		Long: `Export writes everything that the ledger has of a campaign to one compressed file, which granter import makes a
ledger of again, in another Redis or Cluster; docs/ledger.md and the package grant/archive describe it for other programs.
A run may go on meanwhile: each chunk of users is as of one moment, and the checkpoint is older than all of them, so
whoever restores the file and runs the campaign again leaves nobody out.

The file appears under its name when it is whole. --format csv writes a table for SQL instead: one row for each user and
journal entry, with the time, the run and the flush, or with what somebody did about the user. It cannot be imported.

--format text, json or binary writes the users alone, each once, without those who are excluded: an ID a line, as load, run --only
and verify read a list; an object a line, whose user is a string; or 8 bytes a number, big-endian, 16 a UUID, and a string behind
its length (an unsigned LEB128).

The audit trail has who exported it, and why: the file says who has what.

` + exitHelp,
		Example: `  granter export -f SPEC --why "monthly archive" sorry-2022.ledger
  granter export -f SPEC --why "for finance" --format csv - | gzip > grants.csv.gz
  granter export -f SPEC --why "for the CRM" --format text users.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.export(cmd, args[0]) },
	}
	f.addFlags(cmd, f.anyIDs, f.nameFlag, f.jsonFlag, f.redisFlags, f.retryFlag)
	cmd.Flags().StringVar(&f.format, "format", "granter", "granter; csv: a table for SQL; text, json or binary: the users alone")
	cmd.Flags().StringVar(&f.why, "why", "", "the reason, for the audit trail (required)")
	cmd.Flags().StringVar(&f.who, "who", "", whoHelp)
	return cmd
}

// exported is what export and digest print.
type exported struct {
	Campaign string       `json:"campaign"`
	File     string       `json:"file,omitempty"`
	Bytes    int64        `json:"bytes,omitempty"`
	At       time.Time    `json:"at,omitzero"`
	End      *archive.End `json:"contents,omitempty"`
	Rows     int64        `json:"rows,omitempty"` // of a table
}

func (f *exportFlags) export(cmd *cobra.Command, path string) error {
	ctx := cmd.Context()
	form := archive.UserForm(f.format)
	list := slices.Contains([]archive.UserForm{archive.UsersText, archive.UsersJSON, archive.UsersBinary}, form)
	if f.format != "granter" && f.format != "csv" && !list {
		return usageError(fmt.Errorf("--format %q: want granter, csv, text, json or binary", f.format))
	}
	if path == "-" && (f.json || f.format == "granter") {
		return usageError(errors.New("- is for tables and lists without --json: name a file, which appears when it is whole"))
	}
	q, who, err := f.begin(ctx, grant.ActionExport, f.why, f.who)
	if err != nil {
		return err
	}
	defer q.close()
	store, err := ledger.Open(q.redis, q.campaign, f.patiently(f.retryFor))
	if err != nil {
		return err
	}
	subject, out := archive.NewSubject(store), exported{Campaign: q.campaign.Name, File: path}
	write := func(w io.Writer) (int64, error) { return archive.WriteCSV(ctx, subject, w) }
	if list {
		write = func(w io.Writer) (int64, error) { return archive.WriteUsers(ctx, subject.Reader, q.campaign, form, w) }
	}
	if f.format != "granter" {
		if out.Rows, err = writeTable(cmd.OutOrStdout(), path, write); err != nil || path == "-" {
			return err
		}
	} else {
		about := archive.Header{Campaign: q.campaign.Name, By: who, Version: version}
		header, end, size, err := archive.Export(ctx, subject, about, path)
		if err != nil {
			return err
		}
		out.Bytes, out.At, out.End = size, header.At, &end
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	printExported(cmd.OutOrStdout(), &out)
	return nil
}

// begin opens a ledger for a command that the audit trail is to have.
func (c *connection) begin(ctx context.Context, action grant.Action, why, says string) (*query, string, error) {
	who, err := whoami(says)
	if err != nil {
		return nil, "", err
	}
	o := grant.Order{Action: action, Who: who, Via: "cli", Why: why}
	if err := o.Validate(); err != nil {
		return nil, "", usageError(err)
	}
	q, err := c.queryLedger(ctx, c.retryFor)
	if err != nil {
		return nil, "", err
	}
	if _, err := q.coordination.Order(ctx, o); err != nil {
		q.close()
		return nil, "", err
	}
	return q, who, nil
}

// writeTable writes a table or a list to a file that is whole when it has its name, or to the standard output.
func writeTable(stdout io.Writer, path string, write func(io.Writer) (int64, error)) (int64, error) {
	if path == "-" {
		return write(stdout)
	}
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return 0, err
	}
	rows, err := write(file)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return rows, errors.Join(err, os.Remove(part))
	}
	return rows, os.Rename(part, path)
}

func printExported(w io.Writer, e *exported) {
	if e.End == nil {
		fmt.Fprintf(w, "%s: %s rows in %s\n", e.Campaign, text.Number(e.Rows), e.File)
		return
	}
	if e.File != "" {
		each := ""
		if n := e.End.Granted + e.End.Excluded; n > 0 {
			each = fmt.Sprintf(", %.2f for each user", float64(e.Bytes)/float64(n))
		}
		fmt.Fprintf(w, "%s: %s bytes in %s%s\n", e.Campaign, text.Number(e.Bytes), e.File, each)
	}
	rows := []string{
		"granted\t" + text.Number(e.End.Granted) + " users", "excluded\t" + text.Number(e.End.Excluded) + " users",
		"chunks\t" + text.Number(e.End.Chunks), "digest of the granted users\t" + e.End.Users,
		"digest of the ledger\t" + e.End.Ledger,
	}
	if e.End.SHA256 != "" {
		rows = append(rows, "SHA-256 of the contents\t"+e.End.SHA256)
	}
	table(w, rows...)
}

func newImport() *cobra.Command {
	var c connection
	var says, why string
	cmd := &cobra.Command{
		Use:   "import --why TEXT FILE",
		Short: "Make an empty ledger the one of a file that granter export wrote",
		Long: `Import reads the file to its end, and checks it; then it writes the ledger, of a single Redis or of a Cluster,
wherever the file came from; and then it reads the ledger back and compares. It never adds to a ledger: where Redis has
the campaign already, it fails, unless what it has is what the file has, which is no failure and changes nothing.

While an import is not complete no run, order, desk or other command works on that ledger: each says so. After a kill, do
it again with the same file. The checkpoint is that of the file: granter run goes on from there.

` + exitHelp,
		Example: `  granter import --redis redis-2:6379 --why "moved to the new Redis" sorry-2022.ledger`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := whoami(says)
			if err != nil {
				return err
			}
			o := grant.Order{Action: grant.ActionImport, Who: who, Via: "cli", Why: why}
			if err := o.Validate(); err != nil {
				return usageError(err)
			}
			return c.restore(cmd, args[0], o)
		},
	}
	c.addServers(cmd, c.jsonFlag, c.redisFlags, c.retryFlag)
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the audit trail (required)")
	cmd.Flags().StringVar(&says, "who", "", whoHelp)
	return cmd
}

// restore makes a ledger the one of a file.
func (c *connection) restore(cmd *cobra.Command, path string, o grant.Order) error {
	ctx := cmd.Context()
	header, err := archive.ReadHeader(path)
	if err != nil {
		return usageError(err)
	}
	if !campaign.ValidName(header.Campaign) {
		return usageError(fmt.Errorf("%s: no campaign has the name %q", path, header.Campaign))
	}
	client, err := c.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()
	camp := &grant.Campaign{Name: header.Campaign, Hash: header.Spec}
	store, err := ledger.Open(client, camp, c.patiently(c.retryFor))
	if err != nil {
		return err
	}
	subject := archive.NewSubject(store)
	done, err := archive.Import(ctx, subject, path, ledger.Import{At: time.Now().UTC(), Who: o.Who})
	if err != nil {
		return err
	}
	if !done.Already {
		if _, err := subject.Coordination.Order(ctx, o); err != nil {
			return fmt.Errorf("the import is complete, but the audit trail does not have it: %w", err)
		}
	}
	if c.json {
		return printJSON(cmd.OutOrStdout(), struct {
			exported

			Already bool `json:"already"`
		}{exported{Campaign: header.Campaign, File: path, At: header.At, End: &done.End}, done.Already})
	}
	w := cmd.OutOrStdout()
	if done.Already {
		fmt.Fprintf(w, "%s: the ledger is the one of %s already; nothing was changed\n", header.Campaign, path)
		return nil
	}
	fmt.Fprintf(w, "%s: imported, and read back: it is what was exported at %s by %s\n",
		header.Campaign, text.Moment(header.At), oneLine(header.By))
	printExported(w, &exported{Campaign: header.Campaign, End: &done.End})
	return nil
}

func newDigest() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "digest {-f SPEC | --campaign NAME | FILE}",
		Short: "Print the digests of a ledger, or of an export: the same for the same ledger",
		Long: `Digest reads a ledger, or a file that granter export wrote, to its end, and prints how many users it has, and two
digests: one of who is granted, which a ledger that was rebuilt from Kafka has, too, and one of all that is known of
them: entries, acts and takes. A file is checked on the way.

` + exitHelp,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := exported{}
			if len(args) == 1 {
				if c.spec != "" || c.name != "" {
					return usageError(errors.New("a file, or the ledger of a campaign, not both"))
				}
				header, end, err := archive.ReadFile(args[0], archive.Visit{})
				if err != nil {
					return err
				}
				out = exported{Campaign: header.Campaign, At: header.At, End: &end}
			} else {
				q, err := c.queryLedger(cmd.Context(), c.timeout)
				if err != nil {
					return err
				}
				defer q.close()
				store, err := ledger.Open(q.redis, q.campaign, c.patiently(c.timeout))
				if err != nil {
					return err
				}
				end, err := archive.Digest(cmd.Context(), archive.NewSubject(store))
				if err != nil {
					return err
				}
				out = exported{Campaign: q.campaign.Name, End: &end}
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			fmt.Fprintln(cmd.OutOrStdout(), out.Campaign)
			printExported(cmd.OutOrStdout(), &out)
			return nil
		},
	}
	c.addFlags(cmd, c.anyIDs, c.nameFlag, c.jsonFlag, c.redisFlags)
	return cmd
}
