package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/archive"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/text"
)

// before reads the report of the last audit of the ledger that was lost; nil: none is named.
func (f *rebuildFlags) before(camp *grant.Campaign) (*audit.Report, error) {
	switch {
	case f.report == "" && f.public != "":
		return nil, usageError(errors.New("--public verifies a report: name that by --report"))
	case f.report == "":
		return nil, nil
	}
	v, err := verifierOf(f.public)
	if err != nil {
		return nil, err
	}
	signed, err := os.ReadFile(f.report)
	if err != nil {
		return nil, usageError(err)
	}
	r, err := audit.Open(signed, v)
	if err == nil && r.Campaign != camp.Name {
		err = fmt.Errorf("it is of campaign %s, not of %s", r.Campaign, camp.Name)
	}
	if err != nil {
		return nil, usageError(fmt.Errorf("%s: %w", f.report, err))
	}
	return r, nil
}

// lacks says before anything is done what will not come back.
func (p *rebuildPlan) lacks(w io.Writer, before *audit.Report) {
	fmt.Fprintf(w, "granter: a rebuild %s does not bring back what only the lost ledger said:\n", p.parts())
	since := ""
	if p.export != nil {
		since = " since the export"
	}
	fmt.Fprintf(w, "  users whom people granted, excluded, revoked, extended, moved or noted something about%s: "+
		"who was excluded by hand is granted, who was revoked has it again\n", since)
	fmt.Fprintf(w, "  items that users took, rejected records that were replayed, and orders%s\n", since)
	fmt.Fprintf(w, "  since when users have it, so that items which end some time after the grant end later%s\n",
		map[bool]string{true: ", of those who came after the export"}[p.export != nil])
	switch {
	case before != nil:
		fmt.Fprintf(w, "By the report of %s there were %s.\n", before.At.Format(time.RFC3339), before.Ledger.ByPeople())
	case p.export == nil:
		fmt.Fprintln(w, "An export has all of that, up to its moment (--from FILE). The last report of an audit says of how "+
			"many users it is (--report FILE --public KEY.pub).")
	default:
		fmt.Fprintln(w, "The last report of an audit says of how many users it is (--report FILE --public KEY.pub).")
	}
	if p.export == nil {
		fmt.Fprintln(w, "Users whom people had excluded: exclude them again before this (granter exclude). "+
			"The spec's own lists are read anyway.")
	}
	fmt.Fprintln(w, "The ledger keeps the mark of this; status and audits show it.")
}

func (p *rebuildPlan) parts() string { return (&grant.Rebuilt{Export: p.export}).Parts() }

// same says whether the granted users are those of the report.
func same(w io.Writer, before *audit.Report, now *archive.End) {
	if before == nil {
		return
	}
	switch was := cmp.Or(before.Ledger.GrantedDigest, before.Ledger.Digest); was { // an older granter had one digest only
	case now.Users:
		fmt.Fprintf(w, "they are the users of the report of %s: it has the same digest\n", before.At.Format(time.RFC3339))
	default:
		fmt.Fprintf(w, "they are NOT the users of the report of %s, which had %s users granted, %s of them by hand, and %s "+
			"excluded (digest %s): the next audit, with that report, names what is missing\n", before.At.Format(time.RFC3339),
			text.Number(before.Ledger.Granted), text.Number(before.Ledger.ByHand), text.Number(before.Ledger.Excluded),
			was)
	}
}
