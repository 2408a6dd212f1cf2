package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/granter/granter/grant"
)

// Kind says what is wrong. It is part of the report's format.
type Kind string

// What an audit finds. Those of users name them, each exactly.
const (
	Missing          Kind = "missing"           // in a record below the checkpoint, and not in the ledger
	Extra            Kind = "extra"             // granted by a run, and in no record of the topic
	Twice            Kind = "granted_twice"     // in two entries of the journal that each grant
	BitOnly          Kind = "bit_without_entry" // settled by the bitmap, and in no entry
	EntryOnly        Kind = "entry_without_bit" // in an entry, and not settled by the bitmap
	Excluded         Kind = "excluded_differs"  // the bitmap of who is excluded is not what the journal says
	OutsideCanary    Kind = "outside_canary"    // granted by a canary that should have withheld them
	Swapped          Kind = "swapped_chunk"     // a chunk has what another one should have
	Misplaced        Kind = "misplaced"         // in a bucket that is not the user's: nobody looks there
	Unreadable       Kind = "unreadable"        // a key or an entry that no granter writes
	Unlisted         Kind = "unlisted_chunk"    // the index lacks a chunk that is there
	NoLetter         Kind = "rejected_unkept"   // a malformed record that is not in the dead-letter topic
	StrayLetter      Kind = "stray_letter"      // a dead letter of a record that is not malformed
	TopicChanged     Kind = "topic_changed"     // the topic is not the one that was granted
	PartitionAdded   Kind = "partition_added"   // a partition that no run has read
	Truncated        Kind = "truncated"         // a partition ends before the checkpoint
	RolledBack       Kind = "rolled_back"       // the ledger was further than it is
	ActsGone         Kind = "acts_gone"         // what people did about users is not in the ledger any more
	LedgerChanged    Kind = "ledger_changed"    // the ledger is not the one of the report before, or of dead letters
	SpecChanged      Kind = "spec_changed"      // the spec is not the one of the report before
	RecordsGone      Kind = "records_gone"      // retention removed records that would have to be read
	LettersGone      Kind = "letters_gone"      // malformed records whose dead letters are gone
	Unprovable       Kind = "unprovable"        // users whose records are gone
	HeldBack         Kind = "held_back"         // records behind an open transaction, below the checkpoint
	NotComplete      Kind = "not_complete"      // records wait, and the audit was asked for the whole topic
	LetterUnreadable Kind = "letter_unreadable" // a dead letter without the headers that say where it is from

	// TookUngranted and those below it are of items that users take.
	TookUngranted Kind = "took_ungranted"         // by whoever is not granted
	TookEarly     Kind = "took_early"             // before the grant
	TookBarred    Kind = "took_barred"            // while revoked, recalled, or moved to another account
	TookLate      Kind = "took_late"              // at take_until, or later
	TookTwice     Kind = "taken_twice"            // in two entries
	TakeBitOnly   Kind = "take_bit_without_entry" // by the bitmap, and in no entry
	TakeEntryOnly Kind = "take_entry_without_bit" // in an entry, and not by the bitmap
	TakeTime      Kind = "take_time_differs"      // the time of a take is not that of its entry
	QuotaExceeded Kind = "quota_exceeded"         // after others took the last of the first
	QuotaDiffers  Kind = "quota_differs"          // the counter of a quota is not what the entries say
	TakesGone     Kind = "takes_gone"             // fewer users took it than when the report before was made
)

// undecided are the kinds that contradict nothing: something cannot be seen any more.
var undecided = []Kind{TopicChanged, PartitionAdded, Truncated, RecordsGone, LettersGone, Unprovable, HeldBack, NotComplete,
	LedgerChanged}

// Finding is one thing that speaks against the promise, or that keeps it from being proven.
type Finding struct {
	Kind  Kind     `json:"kind"`
	Where string   `json:"where"`           // "chunk 12", "partition 3", a key of Redis; empty: of the whole campaign
	Count int64    `json:"count"`           // of users, or of records
	Users []string `json:"users,omitempty"` // the first of them, or partition/offset of the first records
	What  string   `json:"what"`
	Do    string   `json:"do"` // what to do next
}

// Contradicts reports whether the finding speaks against the promise, and not only against its proof.
func (f *Finding) Contradicts() bool { return !slices.Contains(undecided, f.Kind) }

// namedUsers is how many users a finding names.
const namedUsers = 20

// maxFindings is how many findings a report has of each kind. Counts go on.
const maxFindings = 100

// findings collects what is found. It is safe for concurrent use.
type findings struct {
	ids IDs

	mu     sync.Mutex
	all    map[string]*Finding // by kind and place
	of     map[Kind]int
	more   map[Kind]int64 // findings that are counted only
	failed error          // of the file of IDs
}

// IDs takes every user that an audit finds something about. It is called by one goroutine at a time.
type IDs interface {
	Add(kind Kind, user grant.UserID) error
}

