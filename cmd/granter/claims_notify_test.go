package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func TestOwnersAreToldByAWebhook(t *testing.T) {
	database := claimsDatabase(t)
	at := "--database=" + database
	var got []string
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, string(body))
		w.WriteHeader(status)
	}))
	defer server.Close()
	code, _, errs := ask("notify", at)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "Say one of --smtp, --topic and --webhook")
	code, _, errs = ask("notify", at, "--webhook", server.URL)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "GRANTER_WEBHOOK_SECRET: want whsec_")
	code, _, errs = ask("notify", at, "--smtp", "mail")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "want host:port")
	t.Setenv("GRANTER_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	code, out, errs := ask("notify", at, "--webhook", server.URL)
	require.Zero(t, code, errs)
	require.Contains(t, out, "3 notices made, 3 sent") // two were received, one of them withdrawn
	require.Contains(t, got[0], "신청을 접수했습니다")
	code, out, errs = ask("notify", at, "--webhook", server.URL, "--json")
	require.Zero(t, code, errs)
	require.Contains(t, out, `"sent": 0`)

	s, p := storetest.At(t, database)
	f := storetest.Filing(p, 5, 100_000)
	_, err := s.Receive(t.Context(), []store.Filing{f}, nil)
	require.NoError(t, err)
	status = http.StatusGone
	code, out, _ = ask("notify", at, "--webhook", server.URL)
	require.Zero(t, code)
	require.Contains(t, out, "1 failed")
	code, out, _ = ask("notices", at, "--state", "failed")
	require.Zero(t, code)
	require.Contains(t, out, f.ID+"/1/received")
	require.Contains(t, out, "410 Gone")
	status = http.StatusOK
	code, out, _ = ask("notices", at, "--claim", f.ID, "--resend", f.ID+"/1/received")
	require.Zero(t, code)
	require.Contains(t, out, "waiting")
	code, out, _ = ask("notify", at, "--webhook", server.URL)
	require.Zero(t, code)
	require.Contains(t, out, "1 sent")
	code, _, errs = ask("notices", at, "--resend", "nothing")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "there is no notice nothing")
}
