//go:build integration

package pagetest

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	realdesk "github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/status"
)

// policy is the one of the real desk.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// principal is what GET /api/v1/me answers.
type principal struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// rights are those of the principal's role; a role without a name is the rights themselves.
func (who principal) rights() []string {
	rights := map[string][]string{"viewer": {"status", "history"}, "support": {"status", "history", "users"}}
	rights["operator"] = slices.Concat(rights["support"], []string{"pause", "resume", "throttle", "abort", "finish", "postpone"})
	if list, ok := rights[who.Role]; ok {
		return list
	}
	return strings.Split(who.Role, ",")
}

// me is a principal, and which campaigns the desk has.
type me struct {
	principal

	Rights    []string `json:"rights"`
	Campaigns []string `json:"campaigns"`
}

const (
	operatorToken = "granter_operator-7Qk2"
	supportToken  = "granter_support-9Xw1"
	viewerToken   = "granter_viewer-3Zp8"
)

// problem is an answer that the fake gives instead of the right one.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	retryAfter int
	kind       string // with which its type ends; empty: of none that the page knows
}

// desk plays the part of the real one, as a test wants it to be.
type desk struct {
	*httptest.Server
	t        *testing.T
	campaign *grant.Campaign

	mu       sync.Mutex
	tokens   map[string]principal
	without  *principal          // who comes without a token: a client certificate says who it is
	fails    map[string]*problem // by path: what it answers instead
	st       status.Status
	briefs   []status.Brief  // in the list of campaigns, besides this one
	broken   *problem        // what the stream tells instead of a status
	past     []status.Status // what each stream tells first
	acts     []grant.HistoryEntry
	pieces   bool          // send events in pieces of a few bytes
	hold     chan struct{} // if there is one, orders wait for it
	changed  chan struct{} // closed at each change
	cut      chan struct{} // closed when streams end
	requests map[string][]time.Time
	headers  []http.Header
	bodies   []string // of orders
}

func newDesk(t *testing.T, st status.Status) *desk {
	d := &desk{
		t: t, st: st,
		campaign: &grant.Campaign{Name: st.Campaign, StartsAt: st.StartsAt},
		tokens: map[string]principal{
			operatorToken: {"jiyoon", "operator"}, supportToken: {"minseo", "support"}, viewerToken: {"wallboard", "viewer"},
		},
		fails: map[string]*problem{}, requests: map[string][]time.Time{},
		changed: make(chan struct{}), cut: make(chan struct{}),
	}
	if st.PostponedFrom != nil {
		d.campaign.StartsAt = *st.PostponedFrom
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", realdesk.Pages())
	mux.HandleFunc("GET /api/v1/campaigns", d.admit("", func(w http.ResponseWriter, _ *http.Request, _ principal) {
		d.mu.Lock()
		all := slices.Clone(d.briefs)
		d.mu.Unlock()
		d.answer(w, 200, map[string]any{"campaigns": all})
	}))
	mux.HandleFunc("GET /api/v1/me", d.admit("", func(w http.ResponseWriter, _ *http.Request, who principal) {
		names := []string{st.Campaign}
		d.mu.Lock()
		for _, b := range d.briefs {
			if b.Campaign != st.Campaign {
				names = append(names, b.Campaign)
			}
		}
		d.mu.Unlock()
		d.answer(w, 200, me{who, who.rights(), names})
	}))
	mux.HandleFunc("GET "+d.path("status"), d.admit("", func(w http.ResponseWriter, _ *http.Request, _ principal) {
		d.mu.Lock()
		st := d.st
		d.mu.Unlock()
		d.answer(w, 200, st)
	}))
	mux.HandleFunc("GET "+d.path("events"), d.admit("", d.events))
	mux.HandleFunc("GET "+d.path("history"), d.admit("", d.history))
	mux.HandleFunc("POST "+d.path("orders"), d.admit("operator", d.order))
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		d.hangUp()
		d.CloseClientConnections()
		d.Close()
	})
	return d
}