func newFindings(ids IDs) *findings {
	return &findings{ids: ids, all: map[string]*Finding{}, of: map[Kind]int{}, more: map[Kind]int64{}}
}

// add adds one that is not about users.
func (f *findings) add(kind Kind, where string, count int64, what, do string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.get(kind, where, what, do)
	found.Count = max(found.Count, count) // each pass says so again
}

// records adds records of a partition, which are named by their offsets.
func (f *findings) records(kind Kind, partition int, offsets *places, what, do string) {
	n, first := offsets.some(namedUsers)
	if n == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.get(kind, fmt.Sprintf("partition %d", partition), what, do)
	found.Count += n
	for _, offset := range first {
		found.Users = append(found.Users, fmt.Sprintf("%d/%d", partition, offset))
	}
}

// users adds the users of a page; an empty one adds nothing.
func (f *findings) users(kind Kind, chunk uint64, who *page, what string) {
	n := who.count()
	if n == 0 {
		return
	}
	f.name(kind, fmt.Sprintf("chunk %d", chunk), n, what, func(one func(grant.UserID)) {
		who.each(func(low uint16) { one(grant.NumberID(chunk<<chunkBits | uint64(low))) })
	})
}

// members adds users of a bucket; none adds nothing.
func (f *findings) members(kind Kind, bucket uint64, who []grant.UserID, what string) {
	if len(who) == 0 {
		return
	}
	f.name(kind, fmt.Sprintf("bucket %d", bucket), int64(len(who)), what, func(one func(grant.UserID)) {
		for _, user := range who {
			one(user)
		}
	})
}

// name adds so many users, whom each hands over.
func (f *findings) name(kind Kind, where string, n int64, what string, each func(one func(grant.UserID))) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.get(kind, where, what, remedies[kind])
	found.Count += n
	each(func(user grant.UserID) {
		if len(found.Users) < namedUsers {
			found.Users = append(found.Users, user.String())
		}
		if f.ids != nil && f.failed == nil {
			f.failed = f.ids.Add(kind, user)
		}
	})
}

func (f *findings) get(kind Kind, where, what, do string) *Finding {
	key := string(kind) + "\x00" + where + "\x00" + what
	if found := f.all[key]; found != nil {
		return found
	}
	found := &Finding{Kind: kind, Where: where, What: what, Do: do}
	if f.of[kind]++; f.of[kind] > maxFindings {
		key = string(kind) + "\x00more"
		if more := f.all[key]; more != nil {
			return more
		}
		found.Where, found.What = "elsewhere", fmt.Sprintf("the same in more than %d places", maxFindings)
	}
	f.all[key] = found
	return found
}

// list returns what was found: what contradicts first, then by kind and place.
func (f *findings) list() []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Finding, 0, len(f.all))
	for _, found := range f.all {
		out = append(out, *found)
	}
	slices.SortFunc(out, func(a, b Finding) int {
		if a.Contradicts() != b.Contradicts() {
			return map[bool]int{true: -1, false: 1}[a.Contradicts()]
		}
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(len(a.Where), len(b.Where)), cmp.Compare(a.Where, b.Where),
			cmp.Compare(a.What, b.What))
	})
	return out
}

const (
	repair      = "granter audit --ids FILE, then granter reconcile FILE"
	lookAtTakes = "granter verify says by which run they took it, and granter history who started that. " + look
	look        = "Somebody wrote to the ledger's keys: keep a copy of Redis, find out who, and restore it from a backup"
)

// remedies are what to do about users.
var remedies = map[Kind]string{
	Missing: "Run the campaign once more, if the ledger was put back to an older state; else grant them by hand: " + repair,
	Extra:   "Find out who was granted without a record: granter verify says by which run. " + look,
	Twice: "Somebody wrote to the ledger's keys: keep a copy of Redis, and find out who. The first entry counts, and the " +
		"others are taken out: " + repair,
	BitOnly: "The user counts as granted, and nothing says since when. Restore Redis from a backup that knows, or have " +
		"an entry made that says so from now on: " + repair,
	EntryOnly:     "The user was granted, and is not any more, though the journal has it. The bit is set again: " + repair,
	Excluded:      look,
	OutsideCanary: "The canary's share or the campaign's name was changed between runs: look at granter status",
	Swapped:       look,
	Misplaced:     look,
	TookUngranted: "Whoever is granted may keep it, once they are: audit again after reconcile. Else " + lookAtTakes,
	TookEarly:     lookAtTakes,
	TookBarred:    lookAtTakes,
	TookLate:      lookAtTakes,
	TookTwice:     look,
	TakeBitOnly:   look,
	TakeEntryOnly: look,
	TakeTime:      look,
	QuotaExceeded: lookAtTakes,
	Unprovable:    "Their records are gone from the topic. Keep audits that were made before retention: they are the proof",
}
