package owner

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/documents/clamdtest"
	"github.com/granter/granter/grant/claims/store"
)

func TestNobodySeesOrChangesSomebodyElsesClaim(t *testing.T) {
	w := newWorld(t, nil)
	mine, his := w.browser(), w.browser()
	number, code := mine.claim(1, 900_000)
	other, otherCode := his.claim(2, 900_000)
	w.process()
	mine.upload("proof_of_sales_damage", "x.pdf", []byte(pdf)).shows("서류를 받았습니다")
	digest := w.load(number).Documents[0].Digest
	mine.get("/claim/documents/" + digest)
	require.Equal(t, http.StatusOK, mine.status)
	require.Equal(t, pdf, mine.page)
	require.Contains(t, mine.header.Get("Content-Disposition"), "attachment")
	require.Equal(t, documents.PDF, mine.header.Get("Content-Type"))
	require.Contains(t, mine.header.Get("Content-Security-Policy"), "sandbox")

	his.get("/claim/documents/" + digest)
	require.Equal(t, http.StatusNotFound, his.status, "a document of another claim")
	for _, path := range []string{"/claim/" + number, "/claim?id=" + number, "/claim?number=" + number,
		"/claim/documents/..%2f" + digest} {
		his.get(path)
		require.NotContains(t, his.page, number, path)
	}
	for n, c := range map[string]string{number: otherCode, other: code, "": "", number + " ": "0000-0000-0000-0000", "' OR " +
		"'1'='1": "' OR '1'='1"} {
		stranger := w.browser().post("/enter", "number", n, "code", c).shows("맞지 않습니다")
		require.Equal(t, http.StatusForbidden, stranger.status)
		require.NotContains(t, stranger.get("/claim").page, number)
	}
	stranger := w.browser()
	for _, path := range []string{"/claim", "/claim/check", "/claim/account",
		"/claim/withdraw", "/claim/documents", "/claim/code",
		"/claim/objection", "/claim/documents/" + digest, "/claim/question/sales"} {
		stranger.get(path)
		require.Equal(t, "/enter", stranger.path, path)
		stranger.post(path, "text", "x")
		require.Equal(t, claims.DocumentsMissing, w.load(number).State)
	}
}

func TestFormsOfOtherSitesChangeNothing(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 100_000)
	for _, path := range []string{"/claim/withdraw", "/claim/account", "/claim/code", "/sign-out"} {
		for name, attack := range map[string]func(*http.Request){
			"no proof":       func(*http.Request) {},
			"another site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"another origin": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		} {
			form := url.Values{"bank": {"088"}, "account": {"110-999-888777"}}
			if name != "no proof" {
				b.get("/claim/code")
				form.Set(proofField, proofIn.FindStringSubmatch(b.page)[1])
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, strings.NewReader(form.Encode()))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			attack(req)
			require.Equal(t, http.StatusForbidden, b.do(req).status, "%s %s", name, path)
		}
	}
	require.Equal(t, 1, w.load(number).Seq, "nothing was changed")
	b.get("/claim").shows("접수됨")
	other := w.browser()
	other.claim(2, 100_000)
	other.get("/claim/withdraw")
	b.page = other.page // a form of somebody else's session
	require.Equal(t, http.StatusForbidden, b.post("/claim/withdraw").status)
	// A form with a file carries its proof before the file.
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	f, err := m.CreateFormFile("file", "x.pdf")
	require.NoError(t, err)
	_, err = f.Write([]byte(pdf))
	require.NoError(t, err)
	require.NoError(t, m.Close())
	require.Equal(t, http.StatusForbidden, b.request(http.MethodPost, "/claim/documents", &body, m.FormDataContentType()).status)
	require.Empty(t, w.load(number).Documents)
}

