package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/strict"
	"github.com/granter/granter/grant/text"
)

func newClaimsReports() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reports",
		Short: "Losses that were reported before claims could be filed: import them, see who has not filed",
		Long: `Reports that were taken elsewhere, before claims could be filed, are imported and linked to the claim of the same
business, whichever comes first. A report alone is never paid, and changes no amount.

` + exitHelp,
	}
	cmd.AddCommand(newReportsImport(), newReportsList(), newReportsShow(), newReportsRemind(), newReportsErase())
	return cmd
}

// reportsImportFlags are the settings of granter claims reports import.
type reportsImportFlags struct {
	importFlags
	dryRun bool
}

func newReportsImport() *cobra.Command {
	var flags reportsImportFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import the earlier reports of a CSV or XLSX file",
		Long: `FILE is a CSV file (UTF-8, or CP949) or a workbook (.xlsx) whose first row names the columns, in English or Korean:
number, business_number, reported, reported_loss and, where they are known, business_name, name, phone, email and language. A row
is new, the same as before, or refused; one with other contents under a number that is there is refused, and told with both. All
rows that are right are taken in one transaction; the programme's chained record has the file's name and hash. The file comes
back, by default as FILE with .result before its ending, with two columns more: what became of the row, and what is wrong with it.
The result as a whole is SUCCESS, PARTIAL or FAILED.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return flags.execute(cmd, args[0]) },
	}
	flags.claimsFlags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.programme, "programme", "", "claims programme, a YAML file; without it the one that the database has")
	f.StringVar(&flags.back, "result", "", "where the file with the results goes, .csv or .xlsx")
	f.StringVar(&flags.who, "who", "", whoHelp)
	f.BoolVar(&flags.dryRun, "dry-run", false, "say what would become of the rows, and take none")
	return cmd
}

func (flags *reportsImportFlags) execute(cmd *cobra.Command, path string) error {
	who, write, err := flags.prepare(path)
	if err != nil {
		return err
	}
	data, err := strict.ReadFile(path, intake.MaxFile)
	if err != nil {
		return usageError(err)
	}
	sheet, err := parseSheet(path, data)
	if err != nil {
		return usageError(err)
	}
	return flags.within(cmd, true, func(ctx context.Context, s *store.Store) error {
		p, err := flags.adopt(ctx, s)
		if err != nil {
			return err
		}
		desk := intake.Desk{Store: s, Programme: p}
		got, err := desk.ImportReports(ctx, sheet, intake.ReportSource{Path: path, Data: data},
			store.Actor{Name: who, Duty: claims.Intake}, flags.dryRun)
		if errors.Is(err, intake.ErrFile) {
			return usageError(fmt.Errorf("%s: %w", path, err))
		}
		if err == nil {
			err = write(got.Sheet)
		}
		if err != nil {
			return err
		}
		return flags.tell(cmd, got)
	})
}

func (flags *reportsImportFlags) tell(cmd *cobra.Command, got *intake.ImportedReports) error {
	if flags.json {
		if err := printJSON(cmd.OutOrStdout(), struct {
			*intake.ImportedReports
			Result string `json:"result"`
		}{got, flags.back}); err != nil {
			return err
		}
	} else {
		taken := "were taken in"
		if got.DryRun {
			taken = "would be taken in"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: of %s reports %s %s, %s were there already, %s are wrong; %s businesses have "+
			"a claim: see %s\n",
			got.Status, text.Number(got.Rows), text.Number(got.Taken), taken, text.Number(got.Again), text.Number(got.Wrong),
			text.Number(got.Linked), flags.back)
	}
	if got.Wrong > 0 {
		return fmt.Errorf("%d of %d reports are wrong: mend them in %s, and import that", got.Wrong, got.Rows, flags.back)
	}
	return nil
}

// reportsFlags are the settings of the commands about reports that are there.
type reportsFlags struct {
	programmeFlags
	business, after  string
	notFiled, dryRun bool
	limit            int
}

func newReportsList() *cobra.Command {
	var flags reportsFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List earlier reports, and the claims of their businesses",
		Long: `List prints reports in the order of their numbers, without who made them, and what became of all: how many
businesses reported, handed in a claim, and were paid. --not-filed lists those whose business has handed in none. The access log
keeps who listed which.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.list(cmd) },
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.business, "business", "", "only those of this business number")
	f.BoolVar(&flags.notFiled, "not-filed", false, "only those whose business has handed in no claim")
	f.StringVar(&flags.after, "after", "", "go on after this report, the last one of the page before")
	f.IntVar(&flags.limit, "limit", 100, "how many to list")
	return cmd
}

