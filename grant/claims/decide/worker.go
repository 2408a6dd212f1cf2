// Package decide decides what the rules can decide without a person: it asks who the owner is, computes the claim, and approves,
// declines, or hands it to people. It decides nothing while a service is away, and can be stopped and repeated at any point.
package decide

import (
	"context"
	"errors"
	"fmt"
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
	batch   = identity.MostBusinesses // one call to the tax office
	askers  = 8                       // questions to the bank at a time
	soonest = time.Minute             // until a claim is looked at again that waits for a service; doubled each time
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

func (w *Worker) each(ctx context.Context, filter store.Filter, out *Passed) error {
	for {
		lines, err := w.Store.List(ctx, filter)
		if err != nil || len(lines) == 0 {
			return err
		}
		if err := w.batch(ctx, lines, out); err != nil {
			return err
		}
		filter.After = lines[len(lines)-1].ID
	}
}

func (w *Worker) batch(ctx context.Context, lines []store.Line, out *Passed) error {
	ids := make([]string, len(lines))
	tries := map[string]int{}
	for i := range lines {
		ids[i] = lines[i].ID
		tries[lines[i].ID] = lines[i].Tries
	}
	list, err := w.Store.Get(ctx, ids...)
	if err != nil {
		return err
	}
	people, err := w.Store.People(ctx, ids)
	if err != nil {
		return err
	}
	shared, err := w.Store.Shared(ctx, ids)
	if err != nil {
		return err
	}
	out.Looked += len(list)
	answers, away := w.identify(ctx, list, people)
	for _, name := range away {
		if !slices.Contains(out.Away, name) {
			out.Away = append(out.Away, name)
		}
	}
	var steps []store.Step
	postponed := map[string]time.Time{}
	for _, c := range list {
		facts, err := w.steps(ctx, c, answers[c.ID], shared[c.ID])
		if err != nil {
			return fmt.Errorf("claim %s: %w", c.ID, err)
		}
		steps = append(steps, facts...)
		if id := answers[c.ID]; id != nil && !id.Complete {
			out.Pending++
			postponed[c.ID] = w.now().Add(min(latest, soonest<<min(tries[c.ID], 10)))
		}
	}
	if err := w.commit(ctx, steps, out); err != nil {
		return err
	}
	if err := w.alert(ctx, list, out); err != nil {
		return err
	}
	return w.Store.Postpone(ctx, postponed)
}

// commit commits all steps or, when somebody else was at one of the claims, claim by claim.
func (w *Worker) commit(ctx context.Context, steps []store.Step, out *Passed) error {
	err := w.Store.Commit(ctx, steps, nil)
	if conflicts(err) {
		err = nil
		for len(steps) > 0 && err == nil {
			n := 1
			for n < len(steps) && steps[n].Claim == steps[0].Claim {
				n++
			}
			if err = w.Store.Commit(ctx, steps[:n], nil); conflicts(err) {
				out.Conflict++
				err = nil
			} else {
				out.count(steps[:n])
			}
			steps = steps[n:]
		}
		return err
	}
	if err == nil {
		out.count(steps)
	}
	return err
}

func conflicts(err error) bool {
	_, ok := errors.AsType[*store.ConflictError](err)
	return ok
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
	standings, err := w.Registry.Ask(ctx, businesses)
	if err != nil {
		away = append(away, err.Error())
	}
	var lock sync.Mutex
	var group errgroup.Group
	group.SetLimit(askers)
	for _, c := range asked {
		group.Go(func() error {
			p := people[c.ID]
			answer, err := w.Bank.Ask(ctx, identity.Account{Bank: p.Bank, Number: p.Account, Holder: p.Holder})
			lock.Lock()
			defer lock.Unlock()
			id := answers[c.ID]
			standing, known := standings[c.Unit]
			id.Business, id.ClosedOn, id.Account = standing.State, standing.ClosedOn, answer
			if !known {
				id.Unanswered = append(id.Unanswered, "the tax office")
			}
			if err != nil {
				id.Unanswered = append(id.Unanswered, "the bank")
				if !slices.Contains(away, err.Error()) {
					away = append(away, err.Error())
				}
			}
			id.Complete = len(id.Unanswered) == 0
			return nil
		})
	}
	_ = group.Wait() // nobody returns an error
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