func TestCodesAreNotGuessed(t *testing.T) {
	w := newWorld(t, nil)
	number, code := w.browser().claim(1, 100_000)
	b := w.browser()
	refused := 0
	for i := range 2 * entersAtOnce {
		b.post("/enter", "number", number, "code", fmt.Sprintf("0000-0000-0000-%04d", i))
		if b.status == http.StatusTooManyRequests {
			refused++
			require.NotEmpty(t, b.header.Get("Retry-After"))
			continue
		}
		require.Equal(t, http.StatusForbidden, b.status)
	}
	require.GreaterOrEqual(t, refused, entersAtOnce/2)
	b.post("/enter", "number", number, "code", code)
	require.Equal(t, http.StatusTooManyRequests, b.status, "nobody gets an answer beyond the limit, not even the right one")
	proxied := &visit{Site: New(Config{Store: w.store, Programme: w.site.Programme, Proxied: true}), r: &http.Request{
		RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"6.6.6.6, 1.2.3.4"}}}}
	require.Equal(t, "1.2.3.4", proxied.address(), "what the client says of itself does not count")
	proxied.Proxied = false
	require.Equal(t, "10.0.0.1", proxied.address())
}

func TestWhatOwnersWriteIsText(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	b.get("/").post("/start").post("/claim/question/business", "business_number", evil)
	b.post("/claim/question/business", "business_number", "120-81-47521")
	b.post("/claim/question/registration", "representative", evil, "opened", evil)
	require.NotContains(t, b.page, "<script>")
	require.NotContains(t, b.page, "<img")
	require.Contains(t, b.page, "&lt;script&gt;")
	b.post("/claim/question/registration", "representative", evil, "opened", "2020-01-01")
	b.post(b.path, "industry", "retail")
	b.post(b.path, "outage_sales", "1", "week_sales_1", "100001")
	b.post(b.path, "phone", "010-1234-5678").post(b.path, "bank", "004", "account", "110-123-456789")
	require.NotContains(t, b.page, "<script>")
	b.post("/claim/check").get("/claim")
	require.NotContains(t, b.page, "<script>")
	for _, path := range []string{"/enter/" + url.PathEscape(evil) + "/x", "/claim?done=" + url.QueryEscape(evil),
		"/claim/question/" + url.PathEscape(evil),
		"/claim?lang=" + url.QueryEscape(evil), "/" + url.PathEscape(evil)} {
		require.NotContains(t, b.get(path).page, "<script>", path)
	}
	b.post("/enter", "number", evil, "code", evil)
	require.NotContains(t, b.page, "<script>")
}

const pdf = "%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n"

func TestDocumentsAreSentAndTheClaimGoesOn(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 900_000)
	w.process()
	b.get("/claim").shows("서류 필요", "소상공인 확인서", "매출 피해를 보여 주는 자료", "2023년 2월 27일 23:59까지 보내 주세요")
	kinds := w.load(number).Proposal.Documents
	for i, kind := range kinds {
		b.upload(kind, "서류.pdf", []byte(strings.Replace(pdf, "<<", strings.Repeat(" ", i)+"<<", 1))).
			shows("서류를 받았습니다", "악성코드 검사 안 함")
	}
	require.Equal(t, claims.Checking, w.load(number).State)
	w.process()
	b.get("/claim").shows("심사 중")
	b.upload("x", "more.pdf", []byte(pdf+"%%EOF")).shows("그 밖의 자료")
	w.at = inTime.AddDate(0, 0, 8)
	late := w.browser()
	w.at = inTime
	other, _ := late.claim(2, 900_000)
	w.process()
	w.at = inTime.AddDate(0, 0, 8)
	late.again(other).shows("서류를 보내는 기간이 끝났습니다")
	late.get("/claim/documents").shows("기간이 끝났습니다")
	require.NotContains(t, late.page, `type="file"`)
}

