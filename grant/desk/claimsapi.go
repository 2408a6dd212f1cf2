package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
)

// The routes by which other systems hand claims in. What they may is decided by the right claims-intake; whose token it was has
// entered the claim, and can never decide it.
const (
	pathClaims  = "/api/v1/claims"
	fileOne     = "POST " + pathClaims
	pathBatch   = "/api/v1/claim-batches" // and not below the other, where it would look like a claim
	fileMany    = "POST " + pathBatch
	pathReports = "/api/v1/claim-reports"
	fileReports = "POST " + pathReports
	askClaim    = "GET " + pathClaims + "/{claim}"

	maxClaims      = 500 // of one request: a transaction that keeps others waiting for milliseconds
	maxClaimsBytes = 1 << 20
)

func (a *api) claimsAPI() []route {
	return []route{
		{fileOne, []Right{RightClaimsIntake}, a.answer(a.fileClaim)},
		{fileMany, []Right{RightClaimsIntake}, a.answer(a.fileClaims)},
		{fileReports, []Right{RightClaimsIntake}, a.answer(a.importReports)},
		{askClaim, ofClaims, a.answer(a.claimNow)},
	}
}

// Filed is what became of a claim that was handed in.
type Filed struct {
	Claim   string        `json:"claim"`
	Outcome store.Outcome `json:"outcome"` // taken; again: it was there already, the same
}

// filedOne is the answer about one claim.
type filedOne struct {
	Programme string `json:"programme"`
	Filed
}

// filedRow is what became of one of many.
type filedRow struct {
	Claim    string           `json:"claim,omitempty"`
	Outcome  store.Outcome    `json:"outcome"` // beside the others: refused
	Problems []intake.Problem `json:"problems,omitempty"`
}

// refusedRow is the outcome of a row that could not be a claim.
const refusedRow store.Outcome = "refused"

// filedMany is the answer about many, in the order of the request.
type filedMany struct {
	Programme string        `json:"programme"`
	Status    intake.Status `json:"status"`
	Taken     int           `json:"taken"`
	Again     int           `json:"again"`
	Wrong     int           `json:"wrong"`
	Claims    []filedRow    `json:"claims"`
}

// ClaimNow is how a claim stands. It says nothing of who its owner is.
type ClaimNow struct {
	Programme string        `json:"programme"`
	Claim     string        `json:"claim"`
	State     claims.State  `json:"state"`
	Turn      claims.Turn   `json:"turn"`
	Received  time.Time     `json:"received"`
	Changed   time.Time     `json:"changed"`
	Channel   string        `json:"channel"`
	EnteredBy string        `json:"entered_by"`
	Window    string        `json:"window"`
	Missing   []string      `json:"missing,omitempty"` // documents
	Owed      claims.Won    `json:"owed"`
	Settled   claims.Won    `json:"settled"`
	Declined  claims.Reason `json:"declined,omitempty"`

	Reports []Earlier `json:"reports,omitempty"`
}

// Earlier is what was reported of a claim's business before claims could be filed. It changes no amount.
type Earlier struct {
	Number   string     `json:"number"`
	Reported time.Time  `json:"reported"`
	Loss     claims.Won `json:"reported_loss"`
}

// filing is what takes claims in by this API; an error: this desk has none.
func (a *api) filing() (*intake.Desk, error) {
	if a.cfg.Claims == nil {
		return nil, noClaims()
	}
	return a.cfg.Claims.Intake(intake.ChannelAPI), nil
}

func noClaims() *Problem {
	return newProblem(kindNotFound, "this desk has no damage claims: start it with --claims DATABASE")
}

// numbers gives forms without a number of their own one, by the request's Idempotency-Key: sent again, it is the same claim,
// whichever desk it comes to, and however much later.
type numbers struct{ principal, key string }

func readNumbers(r *http.Request, who Principal) (numbers, error) {
	n := numbers{principal: who.Name}
	if len(r.Header.Values(onceHeader)) == 0 {
		return n, nil
	}
	n.key = r.Header.Get(onceHeader)
	odd := func(c rune) bool { return c < ' ' || c > '~' }
	if n.key == "" || len(n.key) > maxOnceKey || strings.ContainsFunc(n.key, odd) {
		return n, newProblem(kindMalformed, onceHeader+": want 1 to 255 printable ASCII characters")
	}
	return n, nil
}

