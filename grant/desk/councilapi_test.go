package desk

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council"
	"github.com/granter/granter/grant/claims/council/vote"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
	"github.com/granter/granter/grant/ledger"
)

const (
	whole     = "%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n"
	blackened = "%PDF-1.7\n1 0 obj\n<<  >>\nendobj\ntrailer\n<< >>\n%%EOF\n"
)

// withCouncil gives a desk a claim that was referred to the council, of which one document is shown in a redacted version, and
// tokens by the name of who has them.
func withCouncil(w *world) {
	s, p := storetest.Open(w)
	storetest.Receive(w, s, p, 2, 100_000_000)
	keeper := documents.NewKeeper(s, documents.Folder(w.TempDir()), nil)
	w.cfg.Claims = &review.Desk{
		Store: s, Programme: p, Documents: keeper, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	w.cfg.Answers = ledger.NewAnswers(w.connection)
	reviewer := store.Actor{Name: "kim", Duty: claims.Reviewer}
	c := w.claim()
	_, err := keeper.Add(w.Context(), c, documents.Sent{
		Kind: "proof_of_sales_damage", Name: "a.pdf", Body: strings.NewReader(whole), By: store.Owner,
	})
	require.NoError(w, err)
	c = w.claim()
	_, err = keeper.Add(w.Context(), c, documents.Sent{Kind: "proof_of_sales_damage", Name: "b.pdf",
		Body: strings.NewReader(blackened), Redacts: c.Documents[0].Digest, By: reviewer})
	require.NoError(w, err)
	c = w.claim()
	a, err := p.Assess(&c.Facts)
	require.NoError(w, err)
	proposal := p.Propose(&c.Facts, &a)
	require.NoError(w, s.Commit(w.Context(), []store.Step{
		{Claim: c, Action: claims.Check, By: store.Rules, Change: store.Change{Assessment: &a, Proposal: &proposal}},
		{Claim: c, Action: claims.Review, By: store.Rules, Reason: "rules"},
		{Claim: c, Action: claims.Refer, By: reviewer, Reason: "the loss is large"},
	}, nil))
	for name, role := range map[string]Role{
		"oh": "claims-secretary", "kim": "claims-reviewer", "shin": RoleAuditor, "cho": "claims-council",
		"han": "claims-council", "min": "claims-council", "seo": "claims-council", "yoon": "claims-council",
		"kang": "claims-council",
	} {
		token, line, err := NewToken(name, role)
		require.NoError(w, err)
		w.tokens[Role(name)] = token
		w.clients = append(w.clients, line)
	}
	w.rotate()
}

func (w *world) claim() *store.Claim {
	w.Helper()
	list, err := w.cfg.Claims.Store.Get(w.Context(), "c-000000")
	require.NoError(w, err)
	return list[0]
}

// post sends something about the council, as somebody.
func (w *world) post(who Role, path, body string, header ...string) answer {
	w.Helper()
	r := request{method: http.MethodPost, path: pathCouncil + path, token: w.tokens[who], body: body}
	if len(header) == 2 {
		r.header = map[string]string{header[0]: header[1]}
	}
	return w.ask(r)
}

// A council decides a claim by the API: the same rules as on its pages, and nothing of who the owner is.
func TestACouncilDecidesByTheAPI(t *testing.T) {
	w := newWorld(t, withCouncil)
	for name, affiliation := range map[string]string{
		"cho": "consumers", "han": "academia", "min": "small_business", "seo": "company", "yoon": "consumers", "baek": "academia",
	} {
		w.post("oh", "", fmt.Sprintf(`{"do":"join","name":%q,"affiliation":%q,"why":"named"}`, name, affiliation)).is(200)
	}
	call := `{"do":"call","at":"2023-03-02T14:00","place":"3층 회의실","why":"the first claims"}`
	w.post("oh", "", call, onceHeader, "call-1").is(200)
	again := w.post("oh", "", call, onceHeader, "call-1")
	again.is(200)
	require.Equal(t, "true", again.header.Get(replayHeader))
	var now council.Now
	w.get("shin", pathCouncil).into(&now)
	require.Len(t, now.Members, 6)
	require.Len(t, now.Meetings, 1, "the same request is not done again")
	require.Equal(t, "2023-03-02T05:00:00Z", now.Meetings[0].At.Format(time.RFC3339))
	w.post("oh", "", `{"do":"attend","meeting":1,"present":["cho","han","min","seo","yoon","baek"],"chair":"han","why":"came"}`).
		is(200)
	var m meetingSaid
	w.get("oh", pathCouncil+"/meetings/1").into(&m)
	require.Equal(t, []waitingClaim{{"c-000000", claims.BeforeCouncil, w.claim().Assessment.Assessed}}, m.Waiting)
	w.post("oh", "", `{"do":"agenda","meeting":1,"claim":"c-000000","motion":{"action":"approve","amount":6000000},
		"why":"the sales reports show it"}`).is(200)

	const item = "/meetings/1/items/1"
	for _, name := range []Role{"cho", "min", "han"} {
		w.post(name, item+"/votes", `{"choice":"for","why":"it is shown"}`).is(200)
	}
	w.post("seo", item+"/votes", `{"choice":"against"}`).is(200)
	require.Contains(t, w.post("kang", item+"/votes", `{"choice":"for"}`).is(409), "no seat")
	w.post("oh", item+"/recusals", `{"member":"yoon","why":"said so at the meeting"}`).is(200)
	require.Contains(t, w.post("cho", item+"/recusals", `{"member":"seo","why":"x"}`).is(409), "recuse themselves")
	var one council.Case
	w.get("yoon", pathCouncil+item).into(&one)
	require.Equal(t, &council.Ballot{Why: "yoon is recused: said so at the meeting"}, one.Reader)
	one = council.Case{}
	w.get("seo", pathCouncil+item).into(&one)
	require.Equal(t, &council.Ballot{May: true, Choice: vote.Against}, one.Reader)
	require.Equal(t, &council.Vote{Voted: 4, MayVote: 5}, one.Now)
	require.Empty(t, one.Votes, "nobody votes by what others did")
	require.Contains(t, w.post("cho", item+"/count", `{}`).is(409), "by the secretary or the chair")
	_, err := w.cfg.Claims.Store.SetFreeze(t.Context(), w.cfg.Claims.Programme.Name,
		store.Freeze{Who: "x", Why: "look again", Frozen: true})
	require.NoError(t, err)
	require.Contains(t, w.post("han", item+"/count", `{}`).is(409), "look again")
	_, err = w.cfg.Claims.Store.SetFreeze(t.Context(), w.cfg.Claims.Programme.Name, store.Freeze{Who: "x", Why: "go on"})
	require.NoError(t, err)
	w.post("han", item+"/count", `{}`).into(&one)
	require.True(t, one.Outcome.Carried)
	require.Equal(t, claims.Approved, one.State)
	require.Contains(t, w.post("cho", item+"/votes", `{"choice":"against"}`).is(409), "has been counted")
	w.post("oh", "", `{"do":"close","meeting":1,"why":"all was counted"}`).is(200)
	w.get("cho", pathCouncil+"/meetings/1").into(&m)
	require.Equal(t, "oh", m.ClosedBy)
	require.Equal(t, "it is shown", m.Items[0].Outcome.Ballots[1].Why)
	require.EqualValues(t, 6_000_000, w.claim().Owed)
	proof, err := w.cfg.Claims.Store.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, proof.Wrong)
}

