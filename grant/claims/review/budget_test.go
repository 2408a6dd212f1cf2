package review

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

// Another budget is proposed on the page by one person, and confirmed by another, after it was said once more what that means.
func TestABudgetIsAmendedOnThePage(t *testing.T) {
	o := newOffice(t, 100_000)
	o.who = kim
	_, body := o.get("/claims/budget")
	require.Contains(t, body, "5,000,000,000 won")
	require.NotContains(t, body, "do-propose", "a reviewer has no part in it")
	send := func(who Staff, want int, fields ...string) string {
		form := url.Values{}
		for i := 0; i < len(fields); i += 2 {
			form.Set(fields[i], fields[i+1])
		}
		o.who = who
		status, body := o.post("/claims/budget", form)
		require.Equal(t, want, status, body)
		return body
	}
	propose := []string{fieldDo, doPropose, fieldProposal, "0", fieldOld, "5000000000",
		fieldAmount, "6,000,000,000 원", fieldWhy, "decision 14"}
	require.Contains(t, send(kim, 409, propose...), "for the secretary to propose")
	require.Contains(t, send(oh, 409, append(propose, fieldWhy, " ")...), "say why")
	require.Contains(t, send(oh, 409, append(propose, fieldAmount, "much")...), "a number of won")
	require.Contains(t, send(oh, 409, append(propose, fieldAmount, "")...), "how much the budget is to be")
	require.Contains(t, send(oh, 409, append(propose, fieldOld, "1")...), "read it again")
	send(oh, 303, propose...)
	_, body = o.get("/claims/budget")
	require.Contains(t, body, "waits for another person")
	require.NotContains(t, body, "do-confirm", "not for who proposed it")
	b, err := o.Store.Budget(t.Context(), o.Programme)
	require.NoError(t, err)
	number := strconv.Itoa(b.Waiting().Number)
	require.Contains(t, send(oh, 409, append(propose, fieldAmount, "5500000000")...),
		"oh proposed another budget since you looked")
	confirm := []string{fieldDo, doConfirmBudget, fieldProposal, number, fieldWhy, "it is decision 14"}
	both := Staff{Name: "oh", Duties: []claims.Duty{claims.Secretary, claims.Approver}}
	require.Contains(t, send(both, 409, append(confirm, fieldSure, "yes")...), "another person confirms it")
	require.Contains(t, send(lee, 200, confirm...), "From then on payments go by this budget.")
	b, err = o.Store.Budget(t.Context(), o.Programme)
	require.NoError(t, err)
	require.EqualValues(t, 5_000_000_000, b.Now, "nothing has changed before it is confirmed")
	number = strconv.Itoa(b.Waiting().Number - 1)
	require.Contains(t, send(lee, 409, fieldDo, doConfirmBudget, fieldProposal, number, fieldWhy, "it is decision 14"),
		"does not wait for a second person", "before it is asked whether to confirm it")
	send(lee, 303, append(confirm, fieldSure, "yes")...)
	_, body = o.get("/claims/budget")
	require.Contains(t, body, "6,000,000,000 won")
	require.Contains(t, body, "lee (me): it is decision 14")
	_, body = o.get("/claims/statistics")
	require.Contains(t, body, "5,999,970,000 won", "what is left of the budget as it is now")
	send(lee, 409, append(confirm, fieldSure, "yes")...)
	for _, bad := range [][]string{
		{fieldDo, "fly", fieldProposal, "1", fieldWhy, "x"}, {fieldDo, doRejectBudget, fieldProposal, "x", fieldWhy, "x"},
		{fieldDo, doRejectBudget, fieldProposal, "99", fieldWhy, "x"},
	} {
		send(lee, 409, bad...)
	}
	o.proven()
}
