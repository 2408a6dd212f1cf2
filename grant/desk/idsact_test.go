package desk

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
)

func (w *world) userOf(id string) ledger.User {
	w.Helper()
	found, err := w.reader.Users(w.Context(), []grant.UserID{grant.TextID(id)})
	require.NoError(w, err)
	return found[0]
}

// What is done about a user whose ID is a UUID is done by the API in any of its spellings, and proposals are decided.
func TestUsersWithUUIDsAreActedUpon(t *testing.T) {
	const other = "0190163d-8694-739b-aea5-966c26f8ad91"
	w := newWorld(t, acting, withUUIDs)
	var r acts.Report
	revoked := w.act(RoleOperator, `{"act":"revoke","users":["urn:uuid:`+strings.ToUpper(aUUID)+`","`+other+
		`"],"reason":"티켓 5","revocation":"request"}`)
	revoked.is(http.StatusOK)
	revoked.into(&r)
	require.Equal(t, []acts.Status{acts.Done, acts.Refused}, []acts.Status{r.Results[0].Status, r.Results[1].Status})
	require.Equal(t, aUUID, r.Results[0].User.String())
	require.NotNil(t, w.userOf(aUUID).State.Revoked)
	w.act(RoleOperator, `{"act":"reinstate","users":["`+aUUID+`"],"reason":"x"}`).is(http.StatusOK)
	w.act(RoleOperator, `{"act":"move","users":["`+aUUID+`"],"to":"{`+other+`}","reason":"x"}`).into(&r)
	require.Equal(t, acts.Success, r.Overall, r.Results)
	require.Equal(t, grant.PlaceGranted, w.userOf(other).Place)
	var a lookup.Answer
	w.get(RoleSupport, base+"/users/"+aUUID).into(&a)
	require.Contains(t, a.Reasons[0].Says.EN, "The grant was moved to the account "+other)
	require.Contains(t, w.act(RoleOperator, `{"act":"note","users":["7"],"reason":"x"}`).is(http.StatusBadRequest), "want a UUID")

	third := strings.Replace(other, "1", "2", 1)
	w.act(RoleOperator, `{"act":"exclude","users":["`+third+`"],"reason":"x","propose":true}`).into(&r)
	require.Equal(t, acts.Proposed, r.Overall)
	var list waiting
	w.get(RoleOperator, base+"/acts").into(&list)
	require.Len(t, list.Proposals, 1)
	decision := w.ask(request{
		method: http.MethodPost, path: base + "/acts/" + r.Request, token: w.tokens[roleEraser],
		body: `{"decision":"approve","reason":"right"}`,
	})
	decision.is(http.StatusOK)
	require.Equal(t, grant.PlaceExcluded, w.userOf(third).Place)
	proof, err := w.reader.Prove(t.Context())
	require.NoError(t, err)
	require.True(t, proof.Holds(), "%+v", proof)
}

// The page does it without a script, for an ID of any bytes; and a list of such.
func TestUsersWithIDsOfAnyBytesAreActedUponOnThePage(t *testing.T) {
	const user = "민지 1/2?#&"
	w := newWorld(t, acting, withIDs(grant.IDsString, user))
	b := w.signedIn(w.tokens[RoleOperator])
	path := "/users/" + url.PathEscape(user)
	page := b.form(path)
	page.isPage(http.StatusOK)
	link := "../users/" + strings.ReplaceAll(url.PathEscape(user), "&", "&amp;") + "/acts/sorry-2022/revoke"
	require.Contains(t, string(page.body), `href="`+link+`"`)
	path += "/acts/sorry-2022/revoke"
	fields := carried(b.form(path))
	fields.Set("reason", "x")
	fields.Set("revocation", "fraud")
	confirmed := carried(b.send(path, fields))
	require.Nil(t, w.userOf(user).State.Revoked)
	done := b.send(path, confirmed)
	done.is(http.StatusSeeOther)
	require.Contains(t, done.header.Get("Location"), "users/"+url.PathEscape(user)+"?act=revoke&did=")
	require.Equal(t, "a-operator", w.userOf(user).State.Revoked.Who)
	after := b.form("/users/" + url.PathEscape(user) + "?act=revoke&did=" + confirmed.Get("request"))
	require.Contains(t, readable(after.body), "Done: Revoke.")

	require.Contains(t, string(b.form("/users/lists").body), `href="../users/lists/acts/sorry-2022/exclude"`)
	out := "/users/lists/acts/sorry-2022/exclude"
	listed := b.upload(out, "user\nAda\n"+user+"\n", url.Values{"reason": {"bots"}})
	listed.isPage(http.StatusOK)
	sealed := carried(listed)
	sent := b.send(out, sealed)
	sent.isPage(http.StatusOK)
	require.Contains(t, readable(sent.body), "PARTIAL: 1 rows done")
	require.Equal(t, grant.PlaceExcluded, w.userOf("Ada").Place)
}
