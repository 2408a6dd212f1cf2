package status

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// PartName is one of the things that a status is put together from. Each may fail alone.
type PartName string

// The parts.
const (
	PartSpec       PartName = "spec"       // what users are granted, in Redis
	PartControl    PartName = "control"    // what operators have ordered, in Redis
	PartRuns       PartName = "runs"       // what runs say of themselves, in Redis
	PartLedger     PartName = "ledger"     // who is granted, in Redis
	PartCheckpoint PartName = "checkpoint" // how far the topic has been read, in Redis
	PartKafka      PartName = "kafka"      // the topic
)

// Parts are all parts.
func Parts() []PartName {
	return []PartName{PartSpec, PartControl, PartRuns, PartLedger, PartCheckpoint, PartKafka}
}

// Part says how fresh one part of a status is.
type Part struct {
	Part  PartName   `json:"part"`
	At    *time.Time `json:"at,omitempty"`    // of what the status shows of it; missing: nothing is known of it
	Error string     `json:"error,omitempty"` // why it is not as of now
}

// Of returns how fresh a part is.
func (s *Status) Of(name PartName) Part {
	for _, p := range s.Parts {
		if p.Part == name {
			return p
		}
	}
	return Part{Part: name}
}

// Knows reports whether something is known of all of some parts, however old it is.
func (s *Status) Knows(names ...PartName) bool {
	for _, name := range names {
		if s.Of(name).At == nil {
			return false
		}
	}
	return true
}

// current reports whether all of some parts are as of now.
func (s *Status) current(names ...PartName) bool {
	for _, name := range names {
		if p := s.Of(name); p.At == nil || p.Error != "" {
			return false
		}
	}
	return true
}

// answer is what a part said last.
type answer[T any] struct {
	value T
	at    time.Time // zero: it has said nothing yet
	err   error     // of the last question
}

// ask asks a part. What it said before stays when it fails.
func (a *answer[T]) ask(value T, err error) {
	if a.err = err; err == nil {
		a.value, a.at = value, time.Now()
	}
}

func (a *answer[T]) part(name PartName) Part {
	p := Part{Part: name}
	if !a.at.IsZero() {
		at := a.at.UTC()
		p.At = &at
	}
	if a.err != nil {
		p.Error = a.err.Error()
	}
	return p
}

// keep takes an answer unless another one was quicker.
func (a *answer[T]) keep(other answer[T]) {
	if other.at.After(a.at) {
		a.value, a.at = other.value, other.at
	}
}

type inForce struct {
	campaign *grant.Campaign
	differs  *Differs
}

type ordered struct {
	control grant.Control
	now     time.Time // by Redis's clock
}

type topic struct {
	bounds grant.Bounds
	id     grant.TopicID
	lost   *grant.TruncatedError // nil: it still has all that the checkpoint says was read
}

// answers are what all parts said last.
type answers struct {
	spec       answer[inForce]
	control    answer[ordered]
	runs       answer[[]grant.RunRecord]
	sent       answer[[]grant.Subscriber] // it is of the part that has the runs
	totals     answer[ledger.Totals]
	taken      answer[[]ledger.ItemTaken] // it is of the part that has the totals
	checkpoint answer[grant.Checkpoint]
	topic      answer[topic]
}

func (a *answers) parts() []Part {
	return []Part{
		a.spec.part(PartSpec), a.control.part(PartControl), a.runs.part(PartRuns), a.totals.part(PartLedger),
		a.checkpoint.part(PartCheckpoint), a.topic.part(PartKafka),
	}
}

// damage says how the ledger contradicts itself; empty: it does not, or not all is known.
func (a *answers) damage(c *grant.Campaign) string {
	if c == nil || a.totals.err != nil || a.runs.err != nil || a.checkpoint.err != nil {
		return ""
	}
	return ledger.Contradiction(c.Name, a.totals.value, a.checkpoint.value.Next, a.runs.value, c.Hash)
}

