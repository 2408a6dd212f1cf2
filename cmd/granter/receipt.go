package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/text"
)

func newReceipt() *cobra.Command {
	var report, campaign, out, public string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "receipt USER --report REPORT|DIR",
		Short: "Make a receipt of one user, which anybody can check offline",
		Long: `Receipt says that a user was granted, when, and what, and leads from that to the signed root of a report
that granter audit --receipts made. It is checked without any server by granter receipt verify, or by
docs/verify_receipt.py. Nothing in it is about another user but how many there are in the same chunk of
65,536 IDs, or in the same bucket where IDs are not dense.

It is made from the file of receipts beside the report, and asks no server. Of a directory of reports the
newest one counts; where it has those of several campaigns, --campaign says which is meant.
A desk makes the same receipts: granter desk --reports DIR.

` + exitHelp,
		Example: `  granter receipt 12345678 --report reports/ --out receipt.json
  granter receipt verify --public audit.key.pub receipt.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := receiptsOf(report, campaign)
			if err != nil {
				return usageError(err)
			}
			all, err := audit.OpenReceipts(file)
			if err != nil {
				return err
			}
			defer all.Close() //nolint:errcheck // it is only read
			if campaign != "" && all.Campaign != campaign {
				return usageError(fmt.Errorf("%s: it is of campaign %s", file, all.Campaign))
			}
			user, err := all.User(args[0])
			if err != nil {
				return usageError(err)
			}
			r, err := all.Of(user)
			switch {
			case errors.Is(err, audit.ErrNotInReport):
				return &exitError{exitNotGranted, err}
			case err != nil:
				return fmt.Errorf("%s: %w", file, err)
			}
			verified := ""
			if public != "" {
				if verified, err = verifyReceipt(r, public); err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
			}
			if out != "" {
				if err := create(out, 0o600, func(f *os.File) error { return printJSON(f, r) }); err != nil {
					return usageError(err)
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			printReceipt(cmd.OutOrStdout(), r)
			fmt.Fprint(cmd.OutOrStdout(), verified)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&report, "report", "", "signed report with its file of receipts beside it, or a directory of them")
	f.StringVar(&campaign, "campaign", "", "name of the campaign, where a directory has reports of several")
	f.StringVar(&out, "out", "", "file for the receipt")
	f.StringVar(&public, "public", "", "file of the public key, to check the receipt by at once")
	f.BoolVar(&asJSON, "json", false, "print one JSON object for programs")
	cmd.AddCommand(newReceiptVerify())
	return cmd
}

// verifyReceipt checks a receipt by a public key, and says that it is good.
func verifyReceipt(r *audit.Receipt, public string) (string, error) {
	v, err := verifierOf(public)
	if err != nil {
		return "", err
	}
	about, err := r.Verify(v)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("VERIFIED: it leads to the root that %s signed in the report of %s, whose verdict is %s\n",
		v.Name(), about.At, about.Verdict), nil
}

// receiptsOf returns the file of receipts that a report, or the newest one of a directory, has beside it.
func receiptsOf(report, campaign string) (string, error) {
	if report == "" {
		return "", errors.New("by which report? Name it by --report: granter audit --report DIR --receipts makes one")
	}
	if !isDirectory(report) {
		file := report + receiptsSuffix
		if _, err := os.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return file, nil // or opening it says why not
		}
		if _, err := os.Stat(report); err != nil {
			return "", fmt.Errorf("there is neither a report nor a directory %s", report)
		}
		return "", fmt.Errorf("%s has no receipts beside it: granter audit --report DIR --receipts leaves them", report)
	}
	names, err := audit.Campaigns(report)
	if err != nil {
		return "", err
	}
	switch {
	case campaign != "":
		names = []string{campaign}
	case len(names) > 1:
		return "", fmt.Errorf("%s has receipts of several campaigns: say which by --campaign: %s",
			report, strings.Join(names, ", "))
	case len(names) == 0:
		names = []string{""}
	}
	file, err := audit.Newest(report, names[0], audit.ReceiptsSuffix)
	if err == nil && file == "" {
		err = fmt.Errorf("%s: %w", report, audit.ErrNoReceipts)
	}
	return file, err
}

func newReceiptVerify() *cobra.Command {
	var public string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify --public FILE.pub RECEIPT",
		Short: "Check a receipt, offline",
		Long: `Verify checks that a receipt leads to the root that is signed in it, that the signature is of the key, and
that its items are those of the spec that was signed. It asks no server.

` + exitHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := verifierOf(public)
			if err != nil {
				return err
			}
			content, err := os.ReadFile(args[0])
			if err != nil {
				return usageError(err)
			}
			r, err := audit.ReadReceipt(content)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			about, err := r.Verify(v)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{
					"verified": true, "key": v.Name(), "report": about, "receipt": r,
				})
			}
			printReceipt(cmd.OutOrStdout(), r)
			fmt.Fprintf(cmd.OutOrStdout(),
				"VERIFIED: it leads to the root that %s signed in the report of %s, whose verdict is %s\n",
				v.Name(), about.At, about.Verdict)
			return nil
		},
	}
	cmd.Flags().StringVar(&public, "public", "", "file of the public key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for programs")
	return cmd
}

func printReceipt(w io.Writer, r *audit.Receipt) {
	how := "by run " + r.Run
	if r.ByHand {
		how = "by hand"
	}
	fmt.Fprintf(w, "user %s: granted %s at %s, %s\n", r.User, r.Campaign, text.Moment(r.At), how)
	rows := make([]string, 0, len(r.Items))
	for _, i := range r.Items {
		rows = append(rows, "  "+i.ID+"\t"+i.Until)
	}
	table(w, rows...)
	if r.Acts {
		fmt.Fprintln(w, "  something was done about this user afterwards, before the report was made: granter verify says what")
	}
}
