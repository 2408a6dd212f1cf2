// Package status answers how far a campaign is, from the ledger and Kafka alone: while runs go on anywhere, or none does.
package status

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Coordination is what a status asks of what runs and operators agree by.
type Coordination interface {
	Specs
	Runs(ctx context.Context) ([]grant.RunRecord, error)
	Control(ctx context.Context) (grant.Control, time.Time, error)
	// Subscribers returns how those are served who are sent events.
	Subscribers(ctx context.Context) ([]grant.Subscriber, error)
}

// Reader is what a status asks about the users who are granted.
type Reader interface {
	// Taken counts who took what of a campaign's items that users take.
	Taken(ctx context.Context, c *grant.Campaign) ([]ledger.ItemTaken, error)
	Counts
	// Checkpoints returns how far the topic is granted under a spec.
	Checkpoints(ctx context.Context, spec *grant.Campaign) (grant.Checkpoint, error)
}

// Topic is what a status needs of Kafka.
type Topic interface {
	Bounds(ctx context.Context) (grant.Bounds, error)
	Identify(ctx context.Context) (grant.TopicID, error)
	// Intact returns a *grant.TruncatedError when Kafka no longer has what a checkpoint says was read.
	Intact(ctx context.Context, at grant.Checkpoint) error
}

// Phase says in one word where a campaign is.
type Phase string

// The phases.
const (
	PhaseWaiting   Phase = "waiting"   // before the start
	PhaseIdle      Phase = "idle"      // records wait, and nobody runs
	PhaseRunning   Phase = "running"   // at full speed
	PhaseThrottled Phase = "throttled" // slower than it could
	PhasePaused    Phase = "paused"    // nobody is granted anything, until somebody resumes or what stops the runs is over
	PhaseFinishing Phase = "finishing" // runs, up to where operators ordered to finish
	PhaseFinished  Phase = "finished"  // every record in the topic, or up to where it was ordered to finish, is granted or accounted for
	PhaseAborted   Phase = "aborted"   // by operators: nobody is granted anything until resume
	PhaseEnded     Phase = "ended"     // ends_at has passed
	PhaseUnknown   Phase = "unknown"   // what it follows from cannot be asked, and never could
)

// Phases are all phases.
func Phases() []Phase {
	return []Phase{
		PhaseWaiting, PhaseIdle, PhaseRunning, PhaseThrottled, PhasePaused, PhaseFinishing, PhaseFinished, PhaseAborted, PhaseEnded,
		PhaseUnknown,
	}
}

// Status is how far a campaign is.
type Status struct {
	At            time.Time  `json:"at"`
	Campaign      string     `json:"campaign"`
	Title         string     `json:"title"`
	Spec          string     `json:"spec"`                   // hash of the spec that users are granted by
	SpecDiffers   *Differs   `json:"spec_differs,omitempty"` // of the file, if it has another one
	Phase         Phase      `json:"phase"`
	StartsAt      time.Time  `json:"starts_at"` // the spec's, or what it was postponed to
	PostponedFrom *time.Time `json:"postponed_from,omitempty"`
	EndsAt        *time.Time `json:"ends_at,omitempty"`
	Topic         string     `json:"topic"` // name
	// What offsets count in, as grant.TopicID writes it; empty: the brokers do not tell. When the checkpoint is of another
	// topic, nothing of it counts, and TopicChanged says what happened and what to do.
	TopicID      string `json:"topic_id"`
	CheckpointID string `json:"checkpoint_topic_id"` // empty: there is no checkpoint, or it does not tell
	TopicChanged string `json:"topic_changed,omitempty"`

	Taken        []ledger.ItemTaken `json:"taken,omitempty"`      // by item, of those that users take
	Granted      int64              `json:"granted"`              // users who have the campaign, or had it
	Excluded     int64              `json:"excluded,omitempty"`   // users who will not get it
	Listed       *ledger.Listed     `json:"listed,omitempty"`     // what became of the spec's lists of them; missing: none was read
	Rebuilt      []grant.Rebuilt    `json:"rebuilt,omitempty"`    // when the ledger was made again, oldest first
	Expected     int64              `json:"expected,omitempty"`   // the spec's population
	Percentage   float64            `json:"percentage"`           // of expected or, without it, of the records
	Records      int64              `json:"records"`              // in the topic
	Lag          int64              `json:"lag"`                  // records behind the checkpoint
	Gone         int64              `json:"gone,omitempty"`       // records that were removed before they were granted: a run stops there
	FinishLag    *int64             `json:"finish_lag,omitempty"` // of them, up to where it was ordered to finish
	Rate         float64            `json:"rate"`                 // records per second, of all live replicas
	SecondsLeft  *float64           `json:"seconds_left,omitempty"`
	EstimatedEnd *time.Time         `json:"estimated_end,omitempty"`
	LedgerBytes  int64              `json:"ledger_bytes"`     // estimated; 0: not known
	Damage       string             `json:"damage,omitempty"` // how the ledger contradicts itself; empty: it does not at first sight

	LastCheckpoint *time.Time       `json:"last_checkpoint,omitempty"`
	Control        grant.Control    `json:"control"`
	Orders         []grant.Standing `json:"orders"`  // that are in force, the weightiest first
	Holds          []grant.Hold     `json:"holds"`   // of all live replicas, one for each cause, the weightiest first
	Rejects        map[string]int64 `json:"rejects"` // by reason, of all runs
	Samples        []grant.Reject   `json:"samples"` // of rejected records
	Replays        grant.Replays    `json:"replays"` // of rejected records, those that were repaired and replayed
	Partitions     []Partition      `json:"partitions"`
	Runs           []Replica        `json:"runs"` // the youngest last

	Subscribers []grant.Subscriber `json:"subscribers,omitempty"` // who are, or were, sent events

	// What all this is put together from. Of a part that was never told there is nothing above: 0, or an empty list.
	Parts []Part `json:"parts"`
}

