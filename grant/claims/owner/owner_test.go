package owner

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
)

func TestAnOwnerClaimsInSevenAnswersAndSeesWhatBecameOfIt(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	b.get("/").shows("피해 지원 신청", "300,000원 미만 → 30,000원", "2023년 2월 27일 23:59까지")
	require.LessOrEqual(t, len((&visit{Site: w.site, draft: map[string]string{}}).asked().Topics()), 7)
	number, code := b.claim(1, 300_000)
	b.get("/claim").shows("접수됨", number, "지금 하실 일은 없습니다", "***-***-**0001")
	require.NotContains(t, b.page, "110-123-000001", "whoever looks over the shoulder learns no account")
	w.process()
	b.get("/claim").shows("지급 결정", "50,000원", "평소 주간 1,300,000원 − 장애 주간 1,000,000원", "매출 손실 300,000원 이상 500,000원 미만")
	c := w.load(number)
	require.Equal(t, claims.Won(50_000), c.Owed)
	require.Equal(t, "page", c.Channel)
	_, err := w.store.Draft(t.Context(), number)
	require.ErrorIs(t, err, store.ErrNotFound, "what was written is in the claim, and nowhere else")

	other := w.browser()
	other.get("/claim").shows("내 신청 보기")
	require.Equal(t, "/enter", other.path)
	other.post("/enter", "number", strings.ToLower(number), "code", strings.ReplaceAll(code, "-", " ")).shows("지급 결정")
	other.get("/claim?lang=en").
		shows("Approved", "50,000 won", "a usual week, 1,300,000 won, less the week of the outage, 1,000,000 won")
	other.post("/sign-out")
	require.Equal(t, "/", other.path)
	other.get("/claim")
	require.Equal(t, "/enter", other.path)
	link := w.browser().get("/enter/"+number+"/"+code).shows("내 신청 열기", number)
	require.NotContains(t, link.page, "?lang=en&", "no code stands in another link")
	link.post("/enter", "number", number, "code", code).shows("지급 결정")
}

func TestWhatIsWrongIsSaidWhereItIs(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	b.get("/").post("/start")
	for given, want := range map[string]string{
		"": "적어 주세요", "120-81-47522": "사업자등록번호 10자리를 다시", "000-00-00000": "사업자등록번호 10자리를 다시", "900101-1234567": "주민등록번호로 보이는",
	} {
		b.post("/claim/question/business", "business_number", given).shows("다시 확인해 주세요", want)
		require.Equal(t, http.StatusUnprocessableEntity, b.status)
		require.Contains(t, b.page, `aria-invalid="true"`)
		require.Contains(t, b.page, `<title>오류: `)
		require.NotContains(t, b.page, "1234567")
	}
	draft, err := w.store.Draft(t.Context(), w.draftOf(b))
	require.NoError(t, err)
	require.Empty(t, draft, "nothing of it is kept")
	b.post("/claim/question/business", "business_number", "１２０ ８１ ４７５２１")
	require.Equal(t, "/claim/question/registration", b.path)
	b.post(b.path, "representative", strings.Repeat("가", 201), "opened", "2020-02-30").shows("200자까지", "연-월-일로")
	b.post("/claim/question/registration", "representative", "김사장", "opened", "2020년 3월 1일", "business_name", "가게")
	b.post(b.path, "industry", "piracy").shows("업종을 하나")
	b.post("/claim/question/industry", "industry", "other")
	for _, bad := range []string{"-1", "many", "1.5", "99999999999999999999", "99999999999999999만"} {
		b.post("/claim/question/sales", "outage_sales", bad, "week_sales_1", "130만").shows("금액을 숫자로")
	}
	b.post("/claim/question/sales", "outage_sales", "100만", "week_sales_1", "130만원")
	b.post(b.path, "phone", "none", "email", "a@b").shows("전화번호를", "이메일 주소를")
	b.post("/claim/question/contact", "phone", "010-1234-5678", "email", "owner@example.com")
	b.post(b.path, "bank", "999", "account", "x").shows("은행을", "계좌번호를")
	b.get("/claim/check")
	require.Equal(t, "/claim/question/account", b.path, "what is missing comes before the end")
	b.post(b.path, "bank", "088", "account", "110-123-456789", "holder", "박사장")
	b.shows("제출하기 전에", "1,000,000원", "신한은행", "박사장", "예상 결과", "매출 손실 300,000원", "50,000원")
	b.get("/claim/question/sales?back=check").
		post("/claim/question/sales", "outage_sales", "1000000", "week_sales_1", "1299999", "back", "check")
	require.Equal(t, "/claim/check", b.path)
	b.shows("매출 손실 299,999원", "30,000원")
	b.get("/claim/question/nothing")
	require.Equal(t, http.StatusNotFound, b.status)
}

