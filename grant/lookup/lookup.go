// Package lookup answers support's question about one user: granted or not, when, what they hold and until when, by which
// run and from which records; and if not, why, and what to do next. It asks the ledger, and the status of a campaign when
// somebody has nothing in it; the topic itself is read only when a trace was asked for.
package lookup

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/userid"
)

// Coordination is what a lookup asks of what runs agree by.
type Coordination interface {
	status.Specs
	// Runs returns the records of all runs; with a ledger.ErrInconsistent, those that can be read.
	Runs(ctx context.Context) ([]grant.RunRecord, error)
}

// Reader is what a lookup asks about users.
type Reader interface {
	status.Counts
	// Held returns what the ledger knows about some users, in their order, and what decides what they hold of a campaign.
	Held(ctx context.Context, c *grant.Campaign, users []grant.UserID) ([]ledger.User, []grant.Holding, error)
}

// Subject is one campaign that may be asked.
type Subject struct {
	Campaign     *grant.Campaign // of the file, or as the ledger has it; only its name, when it is broken
	Coordination Coordination
	Reader       Reader
	// Status says how far the campaign is; it may return both what is known and what could not be asked. Nil: not known.
	Status func(context.Context) (*status.Status, error)
	Broken error            // why the spec cannot be read; nil: it can
	Now    func() time.Time // what users hold is as of then; nil: time.Now
}

// Answer is what is known about one user in one campaign.
type Answer struct {
	Campaign string       `json:"campaign"`
	Title    string       `json:"title,omitempty"`
	StartsAt *time.Time   `json:"starts_at,omitempty"`
	User     grant.UserID `json:"user"` // JavaScript has no integers above 2^53
	// Known is false when the ledger could not be asked: then Granted says nothing, and Reasons say why.
	Known     bool       `json:"known"`
	Granted   bool       `json:"granted"`
	GrantedAt *time.Time `json:"granted_at,omitempty"` // in the campaign's zone, by the clock of Redis
	Source    *Source    `json:"source,omitempty"`     // of the grant, if a run made it
	// By is the act that granted the user by hand, or excluded the user; State is what acts made of the user since.
	By    *grant.Act       `json:"by,omitempty"`
	State *grant.UserState `json:"acts,omitempty"`
	// Seen is ledger.User.Seen, for an act about the user as it is here.
	Seen string `json:"seen,omitempty"`
	// Entitlements are what the user holds, held, or may take. Empty: nothing has been granted.
	Entitlements []Entitlement `json:"entitlements"`
	Reasons      []Reason      `json:"reasons"` // why the user has not all that the campaign gives, the weightiest first
	Trace        *Trace        `json:"trace,omitempty"`
	// SpecDiffers says that the file that was asked with has another spec than the ledger, by which this is answered.
	SpecDiffers *status.Differs `json:"spec_differs,omitempty"`

	zone *time.Location // the campaign's
}

// Source is where a grant came from.
type Source struct {
	Run     grant.RunID `json:"run"`
	Replica string      `json:"replica,omitempty"` // host and process; empty: the run's record is gone
	Version string      `json:"version,omitempty"` // of the granter that ran
	Pass    string      `json:"pass,omitempty"`    // "canary 1%"; empty: the run that was for everybody
	Shard   int         `json:"shard"`
	Flush   uint64      `json:"flush"`
	Topic   string      `json:"topic"`
	TopicID string      `json:"topic_id,omitempty"` // what the offsets count in: IDs of cluster and topic; empty: not known
	// Offsets are the ranges in one of which the user's record is: a flush journals the users of many records at once.
	Offsets []Range `json:"offsets"`
}

// Range is some offsets of one partition, the last one included.
type Range struct {
	Partition int   `json:"partition"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"`
}

// Zone is the zone that the campaign has its dates in.
func (a *Answer) Zone() *time.Location {
	if a.zone == nil {
		return time.UTC
	}
	return a.zone
}

