package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/metrics"
)

// Target is where a subscriber's events go.
type Target interface {
	// deliver returns when everything in some pieces is acknowledged; those of one chunk are in their order. What a failed call
	// delivered is delivered again.
	deliver(ctx context.Context, w *writer, pieces []piece) error
	// limits says how much deliver takes at once.
	limits() limits
	// transient reports whether it is worth to try again after an error of deliver.
	transient(err error) bool
	// Close lets go of connections.
	Close()
}

type limits struct {
	chunks  int // in one call
	entries int // of each
	events  int // in one call, but for those of one entry; 0: any number
	members int // of an entry; 0: all
	calls   int // at a time
}

// Config is what one subscriber is to get.
type Config struct {
	Name  string        // of the subscriber: its cursors are kept under it
	Only  []Type        // nil: all
	From  From          // where it begins if it has no cursors
	Rate  float64       // events per second; 0: no limit
	Who   string        // this process, for the lead
	Every time.Duration // how often journals are looked at; 0: pollEvery
	Log   *slog.Logger

	// Spec returns the spec that users are granted by. It is asked when somebody has been: from then on it does not change.
	Spec    func(context.Context) (*grant.Campaign, error)
	Metrics *metrics.Publish // nil: none
	// GiveUp is how long a failure that may pass is retried before Once fails; Follow goes on for ever.
	GiveUp time.Duration
}

// Publisher sends what is in a ledger to one subscriber. Several processes may publish to the same: one of them leads.
type Publisher struct {
	Config
	coordination *ledger.Coordination
	reader       *ledger.Reader
	writer       writer
	layout       layout
	target       Target
	limiter      *rate.Limiter

	mu      sync.Mutex
	cursors map[place]cursor
	stored  map[place]string // the cursors as Redis has them
	seen    map[place]int64  // lengths of lists up to which all is wanted by nobody any more: sent, and checked

	masters     string    // the ledger's, when it was asked last which they are; see look
	asked, read time.Time // when that was, and when all cursors were held against it; zero: not since it leads

	horizons map[uint64]*horizon // by chunk
	waiting  time.Time           // when the first thing came to be that the last sweep left for the next one; zero: nothing
	health   Health
	changed  chan struct{} // has an element when the state is another one
}

const (
	leadFor    = 15 * time.Second
	pollEvery  = 200 * time.Millisecond
	sweepEvery = time.Minute // how often it is asked whether the ledger is the one that it was
	readEvery  = time.Hour   // how often cursors are held against journals that have not grown, even so
	beginField = "begun"     // of the cursors' hash: where the subscriber began, once that is decided for all chunks
	maxEntries = 1024        // of a call, whatever the target takes
	maxRead    = 16 << 20    // bytes of entries that are read at once, about
)

// New makes a publisher. Nothing is asked yet.
func New(coordination *ledger.Coordination, reader *ledger.Reader, to Target, cfg Config) *Publisher {
	if cfg.Every <= 0 {
		cfg.Every = pollEvery
	}
	p := &Publisher{
		Config: cfg, coordination: coordination, reader: reader, layout: layoutOf(reader), target: to,
		writer:  writer{only: cfg.Only},
		cursors: map[place]cursor{}, stored: map[place]string{}, seen: map[place]int64{}, horizons: map[uint64]*horizon{},
		health: Health{Subscriber: cfg.Name, State: StateWaiting}, changed: make(chan struct{}, 1),
	}
	if cfg.Rate > 0 {
		p.limiter = rate.NewLimiter(rate.Limit(cfg.Rate), int(max(1, cfg.Rate/4)))
	}
	return p
}

// errLead means that another process publishes to the subscriber now.
var errLead = errors.New("another process publishes to it")

// Once sends everything that is in the ledger when it is called. It fails with errors of the target that do not pass within
// GiveUp, and waits as long for another process that leads: the lead of one that was killed lapses.
func (p *Publisher) Once(ctx context.Context) error {
	defer p.cede(ctx)
	defer p.telling(ctx)()
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := p.take(ctx)
		if err == nil {
			err = p.everything(ctx)
		}
		unavailable, ok := errors.AsType[*ledger.UnavailableError](err)
		if passes := errors.Is(err, errLead) || ok && unavailable.Temporary(); err != nil && !passes {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(p.GiveUp), backoff.WithNotify(func(err error, in time.Duration) {
		if errors.Is(err, errLead) {
			p.Log.Info("another process publishes to the subscriber: waiting until it ends", "subscriber", p.Name)
			return
		}
		p.Log.Warn("publishing failed and begins again", "subscriber", p.Name, "error", err, "in", in.String())
	}))
	if err == nil {
		p.says(StateCurrent, nil)
	}
	return err
}

