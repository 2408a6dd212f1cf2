package review

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

var oh = Staff{Name: "oh", Duties: []claims.Duty{claims.Secretary}}

func TestAWindowIsExtendedOnThePage(t *testing.T) {
	o := newOffice(t)
	status, body := o.get("/claims/windows")
	require.Equal(t, 200, status)
	require.Contains(t, body, "2023-02-27 23:59:59")
	require.NotContains(t, body, "Extend a window", "kim is no secretary")
	o.who = oh
	_, body = o.get("/claims/windows")
	require.Contains(t, body, `id="extend-documents"`)
	form := url.Values{
		fieldWindow: {"documents"}, fieldOld: {"2023-02-27T15:00:00Z"}, fieldUntil: {"2023-04-14T23:59:59"},
		fieldWhy: {"few have filed"},
	}
	status, body = o.post("/claims/windows", form)
	require.Equal(t, 200, status)
	require.Contains(t, body, "Please confirm")
	require.Contains(t, body, "2023-04-14 23:59:59")
	list, err := o.Store.Amendments(t.Context(), o.Programme.Name)
	require.NoError(t, err)
	require.Empty(t, list, "nothing is extended before it is confirmed")
	form.Set(fieldSure, "yes")
	status, _ = o.post("/claims/windows", form)
	require.Equal(t, 303, status)
	_, body = o.get("/claims/windows")
	require.Contains(t, body, "few have filed")
	require.Contains(t, body, "<td>2023-04-14 23:59:59</td>")

	status, body = o.post("/claims/windows", form)
	require.Equal(t, 409, status)
	require.Contains(t, body, "read it again", "somebody else was first")
	for field, wrong := range map[string]string{
		fieldUntil: "tomorrow", fieldOld: "x", fieldWhy: " ", fieldWindow: "none",
	} {
		bad := url.Values{
			fieldWindow: {"documents"}, fieldOld: {"2023-04-14T15:00:00Z"}, fieldUntil: {"2023-05-31T23:59:59"},
			fieldWhy: {"more"},
		}
		bad.Set(field, wrong)
		status, body = o.post("/claims/windows", bad)
		require.Equal(t, 409, status, field)
		require.Contains(t, body, `role="alert"`)
	}
	o.who = lee
	status, body = o.post("/claims/windows", form)
	require.Equal(t, 409, status)
	require.Contains(t, body, "by the secretary")
	o.proven()
}

func TestASecondLookIsAQueueOfItsOwn(t *testing.T) {
	o := newOffice(t)
	p, err := o.Store.Adopt(t.Context(),
		bytes.Replace(storetest.Source(t), []byte("second_look: 0%"), []byte("second_look: 100%"), 1))
	require.NoError(t, err)
	o.Programme = p
	_, err = o.Store.Receive(t.Context(), []store.Filing{storetest.Filing(p, 0, 20_000_000)}, nil)
	require.NoError(t, err)
	o.check(0, claims.Review)
	status, _ := o.do(lee, claims.Approve, fieldAmount, "900000")
	require.Equal(t, 303, status)
	_, body := o.get("/claims?queue=second_look")
	require.Contains(t, body, id(0))
	require.NotContains(t, body, `type="checkbox"`, "each is looked at by itself")
	_, body = o.get("/claims?queue=payment")
	require.NotContains(t, body, id(0))
	status, body = o.do(lee, claims.Confirm)
	require.Equal(t, 409, status)
	require.Contains(t, body, "somebody else")
	_, body = o.get("/claims/" + id(0))
	require.Contains(t, body, `id="do-confirm"`)
	status, _ = o.do(kim, claims.Confirm, fieldWhy, " ")
	require.Equal(t, 409, status)
	status, _ = o.do(kim, claims.Confirm)
	require.Equal(t, 303, status)
	require.Equal(t, claims.Approved, o.claim(0).State)
	o.proven()
}

func TestACaseIsHandedOverToAColleague(t *testing.T) {
	o := newOffice(t, 20_000_000, 20_000_000)
	for i := range 2 {
		o.check(i, claims.Review)
	}
	kim := kim
	kim.Colleagues = []string{"kim", "lee"}
	status, body := o.do(kim, store.HandOver, fieldTo, "nobody")
	require.Equal(t, 409, status)
	require.Contains(t, body, "is nobody with a duty here: possible are kim, lee")
	status, body = o.do(kim, store.HandOver, fieldTo, "lee", fieldWhy, " ")
	require.Equal(t, 409, status)
	require.Contains(t, body, "say why")
	status, body = o.do(shin, store.HandOver, fieldTo, "lee")
	require.Equal(t, 409, status)
	require.Contains(t, body, "has no duty")
	status, _ = o.do(kim, store.HandOver, fieldTo, "lee", fieldWhy, "I am away until Monday")
	require.Equal(t, 303, status)
	require.Equal(t, "lee", o.claim(0).Assigned)
	require.Equal(t, claims.InReview, o.claim(0).State)
	status, body = o.do(kim, store.HandOver, fieldTo, "lee")
	require.Equal(t, 409, status)
	require.Contains(t, body, "sees to it already")

	_, body = o.get("/claims/" + id(0))
	require.Contains(t, body, "I am away until Monday")
	require.Contains(t, body, "Hand over to a colleague → lee")
	_, body = o.get("/claims?queue=in_review&whose=nobody")
	require.Contains(t, body, id(1))
	require.NotContains(t, body, id(0))
	o.who = lee
	_, body = o.get("/claims?queue=in_review&whose=mine")
	require.Contains(t, body, id(0))
	require.Contains(t, body, "<td>lee (me)</td>")
	require.NotContains(t, body, id(1))
	status, _ = o.get("/claims?whose=x")
	require.Equal(t, 409, status)

	sso := kim
	sso.Others = true
	status, _ = o.do(sso, store.HandOver, fieldTo, "박심사 (77 at https://login.example)")
	require.Equal(t, 303, status, "who signs in with the organisation is known when he comes")
	status, _ = o.do(kim, claims.Ask, fieldWhy, "which till?")
	require.Equal(t, 303, status, "who passed it on may go on with it")
	o.proven()
}

