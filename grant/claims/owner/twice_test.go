package owner

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

// twice sends the form of a page twice, as a button does that is tapped twice, and returns what the second answer shows.
func (b *browser) twice(path string, pairs ...string) *browser {
	b.t.Helper()
	form := b.page
	b.post(path, pairs...)
	b.page = form
	return b.post(path, pairs...)
}

// Whoever taps twice is told that it was done, and it is done once.
func TestAFormThatComesTwiceIsDoneOnce(t *testing.T) {
	w := newWorld(t, nil)
	entries := func(number string, action claims.Action) (n int) {
		list, err := w.store.History(t.Context(), number)
		require.NoError(t, err)
		for i := range list {
			if list[i].Action == action {
				n++
			}
		}
		return n
	}
	b := w.browser()
	number, _ := b.claim(1, 0)
	w.process()
	form := b.get("/claim/objection").page
	b.twice("/claim/objection", "text", "장부가 틀렸습니다").shows("이의 심사 중", "이의를 접수했습니다")
	require.Equal(t, http.StatusOK, b.status)
	require.Equal(t, 1, entries(number, claims.Object))
	b.page = form
	b.post("/claim/objection", "text", "다른 내용").shows("지금은 이의를 제기할 수 없습니다")
	b.get("/claim/withdraw").twice("/claim/withdraw").shows("이의 받아들이지 않음")
	require.Equal(t, 1, entries(number, claims.Withdraw))

	b = w.browser()
	number, _ = b.claim(2, 100_000)
	b.get("/claim/account").twice("/claim/account", "bank", "088", "account", "110-999-888777").shows("계좌를 바꿨습니다")
	require.Equal(t, 1, entries(number, store.ChangeAccount))
	form = b.get("/claim/account").page
	b.post("/claim/account", "bank", "088", "account", "110-999-888778").shows("계좌를 바꿨습니다")
	b.page = form
	b.post("/claim/account", "bank", "088", "account", "110-999-888779").shows("계좌를 바꿨습니다", "***-***-**8779")
	require.Equal(t, 3, entries(number, store.ChangeAccount), "another account than the one before")
	b.get("/claim/withdraw").twice("/claim/withdraw").shows("취소했습니다")
	require.Equal(t, 1, entries(number, claims.Withdraw))
}

// A page that was opened before the claim was decided does not give up what was decided since.
func TestAnOldPageWithdrawsNothing(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 100_000)
	b.get("/claim/withdraw")
	w.process()
	b.post("/claim/withdraw").shows("그 사이에 신청 상태가 바뀌었습니다")
	require.Equal(t, http.StatusConflict, b.status)
	require.Equal(t, claims.Approved, w.load(number).State)
	b.get("/claim/withdraw").post("/claim/withdraw").shows("취소했습니다")
}