// Partition is how far one partition is.
type Partition struct {
	Partition  int   `json:"partition"`
	First      int64 `json:"first"`
	End        int64 `json:"end"`
	Checkpoint int64 `json:"checkpoint"`
	Lag        int64 `json:"lag"`
}

// Replica is one run, and what follows from its record.
type Replica struct {
	grant.RunRecord
	Live  bool `json:"live"`  // it said so within the last seconds
	Obeys bool `json:"obeys"` // it has seen the last order
}

// SilentAfter is how long a run may be silent before it counts as gone: five times as long as it usually is.
const SilentAfter = 5 * time.Second

const (
	maxRuns    = 20                         // how many runs a status lists besides the live ones
	maxSamples = 10                         // of rejected records, for each reason: runs are many in a year
	farOff     = 100 * 365 * 24 * time.Hour // an end later than that is none, and at three times as much a Duration overflows
)

func (s *Status) addPartitions(bounds grant.Bounds, checkpoint grant.Offsets, id grant.TopicID) {
	start := grant.Pass{}.Start(checkpoint, nil, bounds)
	if s.Knows(PartCheckpoint) {
		s.Gone = grant.OffsetsIn(start.Refused)
	}
	for _, p := range bounds.Partitions() {
		s.Partitions = append(s.Partitions, Partition{
			Partition: p, First: bounds.Firsts[p], End: bounds.Ends[p], Checkpoint: checkpoint[p], Lag: bounds.Left(p, start.From),
		})
	}
	s.Records, s.Lag = bounds.Records(), bounds.From(start.From)
	if f := s.Control.Finish; f != nil && f.Of(id) {
		s.FinishLag = new(bounds.Until(f.Ends).From(start.From))
	}
}

// ToGo returns how many records are to be granted before runs end.
func (s *Status) ToGo() int64 {
	if s.FinishLag != nil {
		return *s.FinishLag
	}
	return s.Lag
}

// ahead is Redis's clock minus the run's.
func (r *Replica) ahead() time.Duration {
	return time.Duration(r.Redis.ClockAhead * float64(time.Second))
}

func newReplica(record grant.RunRecord, control *grant.Control, now time.Time) Replica {
	r := Replica{RunRecord: record}
	active := r.State == grant.RunRunning || r.State == grant.RunWaiting
	r.Live = active && now.Sub(r.UpdatedAt.Add(r.ahead())) < SilentAfter
	r.Obeys = r.Control >= control.Version
	return r
}

// Replicas returns all runs, the youngest last. It asks the ledger only.
func Replicas(ctx context.Context, c Coordination) ([]Replica, error) {
	control, now, err := c.Control(ctx)
	if err != nil {
		return nil, err
	}
	runs, err := c.Runs(ctx)
	out := make([]Replica, len(runs))
	for i := range runs {
		out[i] = newReplica(runs[i], &control, now)
	}
	return out, err
}

