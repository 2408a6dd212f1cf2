package desk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/userid"
)

// Services ask here whether a user may use something, tens of thousands of times a second. Such a request does not pass through
// what all others do, and costs as little as a handler can.

const (
	entitlements = "/api/v1/entitlements/"
	pathCheck    = entitlements + "{user}/{item}"
	pathHoldings = entitlements + "{user}"

	basisHeader = "Granter-Basis"
)

// Values of headers that are the same in many answers: the server does not change them.
var (
	headerJSON    = []string{"application/json"}
	headerNoStore = []string{"no-store"}
	headerNoSniff = []string{"nosniff"}
	headerBases   = func() map[entitle.Basis][]string {
		all := map[entitle.Basis][]string{}
		for _, b := range entitle.Bases() {
			all[b] = []string{string(b)}
		}
		return all
	}()
	buffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}
)

// checkable returns what checks are about: every campaign, by the spec in force.
func (a *api) checkable(ctx context.Context) ([]entitle.Campaign, error) {
	if err := a.cfg.Campaigns.Refresh(ctx); err != nil {
		return nil, err
	}
	var all []entitle.Campaign
	for _, name := range a.cfg.Campaigns.Names() {
		c, err := a.cfg.Campaigns.Open(ctx, name)
		if _, gone := errors.AsType[*NoCampaignError](err); gone {
			continue
		}
		if err != nil {
			return nil, err
		}
		if c.Checks == nil {
			continue
		}
		one := entitle.Campaign{Campaign: c.Campaign, Ledger: c.Checks, Broken: c.Broken}
		if one.Broken == nil {
			inForce, _, err := status.InForce(ctx, c.Coordination, c.Reader, c.Campaign)
			switch {
			case err == nil:
				one.Campaign = inForce
			case problemOf(err).is(kindInconsistent):
				one.Broken = err
			default:
				return nil, err
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// fastCheck answers a check of one item, and reports whether the request is one.
func (a *api) fastCheck(w http.ResponseWriter, r *http.Request) bool {
	rest, ours := strings.CutPrefix(r.URL.EscapedPath(), entitlements)
	user, item, both := strings.Cut(rest, "/")
	if !ours || !both || user == "" || item == "" || strings.Contains(item, "/") || r.Method != http.MethodGet {
		return false
	}
	var err [2]error
	if strings.Contains(rest, "%") { // an ID that is a string may have slashes, which are escaped
		user, err[0] = url.PathUnescape(user)
		item, err[1] = url.PathUnescape(item)
		if err != [2]error{} {
			return false
		}
	}
	h := w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = headerNoStore, headerNoSniff
	who, refusal := a.gate.admitCheck(r)
	if refusal != nil {
		a.gate.refuse(w, r, who, refusal)
		a.metrics.Requests.WithLabelValues(pathCheck, strconv.Itoa(refusal.Status)).Inc()
		return true
	}
	code := a.check(w, r, who, user, item)
	a.metrics.Requests.WithLabelValues(pathCheck, code).Inc()
	return true
}

// check answers whether a user holds one item, and returns the status code.
func (a *api) check(w http.ResponseWriter, r *http.Request, who Principal, user, item string) (code string) {
	began := time.Now()
	q, err := query(r, who, user)
	q.Item = item
	var answer entitle.Answer
	if err == nil {
		answer, err = a.checks.Check(r.Context(), q)
	}
	if err != nil {
		return strconv.Itoa(a.cannotCheck(w, err))
	}
	h := w.Header()
	h["Content-Type"], h[basisHeader] = headerJSON, headerBases[answer.Basis]
	buf := buffers.Get().(*[]byte)
	*buf = appendAnswer((*buf)[:0], &answer)
	_, _ = w.Write(*buf) // the client may have gone
	buffers.Put(buf)
	a.metrics.Checks.WithLabelValues(string(answer.Basis)).Inc()
	a.metrics.CheckSeconds.Observe(time.Since(began).Seconds())
	return "200"
}

// query reads what checks have in common: the user, the moment, and the campaigns.
func query(r *http.Request, who Principal, user string) (q entitle.Query, err error) {
	q.User = grant.TextID(user)
	if who.only != "" {
		q.In = who.in
	}
	if r.URL.RawQuery == "" {
		return q, nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, newProblem(kindMalformed, "the query: "+err.Error())
	}
	for name, list := range values {
		switch {
		case len(list) > 1:
			return q, newProblem(kindMalformed, "the query has "+cut(name, 100)+" more than once")
		case name == "at":
			// A plus that was not escaped comes as a space.
			if q.At, err = time.Parse(time.RFC3339, strings.ReplaceAll(list[0], " ", "+")); err != nil {
				return q, newProblem(kindMalformed, "at: want a moment such as 2023-04-04T23:59:59+09:00: "+err.Error())
			}
		case name == "campaign" && !who.in(list[0]):
			return q, refuse(kindScope, "your line of the access file is for other campaigns: "+who.only)
		case name == "campaign":
			q.In = func(campaign string) bool { return campaign == list[0] }
		default:
			return q, newProblem(kindMalformed, "the query has "+cut(name, 100)+": want at, campaign or nothing")
		}
	}
	return q, nil
}

// cannotCheck answers what could not be checked, and returns the status code.
func (a *api) cannotCheck(w http.ResponseWriter, err error) int {
	p := problemOf(err)
	_, away := errors.AsType[*entitle.AwayError](err)
	f, isRefusal := errors.AsType[*refusal](err)
	_, noUser := errors.AsType[*entitle.UserError](err)
	switch {
	case noUser && errors.Is(err, userid.ErrOverLimit):
		p = newProblem(kindOverLimit, err.Error())
	case noUser:
		p = newProblem(kindMalformed, err.Error())
	case isRefusal:
		p = f.Problem
	case away:
		w.Header()[basisHeader] = headerBases[entitle.BasisUnknown]
		a.metrics.Checks.WithLabelValues(string(entitle.BasisUnknown)).Inc()
	case errors.Is(err, entitle.ErrNoItem) && !p.is(kindInconsistent):
		p = newProblem(kindItem, err.Error()+": /api/v1/entitlements/USER lists what a user holds")
	case p.is(kindInconsistent):
		a.cfg.Log.Error("a check failed", "error", err)
	}
	p.write(w)
	return p.Status
}

// appendAnswer is the JSON of an answer. Names of items and campaigns need no escapes.
func appendAnswer(b []byte, a *entitle.Answer) []byte {
	b = append(b, `{"user":`...)
	if a.User.IsNumber() {
		b = append(a.User.Append(append(b, '"')), '"')
	} else {
		text, _ := json.Marshal(a.User) //nolint:errchkjson // a text
		b = append(b, text...)
	}
	b = append(b, `,"item":"`...)
	b = append(b, a.Item...)
	b = append(b, `","active":`...)
	b = strconv.AppendBool(b, a.Active())
	b = append(b, `,"state":"`...)
	b = append(b, a.State...)
	if a.Campaign != "" {
		b = append(b, `","campaign":"`...)
		b = append(b, a.Campaign...)
	}
	b = append(b, `","at":"`...)
	b = a.At.UTC().AppendFormat(b, momentForm)
	b = append(b, `","basis":"`...)
	b = append(b, a.Basis...)
	if !a.AsOf.IsZero() {
		b = append(b, `","as_of":"`...)
		b = a.AsOf.UTC().AppendFormat(b, momentForm)
	}
	return append(b, `"}`...)
}

const momentForm = "2006-01-02T15:04:05.000Z"

// Check is the answer to "may this user use this item?", as appendAnswer writes it.
type Check struct {
	User     grant.UserID  `json:"user"`
	Item     string        `json:"item"`
	Active   bool          `json:"active"`
	State    grant.State   `json:"state"`
	Campaign string        `json:"campaign,omitempty"`
	At       time.Time     `json:"at"`
	Basis    entitle.Basis `json:"basis"`
	AsOf     *time.Time    `json:"as_of,omitempty"`
}

// Holdings is the answer to "what does this user have?".
type Holdings struct {
	User         grant.UserID  `json:"user"`
	At           time.Time     `json:"at"`
	Basis        entitle.Basis `json:"basis"`
	Entitlements []Holding     `json:"entitlements"`
	Unreadable   []string      `json:"unreadable,omitempty"` // campaigns whose spec cannot be read
}

// Holding is one item that the user holds, or held.
type Holding struct {
	Campaign  string      `json:"campaign"`
	Item      string      `json:"item"`
	Kind      grant.Kind  `json:"kind"`
	Amount    int64       `json:"amount,omitempty"` // in the currency's smallest unit
	Currency  string      `json:"currency,omitempty"`
	Active    bool        `json:"active"`
	State     grant.State `json:"state"`
	GrantedAt *time.Time  `json:"granted_at,omitempty"`
	TakenAt   *time.Time  `json:"taken_at,omitempty"`   // of an item that users take
	TakeUntil *time.Time  `json:"take_until,omitempty"` // from then on it cannot be taken
	ExpiresAt *time.Time  `json:"expires_at,omitempty"` // from then on it is not held
	LastDay   string      `json:"last_day,omitempty"`   // the last day on which it is held, where validity is in whole days
}

// holdings answers what a user holds of all campaigns.
func (a *api) holdings(w http.ResponseWriter, r *http.Request, who Principal) {
	began := time.Now()
	q, err := query(r, who, r.PathValue("user"))
	var held entitle.Holdings
	if err == nil {
		held, err = a.checks.Holdings(r.Context(), q)
	}
	if err != nil {
		a.cannotCheck(w, err)
		return
	}
	out := Holdings{User: held.User, At: held.At.UTC(), Basis: held.Basis, Entitlements: []Holding{}, Unreadable: held.Unreadable}
	for _, h := range held.Held {
		one := Holding{
			Campaign: h.Campaign.Name, Item: h.Item.ID, Kind: h.Item.Kind, Amount: h.Item.Amount, Currency: h.Item.Currency,
			Active: h.State == grant.StateActive, State: h.State,
		}
		zone := h.Campaign.StartsAt.Location()
		if h.Campaign.Zone != nil {
			zone = h.Campaign.Zone
		}
		for to, at := range map[**time.Time]time.Time{
			&one.GrantedAt: h.Granted, &one.TakenAt: h.Taken, &one.TakeUntil: h.Item.TakeUntil, &one.ExpiresAt: h.Expires,
		} {
			if !at.IsZero() {
				*to = new(at.In(zone))
			}
		}
		if !h.LastDay.IsZero() {
			one.LastDay = h.LastDay.In(zone).Format(time.DateOnly)
		}
		out.Entitlements = append(out.Entitlements, one)
	}
	a.metrics.Checks.WithLabelValues(string(held.Basis)).Inc()
	a.metrics.CheckSeconds.Observe(time.Since(began).Seconds())
	w.Header()[basisHeader] = headerBases[held.Basis]
	writeJSON(w, "application/json", http.StatusOK, out)
}
