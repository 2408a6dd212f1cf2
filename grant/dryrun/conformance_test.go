package dryrun

import (
	"testing"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger/ledgertest"
	"github.com/granter/granter/sharding/dense"
)

// A dry run counts as a run would grant, and stores nothing.
func TestADryRunIsALedger(t *testing.T) {
	const alone = "one dry run reads the topic once, from where it is told to, and nobody continues it"
	ledgertest.Run(t, func(*testing.T) ledgertest.Subject {
		l := NewLedger(&stored{chunks: map[uint64]*dense.Bitmap{}}, nil, nil)
		return ledgertest.Subject{
			Join: func(grant.RunID, *grant.Campaign) ledgertest.Ledger { return l },
			Granted: func() (ids []uint64) {
				for number, c := range l.chunks {
					for _, low := range c.seen.Lows(nil) {
						ids = append(ids, dense.Join(number, low))
					}
				}
				return ids
			},
			Now: time.Now,
			Without: map[ledgertest.Promise]string{
				ledgertest.KeepsTheSpec:     "the ledger that it reads is asked: Reader.Permits",
				ledgertest.KeepsTheStart:    "it counts before the start, too",
				ledgertest.KeepsTheEnd:      "it counts after the end, too",
				ledgertest.KeepsCheckpoints: alone,
				ledgertest.KeepsEpochs:      alone,
				ledgertest.KeepsTopics:      alone,
				ledgertest.BeginsAnew:       alone,
				ledgertest.NoticesLoss:      "it stores nothing that could be lost",
				ledgertest.ForgetsTheLost:   "it stores nothing that could be lost",
				ledgertest.Ends:             "only reading a chunk takes time, and the reader ends then",
			},
		}
	})
}