func TestWhatIsNoDocumentIsRefusedOnThePage(t *testing.T) {
	scanner, err := clamdtest.Start()
	require.NoError(t, err)
	defer scanner.Close()
	w := newWorld(t, documents.Clamd(scanner.Addr()))
	b := w.browser()
	number, _ := b.claim(1, 900_000)
	w.process()
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"big.pdf":                {append([]byte(pdf), make([]byte, documents.MaxFile)...), "10MB보다 큽니다"},
		"../../x.pdf":            {[]byte("<html>"), "PDF, 사진"},
		"lies.jpg":               {[]byte(pdf), "확장자와 내용이 다릅니다"},
		"cut.pdf":                {[]byte(pdf[:20]), "끝까지 오지 않았거나"},
		"empty.pdf":              {nil, "비어 있습니다"},
		"eicar.pdf":              {[]byte(pdf + clamdtest.EICAR + "%%EOF"), "악성코드가 발견되어"},
		"900101-1234567 등록증.pdf": {[]byte(pdf), "주민등록번호로 보이는"},
	} {
		b.upload("other", name, test.data).shows(test.want)
		require.Equal(t, http.StatusUnprocessableEntity, b.status, name)
	}
	// Cut off half-way: the connection ends before the body does.
	b.get("/claim/documents")
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	require.NoError(t, err)
	req, err := http.NewRequest(http.MethodPost, w.url+"/claim/documents", http.NoBody)
	require.NoError(t, err)
	fmt.Fprintf(
		conn,
		"POST /claim/documents HTTP/1.1\r\nHost: x\r\nCookie: %s=%s\r\nContent-Type: multipart/form-data; boundary=b\r\n"+
			"Content-Length: 100000\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"proof\"\r\n\r\n%s\r\n--b\r\n"+
			"Content-Disposition: form-data; name=\"file\"; filename=\"x.pdf\"\r\n\r\n%s",
		cookie,
		b.client.Jar.Cookies(req.URL)[0].Value,
		proofIn.FindStringSubmatch(b.page)[1],
		pdf,
	)
	require.NoError(t, conn.Close())

	kept, err := w.store.Documents(t.Context(), number)
	require.NoError(t, err)
	require.Empty(t, kept)
	blobs, err := w.site.Documents.Blobs.List()
	require.NoError(t, err)
	require.Empty(t, blobs, "nothing is left behind")

	scanner.Away(true)
	b.upload("small_business_confirmation", "good.pdf", []byte(pdf)).shows("악성코드 검사를 기다리고")
	kept, err = w.store.Documents(t.Context(), number)
	require.NoError(t, err)
	b.get("/claim/documents/" + kept[0].Digest).shows("아직 악성코드 검사를 하지 않은")
	scanner.Away(false)
	_, err = w.site.Documents.Rescan(t.Context())
	require.NoError(t, err)
	b.get("/claim/documents").shows("악성코드 없음")
	require.Equal(
		t,
		store.Document{Kind: "small_business_confirmation", Type: documents.PDF, Size: int64(len(pdf)), Digest: kept[0].Digest,
			Scan: documents.Clean},
		w.load(number).Documents[0],
	)
}

func TestADatabaseThatIsAwayIsSaid(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	b.claim(1, 100_000)
	require.NoError(t, w.store.Close())
	b.get("/claim").shows("지금은 처리할 수 없습니다", "입력하신 내용은 그대로")
	require.Equal(t, http.StatusInternalServerError, b.status)
	require.NotContains(t, b.page, "sql")
}

// A disk without room is said, with what to do next, and the same document is taken when there is room again.
func TestAFolderThatFailsIsSaidOnThePage(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser()
	number, _ := b.claim(1, 900_000)
	folder := w.site.Documents.Blobs
	w.site.Documents.Blobs = documents.Folder("/dev/null/nowhere")
	for lang, says := range map[string]string{"ko": "이 서류는 저장하지 않았고", "en": "This one was not kept"} {
		b.get("/claim/documents?lang="+lang).upload("proof_of_sales_damage", "a.pdf", []byte(pdf)).shows(says)
		require.Equal(t, http.StatusServiceUnavailable, b.status)
		require.NotEmpty(t, b.header.Get("Retry-After"))
	}
	w.site.Documents.Blobs = folder
	b.get("/claim/documents?lang=ko").upload("proof_of_sales_damage", "a.pdf", []byte(pdf)).shows("서류를 받았습니다")
	require.Len(t, w.load(number).Documents, 1)
	w.sound()
}
