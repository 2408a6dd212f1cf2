package desk

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

// client is a client with the token of a role; without one it has the certificate of an operator.
func (w *world) client(role Role) *Client {
	w.Helper()
	cfg := ClientConfig{URL: w.server.URL(), Campaign: "sorry-2022", CA: w.ca.file, Token: w.tokens[role]}
	if role == "" {
		cfg.Cert, cfg.Key = w.ca.issue("Ji-hoon Park", x509.ExtKeyUsageClientAuth)
	}
	c, err := NewClient(cfg)
	require.NoError(w, err)
	w.Cleanup(c.Close)
	return c
}

func TestTheClientOrdersAndAsks(t *testing.T) {
	campaign := aCampaign()
	campaign.StartsAt = time.Now().Add(time.Hour).Truncate(time.Second)
	w := newWorld(t, func(w *world) { w.cfg.Campaign = campaign; w.serve(campaign) })
	later := campaign.StartsAt.Add(time.Hour)
	for i, o := range []grant.Order{
		{Action: grant.ActionThrottle, Throttle: 100, Why: "slow"},
		{Action: grant.ActionThrottle, Why: "well again"},
		{Action: grant.ActionPostpone, StartsAt: &later, Why: "late"},
		{Action: grant.ActionPostpone, Why: "not late"},
		{Action: grant.ActionPause, Throttle: 100, Who: "somebody else", Via: "cli", Why: "complaints"},
	} {
		act, err := w.client(RoleOperator).Order(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, o.Action, act.Action)
		require.Equal(t, "a-operator", act.Who)
		require.Equal(t, "api", act.Via)
		require.EqualValues(t, i+1, act.After.Version)
		if o.Action == grant.ActionThrottle {
			require.Equal(t, o.Throttle, act.After.Throttle)
		}
	}
	_, err := w.client("").Order(t.Context(), grant.Order{Action: grant.ActionResume, Why: "by certificate"})
	require.NoError(t, err)

	acts, err := w.client(RoleViewer).History(t.Context())
	require.NoError(t, err)
	require.Equal(t, w.trail(), acts)
	require.Equal(t, "jihoon", acts[5].Who)
	s, err := w.client(RoleViewer).Status(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 6, s.Control.Version)
	require.Equal(t, "sorry-2022", s.Campaign)
}

func TestTheClientSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	order := func(c *Client, o grant.Order) string {
		_, err := c.Order(t.Context(), o)
		require.Error(t, err)
		return err.Error()
	}
	pause := grant.Order{Action: grant.ActionPause, Why: "x"}
	require.Contains(t, order(w.client(RoleViewer), pause), "postpone (ask somebody who may")
	require.Contains(t, order(w.client(RoleOperator), grant.Order{Action: grant.ActionPause}), "say why")

	_, err := w.client(RoleOperator).Order(t.Context(), grant.Order{Action: grant.ActionPostpone, Why: "x"})
	require.ErrorIs(t, err, grant.ErrRefused)
	require.Regexp(t, "^refused: the campaign started", err.Error())

	stranger, err := NewClient(ClientConfig{URL: w.server.URL(), Campaign: "sorry-2022", CA: w.ca.file, Token: "granter_wrong"})
	require.NoError(t, err)
	t.Cleanup(stranger.Close)
	require.Contains(t, order(stranger, pause), "the desk does not know you: the token is not in the access file (use a token")
	for range 2 * failuresAtOnce {
		_, err = stranger.Status(t.Context())
	}
	require.ErrorContains(t, err, "(try again in 1 s)")

	distrustful, err := NewClient(ClientConfig{URL: w.server.URL(), Campaign: "sorry-2022", Token: "granter_wrong"})
	require.NoError(t, err)
	t.Cleanup(distrustful.Close)
	require.Contains(t, order(distrustful, pause), "certificate signed by unknown authority")

	client := w.client(RoleViewer)
	require.NoError(t, w.server.Close())
	_, err = client.History(t.Context())
	require.ErrorContains(t, err, "the desk does not answer")
	for _, secret := range w.tokens {
		require.NotContains(t, err.Error(), secret)
	}
}

func TestTheClientToldOfRedis(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.cfg.Status = func(context.Context) (*status.Status, error) { return nil, context.DeadlineExceeded }
	})
	_, err := w.client(RoleViewer).Status(t.Context())
	require.ErrorContains(t, err, "deadline exceeded (try again in 5 s)")
}

// A token does not follow a redirection, and what is no desk is not believed.
func TestTheClientTalksToADeskOnly(t *testing.T) {
	var asked []string
	answer := func(http.ResponseWriter) {}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		answer(w)
	}))
	defer other.Close()
	client, err := NewClient(ClientConfig{URL: other.URL + "/behind/", Campaign: "sorry-2022", Token: "granter_x"})
	require.NoError(t, err)
	defer client.Close()
	for want, say := range map[string]func(http.ResponseWriter){
		"answers 302 Found": func(w http.ResponseWriter) {
			w.Header().Set("Location", other.URL+"/elsewhere")
			w.WriteHeader(http.StatusFound)
		},
		"is it a desk":                func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"does not answer like a desk": func(w http.ResponseWriter) { w.Write([]byte("<html>")) },
		"answers for the campaign \"sorry-2023\", asked was \"sorry-2022\"": func(w http.ResponseWriter) {
			w.Write([]byte(`{"campaign":"sorry-2023","acts":[]}`))
		},
		"answers for the campaign \"\"": func(w http.ResponseWriter) { w.Write([]byte(`{"acts":[]}`)) },
		"answers 500 Internal Server Error": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusInternalServerError)
		},
	} {
		answer = say
		_, err := client.History(t.Context())
		require.ErrorContains(t, err, want)
	}
	for _, path := range asked {
		require.Equal(t, "/behind/api/v1/campaigns/sorry-2022/history", path)
	}
}

func TestAClientNeedsAddressAndCredential(t *testing.T) {
	for _, c := range []struct {
		cfg  ClientConfig
		want string
	}{
		{ClientConfig{Token: "x"}, "https://host:port"},
		{ClientConfig{Token: "x", URL: "desk.example:9465"}, "https://host:port"},
		{ClientConfig{Token: "x", URL: "ftp://desk.example"}, "https://host:port"},
		{ClientConfig{Token: "x", URL: "https://me:secret@desk.example"}, "nothing secret"},
		{ClientConfig{Token: "x", URL: "http://desk.example"}, "use https"},
		{ClientConfig{Token: "x", URL: "https://desk.example"}, "which campaign?"},
		{ClientConfig{Campaign: "x", URL: "https://desk.example"}, "GRANTER_TOKEN"},
		{ClientConfig{Campaign: "x", URL: "https://desk.example", Cert: "none.pem", Key: "none.key"},
			"client certificate: open none.pem"},
		{ClientConfig{Campaign: "x", Token: "x", URL: "https://desk.example", CA: "none.pem"}, "open none.pem"},
		{ClientConfig{Campaign: "x", Token: "x", URL: "https://desk.example", CA: "client_test.go"}, "no PEM certificate"},
	} {
		_, err := NewClient(c.cfg)
		require.ErrorContains(t, err, c.want, "%+v", c.cfg)
		require.NotContains(t, err.Error(), "secret@")
	}
}
