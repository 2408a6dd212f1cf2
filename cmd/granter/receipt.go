package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

func newReceipt() *cobra.Command {
	var c connection
	var report, out string
	cmd := &cobra.Command{
		Use:   "receipt USER {-f SPEC | --campaign NAME} --report REPORT",
		Short: "Make a receipt of one user, which anybody can check offline",
		Long: `Receipt says that a user was granted, when, and what, and leads from that to the signed root of a report
that granter audit --receipts made. It is checked without any server by granter receipt verify, or by
docs/verify_receipt.py. Nothing in it is about another user but how many there are in the same chunk of
65,536 IDs.

It needs the file of receipts, which is beside the report, and the ledger.

` + exitHelp,
		Example: `  granter receipt 12345678 --campaign sorry-2022 --report reports/sorry-2022.report --out receipt.json
  granter receipt verify --public audit.key.pub receipt.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if report == "" {
				return usageError(errors.New("by which report? Name it by --report: granter audit --report --receipts makes one"))
			}
			q, err := c.queryLedger(cmd.Context(), c.timeout)
			if err != nil {
				return err
			}
			defer q.close()
			file, err := os.Open(report + receiptsSuffix) //nolint:gosec // the operator names the file
			if err != nil {
				return usageError(err)
			}
			defer file.Close()
			all, err := audit.ReadReceipts(file)
			if err != nil {
				return fmt.Errorf("%s: %w", file.Name(), err)
			}
			camp, _, err := status.InForce(cmd.Context(), q.coordination, q.reader, q.campaign)
			if err != nil {
				return err
			}
			user, err := userid.Parse(args[0], camp.Input.MaxID)
			if err != nil {
				return usageError(err)
			}
			r, err := all.Of(cmd.Context(), q.reader, camp, user)
			switch {
			case errors.Is(err, audit.ErrNotInReport):
				return &exitError{exitNotGranted, err}
			case err != nil:
				return err
			}
			if out != "" {
				if err := create(out, 0o600, func(f *os.File) error { return printJSON(f, r) }); err != nil {
					return usageError(err)
				}
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), r)
			}
			printReceipt(cmd.OutOrStdout(), r)
			return nil
		},
	}
	c.addFlags(cmd, c.nameFlag, c.jsonFlag, c.redisFlags)
	cmd.Flags().StringVar(&report, "report", "", "signed report, with its file of receipts beside it")
	cmd.Flags().StringVar(&out, "out", "", "file for the receipt")
	cmd.AddCommand(newReceiptVerify())
	return cmd
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
			var r audit.Receipt
			if err := json.Unmarshal(content, &r); err != nil {
				return fmt.Errorf("%s: no receipt: %w", args[0], err)
			}
			if err := r.Verify(v); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"verified": true, "key": v.Name(), "receipt": &r})
			}
			printReceipt(cmd.OutOrStdout(), &r)
			fmt.Fprintf(cmd.OutOrStdout(), "VERIFIED: it leads to the root that %s signed\n", v.Name())
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
