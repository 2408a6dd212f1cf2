package owner

import (
	"bytes"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store/storetest"
)

// Whoever comes on a day of others is told so at the first question, with the day that is his own, and again if he hands in then.
func TestAnOwnersDayIsSaidAtTheFirstQuestion(t *testing.T) {
	w := newWorld(t, nil)
	p, err := w.store.Adopt(t.Context(), append(bytes.Clone(storetest.Source(t)),
		"\nstagger:\n  - {on: 2023-02-20, digits: [2, 7]}\n  - {on: 2023-02-21, digits: [1, 6]}\n"...))
	require.NoError(t, err)
	cfg := w.site.Config
	cfg.Programme = p
	server := httptest.NewServer(New(cfg))
	t.Cleanup(server.Close)
	w.url = server.URL
	w.at = time.Date(2023, 2, 20, 14, 0, 0, 0, time.UTC) // an hour before midnight in Seoul
	b := w.browser()
	b.get("/?lang=en").shows("20 February 2023: numbers that end in 2, 7", "21 February 2023: numbers that end in 1, 6")
	b.post("/start")
	b.post(b.path, "business_number", "120-81-47521")
	require.Equal(t, 422, b.status)
	b.shows("A business whose number ends in 1 can claim from 21 February 2023 on. Please come back then.")
	b.get("/claim/question/business?lang=ko").post("/claim/question/business", "business_number", "120-81-47521").
		shows("끝자리가 1인 사업자는 2023년 2월 21일부터")
	w.at = w.at.Add(2 * time.Hour)
	b.get("/claim/question/business?lang=en").post(b.path, "business_number", "120-81-47521")
	b.post(b.path, "representative", "김사장", "opened", "20200301")
	b.post(b.path, "industry", "restaurants")
	b.post(b.path, "outage_sales", "1000000", "week_sales_1", "1310000")
	b.post(b.path, "phone", "010-1234-5678")
	b.post(b.path, "bank", "004", "account", "110-123-456789")
	require.Equal(t, "/claim/check", b.path, b.page)
	w.at = w.at.Add(-2 * time.Hour)
	b.post("/claim/check").shows("can claim from 21 February 2023 on")
	require.Equal(t, 422, b.status)
	w.at = w.at.Add(2 * time.Hour)
	b.post("/claim/check").shows("We have your claim")
}
