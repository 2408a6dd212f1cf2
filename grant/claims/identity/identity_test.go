package identity

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity/identitytest"
)

func TestWhatTheTaxOfficeSaysOfBusinesses(t *testing.T) {
	services := &identitytest.Services{}
	server := httptest.NewServer(services)
	defer server.Close()
	services.Set("1208147521", identitytest.Business{Code: "02"})
	services.Set("1248100998", identitytest.Business{Code: "03", End: "20220930"})
	services.Set("2208162517", identitytest.Business{Valid: "02"})
	services.Set("1010110015", identitytest.Business{Code: "77"})
	got, err := NewRegistry(server.URL+"/", "key").Ask(t.Context(), []Business{
		{Number: "1208147521", Opened: "2020-01-01"}, {Number: "1248100998"}, {Number: "2208162517"}, {Number: "1010110015"},
		{Number: "1"},
	})
	require.NoError(t, err)
	require.Equal(t, map[claims.BusinessNumber]Standing{
		"1208147521": {State: Suspended}, "1248100998": {Closed, "2022-09-30"}, "2208162517": {State: Mismatch},
		"1": {State: Active},
	}, got, "a code that nobody knows is no answer")
	_, err = NewRegistry(server.URL, "").Ask(t.Context(), []Business{{Number: "1"}})
	require.ErrorIs(t, err, ErrAway, "a key that is not known says nothing of the business")
}

func TestWhoHoldsAnAccount(t *testing.T) {
	services := &identitytest.Services{}
	server := httptest.NewServer(services)
	defer server.Close()
	services.Hold("088", "1", "(주) 가 게")
	services.Hold("088", "2", "")
	bank := NewBank(server.URL, "token")
	for account, want := range map[Account]string{
		{"004", "110-123", "김사장"}:     Verified,
		{"004", "110-123", "김 사장"}:    Verified,
		{"004", "110-123", "이사장"}:     WrongHolder,
		{"088", "1", "주식회사 가게"}:       Verified,
		{"088", "2", "김사장"}:           NoSuchNumber,
		{"004", "110-123", "(주) 김사장"}: Verified,
	} {
		got, err := bank.Ask(t.Context(), account)
		require.NoError(t, err)
		require.Equal(t, want, got, account)
	}
}

func TestAServiceThatIsAwayIsLeftAloneForAWhile(t *testing.T) {
	services := &identitytest.Services{}
	server := httptest.NewServer(services)
	defer server.Close()
	services.Away(true)
	r := NewRegistry(server.URL, "key")
	at := time.Now()
	r.now = func() time.Time { return at }
	for range failMost {
		_, err := r.Ask(t.Context(), nil)
		require.ErrorIs(t, err, ErrAway)
		require.ErrorContains(t, err, "503")
	}
	require.Equal(t, tries*failMost, services.Calls("/validate"))
	services.Away(false)
	_, err := r.Ask(t.Context(), nil)
	require.ErrorIs(t, err, ErrAway)
	require.Equal(t, tries*failMost, services.Calls("/validate"), "it was not asked")
	at = at.Add(rest)
	_, err = r.Ask(t.Context(), nil)
	require.NoError(t, err)
}

func TestAKeyIsInNoError(t *testing.T) {
	_, err := NewRegistry("http://127.0.0.1:1", "secret").Ask(t.Context(), nil)
	require.ErrorIs(t, err, ErrAway)
	require.NotContains(t, err.Error(), "secret")
	server := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/?stolen", http.StatusFound))
	defer server.Close()
	_, err = NewBank(server.URL, "secret").Ask(t.Context(), Account{})
	require.ErrorContains(t, err, "302", "a key is not carried elsewhere")
}