// change changes what the desk is and says.
func (d *desk) change(how func(d *desk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	how(d)
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *desk) tell(how func(st *status.Status)) { d.change(func(d *desk) { how(&d.st) }) }

// hangUp ends all streams; those that come later go on until the next time.
func (d *desk) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.cut)
	d.cut = make(chan struct{})
}

// goAway ends all streams and answers nothing but an error, until it comes back.
func (d *desk) goAway(p *problem) {
	d.change(func(d *desk) {
		for _, path := range []string{"events", "me", "history", "orders"} {
			d.fails[d.path(path)] = p
		}
	})
	d.hangUp()
}

func (d *desk) comeBack() { d.change(func(d *desk) { clear(d.fails) }) }

// page is the address of the campaign's page.
func (d *desk) page() string { return d.URL + "/campaigns/" + d.campaign.Name + "/" }

// path is where something is; all but who one is belongs to the campaign.
func (d *desk) path(what string) string {
	if what == "me" {
		return "/api/v1/me"
	}
	return "/api/v1/campaigns/" + d.campaign.Name + "/" + what
}

func (d *desk) asked(path string) int { return len(d.askedAt(path)) }

// askedAt returns when a path was asked for.
func (d *desk) askedAt(path string) []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.requests[d.path(path)])
}

// ordered returns the bodies of the orders that came, as they came.
func (d *desk) ordered() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.bodies)
}

func (d *desk) answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	if p, ok := v.(*problem); ok {
		p.Type, p.Status, p.Title = "urn:problem-type:granter:"+p.kind, code, http.StatusText(code)
		w.Header().Set("Content-Type", "application/problem+json")
		if p.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
		}
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, encode(d.t, v))
}

func (d *desk) admit(role string, serve func(http.ResponseWriter, *http.Request, principal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.requests[r.URL.Path] = append(d.requests[r.URL.Path], time.Now())
		d.headers = append(d.headers, r.Header)
		fails := d.fails[r.URL.Path]
		who, known := d.tokens[trimBearer(r)]
		if d.without != nil && r.Header.Get("Authorization") == "" {
			who, known = *d.without, true
		}
		d.mu.Unlock()
		switch {
		case fails != nil:
			copied := *fails
			d.answer(w, fails.Status, &copied)
		case !known:
			w.Header().Set("WWW-Authenticate", "Bearer")
			d.answer(w, 401, &problem{Detail: "the token is not in the access file"})
		case role != "" && who.Role != role:
			d.answer(w, 403, &problem{Detail: "role " + who.Role + ", needs " + role})
		default:
			serve(w, r, who)
		}
	}
}

func trimBearer(r *http.Request) string {
	const scheme = "Bearer "
	if v := r.Header.Get("Authorization"); len(v) > len(scheme) && v[:len(scheme)] == scheme {
		return v[len(scheme):]
	}
	return ""
}