// addRuns adds what the runs say of themselves. Their clocks may differ from this one's, so now is Redis's.
func (s *Status) addRuns(runs []grant.RunRecord, now time.Time) {
	holds := map[grant.Cause]grant.Hold{}
	for i := range runs {
		r := newReplica(runs[i], &s.Control, now)
		for reason, n := range r.Rejects {
			s.Rejects[reason] += n
		}
		if r.CheckpointAt != nil && r.Pass == "" && (s.LastCheckpoint == nil || r.CheckpointAt.After(*s.LastCheckpoint)) {
			s.LastCheckpoint = r.CheckpointAt
		}
		s.Samples = append(s.Samples, r.Samples...)
		if r.Live {
			s.Rate += r.Rate
			for _, h := range r.Holds {
				h.Since = h.Since.Add(r.ahead())
				if old, ok := holds[h.Cause]; !ok || h.Since.Before(old.Since) {
					holds[h.Cause] = h
				}
			}
		}
		s.Runs = append(s.Runs, r)
	}
	if s.Live() == 0 {
		s.holdsOfNobody(holds)
	}
	for _, cause := range grant.Causes() {
		if h, ok := holds[cause]; ok {
			s.Holds = append(s.Holds, h)
		}
	}
	slices.SortFunc(s.Samples, func(a, b grant.Reject) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	samples := map[string]int{}
	s.Samples = slices.DeleteFunc(slices.Compact(s.Samples), func(r grant.Reject) bool {
		samples[r.Reason]++
		return samples[r.Reason] > maxSamples
	})
	surplus := len(s.Runs) - s.Live() - maxRuns
	s.Runs = slices.DeleteFunc(s.Runs, func(r Replica) bool {
		if r.Live || surplus <= 0 {
			return false
		}
		surplus--
		return true
	})
}

// holdsOfNobody adds what will hold whoever starts, when nobody runs.
func (s *Status) holdsOfNobody(holds map[grant.Cause]grant.Hold) {
	causes := map[grant.Action]grant.Cause{grant.ActionPause: grant.CauseOperator, grant.ActionThrottle: grant.CauseThrottle}
	given := map[grant.Action]*grant.Given{grant.ActionPause: s.Control.PausedBy, grant.ActionThrottle: s.Control.ThrottledBy}
	for _, order := range s.Orders {
		if cause, ok := causes[order.Action]; ok {
			h := grant.Hold{Cause: cause, Detail: order.Says, Since: s.At}
			if by := given[order.Action]; by != nil {
				h.Since = by.At
			}
			holds[cause] = h
		}
	}
}

// estimate says when it will be done, at the present rate. A run that stands has no end, and a canary brings it no
// nearer.
func (s *Status) estimate() {
	switch {
	case s.Expected > 0:
		s.Percentage = 100 * float64(s.Granted) / float64(s.Expected)
	case s.Records > 0:
		s.Percentage = 100 * float64(s.Records-s.Lag) / float64(s.Records)
	}
	rate := 0.0
	for i := range s.Runs {
		if r := &s.Runs[i]; r.Live && r.Pass == "" {
			rate += r.Rate
		}
	}
	left := float64(s.ToGo()) / rate
	stands := s.Phase == PhasePaused || s.Phase == PhaseAborted || !s.current(PartKafka, PartCheckpoint, PartRuns, PartControl)
	if rate > 0 && left < farOff.Seconds() && !stands {
		end := s.At.Add(time.Duration(left * float64(time.Second))).Truncate(time.Second)
		s.SecondsLeft, s.EstimatedEnd = &left, &end
	}
}

// Live returns how many runs are alive.
func (s *Status) Live() int {
	n := 0
	for i := range s.Runs {
		if s.Runs[i].Live {
			n++
		}
	}
	return n
}

func (s *Status) phase(now time.Time) Phase {
	live, running, stopped, early := 0, 0, 0, 0
	first := map[grant.Cause]int{} // weightiest causes of those who live
	for i := range s.Runs {
		r := &s.Runs[i]
		if !r.Live {
			continue
		}
		live++
		if r.State == grant.RunRunning {
			running++
		}
		if len(r.Holds) == 0 {
			continue
		}
		cause := r.Holds[0].Cause
		first[cause]++
		if cause.Stops() {
			stopped++
		}
		if cause == grant.CauseSchedule && r.State == grant.RunWaiting {
			early++
		}
	}
	switch {
	case s.EndsAt != nil && !now.Before(*s.EndsAt):
		return PhaseEnded
	case s.Control.AbortedBy != nil:
		return PhaseAborted
	case now.Before(s.StartsAt) && running == 0 && s.Lag == s.Records: // a canary may have gone before, but not the full run
		return PhaseWaiting
	case live > 0 && early == live: // by their clocks, which Redis's may be ahead of
		return PhaseWaiting
	case s.ToGo() == 0 && live == first[grant.CauseFinished]:
		return PhaseFinished
	case s.Control.Paused:
		return PhasePaused
	case live == 0:
		return PhaseIdle
	case stopped == live:
		return PhasePaused
	case s.FinishLag != nil: // an order that was given for another topic ends nobody
		return PhaseFinishing
	case len(s.Holds) > 0:
		return PhaseThrottled
	}
	return PhaseRunning
}
