package desk

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/acts"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
)

// acting lets the desk of a world act about users.
func acting(w *world) {
	w.cfg.Answers = ledger.NewAnswers(w.connection)
	w.cfg.Acts = func(granted *grant.Campaign) (*acts.Doer, error) {
		store, err := ledger.Open(w.connection, granted, ledger.Config{RetryFor: time.Second})
		if err != nil {
			return nil, err
		}
		trail := ledger.NewCoordination(store)
		return &acts.Doer{
			Campaign: granted, Ledger: ledger.NewActs(store, aRun+1), Reader: ledger.NewReader(store),
			Trail: trail, Proposals: trail,
		}, nil
	}
}

func (w *world) act(role Role, body string) answer {
	w.Helper()
	return w.ask(request{method: http.MethodPost, path: base + "/acts", token: w.tokens[role], body: body})
}

func TestUsersAreActedUpon(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	var r acts.Report
	revoked := w.act(RoleOperator, `{"act":"revoke","users":["2","7"],"reason":"티켓 5","revocation":"request"}`)
	revoked.is(http.StatusOK)
	revoked.into(&r)
	require.Equal(t, acts.Partial, r.Overall)
	require.Equal(t, []acts.Status{acts.Done, acts.Refused}, []acts.Status{r.Results[0].Status, r.Results[1].Status})
	require.Contains(t, r.Results[1].Why, "exclude keeps a grant from coming")

	var u lookup.Answer
	w.get(RoleSupport, base+"/users/2").into(&u)
	require.Equal(t, grant.StateRevoked, u.Entitlements[0].State)
	require.Equal(t, "a-operator", u.State.Revoked.Who)
	require.Equal(t, "티켓 5", u.State.Revoked.Reason)
	trail := w.trail()
	require.Equal(t, grant.ActionAct, trail[len(trail)-1].Action)
	require.Equal(t, "a-operator", trail[len(trail)-1].Who)

	w.act(RoleOperator, `{"act":"revoke","users":["1"],"reason":"x","revocation":"request","dry_run":true}`).is(http.StatusOK)
	w.get(RoleSupport, base+"/users/1").into(&u)
	require.Equal(t, grant.StateActive, u.Entitlements[0].State)
}

// A request that comes again with its key is answered again; it is not another one.
func TestAnActIsDoneOnce(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	note := request{
		method: http.MethodPost, path: base + "/acts", token: w.tokens[RoleSupport],
		body: `{"act":"note","users":["2"],"reason":"called twice"}`, header: map[string]string{onceHeader: "one"},
	}
	first, second := w.ask(note), w.ask(note)
	first.is(http.StatusOK)
	require.Equal(t, string(first.body), string(second.body))
	require.Equal(t, "true", second.header.Get(replayHeader))
	other := note
	other.body = `{"act":"note","users":["2"],"reason":"called once"}`
	require.Contains(t, w.ask(other).is(http.StatusUnprocessableEntity), "another request")
	other.header = map[string]string{onceHeader: "two"}
	this := keptOf(&other)
	_, err := w.cfg.Answers.Begin(t.Context(), digestOf("a-support", "two"), this.bytes(), underWayLife)
	require.NoError(t, err)
	require.Contains(t, w.ask(other).is(http.StatusConflict), "under way")
	var u lookup.Answer
	w.get(RoleSupport, base+"/users/2").into(&u)
	require.Len(t, u.State.Notes, 1)
}

func TestWhatIsNoAct(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	many := `"` + strings.Repeat(`1","`, maxActed) + `1"`
	for _, c := range []struct {
		role   Role
		body   string
		status int
		says   string
	}{
		{RoleViewer, `{"act":"note","users":["2"],"reason":"x"}`, http.StatusForbidden, "note, act"},
		{RoleSupport, `{"act":"revoke","users":["2"],"reason":"x","revocation":"fraud"}`, http.StatusForbidden, "act"},
		{RoleOperator, `{"act":"revoke","users":["2"],"reason":"x"}`, http.StatusUnprocessableEntity,
			"want mistake, fraud or request"},
		{RoleOperator, `{"act":"explode","users":["2"],"reason":"x"}`, http.StatusUnprocessableEntity, "explode"},
		{RoleOperator, `{"act":"note","users":["2"]}`, http.StatusUnprocessableEntity, "say why"},
		{RoleOperator, `{"act":"note","users":[],"reason":"x"}`, http.StatusBadRequest, "0 users"},
		{RoleOperator, `{"act":"note","users":[` + many + `],"reason":"x"}`, http.StatusBadRequest, "101 users: want 1 to 100"},
		{RoleOperator, `{"act":"note","users":["2","٣"],"reason":"x"}`, http.StatusBadRequest, "users[1]"},
		{RoleOperator, `{"act":"move","users":["2"],"reason":"x"}`, http.StatusUnprocessableEntity, "and to"},
		{RoleOperator, `{"act":"note","users":["2"],"to":"3","reason":"x"}`, http.StatusUnprocessableEntity, "to is for a move"},
		{RoleOperator, `{"act":"note","users":["2"],"after_end":true,"reason":"x"}`, http.StatusUnprocessableEntity,
			"after_end is for hand"},
		{RoleOperator, `{"act":"extend","users":["2"],"item":"none","until":"2030-01-01T00:00:00Z","reason":"x"}`,
			http.StatusConflict, "has no such item"},
	} {
		require.Contains(t, w.act(c.role, c.body).is(c.status), c.says, c.body)
	}
	require.Len(t, w.trail(), 1, "what came so far that the campaign refused it")
	require.NotEmpty(t, w.trail()[0].Refused)
}

