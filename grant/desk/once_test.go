package desk

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/ledger"
)

// A client that lost the answer sends the order again, with its key: it is carried out once, and answered twice.
func TestARequestWithAKeyIsCarriedOutOnce(t *testing.T) {
	w := newWorld(t, func(w *world) { w.cfg.Answers = ledger.NewAnswers(w.connection) })
	order := func(role Role, key, body string) answer {
		return w.ask(request{method: http.MethodPost, path: base + "/orders", token: w.tokens[role], body: body,
			header: map[string]string{onceHeader: key}})
	}
	const pause = `{"action":"pause","why":"a test"}`
	first := order(RoleOperator, "one", pause)
	first.is(http.StatusOK)
	require.Empty(t, first.header.Get(replayHeader))
	w.order(RoleOperator, `{"action":"resume","why":"it was a test"}`).is(http.StatusOK)
	second := order(RoleOperator, "one", pause)
	second.is(http.StatusOK)
	require.Equal(t, string(first.body), string(second.body))
	require.Equal(t, "true", second.header.Get(replayHeader))
	require.Equal(t, first.header.Get("Content-Type"), second.header.Get("Content-Type"))
	require.Len(t, w.trail(), 2, "it was not paused again")

	reused := order(RoleOperator, "one", `{"action":"pause","why":"another"}`)
	require.Contains(t, reused.is(http.StatusUnprocessableEntity), "another request")
	require.Contains(t, order(RoleOperator, "é", pause).is(http.StatusBadRequest), "printable")
	require.Contains(t, order(RoleOperator, "", pause).is(http.StatusBadRequest), "printable")
	order(RoleOperator, "two", `{"action":"postpone","why":"nothing to take back"}`).is(http.StatusConflict)
	order(RoleOperator, "two", `{"action":"postpone","why":"nothing to take back"}`).is(http.StatusConflict)
	require.Len(t, w.trail(), 3, "a refusal is an answer, too")
	order(RoleViewer, "one", pause).is(http.StatusForbidden)
	order(RoleOperator, "three", pause).is(http.StatusOK)
	require.Len(t, w.trail(), 5)
}

func TestARequestThatIsUnderWaySaysSo(t *testing.T) {
	w := newWorld(t, func(w *world) { w.cfg.Answers = ledger.NewAnswers(w.connection) })
	const body = `{"action":"pause","why":"a test"}`
	this := note{Request: digestOf(http.MethodPost, base+"/orders", body, "")}
	key := digestOf("a-operator", "k")
	_, err := w.cfg.Answers.Begin(t.Context(), key, this.bytes(), underWayLife)
	require.NoError(t, err)
	r := request{method: http.MethodPost, path: base + "/orders", token: w.tokens[RoleOperator], body: body,
		header: map[string]string{onceHeader: "k"}}
	answer := w.ask(r)
	require.Contains(t, answer.is(http.StatusConflict), "under way")
	require.Equal(t, "1", answer.header.Get("Retry-After"))
	require.NoError(t, w.cfg.Answers.Forget(t.Context(), key)) // as when its desk was killed and a minute has passed
	w.ask(r).is(http.StatusOK)
	w.redis.Close()
	r.header[onceHeader] = "other"
	require.Contains(t, w.ask(r).is(http.StatusServiceUnavailable), "nothing was done")
}
