package engine

import (
	"testing"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger/ledgertest"
)

// What the tests of a run rely on, the ledger in Redis does, too: both pass the same tests.
func TestTheStoreIsALedger(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledgertest.Subject {
		s := newStore(&topic{})
		return ledgertest.Subject{
			Join: func(run grant.RunID, _ *grant.Campaign) ledgertest.Ledger { return s.client(run) },
			Granted: func() (ids []uint64) {
				s.change(func() {
					for id := range s.users {
						ids = append(ids, id)
					}
				})
				return ids
			},
			Lose: func() { s.loseEverything() },
			Now:  s.now,
		}
	})
}
