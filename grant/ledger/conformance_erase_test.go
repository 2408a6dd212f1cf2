package ledger

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// secretly makes acts with reasons that are looked for afterwards.
func (a *actor) secretly(kind grant.ActKind) grant.Act {
	act := a.act(kind)
	act.Reason = "secret: " + string(kind)
	return act
}

// secrets are the keys in whose values such a reason is.
func (w *world) secrets() (keys []string) {
	for key, value := range w.snapshot() {
		text, err := json.Marshal(value)
		require.NoError(w, err)
		if strings.Contains(string(text), "secret") {
			keys = append(keys, key)
		}
	}
	return keys
}

// Why anything was done about one user goes; what was done, the proof, the publishers' marks and everybody else's reasons stay.
func erasesWhy(w *world) {
	p, a := w.join(), w.actor()
	p.grant(1, delta(1, span(0, 50, 1)))
	user, others, moved := users(1, 3), users(1, 3, 4, 5), users(2, 9)
	shared := a.secretly(grant.ActNote)
	shared.Reason = "for a list"
	a.done(a.secretly(grant.ActNote), user...)
	a.done(shared, others...)
	a.done(a.secretly(grant.ActRevoke), user...)
	a.done(a.secretly(grant.ActReinstate), user...)
	move := a.secretly(grant.ActMove)
	move.To = &moved[0]
	a.done(move, user...)
	arrival := a.secretly(grant.ActHand)
	arrival.From, arrival.GrantedAt = &user[0], w.user(user[0]).GrantedAt()
	a.done(arrival, moved...)
	before, marks := w.user(user[0]), w.withoutWhy(1)
	require.Len(w, before.State.Notes, 2)

	erase := a.act(grant.ActErase)
	erase.Reason = "request 88"
	dry, err := a.Do(w.ctx, []UserAct{{User: user[0], Act: erase}}, true)
	require.NoError(w, err)
	require.NoError(w, dry[0].Err)
	require.NotEmpty(w, w.secrets(), "a dry run erases nothing")
	a.done(erase, user...)
	require.Empty(w, w.secrets())
	w.proven(51, 0)
	after := w.user(user[0])
	require.Equal(w, before.GrantedAt(), after.GrantedAt())
	require.Equal(w, moved[0], *after.State.MovedTo)
	require.Empty(w, after.State.Notes)
	require.Equal(w, "request 88", after.State.Erased.Reason)
	require.Equal(w, "mira", after.State.Erased.Who)
	require.Len(w, w.user(others[1]).State.Notes, 1, "what was said of others, too, stays with them")
	require.Equal(w, marks, w.withoutWhy(1)[:len(marks)], "to publishers the entries are the ones that they know")
	require.True(w, a.does(erase, user...)[0].Again)
	require.ErrorIs(w, a.does(a.act(grant.ActErase), user...)[0].Err, grant.ErrUnchanged)
	require.ErrorIs(w, a.does(a.act(grant.ActErase), users(1, 40)...)[0].Err, grant.ErrUnchanged, "nothing was ever said of them")

	p.grant(2, delta(1, span(0, 50, 1))) // a replay grants nobody again
	w.proven(51, 0)
	a.done(a.act(grant.ActNote), user...)
	require.Len(w, w.user(user[0]).State.Notes, 1, "what is said later is kept")
	a.done(a.act(grant.ActErase), user...)
	require.Empty(w, w.user(user[0]).State.Notes)
	w.proven(51, 0)
}

// withoutWhy is the journal of a chunk, as publishers know its entries.
func (w *world) withoutWhy(chunk uint64) []string {
	l, err := open(w.client, w.campaign(), 0, Config{})
	require.NoError(w, err)
	texts, err := w.client.LRange(w.ctx, l.keys.journal(chunk), 0, -1).Result()
	require.NoError(w, err)
	for i, text := range texts {
		texts[i] = WithoutWhy(text)
		require.Equal(w, texts[i], WithoutWhy(texts[i]))
	}
	return texts
}

