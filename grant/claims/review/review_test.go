package review

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a desk with claims, and whoever asks.
type office struct {
	*testing.T
	*Desk
	mux *http.ServeMux
	who Staff
	now time.Time

	sent sync.Map // patterns of the forms that were sent
}

var (
	kim  = Staff{Name: "kim", Duties: []claims.Duty{claims.Reviewer}}
	lee  = Staff{Name: "lee", Duties: []claims.Duty{claims.Approver}}
	park = Staff{Name: "park", Duties: []claims.Duty{claims.Approver}}
	shin = Staff{Name: "shin"} // an auditor
)

func newOffice(t *testing.T, losses ...claims.Won) *office {
	t.Helper()
	s, p := storetest.Open(t)
	o := &office{T: t, mux: http.NewServeMux(), who: kim, now: time.Date(2022, 10, 21, 0, 0, 0, 0, time.UTC)}
	s.SetClock(func() time.Time { return o.now })
	o.Desk = &Desk{
		Store:     s,
		Programme: p,
		Documents: documents.NewKeeper(s, documents.Folder(t.TempDir()), nil),
		Within:    10 * 24 * time.Hour,
		Log:       slog.New(slog.DiscardHandler),
		Now:       func() time.Time { return o.now },
	}
	for pattern, serve := range o.Routes() {
		o.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serve(w, r, o.who) })
	}
	for i, loss := range losses {
		f := storetest.Filing(p, i, loss)
		_, err := s.Receive(t.Context(), []store.Filing{f}, nil)
		require.NoError(t, err)
		o.now = o.now.Add(time.Minute)
	}
	return o
}

// id is the number of the i-th claim.
func id(i int) string { return fmt.Sprintf("c-%06d", i) }

// check has the rules look at a claim, and leaves it in a state.
func (o *office) check(i int, action claims.Action, signals ...claims.Signal) {
	o.Helper()
	c := o.claim(i)
	a, err := o.Programme.Assess(&c.Facts)
	require.NoError(o, err)
	proposal := o.Programme.Propose(&c.Facts, &a)
	steps := []store.Step{
		{Claim: c, Action: claims.Check, By: store.Rules, Change: store.Change{Assessment: &a, Proposal: &proposal}},
	}
	if action != "" {
		steps = append(
			steps,
			store.Step{Claim: c, Action: action, By: store.Rules, Reason: "rules", Change: store.Change{Signals: signals}},
		)
	}
	require.NoError(o, o.Store.Commit(o.Context(), steps, nil))
}

func (o *office) claim(i int) *store.Claim {
	o.Helper()
	list, err := o.Store.Get(o.Context(), id(i))
	require.NoError(o, err)
	return list[0]
}

func (o *office) send(r *http.Request) (status int, body string, header http.Header) {
	o.Helper()
	r.Header.Set("Accept-Language", "en-GB,en")
	w := httptest.NewRecorder()
	o.mux.ServeHTTP(w, r)
	data, err := io.ReadAll(w.Result().Body)
	require.NoError(o, err)
	return w.Code, string(data), w.Header()
}

func (o *office) get(path string) (int, string) {
	o.Helper()
	status, body, _ := o.send(httptest.NewRequestWithContext(o.Context(), http.MethodGet, path, nil))
	return status, body
}

