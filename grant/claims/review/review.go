// Package review serves the pages on which staff judge and decide claims: queues, and a claim on one page. They are HTML that
// needs no script. Whoever serves them says who asks, and which duties they have; what a duty may do is the table of package
// claims.
package review

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/tell"
)

// Duties are those of staff; what else the table knows is done by owners, the rules and the bank.
func Duties() []claims.Duty {
	return []claims.Duty{
		claims.Intake, claims.Reviewer, claims.Approver, claims.Payer, claims.Secretary, claims.Privacy, claims.CouncilDuty,
	}
}

// Staff is who asks.
type Staff struct {
	Name   string
	Duties []claims.Duty // an auditor has none, and sees what is no person's
	Stops  bool          // may freeze all decisions and payments, and end that: a right beside all duties

	From string // the address that asks, for the access log

	Colleagues []string // who can be handed a claim, sorted
	Others     bool     // and others, whose names are not known before they sign in
}

// AddColleague adds somebody who can be handed a claim, if he has a duty.
func (s *Staff) AddColleague(name string, duties []claims.Duty) {
	at, known := slices.BinarySearch(s.Colleagues, name)
	judges := slices.ContainsFunc(duties, func(d claims.Duty) bool { return d != claims.CouncilDuty })
	if judges && !known {
		s.Colleagues = slices.Insert(s.Colleagues, at, name)
	}
}

// has reports whether somebody has one of some duties.
func (s *Staff) has(some ...claims.Duty) bool {
	return slices.ContainsFunc(s.Duties, func(d claims.Duty) bool { return slices.Contains(some, d) })
}

// seesPeople reports whether somebody may see who owners are, with a reason: whoever judges or takes claims in.
func (s *Staff) seesPeople() bool { return s.has(claims.Intake, claims.Reviewer, claims.Approver) }

// Desk is the review desk of one programme.
type Desk struct {
	Store     *store.Store
	Programme *claims.Programme
	Documents *documents.Keeper // nil: documents cannot be opened here
	Within    time.Duration     // in which owners are promised a decision; 0: they are promised none
	Log       *slog.Logger
	Now       func() time.Time
	Public    string // where the owner's page is, for receipts; empty: it is not said
	// Filed is told what became of each claim that was handed in here, and by which channel; nil: nobody is. It is called
	// concurrently.
	Filed func(channel string, o intake.Outcome)
}

// Intake is what takes claims in at this desk, by a channel.
func (d *Desk) Intake(channel string) *intake.Desk {
	out := &intake.Desk{Store: d.Store, Programme: d.Programme, Now: d.Now}
	if d.Filed != nil {
		out.Count = func(o intake.Outcome) { d.Filed(channel, o) }
	}
	return out
}

// The paths, below where the desk is.
const (
	Path     = "/claims"
	pathOne  = Path + "/{claim}"
	pathDo   = pathOne + "/do"
	pathWho  = pathOne + "/person"
	pathDoc  = pathOne + "/documents/{digest}"
	pathMany = Path + "/many"
	pathTime = Path + "/windows"
	pathStat = Path + "/statistics"

	pathBudget = Path + "/budget"

	pathStop = Path + "/freeze"
	pathRead = Path + "/access"
	pathGone = pathOne + "/erase"
)

// Handler serves a request of somebody.
type Handler func(w http.ResponseWriter, r *http.Request, who Staff)

// Routes are all pages, by the pattern of net/http's ServeMux.
func (d *Desk) Routes() map[string]Handler {
	return map[string]Handler{
		"GET " + Path:          d.start,
		"POST " + pathMany:     d.many,
		"GET " + pathEnter:     d.askEnter,
		"POST " + pathEnter:    d.enter,
		"GET " + pathOne:       d.one,
		"POST " + pathDo:       d.do,
		"POST " + pathWho:      d.person,
		"GET " + pathDoc:       d.document,
		"GET " + pathTime:      d.windows,
		"POST " + pathTime:     d.extend,
		"GET " + pathBudget:    d.budget,
		"POST " + pathBudget:   d.rebudget,
		"GET " + pathStat:      d.statistics,
		"POST " + pathStat:     d.statistics,
		"GET " + pathStop:      d.freezes,
		"POST " + pathStop:     d.freeze,
		"GET " + pathRead:      d.access,
		"POST " + pathGone:     d.erase,
		"POST " + pathShow:     d.showToCouncil,
		"POST " + PathRedacted: d.redacted,

		"GET " + pathCouncil:  d.council,
		"POST " + pathCouncil: d.secretary,
		"GET " + pathMeeting:  d.meeting,
		"GET " + pathItem:     d.item,
		"GET " + pathShown:    d.shownDocument,
		"POST " + pathVote:    d.vote,
		"GET " + pathMinutes:  d.minutes,
	}
}

