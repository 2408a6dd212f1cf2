package review

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
)

var seo = Staff{Name: "seo", Duties: []claims.Duty{claims.Privacy}}

// with is somebody with one duty.
func with(duty claims.Duty) Staff { return Staff{Name: string(duty), Duties: []claims.Duty{duty}} }

// No duty includes another, and an auditor has none.
func TestDutiesDoNotNest(t *testing.T) {
	o := newOffice(t, 20_000_000)
	o.check(0, claims.Review)
	only := map[string]claims.Duty{"/claims/access": claims.Privacy}
	for _, duty := range append(Duties(), "") {
		o.who = with(duty)
		if duty == "" {
			o.who = shin
		}
		for _, tr := range claims.Transitions() {
			may := false
			for _, by := range tr.By {
				may = may || by == duty
			}
			require.Equal(t, may, dutyFor(&tr, &o.who) != "", "%s: %s of a claim in state %s", duty, tr.Action, tr.From)
		}
		for path, whose := range only {
			status, _ := o.get(path)
			require.Equal(t, duty == whose, status == 200, "%s at %s", duty, path)
		}
		_, body := o.get("/claims/" + id(0))
		sees := duty == claims.Intake || duty == claims.Reviewer || duty == claims.Approver
		require.Equal(t, sees, strings.Contains(body, "person-why"), "%s: who the owner is", duty)
		require.Equal(t, duty == claims.Privacy, strings.Contains(body, `id="erase"`), "%s: erasing", duty)
		status, _ := o.post("/claims/"+id(0)+"/erase", url.Values{fieldWhy: {"x"}, fieldSure: {"yes"}})
		require.Equal(t, 409, status)
		_, body = o.get("/claims/freeze")
		require.NotContains(t, body, "do-freeze", "that is a right beside all duties")
		status, _ = o.post("/claims/freeze", url.Values{fieldWhy: {"x"}, fieldSure: {"yes"}})
		require.Equal(t, 409, status)
		_, body = o.get("/claims/windows")
		require.Equal(t, duty == claims.Secretary, strings.Contains(body, "extend-reports"), "%s: extending a window", duty)
	}
	require.NoError(t, o.Store.Frozen(t.Context(), o.Programme.Name))
	require.False(t, o.claim(0).Erased)
}

func TestAnOwnerIsErasedInTheDutyPrivacy(t *testing.T) {
	o := newOffice(t, 20_000_000)
	o.who = kim
	status, _ := o.post("/claims/"+id(0)+"/person", url.Values{fieldWhy: {"the owner called"}})
	require.Equal(t, 200, status)
	o.who = seo
	_, body := o.get("/claims/access")
	require.Contains(t, body, "the owner called")
	require.Contains(t, body, "kim")
	_, body = o.get("/claims/access?who=lee")
	require.NotContains(t, body, "the owner called")
	_, body = o.get("/claims/access?from=2022-10-21&through=2022-10-21&claim=" + id(0))
	require.Contains(t, body, "the owner called")
	_, body = o.get("/claims/access?through=2022-10-20")
	require.NotContains(t, body, "the owner called")
	status, _ = o.get("/claims/access?from=yesterday")
	require.Equal(t, 409, status)

	_, body = o.get("/claims/" + id(0))
	require.Contains(t, body, "when the claim has ended")
	why := url.Values{fieldWhy: {"the owner asked"}}
	require.NoError(t, o.Store.Commit(t.Context(), []store.Step{{Claim: o.claim(0), Action: claims.Withdraw,
		By: store.Owner}}, nil))
	status, _ = o.post("/claims/"+id(0)+"/erase", url.Values{})
	require.Equal(t, 409, status, "without a reason")
	status, body = o.post("/claims/"+id(0)+"/erase", why)
	require.Equal(t, 200, status)
	require.Contains(t, body, `id="sure"`)
	require.False(t, o.claim(0).Erased, "it is asked first")
	why.Set(fieldSure, "yes")
	status, _ = o.post("/claims/"+id(0)+"/erase", why)
	require.Equal(t, 303, status)
	require.True(t, o.claim(0).Erased)
	o.proven()
}

