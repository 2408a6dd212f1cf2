package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/status"
)

func TestWhatAUserHas(t *testing.T) {
	w := newWorld(t)
	w.grant()
	answer := w.get(RoleSupport, base+"/users/2")
	answer.is(http.StatusOK)
	var u lookup.Answer
	answer.into(&u)
	g, ok, err := w.reader.Lookup(t.Context(), grant.NumberID(2))
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, g.At.Equal(*u.GrantedAt))
	_, offset := u.GrantedAt.Zone()
	require.Equal(t, 9*60*60, offset, "in the zone of the campaign")
	require.Equal(t, aRun, u.Source.Run)
	require.Equal(t, []lookup.Range{{Partition: 0, First: 1, Last: 1}}, u.Source.Offsets)
	require.Equal(t, grant.NumberID(2), u.User)
	require.True(t, u.Granted)
	until := g.At.Add(90 * 24 * time.Hour)
	require.True(t, until.Equal(*u.Entitlements[1].ExpiresAt))
	u.Entitlements[1].ExpiresAt = nil
	require.Equal(t, []lookup.Entitlement{
		{ID: "thank-you", Kind: grant.KindEmoticon, State: grant.StateActive, Permanent: true},
		{ID: "cheer-up", Kind: grant.KindEmoticon, State: grant.StateActive},
		{ID: "cash", Kind: grant.KindCredit, Amount: 50_000, Currency: "KRW", State: grant.StateActive, Permanent: true},
	}, u.Entitlements)
}

func TestWhatHasExpired(t *testing.T) {
	campaign := aCampaign()
	campaign.Items[1].Validity = grant.Validity{Length: time.Nanosecond}
	w := newWorld(t, func(w *world) { w.cfg.Campaign = campaign })
	w.grant()
	var u lookup.Answer
	w.get(RoleSupport, base+"/users/2").into(&u)
	require.Equal(t, []bool{false, true, false}, []bool{u.Entitlements[0].Expired, u.Entitlements[1].Expired,
		u.Entitlements[2].Expired})
}

// oneItem is the campaign with an item of some validity.
func oneItem(t *testing.T, validity string) *grant.Campaign {
	t.Helper()
	c, err := campaign.Parse("spec.yaml", []byte("campaign: sorry-2022\ntitle: Sorry\nstarts_at: 2022-11-05T09:00:00+09:00\n"+
		"source: {topic: users}\nitems:\n  - {id: cheer-up, kind: emoticon, validity: "+validity+"}\n"))
	require.NoError(t, err)
	return c
}

// A desk that was started with another file showed what the file says, for users who were granted otherwise.
func TestAUserIsAnsweredAboutByTheLedgersSpec(t *testing.T) {
	file, granted := oneItem(t, "30d"), oneItem(t, "90d")
	w := newWorld(t, func(w *world) { w.serve(file); w.openLedger(granted); w.cfg.Campaign = file })
	require.NoError(t, w.grants.EnsureSpec(t.Context(), granted))
	w.grant()
	answer := w.get(RoleSupport, base+"/users/2")
	answer.is(http.StatusOK)
	var u lookup.Answer
	answer.into(&u)
	require.Equal(t, u.GrantedAt.Add(90*24*time.Hour), *u.Entitlements[0].ExpiresAt)
	require.Equal(t, &status.Differs{
		File: file.Hash, Ledger: granted.Hash, Fields: campaign.Diff(granted.Canonical, file.Canonical),
	}, u.SpecDiffers)

	w.redis.HSet("granter:{sorry-2022}:spec", "canonical", "garbage")
	require.Contains(t, w.get(RoleSupport, base+"/users/2").is(http.StatusInternalServerError), "granter:{sorry-2022}:spec")
}

// What the user took is asked by the ledger's spec, too: the file has nothing to take.
func TestAUserIsAnsweredAboutByWhatTheLedgersSpecLetsTake(t *testing.T) {
	file, granted := oneItem(t, "30d"), oneItem(t, "{for: permanent, from: taken}")
	w := newWorld(t, func(w *world) { w.serve(file); w.openLedger(granted); w.cfg.Campaign = file })
	require.NoError(t, w.grants.EnsureSpec(t.Context(), granted))
	w.grant()
	takes := ledger.NewTakes(w.reader.Store, aRun)
	taken, err := takes.Take(t.Context(), granted, []ledger.Take{{User: grant.NumberID(2), Item: 0}})
	require.NoError(t, err)
	require.False(t, taken[0].At.IsZero())
	var u lookup.Answer
	w.get(RoleSupport, base+"/users/2").into(&u)
	require.NotNil(t, u.Entitlements[0].TakenAt)
}

