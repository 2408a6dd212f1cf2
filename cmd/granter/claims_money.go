package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/balance"
	"github.com/granter/granter/grant/claims/store"
)

// moneyFlags are the settings of granter claims report money.
type moneyFlags struct {
	programmeFlags
	key, dir string
	patience time.Duration
	korean   bool
}

func newClaimsMoney() *cobra.Command {
	var flags moneyFlags
	cmd := &cobra.Command{
		Use:   "money --key FILE --out DIRECTORY",
		Short: "Leave the day's report of the money, signed: promised, sent, settled, returned, to the won",
		Long: `Money computes how a programme's money stands, by its claims, its payments and the books of its budget, which must
agree to the won, and leaves a signed report in a directory. The report names the one before it there and the end of the history
that it was made of, so none can be exchanged or left out later ("granter claims report verify"). The key is one of "granter audit
keygen". Run it once a day, from a timer: each run makes a report. Without --key it only prints.

Exit code 1: sums do not agree, or answers of the bank do not fit. The report is left all the same.

` + exitHelp,
		Example: `  granter claims report money --key audit.key --out reports/ --database claims.db
  granter claims report verify --public audit.key.pub reports/outage-2022-*.money`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.key, "key", "", "file of the private key that signs: granter audit keygen makes one")
	f.StringVar(&flags.dir, "out", "", "directory of the reports, which are chained")
	f.DurationVar(&flags.patience, "within", 24*time.Hour, "how long the bank may take before it is to be asked about a payment")
	f.BoolVar(&flags.korean, "korean", false, "write for people in Korean")
	return cmd
}

func (flags *moneyFlags) execute(cmd *cobra.Command) error {
	if (flags.key == "") != (flags.dir == "") {
		return usageError(errors.New("--key signs a report that --out leaves: give both, or neither to print it only"))
	}
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		if flags.key == "" {
			r, err := balance.New(ctx, s, p, flags.patience)
			if err != nil {
				return err
			}
			return flags.show(cmd, r, nil, "")
		}
		signer, verifier, err := audit.Signer(flags.key)
		if err != nil {
			return usageError(err)
		}
		release, err := lockReports(ctx, flags.dir)
		if err != nil {
			return err
		}
		defer release()
		text, before, err := reportBefore(flags.dir, p.Name, verifier)
		if err != nil {
			return usageError(err)
		}
		r, err := balance.New(ctx, s, p, flags.patience)
		if err != nil {
			return err
		}
		signed, err := r.Sign(signer, before, text)
		if err != nil {
			return err
		}
		path := filepath.Join(flags.dir, r.FileName())
		if err := create(path, 0o644, func(f *os.File) error { _, err := f.Write(signed); return err }); err != nil {
			return err
		}
		return flags.show(cmd, r, before, path)
	})
}

// lockReports keeps others from leaving a report in a directory meanwhile: each names the one before.
func lockReports(ctx context.Context, dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, usageError(err)
	}
	lock := flock.New(filepath.Join(dir, lockName))
	if _, err := lock.TryLockContext(ctx, lockAsked); err != nil {
		return nil, fmt.Errorf("%s: reports that are chained need a directory that can be locked: %w", dir, err)
	}
	return func() { _ = lock.Close() }, nil
}

// reportBefore is the last report of a directory; nil: there is none.
func reportBefore(dir, programme string, v note.Verifier) ([]byte, *balance.Report, error) {
	name, err := audit.Newest(dir, programme, balance.Suffix)
	if err != nil || name == "" {
		return nil, nil, err
	}
	signed, err := os.ReadFile(name) //nolint:gosec // it is in the operator's directory
	if err != nil {
		return nil, nil, err
	}
	before, err := balance.Open(signed, v)
	if err != nil {
		return nil, nil, fmt.Errorf("the report before, %s: %w: begin a new chain elsewhere, if that is meant", name, err)
	}
	return signed, before, nil
}

func (flags *moneyFlags) show(cmd *cobra.Command, r, before *balance.Report, path string) error {
	if flags.json {
		return errors.Join(printJSON(cmd.OutOrStdout(), struct {
			File string `json:"file,omitempty"`
			*balance.Report
		}{path, r}), r.Err())
	}
	if err := r.Print(cmd.OutOrStdout(), before, languageOf(flags.korean)); err != nil {
		return err
	}
	if path != "" {
		fmt.Fprintf(cmd.OutOrStdout(), "\nsigned: %s\n", path)
	}
	return r.Err()
}

func languageOf(korean bool) string {
	if korean {
		return "ko"
	}
	return "en"
}

func newClaimsMoneyVerify() *cobra.Command {
	var public string
	var asJSON, korean bool
	cmd := &cobra.Command{
		Use:   "verify --public FILE.pub REPORT...",
		Short: "Verify signed reports of the money, offline",
		Long: `Verify checks the signature of each report, and that each one names the one before it: one that was edited,
exchanged or left out is named. It asks no database. It prints the last report, and how it differs from the one before.

` + exitHelp,
		Example: `  granter claims report verify --public audit.key.pub reports/outage-2022-*.money`,
		Args:    someReports,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, signed, err := signedReports(public, args)
			if err != nil {
				return err
			}
			reports, err := balance.Chain(signed, v)
			if err != nil {
				return err
			}
			last := reports[len(reports)-1]
			if asJSON {
				return errors.Join(printJSON(cmd.OutOrStdout(), reports), last.Err())
			}
			var before *balance.Report
			if len(reports) > 1 {
				before = reports[len(reports)-2]
			}
			if err := last.Print(cmd.OutOrStdout(), before, languageOf(korean)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "\nVERIFIED: %d reports, signed by %s\n", len(reports), v.Name())
			return last.Err()
		},
	}
	cmd.Flags().StringVar(&public, "public", "", "file of the public key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array for programs")
	cmd.Flags().BoolVar(&korean, "korean", false, "write for people in Korean")
	return cmd
}
