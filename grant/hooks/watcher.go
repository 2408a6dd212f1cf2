package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/metrics"
)

// Board is where watchers agree on what was told: one document, which who leads by a lease changes in one step.
type Board interface {
	Lead(ctx context.Context, name, who string, lead time.Duration) (bool, error)
	Cede(ctx context.Context, name, who string) error
	Cursors(ctx context.Context, name string) (map[string]string, error)
	Advance(ctx context.Context, name, who string, lead time.Duration, moves []ledger.Move) (bool, error)
	Now(ctx context.Context) (time.Time, error)
	// Tell notes how a hook takes what it is told, beside the subscribers of events; it makes one attempt.
	Tell(ctx context.Context, s grant.Subscriber) error
	Subscribers(ctx context.Context) ([]grant.Subscriber, error)
}

// Config is what a watcher works with.
type Config struct {
	Campaign *grant.Campaign
	Hooks    []Hook
	Who      string // this process, for the lead
	Board    Board
	// Status says how the campaign stands, as far as that is known; Lost how many replicas fell silent.
	Status  func(context.Context) (*status.Status, error)
	Lost    func(context.Context) (int, error)
	Every   time.Duration  // how often it is looked at; 0: lookEvery
	Grace   time.Duration  // how long Follow goes on telling after its context has ended; 0: grace
	Metrics *metrics.Hooks // nil: none
	Log     *slog.Logger
}

const (
	leadName  = "hooks" // of the lead, and of the document
	leadFor   = 15 * time.Second
	lookEvery = 2 * time.Second
	grace     = 10 * time.Second
	field     = "state"
	maxTodo   = 200 // events that wait for hooks: more would mean that none of them has worked for days
)

// pending is an event that hooks are still to be told of.
type pending struct {
	Event Event    `json:"event"`
	Hooks []string `json:"hooks"`
}

// document is what watchers agree by.
type document struct {
	Seen *seen     `json:"seen"`
	Todo []pending `json:"todo,omitempty"`
}

// Watcher looks at a campaign and tells hooks.
type Watcher struct {
	Config
	callers []*caller

	mu     sync.Mutex
	doc    document
	stored string // doc, as Redis has it
	busy   map[string]bool
	done   chan told

	standings map[string]*grant.Subscriber // by hook
	news      bool                         // one of them has changed since it was noted
	noted     time.Time
}

// told is that a hook needs not be told of an event any more.
type told struct{ hook, id string }

// New makes a watcher. Nothing is asked yet.
func New(cfg Config) *Watcher {
	if cfg.Every <= 0 {
		cfg.Every = lookEvery
	}
	if cfg.Grace <= 0 {
		cfg.Grace = grace
	}
	w := &Watcher{
		Config: cfg, busy: map[string]bool{}, standings: map[string]*grant.Subscriber{}, done: make(chan told, len(cfg.Hooks)),
	}
	for _, h := range cfg.Hooks {
		w.callers = append(w.callers, newCaller(h))
	}
	return w
}

// Follow tells hooks what happens until the context ends, and then what happened until then, for Grace at most. It never
// fails: what goes wrong is logged, counted, and tried again.
func (w *Watcher) Follow(ctx context.Context) {
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	var calls sync.WaitGroup
	defer func() {
		stop()
		calls.Wait()
		for _, c := range w.callers {
			c.close()
		}
	}()
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	leads := false
	for ctx.Err() == nil {
		leads = w.step(live, leads, &calls)
		select {
		case <-tick.C:
		case d := <-w.done:
			w.tell(live, d, &calls)
		case <-ctx.Done():
		}
	}
	w.finish(live, leads, &calls)
}

// finish looks once more, and waits until all that this process may tell is told.
func (w *Watcher) finish(ctx context.Context, leads bool, calls *sync.WaitGroup) {
	ctx, cancel := context.WithTimeout(ctx, w.Grace)
	defer cancel()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if leads {
			w.note(ctx, true)
		}
		if err := w.Board.Cede(ctx, leadName, w.Who); err != nil {
			w.Log.Warn("the lead of the hooks could not be given back, and lapses", "error", err)
		}
	}()
	for patience := time.Now().Add(3 * w.Every); ctx.Err() == nil; {
		leads = w.step(ctx, leads, calls)
		if leads && w.idle() || !leads && time.Now().After(patience) { // another one leads, and sees what there is
			return
		}
		select {
		case d := <-w.done:
			w.tell(ctx, d, calls)
		case <-time.After(min(w.Every, 200*time.Millisecond)):
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	left := len(w.doc.Todo)
	w.mu.Unlock()
	if leads && left > 0 {
		w.Log.Warn("hooks were not told of everything; whoever watches the campaign next will", "events", left)
	}
}

func (w *Watcher) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(w.doc.Todo, func(p pending) bool {
		return slices.ContainsFunc(w.callers, func(c *caller) bool { return slices.Contains(p.Hooks, c.Name) })
	})
}

// step leads or goes on leading, looks, and has hooks called. It reports whether this process leads.
func (w *Watcher) step(ctx context.Context, leads bool, calls *sync.WaitGroup) bool {
	ok, err := w.Board.Lead(ctx, leadName, w.Who, leadFor)
	if err == nil && ok && !leads {
		if err = w.load(ctx); err == nil {
			err = w.restore(ctx)
		}
	}
	if err == nil && ok {
		err = w.look(ctx)
	}
	if err != nil {
		if !errors.Is(err, errLead) && ctx.Err() == nil {
			w.Log.Warn("hooks: the campaign could not be looked at, and is again", "error", err)
		}
		return false
	}
	if ok {
		w.start(ctx, calls)
		w.note(ctx, false)
	}
	return ok
}