// everything sends all that is in the ledger now. What came in this very millisecond has to wait until that is over.
func (p *Publisher) everything(ctx context.Context) error {
	now, err := p.reader.Clock(ctx)
	if err != nil {
		return err
	}
	now = now.Add(time.Millisecond)
	for all := true; ; all = false {
		if err := p.sweep(ctx, all, p.GiveUp); err != nil {
			return err
		}
		p.mu.Lock()
		done := p.waiting.IsZero() || p.waiting.After(now)
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Follow sends what is in the ledger and what comes, until the context ends. While another process leads it waits.
func (p *Publisher) Follow(ctx context.Context) error {
	defer p.cede(ctx)
	defer p.telling(ctx)()
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	for leads := false; ctx.Err() == nil; {
		began := time.Now()
		var err error
		if !leads {
			err = p.take(ctx)
		}
		if err == nil {
			leads = true
			err = p.look(ctx)
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errLead):
			leads = false
			p.says(StateWaiting, nil)
			wait(leadFor / 5)
		case errors.Is(err, ledger.ErrInconsistent):
			return err // somebody has to look at it
		case err != nil:
			leads = false
			p.Log.Error("publishing failed and begins again", "subscriber", p.Name, "error", err)
			wait(time.Second)
		default:
			p.says(StateCurrent, nil)
			wait(max(p.Every, 5*time.Since(began)))
		}
	}
	return nil
}

// look sweeps. To see that what was sent is still there, the last entry of each list is read: of a bucket 64 KiB, of a ledger of
// 48 million UUIDs 250 MB. A ledger loses writes when a master crashes, is restored, or is replaced by a replica; so that is done
// by whoever comes to lead, when a master is another one than before, and once an hour.
func (p *Publisher) look(ctx context.Context) error {
	if time.Since(p.asked) < sweepEvery {
		return p.sweep(ctx, false, 0)
	}
	now := time.Now()
	masters, err := p.reader.Masters(ctx) // before the journals: a loss meanwhile is seen the next time
	if err != nil {
		return err
	}
	all := masters == "" || masters != p.masters || time.Since(p.read) > readEvery
	if err := p.sweep(ctx, all, 0); err != nil {
		return err
	}
	if p.asked, p.masters = now, masters; all {
		p.read = now
	}
	return nil
}

// take leads, and learns how far the subscriber is.
func (p *Publisher) take(ctx context.Context) error {
	leads, err := p.coordination.Lead(ctx, p.Name, p.Who, leadFor)
	switch {
	case err != nil:
		return refused("leading "+p.Name, err)
	case !leads:
		return errLead
	}
	fields, err := p.coordination.Cursors(ctx, p.Name)
	if err != nil {
		return err
	}
	if fields[beginField] == "" {
		if fields, err = p.begin(ctx, fields); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.cursors)
	clear(p.stored)
	clear(p.seen)
	clear(p.horizons)
	p.masters, p.asked, p.read = "", time.Time{}, time.Time{}
	for field, text := range fields {
		at, ok := parsePlace(field)
		if !ok {
			continue
		}
		c, err := parseCursor(text)
		if err != nil {
			return fmt.Errorf("%w: the cursor %[3]s of %[2]s: %[4]w", ledger.ErrInconsistent, p.Name, field, err)
		}
		p.cursors[at], p.stored[at] = c, text
	}
	return nil
}

// refused is what became of a call that was made once.
func refused(what string, err error) error {
	return &ledger.UnavailableError{What: what, Kind: ledger.Kind(err), Since: time.Now(), Attempts: 1, Err: err}
}

func (p *Publisher) cede(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := p.coordination.Cede(ctx, p.Name, p.Who); err != nil {
		p.Log.Warn("the lead could not be given back, and lapses", "subscriber", p.Name, "error", err)
	}
}

// sweep looks once at all chunks, and sends what their lists have beyond the cursors, and what has ended. all says that also
// those are looked at that have not grown.
func (p *Publisher) sweep(ctx context.Context, all bool, giveUp time.Duration) error {
	due, err := p.due(ctx, all)
	if err != nil {
		return err
	}
	limits := p.target.limits()
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(limits.calls)
	renew, done := context.WithCancel(ctx)
	var lead sync.WaitGroup
	lead.Go(func() { p.keep(renew) })
	for group := range slices.Chunk(slices.Sorted(maps.Keys(due.to)), limits.chunks) {
		if ctx.Err() != nil {
			break
		}
		work.Go(func() error { return p.drain(ctx, group, due, limits, giveUp) })
	}
	err = work.Wait()
	done()
	lead.Wait()
	if err == nil {
		p.lag(0)
	}
	return err
}

// keep renews the lead while calls to a target take their time. Whether it holds still is judged where cursors are moved.
func (p *Publisher) keep(ctx context.Context) {
	for {
		select {
		case <-time.After(leadFor / 3):
			if _, err := p.coordination.Lead(ctx, p.Name, p.Who, leadFor); err != nil && ctx.Err() == nil {
				p.Log.Warn("the lead could not be renewed", "subscriber", p.Name, "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// drain sends what some chunks have, up to the lengths in due, round by round.
func (p *Publisher) drain(ctx context.Context, chunks []uint64, due *cut, limits limits, giveUp time.Duration) error {
	r := reading{p.layout.page()}
	for len(chunks) > 0 {
		pieces, left, err := p.collect(ctx, chunks, due, limits, &r)
		if err != nil {
			return err
		}
		if len(pieces) > 0 {
			if err := p.send(ctx, pieces, giveUp); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.mu.Lock()
		for _, chunk := range chunks {
			for n, list := range due.lists {
				if at := (place{chunk, list}); !slices.Contains(left, chunk) {
					c := p.cursors[at]
					p.seen[at] = min(due.to[chunk][n], c.entries) // some may have to wait for the next sweep
				}
			}
		}
		p.mu.Unlock()
		chunks = left
	}
	return nil
}

// send delivers pieces, as often as it takes, and moves the cursors behind them. giveUp 0: for ever.
func (p *Publisher) send(ctx context.Context, pieces []piece, giveUp time.Duration) error {
	wanted, events := p.wanted(pieces)
	if err := p.pace(ctx, events); err != nil {
		return err
	}
	if len(wanted) > 0 {
		if err := p.attempt(ctx, wanted, giveUp); err != nil {
			return err
		}
	}
	next := map[place]cursor{}
	p.mu.Lock()
	for i := range pieces {
		at := &pieces[i]
		c, ok := next[at.place]
		if !ok {
			c = p.cursors[at.place]
		}
		sent := at.first + at.count
		next[at.place] = c.sent(at.index, at.head, sent, sent == at.entry.Count)
	}
	p.mu.Unlock()
	return p.advance(ctx, next)
}

// wanted leaves out what the subscriber does not want, and counts the users of the rest.
func (p *Publisher) wanted(pieces []piece) (out []piece, events int) {
	for i := range pieces {
		t, err := typeOf(&pieces[i])
		if err == nil && !p.writer.wants(t) {
			continue
		}
		out = append(out, pieces[i]) // what has no type fails when it is written
		events += pieces[i].count
	}
	return out, events
}

// attempt delivers pieces with as many attempts as it takes.
func (p *Publisher) attempt(ctx context.Context, pieces []piece, giveUp time.Duration) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 30*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := p.target.deliver(ctx, &p.writer, pieces)
		switch {
		case err == nil:
			p.delivered(pieces)
			return struct{}{}, nil
		case ctx.Err() != nil:
			return struct{}{}, backoff.Permanent(ctx.Err())
		}
		p.says(StateFailing, err)
		if giveUp > 0 && !p.target.transient(err) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(giveUp))
	return err
}

// pace waits until so many events may be sent.
func (p *Publisher) pace(ctx context.Context, events int) error {
	for p.limiter != nil && events > 0 {
		n := min(events, p.limiter.Burst())
		if err := p.limiter.WaitN(ctx, n); err != nil {
			return err
		}
		events -= n
	}
	return nil
}

// advance moves cursors, here and in Redis.
func (p *Publisher) advance(ctx context.Context, next map[place]cursor) error {
	moves := make([]ledger.Move, 0, len(next))
	p.mu.Lock()
	for at, c := range next {
		moves = append(moves, ledger.Move{Field: at.field(), From: p.stored[at], To: c.String()})
	}
	p.mu.Unlock()
	for part := range slices.Chunk(moves, ledger.MaxMoves) {
		leads, err := p.coordination.Advance(ctx, p.Name, p.Who, leadFor, part)
		if err != nil { // it may have been done, or not: whoever goes on asks first
			return refused("moving the cursors of "+p.Name, err)
		}
		if !leads {
			return errLead
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, c := range next {
		p.cursors[at], p.stored[at] = c, c.String()
	}
	return nil
}
