package owner

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/decide"
	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/identity"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a site with everything behind it, in the days of the programme.
type world struct {
	t      *testing.T
	store  *store.Store
	site   *Site
	url    string
	at     time.Time
	worker *decide.Worker
}

// inTime is a moment when everything can be handed in.
var inTime = time.Date(2023, 2, 20, 3, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, scanner documents.Scanner) *world {
	t.Helper()
	s, p := storetest.Open(t)
	w := &world{t: t, store: s, at: inTime}
	clock := func() time.Time { return w.at }
	s.SetClock(clock)
	w.site = New(Config{
		Store: s, Programme: p, Documents: documents.NewKeeper(s, documents.Folder(filepath.Join(t.TempDir(), "d")), scanner),
		Contact: "1577-0000", Log: slog.New(slog.DiscardHandler), Now: clock,
	})
	server := httptest.NewServer(w.site)
	t.Cleanup(server.Close)
	w.url = server.URL
	services := httptest.NewServer(&identitytest.Services{})
	t.Cleanup(services.Close)
	w.worker = &decide.Worker{Store: s, Programme: p, Registry: identity.NewRegistry(services.URL, "key"),
		Bank: identity.NewBank(services.URL, "token"), Now: clock}
	return w
}

func (w *world) process() {
	w.t.Helper()
	_, err := w.worker.Pass(w.t.Context())
	require.NoError(w.t, err)
	w.sound()
}

func (w *world) sound() {
	w.t.Helper()
	proof, err := w.store.Prove(w.t.Context(), nil)
	require.NoError(w.t, err)
	require.Empty(w.t, proof.Wrong)
}

// browser is somebody's, with cookies of its own.
type browser struct {
	*world
	client *http.Client
	status int
	header http.Header
	path   string
	page   string
}

func (w *world) browser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	transport := &http.Transport{}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &browser{world: w, client: &http.Client{Jar: jar, Transport: transport}}
}

func (b *browser) do(req *http.Request) *browser {
	b.t.Helper()
	resp, err := b.client.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	b.status, b.header, b.path, b.page = resp.StatusCode, resp.Header, resp.Request.URL.Path, string(text)
	require.Contains(b.t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Equal(b.t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	return b
}

func (b *browser) request(method, path string, body io.Reader, kind string) *browser {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	require.NoError(b.t, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return b.do(req)
}

func (b *browser) get(path string) *browser {
	b.t.Helper()
	return b.request(http.MethodGet, path, nil, "")
}

var proofIn = regexp.MustCompile(`name="proof" value="([0-9a-f]+)"`)

// post sends a form, with what the page before had in it.
func (b *browser) post(path string, pairs ...string) *browser {
	b.t.Helper()
	form := url.Values{}
	if found := proofIn.FindStringSubmatch(b.page); found != nil {
		form.Set(proofField, found[1])
	}
	if found := seenIn.FindStringSubmatch(b.page); found != nil {
		form.Set(seenField, found[1])
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.request(http.MethodPost, path, strings.NewReader(form.Encode()), "application/x-www-form-urlencoded")
}

func (b *browser) upload(kind, name string, data []byte) *browser {
	b.t.Helper()
	b.get("/claim/documents")
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if found := proofIn.FindStringSubmatch(b.page); found != nil {
		require.NoError(b.t, w.WriteField(proofField, found[1]))
	}
	require.NoError(b.t, w.WriteField("kind", kind))
	f, err := w.CreateFormFile("file", name)
	require.NoError(b.t, err)
	_, err = f.Write(data)
	require.NoError(b.t, err)
	require.NoError(b.t, w.Close())
	return b.request(http.MethodPost, "/claim/documents", &body, w.FormDataContentType())
}

// shows requires that people read something on the page.
func (b *browser) shows(words ...string) *browser {
	b.t.Helper()
	text := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(b.page, ""))
	for _, w := range words {
		require.Contains(b.t, text, w, "%d %s", b.status, b.path)
	}
	return b
}

// answers are what an owner answers, with the loss as given.
func (b *browser) answers(i int, loss claims.Won) *browser {
	b.t.Helper()
	b.get("/").post("/start")
	require.Equal(b.t, "/claim/question/business", b.path)
	b.post(b.path, "business_number", storetest.Number(i).String())
	b.post(b.path, "representative", "김사장", "opened", "2020.3.1")
	b.post(b.path, "industry", "restaurants")
	b.post(b.path, "outage_sales", "1,000,000원", "week_sales_1", fmt.Sprint(1_000_000+int64(loss)))
	if strings.HasSuffix(b.path, "/alternative") {
		b.post(b.path, "alternative_available", "no")
	}
	require.Equal(b.t, "/claim/question/contact", b.path, b.page)
	b.post(b.path, "phone", fmt.Sprintf("010-1234-%04d", i))
	b.post(b.path, "bank", "004", "account", fmt.Sprintf("110-123-%06d", i))
	require.Equal(b.t, "/claim/check", b.path, b.page)
	return b
}

var (
	numberIn = regexp.MustCompile(`id="number">([^<]+)<`)
	codeIn   = regexp.MustCompile(`id="code">([^<]+)<`)
	seenIn   = regexp.MustCompile(`name="seen" value="([^"]+)"`)
	onceIn   = regexp.MustCompile(`name="once" value="([^"]+)"`)
)

// claim hands a claim in, and returns its number and code.
func (b *browser) claim(i int, loss claims.Won) (number, code string) {
	b.t.Helper()
	b.answers(i, loss).post("/claim/check").shows("접수했습니다")
	return numberIn.FindStringSubmatch(b.page)[1], codeIn.FindStringSubmatch(b.page)[1]
}

func (w *world) load(number string) *store.Claim {
	w.t.Helper()
	list, err := w.store.Get(context.Background(), number)
	require.NoError(w.t, err)
	return list[0]
}