func (flags *reportsFlags) list(cmd *cobra.Command) error {
	filter := store.ReportFilter{NotFiled: flags.notFiled, After: flags.after, Limit: flags.limit}
	if flags.business != "" {
		unit, err := claims.ParseBusinessNumber(flags.business)
		if err != nil {
			return usageError(fmt.Errorf("--business: %w", err))
		}
		filter.Unit = unit
	}
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		filter.Programme = p.Name
		list, err := s.Reports(ctx, filter)
		if err != nil {
			return err
		}
		counts, err := s.CountReports(ctx, p.Name)
		if err != nil {
			return err
		}
		who, err := whoami("")
		if err == nil {
			err = s.Read(ctx, store.Reading{By: store.Actor{Name: who}, From: store.CommandLine, What: store.ReadList,
				Programme: p.Name, Reports: store.ReportNumbers(list)})
		}
		if err != nil {
			return err
		}
		if flags.json {
			return printJSON(cmd.OutOrStdout(), struct {
				Reports []store.Report     `json:"reports"`
				Counts  store.ReportCounts `json:"counts"`
			}{list, counts})
		}
		rows := []string{"report\tbusiness\treported\treported loss\tclaim\tstate"}
		for i := range list {
			r := &list[i]
			rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", r.Number, r.Unit, text.Moment(r.At),
				text.Number(int64(r.Loss)), r.Claim, r.State))
		}
		table(cmd.OutOrStdout(), rows...)
		fmt.Fprintf(cmd.OutOrStdout(), "\n%s businesses reported (%s reports, %s won): %s handed in a claim, %s did not; "+
			"%s were paid, "+
			"%s reports are reminded of\n", text.Number(counts.Businesses), text.Number(counts.Reports),
			text.Number(int64(counts.Loss)), text.Number(counts.Filed), text.Number(counts.NotFiled), text.Number(counts.Paid),
			text.Number(counts.Reminded))
		return nil
	})
}

