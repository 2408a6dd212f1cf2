package audit

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"time"

	"github.com/granter/granter/grant"
)

// Verdict is what an audit comes to.
type Verdict string

// The verdicts.
const (
	Proven    Verdict = "proven"     // everybody below the checkpoint is granted, once, and nobody else
	Refuted   Verdict = "refuted"    // somebody is not, or is who should not be, or the ledger contradicts itself
	NotProven Verdict = "not_proven" // nothing contradicts the promise, and something cannot be seen any more
)

// Report is the outcome of an audit.
type Report struct {
	Format    int           `json:"format"` // 1
	Campaign  string        `json:"campaign"`
	Title     string        `json:"title"`
	Verdict   Verdict       `json:"verdict"`
	Over      bool          `json:"over"` // nothing of the topic waits to be granted
	At        time.Time     `json:"at"`
	Seconds   float64       `json:"seconds"`
	By        string        `json:"by,omitempty"`      // who ran it, as the system knows
	Version   string        `json:"version,omitempty"` // of granter
	Reader    string        `json:"reader,omitempty"`  // what read the topic: granter or franz-go
	Passes    int           `json:"passes"`            // over the topic, because of the limit on memory
	Spec      string        `json:"spec"`              // hash of the spec that is granted by
	IDs       grant.IDs     `json:"ids,omitempty"`     // what users' IDs are, where they are not dense: then chunks are buckets
	Topic     TopicReport   `json:"topic"`
	Ledger    LedgerReport  `json:"ledger"`
	Letters   LettersReport `json:"dead_letters"`
	Expected  int64         `json:"expected,omitempty"` // users by the spec's population; 0: it does not say
	Findings  []Finding     `json:"findings"`
	FirstRuns []grant.RunID `json:"runs,omitempty"` // that granted, oldest first: with them a ledger is known again
	Tree      *TreeReport   `json:"tree,omitempty"`
	Previous  *Link         `json:"previous,omitempty"` // the report before this one

	// Witnesses say, besides the ledger, how far it was; nil: the report is of before they were named.
	Witnesses []Witness `json:"witnesses"`

	Rebuilt []grant.Rebuilt `json:"rebuilt,omitempty"` // when the ledger was made again, oldest first: what it lacks since

	leaves []*chunkLeaf
}

// TreeReport is what the report commits to: see census.go.
type TreeReport struct {
	Size  int    `json:"size"`  // chunks
	Root  string `json:"root"`  // in base64
	Users bool   `json:"users"` // whether it commits to each user, too
	Head  string `json:"head"`  // the root, signed by itself, for receipts
}

// Link names the report before.
type Link struct {
	SHA256 string    `json:"sha256"` // of the signed report, as it is in its file
	At     time.Time `json:"at"`
}

// TopicReport is what the topic holds.
type TopicReport struct {
	Name       string      `json:"name"`
	ID         string      `json:"id"` // of cluster and topic; empty: the brokers do not tell
	Records    int64       `json:"records"`
	Users      int64       `json:"users"`     // distinct, of records below the checkpoint
	Waiting    int64       `json:"waiting"`   // distinct, of records from there on, who are not granted yet
	Malformed  int64       `json:"malformed"` // records
	Digest     string      `json:"digest"`    // of Users
	Partitions []Partition `json:"partitions"`
}

// Partition is what was read of a partition.
type Partition struct {
	Partition  int   `json:"partition"`
	First      int64 `json:"first"`      // the first offset that was still there
	Checkpoint int64 `json:"checkpoint"` // everybody below it must be granted
	End        int64 `json:"end"`        // up to where it was read
	Records    int64 `json:"records"`
	Malformed  int64 `json:"malformed"`
	Lost       int64 `json:"lost,omitempty"` // offsets below the checkpoint that the partition does not reach
}

// LedgerReport is what the ledger holds.
type LedgerReport struct {
	Granted  int64  `json:"granted"` // by runs and by hand
	ByRun    int64  `json:"by_run"`
	ByReplay int64  `json:"by_replay,omitempty"` // by runs, too, of rejected records that were repaired
	ByHand   int64  `json:"by_hand"`
	Excluded int64  `json:"excluded"`
	Acted    int64  `json:"acted"` // users about whom there are acts: revocations, extensions, notes and the like
	Chunks   int64  `json:"chunks"`
	Entries  int64  `json:"entries"`
	Digest   string `json:"digest"` // of everybody whose place is settled, the excluded too: to be held against the topic's
	// GrantedDigest is of those who have it, or had it: that of granter status --prove, digest and export.
	GrantedDigest string  `json:"granted_digest"`
	Takes         []Takes `json:"takes,omitempty"` // of each item that users take
}

