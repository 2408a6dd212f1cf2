package owner

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func (w *world) reportedBy(i int, by store.Reporter) {
	w.t.Helper()
	storetest.Reported(w.t, w.store, w.site.Programme, i, 350_000, by)
}

// An owner sees the report that was made with the same phone or e-mail, and its sum once business and account are confirmed.
func TestOwnersSeeWhatTheyReported(t *testing.T) {
	w := newWorld(t, nil)
	w.reportedBy(1, store.Reporter{Phone: "+82-10-1234-0001"})
	b := w.browser()
	b.answers(1, 400_000).shows("먼저 하신 신고", "2022년 10월 20일", "신고번호 R-0001", "신고만으로는 지급되지 않으니")
	require.NotContains(t, b.page, "350,000")
	b.post("/claim/check").shows("접수했습니다")
	b.get("/claim").shows("먼저 하신 신고", "확인되면 보입니다")
	require.NotContains(t, b.page, "350,000")
	w.process()
	b.get("/claim?lang=en").shows("Your earlier report", "reported loss 350,000 won")
	w.sound()
}

// Whoever types somebody else's business number learns nothing of its report, however many phones are tried.
func TestNobodyLearnsWhatSomebodyElseReported(t *testing.T) {
	w := newWorld(t, nil)
	w.reportedBy(1, store.Reporter{Phone: "010-7777-7777", Email: "her@example.com"})
	w.reportedBy(2, store.Reporter{})
	for _, i := range []int{1, 2} { // another phone; none was left
		b := w.browser()
		b.answers(i, 400_000)
		require.NotContains(t, b.page, "R-")
		require.NotContains(t, b.page, "먼저 하신 신고")
	}
	b := w.browser()
	b.answers(1, 400_000)
	for range reportsAtOnce {
		b.get("/claim/check")
		require.Equal(t, http.StatusOK, b.status)
	}
	b.get("/claim/question/contact").post("/claim/question/contact", "phone", "010-7777-7777", "back", "check")
	require.Equal(t, "/claim/check", b.path)
	require.NotContains(t, b.page, "R-", "not even the right one after so many")
	b.post("/claim/check").shows("접수했습니다")
	require.NotContains(t, b.page, "먼저 하신 신고") // a secret code may have "R-" in it
}
