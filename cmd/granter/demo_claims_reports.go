//go:build demo

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/intake/intaketest"
	"github.com/granter/granter/grant/text"
)

// reported imports what owners reported before anything could be claimed: half of those who claim later, and as many who never
// do.
func (d *claimsDemo) reported(ctx context.Context) error {
	sheet := [][]string{{"number", "business_number", "reported", "reported_loss", "phone", "email"}}
	for i := range d.n {
		of := i
		if i%2 == 1 {
			of = d.n + i // whose claim never comes
		}
		form := intaketest.Form(of)
		sheet = append(sheet, []string{fmt.Sprintf("2022-%05d", i), form.BusinessNumber, "2022-10-19",
			fmt.Sprint(20_000 * (1 + i%20)), form.Phone, form.Email})
	}
	var file bytes.Buffer
	if err := intake.WriteCSV(&file, sheet); err != nil {
		return err
	}
	if err := os.WriteFile(d.file("reports.csv"), file.Bytes(), 0o600); err != nil {
		return err
	}
	d.say("%s businesses reported a loss somewhere else, before anything could be claimed: that is imported, and linked "+
		"to their claims\n",
		text.Number(d.n))
	return d.run(ctx, "claims", "reports", "import", d.file("reports.csv"), "--programme", d.file("programme.yaml"),
		"--who", "kim")
}

// remind has those reminded who reported and did not go on.
func (d *claimsDemo) remind(ctx context.Context) error {
	d.say("\nwho reported and has not claimed is reminded, once\n")
	return d.run(ctx, "claims", "reports", "remind", "--who", "kim", "--why", "two months are left")
}
