package desk

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Who asks again is sent nothing that is known, as long as it is still so.
func TestAnAnswerThatIsKnownIsNotSentAgain(t *testing.T) {
	w := newWorld(t)
	w.grant()
	for _, path := range []string{"/api/v1/me", base + "/history", base + "/users/2", base + "/orders"} {
		ask := func(tags string) answer {
			return w.ask(request{method: http.MethodGet, path: path, token: w.tokens[RoleOperator],
				header: map[string]string{"If-None-Match": tags}})
		}
		first := w.get(RoleOperator, path)
		first.is(http.StatusOK)
		tag := first.header.Get("ETag")
		require.Regexp(t, `^"[^"]+"$`, tag, path)
		require.Equal(t, "no-store", first.header.Get("Cache-Control"), "what is about people stays in no cache")
		for _, tags := range []string{tag, `"x", W/` + tag, "*"} {
			again := ask(tags)
			again.is(http.StatusNotModified)
			require.Empty(t, again.body)
			require.Equal(t, tag, again.header.Get("ETag"))
		}
		ask(`"x"`).is(http.StatusOK)
	}
	before := w.get(RoleViewer, base+"/history").header.Get("ETag")
	w.order(RoleOperator, `{"action":"pause","why":"a change"}`).is(http.StatusOK)
	require.NotEqual(t, before, w.get(RoleViewer, base+"/history").header.Get("ETag"))
}

// Two operators look at the same limit, and each changes it: the second one is told, and undoes nothing unseen.
func TestAnOrderUndoesNothingThatItsOwnerHasNotSeen(t *testing.T) {
	w := newWorld(t)
	order := func(match, body string) answer {
		return w.ask(request{method: http.MethodPost, path: base + "/orders", token: w.tokens[RoleOperator], body: body,
			header: map[string]string{"If-Match": match}})
	}
	var seen inForce
	first := w.get(RoleViewer, base+"/orders")
	first.into(&seen)
	require.Equal(t, inForce{Campaign: "sorry-2022", Orders: []grant.Standing{}}, seen)
	tag := first.header.Get("ETag")
	require.Equal(t, `"0"`, tag)
	order(tag, `{"action":"throttle","throttle":100,"why":"mine"}`).is(http.StatusOK)
	require.Contains(t, order(tag, `{"action":"throttle","throttle":900,"why":"unseen"}`).is(http.StatusPreconditionFailed),
		"version 0 of the orders, and they are at 1")
	second := w.get(RoleViewer, base+"/orders")
	second.into(&seen)
	require.EqualValues(t, 100, seen.Control.Throttle)
	require.Equal(t, "mine", w.trail()[0].Why)
	require.NotEmpty(t, w.trail()[1].Refused, "it is in the audit trail")
	order(second.header.Get("ETag"), `{"action":"throttle","throttle":900,"why":"seen"}`).is(http.StatusOK)
	order("*", `{"action":"pause","why":"in any case"}`).is(http.StatusOK)
	for _, bad := range []string{`W/"3"`, "3", `"x"`, `"-1"`, `"3", "4"`} {
		order(bad, `{"action":"resume","why":"a test"}`).is(http.StatusPreconditionFailed)
	}
}

func TestOptionsAndHead(t *testing.T) {
	w := newWorld(t)
	options := w.ask(request{method: http.MethodOptions, path: base + "/orders"})
	options.is(http.StatusNoContent)
	require.Equal(t, "GET, HEAD, POST, OPTIONS", options.header.Get("Allow"))
	w.ask(request{method: http.MethodOptions, path: "/nowhere"}).is(http.StatusNotFound)
	deleted := w.ask(request{method: http.MethodDelete, path: base + "/orders", token: w.tokens[RoleOperator]})
	deleted.is(http.StatusMethodNotAllowed)
	require.Equal(t, "GET, HEAD, POST, OPTIONS", deleted.header.Get("Allow"))
	// A stream has no end: the head of it has.
	for _, path := range []string{"/events", "/status", "/history"} {
		head := w.ask(request{method: http.MethodHead, path: base + path, token: w.tokens[RoleViewer]})
		head.is(http.StatusOK)
		require.Empty(t, head.body)
	}
}

// A body that is too large was called malformed where a reader in front had counted it.
func TestWhatIsTooLargeIsCalledSo(t *testing.T) {
	w := newWorld(t)
	long := `{"item":"` + strings.Repeat("x", maxTakeBody) + `"}`
	for _, path := range []string{base + "/users/2/takes", base + "/acts", base + "/orders"} {
		w.ask(request{method: http.MethodPost, path: path, token: w.tokens[RoleOperator], body: long}).
			is(http.StatusRequestEntityTooLarge)
	}
}

// An ID that no user can have is well formed; of an empty key nobody would know whose it is.
func TestWhatTheDocumentAllowsIsNotMalformed(t *testing.T) {
	w := newWorld(t)
	w.get(RoleSupport, base+"/users/9223372036854775808").is(http.StatusUnprocessableEntity)
	w.get(RoleSupport, "/api/v1/entitlements/9223372036854775808").is(http.StatusUnprocessableEntity)
	w.get(RoleSupport, base+"/users/01").is(http.StatusBadRequest)
	empty := w.ask(request{method: http.MethodPost, path: "/api/v1/checks/cheer-up", token: w.tokens[RoleService],
		header: map[string]string{"Content-Type": ""}})
	empty.is(http.StatusOK)
	require.Equal(t, kindLines, empty.header.Get("Content-Type"))
}
