package review

import (
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/decide"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// hostile would be an element of the page, behind an attribute or a text, if anything took it for more than text.
const hostile = `"'><x-evil onload=alert(1)>`

// inert requires that a page shows what is hostile as text, and so often at least.
func (o *office) inert(what, body string, times int) {
	o.Helper()
	require.NotContains(o, body, "<x-evil", what)
	require.GreaterOrEqual(o, strings.Count(body, "&gt;&lt;x-evil"), times, "%s\n%s", what, body)
}

// spoiled is an office in which everything that anybody could write holds what is hostile: owners, reporters, staff, the
// secretary and members of the council.
func spoiled(t *testing.T) *office {
	o := assembled(t)
	ctx := t.Context()
	person := store.Person{
		Business: hostile, Representative: hostile, Phone: hostile, Email: hostile, Address: hostile, Bank: hostile,
		Account: hostile, Holder: hostile, User: hostile,
	}
	require.NoError(t, o.Store.ChangePerson(ctx, o.claim(0), person, store.Owner, hostile))
	row := store.ReportRow{
		Reported: store.Reported{Number: hostile, Unit: o.claim(0).Unit, Loss: 1, At: o.now.Add(-time.Hour)},
		By:       store.Reporter{Business: hostile, Name: hostile, Phone: hostile, Email: hostile},
	}
	_, err := o.Store.ImportReports(ctx, o.Programme.Name, []store.ReportRow{row}, store.ReportFile{Name: hostile, Rows: 1},
		store.Actor{Name: hostile, Duty: claims.Intake}, false)
	require.NoError(t, err)
	status, _ := o.do(kim, store.Note, fieldWhy, hostile)
	require.Equal(t, 303, status)

	_, err = o.Store.Receive(ctx, []store.Filing{storetest.Filing(o.Programme, 2, 100_000_000)}, nil)
	require.NoError(t, err)
	o.check(2, claims.Review)
	ask := store.Step{Claim: o.claim(2), Action: claims.Ask, By: store.Actor{Name: "kim", Duty: claims.Reviewer}, Reason: hostile}
	require.NoError(t, o.Store.Commit(ctx, []store.Step{ask}, nil))
	answer := store.Step{Claim: o.claim(2), Action: claims.Complete, By: store.Owner, Reason: "the owner answers, in a letter"}
	require.NoError(t, o.Store.Write(ctx, answer, hostile))
	signal := claims.Signal{Kind: claims.SamePhone, What: hostile, Others: []string{id(0)}}
	by := store.Actor{Name: hostile, Duty: claims.Reviewer}
	held := store.Step{Claim: o.claim(2), Action: claims.Flag, By: by, Reason: hostile,
		Change: store.Change{Signals: []claims.Signal{signal}}}
	require.NoError(t, o.Store.Commit(ctx, []store.Step{held}, nil))
	by.Name = "kim"
	over := decide.Decision{Action: store.HandOver, By: by, Why: hostile, To: hostile}
	step, err := over.Step(o.Programme, o.claim(2))
	require.NoError(t, err)
	require.NoError(t, o.Store.Commit(ctx, []store.Step{step}, nil))

	o.council(oh, url.Values{fieldDo: {doJoin}, fieldName: {hostile}, fieldShown: {hostile}, fieldAffiliation: {"academia"},
		fieldWhy: {hostile}}, 303)
	o.council(oh, url.Values{fieldDo: {doCall}, fieldAt: {"2023-03-02T15:00"}, fieldPlace: {hostile}, fieldWhy: {hostile}}, 303)
	status, _ = o.do(kim, claims.Refer, fieldWhy, hostile)
	require.Equal(t, 303, status)
	o.council(oh, url.Values{fieldDo: {doAttend}, fieldMeeting: {"2"}, fieldNoted: {"0"}, fieldChair: {"han"},
		fieldPresent: {"cho", "han", "min", "seo", hostile}, fieldWhy: {hostile}}, 303)
	o.council(oh, url.Values{fieldDo: {doAgenda}, fieldMeeting: {"2"}, fieldClaim: {id(0)}, fieldMotion: {"approve"},
		fieldAmount: {"6,000,000"}, fieldWhy: {hostile}}, 303)
	return o
}

// vote has all members vote on the item of the second meeting, and one of them recused, with what is hostile.
func (o *office) voteHostile() {
	o.Helper()
	send := func(who Staff, form url.Values, want int) {
		o.who = who
		form.Set(fieldMeeting, "2")
		form.Set(fieldItem, "1")
		form.Set(fieldWhy, hostile)
		status, body := o.post("/claims/council/vote", form)
		require.Equal(o, want, status, body)
	}
	send(member("seo"), url.Values{fieldDo: {doRecuse}}, 303)
	for _, name := range []string{"cho", "han", "min", hostile} {
		send(member(name), url.Values{fieldDo: {doVote}, fieldChoice: {"for"}}, 303)
	}
	send(member("han"), url.Values{fieldDo: {doCount}, fieldSure: {"yes"}}, 303)
}

// Whatever anybody wrote is text on each page of the desk, in both languages. A page that is new is in the list, or this fails.
func TestWhatAnybodyWroteIsTextOnEveryPage(t *testing.T) {
	o := spoiled(t)
	every := Staff{Name: hostile, Duties: Duties(), Stops: true, From: hostile, Colleagues: []string{hostile, "kim"}}
	o.who = every
	status, body := o.post("/claims/"+id(0)+"/person", url.Values{fieldWhy: {hostile}})
	require.Equal(t, 200, status)
	o.inert("the owner", body, 8)
	for _, path := range []string{"/claims/council/2/items/1", "/claims/council/2"} {
		_, body = o.get(path)
		o.inert(path, body, 1)
	}
	o.voteHostile()
	o.who = every
	_, err := o.Store.Extend(t.Context(), o.Programme, store.Extension{
		Window: "documents", Old: closesOf(o, "documents"), New: closesOf(o, "documents").AddDate(0, 1, 0),
	}, store.Actor{Name: hostile, Duty: claims.Secretary}, hostile)
	require.NoError(t, err)
	_, err = o.Store.ProposeBudget(t.Context(), o.Programme, o.Programme.Budget, o.Programme.Budget+1,
		nil, store.Actor{Name: hostile, Duty: claims.Secretary}, hostile)
	require.NoError(t, err)
	_, err = o.Store.SetFreeze(t.Context(), o.Programme.Name, store.Freeze{Frozen: true, Who: hostile, Why: hostile})
	require.NoError(t, err)

	query := "?find=" + url.QueryEscape(hostile)
	pages := map[string]map[string]int{ // by pattern: addresses, and how often what is hostile is shown at least
		"GET " + Path: {
			"/claims?queue=on_hold": 1, "/claims" + query: 1, "/claims?queue=" + url.QueryEscape(hostile): 1,
			"/claims?queue=in_review&industry=" + url.QueryEscape(hostile): 0,
		},
		"GET " + pathEnter:   {"/claims/enter": 1},
		"GET " + pathOne:     {"/claims/" + id(0): 4, "/claims/" + id(2): 4, "/claims/" + url.PathEscape(hostile): 0},
		"GET " + pathTime:    {"/claims/windows": 2},
		"GET " + pathBudget:  {"/claims/budget": 2},
		"GET " + pathStat:    {"/claims/statistics": 1},
		"GET " + pathStop:    {"/claims/freeze": 2},
		"GET " + pathRead:    {"/claims/access": 2, "/claims/access?who=" + url.QueryEscape(hostile): 2},
		"GET " + pathCouncil: {"/claims/council": 2},
		"GET " + pathMeeting: {"/claims/council/2": 2, "/claims/council/" + url.PathEscape(hostile): 0},
		"GET " + pathItem:    {"/claims/council/2/items/1": 2},
		"GET " + pathMinutes: {"/claims/minutes/2": 5},
		"GET " + pathDoc:     nil, // downloads
		"GET " + pathShown:   nil,
	}
	for pattern := range o.Routes() {
		if !strings.HasPrefix(pattern, http.MethodGet) {
			continue
		}
		addresses, known := pages[pattern]
		require.True(t, known, "%s: which of what people wrote does it show?", pattern)
		for path, times := range addresses {
			for _, lang := range []string{"en", "ko"} {
				separator := "?"
				if strings.Contains(path, "?") {
					separator = "&"
				}
				_, body := o.get(path + separator + "lang=" + lang)
				o.inert(path+" in "+lang, body, times)
			}
		}
	}
}

func closesOf(o *office, window string) time.Time {
	o.Helper()
	for _, w := range o.Programme.Windows {
		if w.Name == window {
			return w.Closes
		}
	}
	require.Fail(o, "no window "+window)
	return time.Time{}
}

// A form that is shown again, to be confirmed or because something in it is wrong, shows what was written as text.
func TestWhatIsSentIsTextWhereItIsShownAgain(t *testing.T) {
	o := newOffice(t, 20_000_000, 310_000, 310_000)
	o.check(0, claims.Review)
	o.check(1, claims.Flag, claims.Signal{Kind: claims.SamePhone, What: "x"})
	every := Staff{Name: "all", Duties: Duties(), Stops: true, Colleagues: []string{"kim"}}
	seq := strconv.Itoa(o.claim(0).Seq)
	fields := map[string][]url.Values{
		"POST " + pathMany: {
			{"claim": {id(1), hostile}, fieldAction: {string(claims.Clear)}, fieldWhy: {hostile}},
			{"claim": {id(1)}, fieldAction: {hostile}, fieldWhy: {hostile}},
		},
		"POST " + pathEnter: {told(7, "AAAAA-AAAAA"), told(7, hostile)},
		"POST " + pathDo: {
			{fieldAction: {"decline"}, fieldSeq: {seq}, fieldWhy: {hostile}, fieldReason: {string(claims.ReasonOther)}},
			{fieldAction: {"decline"}, fieldSeq: {seq}, fieldWhy: {hostile}, fieldReason: {hostile}},
			{fieldAction: {hostile}, fieldSeq: {seq}, fieldWhy: {hostile}},
			{fieldAction: {"approve"}, fieldSeq: {seq}, fieldWhy: {hostile}, fieldAmount: {hostile}},
			{fieldAction: {"approve"}, fieldSeq: {seq}, fieldWhy: {hostile}, fieldAmount: {"900000"}},
			{fieldAction: {string(store.HandOver)}, fieldSeq: {seq}, fieldWhy: {hostile}, fieldTo: {hostile}},
			{fieldAction: {string(claims.Ask)}, fieldSeq: {hostile}, fieldWhy: {hostile}},
			{fieldAction: {string(claims.Ask)}, fieldSeq: {"1"}, fieldWhy: {hostile}}, // it was changed meanwhile
		},
		"POST " + pathTime: {
			{fieldWindow: {"documents"}, fieldOld: {"2023-02-27T15:00:00Z"}, fieldUntil: {"2023-04-14T23:59:59"},
				fieldWhy: {hostile}},
			{fieldWindow: {hostile}, fieldOld: {hostile}, fieldUntil: {hostile}, fieldWhy: {hostile}},
		},
		"POST " + pathBudget: {
			{fieldDo: {doPropose}, fieldProposal: {"0"}, fieldOld: {"5000000000"}, fieldAmount: {hostile}, fieldWhy: {hostile}},
			{fieldDo: {hostile}, fieldProposal: {hostile}, fieldOld: {hostile}, fieldAmount: {"1"}, fieldWhy: {hostile}},
			{fieldDo: {doConfirmBudget}, fieldProposal: {"9"}, fieldWhy: {hostile}},
		},
		"POST " + pathStat: {{fieldProposed: {hostile}}, {fieldProposed: {"title: " + hostile}}},
		"POST " + pathStop: {
			{fieldWhy: {hostile}, fieldNext: {"1"}}, {fieldWhy: {hostile}, fieldUntil: {hostile}, fieldNext: {hostile}},
		},
		"POST " + pathGone: {{fieldWhy: {hostile}}},
		"POST " + pathShow: {{fieldDigest: {hostile}, fieldWhy: {hostile}}},
		"POST " + pathCouncil: {
			{fieldDo: {hostile}, fieldWhy: {hostile}},
			{fieldDo: {doJoin}, fieldName: {"x"}, fieldAffiliation: {hostile}, fieldWhy: {hostile}},
			{fieldDo: {doLeave}, fieldName: {hostile}, fieldWhy: {hostile}},
			{fieldDo: {doCall}, fieldAt: {hostile}, fieldWhy: {hostile}},
			{fieldDo: {doAttend}, fieldMeeting: {hostile}, fieldPresent: {hostile}, fieldChair: {hostile}, fieldWhy: {hostile}},
			{fieldDo: {doAgenda}, fieldMeeting: {"1"}, fieldClaim: {hostile}, fieldMotion: {hostile}, fieldAmount: {hostile},
				fieldWhy: {hostile}},
		},
		"POST " + pathVote: {
			{fieldMeeting: {"1"}, fieldItem: {"1"}, fieldDo: {hostile}, fieldChoice: {hostile}, fieldWhy: {hostile},
				fieldMember: {hostile}},
		},
		"POST " + pathWho:      {{fieldWhy: {hostile}}},
		"POST " + PathRedacted: {{fieldDigest: {hostile}}}, // and with a file below
	}
	entered := fields["POST "+pathEnter]
	for _, f := range []string{"representative", "business_name", "holder", "email"} {
		entered[0].Set(f, hostile)
	}
	entered[0].Set("email", strings.ReplaceAll(hostile, " ", "/")+"@example.com")
	for f := range entered[1] {
		entered[1].Set(f, hostile)
	}
	shown := 0
	for pattern := range o.Routes() {
		path, post := strings.CutPrefix(pattern, "POST ")
		if !post {
			continue
		}
		require.NotEmpty(t, fields[pattern], "%s: which fields has it?", pattern)
		for _, form := range fields[pattern] {
			for _, lang := range []string{"en", "ko"} {
				o.who = every
				_, body := o.post(strings.ReplaceAll(path, "{claim}", id(0))+"?lang="+lang, form)
				o.inert(pattern+" "+form.Encode(), body, 0)
				if strings.Contains(html.UnescapeString(body), hostile) {
					shown++
				}
			}
		}
	}
	require.GreaterOrEqual(t, shown, 20)
	_, body := o.upload(kim, hostile, hostile, hostile)
	o.inert("an upload", body, 0)
	o.proven()
}