// Look answers about some users in one campaign, in their order. It fails when the ledger cannot be asked, or contradicts
// itself; Unanswered makes answers of that.
func Look(ctx context.Context, s *Subject, users []grant.UserID) ([]Answer, error) {
	k, err := s.know(ctx, users)
	if err != nil {
		return nil, err
	}
	c, users, found := k.campaign, k.users, k.found
	answers := make([]Answer, len(users))
	missing := false
	for i, user := range users {
		answers[i] = newAnswer(c, user)
		answers[i].SpecDiffers, answers[i].Known = k.differs, true
		answers[i].acts(&found[i])
		answers[i].Seen = found[i].Seen()
		if found[i].Place == grant.PlaceGranted {
			answers[i].granted(c, found[i].Settled, &k.held[i], k.runs[found[i].Settled.Run], s.now())
		}
		missing = missing || found[i].Place == grant.PlaceNone
	}
	f := s.facts(ctx, c, missing)
	for i := range answers {
		answers[i].Reasons = f.reasons(&answers[i])
	}
	return answers, nil
}

func (s *Subject) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// knowledge is what the ledger knows about some users.
type knowledge struct {
	campaign *grant.Campaign // by the spec that they are granted by
	differs  *status.Differs
	users    []grant.UserID // as that campaign has them
	found    []ledger.User
	held     []grant.Holding
	runs     map[grant.RunID]*grant.RunRecord
}

// know asks the ledger for the spec, the users and the runs at the same time: while a run is under way at full speed, each
// wait for Redis is what an answer takes. That the spec is another than ours shows afterwards; then the users are asked again.
func (s *Subject) know(ctx context.Context, users []grant.UserID) (*knowledge, error) {
	if s.Broken != nil {
		return nil, s.Broken
	}
	k := &knowledge{users: own(s.Campaign, users)}
	var heldErr, runsErr error
	all, asking := errgroup.WithContext(ctx)
	all.Go(func() (err error) {
		k.campaign, k.differs, err = s.InForce(asking)
		return err
	})
	all.Go(func() error {
		k.found, k.held, heldErr = s.Reader.Held(asking, s.Campaign, k.users)
		return nil
	})
	all.Go(func() error {
		k.runs, runsErr = runsOf(asking, s.Coordination)
		return nil
	})
	if err := all.Wait(); err != nil {
		return nil, err
	}
	if k.campaign != s.Campaign {
		k.users = own(k.campaign, users)
		k.found, k.held, heldErr = s.Reader.Held(ctx, k.campaign, k.users)
	}
	if heldErr != nil {
		return nil, heldErr
	}
	if runsErr != nil && slices.ContainsFunc(k.found, byRun) {
		return nil, runsErr
	}
	return k, nil
}

// InForce returns the campaign by the spec that users are granted by, and how the file differs from it.
func (s *Subject) InForce(ctx context.Context) (*grant.Campaign, *status.Differs, error) {
	if s.Broken != nil {
		return nil, nil, s.Broken
	}
	return status.InForce(ctx, s.Coordination, s.Reader, s.Campaign)
}

// facts are asked for: the status only if somebody has nothing.
func (s *Subject) facts(ctx context.Context, c *grant.Campaign, missing bool) facts {
	f := facts{campaign: c}
	if missing && s.Status != nil {
		f.status, f.err = s.Status(ctx)
	}
	return f
}

func newAnswer(c *grant.Campaign, user grant.UserID) Answer {
	a := Answer{Campaign: c.Name, Title: c.Title, User: user, Entitlements: []Entitlement{}, Reasons: []Reason{}}
	if !c.StartsAt.IsZero() {
		a.StartsAt, a.zone = &c.StartsAt, c.StartsAt.Location()
	}
	return a
}

