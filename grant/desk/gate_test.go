package desk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ratelimit"
)

// An order for one campaign that reaches the desk of another one changes nothing there.
func TestWhatIsAboutAnotherCampaignIsRefused(t *testing.T) {
	w := newWorld(t)
	w.server.api.gate.failures = ratelimit.New(0, 2*len(needed)) // the limit is for another test
	about := 0
	for route := range needed {
		r := to(route)
		if !strings.Contains(route, "{campaign}") {
			continue
		}
		about++
		r.path = strings.Replace(r.path, "sorry-2022", "sorry-2023", 1)
		require.NotContains(t, w.ask(r).is(http.StatusUnauthorized), "sorry-2022", "strangers learn no names")
		r.token = w.tokens[RoleOperator]
		require.Equal(t, "this desk serves the campaign sorry-2022, not sorry-2023: ask the desk of that one",
			w.ask(r).is(http.StatusNotFound))
	}
	control, _, err := w.coordination.Control(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Control{}, control)
	require.Empty(t, w.trail(), "it is not this campaign's")
	require.InDelta(t, about, w.metric("refusals_total", "reason", "campaign"), 0)

	other, err := NewClient(ClientConfig{URL: w.server.URL(), Campaign: "sorry-2023", CA: w.ca.file,
		Token: w.tokens[RoleOperator]})
	require.NoError(t, err)
	t.Cleanup(other.Close)
	_, err = other.Order(t.Context(), grant.Order{Action: grant.ActionAbort, Why: "the wrong desk"})
	require.EqualError(t, err, "this desk serves the campaign sorry-2022, not sorry-2023: ask the desk of that one")
}

func TestEveryRefusalLeavesATrace(t *testing.T) {
	w := newWorld(t)
	wrong := "granter_" + strings.Repeat("x", 43)
	order := request{method: http.MethodPost, path: base + "/orders", body: `{"action":"abort","why":"I am curious"}`}
	for _, c := range []struct {
		who, token  string
		header      [2]string
		code        int
		reason      kind
		detail, why string
	}{
		{"anonymous", "", [2]string{}, 401, kindNoToken, "no token: ", ""},
		{"anonymous", wrong, [2]string{}, 401, kindToken, "the token is not in the access file", ""},
		{"a-viewer", w.tokens[RoleViewer], [2]string{}, 403, kindRight,
			"role viewer, needs one of the rights pause, resume, throttle, abort, finish, postpone", "I am curious"},
		{"a-support", w.tokens[RoleSupport], [2]string{}, 403, kindRight, "role support, needs one of the rights pause, resume",
			"I am curious"},
		{"a-operator", w.tokens[RoleOperator], [2]string{"Sec-Fetch-Site", "cross-site"}, 403, kindOrigin, "cross-origin",
			"I am curious"},
		{"a-operator", w.tokens[RoleOperator], [2]string{"Origin", "https://other.example"}, 403, kindOrigin, "cross-origin",
			"I am curious"},
	} {
		counted, lines := w.metric("refusals_total", "reason", string(c.reason)), len(w.logged("refused"))
		order.token, order.header = c.token, map[string]string{c.header[0]: c.header[1]}
		if c.header[0] == "" {
			order.header = nil
		}
		require.Contains(t, w.ask(order).is(c.code), c.detail)

		require.InDelta(t, counted+1, w.metric("refusals_total", "reason", string(c.reason)), 0)
		logged := w.logged("refused")
		require.Len(t, logged, lines+1)
		last := logged[lines]
		require.Equal(t, []any{c.who, "POST", base + "/orders", float64(c.code), string(c.reason)},
			[]any{last["who"], last["method"], last["path"], last["status"], last["reason"]})
		require.Contains(t, last["remote"], "127.0.0.1:")
		acts := w.trail()
		act := acts[len(acts)-1]
		require.Contains(t, act.Refused, "refused: "+c.detail)
		require.WithinDuration(t, time.Now(), act.At, patience)
		require.Equal(t, grant.HistoryEntry{At: act.At, Action: grant.ActionAbort, Who: c.who, Via: "api", Why: c.why,
			Refused: act.Refused}, act)
	}
	require.Len(t, w.trail(), 6)
	w.get(RoleViewer, base+"/users/2").is(http.StatusForbidden)
	require.Len(t, w.trail(), 6, "only orders are in the audit trail")

	control, _, err := w.coordination.Control(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Control{}, control)
	trail := w.get(RoleViewer, base+"/history")
	trail.is(http.StatusOK)
	for _, secret := range []string{wrong, w.tokens[RoleViewer], w.tokens[RoleSupport], w.tokens[RoleOperator]} {
		for _, where := range []string{w.log.String(), string(trail.body), w.redis.Dump()} {
			require.NotContains(t, where, secret)
		}
	}
}

