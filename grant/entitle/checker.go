// Package entitle answers other services that ask whether a user holds an item, thousands of times a second: exactly, as of the
// moment of the question, at the cost of a bit or two in Redis; for one user, whose question shares a pipeline with those of
// others, and for a million. When the ledger does not answer, it says what was declared for that case, and that it is that.
package entitle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
)

// ErrNoItem means that no campaign has an item of that name.
var ErrNoItem = errors.New("no campaign has this item")

// UserError says that an ID is none of the campaigns that somebody asks about.
type UserError struct{ Err error }

func (e *UserError) Error() string { return e.Err.Error() }
func (e *UserError) Unwrap() error { return e.Err }

// AwayError says that the ledger did not answer in time.
type AwayError struct{ Err error }

func (e *AwayError) Error() string { return "the ledger does not answer: " + e.Err.Error() }
func (e *AwayError) Unwrap() error { return e.Err }

// Config of a Checker.
type Config struct {
	// Campaigns returns all that can be asked about, by the specs in force. It is called once a second at most, and only while
	// somebody asks.
	Campaigns func(ctx context.Context) ([]Campaign, error)
	Timeout   time.Duration // for Redis to answer one question; 0: defaultTimeout
	Fallback  Fallback      // what is said when it does not; "": FallbackUnknown
}

const (
	// defaultTimeout is longer than any pipeline takes, the flushes of a run included, and short for whoever waits.
	defaultTimeout = 500 * time.Millisecond
	// refreshEvery is how soon a campaign that begins is known.
	refreshEvery = time.Second
	// restFor is how long a ledger that did not answer is left alone: who asks meanwhile need not wait for it.
	restFor = 250 * time.Millisecond
)

// Checker answers. It is safe for concurrent use.
type Checker struct {
	cfg    Config
	shared sharer

	all       atomic.Pointer[known]
	refreshed atomic.Int64 // Unix nanoseconds
	refresh   sync.Mutex
	restUntil atomic.Int64 // Unix nanoseconds
	memory    memory
}

// New makes a checker. It asks nobody yet.
func New(cfg Config) *Checker {
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	cfg.Fallback = cmp.Or(cfg.Fallback, FallbackUnknown)
	return &Checker{cfg: cfg, shared: sharer{timeout: cfg.Timeout},
		memory: memory{chunks: map[remembered]seen{}, whole: map[remembered]time.Time{}}}
}

// Query is what somebody asks about. In restricts it to some campaigns; nil: all.
type Query struct {
	User grant.UserID // as somebody wrote it: each campaign reads the text by the form of its IDs
	Item string
	At   time.Time // zero: now
	In   func(campaign string) bool
}

func (q *Query) when() when {
	if q.At.IsZero() {
		return when{time.Now(), true}
	}
	return when{q.At, false}
}

// Answer is how a user and an item stand. Where several campaigns have the item, one counts by which it is active.
type Answer struct {
	User     grant.UserID // in the form of the first campaign that has such IDs
	Campaign string       // "": the user was not granted the item by any
	Item     string
	State    grant.State
	At       time.Time // that the answer is about
	Basis    Basis
	AsOf     time.Time // of BasisLastKnown: when the ledger was seen so
}

// Active reports whether the user can use the item.
func (a *Answer) Active() bool { return a.State == grant.StateActive }

// Check answers about one item: ErrNoItem, if there is none; a *UserError, if no campaign that has it has such IDs; an
// *AwayError, if the ledger does not answer and nothing else may be said.
func (c *Checker) Check(ctx context.Context, q Query) (Answer, error) {
	w := q.when()
	a := Answer{User: q.User, Item: q.Item, State: StateNone, At: w.at, Basis: BasisLedger}
	subjects, err := c.subjects(ctx)
	if err != nil {
		return a, err
	}
	questions, err := subjects.ask(q.Item, q.In, w)
	if err != nil {
		return a, err
	}
	if questions, err = readable(questions, q.User); err != nil {
		return a, err
	}
	err = c.see(ctx, questions, q.User)
	if a.User = questions[0].user; err != nil {
		return c.instead(questions, q.User, a, err)
	}
	for i := range questions {
		state, err := questions[i].decide(ctx)
		if err != nil {
			return c.instead(questions, q.User, a, c.away(err))
		}
		a.merge(state, questions[i].Name)
	}
	return a, nil
}