func (a *Answer) granted(c *grant.Campaign, g *ledger.Grant, h *grant.Holding, run *grant.RunRecord, now time.Time) {
	h.GrantedAt = h.GrantedAt.In(a.Zone())
	a.Granted, a.GrantedAt = true, &h.GrantedAt
	a.Entitlements = Entitlements(c, h, now)
	if g.Kind != ledger.EntryGrant {
		return
	}
	a.Source = &Source{Run: g.Run, Shard: g.Shard, Flush: g.Flush, Topic: c.Input.Topic, Offsets: []Range{}}
	for _, r := range g.Ranges {
		a.Source.Offsets = append(a.Source.Offsets, Range(r))
	}
	slices.SortFunc(a.Source.Offsets, func(x, y Range) int { return cmp.Compare(x.Partition, y.Partition) })
	if run != nil {
		a.Source.Replica, a.Source.Version, a.Source.Pass = replica(run), run.Version, run.Pass
		a.Source.TopicID = run.Topic.String()
	}
}

// replica names the process of a run.
func replica(r *grant.RunRecord) string {
	if r.Host == "" {
		return ""
	}
	return r.Host + ":" + itoa(r.PID)
}

// byRun says whether somebody was granted by a run.
func byRun(u ledger.User) bool { return u.Settled != nil && u.Settled.Kind == ledger.EntryGrant }

// runsOf returns what each run has said of itself. One record that cannot be read takes no other along.
func runsOf(ctx context.Context, c Coordination) (map[grant.RunID]*grant.RunRecord, error) {
	list, err := c.Runs(ctx)
	if err != nil && !errors.Is(err, ledger.ErrInconsistent) {
		return nil, err
	}
	runs := make(map[grant.RunID]*grant.RunRecord, len(list))
	for i := range list {
		runs[list[i].Run] = &list[i]
	}
	return runs, nil
}

// Unanswered are the answers about users whom the ledger could not be asked about.
func Unanswered(c *grant.Campaign, users []grant.UserID, err error) []Answer {
	answers := make([]Answer, len(users))
	for i, user := range users {
		answers[i] = newAnswer(c, user)
		answers[i].Reasons = []Reason{unanswered(err)}
	}
	return answers
}

// atOnce is how many campaigns are asked at the same time.
const atOnce = 8

// All answers about some users in all of some campaigns: for each user, in their order, one answer for each campaign, those
// first that granted something, then those that began last. It never fails: what could not be asked is a reason.
func All(ctx context.Context, subjects []*Subject, users []grant.UserID) [][]Answer {
	byCampaign := make([][]Answer, len(subjects))
	slots := make(chan struct{}, atOnce)
	var work sync.WaitGroup
	for i, s := range subjects {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			var err error
			if byCampaign[i], err = Look(ctx, s, users); err != nil {
				byCampaign[i] = Unanswered(s.Campaign, users, err)
			}
		})
	}
	work.Wait()
	out := make([][]Answer, len(users))
	for i := range users {
		for _, answers := range byCampaign {
			out[i] = append(out[i], answers[i])
		}
		slices.SortStableFunc(out[i], order)
	}
	return out
}

func order(a, b Answer) int {
	rank := func(a *Answer) int {
		switch {
		case a.Granted:
			return 0
		case !a.Known: // it may have granted something
			return 1
		}
		return 2
	}
	begins := func(a *Answer) time.Time {
		if a.StartsAt == nil {
			return time.Time{}
		}
		return *a.StartsAt
	}
	return cmp.Or(cmp.Compare(rank(&a), rank(&b)), begins(&b).Compare(begins(&a)), strings.Compare(a.Campaign, b.Campaign))
}

// impossible reports whether a campaign can have no user of that ID.
func impossible(c *grant.Campaign, user grant.UserID) bool {
	if c.Input.Opaque() {
		form := userid.FormOf(&c.Input)
		_, err := form.Parse(user.String())
		return err != nil
	}
	return user.Number() > userid.Limit(c.Input.MaxID)
}

// own returns users as a campaign writes their IDs, where they can be its own.
func own(c *grant.Campaign, users []grant.UserID) []grant.UserID {
	if !c.Input.Opaque() {
		return users
	}
	form := userid.FormOf(&c.Input)
	out := slices.Clone(users)
	for i, user := range users {
		if id, err := form.Parse(user.String()); err == nil {
			out[i] = id
		}
	}
	return out
}