// What takes two people waits for somebody else, whichever way it came.
func TestActsWaitForASecondPerson(t *testing.T) {
	ruled := aCampaign()
	ruled.Approval = &grant.Approval{Above: 1, Within: time.Hour}
	token, line, err := NewToken("b-operator", RoleOperator)
	require.NoError(t, err)
	w := newWorld(t, acting, func(w *world) {
		w.cfg.Campaign = ruled
		w.allow(w.accessLine(RoleOperator) + line + "\n" + w.accessLine(RoleSupport))
	})
	w.grantTo(1, 2)
	var r acts.Report
	w.act(RoleOperator, `{"act":"revoke","users":["1","2"],"reason":"ticket 5","revocation":"fraud"}`).into(&r)
	require.Equal(t, acts.Proposed, r.Overall)
	var list waiting
	w.get(RoleOperator, base+"/acts").into(&list)
	require.Len(t, list.Proposals, 1)
	w.get(RoleSupport, base+"/acts").is(http.StatusForbidden)
	path := base + "/acts/" + r.Request
	decide := func(token, body string) answer {
		return w.ask(request{method: http.MethodPost, path: path, token: token, body: body})
	}
	yes := `{"decision":"approve","reason":"checked"}`
	require.Contains(t, decide(w.tokens[RoleOperator], yes).is(http.StatusConflict), "somebody else has to approve it")
	decide(w.tokens[RoleSupport], yes).is(http.StatusForbidden)
	require.Contains(t, decide(token, `{"decision":"yes","reason":"x"}`).is(http.StatusUnprocessableEntity), "approve or reject")
	decide(token, `{"decision":"approve","reason":""}`).is(http.StatusUnprocessableEntity)
	var d decided
	w.ask(request{method: http.MethodGet, path: path, token: token}).into(&d)
	require.Equal(t, map[acts.Status]int{acts.Done: 2}, d.Report.Counts)
	decide(token, yes).into(&d)
	require.Equal(t, grant.ProposalDone, d.Proposal.State)
	var again decided
	decide(token, yes).into(&again)
	require.Equal(t, d.Proposal, again.Proposal, "the same decision once more has not failed")
	decide(token, `{"decision":"approve","reason":"in other words"}`).is(http.StatusConflict)
	var u lookup.Answer
	w.get(RoleSupport, base+"/users/2").into(&u)
	require.Equal(t, "a-operator", u.State.Revoked.Who)
	require.Equal(t, "b-operator", w.trail()[1].Who)
}

// Of two people who look at one user and act, the second is told what the first one did.
func TestTheSecondOfTwoWhoActAtOnceIsTold(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(2)
	var u lookup.Answer
	w.get(RoleSupport, base+"/users/2").into(&u)
	require.NotEmpty(t, u.Seen)
	act := func(role Role, body string) (r acts.Report) {
		answer := w.act(role, `{"users":["2"],"seen":"`+u.Seen+`",`+body+`}`)
		answer.is(http.StatusOK)
		answer.into(&r)
		return r
	}
	require.Equal(t, acts.Success, act(RoleSupport, `"act":"note","reason":"waits for papers"`).Overall)
	second := act(RoleOperator, `"act":"revoke","revocation":"fraud","reason":"bot"`)
	require.Equal(t, acts.Failed, second.Overall)
	require.Contains(t, second.Results[0].Why, "since you looked")
	require.Contains(t, second.Results[0].Why, "by a-support")
	require.Contains(t, second.Results[0].Why, "waits for papers")
	w.get(RoleSupport, base+"/users/2").into(&u)
	require.Nil(t, u.State.Revoked)
	require.Equal(t, acts.Success, act(RoleOperator, `"act":"revoke","revocation":"fraud","reason":"bot"`).Overall)
	w.act(RoleOperator, `{"act":"note","users":["1","2"],"seen":"x","reason":"r"}`).is(http.StatusUnprocessableEntity)
}

// keptOf is what is kept of a request that is under way.
func keptOf(r *request) *note {
	return &note{Request: digestOf(r.method, r.path, r.body, r.header["If-Match"])}
}