// merge takes in what another campaign says: that it is active counts most.
func (a *Answer) merge(state grant.State, campaign string) {
	if a.State != grant.StateActive && state != StateNone {
		a.State, a.Campaign = state, campaign
	}
}

// known is all that can be asked about.
type known struct {
	subjects []*subject
	broken   map[string]error // by campaign: why its spec cannot be read
}

// ask makes the questions of a check. Where the item may be that of a campaign that cannot be read, it says so.
func (k *known) ask(item string, in func(string) bool, w when) ([]question, error) {
	var out []question
	for _, s := range k.subjects {
		if in != nil && !in(s.Name) {
			continue
		}
		if i := s.item(item); i >= 0 {
			out = append(out, question{subject: s, item: i, when: w})
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	for name, err := range k.broken {
		if in == nil || in(name) {
			return nil, fmt.Errorf("%w: %s; it may be one of campaign %s, which cannot be read: %w", ErrNoItem, item, name, err)
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoItem, item)
}

// readable leaves out the questions about campaigns that have no such IDs: an error, if none is left.
func readable(questions []question, user grant.UserID) ([]question, error) {
	out := questions[:0:0]
	for i := range questions {
		if questions[i].reads(user) {
			out = append(out, questions[i])
		}
	}
	if len(out) > 0 || len(questions) == 0 && user.IsNumber() {
		return out, nil
	}
	_, err := userid.Parse(user.String(), grant.MaxUserID)
	for i := range questions {
		if questions[i].opaque() {
			form := userid.FormOf(&questions[i].Input)
			_, err = form.Parse(user.String())
			break
		}
	}
	return nil, &UserError{err}
}

// see looks at a user in all campaigns of some questions, in one pipeline that others share; and again where a bucket is not as
// it was known.
func (c *Checker) see(ctx context.Context, questions []question, user grant.UserID) error {
	if err := c.rests(); err != nil {
		return err
	}
	left := make([]*question, len(questions))
	for i := range questions {
		questions[i].user = user
		questions[i].prepare(user)
		left[i] = &questions[i]
	}
	for len(left) > 0 {
		err := c.shared.see(questions[0].Ledger.Glances, func(g *ledger.Glances) {
			for _, q := range left {
				q.add(g)
			}
		})
		again := left[:0]
		for _, q := range left {
			if !q.opaque() {
				if err != nil && q.glance.Err() != nil { // else it is of somebody else in the pipeline
					return c.away(err)
				}
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
			stale, err := q.seen(ctx)
			cancel()
			if err != nil {
				return c.away(err)
			}
			if stale {
				again = append(again, q)
			}
		}
		left = again
	}
	return nil
}

// rests says that the ledger did not answer just now.
func (c *Checker) rests() error {
	if time.Now().UnixNano() < c.restUntil.Load() {
		return &AwayError{errors.New("it did not a moment ago")}
	}
	return nil
}

// orAway is away for an error that may be none.
func (c *Checker) orAway(err error) error {
	if err == nil {
		return nil
	}
	return c.away(err)
}

// away notes that the ledger does not answer, unless it did, and what it said is wrong.
func (c *Checker) away(err error) error {
	if errors.Is(err, ledger.ErrInconsistent) {
		return err
	}
	if _, already := errors.AsType[*AwayError](err); already {
		return err
	}
	c.restUntil.Store(time.Now().Add(restFor).UnixNano())
	return &AwayError{err}
}

// Holdings are all that a user holds, or held.
type Holdings struct {
	At         time.Time
	Basis      Basis
	Held       []Held       // by campaign, and in the order of their specs
	Unreadable []string     // campaigns whose spec cannot be read: nobody knows what the user has of them
	User       grant.UserID // as in Answer
}

// Holdings answers about all items of all campaigns, with the moments. Errors are those of Check; the query's item counts for
// nothing.
func (c *Checker) Holdings(ctx context.Context, q Query) (Holdings, error) {
	out := Holdings{At: q.when().at, Basis: BasisLedger}
	all, err := c.subjects(ctx)
	if err != nil {
		return out, err
	}
	for name := range all.broken {
		if q.In == nil || q.In(name) {
			out.Unreadable = append(out.Unreadable, name)
		}
	}
	slices.Sort(out.Unreadable)
	var questions []question
	for _, s := range all.subjects {
		if q.In == nil || q.In(s.Name) {
			questions = append(questions, question{subject: s, when: when{out.At, q.At.IsZero()}, whole: true})
		}
	}
	out.User = q.User
	if questions, err = readable(questions, q.User); err != nil || len(questions) == 0 {
		return out, err
	}
	err = c.see(ctx, questions, q.User)
	if out.User = questions[0].user; err != nil {
		err = c.heldInstead(&out, questions, q.User, err)
		return out, err
	}
	for i := range questions {
		held, err := questions[i].all(ctx)
		if err != nil {
			out.Held = nil
			err = c.heldInstead(&out, questions, q.User, c.away(err))
			return out, err
		}
		out.Held = append(out.Held, held...)
	}
	return out, nil
}

// all returns how all items of the question's campaign stand.
func (q *question) all(ctx context.Context) (held []Held, err error) {
	g := &q.glance
	if q.opaque() {
		held, err = q.allInBucket(ctx)
		return slices.DeleteFunc(held, func(h Held) bool { return h.State == StateNone }), err
	}
	if err = g.Err(); err != nil || !g.Granted() {
		return nil, err
	}
	if g.State() != "" || q.Offers() {
		held, err = q.held(ctx, q.user, q.when)
	} else {
		var granted time.Time
		granted, err = q.moment(ctx, g.Chunk, g.Low)
		held = q.judge(&grant.Holding{GrantedAt: granted}, q.when)
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(held, func(h Held) bool { return h.State == StateNone }), nil
}

// subjects returns the campaigns as they were a second ago at most or, if the ledger does not answer, as they were then.
func (c *Checker) subjects(ctx context.Context) (*known, error) {
	before := c.all.Load()
	switch {
	case before != nil && c.fresh():
		return before, nil
	case before == nil:
		if err := c.rests(); err != nil {
			return nil, err
		}
		c.refresh.Lock()
	case !c.refresh.TryLock():
		return before, nil // somebody is at it
	}
	defer c.refresh.Unlock()
	if before = c.all.Load(); before != nil && c.fresh() {
		return before, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout) // others wait for it, too
	defer cancel()
	found, err := c.cfg.Campaigns(ctx)
	c.refreshed.Store(time.Now().UnixNano())
	switch {
	case err == nil:
		now := continued(found, before)
		c.all.Store(now)
		return now, nil
	case before != nil:
		return before, nil
	default:
		return nil, c.away(err)
	}
}

func (c *Checker) fresh() bool { return time.Now().UnixNano()-c.refreshed.Load() < int64(refreshEvery) }

// continued keeps what is known of campaigns that are still there.
func continued(found []Campaign, before *known) *known {
	old := map[string]*subject{}
	if before != nil {
		for _, s := range before.subjects {
			old[s.Name] = s
		}
	}
	now := &known{broken: map[string]error{}}
	for _, f := range found {
		if f.Broken != nil {
			now.broken[f.Name] = f.Broken
			continue
		}
		s := old[f.Name]
		if s == nil || s.Hash != f.Hash || s.Ledger != f.Ledger {
			s = newSubject(f)
		}
		now.subjects = append(now.subjects, s)
	}
	slices.SortFunc(now.subjects, func(a, b *subject) int { return cmp.Compare(a.Name, b.Name) })
	return now
}