// seated has a meeting with the claim before it.
func (w *world) seated() {
	w.Helper()
	for _, body := range []string{
		`{"do":"join","name":"han","affiliation":"academia","why":"named"}`,
		`{"do":"call","at":"2023-03-02T14:00","place":"3층 회의실","why":"the first claims"}`,
		`{"do":"attend","meeting":1,"present":["han"],"chair":"han","why":"who came"}`,
		`{"do":"agenda","meeting":1,"claim":"c-000000","motion":{"action":"approve","amount":6000000},"why":"shown"}`,
	} {
		w.post("oh", "", body).is(200)
	}
}

// Each read of a claim leaves a line before it is answered, and says nothing of who its owner is; documents are the redacted
// ones.
func TestTheCouncilsReadsLeaveALineAndNameNobody(t *testing.T) {
	w := newWorld(t, withCouncil)
	w.seated()
	c := w.claim()
	as := c.ShownAs(c.Documents[0].Digest)
	const item = pathCouncil + "/meetings/1/items/1"
	looks := func() []store.Looked {
		list, err := w.cfg.Claims.Store.Access(t.Context(), store.AccessFilter{Claim: c.ID})
		require.NoError(t, err)
		return list
	}
	person, err := w.cfg.Claims.Store.Person(t.Context(), c.ID)
	require.NoError(t, err)
	for _, one := range []struct {
		who  Role
		path string
		what store.ReadWhat
	}{
		{"shin", pathCouncil + "/meetings/1", store.ReadCouncil}, {"han", pathCouncil + "/meetings/1", store.ReadCouncil},
		{"shin", item, store.ReadCouncil}, {"han", item, store.ReadCouncil},
		{"han", item + "/documents/" + as, store.ReadDocument}, {"kim", item + "/documents/" + as, store.ReadDocument},
	} {
		before := len(looks())
		answer := w.get(one.who, one.path)
		answer.is(200)
		after := looks()
		require.Len(t, after, before+1, "%s %s", one.who, one.path)
		require.Equal(t, []string{string(one.who), "127.0.0.1"}, []string{after[0].By.Name, after[0].From})
		if one.who != "han" || one.what != store.ReadCouncil { // of a member history has it
			require.Equal(t, one.what, after[0].What, one.path)
		}
		for _, hidden := range []string{
			person.Business, person.Representative, person.Phone, person.Account, c.Unit.String(), string(c.Unit),
			c.Documents[0].Digest,
		} {
			require.NotContains(t, string(answer.body), hidden, one.path)
		}
	}
	var one council.Case
	w.get("han", item).into(&one)
	require.Equal(t, council.Masked(c.Unit), one.Business)
	require.Equal(t, []council.Document{{Kind: "proof_of_sales_damage", Digest: as, Redacted: true}}, one.Documents)
	require.Equal(t, blackened, string(w.get("han", item+"/documents/"+as).body))
	require.NotEmpty(t, one.Steps)
	require.Equal(t, claims.Refer, one.Before[len(one.Before)-1].Action)

	before := len(looks())
	w.get("han", item+"/documents/"+c.Documents[0].Digest).is(404)
	w.get("shin", item+"/documents/"+as).is(403)
	w.get(RoleOperator, item).is(403)
	for _, path := range []string{"/meetings/2", "/meetings/x", "/meetings/1/items/2", "/meetings/2/items/1"} {
		w.get("han", pathCouncil+path).is(404)
	}
	require.Len(t, looks(), before, "who is shown nothing has read nothing")
	tag := w.get("shin", pathCouncil+"/meetings/1").header.Get("ETag")
	w.ask(request{method: http.MethodGet, path: pathCouncil + "/meetings/1", token: w.tokens["shin"],
		header: map[string]string{"If-None-Match": tag}}).is(304)
}