// An act says in If-Match which answer it is about, as an order does: 412 says that somebody did something since.
func TestAnActIsForTheUserAsSomebodySaw(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(2, 3)
	tag := func(path string) string { return w.get(RoleSupport, path).header.Get("ETag") }
	act := func(role Role, match, body string) answer {
		return w.ask(request{method: http.MethodPost, path: base + "/acts", token: w.tokens[role], body: body,
			header: map[string]string{"If-Match": match}})
	}
	first := tag(base + "/users/2")
	const revoke = `{"act":"revoke","users":["2"],"revocation":"fraud","reason":"bot"}`
	act(RoleSupport, first, `{"act":"note","users":["2"],"reason":"waits for papers"}`).is(http.StatusOK)
	refused := act(RoleOperator, first, revoke)
	require.Contains(t, string(refused.body), problemType+string(kindChanged))
	why := refused.is(http.StatusPreconditionFailed)
	require.Contains(t, why, "waits for papers")
	require.Contains(t, why, "look again")
	for _, dry := range []string{`"dry_run":true`, `"propose":true`, `"act":"move","to":"5","dry_run":true`} {
		body := `{"act":"exclude","users":["2"],"reason":"x",` + dry + `}`
		if strings.Contains(dry, "move") {
			body = `{"users":["2"],"reason":"x",` + dry + `}`
		}
		act(RoleOperator, first, body).is(http.StatusPreconditionFailed)
	}
	for _, wrong := range []string{`W/` + first, `"7"`, `"!.a"`, first + ", " + first, tag("/api/v1/users/2")} {
		require.Contains(t, act(RoleOperator, wrong, revoke).is(http.StatusPreconditionFailed), "want that of GET", wrong)
	}
	second := tag(base + "/users/2")
	require.Contains(t, act(RoleOperator, second, `{"act":"revoke","users":["2","3"],"revocation":"fraud","reason":"x"}`).
		is(http.StatusUnprocessableEntity), "one user")
	require.Contains(t, act(RoleOperator, second, `{"act":"revoke","users":["2"],"seen":"x","revocation":"fraud","reason":"x"}`).
		is(http.StatusUnprocessableEntity), "two different")
	done := act(RoleOperator, second, revoke)
	done.is(http.StatusOK)
	require.Contains(t, string(done.body), "SUCCESS")
	act(RoleOperator, "*", `{"act":"note","users":["2"],"reason":"whatever it is"}`).is(http.StatusOK)
}

// An erasure has a right of its own, which no role with a name has, and names the user twice.
func TestAnErasureIsConfirmedByWhoeverMay(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	body := func(more string) string { return `{"act":"erase","users":["2"],"reason":"request 88"` + more + `}` }
	w.act(RoleOperator, `{"act":"note","users":["2"],"reason":"secret"}`).is(http.StatusOK)
	w.act(RoleOperator, body(`,"confirm":"2"`)).is(http.StatusForbidden)
	may := roleEraser
	require.Contains(t, string(w.act(may, body("")).body), "no way back")
	require.Contains(t, string(w.act(may, body(`,"confirm":"3"`)).body), "no way back")
	w.act(may, `{"act":"erase","users":["2","3"],"reason":"x","confirm":"2"}`).is(http.StatusUnprocessableEntity)
	w.act(may, `{"act":"note","users":["2"],"reason":"x","confirm":"2"}`).is(http.StatusUnprocessableEntity)
	w.act(may, body(`,"dry_run":true`)).is(http.StatusOK)
	require.Len(t, w.user(2).State.Notes, 1)
	w.act(may, body(`,"confirm":"2"`)).is(http.StatusOK)
	require.Empty(t, w.user(2).State.Notes)
	page := w.signedIn(w.tokens[RoleOperator]).form("/users/2")
	require.NotContains(t, string(page.body), "acts/sorry-2022/erase")
}

// On the page an erasure asks for the ID once more, says what goes, and is done when that is confirmed.
func TestAnErasureOnThePage(t *testing.T) {
	w := newWorld(t, acting)
	w.grantTo(1, 2)
	w.act(RoleOperator, `{"act":"note","users":["2"],"reason":"secret"}`).is(http.StatusOK)
	b := w.signedIn(w.tokens[roleEraser])
	require.NotContains(t, string(b.form("/users/1").body), "acts/sorry-2022/erase", "nothing was ever said of that user")
	require.Contains(t, string(b.form("/users/2").body), "acts/sorry-2022/erase")
	const page = "/users/2/acts/sorry-2022/erase"
	fields := carried(b.form(page))
	fields.Set("reason", "request 88")
	fields.Set("confirm", "1")
	require.Contains(t, readable(b.send(page, fields).body), "no way back")
	fields.Set("confirm", "2")
	sure := b.send(page, fields)
	sure.isPage(http.StatusOK)
	require.Contains(t, readable(sure.body), "goes for good")
	require.Len(t, w.user(2).State.Notes, 1)
	b.send(page, carried(sure)).is(http.StatusSeeOther)
	require.Empty(t, w.user(2).State.Notes)
	require.Contains(t, readable(b.form("/users/2").body), "reasons and notes erased by")
	require.NotContains(t, string(b.form("/users/lists").body), "/erase", "it is about one user")
}
