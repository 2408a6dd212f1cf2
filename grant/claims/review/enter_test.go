package review

import (
	"html"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// han takes claims in, and would like to decide them, too.
var han = Staff{Name: "han", Duties: []claims.Duty{claims.Intake, claims.Reviewer, claims.Approver}}

// told is what an owner says.
func told(i int, number string) url.Values {
	return url.Values{
		fieldNumber: {number}, "business_number": {storetest.Number(i).String()}, "representative": {"김사장"},
		"opened": {"2020.3.1"}, "industry": {"restaurants"}, "outage_sales": {"1,000,000원"}, "week_sales_1": {"131만"},
		"alternative_available": {"no"}, "phone": {"010-1234-5678"}, fieldNotice: {"en"}, "bank": {"004"},
		"account": {"110-123-456789"},
	}
}

func readable(body string) string {
	return strings.Join(strings.Fields(html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " "))), " ")
}

// Staff enter a claim with the owner's questions, read the answers once more, and hand a receipt over; sending the form again is
// no second claim, and whoever entered it never decides it.
func TestStaffEnterAClaim(t *testing.T) {
	o := newOffice(t)
	counted := map[intake.Outcome]int{}
	o.Filed = func(channel string, c intake.Outcome) {
		require.Equal(t, intake.ChannelStaff, channel)
		counted[c]++
	}
	o.who = han
	status, body := o.get("/claims/enter")
	require.Equal(t, 200, status)
	number := between(t, body, `name="number" value="`, `"`)
	form := told(1, number)
	form.Set(fieldOnce, between(t, body, `name="once" value="`, `"`))
	status, body = o.post("/claims/enter", form)
	require.Equal(t, 200, status)
	for _, want := range []string{
		storetest.Number(1).String(), "1,310,000 won", "50,000 won", "Operating profit rate", "not given", "Language of notices",
	} {
		require.Contains(t, readable(body), want)
	}
	require.Contains(t, body, `name="week_sales_1" value="1310000"`)
	_, err := o.Store.Get(t.Context(), number)
	require.ErrorIs(t, err, store.ErrNotFound, "nothing is taken in before it was read out")

	changed := maps.Clone(form)
	changed.Set(fieldChange, "yes")
	_, body = o.post("/claims/enter", changed)
	require.Contains(t, body, `value="김사장"`)
	form.Set(fieldSure, "yes")
	status, body = o.post("/claims/enter", form)
	require.Equal(t, 200, status)
	code := between(t, body, `id="code">`, `<`)
	_, _, err = o.Store.Enter(t.Context(), number, code)
	require.NoError(t, err, "the owner comes in by what was handed over")
	_, body = o.post("/claims/enter", form)
	require.Contains(t, body, `id="code">`+code, "whoever taps twice sees what was given")
	twice := maps.Clone(form)
	twice.Del(fieldOnce)
	_, body = o.post("/claims/enter", twice)
	require.NotContains(t, body, `id="code"`)
	require.Contains(t, body, "granter claims code "+number)
	_, _, err = o.Store.Enter(t.Context(), number, code)
	require.NoError(t, err, "and does so when the receipt was loaded again")

	list, err := o.Store.Get(t.Context(), number)
	require.NoError(t, err)
	c := list[0]
	require.Equal(t, []string{"staff", "han"}, []string{c.Channel, c.EnteredBy})
	person, err := o.Store.Person(t.Context(), number)
	require.NoError(t, err)
	require.Equal(t, []string{"en", "김사장", "김사장"}, []string{person.Language, person.Business, person.Holder})
	require.Equal(t, map[intake.Outcome]int{intake.OutcomeTaken: 3}, counted)

	require.NoError(t, o.Store.Commit(t.Context(), []store.Step{{Claim: c, Action: claims.Check, By: store.Rules}}, nil))
	decision := url.Values{fieldAction: {"approve"}, fieldSeq: {"2"}, fieldAmount: {"50000"}, fieldWhy: {"x"}, fieldSure: {"yes"}}
	status, body = o.post("/claims/"+number+"/do", decision)
	require.Equal(t, 409, status)
	require.Contains(t, readable(body), "han")
	o.who = lee
	status, _ = o.post("/claims/"+number+"/do", decision)
	require.Equal(t, 303, status)
	o.proven()
}

func TestWhatIsWrongWithAnEnteredClaim(t *testing.T) {
	o := newOffice(t)
	o.who = han
	form := told(1, "ABCDE-FGHJK")
	for field, value := range map[string]string{
		"business_number": "120-81-47522", "phone": "x", "opened": "soon", "own_profit_rate": "101", "bank": "",
		"representative": "",
		"account":        "900101-1234567",
	} {
		form.Set(field, value)
	}
	status, body := o.post("/claims/enter", form)
	require.Equal(t, 422, status)
	for _, want := range []string{
		"Check the 10 digits", "Write the phone number", "Write the opening day", "as a percentage from 0 to 100",
		"Choose the bank",
		"Representative: please", "resident registration number. Remove it",
	} {
		require.Contains(t, readable(body), want)
	}
	require.Contains(t, body, `href="#f-account"`)

	form = told(1, "ABCDE-FGHJK")
	form.Set(fieldSure, "yes")
	status, _ = o.post("/claims/enter", form)
	require.Equal(t, 200, status)
	again := told(1, "OTHER-1")
	again.Set(fieldSure, "yes")
	status, body = o.post("/claims/enter", again)
	require.Equal(t, 422, status)
	require.Contains(t, readable(body), "The business has a claim already: ABCDE-FGHJK")
	page := told(2, "freeze")
	_, body = o.post("/claims/enter", page)
	require.Contains(t, readable(body), "name of a page of the review desk")

	o.now = time.Date(2022, 12, 1, 0, 0, 0, 0, time.UTC)
	status, body = o.post("/claims/enter", told(2, "LATER-1"))
	require.Equal(t, 422, status)
	require.Contains(t, readable(body), "Claims are not taken now. They are from 13 February 2023, 00:00 on.")
	for _, duty := range append(Duties(), "") {
		o.who = with(duty)
		want := 409
		if duty == claims.Intake {
			want = 200
		}
		status, body := o.get("/claims/enter")
		require.Equal(t, want, status, duty)
		if duty != claims.Intake {
			require.NotContains(t, body, `href="../claims/enter"`)
			status, _ = o.post("/claims/enter", told(3, "NOBODY-1"))
			require.Equal(t, 409, status, duty)
		}
	}
}
