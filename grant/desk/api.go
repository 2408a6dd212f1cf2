package desk

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/metrics"
)

// api is everything that is served, as openapi.yaml describes it.
type api struct {
	cfg     Config
	gate    *gate
	hubs    *hubs
	checks  *entitle.Checker
	lists   chan struct{} // has an element for each list that is being answered
	traces  chan struct{} // and for each trace
	takings *takings
	sealKey []byte // of what is confirmed on the page by those who have no token
	metrics *metrics.Desk
	mux     *http.ServeMux
}

// route is one of the API's. One of the rights that it needs is enough; whoever is known may what needs none.
type route struct {
	pattern string
	needs   []Right
	serve   func(http.ResponseWriter, *http.Request, Principal)
}

// ofCampaign is in front of all paths about a campaign: a request says which one it means, so that an order for one
// never becomes an order for another.
const ofCampaign = "/api/v1/campaigns/{campaign}"

func (a *api) routes() []route {
	return append([]route{
		{"GET /api/v1/me", nil, a.answer(a.me)},
		{"GET /api/v1/campaigns", []Right{RightStatus}, a.answer(a.list)},
		{"GET " + ofCampaign + "/status", []Right{RightStatus}, a.answer(a.status)},
		{"GET " + ofCampaign + "/events", []Right{RightStatus}, a.events},
		{"GET " + ofCampaign + "/history", []Right{RightHistory}, a.answer(a.history)},
		{"GET " + ofCampaign + "/users/{id}", []Right{RightUsers}, a.answer(a.user)},
		{"GET " + ofCampaign + "/users/{id}/receipt", []Right{RightReceipt}, a.answer(a.receipt)},
		{"GET /api/v1/users/{id}", []Right{RightUsers}, a.answer(a.users)},
		{"GET " + ofCampaign + "/rejected", []Right{RightUsers}, a.answer(a.rejectedRecords)},
		{"GET " + ofCampaign + "/orders", []Right{RightStatus}, a.answer(a.standing)},
		{orders, toOrder(), a.answer(a.order)},
		{"GET " + pathCheck, []Right{RightCheck}, func(w http.ResponseWriter, r *http.Request, who Principal) {
			a.check(w, r, who, r.PathValue("user"), r.PathValue("item"))
		}},
		{"GET " + pathHoldings, []Right{RightCheck}, a.holdings},
		{"POST " + pathList, []Right{RightCheck}, a.checkList},
		{takeOne, []Right{RightTake}, a.respond(a.takeOne)},
		{takeMany, []Right{RightTake}, a.answer(a.takeMany)},
		{act, []Right{RightNote, RightAct}, a.answer(a.act)},
		{"GET " + ofCampaign + "/acts", []Right{RightAct, RightApprove}, a.answer(a.proposals)},
		{"GET " + ofCampaign + "/acts/{request}", []Right{RightAct, RightApprove}, a.answer(a.proposal)},
		{decide, []Right{RightApprove}, a.answer(a.decide)},
	}, slices.Concat(a.claimsAPI(), a.councilAPI())...)
}

// doneOnce reports whether requests to a route would be done again when they come again; other POSTs change nothing then.
func doneOnce(pattern string) bool {
	return slices.Contains([]string{orders, act, decide, doesCouncil}, pattern)
}

// newAPI makes the handler of a desk. The hub is closed by whoever closes the desk.
func newAPI(cfg Config, files *files) *api {
	m := metrics.NewDesk(cfg.Registerer, cfg.Label)
	a := &api{cfg: cfg, metrics: m, mux: http.NewServeMux()}
	a.gate = newGate(files, a.record, m.Refusals, cfg.Log)
	for name := range files.troubles() {
		m.Broken.WithLabelValues(name)
	}
	a.checks = entitle.New(entitle.Config{Campaigns: a.checkable, Timeout: cfg.CheckTimeout, Fallback: cfg.CheckFallback})
	a.sealKey = make([]byte, 32)
	_, _ = rand.Read(a.sealKey) // which never fails
	a.lists, a.traces = make(chan struct{}, listsAtOnce), make(chan struct{}, tracesAtOnce)
	a.takings = &takings{timeout: cfg.pace.request, byName: map[string]*taking{}}
	a.countClaims()
	a.hubs = newHubs(a.statusOf, cfg.pace.events, m.Listeners)
	for _, r := range a.routes() {
		serve := r.serve
		if doneOnce(r.pattern) {
			serve = a.once(serve)
		}
		handler := func(w http.ResponseWriter, req *http.Request) {
			who, refusal := a.gate.admit(req, r.needs)
			if refusal != nil {
				a.gate.refuse(w, req, who, refusal)
				return
			}
			serve(w, req, who)
		}
		_, path, _ := strings.Cut(r.pattern, " ")
		a.mux.Handle(r.pattern, a.counted(path, http.HandlerFunc(handler)))
	}
	for _, r := range a.searchRoutes() {
		_, path, _ := strings.Cut(r.pattern, " ")
		a.mux.Handle(r.pattern, a.counted(path, a.servePage(&searchArea, r)))
	}
	for _, r := range a.claimsRoutes() {
		_, path, _ := strings.Cut(r.pattern, " ")
		a.mux.Handle(r.pattern, a.counted(path, a.servePage(&claimsArea, r)))
	}
	for pattern, serve := range a.oidcRoutes() {
		_, path, _ := strings.Cut(pattern, " ")
		a.mux.Handle(pattern, a.counted(path, a.serveOIDC(serve)))
	}
	for _, asset := range assets() {
		a.mux.Handle("GET "+asset.path, a.counted(asset.route, asset.handler()))
	}
	return a
}

