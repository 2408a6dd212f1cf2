package desk

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/client"
	"github.com/granter/granter/grant/entitle"
)

// Users whose IDs are UUIDs or strings are checked as others are, in all their spellings, alone and in lists.
func TestServicesCheckUsersWhateverTheirIDsAre(t *testing.T) {
	w := newWorld(t, withUUIDs)
	for _, text := range []string{aUUID, strings.ToUpper(aUUID), "%7B" + aUUID + "%7D", "urn:uuid:" + aUUID} {
		var c Check
		w.get(RoleService, entitlements+text+"/cheer-up").into(&c)
		require.True(t, c.Active, text)
		require.Equal(t, aUUID, c.User.String())
		var held Holdings
		w.get(RoleService, entitlements+text).into(&held)
		require.Len(t, held.Entitlements, 3)
		require.Equal(t, aUUID, held.User.String())
	}
	require.Contains(t, w.get(RoleService, entitlements+"12/cheer-up").is(http.StatusBadRequest), "want a UUID")
	require.Contains(t, w.get(RoleService, entitlements+"12").is(http.StatusBadRequest), "want a UUID")
	const other = "6ba7b810-9dad-11d1-80b4-00c04fd430c9"
	list := w.checkList(kindLines, "/api/v1/checks/cheer-up", []byte(other+"\n"+strings.ToUpper(aUUID)+"\n"))
	list.is(http.StatusOK)
	require.Equal(t, "none\nactive\n", string(list.body))
	require.Contains(t, w.checkList(kindLines, "/api/v1/checks/cheer-up", []byte(other+"\n12\n")).is(http.StatusBadRequest),
		"line 2: user ID \"12\"")
	require.Contains(t, w.checkList(kindBinary, "/api/v1/checks/cheer-up", make([]byte, 16)).is(http.StatusBadRequest),
		"send lines")
}

func TestTheGoClientAsksAboutIDsOfAllKinds(t *testing.T) {
	const user = `민/지 "1"%2F`
	w := newWorld(t, withIDs(grant.IDsString, user))
	c, err := client.New(client.Config{URL: w.server.URL(), Token: w.tokens[RoleService], TLS: w.secure()})
	require.NoError(t, err)
	defer c.Close()
	check, err := c.Check(t.Context(), grant.TextID(user), "cheer-up")
	require.NoError(t, err)
	require.True(t, check.Active)
	require.Equal(t, user, check.User.String())
	held, err := c.Holdings(t.Context(), grant.TextID(user))
	require.NoError(t, err)
	require.Len(t, held.Entitlements, 3)
	states, err := c.CheckAll(t.Context(), "cheer-up", []grant.UserID{grant.NumberID(7), grant.TextID(user), grant.TextID("07")})
	require.NoError(t, err)
	require.Equal(t, []grant.State{entitle.StateNone, grant.StateActive, entitle.StateNone}, states)
	states, err = c.CheckAll(t.Context(), "cheer-up", grant.NumberIDs(7))
	require.NoError(t, err)
	require.Equal(t, []grant.State{entitle.StateNone}, states)
	_, err = c.CheckAll(t.Context(), "cheer-up", []grant.UserID{grant.TextID("a\nb")})
	require.ErrorContains(t, err, "ask about it alone")
	w.get(RoleService, entitlements+url.PathEscape("a\nb")+"/cheer-up").is(http.StatusOK)
}