// Who has nothing is told why, and what to do next.
func TestAUserWhoHasNothing(t *testing.T) {
	w := newWorld(t)
	w.grant()
	for _, id := range []string{"3", "9223372036854775807"} {
		answer := w.get(RoleSupport, base+"/users/"+id)
		answer.is(http.StatusOK)
		var u lookup.Answer
		answer.into(&u)
		require.True(t, u.Known)
		require.False(t, u.Granted)
		require.Nil(t, u.GrantedAt)
		require.Empty(t, u.Entitlements)
		require.Equal(t, []lookup.Code{lookup.NobodyRuns, lookup.InLag}, codes(u), "records wait, and nobody runs")
		require.EqualValues(t, 4, u.Reasons[1].Lag.Records)
	}
}

func codes(a lookup.Answer) []lookup.Code {
	out := []lookup.Code{}
	for _, r := range a.Reasons {
		out = append(out, r.Code)
	}
	return out
}

// One request for all campaigns: whatever cannot be asked takes no other along, and nobody sees campaigns of others.
func TestAUserInAllCampaigns(t *testing.T) {
	two := &fixedCampaigns{}
	w := newWorld(t, func(w *world) {
		two.set(w)
		w.cfg.Campaigns = two
	})
	w.grant()
	answer := w.get(RoleSupport, "/api/v1/users/2")
	answer.is(http.StatusOK)
	var u User
	answer.into(&u)
	require.Equal(t, grant.NumberID(2), u.User)
	require.Len(t, u.Answers, 3)
	require.Equal(t, "sorry-2022", u.Answers[0].Campaign, "who granted something is first")
	require.True(t, u.Answers[0].Granted)
	require.Equal(t, []lookup.Code{lookup.LedgerInconsistent}, codes(u.Answers[1]))
	require.Equal(t, []lookup.Code{lookup.LedgerUnavailable}, codes(u.Answers[2]))
	require.False(t, u.Answers[1].Known || u.Answers[2].Known)
	require.Contains(t, w.get(RoleSupport, "/api/v1/users/02").is(http.StatusBadRequest), "leading_zero")

	w.allow(strings.Replace(w.accessLine(RoleSupport), "sha256:", "campaigns:other-2023 sha256:", 1))
	require.Eventually(t, func() bool {
		w.get(RoleSupport, "/api/v1/users/2").into(&u)
		return len(u.Answers) == 1
	}, patience, time.Millisecond)
	require.Equal(t, "other-2023", u.Answers[0].Campaign)
}

// fixedCampaigns are the world's campaign, one whose spec is broken, and one that cannot be opened.
type fixedCampaigns struct{ subject *Subject }

func (f *fixedCampaigns) set(w *world) { f.subject = &w.cfg.Subject }

func (f *fixedCampaigns) Names() []string { return []string{"other-2023", "sorry-2022", "worn-2021"} }

func (*fixedCampaigns) Refresh(context.Context) error { return nil }

func (f *fixedCampaigns) Open(_ context.Context, name string) (*Subject, error) {
	switch name {
	case "sorry-2022":
		return f.subject, nil
	case "other-2023":
		return &Subject{
			Campaign: &grant.Campaign{Name: name}, Broken: fmt.Errorf("%w: its spec", ledger.ErrInconsistent),
		}, nil
	}
	return nil, errors.New("no route to host")
}

func (f *fixedCampaigns) List(context.Context) ([]status.Brief, error) { return nil, nil }

func TestWhatIsNoUser(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"x", "-1", "01", "1.0", "%20", "1%2F2"} {
		require.Contains(t, w.get(RoleSupport, base+"/users/"+id).is(http.StatusBadRequest), "is malformed", id)
	}
}

// A user who counts as granted without a journal entry is a broken ledger, and not somebody who has nothing.
func TestALedgerThatContradictsItself(t *testing.T) {
	w := newWorld(t)
	w.grant()
	w.redis.Del("granter:{sorry-2022/0}:journal")
	require.Contains(t, w.get(RoleSupport, base+"/users/2").is(http.StatusInternalServerError), "inconsistent")
}