func (d *desk) events(w http.ResponseWriter, r *http.Request, _ principal) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	send := func(text string) {
		_, _ = io.WriteString(w, text)
		_ = flush()
	}
	send(": welcome\n\n")
	d.mu.Lock()
	cut, past := d.cut, d.past
	d.mu.Unlock()
	for i := range past {
		send("event: status\ndata: " + encode(d.t, past[i]) + "\n\n")
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		d.mu.Lock()
		changed, pieces := d.changed, d.pieces
		d.st.At = time.Now()
		name, data := "status", encode(d.t, d.st)
		if d.broken != nil {
			name, data = "problem", encode(d.t, d.broken)
		}
		d.mu.Unlock()
		text := "event: " + name + "\ndata: " + data + "\n\n"
		for ; pieces && len(text) > 7; text = text[7:] {
			send(text[:7])
		}
		send(text)
		select {
		case <-changed:
		case <-tick.C:
			send(": keepalive\n\n")
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func encode(t *testing.T, v any) string {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

func (d *desk) history(w http.ResponseWriter, _ *http.Request, _ principal) {
	d.mu.Lock()
	acts := slices.Clone(d.acts)
	d.mu.Unlock()
	d.answer(w, 200, map[string]any{"campaign": d.campaign.Name, "acts": acts})
}

// order does what the real desk does with an order, except that replicas obey when the test says so.
func (d *desk) order(w http.ResponseWriter, r *http.Request, who principal) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	d.bodies = append(d.bodies, string(body))
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if r.Header.Get("Content-Type") != "application/json" {
		d.answer(w, 415, &problem{Detail: "want application/json"})
		return
	}
	var asked struct {
		grant.Order
		For string `json:"for"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		d.answer(w, 400, &problem{Detail: err.Error()})
		return
	}
	o := asked.Order
	if asked.For != "" {
		var err error
		if o.For, err = time.ParseDuration(asked.For); err != nil {
			d.answer(w, 422, &problem{Detail: err.Error()})
			return
		}
	}
	o.Who, o.Via = who.Name, "api"
	if err := o.Validate(); err != nil {
		d.answer(w, 422, &problem{Detail: err.Error()})
		return
	}
	act, err := d.apply(o)
	if errors.Is(err, grant.ErrRefused) {
		d.answer(w, 409, &problem{Detail: err.Error()})
		return
	}
	d.answer(w, 200, map[string]any{"campaign": d.campaign.Name, "act": act})
}

func (d *desk) apply(o grant.Order) (act grant.HistoryEntry, err error) {
	d.change(func(d *desk) {
		if o.Action == grant.ActionFinish {
			o.Ends = grant.Offsets{}
			for _, p := range d.st.Partitions {
				o.Ends[p.Partition] = p.End
			}
		}
		before := d.st.Control
		act = grant.HistoryEntry{At: time.Now().UTC(), Action: o.Action, Who: o.Who, Via: o.Via, Why: o.Why, Before: &before}
		var after grant.Control
		if after, err = before.Apply(&o, d.campaign, act.At); err != nil {
			act.Refused = err.Error()
		} else {
			act.After, d.st.Control, d.st.Orders = &after, after, after.Standing(seoul)
		}
		d.acts = append(d.acts, act)
		for i := range d.st.Runs {
			d.st.Runs[i].Obeys = d.st.Runs[i].Control >= d.st.Control.Version
		}
	})
	return act, err
}

// obey makes live replicas obey the last order, some time after it was given.
func (d *desk) obey(after time.Duration, replicas ...int) {
	d.tell(func(st *status.Status) {
		ordered := time.Now()
		if n := len(d.acts); n > 0 {
			ordered = d.acts[n-1].At
		}
		st.Holds = nil
		if st.Control.Paused {
			st.Holds = append(st.Holds, grant.Hold{Cause: grant.CauseOperator, Detail: said(st, grant.ActionPause),
				Since: ordered})
		}
		if st.Control.Throttle > 0 {
			st.Holds = append(st.Holds, grant.Hold{Cause: grant.CauseThrottle, Detail: said(st, grant.ActionThrottle),
				Since: ordered})
		}
		st.Runs = slices.Clone(st.Runs)
		for _, i := range replicas {
			r := &st.Runs[i]
			r.Control, r.Obeys, r.Holds = st.Control.Version, true, st.Holds
			r.UpdatedAt, r.Redis.ClockAhead = ordered.Add(after), 0
		}
	})
}

// said is what a status says of an order that is in force.
func said(st *status.Status, action grant.Action) string {
	for _, o := range st.Control.Standing(seoul) {
		if o.Action == action {
			return o.Says
		}
	}
	return ""
}

// rejected returns how many records the status says were rejected.
func rejected(st status.Status) (sum int64) {
	for n := range maps.Values(st.Rejects) {
		sum += n
	}
	return sum
}

// seen returns the headers of all requests to the API.
func (d *desk) seen() []http.Header {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.headers)
}