func (o *office) post(path string, form url.Values) (int, string) {
	o.Helper()
	r := httptest.NewRequestWithContext(o.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, _ := o.send(r)
	return status, body
}

// do takes a step with the first claim as somebody, and confirms it.
func (o *office) do(who Staff, action claims.Action, fields ...string) (int, string) {
	o.Helper()
	o.who = who
	form := url.Values{
		fieldAction: {string(action)},
		fieldSeq:    {strconv.Itoa(o.claim(0).Seq)},
		fieldWhy:    {"because"},
		fieldSure:   {"yes"},
	}
	for n := 0; n < len(fields); n += 2 {
		form.Set(fields[n], fields[n+1])
	}
	return o.post("/claims/"+id(0)+"/do", form)
}

func (o *office) proven() {
	o.Helper()
	proof, err := o.Store.Prove(o.Context(), nil)
	require.NoError(o, err)
	require.Empty(o, proof.Wrong)
}

func TestQueues(t *testing.T) {
	o := newOffice(t, make([]claims.Won, 53)...)
	for i := range 52 {
		o.check(i, claims.Flag, claims.Signal{Kind: claims.AbovePeers, What: "ten times"})
	}
	status, body := o.get("/claims")
	require.Equal(t, 200, status)
	require.Contains(t, body, `On hold: signals to judge <span class="chip">52</span>`)
	require.Contains(t, body, `With the rules <span class="chip">1</span>`)
	require.Less(t, strings.Index(body, id(0)), strings.Index(body, id(49)), "who came first is first")
	require.NotContains(t, body, id(50))
	next := between(t, body, `rel="next" href="`, `"`)
	status, body = o.get("/" + strings.ReplaceAll(next, "&amp;", "&"))
	require.Equal(t, 200, status)
	require.Contains(t, body, id(51))
	require.NotContains(t, body, id(49))

	_, body = o.get("/claims?queue=rules")
	require.Contains(t, body, id(52))
	require.NotContains(t, body, `type="checkbox"`, "nothing can be done with several at once")
	_, body = o.get("/claims?queue=objections")
	require.Contains(t, body, "There is nothing here.")
	_, body = o.get("/claims?find=" + url.QueryEscape(storetest.Number(7).String()))
	require.Contains(t, body, id(7))
	require.NotContains(t, body, id(8))
	status, _, header := o.send(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/claims?find=c-000003", nil))
	require.Equal(t, 303, status)
	require.Equal(t, "claims/c-000003", header.Get("Location"))

	for path, code := range map[string]int{
		"/claims?queue=none": 409, "/claims?tier=x": 409, "/claims?after=x": 409, "/claims/none": 404, "/claims/" + id(60): 404,
	} {
		status, body = o.get(path)
		require.Equal(t, code, status, path)
		require.Contains(t, body, `role="alert"`)
	}
}

func between(t *testing.T, s, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, from)
	require.True(t, ok, "no %s in %s", from, s)
	found, _, ok := strings.Cut(rest, to)
	require.True(t, ok)
	return found
}

func TestTheClockSaysWhatIsLate(t *testing.T) {
	o := newOffice(t, 900_000)
	o.check(0, claims.Review)
	o.now = o.now.Add(3 * 24 * time.Hour)
	_, body := o.get("/claims?queue=in_review")
	require.Contains(t, body, "<td>3 days</td>")
	o.now = o.now.Add(8 * 24 * time.Hour)
	_, body = o.get("/claims?queue=in_review")
	require.Contains(t, body, "late: 11 days")
	status, _ := o.do(kim, claims.Ask)
	require.Equal(t, 303, status)
	o.now = o.now.Add(100 * 24 * time.Hour)
	_, body = o.get("/claims?queue=owner")
	require.Contains(t, body, "late: 11 days", "the owner's own days do not count")
}

// A claim of the review tier: the amount is approved by two, neither of whom had a hand in it before.
func TestALargeClaimIsDecidedByTwo(t *testing.T) {
	o := newOffice(t, 20_000_000)
	o.check(0, claims.Review)
	_, body := o.get("/claims/" + id(0))
	require.Contains(t, body, "the highest of the weeks that you gave")
	require.Contains(t, body, `id="do-ask"`)
	require.NotContains(t, body, `id="do-approve"`, "that is an approver's")
	o.who = lee
	_, body = o.get("/claims/" + id(0))
	require.Contains(t, body, `id="do-approve"`)
	require.NotContains(t, body, "send_payment")

	status, body := o.do(lee, claims.Approve, fieldSure, "", fieldAmount, "2,000,000")
	require.Equal(t, 200, status)
	require.Contains(t, body, "Please confirm")
	require.Contains(t, body, "2,000,000 won")
	require.Equal(t, claims.InReview, o.claim(0).State, "nothing was decided yet")
	status, _ = o.do(lee, claims.Approve, fieldAmount, "2000000")
	require.Equal(t, 303, status)
	require.Equal(t, claims.InReview, o.claim(0).State)
	status, body = o.do(lee, claims.Approve, fieldAmount, "2000000")
	require.Equal(t, 409, status)
	require.Contains(t, body, "somebody else must decide")
	status, body = o.do(park, claims.Approve, fieldAmount, "1999999")
	require.Equal(t, 409, status)
	require.Contains(t, body, "agree on one")
	status, _ = o.do(park, claims.Approve, fieldAmount, "2000000")
	require.Equal(t, 303, status)
	require.Equal(t, claims.Approved, o.claim(0).State)
	require.EqualValues(t, 2_000_000, o.claim(0).Owed)
	o.proven()
}

func TestOfTwoTheSecondIsTold(t *testing.T) {
	o := newOffice(t, 20_000_000)
	o.check(0, claims.Review)
	seen := strconv.Itoa(o.claim(0).Seq)
	status, _ := o.do(kim, store.Note, fieldWhy, "I called the owner")
	require.Equal(t, 303, status)
	status, body := o.do(lee, claims.Decline, fieldSeq, seen, fieldReason, string(claims.ReasonOther))
	require.Equal(t, 409, status)
	require.Contains(t, body, "kim was first")
	require.Contains(t, body, "I called the owner", "the claim is shown as it is now")
	require.Equal(t, claims.InReview, o.claim(0).State)
}

func TestWhatNobodyMayDoIsRefused(t *testing.T) {
	o := newOffice(t, 20_000_000, 310_000)
	o.check(0, claims.Review)
	for name, c := range map[string]struct {
		who    Staff
		action claims.Action
		fields []string
		says   string
	}{
		"of another duty":     {kim, claims.Approve, []string{fieldAmount, "2000000"}, "is done by approver, not by reviewer"},
		"payment":             {Staff{Name: "pay", Duties: []claims.Duty{claims.Payer}}, claims.Send, nil, "is not decided"},
		"no duty":             {shin, store.Note, nil, "has no duty here"},
		"no reason":           {kim, claims.Ask, []string{fieldWhy, "  "}, "say why"},
		"not from there":      {kim, claims.Clear, nil, "possible are"},
		"no such action":      {kim, "fly", nil, "possible are"},
		"no number":           {lee, claims.Approve, []string{fieldAmount, "a lot"}, "the amount is a number of won"},
		"nothing":             {lee, claims.Approve, []string{fieldAmount, "0"}, "is nothing to approve"},
		"no amount":           {lee, claims.Approve, nil, "the rules propose no amount"},
		"a long text":         {kim, claims.Ask, []string{fieldWhy, strings.Repeat("x", 2001)}, "longer than 2000"},
		"a resident's number": {kim, claims.Ask, []string{fieldWhy, "is he 900101-1234567?"}, "resident registration number"},
		"one without a hyphen, whose check digit is newer": {
			kim, claims.Ask, []string{fieldWhy, "is he 9001013234567?"}, "resident registration number",
		},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := o.do(c.who, c.action, c.fields...)
			require.Equal(t, 409, status, body)
			require.Contains(t, body, c.says)
		})
	}
	require.Equal(t, claims.InReview, o.claim(0).State)
	o.proven()
}

