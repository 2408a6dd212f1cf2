package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/metrics"
)

const (
	// deskCounts is how often the desk counts granted users for its metrics.
	deskCounts = 5 * time.Second
	// quietCounts is how often it does for campaigns of the ledger that are over: they are many after some years.
	quietCounts = time.Minute
)

// watcher keeps the metrics of all campaigns of a desk current.
type watcher struct {
	all      *desk.Catalog
	registry prometheus.Registerer
	log      *slog.Logger

	mu      sync.Mutex
	watched map[string]*watched // by campaign
	failure error               // why it is not known which campaigns there are
}

type watched struct {
	overview *metrics.Overview
	next     time.Time // when it is counted again
	failed   bool
}

func newWatcher(all *desk.Catalog, registry prometheus.Registerer, log *slog.Logger) *watcher {
	return &watcher{all: all, registry: registry, log: log, watched: map[string]*watched{}}
}

// notReady says why no campaign can be told about; empty: at least one can, or there is none. One whose spec cannot be read,
// or whose topic is gone, takes no other along.
func (w *watcher) notReady() (why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure != nil {
		return w.failure.Error()
	}
	for _, c := range w.watched {
		wrong := c.overview.NotReady()
		if wrong == "" {
			return ""
		}
		why = wrong
	}
	return why
}

// run works until the context ends.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(deskCounts)
	defer tick.Stop()
	for {
		err := w.all.Refresh(ctx)
		w.mu.Lock()
		w.failure = err
		w.mu.Unlock()
		for _, name := range w.all.Names() {
			if c := w.of(name); ctx.Err() == nil && !time.Now().Before(c.next) {
				w.look(ctx, name, c)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher) of(name string) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.watched[name]
	if c == nil {
		c = &watched{overview: metrics.NewOverview(w.registry, name, version)}
		w.watched[name] = c
	}
	return c
}

// look asks about one campaign.
func (w *watcher) look(ctx context.Context, name string, c *watched) {
	s, err := w.all.Open(ctx, name)
	if err == nil {
		err = s.Broken
	}
	var st *status.Status
	if err == nil {
		st, err = w.count(ctx, s, c.overview)
	}
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		c.overview.Failed(err)
		if !c.failed {
			w.log.Warn("a campaign cannot be told about", "campaign", name, "error", err)
		}
	}
	c.failed = err != nil
	c.next = time.Time{}
	if _, gone := errors.AsType[*desk.NoCampaignError](err); gone || !w.all.Given(name) && over(st) {
		c.next = time.Now().Add(quietCounts)
	}
}

// over reports whether a campaign goes on only when somebody wants it to.
func over(st *status.Status) bool {
	if st == nil || st.Live() > 0 {
		return false
	}
	return st.Phase == status.PhaseFinished || st.Phase == status.PhaseEnded || st.Phase == status.PhaseAborted
}

func (w *watcher) count(ctx context.Context, s *desk.Subject, o *metrics.Overview) (*status.Status, error) {
	st, missing := s.Status(ctx)
	lost, started, err := s.Replicas(ctx)
	if err == nil && st.Knows(status.Parts()...) { // of Kafka, it may be what it said last
		taken, left := takenBy(st.Taken)
		o.Set(metrics.Campaign{
			Taken: taken, Left: left, Excluded: st.Excluded,
			Granted: st.Granted, Expected: st.Expected, StartsAt: st.StartsAt, Lag: st.ToGo(), Replicas: st.Live(), Lost: lost,
			Started: started, ControlVersion: st.Control.Version, Throttle: st.Control.Throttle, Paused: st.Control.Paused,
			Aborted: st.Control.AbortedBy != nil,
			Replays: map[string]int64{"granted": st.Replays.Granted, "duplicate": st.Replays.Duplicate},
		})
	}
	return st, cmp.Or(missing, err)
}

// takenBy returns how many users took each item, and how many still can where there are only so many.
func takenBy(items []ledger.ItemTaken) (taken, left map[string]int64) {
	taken, left = map[string]int64{}, map[string]int64{}
	for _, t := range items {
		taken[t.Item] = t.Taken
		if t.First > 0 {
			left[t.Item] = t.First - t.Taken
		}
	}
	return taken, left
}
