package desk

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
)

const aUUID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"

// withUUIDs makes the desk serve a campaign of UUIDs, of which one is granted.
func withUUIDs(w *world) { withIDs(grant.IDsUUID, aUUID)(w) }

// withIDs makes the desk serve a campaign whose IDs are not dense, with one user.
func withIDs(ids grant.IDs, user string) func(w *world) {
	return func(w *world) { serveIDs(w, ids, user) }
}

func serveIDs(w *world, ids grant.IDs, user string, more ...grant.Item) {
	c := aCampaign()
	c.Items = append(c.Items, more...)
	c.Input = grant.Input{Topic: "users", IDs: ids, Format: grant.FormatText}
	w.cfg.Campaign = c
	w.serve(c)
	_, err := w.grants.Begin(w.Context(), grant.TopicID{})
	require.NoError(w, err)
	form := userid.FormOf(&c.Input)
	member, _ := form.Member(nil, []byte(user))
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	pool := opaque.New(opaque.Config{Config: sharding.Config{Shards: 1}, Layout: ledger.LayoutOf(c)}, w.grants,
		map[int]int64{0: 0})
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	lane := pool.Lane(0)
	require.NoError(w, lane.AddMember(ctx, 0, opaque.Hash(member), member))
	require.NoError(w, lane.Mark(ctx, 1, true))
	pool.Close()
	require.NoError(w, <-ended)
}

// A route about a campaign is not built for IDs that are not dense unless it says so, and refuses before it does anything.
func TestEveryOtherRouteRefusesIDsThatAreNotDense(t *testing.T) {
	w := newWorld(t, acting, withReceipts, withUUIDs)
	before := w.redis.Dump()
	for _, r := range slices.Concat(w.server.api.routes(), w.server.api.searchRoutes()) {
		if !strings.Contains(r.pattern, "{campaign}") || anyIDs[r.pattern] {
			continue
		}
		request := to(strings.NewReplacer("{id}", aUUID, "{act}", string(grant.ActNote), "{request}", "1").Replace(r.pattern))
		request.body = to(r.pattern).body
		request.token = w.tokens[RoleOperator]
		if strings.HasPrefix(r.pattern, "POST "+searchPath) {
			request.header = map[string]string{"Content-Type": formType}
		}
		if r.needs[0] == RightApprove || r.needs[0] == RightReceipt {
			request.token = w.tokens[roles[len(roles)-1]]
		}
		answer := w.ask(request)
		require.Equal(t, http.StatusConflict, answer.status, "%s: %s", r.pattern, answer.body)
		require.Contains(t, string(answer.body), "not possible yet for a campaign whose source.id is not dense", r.pattern)
	}
	require.Equal(t, before, w.redis.Dump())
	for pattern := range anyIDs {
		require.True(t, slices.ContainsFunc(slices.Concat(w.server.api.routes(), w.server.api.searchRoutes()),
			func(r route) bool { return r.pattern == pattern }), pattern)
	}
}

func TestUsersWithUUIDsAreFoundInAllSpellings(t *testing.T) {
	w := newWorld(t, withUUIDs)
	for _, text := range []string{aUUID, strings.ToUpper(aUUID), "%7B" + aUUID + "%7D", "urn:uuid:" + aUUID} {
		var a lookup.Answer
		w.get(RoleSupport, base+"/users/"+text).into(&a)
		require.True(t, a.Granted, text)
		require.Equal(t, aUUID, a.User.String())
		var all User
		w.get(RoleSupport, "/api/v1/users/"+text).into(&all)
		require.True(t, all.Answers[0].Granted, text)
		page := w.get(RoleSupport, searchPath+"/"+text)
		require.Equal(t, http.StatusOK, page.status)
		require.Contains(t, string(page.body), "thank-you", text)
	}
	require.Contains(t, w.get(RoleSupport, base+"/users/7").is(http.StatusBadRequest), "want a UUID")
	var none User
	w.get(RoleSupport, "/api/v1/users/7").into(&none)
	require.False(t, none.Answers[0].Granted)
	require.Equal(t, lookup.OutsidePopulation, none.Answers[0].Reasons[0].Code)
	require.Contains(t, none.Answers[0].Reasons[0].Says.EN, "its IDs are UUIDs")
	require.Contains(t, w.get(RoleOperator, "/api/v1/entitlements/7/cheer-up").is(http.StatusBadRequest), "want a UUID")
}
