package lookup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// Trace is what the topic has of one user.
type Trace struct {
	Records []Record `json:"records"` // that hold the user's ID, by partition and offset; MaxRecords at most
	Times   int64    `json:"times"`   // how often the ID is in what was searched
	// Whole means that all was searched that the topic still has. Otherwise it was the ranges of the grant, or as much as
	// there was time for; Problem says which.
	Whole    bool     `json:"whole"`
	Searched int64    `json:"searched"`           // records
	Letters  []Letter `json:"letters,omitempty"`  // rejected records that seem to mean the user; only looked for by Whole
	Problem  string   `json:"problem,omitempty"`  // why there is less than was asked for, and what to do; empty: there is not
	TopicID  string   `json:"topic_id,omitempty"` // of the topic that was searched
}

// Record is one record of the topic.
type Record struct {
	Topic     string     `json:"topic"`
	Partition int        `json:"partition"`
	Offset    int64      `json:"offset"`
	Time      *time.Time `json:"timestamp,omitempty"`
	ByBroker  bool       `json:"timestamp_by_broker,omitempty"` // it is when the broker took it
	Key       *string    `json:"key"`                           // null: it has none. Quoted as Go does where it is no text
	Value     *string    `json:"value"`                         // null: it has none
	Headers   []Header   `json:"headers"`
}

// Header is one header of a record, in the order of the record.
type Header struct {
	Key   string  `json:"key"`
	Value *string `json:"value"`
}

