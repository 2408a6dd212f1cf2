package desk

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/client"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/ratelimit"
)

// check asks whether a user holds an item, as a service.
func (w *world) check(path string) Check {
	w.Helper()
	answer := w.get(RoleService, entitlements+path)
	answer.is(http.StatusOK)
	var c Check
	answer.into(&c)
	require.Equal(w, string(c.Basis), answer.header.Get(basisHeader))
	require.Equal(w, "no-store", answer.header.Get("Cache-Control"))
	return c
}

func TestServicesCheckUsers(t *testing.T) {
	w := newWorld(t)
	w.grant()
	c := w.check("2/cheer-up")
	require.WithinDuration(t, time.Now(), c.At, time.Minute)
	c.At = time.Time{}
	require.Equal(t, Check{
		User: grant.NumberID(2), Item: "cheer-up", Active: true, State: grant.StateActive, Campaign: "sorry-2022",
		Basis: entitle.BasisLedger,
	}, c)
	require.Equal(t, entitle.StateNone, w.check("3/cheer-up").State)
	require.False(t, w.check("3/cheer-up").Active)
	later := url.QueryEscape(time.Now().Add(91 * 24 * time.Hour).In(time.FixedZone("", 9*3600)).Format(time.RFC3339))
	require.Equal(t, grant.StateExpired, w.check("2/cheer-up?at="+later).State)
	require.Equal(t, grant.StateActive, w.check("2/thank-you?campaign=sorry-2022&at="+later).State)
	require.Equal(t, entitle.StateNone, w.check("2/thank-you?at=2022-11-05T09:00:00%2B09:00").State, "before the grant")

	answer := w.get(RoleService, entitlements+"2")
	answer.is(http.StatusOK)
	var h Holdings
	answer.into(&h)
	g, _, err := w.reader.Lookup(t.Context(), grant.NumberID(2))
	require.NoError(t, err)
	require.Len(t, h.Entitlements, 3)
	for i, held := range h.Entitlements {
		require.True(t, held.Active && held.GrantedAt.Equal(g.At), "%+v", held)
		require.Equal(t, i != 1, held.ExpiresAt == nil)
	}
	require.True(t, h.Entitlements[1].ExpiresAt.Equal(g.At.Add(90*24*time.Hour)))
	require.EqualValues(t, 50_000, h.Entitlements[2].Amount)
	w.get(RoleService, entitlements+"3").into(&h)
	require.Empty(t, h.Entitlements)
	require.InDelta(t, 8, w.metric("checks_total", "basis", "ledger"), 0)
	require.InDelta(t, 6, w.metric("requests_total", "route", pathCheck, "code", "200"), 0)
}

func TestChecksThatMakeNoSense(t *testing.T) {
	w := newWorld(t)
	w.grant()
	for _, c := range []struct {
		path string
		code int
		says string
	}{
		{"02/cheer-up", 400, "leading"},
		{"x/cheer-up", 400, "not_decimal"},
		{"9223372036854775808/cheer-up", 422, "over_limit"},
		{"x", 400, "not_decimal"},
		{"2/chear-up", 404, "no campaign has this item: chear-up"},
		{"2/cheer-up?campaign=other", 404, "no campaign has this item"},
		{"2/cheer-up?at=tomorrow", 400, "2023-04-04T23:59:59+09:00"},
		{"2/cheer-up?at=2023-01-05T00:00:00Z&at=2023-01-05T00:00:00Z", 400, "more than once"},
		{"2/cheer-up?when=now", 400, "want at, campaign"},
		{"2?when=now", 400, "want at, campaign"},
	} {
		require.Contains(t, w.get(RoleService, entitlements+c.path).is(c.code), c.says, c.path)
	}
	w.get(RoleService, entitlements+"2/cheer-up/more").is(http.StatusNotFound)
	require.Equal(t, "GET, HEAD, OPTIONS", w.ask(request{method: http.MethodDelete, path: entitlements + "2/cheer-up",
		token: w.tokens[RoleService]}).header.Get("Allow"))
}