// Takes is who took an item.
type Takes struct {
	Item    string `json:"item"`
	Users   int64  `json:"users"`
	Entries int64  `json:"entries"`
	First   int64  `json:"first,omitempty"` // of its quota
}

func (l *LedgerReport) add(h *totals) {
	l.ByRun += h.byRun
	l.ByReplay += h.byReplay
	l.ByHand += h.byHand
	l.Granted += h.byRun + h.byReplay + h.byHand
	l.Excluded += h.excluded
	l.Acted += h.acted
	l.Entries += h.entries
}

// LettersReport is what the dead-letter topic holds.
type LettersReport struct {
	Topic     string `json:"topic"`
	Malformed int64  `json:"malformed"` // records below the checkpoint, which must be in it
	Letters   int64  `json:"letters"`   // of this topic and campaign; one may be there twice
}

func newReport(c *grant.Campaign, at time.Time) *Report {
	out := &Report{
		Format: 1, Campaign: c.Name, Title: c.Title, Spec: c.Hash, Expected: c.Population,
		At:      at.UTC().Truncate(time.Millisecond),
		Topic:   TopicReport{Name: c.Input.Topic},
		Letters: LettersReport{Topic: c.Input.DeadLetterTopic()}, Witnesses: []Witness{},
	}
	if c.Input.Opaque() {
		out.IDs = c.Input.IDs
	}
	return out
}

// finish fills in what all passes came to.
func (a *audit) finish(took time.Duration) {
	r := a.report
	r.Seconds = took.Seconds()
	r.Topic.Partitions = a.sortedPartitions()
	r.Topic.Digest, r.Ledger.Digest, r.Ledger.GrantedDigest = a.users.text(), a.settled.text(), a.granted.text()
	if b := &a.ofBuckets; a.layout != nil {
		r.Topic.Digest, r.Ledger.Digest, r.Ledger.GrantedDigest = b.users.text(), b.settled.text(), b.granted.text()
	}
	for i, index := range a.offers {
		item := &a.Campaign.Items[index]
		r.Ledger.Takes = append(r.Ledger.Takes, Takes{item.ID, a.took[i].users, a.took[i].entries, item.First})
	}
	r.Over = r.Topic.Waiting == 0
	for i := range r.Topic.Partitions {
		p := &r.Topic.Partitions[i]
		r.Topic.Records += p.Records
		r.Topic.Malformed += p.Malformed
		r.Over = r.Over && !a.waits[p.Partition]
	}
	for i := range a.Runs {
		if a.Runs[i].Tally.Granted > 0 && len(r.FirstRuns) < maxRuns {
			r.FirstRuns = append(r.FirstRuns, a.Runs[i].Run)
		}
	}
	if a.Tree != nil {
		r.Tree = treeReport(r.leaves, a.Tree.Users)
	}
	a.sinceThen()
	if a.Complete && !r.Over {
		a.findings.add(NotComplete, "", r.Topic.Waiting, "records wait to be granted, and the whole topic was to be proven",
			"Run the campaign to its end, then audit again")
	}
	r.Findings = a.findings.list()
	r.Verdict = Proven
	for i := range r.Findings {
		if r.Findings[i].Contradicts() {
			r.Verdict = Refuted
			break
		}
		r.Verdict = NotProven
	}
}

const maxRuns = 20

func treeReport(chunks []*chunkLeaf, users bool) *TreeReport {
	leaves := make([]sum, len(chunks))
	for i, l := range chunks {
		leaves[i] = l.hash()
	}
	root := treeRoot(leaves)
	return &TreeReport{Size: len(leaves), Root: base64.StdEncoding.EncodeToString(root[:]), Users: users}
}

// sinceThen compares with the report before: a ledger never has fewer users than before, never less that people did about them,
// and never another spec.
func (a *audit) sinceThen() {
	was, is := a.Previous, a.report
	if was == nil {
		return
	}
	if was.Spec != is.Spec && was.Ledger.Granted > 0 {
		a.findings.add(SpecChanged, "", 1,
			"users were granted by spec "+was.Spec+" when the report before was made, and now it is "+is.Spec, look)
	}
	a.sameLedger()
	if fewer := was.Ledger.Granted - is.Ledger.Granted; fewer > 0 {
		a.findings.add(RolledBack, "", fewer, "the ledger has fewer users than when the report before was made",
			"Restore Redis from a backup, run the campaign once more, and audit again")
	}
	a.takesGone()
	if fewer := was.Ledger.actsBeyond(&is.Ledger); fewer > 0 {
		a.actsGone(fewer)
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
