package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant"
)

// Witness is what says, besides the ledger, how far the ledger was: it contradicts one that was put back to an older state. A
// ledger of before is consistent in itself, so without a witness it looks like one that is on its way.
type Witness string

// The witnesses.
const (
	WitnessGroup   Witness = "group_offsets" // what Kafka has for the campaign's group, until that expires or is deleted
	WitnessReport  Witness = "report_before"
	WitnessLetters Witness = "dead_letters" // where they contradict it: only runs that rejected something leave any
)

// witness notes one.
func (a *audit) witness(w Witness) {
	if !slices.Contains(a.report.Witnesses, w) {
		a.report.Witnesses = append(a.report.Witnesses, w)
	}
}

// unwitnessed reports whether nothing whole says how far the ledger was, and records wait, as they would if it had been put back.
func (r *Report) unwitnessed() bool {
	return r.Witnesses != nil && !r.Over && !slices.Contains(r.Witnesses, WitnessGroup) &&
		!slices.Contains(r.Witnesses, WitnessReport)
}

// unseen is how old a run is at least whose record must be in the ledger, whatever the clocks of its machine and of this one: it
// stores one before it reads anything.
const unseen = 10 * time.Minute

// stranger reports whether the ledger should know a run that wrote a dead letter, and does not.
func (a *audit) stranger(run grant.RunID) bool {
	if a.known == nil {
		a.known = map[grant.RunID]bool{}
		for i := range a.Runs {
			a.known[a.Runs[i].Run] = true
		}
	}
	return len(a.Rebuilt) == 0 && !a.known[run] && run.Start().Before(a.report.At.Add(-unseen))
}

// strangers says that dead letters are of records that wait, and of runs that the ledger does not know. Once the records are
// read again, they say nothing any more.
func (a *audit) strangers(where string, n int64, first Letter) {
	if n == 0 {
		return
	}
	a.witness(WitnessLetters)
	a.findings.add(LedgerChanged, where, n, fmt.Sprintf(
		"records that wait to be read were rejected before, by runs that the ledger does not know (record %d/%d by run %s): "+
			"it was put back to an older state, or made again, or those runs had another ledger",
		first.Partition, first.Offset, first.Run),
		"If there is a later backup of Redis, restore that. Then run the campaign once more, which reads from the checkpoint "+
			"and grants nobody twice, and audit again")
}