// give numbers the i-th form of a request.
func (n numbers) give(f *intake.Form, i int) error {
	switch {
	case n.key == "":
		return nil
	case f.ID != "":
		return intake.Problem{Field: "id", Detail: "leave it out with an " + onceHeader + ", by which the claim is known"}
	}
	sum := sha256.Sum256([]byte(digestOf(n.principal, n.key, strconv.Itoa(i))))
	f.ID = "a-" + hex.EncodeToString(sum[:10])
	return nil
}

// from is the channel, and who enters.
func from(who Principal) intake.Channel {
	return intake.Channel{Name: intake.ChannelAPI, By: store.Actor{Name: who.Name, Duty: claims.Intake}}
}

// invalidClaim is the problem of a claim in which something is wrong.
func invalidClaim(k kind, err error) *Problem {
	p := newProblem(k, strings.ReplaceAll(err.Error(), "\n", "; ")+"; nothing was taken in")
	p.Problems = intake.Problems(err)
	return p
}

// fileClaim takes one claim in.
func (a *api) fileClaim(r *http.Request, who Principal) (any, error) {
	desk, err := a.filing()
	if err != nil {
		return nil, err
	}
	number, err := readNumbers(r, who)
	if err != nil {
		return nil, err
	}
	body, err := readAll(r, intake.MaxForm)
	if err != nil {
		return nil, err
	}
	form, err := parseForm(r.Context(), desk, body, who)
	if err != nil {
		return nil, invalidClaim(kindMalformed, err)
	}
	if err := number.give(form, 0); err != nil {
		return nil, invalidClaim(kindClaim, err)
	}
	results, err := desk.Take(r.Context(), []*intake.Form{form}, from(who))
	if err != nil {
		return nil, err
	}
	got := &results[0]
	switch {
	case got.Outcome == store.Different && number.key != "":
		return nil, newProblem(kindKeyReused, "the "+onceHeader+" was sent with another claim: make a new one for each")
	case got.Outcome == store.Different:
		return nil, invalidClaim(kindClaimNumber, got.Err)
	case got.Outcome == store.Twice:
		return nil, invalidClaim(kindClaimed, got.Err)
	case !got.Taken():
		return nil, invalidClaim(kindClaim, got.Err)
	}
	a.cfg.Log.Info("a claim was handed in", "claim", got.Claim, "who", who.Name, "outcome", string(got.Outcome))
	return filedOne{desk.Programme.Name, Filed{got.Claim, got.Outcome}}, nil
}

// parseForm reads a form. What of it could be read may be wrong, too, and all is said at once.
func parseForm(ctx context.Context, desk *intake.Desk, text []byte, who Principal) (*intake.Form, error) {
	form, err := intake.ParseForm(text)
	if err != nil && form != nil {
		_, more := desk.Read(ctx, form, from(who))
		err = intake.Also(err, more)
	}
	return form, err
}

// fileClaims takes many claims in, each by itself.
func (a *api) fileClaims(r *http.Request, who Principal) (any, error) {
	desk, err := a.filing()
	if err != nil {
		return nil, err
	}
	number, err := readNumbers(r, who)
	if err != nil {
		return nil, err
	}
	var body struct {
		Claims []json.RawMessage `json:"claims"`
	}
	if err := readBody(r, maxClaimsBytes, &body); err != nil {
		return nil, err
	}
	if n := len(body.Claims); n == 0 || n > maxClaims {
		return nil, newProblem(kindMalformed, fmt.Sprintf("%d claims: want 1 to %d", n, maxClaims))
	}
	out := filedMany{Programme: desk.Programme.Name, Claims: make([]filedRow, len(body.Claims))}
	var forms []*intake.Form
	var at []int
	for i, text := range body.Claims {
		form, err := parseForm(r.Context(), desk, text, who)
		if err == nil {
			err = number.give(form, i)
		}
		if err != nil {
			out.Claims[i] = filedRow{Outcome: refusedRow, Problems: intake.Problems(err)}
			continue
		}
		forms, at = append(forms, form), append(at, i)
	}
	results, err := desk.Take(r.Context(), forms, from(who))
	if err != nil {
		return nil, err
	}
	for i := range results {
		out.Claims[at[i]] = rowOf(&results[i])
	}
	for i := range out.Claims {
		switch out.Claims[i].Outcome {
		case store.Taken:
			out.Taken++
		case store.Again:
			out.Again++
		default:
			out.Wrong++
		}
	}
	out.Status = intake.StatusOf(out.Wrong, len(out.Claims))
	a.cfg.Log.Info("claims were handed in", "who", who.Name, "taken", out.Taken, "again", out.Again, "wrong", out.Wrong)
	return out, nil
}

