package desk

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/status"
)

func TestWhatAUserHas(t *testing.T) {
	w := newWorld(t)
	w.grant()
	answer := w.get(RoleSupport, base+"/users/2")
	answer.is(http.StatusOK)
	var u User
	answer.into(&u)
	g, ok, err := w.reader.Lookup(t.Context(), 2)
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, g.At.Equal(*u.GrantedAt))
	_, offset := u.GrantedAt.Zone()
	require.Equal(t, 9*60*60, offset, "in the zone of the campaign")
	require.Equal(t, aRun, *u.Run)
	require.EqualValues(t, 2, u.User)
	require.True(t, u.Granted)
	until := g.At.Add(90 * 24 * time.Hour)
	require.True(t, until.Equal(*u.Entitlements[1].ExpiresAt))
	u.Entitlements[1].ExpiresAt = nil
	require.Equal(t, []Entitlement{
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
	var u User
	w.get(RoleSupport, base+"/users/2").into(&u)
	require.Equal(t, []bool{false, true, false}, []bool{u.Entitlements[0].Expired, u.Entitlements[1].Expired,
		u.Entitlements[2].Expired})
}

// A desk that was started with another file showed what the file says, for users who were granted otherwise.
func TestAUserIsAnsweredAboutByTheLedgersSpec(t *testing.T) {
	spec := func(validity string) *grant.Campaign {
		c, err := campaign.Parse("spec.yaml", []byte("campaign: sorry-2022\ntitle: Sorry\nstarts_at: 2022-11-05T09:00:00+09:00\n"+
			"source: {topic: users}\nitems:\n  - {id: cheer-up, kind: emoticon, validity: "+validity+"}\n"))
		require.NoError(t, err)
		return c
	}
	file, granted := spec("30d"), spec("90d")
	w := newWorld(t, func(w *world) { w.serve(file); w.openLedger(granted); w.cfg.Campaign = file })
	require.NoError(t, w.grants.EnsureSpec(t.Context(), granted))
	w.grant()
	answer := w.get(RoleSupport, base+"/users/2")
	answer.is(http.StatusOK)
	var u User
	answer.into(&u)
	require.Equal(t, u.GrantedAt.Add(90*24*time.Hour), *u.Entitlements[0].ExpiresAt)
	require.Equal(t, &status.Differs{
		File: file.Hash, Ledger: granted.Hash, Fields: campaign.Diff(granted.Canonical, file.Canonical),
	}, u.SpecDiffers)

	w.redis.HSet("granter:{sorry-2022}:spec", "canonical", "garbage")
	require.Contains(t, w.get(RoleSupport, base+"/users/2").is(http.StatusInternalServerError), "granter:{sorry-2022}:spec")
}

func TestAUserWhoHasNothing(t *testing.T) {
	w := newWorld(t)
	w.grant()
	for id, body := range map[string]string{
		"3":                   `{"campaign":"sorry-2022","user":"3","granted":false,"entitlements":[]}`,
		"9223372036854775807": `{"campaign":"sorry-2022","user":"9223372036854775807","granted":false,"entitlements":[]}`,
	} {
		answer := w.get(RoleSupport, base+"/users/"+id)
		answer.is(http.StatusOK)
		require.Equal(t, body, string(answer.body))
	}
}

func TestWhatIsNoUser(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"x", "-1", "01", "1.0", "9223372036854775808", "%20", "1%2F2"} {
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
