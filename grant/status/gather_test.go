package status

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// methods are those of the world that each part is asked by.
var methods = map[PartName]string{
	PartSpec: "spec", PartControl: "control", PartRuns: "runs", PartLedger: "totals", PartCheckpoint: "checkpoint", PartKafka: "bounds",
}

// failing makes some parts fail, and returns them.
func (w *world) failing(parts ...PartName) map[PartName]bool {
	fails := map[PartName]bool{}
	for _, part := range parts {
		w.errs[methods[part]] = errors.New(string(part) + " cannot be read")
		fails[part] = true
	}
	return fails
}

func requireParts(t *testing.T, s *Status, fails map[PartName]bool, known bool) {
	t.Helper()
	require.Len(t, s.Parts, len(Parts()))
	for i, p := range s.Parts {
		require.Equal(t, Parts()[i], p.Part)
		require.Equal(t, known || !fails[p.Part], p.At != nil, p.Part)
		require.Equal(t, fails[p.Part], p.Error != "", p.Part)
	}
}

// One part that could not be asked took all others along.
func TestEachPartFailsAlone(t *testing.T) {
	for _, part := range Parts() {
		w := newWorld()
		w.control = grant.Control{Version: 2, Paused: true}
		w.runs = []grant.RunRecord{run(1)}
		fails := w.failing(part)
		s, err := NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
		require.ErrorContains(t, err, string(part)+" cannot be read")
		requireParts(t, s, fails, false)
		require.Equal(t, part != PartLedger, s.Granted == 100, part)
		require.Equal(t, part != PartControl, s.Control.Paused, part)
		require.Equal(t, part != PartRuns, len(s.Runs) == 1, part)
		require.Equal(t, part != PartKafka, s.Records == 1000, part)
		want := PhasePaused
		if part == PartControl || part == PartRuns {
			want = PhaseUnknown
		}
		require.Equal(t, want, s.Phase, part)
		require.Nil(t, s.EstimatedEnd)
	}
}

// What follows from a lag that nobody knows is not said: an unreachable Kafka is no finished campaign.
func TestAPhaseThatIsNotKnownIsNotSaid(t *testing.T) {
	for _, part := range []PartName{PartKafka, PartCheckpoint} {
		w := newWorld()
		w.failing(part)
		s, _ := NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
		require.Equal(t, PhaseUnknown, s.Phase, part)
		w.campaign.EndsAt = now.Add(-time.Hour)
		s, _ = NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
		require.Equal(t, PhaseEnded, s.Phase, "that is known")
		w.campaign.EndsAt, w.control.Paused = time.Time{}, true
		s, _ = NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
		require.Equal(t, PhasePaused, s.Phase, "and that")
	}
}

func TestWhatIsKnownStays(t *testing.T) {
	w := newWorld()
	w.runs = []grant.RunRecord{run(1)}
	g := NewGatherer(&w.campaign, w, w, w)
	before, err := g.Gather(t.Context())
	require.NoError(t, err)
	require.NotNil(t, before.EstimatedEnd)
	fails := w.failing(Parts()...)
	w.totals, w.bounds, w.runs, w.checkpoint = ledger.Totals{}, grant.Bounds{}, nil, grant.Checkpoint{}
	for range 2 {
		s, err := g.Gather(t.Context())
		require.Error(t, err)
		requireParts(t, s, fails, true)
		for i, p := range s.Parts {
			require.Equal(t, before.Parts[i].At, p.At, "it is as old as it is")
		}
		require.Equal(t, before.Partitions, s.Partitions)
		require.EqualValues(t, 100, s.Granted)
		require.Len(t, s.Runs, 1)
		require.Equal(t, before.Phase, s.Phase)
		require.Nil(t, s.EstimatedEnd, "but nobody knows when it ends")
	}
	clear(w.errs)
	s, err := g.Gather(t.Context())
	require.NoError(t, err)
	require.Zero(t, s.Granted, "it is as of now")
	requireParts(t, s, nil, true)
}

// Redis that does not answer is one fault, and is said once.
func TestOneRedisIsOneFault(t *testing.T) {
	w := newWorld()
	away := &ledger.UnavailableError{What: "reading", Kind: "network", Since: now, Err: errors.New("refused")}
	for _, part := range Parts()[:5] {
		w.errs[methods[part]] = away
	}
	_, err := NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
	require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 1)
	w.failing(PartKafka)
	_, err = NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
	require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 2)
}

// A run whose record is garbage does not hide the others.
func TestABadRecordHidesNoOther(t *testing.T) {
	w := newWorld()
	w.runs = []grant.RunRecord{run(1)}
	w.errs["runs"] = ledger.ErrInconsistent
	s, err := NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
	require.ErrorIs(t, err, ledger.ErrInconsistent)
	require.Len(t, s.Runs, 1)
	require.Equal(t, PhaseRunning, s.Phase)
	require.NotEmpty(t, s.Of(PartRuns).Error)
}

// The campaign of the ledger is shown, whole, and not that of the file beside the ledger's numbers.
func TestACampaignUnderAnotherSpecIsShownAsItIsGranted(t *testing.T) {
	w := newWorld()
	file, granted := parsed(t, "title: Sorry", "title: Another"), parsed(t, "", "")
	w.campaign, w.spec = *file, storedAs(granted)
	s := w.gather(t)
	require.Equal(t, "Sorry", s.Title)
	require.Equal(t, granted.Hash, s.Spec)
	require.Equal(t, file.Hash, s.SpecDiffers.File)
	require.EqualValues(t, 1000, s.Records)

	file = parsed(t, "topic: users", "topic: others")
	w.campaign = *file
	s, err := NewGatherer(&w.campaign, w, w, w).Gather(t.Context())
	require.ErrorContains(t, err, "users are granted out of the topic users, and the file names others")
	require.Empty(t, s.Partitions, "the records of one topic are not counted by the checkpoint of another")
	require.Equal(t, err.Error(), s.Of(PartKafka).Error)
	require.EqualValues(t, 100, s.Granted)

	w.spec = nil
	w.gather(t)
}
