package desk

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
)

// offering makes the campaign one that has two offers.
func offering(w *world) {
	c := aCampaign()
	c.Items = append(c.Items, grant.Item{ID: "offer", Kind: grant.KindEmoticon, Validity: grant.Validity{Taken: true}},
		grant.Item{ID: "first", Kind: grant.KindItem, Validity: grant.Validity{Taken: true}, First: 1})
	w.cfg.Campaign = c
}

func (w *world) take(user, item string) answer {
	w.Helper()
	return w.ask(request{method: http.MethodPost, path: base + "/users/" + user + "/takes", token: w.tokens[RoleOperator],
		body: `{"item":"` + item + `"}`})
}

func TestAUserTakesWhatIsOffered(t *testing.T) {
	w := newWorld(t, offering)
	require.Contains(t, w.take("2", "offer").is(http.StatusConflict), "has not been granted to this user, or not yet")
	w.grantTo(1, 2)
	var first, again takenOne
	a := w.take("2", "offer")
	a.is(http.StatusOK)
	a.into(&first)
	require.Equal(t, grant.OutcomeTaken, first.Outcome)
	require.Equal(t, "sorry-2022", first.Campaign)
	a = w.take("2", "offer")
	a.is(http.StatusOK)
	a.into(&again)
	require.Equal(t, grant.OutcomeAlready, again.Outcome)
	require.Equal(t, first.TakenAt, again.TakenAt)
	_, offset := again.TakenAt.Zone()
	require.Equal(t, 9*60*60, offset, "in the zone of the campaign")

	w.take("2", "first").is(http.StatusOK)
	late := w.take("1", "first")
	require.Equal(t, "first: quota exhausted: the first 1 have it", late.is(http.StatusConflict))
	var p Problem
	late.into(&p)
	require.Equal(t, grant.OutcomeExhausted, p.Outcome)
	counted := func(item string, outcome grant.Outcome) float64 {
		return w.metric("takes_total", "item", item, "outcome", string(outcome))
	}
	require.InDelta(t, 1, counted("offer", grant.OutcomeTaken), 0)
	require.InDelta(t, 1, counted("offer", grant.OutcomeAlready), 0)
	require.InDelta(t, 1, counted("first", grant.OutcomeExhausted), 0)
	require.Contains(t, w.take("1", "cheer-up").is(http.StatusNotFound), "no item cheer-up that users take")
	require.Contains(t, w.take("x", "offer").is(http.StatusBadRequest), "malformed")

	many := w.ask(request{method: http.MethodPost, path: base + "/takes", token: w.tokens[RoleOperator],
		body: `{"takes":[{"user":"2","item":"offer"},{"user":"1","item":"offer"},{"user":"3","item":"offer"}]}`})
	many.is(http.StatusOK)
	var all takenMany
	many.into(&all)
	require.Equal(t, []grant.Outcome{grant.OutcomeAlready, grant.OutcomeTaken, grant.OutcomeNotGranted},
		[]grant.Outcome{all.Takes[0].Outcome, all.Takes[1].Outcome, all.Takes[2].Outcome})
	for body, says := range map[string]string{
		`{"takes":[]}`: "0 takes: want 1 to 10000",
		`{"takes":[{"user":"2","item":"offer"},{"user":"x","item":"offer"}]}`: "takes[1]: ",
		`{"takes":[{"user":"2","what":"offer"}]}`:                             "unknown field",
		`{"takes":[{"user":"2","item":"offer"}]} x`:                           "something comes after",
	} {
		require.Contains(t, w.ask(request{method: http.MethodPost, path: base + "/takes", token: w.tokens[RoleOperator],
			body: body}).is(http.StatusBadRequest), says)
	}
	large := `{"takes":[{"user":"2","item":"` + strings.Repeat("x", maxTakesBody) + `"}]}`
	w.ask(request{method: http.MethodPost, path: base + "/takes", token: w.tokens[RoleOperator], body: large}).
		is(http.StatusRequestEntityTooLarge)
}

// opened counts how often a campaign is looked at, which costs Redis a question.
type opened struct {
	Campaigns

	times atomic.Int64
}

func (o *opened) Open(ctx context.Context, name string) (*Subject, error) {
	o.times.Add(1)
	return o.Campaigns.Open(ctx, name)
}

// Takes ask for the campaign once in a while, and not each of them.
func TestATakeDoesNotAskForItsCampaign(t *testing.T) {
	var looked *opened
	w := newWorld(t, offering, func(w *world) {
		looked = &opened{Campaigns: only{&w.cfg.Subject}}
		w.cfg.Campaigns, w.cfg.Label = looked, w.cfg.Campaign.Name
	})
	w.grantTo(1, 2)
	before := looked.times.Load()
	for range 40 {
		w.take("2", "offer").is(http.StatusOK)
	}
	require.Less(t, looked.times.Load()-before, int64(20))
}

// Many who ask at once are not limited as people are, and each gets the answer that is meant for them.
func TestManyTakeAtOnce(t *testing.T) {
	w := newWorld(t, offering)
	w.grantTo(1, 2)
	token := w.tokens[RoleOperator]
	var work sync.WaitGroup
	for worker := range 8 {
		work.Go(func() {
			for i := range 40 {
				user := strconv.Itoa((worker + i) % 4)
				a := w.ask(request{method: http.MethodPost, path: base + "/users/" + user + "/takes", token: token,
					body: `{"item":"offer"}`})
				granted := user == "1" || user == "2"
				if granted != (a.status == http.StatusOK) || !granted && a.status != http.StatusConflict {
					t.Errorf("user %s: %d", user, a.status)
				}
			}
		})
	}
	work.Wait()
}

// Users with UUIDs take what is offered, whatever the spelling, alone and in a list; and the answer about one says so.
func TestUsersWithUUIDsTake(t *testing.T) {
	w := newWorld(t, func(w *world) {
		offering(w)
		serveIDs(w, grant.IDsUUID, aUUID, w.cfg.Campaign.Items[len(w.cfg.Campaign.Items)-2:]...)
	})
	var one takenOne
	a := w.take(strings.ToUpper(aUUID), "offer")
	a.is(http.StatusOK)
	a.into(&one)
	require.Equal(t, aUUID, one.User.String())
	require.Equal(t, grant.OutcomeTaken, one.Outcome)
	other := "6ba7b810-9dad-11d1-80b4-00c04fd430c9"
	require.Contains(t, w.take(other, "offer").is(http.StatusConflict), "has not been granted to this user, or not yet")
	require.Contains(t, w.take("7", "offer").is(http.StatusBadRequest), "want a UUID")
	many := w.ask(request{method: http.MethodPost, path: base + "/takes", token: w.tokens[RoleOperator],
		body: `{"takes":[{"user":"{` + aUUID + `}","item":"offer"},{"user":"` + aUUID + `","item":"first"},{"user":"` + other +
			`","item":"first"}]}`})
	many.is(http.StatusOK)
	var all takenMany
	many.into(&all)
	require.Equal(t, []grant.Outcome{grant.OutcomeAlready, grant.OutcomeTaken, grant.OutcomeNotGranted},
		[]grant.Outcome{all.Takes[0].Outcome, all.Takes[1].Outcome, all.Takes[2].Outcome})
	var answer lookup.Answer
	w.get(RoleSupport, base+"/users/"+aUUID).into(&answer)
	require.Equal(t, one.TakenAt, answer.Entitlements[len(answer.Entitlements)-2].TakenAt)
	require.Contains(t, string(w.get(RoleSupport, searchPath+"/"+aUUID).body), "offer")
}