func (a *api) counted(route string, h http.Handler) http.Handler {
	return promhttp.InstrumentHandlerCounter(a.metrics.Requests.MustCurryWith(prometheus.Labels{"route": route}), h)
}

// ServeHTTP adds what every answer has.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.fastCheck(w, r) {
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store") // assets set their own
	if _, pattern := a.mux.Handler(r); pattern == "" {
		a.counted("other", http.HandlerFunc(a.unknown)).ServeHTTP(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// unknown answers what no route is for. The mux knows whether that is for its path or its method.
func (a *api) unknown(w http.ResponseWriter, r *http.Request) {
	says := unsent{header: http.Header{}}
	a.mux.ServeHTTP(&says, r)
	detail := "nothing is at " + cut(r.URL.Path, 200) + ": the API is described at /api/openapi.yaml"
	if what, old := strings.CutPrefix(r.URL.Path, "/api/v1/"); old && moved[strings.Split(what, "/")[0]] {
		detail = "a request names its campaign: this is at /api/v1/campaigns/CAMPAIGN/" + cut(what, 200) +
			" now, and /api/v1/me says which campaigns are here"
	}
	if allowed := says.header.Get("Allow"); allowed != "" {
		w.Header().Set("Allow", allowed+", "+http.MethodOptions)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		newProblem(kindMethod, "want "+allowed).write(w)
		return
	}
	newProblem(kindNotFound, detail).write(w)
}

// moved are the first parts of paths that were under /api/v1 before requests named their campaign.
var moved = map[string]bool{"status": true, "events": true, "history": true, "orders": true}

// unsent is an answer that nobody sees.
type unsent struct {
	header http.Header
	status int
}

func (u *unsent) Header() http.Header         { return u.header }
func (u *unsent) WriteHeader(status int)      { u.status = status }
func (u *unsent) Write(b []byte) (int, error) { return len(b), nil }

// answer makes a handler of a function that returns what to send as JSON. Each principal has its share of what is under way.
func (a *api) answer(fn func(*http.Request, Principal) (any, error)) func(http.ResponseWriter, *http.Request, Principal) {
	respond := a.respond(fn)
	return func(w http.ResponseWriter, r *http.Request, who Principal) {
		if r.Pattern != orders { // an order waits for nothing that others do
			if ok, _ := a.gate.underWay.take(who); !ok {
				a.busy(w, r, who)
				return
			}
			defer a.gate.underWay.giveBack(who)
		}
		respond(w, r, who)
	}
}

// busy refuses who has too many requests under way.
func (a *api) busy(w http.ResponseWriter, r *http.Request, who Principal) {
	a.gate.refuse(w, r, who, refuse(kindBusy, "too many requests at once: wait for those that are under way"))
}

// failed answers with what went wrong.
func (a *api) failed(w http.ResponseWriter, r *http.Request, who Principal, err error) {
	if f := refused(err); f != nil {
		a.gate.refuse(w, r, who, f)
		return
	}
	problem := problemOf(err)
	if problem.Status >= http.StatusInternalServerError {
		a.cfg.Log.Error("a request failed", "who", who.Name, "method", r.Method, "path", unnamed(r.URL.Path), "error", err)
	}
	problem.write(w)
}

// respond is answer for what bounds itself how much of it is under way.
func (a *api) respond(fn func(*http.Request, Principal) (any, error)) func(http.ResponseWriter, *http.Request, Principal) {
	return func(w http.ResponseWriter, r *http.Request, who Principal) {
		ctx, cancel := context.WithTimeout(r.Context(), a.cfg.pace.request)
		defer cancel()
		r = r.WithContext(ctx)
		switch r.Pattern {
		case takeMany, fileOne, fileMany, fileReports: // which bound their bodies themselves
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxOrder)
		}
		v, err := fn(r, who)
		if err != nil {
			a.failed(w, r, who, err)
			return
		}
		if r.Method == http.MethodPost {
			writeJSON(w, "application/json", http.StatusOK, v)
			return
		}
		writeTagged(w, r, v)
	}
}

// campaign returns the one that a request names, if the request can be about it.
func (a *api) campaign(r *http.Request) (*Subject, error) {
	c, err := a.cfg.Campaigns.Open(r.Context(), r.PathValue("campaign"))
	if err != nil {
		return nil, err
	}
	return c, fits(r, c)
}

// readable returns the one that a request names, if its spec can be read.
func (a *api) readable(r *http.Request) (*Subject, error) {
	c, err := a.campaign(r)
	if err != nil {
		return nil, err
	}
	return c, c.Broken
}

func (a *api) statusOf(ctx context.Context, name string) (*status.Status, error) {
	c, err := a.cfg.Campaigns.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return c.Status(ctx)
}

// record adds a refused order to the audit trail of its campaign, if there is such a one.
func (a *api) record(ctx context.Context, name string, act grant.HistoryEntry) error {
	c, err := a.cfg.Campaigns.Open(ctx, name)
	if _, none := errors.AsType[*NoCampaignError](err); none {
		return nil
	}
	if err != nil {
		return err
	}
	return c.Coordination.Refuse(ctx, act)
}

// refused returns the refusal that an error is; nil: it is none.
func refused(err error) *refusal {
	if none, ok := errors.AsType[*NoCampaignError](err); ok {
		return refuse(kindCampaign, none.Detail)
	}
	f, _ := errors.AsType[*refusal](err)
	return f
}

// listed are campaigns that somebody may see: all of them, those first that somebody should look at, or a page by their names.
type listed struct {
	Campaigns []status.Brief `json:"campaigns"`
	Next      string         `json:"next,omitempty"` // the cursor of the next page
}

func (a *api) list(r *http.Request, who Principal) (any, error) {
	page, err := readNamePage(r)
	if err != nil {
		return nil, err
	}
	all, err := a.cfg.Campaigns.List(r.Context())
	all = slices.DeleteFunc(slices.Clone(all), func(b status.Brief) bool { return !who.in(b.Campaign) })
	out := listed{Campaigns: all}
	if page != (paged{}) {
		slices.SortFunc(all, func(x, y status.Brief) int { return strings.Compare(x.Campaign, y.Campaign) })
		names := make([]string, len(all))
		for i := range all {
			names[i] = all[i].Campaign
		}
		names, out.Next = page.byName(names)
		out.Campaigns = slices.DeleteFunc(all, func(b status.Brief) bool { return !slices.Contains(names, b.Campaign) })
	}
	if out.Campaigns == nil {
		out.Campaigns = []status.Brief{}
	}
	return out, err
}

// me is who asks, and what there is to ask about.
type me struct {
	Principal

	SignedOn  bool     `json:"signed_on,omitempty"` // by the OpenID provider: they can sign out
	Rights    []Right  `json:"rights"`
	Campaigns []string `json:"campaigns"`
}

func (a *api) me(_ *http.Request, who Principal) (any, error) {
	return me{
		Principal: who, SignedOn: who.signedOn, Rights: who.Role.rights(),
		Campaigns: slices.DeleteFunc(a.cfg.Campaigns.Names(), func(name string) bool { return !who.in(name) }),
	}, nil
}

// status is 200 also when a part cannot be asked: what is known of the others is worth having, and it says which.
func (a *api) status(r *http.Request, _ Principal) (any, error) {
	s, err := a.statusOf(r.Context(), r.PathValue("campaign"))
	if s != nil {
		return s, nil
	}
	return nil, err
}

// trail is the audit trail, or its last part.
type trail struct {
	Campaign string               `json:"campaign"`
	Acts     []grant.HistoryEntry `json:"acts"`            // oldest first
	Older    string               `json:"older,omitempty"` // the cursor of the part before
}

func (a *api) history(r *http.Request, _ Principal) (any, error) {
	page, err := readHistoryPage(r)
	if err != nil {
		return nil, err
	}
	c, err := a.campaign(r)
	if err != nil {
		return nil, err
	}
	acts, err := c.Coordination.History(r.Context())
	out := trail{Campaign: c.Campaign.Name}
	out.Acts, out.Older = page.last(acts)
	return out, err
}