func TestAFreezeIsSaidOnEveryPage(t *testing.T) {
	o := newOffice(t, 20_000_000, 310_000)
	o.check(0, claims.Review)
	o.check(1, claims.Flag, claims.Signal{Kind: claims.AbovePeers, What: "ten times"})
	o.who = Staff{Name: "lee", Duties: []claims.Duty{claims.Approver, claims.Reviewer, claims.Secretary}}
	pages := []string{"/claims", "/claims?queue=done", "/claims/" + id(0), "/claims/" + id(1), "/claims/windows", "/claims/none"}
	for _, page := range pages {
		_, body := o.get(page)
		require.NotContains(t, body, `id="frozen"`)
	}
	_, err := o.Store.SetFreeze(t.Context(), o.Programme.Name, store.Freeze{Who: "oh", Why: "two rules disagree", Frozen: true})
	require.NoError(t, err)
	for _, page := range pages {
		_, body := o.get(page)
		require.Contains(t, body, "oh stopped it on 21 October 2022")
		require.Contains(t, body, "two rules disagree")
		require.Contains(t, body, "until somebody ends that")
	}
	_, body := o.get("/claims/" + id(0))
	form := between(t, body, `id="do-approve"`, "</form>")
	require.Contains(t, form, `disabled aria-describedby="frozen"`)
	require.Contains(t, form, "Frozen now: two rules disagree")
	require.NotContains(t, between(t, body, `id="do-ask"`, "</form>"), "disabled")
	status, _ := o.do(o.who, claims.Ask)
	require.Equal(t, 303, status, "owners are still asked")
	_, err = o.Store.SetFreeze(t.Context(), o.Programme.Name, store.Freeze{Who: "oh", Why: "they agree"})
	require.NoError(t, err)
	_, body = o.get("/claims")
	require.NotContains(t, body, `id="frozen"`)
}

func TestStatisticsAndWhatOtherRulesWouldCost(t *testing.T) {
	o := newOffice(t)
	o.who = shin // whoever sees claims sees them
	status, body := o.get("/claims/statistics")
	require.Equal(t, 200, status)
	require.Contains(t, body, "No claim has a loss yet.")
	status, csv := o.get("/claims/statistics?format=csv")
	require.Equal(t, 200, status)
	require.Equal(t, "kind,programme,name,claims,won\n", csv, "an empty table")
	for i, loss := range []claims.Won{100_000, 310_000, 320_000, 20_000_000, 0} {
		_, err := o.Store.Receive(t.Context(), []store.Filing{storetest.Filing(o.Programme, i, loss)}, nil)
		require.NoError(t, err)
	}
	_, body = o.get("/claims/statistics")
	require.Contains(t, body, "<dt>Median</dt><dd>310,000 won</dd>")
	require.Contains(t, body, "<dt>With a loss</dt><dd>4</dd>")
	require.Contains(t, body, "from 200,000 won, below 500,000 won")
	require.Contains(t, body, "Left of the budget")
	require.Contains(t, body, "Tier 2 · from 300,000 won and below 500,000 won")
	require.NotContains(t, body, "Would get more")
	status, csv = o.get("/claims/statistics?format=csv")
	require.Equal(t, 200, status)
	require.Contains(t, csv, "quantile,,p50,,310000")
	require.Contains(t, csv, "losses,,all,4,20730000")

	source := string(storetest.Source(t))
	propose := func(old, proposed string) (int, string) {
		return o.post("/claims/statistics", url.Values{fieldProposed: {strings.Replace(source, old, proposed, 1)}})
	}
	status, body = propose("pay: 50000", "pay: 80000")
	require.Equal(t, 200, status)
	require.Contains(t, body, "<dt>Would get more</dt><dd>2 · 60,000 won</dd>")
	require.Contains(t, body, "What the proposed rules would cost")
	_, csv = o.post("/claims/statistics", url.Values{fieldProposed: {source}, fieldFormat: {"csv"}})
	require.Contains(t, csv, "change,proposed,same,4,0")
	status, body = propose("budget: 5000000000", "budget: 1")
	require.Equal(t, 200, status)
	require.Contains(t, body, "The budget does not suffice")
	status, body = o.post("/claims/statistics", url.Values{fieldProposed: {"tiers: <b>"}})
	require.Equal(t, 409, status)
	require.Contains(t, body, "proposal:")
	require.NotContains(t, body, "<b>")
	p, err := o.Store.Programme(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, o.Programme.Hash, p.Hash, "nothing is changed")
}
