package desk

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/desk/searchpage"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
)

// kind is what went wrong, in the word that programs decide by: a problem's type ends with it, and refusals are counted
// by it. Kinds never change their meaning; openapi.yaml describes them.
type kind string

// Kinds of requests that are refused before anything is asked.
const (
	kindNoToken     kind = "no_token"
	kindToken       kind = "wrong_token"
	kindCertificate kind = "unknown_certificate"
	kindSession     kind = "session_ended"
	kindNoRole      kind = "no_role"
	kindSignIn      kind = "sign_in"
	kindProvider    kind = "provider"
	kindRight       kind = "right"
	kindScope       kind = "campaign_right"
	kindOrigin      kind = "cross_origin"
	kindType        kind = "content_type"
	kindRate        kind = "rate_limit"
	kindBusy        kind = "busy"
	kindListeners   kind = "listeners"
	kindFull        kind = "full"
	kindCampaign    kind = "campaign"
)

// Kinds of all others.
const (
	kindMalformed    kind = "malformed"
	kindTooLarge     kind = "too_large"
	kindInvalid      kind = "invalid_order"
	kindRefused      kind = "refused"
	kindChanged      kind = "changed"
	kindOverLimit    kind = "over_limit"
	kindNotTaken     kind = "not_taken"
	kindOtherTopic   kind = "other_topic"
	kindNotFound     kind = "not_found"
	kindItem         kind = "unknown_item"
	kindNoReceipts   kind = "no_receipts"
	kindNotInReport  kind = "not_in_report"
	kindKeyReused    kind = "key_reused"
	kindUnderWay     kind = "under_way"
	kindMethod       kind = "method_not_allowed"
	kindInconsistent kind = "inconsistent"
	kindInternal     kind = "internal"
	kindUnavailable  kind = "unavailable"

	kindClaim       kind = "invalid_claim"
	kindClaimNumber kind = "id_taken"
	kindClaimed     kind = "business_claimed"
)

// refusals are the kinds that are counted as such.
var refusals = []kind{
	kindNoToken, kindToken, kindCertificate, kindSession, kindNoRole, kindSignIn, kindProvider,
	kindRight, kindScope, kindOrigin, kindType, kindRate, kindBusy, kindListeners,
	kindFull,
	kindCampaign,
}

// statuses are the status codes of all kinds.
var statuses = map[kind]int{
	kindNoToken: http.StatusUnauthorized, kindToken: http.StatusUnauthorized, kindCertificate: http.StatusUnauthorized,
	kindSession: http.StatusUnauthorized, kindNoRole: http.StatusForbidden, kindSignIn: http.StatusBadRequest,
	kindProvider: http.StatusServiceUnavailable,
	kindRight:    http.StatusForbidden, kindScope: http.StatusForbidden, kindOrigin: http.StatusForbidden,
	kindType: http.StatusUnsupportedMediaType,
	kindRate: http.StatusTooManyRequests, kindBusy: http.StatusTooManyRequests, kindListeners: http.StatusTooManyRequests,
	kindFull: http.StatusServiceUnavailable, kindCampaign: http.StatusNotFound,
	kindMalformed: http.StatusBadRequest, kindTooLarge: http.StatusRequestEntityTooLarge,
	kindInvalid: http.StatusUnprocessableEntity, kindOverLimit: http.StatusUnprocessableEntity,
	kindChanged:  http.StatusPreconditionFailed,
	kindNotTaken: http.StatusConflict,
	kindRefused:  http.StatusConflict, kindOtherTopic: http.StatusConflict,
	kindKeyReused: http.StatusUnprocessableEntity, kindUnderWay: http.StatusConflict,
	kindNotFound: http.StatusNotFound, kindItem: http.StatusNotFound,
	kindNoReceipts: http.StatusNotFound, kindNotInReport: http.StatusNotFound, kindMethod: http.StatusMethodNotAllowed,
	kindInconsistent: http.StatusInternalServerError, kindInternal: http.StatusInternalServerError,
	kindUnavailable: http.StatusServiceUnavailable,
	kindClaim:       http.StatusUnprocessableEntity, kindClaimNumber: http.StatusConflict, kindClaimed: http.StatusConflict,
}

// problemType is in front of each kind in the type of a problem. It is a name, and nothing is there.
const problemType = "urn:problem-type:granter:"

// Problem is an error as RFC 9457 describes it.
type Problem struct { //nolint:errname // that is its name in the RFC
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"` // for people: what is wrong, and what to do

	Outcome grant.Outcome `json:"outcome,omitempty"` // of a take that was refused
	SignIn  *signOnAt     `json:"sign_in,omitempty"` // where people sign in whom nobody knows

	Problems []intake.Problem `json:"problems,omitempty"` // with a claim that was handed in, each with its field

	whyNot grant.WhyNot // of an act that was refused, for pages
	onPage string       // what pages know it as; empty: its kind
}

func newProblem(k kind, detail string) *Problem {
	return &Problem{Type: problemType + string(k), Title: http.StatusText(statuses[k]), Status: statuses[k], Detail: detail}
}

func (p *Problem) Error() string { return p.Detail }

// on is what a page says of the problem, in its language, and what the detail says where that is in another one.
func (p *Problem) on(l lookup.Lang) (says, english string) {
	if says := searchpage.WhyNot(l, p.whyNot, ""); says != "" {
		return says, ""
	}
	return searchpage.Problem(l, cmp.Or(p.onPage, strings.TrimPrefix(p.Type, problemType)), p.Detail)
}

// tell has a page say the problem, behind what it means there.
func (p *Problem) tell(v *searchpage.View, means func(l lookup.Lang, problem string) string) {
	v.Problem, v.English = p.on(v.Lang)
	v.Problem = means(v.Lang, v.Problem)
}

// is reports whether a problem is of a kind.
func (p *Problem) is(k kind) bool { return p.Type == problemType+string(k) }

// problemOf says what an error means to a client.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	k := kindUnavailable // what else can go wrong is that Redis or Kafka does not answer
	switch {
	case errors.Is(err, grant.ErrChanged):
		k = kindChanged
	case errors.Is(err, grant.ErrRefused), errors.Is(err, claims.ErrIllegal):
		k = kindRefused
	case errors.Is(err, ledger.ErrInconsistent):
		k = kindInconsistent
	}
	return newProblem(k, err.Error())
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	switch p.Status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, kind string, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		newProblem(kindInternal, err.Error()).write(w)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have gone
}
