package status

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Whoever comes after the rollout waits for the start, for what the topic had then, and through failures; not for what is
// published later, nor for a campaign that nobody grants any more.
func TestWhenARolloutIsOver(t *testing.T) {
	w, r := newWorld(), Rollout{}
	g := NewGatherer(&w.campaign, w, w, w)
	waits := func() string {
		t.Helper()
		s, _ := g.Gather(t.Context()) // the status says what is missing
		return r.Waits(s)
	}
	w.campaign.StartsAt, w.checkpoint = now.Add(time.Hour), grant.Checkpoint{}
	require.Equal(t, "the campaign starts at 2022-11-05T13:00:00Z", waits())
	w.bounds.Ends = grant.Offsets{0: 1400, 1: 700} // published before the start
	w.at = now.Add(time.Hour)
	require.Equal(t, "1100 records are to be granted (idle)", waits(), "nobody runs yet")

	w.bounds.Ends = grant.Offsets{0: 1500, 1: 700, 2: 9} // published after it
	w.checkpoint = grant.Checkpoint{Topic: aTopic, Next: grant.Offsets{0: 1400, 1: 699}}
	require.Equal(t, "1 records are to be granted (idle)", waits())
	w.errs["checkpoint"] = errors.New("Redis is away")
	require.Contains(t, waits(), "the checkpoint is not known: ")
	delete(w.errs, "checkpoint")
	w.checkpoint.Next[1] = 700
	require.Empty(t, waits(), "100 later records, and a new partition, are no part of the rollout")
}

func TestNobodyWaitsForARolloutThatIsGivenUp(t *testing.T) {
	for name, give := range map[string]func(w *world){
		"aborted":  func(w *world) { w.control.AbortedBy = &grant.Given{} },
		"ended":    func(w *world) { w.campaign.EndsAt = now },
		"finished": func(w *world) { w.checkpoint.Next = w.bounds.Ends },
	} {
		w, r := newWorld(), Rollout{}
		require.NotEmpty(t, r.Waits(w.gather(t)), name)
		give(w)
		require.Empty(t, r.Waits(w.gather(t)), name)
	}
}
