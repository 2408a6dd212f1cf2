package decide

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/identity"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// pays declares a payout run, and returns how many it pays.
func (w *world) pays() int {
	w.t.Helper()
	run, err := w.Store.Declare(w.t.Context(), w.Programme, 1000, store.Actor{Name: "choi", Duty: claims.Payer})
	require.NoError(w.t, err)
	if run == nil {
		return 0
	}
	return run.Payments
}

// Each of the signals stops the money until a person has judged it; what was judged is remembered, and the claim is paid.
func TestEachSignalStopsTheMoney(t *testing.T) {
	const pdf = "%PDF-1.7\n%%EOF\n"
	for kind, of := range map[claims.SignalKind]struct {
		loss  claims.Won
		first func(*world)
		last  func(*store.Filing)
		then  func(*world, string)
	}{
		claims.SameAccount: {100_000, nil, func(f *store.Filing) { f.Person.Account = "123 0000 001" }, nil},
		claims.SamePhone:   {100_000, nil, func(f *store.Filing) { f.Person.Phone = "+82 10-1234-0001" }, nil},
		claims.SameAddress: {100_000, nil, func(f *store.Filing) { f.Person.Address = "서울 마포구 A동 1-2" }, nil},
		claims.SameDocument: {100_000, nil, nil, func(w *world, id string) {
			keeper := documents.NewKeeper(w.Store, documents.Folder(w.t.TempDir()), nil)
			for _, one := range []string{"c-000001", id} {
				_, err := keeper.Add(w.t.Context(), w.claim(one), documents.Sent{
					Kind: "other", Name: one + ".pdf", Body: bytes.NewReader([]byte(pdf)), By: store.Owner,
				})
				require.NoError(w.t, err)
			}
		}},
		claims.JustBelow: {299_999, nil, nil, nil},
		claims.OpenedLater: {100_000, func(w *world) { // under rules that do not decline it for that
			rules := bytes.Replace(storetest.Source(w.t), []byte("  opened_before: 2022-10-15\n"), nil, 1)
			p, err := w.Store.Adopt(w.t.Context(), rules)
			require.NoError(w.t, err)
			w.Programme = p
		}, func(f *store.Filing) { f.Facts.Opened = "2022-10-15" }, nil},
		claims.AbovePeers: {290_000, func(w *world) {
			for i := range 20 {
				w.file(nil, 100+i, 29_000)
			}
			require.Equal(w.t, 20, w.pass().States[claims.Approved])
			require.Equal(w.t, 20, w.pays())
		}, nil, nil},
		claims.NotConfirmed: {100_000, nil, func(f *store.Filing) { f.Person.Holder = "다른사람" }, nil},
	} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			if of.first != nil {
				of.first(w)
			}
			address := func(f *store.Filing) { f.Person.Address = "서울  마포구 a동 1-2" }
			before := w.file(address, 1, 100_000)
			id := w.file(of.last, 2, of.loss)
			if of.then != nil {
				of.then(w, id)
			}
			w.pass()
			c := w.claim(id)
			require.Equal(t, claims.OnHold, c.State)
			require.Len(t, c.Signals, 1, "%+v", c.Signals)
			require.Equal(t, kind, c.Signals[0].Kind)
			shared := len(c.Signals[0].Others) > 0
			if shared {
				require.Equal(t, []string{before}, c.Signals[0].Others)
				require.Equal(t, claims.OnHold, w.claim(before).State)
				require.Equal(t, []string{id}, w.claim(before).Signals[0].Others)
				require.Zero(t, w.pays())
			} else {
				require.Equal(t, 1, w.pays(), "the other claim")
			}

			require.NoError(t, w.Store.Commit(t.Context(), []store.Step{{
				Claim: c, Action: claims.Clear, By: store.Actor{Name: "lee", Duty: claims.Reviewer}, Reason: "it is right",
			}}, nil))
			for range 2 {
				w.pass()
				require.Equal(t, claims.Approved, w.claim(id).State, "what was judged is remembered")
			}
			require.Equal(t, 1, w.pays())
		})
	}
}

// Whoever is asked is asked about a hundred businesses at a time: of more the tax office answers nothing.
func TestTheTaxOfficeIsAskedAboutAHundredAtATime(t *testing.T) {
	w := newWorld(t)
	for i := range 201 {
		w.file(nil, i, 100_000)
	}
	got := w.pass()
	require.Empty(t, got.Away)
	require.Equal(t, 201, got.States[claims.Approved])
	require.Equal(t, 3, w.services.Calls("/validate"))
}

// away is a bank that does not answer.
type away struct{}

func (away) Ask(context.Context, identity.Account) (string, error) { return "", identity.ErrAway }

// Of two services either may be away, or answer something that nobody knows: the claim waits, and nothing says no.
func TestEitherServiceMayBeAway(t *testing.T) {
	w := newWorld(t)
	number := string(storetest.Number(1))
	id := w.file(nil, 1, 100_000)
	w.services.Set(number, identitytest.Business{Code: "99"})
	require.Equal(t, 1, w.pass().Pending)
	require.Equal(t, claims.Checking, w.claim(id).State)
	require.Nil(t, w.claim(id).Identity)
	w.services.Set(number, identitytest.Business{Code: "01"})
	w.Bank = away{}
	w.at = w.at.Add(time.Hour)
	got := w.pass()
	require.Equal(t, 1, got.Pending)
	require.Equal(t, []string{identity.ErrAway.Error()}, got.Away)
	require.Equal(t, claims.Checking, w.claim(id).State)
	require.Zero(t, w.pays())
	_, w.Bank = fresh(w)
	w.at = w.at.Add(time.Hour)
	w.pass()
	require.Equal(t, claims.Approved, w.claim(id).State)
}
