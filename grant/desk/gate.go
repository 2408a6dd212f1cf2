package desk

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ratelimit"
)

const (
	// A person makes a mistake or two; a program with an old token notices after ten.
	failuresPerSecond, failuresAtOnce = 1, 10
	// A person gives one order at a time; a script, some at once.
	ordersPerSecond, ordersAtOnce = 2, 20
	// A page asks for a status and a history now and then; a script of support staff looks up users one by one.
	requestsPerSecond, requestsAtOnce = 20, 100

	// A service that checks as fast as one desk can answer.
	checksPerSecond, checksAtOnce = 50_000, 50_000

	// A service that lets users take items as fast as one desk can answer.
	takesPerSecond, takesAtOnce = 50_000, 50_000

	// A system hands claims in as its users do; one with many sends them together.
	claimsPerSecond, claimsAtOnce = 50, 200

	recordFor       = 2 * time.Second // how long recording a refusal may hold up its answer
	recordingAtOnce = 16
)

// gate lets requests pass, or says why not.
type gate struct {
	files    *files
	origin   http.CrossOriginProtection
	failures *ratelimit.Limits // by address or, when it is known who it is, by name
	requests *ratelimit.Limits // by name, of all but orders
	orders   *ratelimit.Limits // by name, of all but pauses
	checks   *ratelimit.Limits // by name, of checks of one user
	takes    *ratelimit.Limits // by name, of one user each
	claims   *ratelimit.Limits // by name, of single claims that are handed in

	listeners, underWay *share

	refused *prometheus.CounterVec
	log     *slog.Logger
	flood   rate.Sometimes // for lines about requests over a limit

	record    func(ctx context.Context, campaign string, act grant.HistoryEntry) error
	recording chan struct{} // has an element for each recording under way
}

func newGate(
	files *files, record func(context.Context, string, grant.HistoryEntry) error,
	refused *prometheus.CounterVec, log *slog.Logger,
) *gate {
	for _, k := range refusals {
		refused.WithLabelValues(string(k))
	}
	return &gate{
		files: files, record: record, refused: refused, log: log,
		failures: ratelimit.New(failuresPerSecond, failuresAtOnce), requests: ratelimit.New(requestsPerSecond, requestsAtOnce),
		orders: ratelimit.New(ordersPerSecond, ordersAtOnce), checks: ratelimit.New(checksPerSecond, checksAtOnce),
		takes: ratelimit.New(takesPerSecond, takesAtOnce), claims: ratelimit.New(claimsPerSecond, claimsAtOnce),
		listeners: newShare(maxListenersEach, maxListenersOthers, maxListeners),
		underWay:  newShare(maxUnderWayEach, maxUnderWayOthers, maxUnderWayOthers*2),
		flood:     rate.Sometimes{Interval: time.Second}, recording: make(chan struct{}, recordingAtOnce),
	}
}

// refusal is the answer to a request that may not pass.
type refusal struct {
	*Problem

	kind  kind
	order *order // the request's, when it has been read
}

func refuse(k kind, detail string) *refusal { return &refusal{newProblem(k, detail), k, nil} }

// admit says who sent a request, and whether it may pass to what one of some rights is needed for; without any, whoever is
// known may. Failures are limited, not tokens that are right: nobody can lock operators out by failing from their address.
func (g *gate) admit(r *http.Request, needs []Right) (Principal, *refusal) {
	who, unknown := g.identify(r)
	if unknown != "" {
		return who, g.failure(ratelimit.AddressOf(r), g.unknown(who, unknown))
	}
	if err := g.origin.Check(r); err != nil {
		return who, g.failure(who.Name, refuse(kindOrigin, err.Error()))
	}
	if len(needs) > 0 && !who.Role.may(needs...) {
		return who, g.failure(who.Name, refuse(kindRight, who.Role.lacks(needs)))
	}
	// Before anything says whether there is such a campaign.
	if name := r.PathValue("campaign"); name != "" && !who.in(name) {
		return who, g.failure(who.Name, refuse(kindScope, "your line of the access file is for other campaigns: "+who.only))
	}
	if limit := g.limitOf(r.Pattern); limit != nil && !limit.Allow(who.Name) {
		return who, tooMany()
	}
	if want, ok := rightType(r); r.Method == http.MethodPost && !ok {
		return who, refuse(kindType, "want Content-Type: "+strings.Join(want, " or "))
	}
	return who, nil
}

// limitOf returns the limit of a route; nil: it has one of its own.
func (g *gate) limitOf(pattern string) *ratelimit.Limits {
	switch pattern {
	case orders: // who has asked too much must still be able to order
		return nil
	case "GET " + pathCheck, "GET " + pathHoldings:
		return g.checks
	case takeOne:
		return g.takes
	case fileOne:
		return g.claims
	default:
		return g.requests
	}
}

