package ledger

import (
	"sync/atomic"

	"github.com/granter/granter/grant"
)

// Grants are what one run writes: who is granted, and up to where the topic is settled. See Begin and Grant for which calls
// must not overlap.
type Grants struct {
	*Store
	run          grant.RunID
	reader       *Reader
	coordination *Coordination
	session      atomic.Pointer[session]

	lease     atomic.Int64 // until when this run may grant, in Unix milliseconds by Redis's clock; 0: it has not asked
	notBefore atomic.Int64 // the same for when the campaign starts
	surveyed  atomic.Bool  // the index of chunks was compared with the keys of all masters
	inDoubt   atomic.Bool  // whether some call was applied is not known
}

// NewGrants makes what a run writes to a store.
func NewGrants(s *Store, run grant.RunID) *Grants {
	g := &Grants{Store: s, run: run, reader: NewReader(s), coordination: NewCoordination(s)}
	g.NotBefore(s.campaign.StartsAt)
	return g
}