func newReportsShow() *cobra.Command {
	var flags reportsFlags
	var actor actorFlags
	cmd := &cobra.Command{
		Use:   "show NUMBER --why TEXT",
		Short: "Show one earlier report, and who made it",
		Long: `Show prints a report with name, phone and e-mail of whoever made it, for support when that person calls. It needs a
reason, and the access log keeps who looked and why.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := actor.actor()
			if err != nil {
				return err
			}
			if actor.why == "" {
				return usageError(errors.New("say by --why what personal data is looked at for"))
			}
			return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
				r, err := s.Report(ctx, p.Name, args[0])
				if err == nil { // what cannot be recorded is not shown
					err = s.Read(ctx, store.Reading{By: by, From: store.CommandLine, What: store.ReadReport, Why: actor.why,
						Programme: p.Name, Reports: []string{r.Number}})
				}
				if err != nil {
					return err
				}
				return flags.printReport(cmd, r)
			})
		},
	}
	flags.addFlags(cmd)
	actor.addFlags(cmd, claims.Intake)
	return cmd
}

func (flags *reportsFlags) printReport(cmd *cobra.Command, r *store.Report) error {
	if flags.json {
		return printJSON(cmd.OutOrStdout(), struct {
			*store.Report
			Reporter *store.Reporter `json:"reporter,omitempty"`
		}{r, r.Reporter})
	}
	w := cmd.OutOrStdout()
	if r.Purged() {
		fmt.Fprintf(w, "report %s was kept for long enough, and is purged\n", r.Number)
		return nil
	}
	fmt.Fprintf(w, "report %s of business %s: reported %s, %s won (import: record %d of the programme)\n", r.Number, r.Unit,
		text.Moment(r.At), text.Number(int64(r.Loss)), r.Import)
	if r.Claim == "" {
		fmt.Fprintln(w, "the business has handed in no claim")
	} else {
		fmt.Fprintf(w, "claim %s: %s\n", r.Claim, r.State)
	}
	if by := r.Reporter; by != nil {
		fmt.Fprintf(w, "%s, %s, %s %s\n", by.Business, by.Name, by.Phone, by.Email)
	} else {
		fmt.Fprintln(w, "who reported has been erased")
	}
	return nil
}

func newReportsRemind() *cobra.Command {
	var flags reportsFlags
	var actor actorFlags
	cmd := &cobra.Command{
		Use:   "remind {--dry-run | --why TEXT}",
		Short: "Remind those who reported and have handed in no claim",
		Long: `Remind makes a notice of each report whose business has handed in no claim, once, however often it is called;
"granter claims notify" sends them, in Korean or English, to those who left an address of its kind. One whose claim comes before
its notice is sent is not told. The programme's chained record keeps who did so and why. Claims must be taken now: "granter claims
amend" says when they are.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.remind(cmd, &actor) },
	}
	flags.addFlags(cmd)
	actor.addFlags(cmd, claims.Intake)
	f := cmd.Flags()
	f.BoolVar(&flags.dryRun, "dry-run", false, "count those who would be reminded, and make no notice")
	return cmd
}

func (flags *reportsFlags) remind(cmd *cobra.Command, actor *actorFlags) error {
	by, err := actor.actor()
	if err != nil {
		return err
	}
	why := actor.why
	if flags.dryRun {
		why = "a dry run"
	}
	if why == "" {
		return usageError(errors.New("say by --why what they are reminded for, or look first by --dry-run"))
	}
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		windows, err := s.Windows(ctx, p)
		if err != nil {
			return err
		}
		if _, closed, open := p.Open(windows, claims.ReportWindow, time.Now()); !open {
			return usageError(fmt.Errorf("claims are not taken now (%s), so nobody is reminded of handing one in: "+
				"extend the window first (granter claims amend)", closed))
		}
		got, err := s.RemindReporters(ctx, p.Name, by, why, flags.dryRun)
		if err != nil {
			return err
		}
		if flags.json {
			return printJSON(cmd.OutOrStdout(), struct {
				store.ReportsReminded
				DryRun bool `json:"dry_run"`
			}{got, flags.dryRun})
		}
		does := "are reminded with the next pass of granter claims notify"
		if flags.dryRun {
			does = "would be reminded"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "those who made %s reports and have handed in no claim %s\n",
			text.Number(got.Reports), does)
		return nil
	})
}

func newReportsErase() *cobra.Command {
	var flags reportsFlags
	var actor actorFlags
	cmd := &cobra.Command{
		Use:   "erase NUMBER --why TEXT",
		Short: "Erase who made an earlier report",
		Long: `Erase deletes name, phone and e-mail of whoever made a report, and a reminder that was not sent. Its number, the
business number and the sum stay, and "granter claims prove" still proves them. Erasing the owner of a claim does the same to the
reports of the business; of a claim that was withdrawn only to those with its owner's phone or e-mail. It cannot be undone, and is
done in the duty privacy.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, err := actor.actor()
			if err != nil {
				return err
			}
			if actor.why == "" {
				return usageError(errors.New("say by --why who reported is erased for"))
			}
			return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
				if err := s.EraseReporter(ctx, p.Name, args[0], by, actor.why); err != nil {
					return err
				}
				if flags.json {
					r, err := s.Report(ctx, p.Name, args[0])
					if err != nil {
						return err
					}
					return printJSON(cmd.OutOrStdout(), r)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "report %s: who made it is erased\n", args[0])
				return nil
			})
		},
	}
	flags.addFlags(cmd)
	actor.addFlags(cmd, claims.Privacy)
	return cmd
}
