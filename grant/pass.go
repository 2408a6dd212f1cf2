package grant

import "strings"

// Pass is one way over the topic of a campaign: whom it grants, and where it keeps how far it is. The one that grants
// everybody has no Name and no Key. Others grant some users before it or write nothing at all, and leave to it what Kafka
// is told.
type Pass struct {
	Name     string               // in records, logs and metrics: "canary 1%", "only 20 users"; empty: everybody
	Group    string               // consumer group whose members share the partitions
	Key      string               // tells its checkpoint from those of other passes; empty: everybody's
	Includes func(id uint64) bool // who is granted; nil: everybody
	// IncludesMember is Includes of a campaign whose IDs are not dense: of the bytes by which the ledger knows a user, and their
	// hash.
	IncludesMember func(hash uint64, member []byte) bool
	// Private passes leave nothing in Kafka: neither offsets nor rejected records.
	Private bool
	// AcceptGaps are the offsets that an operator decided to go without.
	AcceptGaps []Gap
}

// Some returns the pass over the same topic that grants some users. Everything that is kept of it is kept under its key.
func (p Pass) Some(name, key string, includes func(id uint64) bool) Pass {
	p.Name, p.Key, p.Includes, p.Private = name, key, includes, true
	p.Group += "-" + key
	return p
}

// SomeMembers is Some in a campaign whose IDs are not dense.
func (p Pass) SomeMembers(name, key string, includes func(hash uint64, member []byte) bool) Pass {
	p = p.Some(name, key, nil)
	p.IncludesMember = includes
	return p
}

// Kind is the first word of the name, for metrics: "canary" or "only"; empty: everybody.
func (p Pass) Kind() string {
	kind, _, _ := strings.Cut(p.Name, " ")
	return kind
}