// Who is excluded, revoked or has the offer recalled stays so, and nobody is told why any more: nor where a list was excluded.
func erasesWhyOfTheExcluded(w *world) {
	a := w.actor()
	a.done(a.secretly(grant.ActExclude), users(1, 3)...)
	list := a.secretly(grant.ActExclude)
	list.Reason = "for a list"
	a.done(list, users(1, 7, 8)...)
	p := w.join()
	p.grant(1, delta(1, span(20, 10, 1)))
	a.done(a.secretly(grant.ActRevoke), users(1, 20)...)
	for _, user := range users(1, 3, 7, 20) {
		a.done(a.act(grant.ActErase), user)
	}
	require.Empty(w, w.secrets())
	require.Empty(w, w.user(users(1, 3)[0]).Settled.Act.Reason)
	require.Empty(w, w.user(users(1, 7)[0]).Settled.Act.Reason, "it is in the entry of the list, and not told of this user")
	require.Equal(w, "for a list", w.user(users(1, 8)[0]).Settled.Act.Reason)
	revoked := w.user(users(1, 20)[0]).State.Revoked
	require.Equal(w, grant.RevokedErased, revoked.Kind)
	require.Equal(w, grant.PlaceExcluded, w.user(users(1, 3)[0]).Place)
	w.proven(10, 3)
}

// What is kept beside the journal is forgotten: lines of the trail, proposals that are decided, samples.
func forgetsTheTrail(w *world) {
	p, a := w.join(), w.actor()
	p.grant(1, delta(1, span(0, 50, 1)))
	c := a.grants.coordination
	line := func(request string, n int) {
		require.NoError(w, c.Record(w.ctx, grant.HistoryEntry{
			Action: grant.ActionAct, Who: "mira", Via: "cli", Why: "secret",
			Acted: &grant.Acted{Request: request, Kind: grant.ActNote, Users: n},
		}))
	}
	line("one", 1)
	line("many", 9)
	line("of another", 1)
	record := grant.RunRecord{Run: 7, State: grant.RunFinished, Samples: []grant.Reject{
		{Reason: "x", Value: `"65539"`}, {Reason: "y", Value: `"7"`},
	}}
	text, err := json.Marshal(&record)
	require.NoError(w, err)
	require.NoError(w, w.client.HSet(w.ctx, a.keys.runs, "0000000000000007", text).Err())
	proposed := grant.Proposal{Act: a.secretly(grant.ActRevoke), Users: 1, Digest: "d", State: grant.ProposalRejected}
	proposed.Decided = &grant.Decision{Who: "joe", Why: "secret"}
	kept, err := json.Marshal(&proposed)
	require.NoError(w, err)
	require.NoError(w, w.client.HSet(w.ctx, a.keys.proposals, proposed.Act.ID, kept).Err())
	require.NoError(w, w.client.RPush(w.ctx, a.keys.proposed+proposed.Act.ID+":d", "secret").Err())

	of := Forget{
		Requests: []string{"one", "many"}, Proposals: []grant.Proposal{proposed},
		Means: func(value string) bool { return strings.Contains(value, "65539") },
	}
	want := Forgotten{Lines: 1, Proposals: 1, Samples: 1}
	n, err := a.Forget(w.ctx, of, true)
	require.NoError(w, err)
	require.Equal(w, want, n)
	require.Len(w, w.secrets(), 3)
	n, err = a.Forget(w.ctx, of, false)
	require.NoError(w, err)
	require.Equal(w, want, n)
	history, err := c.History(w.ctx)
	require.NoError(w, err)
	require.Equal(w, []string{"", "secret", "secret"}, []string{history[0].Why, history[1].Why, history[2].Why})
	left, err := c.Runs(w.ctx)
	require.NoError(w, err)
	for i := range left {
		if left[i].Run == 7 {
			require.Equal(w, record.Samples[1:], left[i].Samples)
		}
	}
	require.Equal(w, []string{a.keys.history}, w.secrets())
	n, err = a.Forget(w.ctx, of, false)
	require.NoError(w, err)
	require.Equal(w, Forgotten{Proposals: 1}, n, "again is nothing")
}

func conformanceOfErasures(t *testing.T, options Options) {
	for _, test := range []struct {
		name string
		run  func(*world)
	}{
		{"takes away why, and leaves what", erasesWhy},
		{"tells nobody why somebody is excluded or revoked", erasesWhyOfTheExcluded},
		{"forgets the trail, proposals and samples", forgetsTheTrail},
	} {
		t.Run("erasures: "+test.name, func(t *testing.T) { test.run(newWorld(t, options)) })
	}
}
