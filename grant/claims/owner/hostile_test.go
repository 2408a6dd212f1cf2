package owner

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/questions"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// hostile would be an element of the page, behind an attribute or a text, if anything took it for more than text.
const hostile = `"'><x-evil onload=alert(1)>`

// inert requires that a page shows what is hostile as text, and so often at least.
func (b *browser) inert(times int) {
	b.t.Helper()
	require.NotContains(b.t, b.page, "<x-evil", "%d %s", b.status, b.path)
	require.GreaterOrEqual(b.t, strings.Count(b.page, "&gt;&lt;x-evil"), times, "%d %s\n%s", b.status, b.path, b.page)
}

// Whatever is written into a field is text on each page that shows it: where it is refused, where it is checked, on the page of
// the claim, and in what staff say.
func TestWhatIsWrittenIntoAnyFieldIsText(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	b.get("/").post("/start")
	good := map[string]string{
		"business_number": storetest.Number(1).String(), "opened": "2020-03-01", "industry": "restaurants",
		"outage_sales": "1000000", "week_sales_1": "11000000", "alternative_available": "no", "own_profit_rate": "12.5",
		"phone": "010-1234-5678", "bank": "004", "account": "110-123-456789",
	}
	for { // page by page, with nothing but that in all fields, and then with as much of it as is taken
		if !strings.HasPrefix(b.path, "/claim/question/") {
			break
		}
		path := b.path
		var fields []questions.Field
		asked := questions.Asked{Programme: w.site.Programme, All: true, Answers: map[string]string{}}
		for _, topic := range asked.Topics() {
			if strings.HasSuffix(path, "/"+topic.Name) {
				fields = topic.Fields
			}
		}
		require.NotEmpty(t, fields, path)
		var all, kept []string
		for _, f := range fields {
			all = append(all, f.Name, hostile)
			value, fixed := good[f.Name]
			switch {
			case f.Kind == questions.Mail:
				value = strings.ReplaceAll(hostile, " ", "/") + "@example.com"
			case !fixed:
				value = hostile
			}
			kept = append(kept, f.Name, value)
		}
		b.post(path, all...)
		require.NotContains(t, b.page, "<x-evil", path)
		b.post(path, kept...)
		require.NotEqual(t, path, b.path, b.page)
	}
	require.Equal(t, "/claim/check", b.path)
	b.inert(4) // representative, business, e-mail, holder
	b.get("/claim/question/registration").inert(2)
	b.get("/claim/question/contact").inert(1)
	b.get("/claim/question/account").inert(1)
	b.get("/claim/check").post("/claim/check").inert(0)
	number := numberIn.FindStringSubmatch(b.page)[1]
	b.get("/claim").inert(3) // business and representative, e-mail, holder
	for i, path := range []string{"/claim/documents", "/claim/account", "/claim/withdraw", "/claim/code"} {
		b.get(path).inert(0)
		require.Equal(t, http.StatusOK, b.status, i)
	}
	b.post("/claim/account", "bank", hostile, "account", hostile, "holder", hostile).inert(1)
	b.get("/claim/account").post("/claim/account", "bank", "088", "account", "110-999-888777", "holder", hostile).inert(1)

	lee := store.Actor{Name: "lee", Duty: claims.Approver}
	kim := store.Actor{Name: "kim", Duty: claims.Reviewer}
	step := func(action claims.Action, by store.Actor, change store.Change) {
		require.NoError(t, w.store.Commit(t.Context(), []store.Step{
			{Claim: w.load(number), Action: action, By: by, Reason: hostile, Change: change},
		}, nil))
	}
	step(claims.Check, store.Rules, store.Change{})
	step(claims.Ask, kim, store.Change{})
	b.get("/claim").inert(3)
	b.shows(hostile, "추가 확인 필요")
	b.upload(hostile, hostile+".pdf", []byte(pdf)).inert(0)
	b.upload("other", hostile+".exe", []byte(pdf)).inert(0)
	b.get("/claim").post("/claim/reply", "text", hostile).inert(3)
	a, err := w.site.Programme.Assess(&w.load(number).Facts)
	require.NoError(t, err)
	proposal := w.site.Programme.Propose(&w.load(number).Facts, &a)
	step(claims.Decline, lee, store.Change{Declined: claims.ReasonOther, Assessment: &a, Proposal: &proposal})
	b.get("/claim").inert(3)
	b.shows("지급하지 않음", hostile)
	b.get("/claim/objection").post("/claim/objection", "text", strings.Repeat(hostile, 4000/len(hostile)+1)).inert(1)
	require.Equal(t, http.StatusUnprocessableEntity, b.status)
	b.post("/claim/objection", "text", hostile).inert(3)

	for _, path := range []string{
		"/enter/%s/%s", "/claim?done=%s&x=%s", "/claim/question/%s?back=%s", "/claim/documents/%s?%s",
		"/claim?lang=%s%s", "/%s/%s",
	} {
		evil := strings.NewReplacer(`"`, "%22", "'", "%27", ">", "%3E", "<", "%3C", " ", "%20").Replace(hostile)
		b.get(fmt.Sprintf(path, evil, evil)).inert(0)
	}
	b.get("/enter").post("/enter", "number", hostile, "code", hostile).inert(1)
	w.sound()
}