// A line that is for other campaigns learns nothing of this one, whether it asks in particular or in general.
func TestAServiceSeesItsCampaignsOnly(t *testing.T) {
	w := newWorld(t)
	w.grant()
	token, line, err := NewToken("billing", RoleService, "other")
	require.NoError(t, err)
	w.clients = append(w.clients, line)
	w.rotate()
	ask := func(path string) answer {
		return w.ask(request{method: http.MethodGet, path: entitlements + path, token: token})
	}
	require.Eventually(t, func() bool { return ask("2").status == http.StatusOK }, patience, 10*time.Millisecond)
	require.JSONEq(t, `[]`, jsonField(t, ask("2").body, "entitlements"))
	ask("2/cheer-up").is(http.StatusNotFound)
	require.Contains(t, ask("2/cheer-up?campaign=sorry-2022").is(http.StatusForbidden), "other campaigns")
	require.Contains(t, ask("2?campaign=sorry-2022").is(http.StatusForbidden), "other campaigns")
}

func (w *world) checkList(kind, path string, body []byte) answer {
	w.Helper()
	return w.ask(request{method: http.MethodPost, path: path, token: w.tokens[RoleService], body: string(body),
		header: map[string]string{"Content-Type": kind}})
}

func TestServicesCheckLists(t *testing.T) {
	w := newWorld(t)
	w.grant()
	const path = "/api/v1/checks/cheer-up"
	answer := w.checkList(kindLines, path, []byte("1\n2\n70000\r\n2"))
	answer.is(http.StatusOK)
	require.Equal(t, "none\nactive\nnone\nactive\n", string(answer.body))
	require.Equal(t, "ledger", answer.header.Get(basisHeader))
	require.Equal(t, kindLines, answer.header.Get("Content-Type"))
	answer = w.checkList(kindLines, path+"?at=2122-01-01T00:00:00Z", []byte("2\n"))
	require.Equal(t, "expired\n", string(answer.body))
	require.Empty(t, w.checkList(kindLines, path, nil).body)

	const many = 100_000 // more than are answered at once
	var body []byte
	want := make([]byte, many)
	for id := range uint64(many) {
		body = binary.BigEndian.AppendUint64(body, id%50)
		if id%50 == 2 {
			want[id] = 1
		}
	}
	answer = w.checkList(kindBinary, path, body)
	answer.is(http.StatusOK)
	require.True(t, bytes.Equal(want, answer.body))
	require.InDelta(t, many+5, w.metric("listed_users_total", "basis", "ledger"), 0)

	for _, c := range []struct {
		kind, path, body string
		code             int
		says             string
	}{
		{kindLines, path, "1\n02\n", 400, "line 2: user ID \"02\" is malformed (leading_zero)"},
		{kindLines, path, "1\n\n2\n", 400, "line 2"},
		{kindLines, path, strings.Repeat("1", 70<<10), 400, "reading the list"},
		{kindBinary, path, "123456789", 400, "ends with 1 bytes"},
		{kindBinary, path, "\xff2345678", 400, "want at most"},
		{"application/json", path, "[1]", 415, "text/plain or application/octet-stream"},
		{kindLines, "/api/v1/checks/other", "1\n", 404, "no campaign has this item"},
		{kindBinary, path, strings.Repeat("\x00", 8*(maxList+1)), 413, "send several lists"},
	} {
		require.Contains(t, w.checkList(c.kind, c.path, []byte(c.body)).is(c.code), c.says, "%.40s", c.body)
	}
}