// admitCheck is admit for a check of one user: a GET that is about no campaign in particular.
func (g *gate) admitCheck(r *http.Request) (Principal, *refusal) {
	who, unknown := g.identify(r)
	switch {
	case unknown != "":
		return who, g.failure(ratelimit.AddressOf(r), g.unknown(who, unknown))
	case !who.Role.may(RightCheck):
		return who, g.failure(who.Name, refuse(kindRight, who.Role.lacks([]Right{RightCheck})))
	case !g.checks.Allow(who.Name):
		return who, tooMany()
	}
	return who, nil
}

// identify says who sent a request or, for nobody that is known, why.
func (g *gate) identify(r *http.Request) (Principal, kind) {
	if r.Header.Get("Authorization") == "" && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 &&
		!g.files.trusts(r.TLS.PeerCertificates) {
		return anonymous, kindCertificate
	}
	return g.files.access.get().identify(r)
}

var howToShow = map[kind]string{ //nolint:gosec // these are no credentials
	kindNoToken: "no token: send Authorization: Bearer TOKEN, or a client certificate",
	kindToken:   "the token is not in the access file",
	kindCertificate: "the common name of the client certificate is not in the access file, or its authority does not count " +
		"any more",
	kindSession: "the session has ended: sign in again",
	kindNoRole:  "the access file gives you no role",
}

// unknown refuses whom nobody knows, and whom the provider knows and the access file does not.
func (g *gate) unknown(who Principal, k kind) *refusal {
	provider := g.files.access.get().provider
	detail := howToShow[k]
	if k == kindNoRole && provider != nil { // it may be gone since
		detail = "the provider knows you as " + who.Name + ", and no line of the access file gives you a role: ask " +
			cmp.Or(provider.Ask, "whoever runs this desk")
	}
	f := refuse(k, detail)
	f.SignIn = signOnOf(provider, k)
	return f
}

func tooMany() *refusal { return refuse(kindRate, "too many requests: wait a second") }

func (g *gate) failure(name string, f *refusal) *refusal {
	if !g.failures.Allow(name) {
		return tooMany()
	}
	return f
}

// refuse answers, counts and logs a refusal. That of an order goes to the audit trail, too.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, who Principal, f *refusal) {
	g.note(w, r, who, f)
	f.write(w)
}

// note is refuse without the answer.
func (g *gate) note(w http.ResponseWriter, r *http.Request, who Principal, f *refusal) {
	g.refused.WithLabelValues(string(f.kind)).Inc()
	say := func() {
		g.log.Warn("refused", "who", who.Name, "remote", r.RemoteAddr, "method", r.Method, "path", cut(unnamed(r.URL.Path), 200),
			"status", f.Status, "reason", string(f.kind))
	}
	if f.kind == kindRate || f.kind == kindBusy || f.kind == kindListeners || f.kind == kindFull {
		g.flood.Do(say) // the metric counts them all
	} else {
		say()
	}
	if order := r.Pattern == orders; order && (f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden) {
		g.remember(w, r, who, f)
	}
	if f.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="granter"`)
	}
}

// named are the parts of a path behind which somebody's ID stands.
var named = regexp.MustCompile(`/(users|entitlements)/[^/]+`)

// unnamed is a path without the IDs of users, for logs, where they do not belong.
func unnamed(path string) string { return named.ReplaceAllString(path, "/$1/…") }

// remember adds a refused order to the audit trail. Redis that does not answer must not hold up much more than this
// request: then the log has it alone.
func (g *gate) remember(w http.ResponseWriter, r *http.Request, who Principal, f *refusal) {
	act := grant.HistoryEntry{
		At: time.Now().UTC(), Action: actionUnknown, Who: who.Name, Via: via,
		Refused: fmt.Errorf("%w: %s", grant.ErrRefused, f.Detail).Error(),
	}
	o := f.order
	if o == nil {
		o, _ = readOrder(http.MaxBytesReader(w, r.Body, maxOrder))
	}
	if o != nil && o.known() {
		act.Action = o.Action
		if who.Name != anonymous.Name { // whose words are not worth keeping
			act.Why = cut(o.Why, maxWhy)
		}
	}
	err := errBusy
	select {
	case g.recording <- struct{}{}:
		defer func() { <-g.recording }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), recordFor)
		defer cancel()
		err = g.record(ctx, r.PathValue("campaign"), act)
	default:
	}
	if err != nil {
		g.log.Error("a refused order is not in the audit trail", "who", act.Who, "action", string(act.Action), "error", err)
	}
}