// MaxForm is how large a request is at most.
const MaxForm = 64 << 10

// fail says on a page what went wrong, and what to do next.
func (d *Desk) fail(w http.ResponseWriter, r *http.Request, who Staff, err error) {
	v := d.view(w, r, who)
	status, problem := http.StatusInternalServerError, t(v.Lang, "지금은 답할 수 없습니다. 잠시 뒤에 다시 해 주세요.",
		"This cannot be answered now. Try again in a moment.")
	if text, code := d.explained(v.Lang, err); text != "" {
		status, problem = code, text
	} else if errors.Is(err, context.Canceled) {
		return // whoever asked has gone
	} else {
		d.Log.Error("the review desk failed", "path", r.Pattern, "who", who.Name, "error", err)
		if store.Passing(err) { // what will pass is tried again, also by programs
			status = http.StatusServiceUnavailable
			w.Header().Set("Retry-After", "30")
		}
	}
	v.Problem = problem
	d.html(w, status, func(out io.Writer) error { return v.page(out, problem) })
}

// problem makes a page begin with what went wrong, if staff can do something about it. Else it has answered.
func (d *Desk) problem(w http.ResponseWriter, r *http.Request, v *view, err error) (status int, goOn bool) {
	if v.Problem, status = d.explained(v.Lang, err); v.Problem == "" {
		d.fail(w, r, v.who, err)
		return 0, false
	}
	return status, true
}

// explained is an error that staff can do something about; empty: it is not.
func (d *Desk) explained(l tell.Lang, err error) (text string, status int) {
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
		return tell.Text{
			KO: "그사이에 {who}이(가) 이 신청을 먼저 바꾸었습니다({action}). 아무것도 저장하지 않았습니다. 아래의 지금 상태를 확인하고 다시 결정해 주세요.",
			EN: "{who} was first, with “{action}”. Nothing was saved: look at the claim as it is now, and decide again.",
		}.Fill(l, "{who}", polite(l, conflict.By), "{action}", actionName(conflict.Action).In(l)), http.StatusConflict
	}
	if frozen, ok := errors.AsType[*store.FrozenError](err); ok {
		return tell.Text{
			KO: "지금은 결정과 지급이 {until} 중지되어 있습니다. {who}님이 중지했습니다: {why}. 아무것도 저장하지 않았습니다.",
			EN: "Nothing is decided or paid {until}: {who} froze it: {why}. Nothing was saved.",
		}.Fill(l, "{until}", untilWhen(l, &frozen.Freeze, d.Programme.Zone), "{who}", frozen.Freeze.Who,
			"{why}", frozen.Freeze.Why), http.StatusConflict
	}
	if refusal, ok := errors.AsType[*claims.RefusalError](err); ok {
		return refused(l, refusal), http.StatusConflict
	}
	switch document, isDocument := errors.AsType[*documents.RefusedError](err); {
	case errors.Is(err, store.ErrNotFound):
		return t(
			l,
			"그런 신청이나 서류가 없습니다. 번호를 확인해 주세요.",
			"There is no such claim or document: check the number.",
		), http.StatusNotFound
	case errors.Is(err, claims.ErrIllegal), errors.Is(err, claims.ErrNoExtension), errors.Is(err, ErrForm):
		return err.Error(), http.StatusConflict
	case isDocument:
		return tell.Refused(document.Code).In(l), http.StatusConflict
	}
	return "", 0
}

// untilWhen says when a freeze ends.
func untilWhen(l tell.Lang, f *store.Freeze, zone *time.Location) string {
	if f.Until.IsZero() {
		return t(l, "누군가 재개할 때까지", "until somebody ends that")
	}
	return tell.Text{KO: "{at}까지", EN: "until {at}"}.Fill(l, "{at}", l.Moment(f.Until, zone))
}

// ErrForm means that a form, or the body of a request, does not say what is needed. Nothing was done.
var ErrForm = errors.New("not understood")

// html answers with a page.
func (d *Desk) html(w http.ResponseWriter, status int, render func(io.Writer) error) {
	var page bytes.Buffer
	if err := render(&page); err != nil {
		d.Log.Error("a page of the review desk cannot be rendered", "error", err)
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the client may have gone
}
