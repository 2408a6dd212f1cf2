package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger/ledgertest"
	"github.com/granter/granter/sharding/dense"
)

// chunksConform are about the layout of dense IDs, or about none: sessions, checkpoints, orders and records are the same code.
var chunksConform = []conforms{
	{"grants and looks up, whatever the shape of a delta", grantsEveryShape},
	{"tells those granted before from the others", cutsOverlaps},
	{"grants several deltas and shards", grantsManyDeltas},
	{"counts a call once when its replies are lost", countsOnceWhenRepliesAreLost},
	{"goes on with a flush that failed", goesOnAfterFailure},
	{"takes nothing that comes late for what was cut down", keepsLateCallsApart},
	{"keeps the highest checkpoint", keepsHighestCheckpoint},
	{"starts a partition over when an anchor lost it", takesLowestCheckpoint},
	{"adopts a checkpoint without a topic", adoptsACheckpointWithoutATopic},
	{"begins anew behind a lost tail", beginsAnewBehindALostTail},
	{"counts nothing of two topics", countsNothingOfTwoTopics},
	{"names a checkpoint that is none", namesACheckpointThatIsNone},
	{"trusts no tip of an attempt that failed", trustsNoTipOfFailedAttempt},
	{"keeps the tips of a session that lives", keepsTips},
	{"stores its format with the spec", storesItsFormat},
	{"makes a ledger of format 1 one of format 2", raisesTheFormat},
	{"refuses a newer format, and changes nothing", refusesANewerFormat},
	{"refuses another spec in a chunk", fencesChunks},
	{"grants nobody before the start or after the end", fencesTime},
	{"completes an index that lost chunks", completesTheIndex},
	{"believes no key alone", believesNoKeyAlone},
	{"remembers runs", remembersRuns},
	{"remembers when it was made again", remembersRebuilds},
	{"finds what is wrong", findsViolations},
	{"reads long journals", readsLongJournals},
	{"looks up the newest first", looksUpTheNewestFirst},
	{"looks up without decoding", looksUpWithoutDecoding},
	{"forgets the calls of dead runs", forgetsDeadRuns},
	{"indexes a chunk before it grants", indexesFirst},
	{"tells what kind of Redis it is", inspects},
	{"refuses what would lose users", refusesMisuse},
	{"changes control and audit trail together", ordersChangeBoth},
	{"carries out every one of many orders at once", carriesOutRivalOrders},
	{"carries out an order once when its reply is lost", carriesOutOnceWhenReplyIsLost},
	{"ends an order by its clock, and records it once", endsOrders},
	{"keeps the refused orders apart", keepsRefusals},
	{"names a control that no order has made", namesGarbage},
	{"takes control and time from one master", takesTimeFromTheControlsMaster},
	{"hands out a budget", handsOutBudget},
	{"names a broken budget", namesABrokenBudget},
	{"reads bitmaps", readsBitmaps},
}

// eitherConforms run on both layouts: what a flush does, and what is judged and lost with it.
var eitherConforms = []conforms{
	{"counts a call once when another run comes in between", countsOnceBetweenOthers},
	{"takes no flush of a new pool for one of an old", tellsPoolsApart},
	{"lets two runs grant the same users", letsRunsRace},
	{"notices FLUSHALL at a flush", noticesFlushAllAtGrant},
	{"notices FLUSHALL at a checkpoint", noticesFlushAllAtCheckpoint},
	{"notices an older snapshot at a flush", noticesSnapshotAtGrant},
	{"notices an older snapshot at a checkpoint", noticesSnapshotAtCheckpoint},
	{"loads scripts again", loadsScriptsAgain},
	{"keeps the spec once somebody is granted", keepsSpec},
	{"lets no other spec in while a run may grant", leasesTheSpec},
	{"refuses who slept while the spec was replaced", fencesSleepers},
	{"returns when the context is cancelled", returnsWhenCancelled},
}

// conformance is what every kind of Redis must do. Each test gets it empty.
func conformance(t *testing.T, options Options) {
	for _, test := range slices.Concat(bucketsConform, bucketTakes, takesConform, chunksConform, eitherTakes, eitherConforms) {
		t.Run(test.name, func(t *testing.T) { test.run(newWorld(t, options)) })
	}
	conformanceOfActs(t, options)
	conformanceOfErasures(t, options)
	for _, layout := range layouts {
		t.Run("every ledger, in "+layout.name, func(t *testing.T) { everyLedger(t, options, layout.ids) })
	}
	t.Run("in buckets", func(t *testing.T) {
		for _, test := range slices.Concat(eitherTakes, eitherConforms) {
			t.Run(test.name, func(t *testing.T) {
				w := newWorld(t, options)
				w.ids = grant.IDsInt64
				test.run(w)
			})
		}
	})
}

// everyLedger is what is promised whatever a ledger is.
func everyLedger(t *testing.T, options Options, ids grant.IDs) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Subject {
		w := newWorld(t, options)
		w.ids = ids
		return ledgertest.Subject{
			Join: func(run grant.RunID, c *grant.Campaign) ledgertest.Ledger {
				c.Input.IDs = ids
				l, err := open(w.connect(), c, run, Config{RetryFor: 5 * time.Second})
				require.NoError(t, err)
				return l
			},
			Granted: func() (granted []uint64) {
				l, err := open(w.client, w.campaign(), 0, Config{})
				require.NoError(t, err)
				for chunk, members := range w.granted(l) {
					for _, low := range members.Lows(nil) {
						granted = append(granted, dense.Join(chunk, low))
					}
				}
				return granted
			},
			Lose: w.flush,
			Now:  w.now,
		}
	})
}