func TestDecisionsAreFrozenOnTheDesk(t *testing.T) {
	o := newOffice(t, 20_000_000)
	o.check(0, claims.Review)
	stops := lee
	stops.Stops = true
	o.who = stops
	_, body := o.get("/claims/freeze")
	require.Contains(t, body, "do-freeze")
	for name, form := range map[string]url.Values{
		"no reason": {}, "no time": {fieldWhy: {"x"}, fieldUntil: {"soon"}}, "over": {fieldWhy: {"x"},
			fieldUntil: {"2022-10-20T09:00"}},
		"a number": {fieldWhy: {"900101-1234567"}},
	} {
		status, _ := o.post("/claims/freeze", form)
		require.Equal(t, 409, status, name)
	}
	form := url.Values{fieldWhy: {"amounts come out <wrong>"}, fieldUntil: {"2022-10-23T09:00"}, fieldNext: {"1"}}
	status, body := o.post("/claims/freeze", form)
	require.Equal(t, 200, status)
	require.Contains(t, body, `id="sure"`)
	require.NoError(t, o.Store.Frozen(t.Context(), o.Programme.Name), "it is asked first")
	form.Set(fieldSure, "yes")
	status, _ = o.post("/claims/freeze", form)
	require.Equal(t, 303, status)
	status, body = o.do(stops, claims.Approve, fieldAmount, "900000")
	require.Equal(t, 409, status)
	require.Contains(t, body, "amounts come out &lt;wrong&gt;")
	require.Contains(t, body, "Go on with decisions", "whoever may end it finds where")
	_, body = o.get("/claims/freeze")
	require.Contains(t, body, `name="end"`)
	form = url.Values{fieldWhy: {"mended"}, fieldEnd: {"yes"}, fieldSure: {"yes"}, fieldNext: {"1"}}
	status, body = o.post("/claims/freeze", form)
	require.Equal(t, 409, status)
	require.Contains(t, body, "lee froze it since you looked", "an old page ends no freeze that it does not show")
	form.Set(fieldNext, "2")
	status, _ = o.post("/claims/freeze", form)
	require.Equal(t, 303, status)
	form.Set(fieldNext, "3")
	status, _ = o.post("/claims/freeze", form)
	require.Equal(t, 409, status, "nothing is frozen")
	_, body = o.get("/claims/freeze")
	require.Contains(t, body, "mended")
	require.Contains(t, body, "amounts come out")
	records, err := o.Store.Records(t.Context(), o.Programme.Name)
	require.NoError(t, err)
	require.Len(t, records, 2, "the chain has both")
	require.Equal(t, "mended", records[1].Change.Freeze.Why)
	status, _ = o.do(stops, claims.Approve, fieldAmount, "900000")
	require.Equal(t, 303, status)
	o.proven()
}

func TestAQueueIsFiltered(t *testing.T) {
	o := newOffice(t, 100_000, 400_000, 20_000_000, 20_000_000)
	o.check(0, claims.Flag, claims.Signal{Kind: claims.SameAccount, What: "x", Others: []string{id(1)}})
	o.check(1, claims.Flag, claims.Signal{Kind: claims.SamePhone, What: "x", Others: []string{id(0)}})
	o.check(2, claims.Flag, claims.Signal{Kind: claims.AbovePeers, What: "x"})
	o.now = o.now.Add(3 * 24 * time.Hour)
	for query, want := range map[string][]int{
		"":                               {0, 1, 2},
		"signal=same_account":            {0},
		"signal=same_phone":              {1},
		"least=400000":                   {1, 2},
		"most=400,000":                   {0, 1},
		"least=1&most=399999":            {0},
		"industry=retail":                {0, 1, 2},
		"industry=restaurants":           {},
		"from=2022-10-21":                {0, 1, 2},
		"from=2022-10-22":                {},
		"through=2022-10-21":             {0, 1, 2},
		"through=2022-10-20":             {},
		"days=2":                         {0, 1, 2},
		"days=4":                         {},
		"signal=same_phone&least=400001": {},
	} {
		status, body := o.get("/claims?queue=on_hold&" + query)
		require.Equal(t, 200, status, query)
		for i := range 3 {
			found := strings.Contains(body, "claims/"+id(i)+`"`)
			require.Equal(t, contains(want, i), found, "%s: %s", query, id(i))
		}
	}
	_, body := o.get("/claims?queue=on_hold&least=1&whose=nobody")
	require.Contains(t, body, `value="1"`, "what was asked for is shown")
	require.Contains(t, body, "least=1&amp;queue=on_hold&amp;whose=mine", "and kept")
	for _, query := range []string{"from=x", "through=2022-13-01", "days=-1", "days=x", "least=x", "signal=x"} {
		status, _ := o.get("/claims?queue=on_hold&" + query)
		require.Equal(t, 409, status, query)
	}
}

// A claim whose number were the name of a page could not be opened.
func TestNoPageHidesAClaim(t *testing.T) {
	for pattern := range (&Desk{}).Routes() {
		_, name, _ := strings.Cut(pattern, Path+"/")
		name, _, _ = strings.Cut(name, "/")
		if name != "" && name != "{claim}" {
			require.True(t, intake.Reserved(name), "add it to the pages of package intake: %s", name)
		}
	}
}