// What somebody has no right or duty for, what cannot be read and what makes no sense is refused, each in its way.
func TestWhatTheCouncilsAPIRefuses(t *testing.T) {
	w := newWorld(t, withCouncil)
	w.seated()
	const item = "/meetings/1/items/1"
	leave := `{"do":"leave","name":"han","why":"x"}`
	for _, one := range []struct {
		who        Role
		path, body string
		status     int
		says       string
	}{
		{"kim", "", leave, 403, ""}, {"cho", "", leave, 403, ""}, {"shin", "", leave, 403, ""},
		{RoleOperator, "", leave, 403, ""},
		{"kim", item + "/votes", `{"choice":"for"}`, 403, ""}, {"oh", item + "/votes", `{"choice":"for"}`, 403, ""},
		{"shin", item + "/count", `{}`, 403, ""}, {"kim", item + "/recusals", `{"why":"x"}`, 403, ""},
		{"oh", "", `{"do":"fly","why":"x"}`, 422, "join, leave, call"},
		{"oh", "", `{"do":"leave","name":"han","why":" "}`, 422, "say why"},
		{"oh", "", `{"do":"leave","name":"han","why":"he is 900101-1234568"}`, 422, "resident"},
		{"oh", "", `{"do":"join","name":"900101-1234568","affiliation":"company","why":"x"}`, 409, "resident"},
		{"oh", "", `{"do":"leave","name":"nobody","why":"x"}`, 409, "no seat"},
		{"oh", "", `{"do":"call","at":"soon","place":"x","why":"x"}`, 422, "Asia/Seoul"},
		{"oh", "", `{"do":"agenda","meeting":1,"claim":"nothing","motion":{"action":"approve","amount":1},"why":"x"}`, 404, ""},
		{"oh", "", `{"do":"agenda","meeting":1,"claim":"c-000001","motion":{"action":"approve","amount":1},"why":"x"}`, 409, ""},
		{"oh", "", `{"do":"close","meeting":1,"why":"x"}`, 409, "has not been counted"},
		{"oh", "", `{"do":"close","meeting":"1","why":"x"}`, 400, ""}, {"oh", "", `{"fly":1}`, 400, ""},
		{"oh", "", `x`, 400, ""}, {"oh", "", `{"do":"leave","name":"han","why":"x","motion":{"declined":null}}`, 400, "null"},
		{"oh", "", `{"do":"agenda","meeting":1,"claim":"c-000001","why":"x"}`, 422, "what is moved"},
		{"oh", "", `{"do":"call","at":"2023-03-02T14:00","place":"x","why":"x","motion":{"amount":0}}`, 422, "what is moved"},
		{"oh", "", `{"do":"leave","name":"null","why":"null"}`, 409, "no seat"},
		{"han", item + "/votes", `{"choice":"maybe"}`, 409, "is no vote"}, {"han", item + "/votes", `{}`, 409, "is no vote"},
		{"han", "/meetings/1/items/7/votes", `{"choice":"for"}`, 404, ""},
		{"han", "/meetings/7/items/1/votes", `{"choice":"for"}`, 404, ""},
		{"han", item + "/recusals", `{"why":""}`, 409, "reason"},
		{"han", item + "/count", `{"sure":true}`, 400, ""},
	} {
		answer := w.post(one.who, one.path, one.body)
		require.Contains(t, answer.is(one.status), one.says, "%s: %s", one.who, one.body)
	}
	require.Equal(t, claims.BeforeCouncil, w.claim().State)
	w = newWorld(t)
	for _, path := range []string{"", "/meetings/1", item} {
		require.Contains(t, w.ask(request{method: http.MethodGet, path: pathCouncil + path,
			token: w.with("claims-council")}).is(http.StatusNotFound), "--claims")
	}
}
