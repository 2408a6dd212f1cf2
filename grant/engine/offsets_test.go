package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func TestStartOffsets(t *testing.T) {
	for _, c := range []struct {
		name                         string
		committed, checkpoint, first int64
		want                         int64
	}{
		{"the same", 30, 30, 0, 30},
		{"retention has passed both: a gap", 30, 30, 40, 30},
		{"retention has passed Kafka's only: the ledger has granted what is gone", 10, 30, 20, 20},
		{"retention has passed Kafka's and reached the ledger's", 10, 30, 30, 30},
		{"Kafka has forgotten, and nothing is gone", -1, 30, 0, 0},
		{"Kafka has forgotten, and retention has removed what was granted", -1, 30, 20, 20},
		{"Kafka has forgotten, and retention has passed the ledger's: a gap", -1, 30, 40, 30},
		{"nothing is granted and something is gone: a gap", -1, 0, 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := grant.StartOffsets(grant.Offsets{7: c.committed}, grant.Offsets{7: c.checkpoint}, grant.Offsets{7: c.first})
			require.Equal(t, grant.Offsets{7: c.want}, got)
		})
	}
}

func TestAFollowedCampaignThatEndsBeforeItsSnapshotIsGrantedIsNoSuccess(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		w.topic.holds[0] = 40
		p := w.start(func(r *Run) { r.Follow, r.Campaign.EndsAt = true, time.Now().Add(time.Minute) })
		require.ErrorIs(t, p.wait(), grant.ErrEnded)
		require.Equal(t, int64(40), w.store.checkpoint[0])
	})
}
