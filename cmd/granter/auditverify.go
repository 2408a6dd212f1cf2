package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/granter/granter/grant/audit"
)

func newAuditKeygen() *cobra.Command {
	var name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make the keys that sign reports and verify them",
		Long: `Keygen makes a pair of Ed25519 keys: FILE has the private one, which signs reports and belongs to whoever
audits, and FILE.pub the public one, which verifies them and belongs to everybody. Neither file must be
there before.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, public, err := audit.Keygen(name)
			if err != nil {
				return usageError(err)
			}
			line := func(text string) func(*os.File) error {
				return func(f *os.File) error { _, err := fmt.Fprintln(f, text); return err }
			}
			if err := create(args[0], 0o600, line(private)); err != nil {
				return usageError(err)
			}
			if err := create(args[0]+".pub", 0o644, line(public)); err != nil {
				return usageError(err)
			}
			if asJSON {
				return printJSON(
					cmd.OutOrStdout(),
					map[string]string{"private": args[0], "public": args[0] + ".pub", "verifier": public},
				)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s signs reports: keep it secret\n%s.pub verifies them: give it to everybody\n%s\n",
				args[0], args[0], public)
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "granter-audit", "name of the key, which signatures show: a host, for example")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for programs")
	return cmd
}

// Verified is what granter audit verify says of one report.
type Verified struct {
	File    string        `json:"file"`
	SHA256  string        `json:"sha256"`
	At      time.Time     `json:"at"`
	Verdict audit.Verdict `json:"verdict"`
	Report  *audit.Report `json:"report"`
}

func newAuditVerify() *cobra.Command {
	var public string
	var asJSON, korean bool
	cmd := &cobra.Command{
		Use:   "verify --public FILE.pub REPORT...",
		Short: "Verify signed reports, offline",
		Long: `Verify checks the signature of each report, and that each one names the one before it: one that was edited,
exchanged or left out is named. It asks no server. The exit code is that of the last report's verdict.

` + exitHelp,
		Example: `  granter audit verify --public audit.key.pub reports/sorry-2022-*.report`,
		Args:    someReports,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, signed, err := signedReports(public, args)
			if err != nil {
				return err
			}
			reports, err := audit.Chain(signed, v)
			if err != nil {
				return err
			}
			out := make([]Verified, len(reports))
			for i, r := range reports {
				out[i] = Verified{args[i], audit.Name(signed[i]), r.At, r.Verdict, r}
			}
			last := reports[len(reports)-1]
			if asJSON {
				return errors.Join(printJSON(cmd.OutOrStdout(), out), judged(last))
			}
			lang := (&auditFlags{korean: korean}).lang()
			last.Print(cmd.OutOrStdout(), lang)
			fmt.Fprintf(cmd.OutOrStdout(), "\nVERIFIED: %d reports, signed by %s, the last one of %s\n",
				len(out), v.Name(), last.At.Format(time.RFC3339))
			for _, remark := range audit.Remarks(reports) {
				fmt.Fprintln(cmd.OutOrStdout(), "NOTE:", remark)
			}
			return judged(last)
		},
	}
	cmd.Flags().StringVar(&public, "public", "", "file of the public key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array for programs")
	cmd.Flags().BoolVar(&korean, "korean", false, "write for people in Korean")
	return cmd
}

func someReports(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError(errors.New("which report? Name one or more files, oldest first"))
	}
	return nil
}

// signedReports reads reports as they are signed, and whose signature they must have.
func signedReports(public string, names []string) (note.Verifier, [][]byte, error) {
	v, err := verifierOf(public)
	if err != nil {
		return nil, nil, err
	}
	signed := make([][]byte, len(names))
	for i, name := range names {
		if signed[i], err = os.ReadFile(name); err != nil { //nolint:gosec // the auditor names the files
			return nil, nil, usageError(err)
		}
	}
	return v, signed, nil
}

func verifierOf(public string) (note.Verifier, error) {
	if public == "" {
		return nil, usageError(errors.New("whose signature? Name the public key by --public FILE.pub"))
	}
	v, err := audit.Verifier(public)
	if err != nil {
		return nil, usageError(err)
	}
	return v, nil
}