// Without Redis, a check says what was declared, and what it rests on.
func TestChecksWhileRedisIsAway(t *testing.T) {
	for fallback, want := range map[entitle.Fallback]int{
		entitle.FallbackUnknown: 503, entitle.FallbackDeny: 200, entitle.FallbackAllow: 200,
	} {
		t.Run(string(fallback), func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.cfg.CheckFallback, w.cfg.CheckTimeout = fallback, 200*time.Millisecond })
			w.grant()
			w.check("2/thank-you")
			w.redis.Close()
			answer := w.get(RoleService, entitlements+"3/thank-you")
			answer.is(want)
			require.Equal(t, string(fallback), answer.header.Get(basisHeader))
			if want == http.StatusOK {
				var c Check
				answer.into(&c)
				require.Equal(t, fallback == entitle.FallbackAllow, c.Active)
				require.EqualValues(t, fallback, c.Basis)
			}
			require.Positive(t, w.metric("checks_total", "basis", string(fallback)))
			w.checkList(kindLines, "/api/v1/checks/thank-you", []byte("3\n")).is(want)
			w.get(RoleService, entitlements+"3").is(want)
		})
	}
}

// What all requests have counts for checks, too: who is unknown, or asks too fast.
func TestChecksHaveALimitOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.grant()
	for range requestsAtOnce + 50 {
		w.check("2/thank-you")
	}
	w.server.api.gate.checks = ratelimit.New(0, 2)
	w.check("2/thank-you")
	w.check("2/thank-you")
	w.get(RoleService, entitlements+"2/thank-you").is(http.StatusTooManyRequests)
	w.get(RoleService, entitlements+"2").is(http.StatusTooManyRequests)
	w.get(RoleViewer, entitlements+"2/thank-you").is(http.StatusForbidden)
}

// The answer of the quick way is the JSON that the type says.
func TestTheQuickAnswerIsTheTypes(t *testing.T) {
	now := time.Now()
	b := appendAnswer(nil, &entitle.Answer{
		User: grant.NumberID(grant.MaxUserID), Campaign: "c", Item: "i", State: entitle.StateUnknown, At: now,
		Basis: entitle.BasisLastKnown, AsOf: now,
	})
	var c Check
	answer{T: t, body: b}.into(&c)
	require.Equal(t, grant.NumberID(grant.MaxUserID), c.User)
	require.WithinDuration(t, now, *c.AsOf, time.Millisecond)
	c.At, c.AsOf = time.Time{}, nil
	require.Equal(t, Check{User: grant.NumberID(grant.MaxUserID), Item: "i", State: "unknown", Campaign: "c",
		Basis: "last-known"}, c)
}

func jsonField(t *testing.T, body []byte, name string) string {
	t.Helper()
	return gjson.GetBytes(body, name).Raw
}

// The Go client gets from a real desk, with TLS, what the desk knows.
func TestTheGoClientAsksADesk(t *testing.T) {
	w := newWorld(t)
	w.grant()
	c, err := client.New(client.Config{URL: w.server.URL(), Token: w.tokens[RoleService], TLS: w.secure()})
	require.NoError(t, err)
	defer c.Close()
	check, err := c.Check(t.Context(), grant.NumberID(2), "cheer-up", client.Of("sorry-2022"))
	require.NoError(t, err)
	require.True(t, check.Active)
	check, err = c.Check(t.Context(), grant.NumberID(2), "cheer-up", client.At(time.Now().Add(91*24*time.Hour)))
	require.NoError(t, err)
	require.Equal(t, grant.StateExpired, check.State)
	held, err := c.Holdings(t.Context(), grant.NumberID(2))
	require.NoError(t, err)
	require.Len(t, held.Entitlements, 3)
	require.True(t, held.Entitlements[0].ExpiresAt.IsZero() && !held.Entitlements[1].ExpiresAt.IsZero())
	states, err := c.CheckAll(t.Context(), "cheer-up", grant.NumberIDs(1, 2, 3))
	require.NoError(t, err)
	require.Equal(t, []grant.State{entitle.StateNone, grant.StateActive, entitle.StateNone}, states)
	_, err = c.Check(t.Context(), grant.NumberID(2), "none")
	require.ErrorContains(t, err, "no campaign has this item")
	w.redis.Close()
	_, err = c.Check(t.Context(), grant.NumberID(2), "cheer-up")
	require.ErrorIs(t, err, client.ErrUnknown)
}