var errLead = errors.New("another process has the lead")

func (w *Watcher) load(ctx context.Context) error {
	fields, err := w.Board.Cursors(ctx, leadName)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doc, w.stored = document{}, fields[field]
	if w.stored == "" {
		return nil
	}
	return json.Unmarshal([]byte(w.stored), &w.doc)
}

// look finds out what is new, and notes it.
func (w *Watcher) look(ctx context.Context) error {
	st, err := w.Status(ctx)
	if st == nil || !st.Knows(status.PartRuns, status.PartControl) {
		return err
	}
	o := &outlook{Status: st, campaign: w.Campaign}
	if o.lost, err = w.Lost(ctx); err != nil {
		return err
	}
	if o.now, err = w.Board.Now(ctx); err != nil {
		return err
	}
	return w.change(ctx, func(doc *document) {
		if doc.Seen == nil {
			doc.Seen = first(o)
		}
		doc.Seen.init()
		for _, e := range doc.Seen.learn(o) {
			w.Log.Info("hooks: "+e.Message, "kind", e.Kind, "id", e.ID)
			p := pending{Event: e}
			for _, c := range w.callers {
				if c.wants(e.Kind) {
					p.Hooks = append(p.Hooks, c.Name)
				}
			}
			if len(p.Hooks) > 0 {
				doc.Todo = append(doc.Todo, p)
			}
		}
		if n := len(doc.Todo) - maxTodo; n > 0 {
			w.Log.Error("hooks do not take events, and will not be told of the oldest", "events", n)
			doc.Todo = doc.Todo[n:]
		}
	})
}

// change changes the document, here and in Redis, or in neither.
func (w *Watcher) change(ctx context.Context, fn func(*document)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var next document
	if w.stored != "" {
		if err := json.Unmarshal([]byte(w.stored), &next); err != nil {
			return err
		}
	}
	fn(&next)
	text, err := json.Marshal(next)
	if err != nil || string(text) == w.stored {
		return err
	}
	move := ledger.Move{Field: field, From: w.stored, To: string(text)}
	leads, err := w.Board.Advance(ctx, leadName, w.Who, leadFor, []ledger.Move{move})
	if err != nil {
		return err
	}
	if !leads {
		return errLead
	}
	w.doc, w.stored = next, string(text)
	return nil
}

// start has each hook called that is not, with the oldest event that it is to be told of.
func (w *Watcher) start(ctx context.Context, calls *sync.WaitGroup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.callers {
		i := slices.IndexFunc(w.doc.Todo, func(p pending) bool { return slices.Contains(p.Hooks, c.Name) })
		if i < 0 || w.busy[c.Name] {
			continue
		}
		w.busy[c.Name] = true
		e := w.doc.Todo[i].Event
		calls.Go(func() {
			w.attempt(ctx, c, &e)
			w.done <- told{c.Name, e.ID} // it has room for each hook
		})
	}
}

// attempt calls a hook until that succeeds, or its time is over.
func (w *Watcher) attempt(ctx context.Context, c *caller, e *Event) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 500*time.Millisecond, 30*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := c.call(ctx, e)
		w.count(c.Name, err)
		if err == nil || ctx.Err() == nil {
			w.attempted(c.Name, err)
		}
		if err != nil && ctx.Err() == nil {
			w.Log.Warn("a hook fails", "hook", c.Name, "event", e.ID, "error", err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(c.Retry))
	if err != nil && ctx.Err() == nil {
		w.Log.Error("a hook is not told of an event: it has failed for too long", "hook", c.Name, "event", e.ID,
			"for", c.Retry.String(), "error", err)
		if w.Metrics != nil {
			w.Metrics.GivenUp.WithLabelValues(c.Name).Inc()
		}
	}
}

func (w *Watcher) count(hook string, err error) {
	if w.Metrics == nil {
		return
	}
	failing := 0.0
	w.Metrics.Calls.WithLabelValues(hook).Inc()
	if err != nil {
		failing = 1
		w.Metrics.Failures.WithLabelValues(hook).Inc()
	}
	w.Metrics.Failing.WithLabelValues(hook).Set(failing)
}

// tell notes that a hook was told, and has the next called. What was interrupted is told again by whoever leads next.
func (w *Watcher) tell(ctx context.Context, d told, calls *sync.WaitGroup) {
	w.mu.Lock()
	w.busy[d.hook] = false
	w.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	err := w.change(ctx, func(doc *document) {
		for i := range doc.Todo {
			if doc.Todo[i].Event.ID == d.id {
				doc.Todo[i].Hooks = slices.DeleteFunc(doc.Todo[i].Hooks, func(name string) bool { return name == d.hook })
			}
		}
		doc.Todo = slices.DeleteFunc(doc.Todo, func(p pending) bool { return len(p.Hooks) == 0 })
	})
	if err != nil {
		w.Log.Warn("hooks: it could not be noted that a hook was called, so it is called again", "hook", d.hook, "error", err)
		return
	}
	w.start(ctx, calls)
}