func rowOf(r *intake.Result) filedRow {
	row := filedRow{Outcome: r.Outcome, Problems: intake.Problems(r.Err)}
	switch {
	case r.Outcome == "":
		row.Outcome = refusedRow
	case r.Taken():
		row.Claim = r.Claim
	}
	return row
}

// claimNow says how a claim stands, whoever took it in.
func (a *api) claimNow(r *http.Request, who Principal) (any, error) {
	if a.cfg.Claims == nil {
		return nil, noClaims()
	}
	none := newProblem(kindNotFound, "there is no such claim: check the number")
	list, err := a.cfg.Claims.Store.Get(r.Context(), r.PathValue("claim"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, none
	case err != nil:
		return nil, err
	case list[0].Programme != a.cfg.Claims.Programme.Name:
		return nil, none
	}
	c := list[0]
	staff := a.staff(r, who)
	reading := staff.Reading(store.ReadStatus, strings.TrimSpace(r.URL.Query().Get("why")), c.ID)
	if err := readableWhy(reading.Why); err != nil {
		return nil, err
	}
	earlier, err := a.earlier(r.Context(), c)
	if err != nil {
		return nil, err
	}
	reading.Programme, reading.Reports = c.Programme, store.ReportNumbers(earlier)
	if err := a.cfg.Claims.Store.Read(r.Context(), reading); err != nil { // what cannot be recorded is not shown
		return nil, err
	}
	zone := a.cfg.Claims.Programme.Zone
	out := ClaimNow{
		Programme: c.Programme, Claim: c.ID, State: c.State, Turn: c.State.Turn(), Received: c.Received.In(zone),
		Changed: c.Changed.In(zone), Channel: c.Channel, EnteredBy: c.EnteredBy, Window: c.Window, Owed: c.Owed,
		Settled: c.Settled, Declined: c.Declined,
	}
	if c.State == claims.DocumentsMissing {
		out.Missing = c.Missing(c.Proposal)
	}
	for i := range earlier {
		e := &earlier[i]
		out.Reports = append(out.Reports, Earlier{e.Number, e.At.In(zone), e.Loss})
	}
	return out, nil
}

// earlier are the reports that are linked to a claim.
func (a *api) earlier(ctx context.Context, c *store.Claim) ([]store.Report, error) {
	if c.Unit == "" { // purged
		return nil, nil
	}
	return a.cfg.Claims.Store.Reports(ctx, store.ReportFilter{Programme: c.Programme, Unit: c.Unit})
}

// readableWhy refuses a reason that the access log would not keep.
func readableWhy(why string) error {
	err := resident.Refuse("why", why, true)
	if err == nil && why != "" {
		if err = grant.ValidateWhy(why); err != nil {
			err = fmt.Errorf("why: %w", err)
		}
	}
	if err != nil {
		return newProblem(kindInvalid, err.Error())
	}
	return nil
}

// readAll reads a body of at most so many bytes.
func readAll(r *http.Request, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if _, large := errors.AsType[*http.MaxBytesError](err); large || int64(len(text)) > most {
		return nil, newProblem(kindTooLarge, fmt.Sprintf("the body has more than %d bytes", most))
	}
	if err != nil {
		return nil, newProblem(kindMalformed, "reading the body: "+err.Error())
	}
	return text, nil
}