func (w *world) draftOf(b *browser) string {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.url, http.NoBody)
	require.NoError(w.t, err)
	for _, c := range b.client.Jar.Cookies(req.URL) {
		if c.Name == cookie {
			id, err := w.store.Session(w.t.Context(), c.Value)
			require.NoError(w.t, err)
			return id
		}
	}
	require.Fail(w.t, "no session")
	return ""
}

func TestADraftIsSavedAndGoneOnWithElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	b.get("/").post("/start").post("/claim/question/business", "business_number", "120-81-47521")
	b.get("/claim/code").shows("30일 동안").post("/claim/code")
	number, code := numberIn.FindStringSubmatch(b.page)[1], codeIn.FindStringSubmatch(b.page)[1]
	other := w.browser()
	other.post("/enter", "number", number, "code", code)
	require.Equal(t, "/claim/question/registration", other.path, "it goes on where it ended")
	other.get("/claim/question/business")
	require.Contains(t, other.page, `value="120-81-47521"`)
	other.get("/claim/withdraw").shows("작성한 내용 지우기").post("/claim/withdraw")
	require.Equal(t, "/", other.path)
	b.get("/claim")
	require.Equal(t, "/enter", b.path, "it is gone")
	b.post("/enter", "number", number, "code", code)
	require.Equal(t, http.StatusForbidden, b.status)
}

func TestABusinessClaimsOnceAndInTime(t *testing.T) {
	w := newWorld(t, nil)
	number, _ := w.browser().claim(1, 100_000)
	b := w.browser().answers(1, 200_000).post("/claim/check").shows("이 사업자의 신청이 이미 있습니다")
	require.NotContains(t, b.page, number, "whose it is, is nobody else's business")
	b.get("/claim/check").shows("제출하기 전에")
	w.at = time.Date(2023, 2, 27, 14, 0, 0, 0, time.UTC)
	late := w.browser().answers(2, 100_000)
	early := late.page
	w.at = time.Date(2023, 2, 27, 15, 0, 0, 0, time.UTC) // 28 February, 00:00, in Seoul
	late.page = early
	late.post("/claim/check").shows("신청 기간이 끝났습니다")
	w.browser().get("/").shows("신청 기간이 끝났습니다")
	w.browser().post("/start").shows("신청 기간이 끝났습니다")
	w.at = w.at.Add(-time.Second)
	late.page = early
	late.post("/claim/check").shows("접수했습니다")
	w.at = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	w.browser().get("/?lang=en").shows("They are from 13 February 2023, 00:00 on.")
	w.sound()
}

// Tapped twice, a button sends its form twice, and a browser shows either answer.
func TestHandingInTwiceIsOneClaim(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser().answers(1, 100_000)
	before := b.page
	answers := make([]string, 8)
	var taps errgroup.Group
	for i := range answers {
		taps.Go(func() error {
			res, err := b.client.PostForm(w.url+"/claim/check", url.Values{proofField: {proofIn.FindStringSubmatch(before)[1]}})
			if err != nil {
				return err
			}
			defer res.Body.Close()
			page, err := io.ReadAll(res.Body)
			answers[i] = string(page)
			return err
		})
	}
	require.NoError(t, taps.Wait())
	b.page = before
	b.post("/claim/check").shows("접수했습니다")
	number, code := numberIn.FindStringSubmatch(b.page)[1], codeIn.FindStringSubmatch(b.page)[1]
	for _, page := range answers {
		require.Contains(t, page, code, "this answer's code is ended by another one's")
	}
	w.browser().post("/enter", "number", number, "code", code).shows("접수됨")
	lines, err := w.store.List(t.Context(), store.Filter{})
	require.NoError(t, err)
	require.Len(t, lines, 1)
	b.get("/claim/question/sales")
	require.Equal(t, "/claim", b.path, "what was handed in is not written over")

	w.at = w.at.Add(time.Second)
	once := onceIn.FindStringSubmatch(b.get("/claim/code").page)[1]
	other := codeIn.FindStringSubmatch(b.post("/claim/code", onceField, once).page)[1]
	require.NotEqual(t, code, other)
	b.get("/claim/code")
	require.NotEqual(t, once, onceIn.FindStringSubmatch(b.page)[1])
	require.Equal(t, other, codeIn.FindStringSubmatch(b.post("/claim/code", onceField, once).page)[1])
	b.page = before
	b.post("/claim/check").shows("접수됨")
	require.Equal(t, "/claim", b.path, "the receipt's code opens nothing any more")
}

