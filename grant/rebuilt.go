package grant

import (
	"fmt"
	"time"
)

// Rebuilt says that a ledger was made again because Redis had lost it. It stays with the ledger: who is granted is the same as
// before, and what neither the topic nor the export says is not known any more.
type Rebuilt struct {
	At     time.Time  `json:"at"` // when it began, by the clock of Redis
	Who    string     `json:"who"`
	Done   *time.Time `json:"done,omitempty"`   // nil: it goes on, or was cut off
	Export *Export    `json:"export,omitempty"` // nil: of the topic alone
}

// Export is a file that has a whole ledger.
type Export struct {
	At     time.Time `json:"at"`     // of what it has
	SHA256 string    `json:"sha256"` // of its contents
}

// Of reports whether the ledger is made of this export; nil: of the topic alone.
func (r *Rebuilt) Of(e *Export) bool {
	return r.Export == nil && e == nil || r.Export != nil && e != nil && r.Export.SHA256 == e.SHA256
}

// Parts says of what the ledger was made.
func (r *Rebuilt) Parts() string {
	if r.Export == nil {
		return "of the topic alone"
	}
	return fmt.Sprintf("of an export of %s and the rest of the topic", r.Export.At.UTC().Format(time.RFC3339))
}

// Lacks says what is not in the ledger.
func (r *Rebuilt) Lacks() string {
	when := "before"
	if r.Export != nil {
		when = "between the export and then"
	}
	return "what people did about users " + when + " is not in it (grants by hand, exclusions, revocations and other acts), " +
		"nor are takes, replayed records, orders, and since when users had it"
}

func (r *Rebuilt) String() string {
	cut := ""
	if r.Done == nil {
		cut = ", not to its end yet"
	}
	return fmt.Sprintf("made again at %s by %s, %s%s: %s", r.At.UTC().Format(time.RFC3339), r.Who, r.Parts(), cut, r.Lacks())
}