// The owner's name is shown for a reason, to those whom it concerns, and history knows.
func TestWhoTheOwnerIs(t *testing.T) {
	o := newOffice(t, 310_000)
	_, body := o.get("/claims/" + id(0))
	require.NotContains(t, body, "김사장")
	status, _ := o.post("/claims/"+id(0)+"/person", url.Values{fieldWhy: {" "}})
	require.Equal(t, 409, status)
	status, _ = o.post("/claims/"+id(0)+"/person", url.Values{fieldWhy: {"of 900101-1234567"}})
	require.Equal(t, 409, status)
	status, body = o.post("/claims/"+id(0)+"/person", url.Values{fieldWhy: {"to call back"}})
	require.Equal(t, 200, status)
	require.Contains(t, body, "010-1234-0000")
	require.Contains(t, body, "to call back")
	o.who = shin
	status, body = o.post("/claims/"+id(0)+"/person", url.Values{fieldWhy: {"curious"}})
	require.Equal(t, 409, status)
	require.NotContains(t, body, "김사장")
	history, err := o.Store.History(t.Context(), id(0))
	require.NoError(t, err)
	require.Equal(t, store.Look, history[len(history)-1].Action)
	require.Equal(t, "kim", history[len(history)-1].By.Name)
}

func TestDocumentsAreDownloads(t *testing.T) {
	o := newOffice(t, 20_000_000)
	const pdf = "%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n"
	kept, err := o.Documents.Add(
		t.Context(),
		o.claim(0),
		documents.Sent{Kind: "sales_damage", Name: "a.pdf", Body: strings.NewReader(pdf),
			By: store.Owner},
	)
	require.NoError(t, err)
	_, page := o.get("/claims/" + id(0))
	path := "/claims/" + id(0) + "/documents/" + kept.Digest
	require.Contains(t, page, path[1:])
	status, body, header := o.send(httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	require.Equal(t, 200, status)
	require.Equal(t, pdf, body)
	require.Equal(t, "application/octet-stream", header.Get("Content-Type"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	require.Contains(t, header.Get("Content-Security-Policy"), "sandbox")
	require.Equal(t, `attachment; filename="c-000000-sales_damage.pdf"`, header.Get("Content-Disposition"))
	history, err := o.Store.History(t.Context(), id(0))
	require.NoError(t, err)
	require.Equal(t, store.Look, history[len(history)-1].Action)
	o.who = shin
	status, _ = o.get(path)
	require.Equal(t, 409, status)
	_, page = o.get("/claims/" + id(0))
	require.NotContains(t, page, path[1:])
	o.who = kim
	status, _ = o.get("/claims/" + id(0) + "/documents/" + strings.Repeat("0", 64))
	require.Equal(t, 404, status)
}

func TestSeveralAtOnce(t *testing.T) {
	o := newOffice(t, 310_000, 310_000, 310_000)
	other := claims.Signal{Kind: claims.SamePhone, What: "the phone of another claim", Others: []string{id(1)}}
	for i := range 3 {
		o.check(i, claims.Flag, other)
	}
	form := url.Values{
		"claim":     {id(0), id(1), "nothing"},
		fieldAction: {string(claims.Clear)},
		fieldWhy:    {"two shops of one owner"},
	}
	status, body := o.post("/claims/many", form)
	require.Equal(t, 200, status)
	require.Contains(t, body, "This would happen: PARTIAL")
	require.Equal(t, claims.OnHold, o.claim(0).State)
	form = url.Values{
		"claim":      {id(0), id(1)},
		fieldAction:  {string(claims.Clear)},
		fieldWhy:     {"two shops of one owner"},
		fieldSure:    {"yes"},
		seqOf(id(0)): {"3"}, seqOf(id(1)): {"3"},
	}
	require.Equal(t, 2, strings.Count(body, `<input type="hidden" name="claim"`))
	status, body = o.post("/claims/many", form)
	require.Equal(t, 200, status)
	require.Contains(t, body, "Result: SUCCESS")
	require.Equal(t, claims.Checking, o.claim(1).State)
	status, body = o.post("/claims/many", form)
	require.Equal(t, 200, status)
	require.Contains(t, body, "Result: FAILED", "they are on hold no more")
	require.Equal(t, claims.OnHold, o.claim(2).State)
	for _, wrong := range []url.Values{{}, {"claim": make([]string, perPage+1)}, {"claim": {id(2)}, fieldAmount: {"5"}}} {
		status, _ = o.post("/claims/many", wrong)
		require.Equal(t, 409, status)
	}
	_, body = o.get("/claims/" + id(2))
	require.Contains(t, body, "The phone of another claim")
	require.Contains(t, body, "Side by side")
	o.proven()
}

// What people wrote is never part of the page itself.
func TestHostileTexts(t *testing.T) {
	o := newOffice(t, 310_000)
	o.check(0, claims.Flag, claims.Signal{Kind: claims.SamePhone, What: `<script>alert(1)</script>`})
	status, _ := o.do(kim, store.Note, fieldWhy, `"><img src=x onerror=alert(1)>`)
	require.Equal(t, 303, status)
	_, body := o.get("/claims/" + id(0))
	require.NotContains(t, body, "<script>alert")
	require.NotContains(t, body, "<img src=x")
	_, body = o.get("/claims?find=" + url.QueryEscape(`"><b>`))
	require.NotContains(t, body, "<b>")
	_, body = o.get("/claims?queue=" + url.QueryEscape(`<b>`))
	require.NotContains(t, body, "<b>")
}

func TestBothLanguages(t *testing.T) {
	o := newOffice(t, 310_000)
	status, body, header := o.send(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/claims/"+id(0)+"?lang=ko", nil))
	require.Equal(t, 200, status)
	require.Contains(t, body, `<html lang="ko">`)
	require.Contains(t, body, "금액 계산")
	require.Contains(t, header.Get("Set-Cookie"), "granter_lang=ko")
	for _, a := range append(actionsOfTable(), store.Note, store.Look, store.FirstApproval, store.Erase, store.ChangeAccount) {
		require.NotEqual(t, string(a), actionName(a).KO)
	}
	for _, k := range []claims.SignalKind{
		claims.SameAccount, claims.SamePhone, claims.SameAddress, claims.SameDocument, claims.JustBelow,
		claims.OpenedLater, claims.AbovePeers, claims.NotConfirmed} {
		require.NotEqual(t, string(k), signalName(k).KO)
	}
}

func actionsOfTable() (out []claims.Action) {
	for _, t := range claims.Transitions() {
		out = append(out, t.Action)
	}
	return out
}

// Every state is in a queue.
func TestNoClaimIsOutOfSight(t *testing.T) {
	for _, s := range claims.States() {
		found := 0
		for _, q := range queues {
			if contains(q.states, s) {
				found++
			}
		}
		if s != claims.Draft {
			require.Equal(t, 1, found, s)
		}
	}
}
