// Package decide decides what the rules can decide without a person: it asks who the owner is, computes the claim, and approves,
// declines, or hands it to people. It decides nothing while a service is away, and can be stopped and repeated at any point.
package decide

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity"
	"github.com/granter/granter/grant/claims/store"
)

// Registry says how businesses stand.
type Registry interface {
	Ask(ctx context.Context, list []identity.Business) (map[claims.BusinessNumber]identity.Standing, error)
}

// Bank says who holds an account.
type Bank interface {
	Ask(ctx context.Context, account identity.Account) (string, error)
}

// Worker looks at claims of one programme.
type Worker struct {
	Store     *store.Store
	Programme *claims.Programme
	Registry  Registry
	Bank      Bank
	Now       func() time.Time // nil: the clock

	peers map[string]claims.Peers // by industry, as of the beginning of a pass
}

// Passed is what one pass did.
type Passed struct {
	Looked   int                  `json:"looked"`
	States   map[claims.State]int `json:"states"`   // where claims are that it moved
	Pending  int                  `json:"pending"`  // wait for a service that is away
	Conflict int                  `json:"conflict"` // somebody else was at it meanwhile: the next pass looks again
	Away     []string             `json:"away,omitempty"`
	Frozen   string               `json:"frozen,omitempty"` // why nothing is decided at the moment; claims wait
}

const (
	batch   = 5 * identity.MostBusinesses // claims that are committed together
	askers  = 16                          // questions to the services at a time
	soonest = time.Minute                 // until a claim is looked at again that waits for a service; doubled each time
	latest  = time.Hour
)

var (
	// looks are the states in which the rules may have something to do.
	looks = []claims.State{claims.Received, claims.Checking, claims.OnHold, claims.PaymentReturned}
	// owed are those in which they have, when the money is to go to another account.
	owed = []claims.State{claims.Approved, claims.SecondLook, claims.Upheld, claims.PartlyUpheld}
)

func (w *Worker) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

// Pass looks once at every claim that is due.
func (w *Worker) Pass(ctx context.Context) (*Passed, error) {
	out := &Passed{States: map[claims.State]int{}}
	w.peers = map[string]claims.Peers{}
	err := w.pass(ctx, out)
	if frozen, ok := errors.AsType[*store.FrozenError](err); ok {
		out.Frozen = frozen.Error()
		return out, nil
	}
	return out, err
}

func (w *Worker) pass(ctx context.Context, out *Passed) error {
	if err := w.Store.Frozen(ctx, w.Programme.Name); err != nil {
		return err // before anybody is asked who owners are
	}
	for _, filter := range []store.Filter{{States: looks}, {States: owed, Delayed: true}} {
		filter.Programme, filter.Due, filter.Limit = w.Programme.Name, w.now(), batch
		if err := w.each(ctx, filter, out); err != nil {
			return err
		}
	}
	return nil
}

// found is some claims, and what the services say of their owners.
type found struct {
	list    []*store.Claim
	tries   map[string]int // how often each was put off
	answers map[string]*store.Identity
	away    []string
}