// Letter is a dead letter: a record that was rejected.
type Letter struct {
	Partition int    `json:"partition"` // of the record that was rejected
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`
	Value     string `json:"value"` // of the part that should hold the ID, quoted and cut
}

// Topic is what a trace reads. Calls may overlap.
type Topic interface {
	Identify(ctx context.Context) (grant.TopicID, error)
	Bounds(ctx context.Context) (grant.Bounds, error)
	Peek(ctx context.Context) (grant.Bounds, error) // Bounds in one attempt
	Decode(parts *source.Parts) (grant.UserID, source.Reason)
	Find(ctx context.Context, partition int, from, until int64, match func(*source.Parts) bool,
		found func(source.Record) error, read func(records int64)) error
}

// Tracer traces users of one campaign. Its zero value is of no use.
type Tracer struct {
	Topic   Topic
	Letters func() (Topic, func() error, error) // opens the dead letters; nil: they are not looked at
	Input   grant.Input
	// Whole searches all of the topic and its dead letters, and not only the ranges that a grant names.
	Whole bool
	// Progress is told how many records have been looked at of how many there are to; nil: nobody is.
	Progress func(done, all int64)
}

const (
	// MaxRecords is how many records of one user, and how many dead letters, a trace keeps. It counts all.
	MaxRecords = 100
	// partitionsAtOnce is how many partitions are read at the same time.
	partitionsAtOnce = 4
	maxShown         = 1024 // bytes of a key, value or header that are shown
)

// Trace adds to answers what the topic has of their users, and what follows from it. The context bounds how long it takes:
// what was found until then is in the answers, and they say that it is not all. Whoever has no grant in a campaign is
// searched for in the whole topic, since nothing says where to look.
func (t *Tracer) Trace(ctx context.Context, s *Subject, answers []Answer) error {
	if err := t.trace(ctx, answers); err != nil {
		return err
	}
	c, _, err := s.InForce(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	f := s.facts(context.WithoutCancel(ctx), c, true)
	for i := range answers {
		answers[i].Reasons = f.reasons(&answers[i])
	}
	return nil
}

// search is one reading of the topic for some users.
type search struct {
	*Tracer
	mu      sync.Mutex
	wanted  map[grant.UserID][]*Trace
	done    int64
	all     int64
	problem string // what ended it early
}

func (t *Tracer) trace(ctx context.Context, answers []Answer) error {
	id, err := t.Topic.Identify(ctx)
	if err != nil {
		return err
	}
	bounds, err := t.Topic.Bounds(ctx)
	if err != nil {
		return err
	}
	whole := search{Tracer: t, wanted: map[grant.UserID][]*Trace{}}
	for i := range answers {
		a := &answers[i]
		if !a.Known {
			continue
		}
		a.Trace = &Trace{Records: []Record{}, TopicID: id.String()}
		if a.Granted && !t.Whole {
			if err := t.traceGrant(ctx, a, id, bounds); err != nil {
				return err
			}
			continue
		}
		if a.Granted {
			a.Trace.Problem = untraceable(a, id)
		}
		whole.wanted[a.User] = append(whole.wanted[a.User], a.Trace)
	}
	if len(whole.wanted) == 0 {
		return nil
	}
	var ranges []Range
	for _, p := range bounds.Partitions() {
		if bounds.Ends[p] > bounds.Firsts[p] {
			ranges = append(ranges, Range{p, bounds.Firsts[p], bounds.Ends[p] - 1})
		}
	}
	if err := whole.read(ctx, ranges); err != nil {
		return err
	}
	if err := whole.readLetters(ctx); err != nil {
		return err
	}
	whole.finish(true)
	return nil
}

// traceGrant reads the ranges that a grant names.
func (t *Tracer) traceGrant(ctx context.Context, a *Answer, id grant.TopicID, bounds grant.Bounds) error {
	if a.Trace.Problem = untraceable(a, id); a.Trace.Problem != "" {
		return nil
	}
	ranges, gone := stillThere(a.Source.Offsets, bounds)
	s := search{Tracer: t, wanted: map[grant.UserID][]*Trace{a.User: {a.Trace}}}
	if err := s.read(ctx, ranges); err != nil {
		return err
	}
	s.finish(false)
	if len(a.Trace.Records) == 0 && a.Trace.Problem == "" {
		a.Trace.Problem = "the records that the grant names do not hold the ID any more: compaction has removed it"
		if gone > 0 {
			a.Trace.Problem = fmt.Sprintf("the topic no longer has the record: retention has removed %d of the offsets that the "+
				"grant names. Its backup, or whoever published it, may still have it", gone)
		}
	}
	return nil
}

// untraceable says why a grant leads to no record of the topic that there is now; empty: it does.
func untraceable(a *Answer, now grant.TopicID) string {
	if a.Source == nil {
		return "the user was granted by hand: that names no record"
	}
	then, err := grant.ParseTopicID(a.Source.TopicID)
	if err != nil || now.Continues(then) {
		return ""
	}
	return "the topic was made again, or is on another cluster, since the user was granted: the offsets count in " +
		then.String() + ", and Kafka now has " + now.String() + ". The record cannot be traced"
}

// stillThere returns what the topic still has of some ranges, and how many of their offsets it has not.
func stillThere(ranges []Range, bounds grant.Bounds) (there []Range, gone int64) {
	for _, r := range ranges {
		first, last := max(r.First, bounds.Firsts[r.Partition]), min(r.Last, bounds.Ends[r.Partition]-1)
		gone += r.Last - r.First + 1
		if first <= last {
			there = append(there, Range{r.Partition, first, last})
			gone -= last - first + 1
		}
	}
	return there, gone
}

// read reads some ranges. That the context ends is no failure: what was found counts.
func (s *search) read(ctx context.Context, ranges []Range) error {
	for _, r := range ranges {
		s.all += r.Last - r.First + 1
	}
	return s.eachRange(ctx, ranges, s.Topic, func(p *source.Parts) bool {
		id, reason := s.Topic.Decode(p)
		return reason == "" && s.wanted[id] != nil
	}, s.add)
}

func (s *search) eachRange(ctx context.Context, ranges []Range, topic Topic, match func(*source.Parts) bool,
	found func(source.Record) error,
) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(partitionsAtOnce)
	for _, r := range ranges {
		work.Go(func() error {
			return topic.Find(ctx, r.Partition, r.First, r.Last+1, match, found, s.tell)
		})
	}
	err := work.Wait()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		s.problem = fmt.Sprintf("not all was searched: %d of %d records, and then the time was up (--trace-for)",
			s.done, s.all)
		return nil
	}
	return err
}

// tell counts records as searched. The partitions are searched at once, but tell of it one after the other, and never backwards.
func (s *search) tell(records int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += records
	if s.Progress != nil {
		s.Progress(s.done, s.all)
	}
}

func (s *search) add(r source.Record) error {
	id, _ := s.Topic.Decode(r.Parts(&s.Input))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.wanted[id] {
		if t.Times++; len(t.Records) < MaxRecords {
			t.Records = append(t.Records, newRecord(s.Input.Topic, &r))
		}
	}
	return nil
}

// readLetters looks for rejected records that seem to mean one of the users.
func (s *search) readLetters(ctx context.Context) error {
	if s.Tracer.Letters == nil || s.problem != "" {
		return nil
	}
	letters, closeLetters, err := s.Tracer.Letters()
	if err != nil {
		return err
	}
	defer closeLetters()             //nolint:errcheck // only idle connections are closed
	bounds, err := letters.Peek(ctx) // nobody waits for a topic that does not exist
	if source.NoTopic(err) {         // nothing was ever rejected
		return nil
	}
	if err != nil {
		return err
	}
	var ranges []Range
	for _, p := range bounds.Partitions() {
		if bounds.Ends[p] > bounds.Firsts[p] {
			ranges = append(ranges, Range{p, bounds.Firsts[p], bounds.Ends[p] - 1})
			s.all += bounds.Ends[p] - bounds.Firsts[p]
		}
	}
	return s.eachRange(ctx, ranges, letters, func(p *source.Parts) bool {
		return slices.ContainsFunc(numbers(string(p.Holder(&s.Input))), func(id grant.UserID) bool { return s.wanted[id] != nil })
	}, s.addLetter)
}

func (s *search) addLetter(r source.Record) error {
	l := Letter{Partition: -1, Offset: -1}
	for _, h := range r.Headers {
		switch h.Key {
		case source.HeaderReason:
			l.Reason = string(h.Value)
		case source.HeaderPartition:
			l.Partition, _ = strconv.Atoi(string(h.Value))
		case source.HeaderOffset:
			l.Offset, _ = strconv.ParseInt(string(h.Value), 10, 64)
		case source.HeaderTopic:
			if string(h.Value) != s.Input.Topic { // topics may share their dead letters
				return nil
			}
		}
	}
	field := r.Parts(&s.Input).Holder(&s.Input)
	l.Value = strconv.Quote(string(field[:min(len(field), 60)]))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range numbers(string(field)) {
		for _, t := range s.wanted[id] {
			if len(t.Letters) < MaxRecords && !slices.Contains(t.Letters, l) { // a letter may be stored twice
				t.Letters = append(t.Letters, l)
			}
		}
	}
	return nil
}

func (s *search) finish(whole bool) {
	for _, traces := range s.wanted {
		for _, t := range traces {
			slices.SortFunc(t.Records, func(a, b Record) int {
				return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
			})
			slices.SortFunc(t.Letters, func(a, b Letter) int {
				return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
			})
			t.Searched, t.Whole = s.done, whole && s.problem == ""
			if s.problem != "" {
				t.Problem = strings.TrimPrefix(t.Problem+"; "+s.problem, "; ")
			}
		}
	}
}

func newRecord(topic string, r *source.Record) Record {
	out := Record{
		Topic: topic, Partition: r.Partition, Offset: r.Offset, ByBroker: r.ByBroker, Key: shown(r.Key), Value: shown(r.Value),
		Headers: []Header{},
	}
	if !r.Time.IsZero() {
		out.Time = &r.Time
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, Header{h.Key, shown(h.Value)})
	}
	return out
}

// shown is how bytes are shown: as they are, if they are text, else quoted. nil stays.
func shown(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
		s = strconv.Quote(s)
	}
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return &s
}

// traced is the reason of a user without a grant whose record was found in the topic.
func (f *facts) traced(t *Trace) Reason {
	r := t.Records[0]
	st := f.status
	if st == nil {
		return statusUnknown(f.err)
	}
	for _, p := range st.Partitions {
		if p.Partition == r.Partition && r.Offset < p.End-p.Lag {
			return unexplained(r.Partition, r.Offset)
		}
	}
	if limit := st.Control.Finish; st.FinishLag != nil && r.Offset >= limit.Ends[r.Partition] {
		return finished(st)
	}
	reason := inLag(st)
	for _, p := range reason.Lag.Partitions {
		if p.Partition == r.Partition {
			reason.Says = say("The user's record waits: offset %s of partition %s, with %s records before it in its partition.",
				"이 사용자의 레코드가 대기 중입니다: 파티션 %[2]s, 오프셋 %[1]s. 같은 파티션에서 앞에 레코드 %[3]s개가 있습니다.",
				plain(r.Offset), plain(int64(r.Partition)), r.Offset-p.From)
		}
	}
	return reason
}