func (a *answers) err() error {
	var errs []error
	away := false
	for _, e := range []error{a.control.err, a.spec.err, a.runs.err, a.totals.err, a.checkpoint.err, a.topic.err} {
		_, unavailable := errors.AsType[*ledger.UnavailableError](e)
		if e == nil || unavailable && away { // one Redis that does not answer is one fault, not five
			continue
		}
		away = away || unavailable
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// Gatherer asks ledger and topic how far a campaign is, and remembers what each part said last, so that what is known
// stays when Redis or Kafka is away. It is safe for concurrent use, and asks each time that it is asked.
type Gatherer struct {
	file         *grant.Campaign
	coordination Coordination
	reader       Reader
	topic        Topic

	mu      sync.Mutex
	last    answers
	counted counted // for briefs
}

// NewGatherer makes a gatherer of the campaign of a file. It asks nothing yet.
func NewGatherer(file *grant.Campaign, c Coordination, r Reader, topic Topic) *Gatherer {
	return &Gatherer{file: file, coordination: c, reader: r, topic: topic}
}

// Gather returns what is known, always. The error joins those of the parts that could not be asked now; the status says
// of each part how old it is. A campaign that is granted by another spec than the file's is shown by the ledger's, and
// SpecDiffers says so.
func (g *Gatherer) Gather(ctx context.Context) (*Status, error) {
	g.mu.Lock()
	a := g.last
	g.mu.Unlock()
	g.ask(ctx, &a)
	g.mu.Lock()
	g.last.spec.keep(a.spec)
	g.last.control.keep(a.control)
	g.last.runs.keep(a.runs)
	g.last.sent.keep(a.sent)
	g.last.totals.keep(a.totals)
	g.last.taken.keep(a.taken)
	g.last.checkpoint.keep(a.checkpoint)
	g.last.topic.keep(a.topic)
	g.mu.Unlock()
	return newStatus(g.file, &a), a.err()
}

// ask asks all parts at once, so that one that does not answer holds up nothing but itself.
func (g *Gatherer) ask(ctx context.Context, a *answers) {
	var wg sync.WaitGroup
	wg.Go(func() {
		c, differs, err := InForce(ctx, g.coordination, g.reader, g.file)
		if a.spec.ask(inForce{c, differs}, err); err != nil {
			c = g.file
			if a.spec.value.campaign != nil {
				c = a.spec.value.campaign
			}
		}
		a.checkpoint.ask(g.reader.Checkpoints(ctx, c))
		if c.Offers() {
			a.taken.ask(g.reader.Taken(ctx, c))
		}
	})
	wg.Go(func() {
		control, now, err := g.coordination.Control(ctx)
		a.control.ask(ordered{control, now}, err)
	})
	wg.Go(func() {
		runs, err := g.coordination.Runs(ctx)
		if a.runs.ask(runs, err); errors.Is(err, ledger.ErrInconsistent) { // of one record; the others are good
			a.runs.value, a.runs.at = runs, time.Now()
		}
		a.sent.ask(g.coordination.Subscribers(ctx))
	})
	wg.Go(func() { a.totals.ask(g.reader.Totals(ctx)) })
	var now topic
	var err error
	wg.Go(func() {
		if now.bounds, err = g.topic.Bounds(ctx); err == nil {
			now.id, err = g.topic.Identify(ctx)
		}
	})
	wg.Wait()
	if a.totals.err == nil {
		a.totals.err = a.taken.err
	}
	if a.runs.err == nil {
		a.runs.err = a.sent.err
	}
	if a.totals.err == nil && a.damage(a.spec.value.campaign) != "" {
		a.totals.ask(g.reader.Totals(ctx)) // they may have been counted before the others spoke
	}
	if err == nil {
		now.lost, _ = errors.AsType[*grant.TruncatedError](g.topic.Intact(ctx, a.checkpoint.value.Of(now.id)))
	}
	a.topic.ask(now, err)
	if c := a.spec.value.campaign; c != nil && c.Input.Topic != g.file.Input.Topic {
		// Its records are others: they must not be shown beside the checkpoint of the ledger's topic.
		a.topic = answer[topic]{err: OtherTopic(c, g.file)}
	}
}

// OtherTopic says that a file names another topic than the spec that users are granted by; nil: it does not.
func OtherTopic(granted, file *grant.Campaign) error {
	if granted.Input.Topic == file.Input.Topic {
		return nil
	}
	return fmt.Errorf("users are granted out of the topic %s, and the file names %s: use the spec that they are granted by",
		granted.Input.Topic, file.Input.Topic)
}

func newStatus(file *grant.Campaign, a *answers) *Status {
	c := file
	if a.spec.value.campaign != nil {
		c = a.spec.value.campaign
	}
	control, now := a.control.value.control, a.control.value.now
	s := &Status{
		At: time.Now(), Campaign: c.Name, Title: c.Title, Spec: c.Hash, SpecDiffers: a.spec.value.differs, Topic: c.Input.Topic,
		StartsAt: c.StartsAt, Expected: c.Population, Granted: a.totals.value.Granted, Taken: a.taken.value, Excluded: a.totals.value.Excluded,
		Listed: a.totals.value.Listed, Rebuilt: a.totals.value.Rebuilt,
		Replays:     a.totals.value.Replays,
		LedgerBytes: a.totals.value.Bytes, Control: control,
		Orders: control.Standing(c.StartsAt.Location()),
		Holds:  []grant.Hold{}, Rejects: map[string]int64{}, Samples: []grant.Reject{},
		Partitions: []Partition{}, Runs: []Replica{}, Parts: a.parts(), Damage: a.damage(c),
	}
	for _, one := range a.sent.value {
		s.Subscribers = append(s.Subscribers, one.AsOf(now))
	}
	if !c.EndsAt.IsZero() {
		s.EndsAt = &c.EndsAt
	}
	if control.StartsAt != nil {
		s.PostponedFrom, s.StartsAt = &c.StartsAt, *control.StartsAt
	}
	if s.Knows(PartKafka) {
		s.addTopic(&a.topic.value, a.checkpoint.value)
	}
	s.addRuns(a.runs.value, now)
	s.Phase = s.phaseIfKnown(now)
	s.estimate()
	return s
}

// addTopic adds the topic, and how far it is: a checkpoint of another topic, or of what Kafka has lost since, counts for
// nothing.
func (s *Status) addTopic(t *topic, checkpoint grant.Checkpoint) {
	s.TopicID, s.CheckpointID = t.id.String(), checkpoint.Topic.String()
	if !t.id.Continues(checkpoint.Topic) {
		s.TopicChanged = (&grant.OtherTopicError{Name: s.Topic, Whose: "the checkpoint", Before: checkpoint.Topic, Now: t.id}).Error()
	}
	next := checkpoint.Of(t.id).Next.Clone()
	if lost := t.lost; lost != nil && next != nil {
		s.TopicChanged = lost.Error()
		next[lost.Partition] = min(next[lost.Partition], max(lost.End, 0))
	}
	s.addPartitions(t.bounds, next, t.id)
}

// byLag are the phases that follow from how much is left to grant.
var byLag = []Phase{PhaseWaiting, PhaseIdle, PhaseFinished}

// phaseIfKnown is the phase, unless it follows from what nobody has told.
func (s *Status) phaseIfKnown(now time.Time) Phase {
	if !s.Knows(PartControl, PartRuns) {
		return PhaseUnknown
	}
	phase := s.phase(now)
	if bound := slices.Contains(byLag, phase); bound && !s.Knows(PartKafka, PartCheckpoint) {
		if s.Control.Paused { // whatever is left
			return PhasePaused
		}
		return PhaseUnknown
	}
	return phase
}