// each looks at all claims of a filter. While some are decided and committed, the services are asked about the next.
func (w *Worker) each(ctx context.Context, filter store.Filter, out *Passed) error {
	next := make(chan *found)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(next)
		for {
			lines, err := w.Store.List(ctx, filter)
			if err != nil || len(lines) == 0 {
				return err
			}
			f, err := w.find(ctx, lines)
			if err != nil {
				return err
			}
			select {
			case next <- f:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			filter.After = lines[len(lines)-1].ID
		}
	})
	group.Go(func() error {
		for f := range next {
			if err := w.batch(ctx, f, out); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// find reads claims, and asks who their owners are.
func (w *Worker) find(ctx context.Context, lines []store.Line) (*found, error) {
	ids := make([]string, len(lines))
	f := &found{tries: map[string]int{}}
	for i := range lines {
		ids[i] = lines[i].ID
		f.tries[lines[i].ID] = lines[i].Tries
	}
	var err error
	if f.list, err = w.Store.Get(ctx, ids...); err != nil {
		return nil, err
	}
	people, err := w.Store.People(ctx, ids)
	if err != nil {
		return nil, err
	}
	f.answers, f.away = w.identify(ctx, f.list, people)
	return f, nil
}

// batch decides about claims, when all before them are decided: what they share with others is looked up here.
func (w *Worker) batch(ctx context.Context, f *found, out *Passed) error {
	ids := make([]string, len(f.list))
	for i, c := range f.list {
		ids[i] = c.ID
	}
	shared, err := w.Store.Shared(ctx, ids)
	if err != nil {
		return err
	}
	out.Looked += len(f.list)
	for _, name := range f.away {
		if !slices.Contains(out.Away, name) {
			out.Away = append(out.Away, name)
		}
	}
	var steps []store.Step
	postponed := map[string]time.Time{}
	for _, c := range f.list {
		facts, err := w.steps(ctx, c, f.answers[c.ID], shared[c.ID])
		if err != nil {
			return fmt.Errorf("claim %s: %w", c.ID, err)
		}
		steps = append(steps, facts...)
		if id := f.answers[c.ID]; id != nil && !id.Complete {
			out.Pending++
			postponed[c.ID] = w.now().Add(min(latest, soonest<<min(f.tries[c.ID], 10)))
		}
	}
	if err := w.commit(ctx, steps, out); err != nil {
		return err
	}
	if err := w.alert(ctx, f.list, out); err != nil {
		return err
	}
	return w.Store.Postpone(ctx, postponed)
}

// commit commits all steps but those of claims that somebody else was at meanwhile.
func (w *Worker) commit(ctx context.Context, steps []store.Step, out *Passed) error {
	for len(steps) > 0 {
		err := w.Store.Commit(ctx, steps, nil)
		conflict, ok := errors.AsType[*store.ConflictError](err)
		if !ok {
			if err == nil {
				out.count(steps)
			}
			return err
		}
		out.Conflict += len(conflict.All)
		steps = slices.DeleteFunc(steps, func(s store.Step) bool {
			_, other := slices.BinarySearch(conflict.All, s.Claim.ID)
			return other
		})
	}
	return nil
}

func (p *Passed) count(steps []store.Step) {
	seen := map[string]bool{}
	for i := range steps {
		if c := steps[i].Claim; !seen[c.ID] {
			seen[c.ID] = true
			p.States[c.State]++
		}
	}
}

// identify asks about everybody who is not identified yet, and returns what was answered, and which services were away.
func (w *Worker) identify(
	ctx context.Context, list []*store.Claim, people map[string]*store.Person,
) (answers map[string]*store.Identity, away []string) {
	answers = map[string]*store.Identity{}
	var businesses []identity.Business
	var asked []*store.Claim
	for _, c := range list {
		p := people[c.ID]
		if c.Identity != nil && c.Identity.Complete || p == nil || c.State == claims.OnHold && (c.Identity != nil || !c.Moved) {
			continue
		}
		answers[c.ID] = &store.Identity{}
		asked = append(asked, c)
		businesses = append(businesses, identity.Business{Number: c.Unit, Opened: c.Facts.Opened,
			Representative: p.Representative})
	}
	if len(asked) == 0 {
		return answers, nil
	}
	var lock sync.Mutex
	failed := func(err error) {
		if err != nil && !slices.Contains(away, err.Error()) {
			away = append(away, err.Error())
		}
	}
	standings := map[claims.BusinessNumber]identity.Standing{}
	var group errgroup.Group
	group.SetLimit(askers)
	for part := range slices.Chunk(businesses, identity.MostBusinesses) {
		group.Go(func() error {
			some, err := w.Registry.Ask(ctx, part)
			lock.Lock()
			defer lock.Unlock()
			maps.Copy(standings, some)
			failed(err)
			return nil
		})
	}
	for _, c := range asked {
		group.Go(func() error {
			p := people[c.ID]
			answer, err := w.Bank.Ask(ctx, identity.Account{Bank: p.Bank, Number: p.Account, Holder: p.Holder})
			lock.Lock()
			defer lock.Unlock()
			id := answers[c.ID]
			id.Account = answer
			if err != nil {
				id.Unanswered = append(id.Unanswered, "the bank")
			}
			failed(err)
			return nil
		})
	}
	_ = group.Wait() // nobody returns an error
	for _, c := range asked {
		id := answers[c.ID]
		standing, known := standings[c.Unit]
		id.Business, id.ClosedOn = standing.State, standing.ClosedOn
		if !known {
			id.Unanswered = slices.Insert(id.Unanswered, 0, "the tax office")
		}
		id.Complete = len(id.Unanswered) == 0
	}
	return answers, away
}

// steps are what the rules do with one claim.
func (w *Worker) steps(
	ctx context.Context, c *store.Claim, answer *store.Identity, shared map[claims.SignalKind][]string,
) ([]store.Step, error) {
	var steps []store.Step
	add := func(action claims.Action, reason string, change store.Change) {
		steps = append(steps, store.Step{Claim: c, Action: action, By: store.Rules, Reason: reason, Change: change})
	}
	if !slices.Contains(looks, c.State) && !slices.Contains(owed, c.State) {
		return nil, nil // somebody moved it on between the list of what is due and the look at it
	}
	if c.State == claims.Received {
		add(claims.Check, "", store.Change{})
	}
	id := c.Identity
	if answer != nil && answer.Complete {
		add(Identified(answer))
		id = answer
	}
	if id == nil || !id.Complete && c.State != claims.OnHold {
		return steps, nil // it waits for a service
	}
	if c.State == claims.PaymentReturned || slices.Contains(owed, c.State) {
		// It waits for a payer, who pays nothing while the account is not confirmed.
		if s := c.Unconfirmed(id); s != nil && (c.State == claims.Approved || c.State == claims.SecondLook) {
			add(claims.Flag, s.What, store.Change{Signals: []claims.Signal{*s}})
		}
		return steps, nil
	}
	facts := c.Facts
	var change store.Change
	if id.ClosedOn != "" && facts.Closed == "" {
		facts.Closed, change.Facts = id.ClosedOn, &facts
	}
	a, err := w.Programme.Assess(&facts)
	if err != nil {
		return nil, err
	}
	proposal := w.Programme.Propose(&facts, &a)
	signals, err := w.signals(ctx, c, &facts, &a, id, shared)
	if err != nil {
		return nil, err
	}
	if c.State == claims.OnHold {
		if len(c.Signals) == 0 || len(signals) > 0 {
			return steps, nil // a person put it on hold, or the cause is still there
		}
		add(claims.Clear, "what it was held for is gone", store.Change{})
	}
	change.Assessment, change.Proposal = &a, &proposal
	switch {
	case proposal.Declined != "":
		change.Declined = proposal.Declined
		add(claims.Decline, proposal.Why, change)
	case len(signals) > 0:
		change.Signals = signals
		add(claims.Flag, words(signals), change)
	case len(c.Missing(&proposal)) > 0:
		add(claims.MissDocument, "needed: "+strings.Join(c.Missing(&proposal), ", "), change)
	case proposal.Review || proposal.Second:
		add(claims.Review, "", change)
	default:
		change.Owed = &proposal.Pay
		add(claims.Approve, proposal.Why, change)
	}
	return steps, nil
}

// Identified is the entry that says who somebody is.
func Identified(id *store.Identity) (action claims.Action, reason string, change store.Change) {
	return store.Identify, fmt.Sprintf("business %s, account %s", id.Business, id.Account), store.Change{Identity: id}
}

// signals are what a person must look at.
func (w *Worker) signals(
	ctx context.Context, c *store.Claim, f *claims.Facts, a *claims.Assessment, id *store.Identity,
	shared map[claims.SignalKind][]string,
) ([]claims.Signal, error) {
	peers, ok := w.peers[f.Industry]
	if !ok {
		var err error
		if peers, err = w.Store.Peers(ctx, w.Programme.Name, f.Industry); err != nil {
			return nil, err
		}
		w.peers[f.Industry] = peers
	}
	out := w.Programme.Signals(f, a, shared, peers, c.Cleared)
	if s := c.Unconfirmed(id); s != nil {
		out = append(out, *s)
	}
	return out, nil
}

func words(signals []claims.Signal) string {
	list := make([]string, len(signals))
	for i := range signals {
		list[i] = signals[i].What
	}
	return strings.Join(list, "; ")
}

// alert stops claims that were approved before another one came that shares something with them.
func (w *Worker) alert(ctx context.Context, list []*store.Claim, out *Passed) error {
	var others []string
	for _, c := range list {
		for i := range c.Signals {
			others = append(others, c.Signals[i].Others...)
		}
	}
	slices.Sort(others)
	others = slices.Compact(others)
	if len(others) == 0 {
		return nil
	}
	found, err := w.Store.Get(ctx, others...)
	if err != nil {
		return err
	}
	shared, err := w.Store.Shared(ctx, others)
	if err != nil {
		return err
	}
	var steps []store.Step
	for _, c := range found {
		if c.State != claims.Approved && c.State != claims.SecondLook {
			continue
		}
		signals := w.Programme.Signals(&c.Facts, c.Assessment, shared[c.ID], claims.Peers{}, c.Cleared)
		if len(signals) > 0 {
			steps = append(steps, store.Step{Claim: c, Action: claims.Flag, By: store.Rules, Reason: words(signals),
				Change: store.Change{Signals: signals}})
		}
	}
	return w.commit(ctx, steps, out)
}
