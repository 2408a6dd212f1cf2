package desk

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func TestOperatorsHaveRoomThatOthersCannotTake(t *testing.T) {
	s := newShare(2, 6, 8)
	viewer := func(i int) Principal { return Principal{Name: "viewer " + strconv.Itoa(i), Role: RoleViewer} }
	takes := func(who Principal, want, wantOwn bool) {
		t.Helper()
		ok, own := s.take(who)
		require.Equal(t, []bool{want, wantOwn}, []bool{ok, own})
	}
	for i := range 3 {
		takes(viewer(i), true, false)
		takes(viewer(i), true, false)
		takes(viewer(i), false, true)
	}
	takes(viewer(3), false, false)
	takes(Principal{Name: "minseo", Role: RoleSupport}, false, false)
	minji := Principal{Name: "minji", Role: RoleOperator}
	takes(minji, true, false)
	takes(minji, true, false)
	takes(minji, false, true)
	takes(Principal{Name: "jihoon", Role: RoleOperator}, false, false)
	s.giveBack(viewer(1))
	takes(viewer(3), true, false)
	for _, who := range []Principal{viewer(0), viewer(0), viewer(1), viewer(2), viewer(2), viewer(3), minji, minji} {
		s.giveBack(who)
	}
	require.Empty(t, s.has)
	require.Zero(t, s.given+s.lent)
}

// remembering is one whose history takes long.
type remembering struct {
	Coordination
	begun chan struct{}
}

func (r *remembering) History(ctx context.Context) ([]grant.HistoryEntry, error) {
	r.begun <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// A viewer with 256 streams left none for the operators.
func TestAViewerLocksNobodyOut(t *testing.T) {
	slow := &remembering{begun: make(chan struct{})}
	w := newWorld(t, func(w *world) { slow.Coordination, w.cfg.Coordination = w.coordination, slow })
	stream := request{method: http.MethodGet, path: base + "/events", token: w.tokens[RoleViewer]}
	streams := 0
	for {
		response := w.open(t.Context(), stream)
		t.Cleanup(func() { response.Body.Close() })
		if response.StatusCode != http.StatusOK {
			require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
			require.Equal(t, "1", response.Header.Get("Retry-After"))
			break
		}
		streams++
	}
	require.Equal(t, maxListenersEach, streams)
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	question := request{method: http.MethodGet, path: base + "/history", token: w.tokens[RoleViewer]}
	for range maxUnderWayEach {
		r := question.http(ctx, t, w.server.URL())
		go func() {
			transport := &http.Transport{TLSClientConfig: w.secure()}
			defer transport.CloseIdleConnections()
			if response, err := transport.RoundTrip(r); err == nil {
				response.Body.Close()
			}
		}()
		<-slow.begun
	}
	require.Contains(t, w.ask(question).is(http.StatusTooManyRequests), "under way")
	for range 2 * requestsAtOnce {
		w.code(question)
	}

	w.ask(request{method: http.MethodGet, path: "/"}).is(http.StatusOK)
	w.get(RoleOperator, "/api/v1/me").is(http.StatusOK)
	name, _ := w.listen(RoleOperator).next()
	require.Equal(t, "status", name)
	w.order(RoleOperator, `{"action":"pause","why":"it works"}`).is(http.StatusOK)
	require.Positive(t, w.metric("refusals_total", "reason", "busy"))
	require.InDelta(t, 1, w.metric("refusals_total", "reason", "listeners"), 0)
}

// An operator whose script asks and orders too much can still pause.
func TestAPauseAlwaysGetsThrough(t *testing.T) {
	w := newWorld(t)
	for w.get(RoleOperator, "/api/v1/me").status == http.StatusOK {
		continue
	}
	w.order(RoleOperator, `{"action":"throttle","throttle":5,"why":"it works"}`).is(http.StatusOK)
	var answer answer
	require.Eventually(t, func() bool { // on a slow machine each order would have its turn before the next one comes
		for w.server.api.gate.orders.Allow("a-" + string(RoleOperator)) {
			continue
		}
		answer = w.order(RoleOperator, `{"action":"throttle","throttle":5,"why":"again and again"}`)
		return answer.status == http.StatusTooManyRequests
	}, time.Minute, time.Millisecond)
	require.Contains(t, answer.is(http.StatusTooManyRequests), "pause is always taken")
	require.Equal(t, "1", answer.header.Get("Retry-After"))
	for range 3 * ordersAtOnce {
		w.order(RoleOperator, `{"action":"pause","why":"it works"}`).is(http.StatusOK)
	}
}
