package review

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

var (
	formOf   = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">?(.*?)</form>`)
	hiddenOf = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// formIn is a form of a page, with its hidden fields, and where it is sent: the one that has some text.
func (o *office) formIn(body, has string) (string, url.Values) {
	o.Helper()
	for _, form := range formOf.FindAllStringSubmatch(body, -1) {
		if !strings.Contains(form[2], has) {
			continue
		}
		fields := url.Values{}
		for _, f := range hiddenOf.FindAllStringSubmatch(form[2], -1) {
			fields.Add(f[1], html.UnescapeString(f[2]))
		}
		return "/" + strings.TrimLeft(form[1], "./"), fields
	}
	require.Failf(o, "no such form", "%s in %s", has, body)
	return "", nil
}

// answer is what a browser shows for a form.
type answer struct {
	status   int
	location string
	body     string
}

func (o *office) sends(who Staff, path string, form url.Values) answer {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return o.sendsRequest(who, r)
}

func (o *office) sendsRequest(who Staff, r *http.Request) answer {
	r.Header.Set("Accept-Language", "en")
	w := httptest.NewRecorder()
	_, pattern := o.mux.Handler(r)
	o.sent.Store(pattern, true)
	o.Routes()[pattern](w, withPath(r, pattern), who)
	return answer{w.Code, w.Header().Get("Location"), w.Body.String()}
}

// withPath sets what the pattern of a route has in its path.
func withPath(r *http.Request, pattern string) *http.Request {
	_, route, _ := strings.Cut(pattern, " ")
	r.Pattern = pattern
	is := strings.Split(r.URL.Path, "/")
	for i, part := range strings.Split(route, "/") {
		if strings.HasPrefix(part, "{") {
			r.SetPathValue(strings.Trim(part, "{}"), is[i])
		}
	}
	return r
}

// entries is how much has been done so far.
func (o *office) entries() (n int) {
	o.Helper()
	proof, err := o.Store.Prove(o.Context(), nil)
	require.NoError(o, err)
	require.Empty(o, proof.Wrong)
	return proof.Entries + proof.Records
}

var askedOnceMore = []string{
	"do-freeze", "extend-documents", "do-confirm", "do-count", "do-approve", "do-decline", "do-erase",
}

// twice sends a form of a page as a button does that is tapped twice, and again when it was answered, as who goes back does.
// What has to be confirmed is confirmed. Each answer is the first one's.
func (o *office) twice(who Staff, page, has string, fields ...string) {
	o.Helper()
	o.who = who
	_, body := o.get(page)
	path, form := o.formIn(body, has)
	for n := 0; n < len(fields); n += 2 {
		form[fields[n]] = append(form[fields[n]], fields[n+1])
	}
	if slices.Contains(askedOnceMore, strings.TrimSuffix(strings.TrimPrefix(has, `id="`), `"`)) {
		first := o.sends(who, path, form)
		path, form = o.formIn(first.body, `id="sure"`)
	}
	after := o.entries() + 1
	if has == `id="council-agenda"` {
		after++ // a record, and an entry of the claim
	}
	answers := make([]answer, 2)
	var both sync.WaitGroup
	for i := range answers {
		both.Go(func() { answers[i] = o.sends(who, path, form) })
	}
	both.Wait()
	require.Equal(o, after, o.entries(), "%s %s: done once", page, has)
	require.Equal(o, answers[0].status, answers[1].status, answers[1].body)
	last := o.sends(who, path, form)
	require.Equal(o, after, o.entries(), "%s %v: done twice", path, form)
	require.Equal(o, []int{303, 303}, []int{answers[0].status, last.status}, last.body)
}

// Whatever form of the desk comes twice is done once, and its sender is not told that it failed.
func TestAFormOfTheDeskThatComesTwiceIsDoneOnce(t *testing.T) {
	o := assembled(t)
	one := "/claims/" + id(0)
	o.twice(kim, one, `id="do-note"`, fieldWhy, "called")
	o.twice(kim, one, `id="do-note"`, fieldWhy, "called") // of another page: they called again
	require.Equal(t, 2, strings.Count(o.page(kim, one), "<td>called</td>"))
	o.twice(kim, one, `id="do-flag"`, fieldWhy, "the same phone")
	o.twice(kim, one, `id="do-clear"`, fieldWhy, "two shops")
	o.twice(kim, one, `id="do-ask"`, fieldWhy, "Which weeks?")
	o.twice(kim, "/claims/"+id(1), `id="do-refer"`, fieldWhy, "the loss is large")

	stops := lee
	stops.Stops = true
	o.twice(stops, "/claims/freeze", `id="do-freeze"`, fieldWhy, "sums", fieldUntil, "2023-10-23T09:00")
	o.twice(stops, "/claims/freeze", `id="do-freeze"`, fieldWhy, "mended")
	o.twice(stops, "/claims/freeze", `id="do-freeze"`, fieldWhy, "sums", fieldUntil, "2023-10-23T09:00")
	require.Error(t, o.Store.Frozen(t.Context(), o.Programme.Name), "the same words later are another freeze")
	o.twice(stops, "/claims/freeze", `id="do-freeze"`, fieldWhy, "mended")

	o.twice(oh, "/claims/windows", `id="extend-documents"`, fieldWhy, "few", fieldUntil, "2023-04-14T23:59:59")
	o.twice(oh, "/claims/budget", `id="do-propose"`, fieldWhy, "few", fieldAmount, "6,000,000,000")
	o.twice(lee, "/claims/budget", `id="do-reject"`, fieldWhy, "more")
	o.twice(oh, "/claims/budget", `id="do-propose"`, fieldWhy, "few", fieldAmount, "7,000,000,000")
	o.twice(lee, "/claims/budget", `id="do-confirm"`, fieldWhy, "yes")

	o.twice(oh, "/claims/council", `id="council-join"`, fieldWhy, "x", fieldName, "gong", fieldAffiliation, "academia")
	o.twice(oh, "/claims/council", `id="council-call"`, fieldWhy, "x", fieldAt, "2023-03-03T14:00", fieldPlace, "4층")
	all, err := o.Store.Council(t.Context(), o.Programme.Name)
	require.NoError(t, err)
	require.Len(t, all.Meetings, 2, "and the one before")
	meeting := "/claims/council/1"
	o.twice(oh, meeting, `id="council-attend"`, fieldWhy, "x", fieldChair, "han", fieldPresent, "cho", fieldPresent, "han",
		fieldPresent, "min", fieldPresent, "seo", fieldPresent, "yoon", fieldPresent, "gong")
	o.twice(oh, meeting, `id="council-agenda"`, fieldWhy, "x", fieldClaim, id(1), fieldMotion, "approve", fieldAmount, "900000")
	item := meeting + "/items/1"
	o.twice(member("yoon"), item, `id="do-recuse"`, fieldWhy, "a cousin")
	for _, name := range []string{"cho", "han", "min"} {
		o.twice(member(name), item, `id="do-vote"`, fieldChoice, "for")
	}
	o.twice(oh, item, `id="do-count"`)
	require.Equal(t, claims.Approved, o.claim(1).State)
	o.twice(oh, meeting, `id="council-close"`, fieldWhy, "x")
	o.twice(oh, "/claims/council", `id="council-leave"`, fieldWhy, "x", fieldName, "gong")

	for i := range 3 {
		_, err := o.Store.Receive(t.Context(), []store.Filing{storetest.Filing(o.Programme, 2+i, 20_000_000)}, nil)
		require.NoError(t, err)
		o.check(2+i, claims.Review)
	}
	kim := kim
	kim.Colleagues = []string{"kim", "lee"}
	o.twice(kim, "/claims/"+id(2), `id="do-hand_over"`, fieldWhy, "I am away", fieldTo, "lee")
	o.twice(lee, "/claims/"+id(2), `id="do-approve"`, fieldWhy, "shown", fieldAmount, "900000")
	o.twice(lee, "/claims/"+id(3), `id="do-decline"`, fieldWhy, "not shown", fieldReason, "other")
	o.twice(Staff{Name: "seo", Duties: []claims.Duty{claims.Privacy}}, "/claims/"+id(3), `id="do-erase"`, fieldWhy, "asked")
	sent := documents.Sent{Kind: "other", Name: "a.pdf", Body: strings.NewReader(onePDF), By: store.Owner}
	_, err = o.Documents.Add(t.Context(), o.claim(4), sent)
	require.NoError(t, err)
	o.twice(kim, "/claims/"+id(4), `id="show-`, fieldWhy, "nothing to hide")

	elsewhere := map[string]string{
		"POST " + pathMany: "TestSeveralAreDoneAsTheyWereShown", "POST " + pathEnter: "TestStaffEnterAClaim",
		"POST " + PathRedacted: "TestAnUploadThatComesTwiceIsTakenOnce",
		"POST " + pathWho:      "only shows, and who looks twice has looked twice", "POST " + pathStat: "only computes",
	}
	for pattern := range o.Routes() {
		if _, done := o.sent.Load(pattern); !done && strings.HasPrefix(pattern, "POST ") {
			require.NotEmpty(t, elsewhere[pattern], "%s comes twice in no test", pattern)
		}
	}
}

func (o *office) page(who Staff, path string) string {
	o.Helper()
	o.who = who
	status, body := o.get(path)
	require.Equal(o, 200, status)
	return body
}

// Whoever looked at a document or at who the owner is, or noted something, can still decide; whoever did not see what others did
// cannot, and keeps what they wrote.
func TestWhoLooksIsInNobodysWay(t *testing.T) {
	o := newOffice(t, 20_000_000)
	o.check(0, claims.Review)
	one := "/claims/" + id(0)
	path, form := o.formIn(o.page(kim, one), `id="do-ask"`)
	form.Set(fieldWhy, "Which weeks?")
	require.Equal(t, 200, o.sends(kim, one+"/person", url.Values{fieldWhy: {"to call"}}).status)
	require.Equal(t, 200, o.sends(lee, one+"/person", url.Values{fieldWhy: {"to call"}}).status)
	note, noted := o.formIn(o.page(kim, one), `id="do-note"`)
	noted.Set(fieldWhy, "nobody answers")
	require.Equal(t, 303, o.sends(kim, note, noted).status)
	old := o.page(lee, one)
	require.Equal(t, 303, o.sends(kim, path, form).status)
	require.Equal(t, claims.Asked, o.claim(0).State)

	path, form = o.formIn(old, `id="do-hand_over"`)
	form.Set(fieldWhy, "you know <them>")
	form.Set(fieldTo, "kim")
	got := o.sends(lee, path, form)
	require.Equal(t, 409, got.status)
	require.Contains(t, got.body, "kim was first")
	require.Contains(t, got.body, "you know &lt;them&gt;", "what was written is there to be sent again")
	o.proven()
}

// What is done with several claims is what was shown: one that somebody else changed meanwhile is left as it is.
func TestSeveralAreDoneAsTheyWereShown(t *testing.T) {
	o := newOffice(t, 310_000, 310_000)
	for i := range 2 {
		o.check(i, claims.Flag)
	}
	shown := o.sends(kim, "/claims/many", url.Values{
		"claim": {id(0), id(1)}, fieldAction: {string(claims.Clear)}, fieldWhy: {"two shops"},
	})
	path, form := o.formIn(shown.body, `id="sure"`)
	require.Equal(t, 303, o.sends(lee, "/claims/"+id(1)+"/do", url.Values{
		fieldAction: {string(store.Note)}, fieldWhy: {"they are not"}, fieldSeq: {"3"},
	}).status)
	got := o.sends(kim, path, form)
	require.Contains(t, got.body, "Result: PARTIAL")
	require.Contains(t, got.body, "lee was first, with “Note”")
	require.Equal(t, claims.OnHold, o.claim(1).State)
	again := o.sends(kim, path, form)
	require.Contains(t, again.body, "Result: PARTIAL")
	require.Contains(t, again.body, "done already")
}

func TestAnUploadThatComesTwiceIsTakenOnce(t *testing.T) {
	o := assembled(t)
	o.who = kim
	_, page := o.get("/claims/" + id(0))
	require.Contains(t, page, `accept="`+documents.Accept+`"`, "whatever owners may send")
	_, form := o.formIn(page, "redact-")
	send := func(content string) answer { return o.sendsRequest(kim, o.uploading(form, "r.pdf", content)) }
	redacted := strings.Replace(onePDF, "<< >>", "<<  >>", 1)
	both := make([]*http.Request, 2)
	for i := range both {
		both[i] = o.uploading(form, "r.pdf", redacted)
	}
	var tapped sync.WaitGroup
	var answers [2]answer
	for i, r := range both {
		tapped.Go(func() { answers[i] = o.sendsRequest(kim, r) })
	}
	tapped.Wait()
	before := o.claim(0)
	for _, a := range append(answers[:], send(redacted)) {
		require.Equal(t, 303, a.status, a.body)
	}
	require.Equal(t, before.Seq, o.claim(0).Seq)
	require.Equal(t, 303, send(strings.Replace(onePDF, "<< >>", "<<   >>", 1)).status, "another file of the same page")
	require.Greater(t, o.claim(0).Seq, before.Seq)
}
