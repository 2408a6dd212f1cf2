package desk

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/granter/granter/grant/status"
)

const backlog = 8 // events that a listener may be behind

// event is one of the stream.
type event struct {
	name string // status or problem
	data []byte // JSON
}

// hub asks for the status once in a while as long as somebody listens, and sends it to all listeners.
type hub struct {
	status func(context.Context) (*status.Status, error)
	every  time.Duration
	count  prometheus.Gauge

	mu        sync.Mutex
	listeners map[chan event]bool // owned by the hub: only it closes them
	last      *event
	asking    bool // a goroutine is there
	closed    bool

	ctx    context.Context //nolint:containedctx // of the goroutine, which comes and goes with the listeners
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// hubs are one hub for each campaign that somebody has followed.
type hubs struct {
	status func(ctx context.Context, campaign string) (*status.Status, error)
	every  time.Duration
	count  prometheus.Gauge

	mu     sync.Mutex
	byName map[string]*hub
	closed bool
}

func newHubs(
	status func(context.Context, string) (*status.Status, error), every time.Duration, count prometheus.Gauge,
) *hubs {
	return &hubs{status: status, every: every, count: count, byName: map[string]*hub{}}
}

// join is hub.join for a campaign, and returns how to leave, too.
func (h *hubs) join(campaign string) (events chan event, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil
	}
	one := h.byName[campaign]
	if one == nil {
		one = newHub(func(ctx context.Context) (*status.Status, error) { return h.status(ctx, campaign) }, h.every, h.count)
		h.byName[campaign] = one
	}
	events = one.join()
	return events, func() { one.leave(events) }
}

// close closes all hubs.
func (h *hubs) close() {
	h.mu.Lock()
	h.closed = true
	all := slices.Collect(maps.Values(h.byName))
	h.mu.Unlock()
	for _, one := range all {
		one.close()
	}
}

func newHub(status func(context.Context) (*status.Status, error), every time.Duration, count prometheus.Gauge) *hub {
	h := &hub{status: status, every: every, count: count, listeners: map[chan event]bool{}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// join returns a channel of events, which is closed when the listener takes them too slowly and when the hub closes. It
// returns nil when that is so already. Who joins must leave.
func (h *hub) join() chan event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	events := make(chan event, backlog)
	h.listeners[events] = true
	h.count.Inc()
	if h.asking && h.last != nil {
		events <- *h.last // it is not older than the others'
	}
	if !h.asking {
		h.asking, h.last = true, nil
		h.wg.Go(h.ask)
	}
	return events
}

func (h *hub) leave(events chan event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(events)
}

func (h *hub) drop(events chan event) {
	if h.listeners[events] {
		delete(h.listeners, events)
		close(events)
		h.count.Dec()
	}
}

// close drops all listeners, and returns when nothing is left.
func (h *hub) close() {
	h.cancel()
	h.mu.Lock()
	h.closed = true
	for events := range h.listeners {
		h.drop(events)
	}
	h.mu.Unlock()
	h.wg.Wait()
}

func (h *hub) ask() {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for h.wanted() {
		h.publish(h.next())
		select {
		case <-tick.C:
		case <-h.ctx.Done():
		}
	}
}

// wanted reports whether somebody listens. When nobody does, the goroutine that asks must end: the next listener starts
// another one.
func (h *hub) wanted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asking = len(h.listeners) > 0
	return h.asking
}

// answerWithin is how long a status may take: longer than a Redis that fails over needs to say so.
const answerWithin = 5 * time.Second

func (h *hub) next() event {
	ctx, cancel := context.WithTimeout(h.ctx, answerWithin)
	defer cancel()
	st, err := h.status(ctx)
	if st != nil { // with an error, it says which part of it is not as of now
		var data []byte
		if data, err = json.Marshal(st); err == nil {
			return event{"status", data}
		}
	}
	data, _ := json.Marshal(problemOf(err)) //nolint:errchkjson // texts and a number
	return event{"problem", data}
}

// publish never waits: who is too slow is dropped, and may come back.
func (h *hub) publish(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = &e
	for events := range h.listeners {
		select {
		case events <- e:
		default:
			h.drop(events)
		}
	}
}