func TestAnOwnerChangesTheAccount(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 100_000)
	w.process()
	b.get("/claim").get("/claim/account").post("/claim/account", "bank", "088", "account", "900101-1234567").shows("주민등록번호로")
	b.post("/claim/account", "bank", "088", "account", "110-999-888777").
		shows("계좌를 바꿨습니다", "확인될 때까지 지급하지 않습니다", "신한은행 ***-***-**8777")
	require.Nil(t, w.load(number).Identity)
	w.process()
	require.Nil(t, w.load(number).Identity, "it is held for a day")
	w.at = w.at.Add(store.AccountHold)
	w.process()
	require.NotNil(t, w.load(number).Identity)
	_, err := w.store.Declare(t.Context(), w.site.Programme, 10, store.Actor{Name: "choi", Duty: claims.Payer})
	require.NoError(t, err)
	b.again(number).shows("은행에 지급 요청함")
	require.NotContains(t, b.page, "/claim/account")
	b.get("/claim/account").shows("지금은 계좌를 바꿀 수 없습니다")
}

func TestAnOwnerWithdrawsAndClaimsAgain(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 100_000)
	b.get("/claim/withdraw").shows("되돌릴 수 없지만").post("/claim/withdraw").shows("취소함", "취소했습니다")
	require.Equal(t, claims.Withdrawn, w.load(number).State)
	b.get("/claim/withdraw").shows("지금은 취소할 수 없습니다")
	w.browser().claim(1, 120_000)
	w.sound()
}

func TestAnOwnerObjectsInTime(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 0)
	w.process()
	b.get("/claim").shows("지급하지 않음", "계산된 손실이 없습니다", "이의 제기하기")
	b.get("/claim/objection").shows("2023년 3월 31일 23:59까지").post("/claim/objection", "text", "  ").shows("내용을 적어 주세요")
	b.post("/claim/objection", "text", "제 주민번호는 900101-1234567").shows("저장하지 않았습니다")
	require.NotContains(t, b.page, "900101")
	b.post("/claim/objection", "text", "장부가 <b>틀렸습니다</b>").shows("이의 심사 중", "이의를 접수했습니다")
	c := w.load(number)
	require.Equal(t, claims.Objected, c.State)
	letters, err := w.store.Letters(t.Context(), number)
	require.NoError(t, err)
	require.Equal(t, map[int]string{c.Seq: "장부가 <b>틀렸습니다</b>"}, letters)
	b.get("/claim/withdraw").shows("처음 결정이 그대로").post("/claim/withdraw").shows("이의 받아들이지 않음")

	late := w.browser()
	number, _ = late.claim(2, 0)
	w.process()
	w.at = time.Date(2023, 3, 31, 15, 0, 0, 0, time.UTC)
	late.again(number).get("/claim/objection").shows("지금은 이의를 제기할 수 없습니다")
}

// again lets somebody in whose session is over.
func (b *browser) again(number string) *browser {
	b.t.Helper()
	code, err := b.store.NewCode(b.t.Context(), number, true)
	require.NoError(b.t, err)
	return b.post("/enter", "number", number, "code", code)
}

func TestAQuestionIsAnswered(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 299_000) // just below a tier: a person looks
	w.process()
	b.get("/claim").shows("담당자 확인 중", "거절된 것은 아닙니다")
	lee := store.Actor{Name: "lee", Duty: claims.Reviewer}
	c := w.load(number)
	require.NoError(t, w.store.Commit(t.Context(), []store.Step{
		{Claim: c, Action: claims.Clear, By: lee, Reason: "fine"},
		{Claim: c, Action: claims.Ask, By: lee, Reason: "장애 주간에 휴업하셨나요?"},
	}, nil))
	b.get("/claim").shows("추가 확인 필요", "장애 주간에 휴업하셨나요?").post("/claim/reply", "text", "아니요").shows("답변을 받았습니다", "확인 중")
	b.post("/claim/reply", "text", "또")
	require.Equal(t, http.StatusConflict, b.status)
	require.NotContains(t, b.page, "lee")
	w.process()
	require.Equal(t, claims.Approved, w.load(number).State)
}

// An extension counts for the page that runs already: what it says, and what it takes.
func TestAnExtendedWindowIsOpen(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	w.at = time.Date(2023, 3, 1, 3, 0, 0, 0, time.UTC)
	b.get("/").shows("신청 기간이 끝났습니다")
	p := w.site.Programme
	old := time.Date(2023, 2, 28, 0, 0, 0, 0, p.Zone)
	for _, window := range []string{"additional-reports", "documents"} {
		_, err := w.store.Extend(t.Context(), p, store.Extension{Window: window, Old: old, New: old.AddDate(0, 0, 46)},
			store.Actor{Name: "oh", Duty: claims.Secretary}, "few have filed")
		require.NoError(t, err)
	}
	b.get("/").shows("2023년 4월 14일 23:59까지 신청할 수 있습니다")
	number, code := b.claim(1, 900_000)
	w.process()
	b.get("/claim").shows("2023년 4월 14일 23:59까지 보내 주세요")
	w.at = time.Date(2023, 4, 15, 0, 0, 0, 0, p.Zone)
	b.get("/enter").post("/enter", "number", number, "code", code).shows("서류를 보내는 기간이 끝났습니다")
}