// What is not an order is refused as an unknown one, and what it says is not kept.
func TestARefusedOrderThatCannotBeReadIsInTheTrailToo(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{"", "{", `{"action":"explode","why":"x"}`, strings.Repeat("x", 2*maxOrder)} {
		w.order(RoleViewer, body).is(http.StatusForbidden)
	}
	acts := w.trail()
	require.Len(t, acts, 4)
	for _, act := range acts {
		require.Equal(t, actionUnknown, act.Action)
		require.Empty(t, act.Why)
	}
	w.order(RoleViewer, `{"action":"pause","why":"`+strings.Repeat("가", 300)+`"}`).is(http.StatusForbidden)
	require.Equal(t, strings.Repeat("가", maxWhy/3), w.trail()[4].Why)
}

func TestOnlyJSONIsTaken(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
		"application/jsonp", ""} {
		r := to(orders)
		r.token, r.header = w.tokens[RoleOperator], map[string]string{"Content-Type": kind}
		w.ask(r).is(http.StatusUnsupportedMediaType)
	}
	require.InDelta(t, 5, w.metric("refusals_total", "reason", "content_type"), 0)
	r := to(orders)
	r.token, r.header = w.tokens[RoleOperator], map[string]string{"Content-Type": "application/json; charset=utf-8",
		"Sec-Fetch-Site": "same-origin"}
	w.ask(r).is(http.StatusOK)
}

// Failures are answered ten times and then once a second, and are not recorded meanwhile. Who has a right token is not
// locked out by others at the same address.
func TestFailuresAreLimited(t *testing.T) {
	w := newWorld(t)
	order := to(orders)
	codes := map[int]int{}
	for range 4 * failuresAtOnce {
		order.token = "granter_wrong"
		answer := w.ask(order)
		codes[answer.status]++
		if answer.status == http.StatusTooManyRequests {
			require.Equal(t, "1", answer.header.Get("Retry-After"))
		}
	}
	require.GreaterOrEqual(t, codes[http.StatusUnauthorized], failuresAtOnce)
	require.Positive(t, codes[http.StatusTooManyRequests])
	require.Len(t, w.trail(), codes[http.StatusUnauthorized])
	require.InDelta(t, codes[http.StatusTooManyRequests], w.metric("refusals_total", "reason", "rate_limit"), 0)
	w.get(RoleViewer, "/api/v1/me").is(http.StatusOK)

	for range 2 * failuresAtOnce {
		w.order(RoleViewer, order.body)
	}
	w.order(RoleViewer, order.body).is(http.StatusTooManyRequests)
	w.order(RoleSupport, order.body).is(http.StatusForbidden)
}

// aGate is a gate that lets one token in, and whose audit trail is a function.
func aGate(t *testing.T, record func(context.Context, string, grant.HistoryEntry) error) (g *gate, log *text) {
	t.Helper()
	a, err := ParseAccess("minji viewer " + sum("one"))
	require.NoError(t, err)
	log = &text{}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "refused_total", Help: "Refusals."}, []string{"reason"})
	access := &reloaded[*Access]{value: a, looked: time.Now().Add(time.Hour)}
	return newGate(&files{access: access}, record, refused, slog.New(slog.NewTextHandler(log, nil))), log
}

func TestAPrincipalIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := aGate(t, nil)
		passes := func() (n int) {
			for {
				r := shows("Bearer one", "")
				who, refusal := g.admit(r, []Right{RightStatus})
				if refusal != nil {
					require.Equal(t, tooMany(), refusal)
					r.URL = httptest.NewRequest(http.MethodGet, "/api/v1/me", http.NoBody).URL
					g.refuse(httptest.NewRecorder(), r, who, refusal)
					return n
				}
				n++
			}
		}
		require.Equal(t, requestsAtOnce, passes())
		require.Zero(t, passes())
		time.Sleep(2 * time.Second)
		require.Equal(t, 2*requestsPerSecond, passes())
		require.Equal(t, 2, strings.Count(log.String(), "msg=refused"), "a flood has one line a second")
	})
}

// Redis that does not answer holds up a refusal for a moment only, and few of them at once.
func TestRecordingARefusalDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var recording atomic.Int64
		g, log := aGate(t, func(ctx context.Context, _ string, _ grant.HistoryEntry) error {
			recording.Add(1)
			<-ctx.Done()
			return errors.New("Redis does not answer")
		})
		start := time.Now()
		const at = 3 * recordingAtOnce
		done := make(chan int, at)
		for range at {
			go func() {
				r := httptest.NewRequest(http.MethodPost, base+"/orders", strings.NewReader("{}"))
				r.Pattern = orders
				w := httptest.NewRecorder()
				g.refuse(w, r, anonymous, refuse(kindNoToken, "no token"))
				done <- w.Code
			}()
		}
		for range at {
			require.Equal(t, http.StatusUnauthorized, <-done)
		}
		require.EqualValues(t, recordingAtOnce, recording.Load())
		require.Equal(t, recordFor, time.Since(start))
		require.Equal(t, at, strings.Count(log.String(), "not in the audit trail"))
		require.Equal(t, at-recordingAtOnce, strings.Count(log.String(), errBusy.Error()))
	})
}
