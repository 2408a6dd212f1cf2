package audit

import (
	"fmt"
	"slices"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/text"
)

// actsBeyond counts users of whom l has something that people did, or that replays did, and later has not. Nothing that people do
// ends that: who is reinstated after an exclusion counts as granted by hand, and where an entry by hand is one too many, its
// repair is noted as another act.
func (l *LedgerReport) actsBeyond(later *LedgerReport) int64 {
	settled := l.ByHand + l.Excluded - later.ByHand - later.Excluded
	acted := l.Acted - later.Acted
	return max(0, settled+min(0, acted)) + max(0, acted) + max(0, l.ByReplay-later.ByReplay)
}

// ByPeople says in words what people and replays did.
func (l *LedgerReport) ByPeople() string {
	return fmt.Sprintf("%s users granted by hand, %s excluded, %s with other acts (revoked, extended, moved, noted), "+
		"%s granted by replays of rejected records",
		text.Number(l.ByHand), text.Number(l.Excluded), text.Number(l.Acted), text.Number(l.ByReplay))
}

// actsGone says that the ledger has less of what people did than it had. Only counts are known of before: a report names nobody
// about whom nothing is found.
func (a *audit) actsGone(fewer int64) {
	do := "Restore Redis from a backup, or make the ledger again of an export (granter rebuild --from)"
	why := a.remade()
	if why != "" {
		do = "Do again what people did, by the lists and requests that it was done by, or make the ledger again of an export: " +
			"exclude first (granter exclude; who was granted meanwhile: granter revoke), then granter grant-user, revoke and " +
			"the like, and granter rejected replay. The report before is the proof of how much it was"
	}
	a.findings.add(ActsGone, "", fewer, fmt.Sprintf(
		"when the report before was made there were %s; now there are %s%s",
		a.Previous.Ledger.ByPeople(), a.report.Ledger.ByPeople(), why), do)
}

// takesGone says that fewer users took an item than had when the report before was made: nobody gives anything back.
func (a *audit) takesGone() {
	for _, was := range a.Previous.Ledger.Takes {
		now := int64(0)
		for _, is := range a.report.Ledger.Takes {
			if is.Item == was.Item {
				now = is.Users
			}
		}
		if now < was.Users {
			a.findings.add(TakesGone, was.Item, was.Users-now, fmt.Sprintf(
				"%s users had taken %s when the report before was made, and %s have now%s", text.Number(was.Users), was.Item,
				text.Number(now), a.remade()),
				"Have them take it again, by what they took it by (granter take --topic TOPIC --from-start, or --csv FILE), "+
					"or restore Redis from a backup")
		}
	}
}

// remade says that the ledger was made again since the report before; empty: nobody has said so.
func (a *audit) remade() string {
	if n := len(a.Rebuilt); n > 0 && a.Rebuilt[n-1].At.After(a.Previous.At) {
		return ". It was " + a.Rebuilt[n-1].String()
	}
	return ""
}

// sameLedger says that the ledger is not the one of the report before, by the first run that had granted somebody then.
func (a *audit) sameLedger() {
	first := a.Previous.FirstRuns
	if len(first) == 0 || slices.ContainsFunc(a.Runs, func(r grant.RunRecord) bool { return r.Run == first[0] }) {
		return
	}
	a.findings.add(LedgerChanged, "", 1, fmt.Sprintf(
		"run %s, by which users were granted when the report before was made, is not in the ledger: it was made again, or is "+
			"another one%s", first[0], a.remade()),
		"Since when users have it is known from an export or a backup of before only, and from receipts by the reports of "+
			"before. The next audit begins with this ledger")
}
