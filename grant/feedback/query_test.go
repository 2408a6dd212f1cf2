package feedback

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const token = "s3cret-token"

// asked is a query to a server, and what it logged.
type asked struct {
	*Query
	log *bytes.Buffer
}

// server is a Prometheus that answers every question in the same way.
func server(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s
}

func newQuery(t *testing.T, url, token string) asked {
	t.Helper()
	log := &bytes.Buffer{}
	q, err := NewQuery(url, "errors > 0", token, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	t.Cleanup(q.Close)
	return asked{q, log}
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func result(kind, data string) string {
	return `{"status":"success","data":{"resultType":"` + kind + `","result":` + data + `}}`
}

func TestWhatAQueryReturns(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   string // empty: nothing
		err    string
	}{
		{"an empty vector", 200, result("vector", `[]`), "", ""},
		{
			"a vector", 200, result("vector",
				`[{"metric":{"job":"api"},"value":[1667617200,"0.7"]},{"metric":{},"value":[1667617200,"1"]}]`),
			`errors > 0 returns 2 series: {job="api"} = 0.7`, "",
		},
		{"a vector with the value 0", 200, result("vector", `[{"metric":{},"value":[1667617200,"0"]}]`),
			"errors > 0 returns 1 series: {} = 0", ""},
		{"the scalar 0", 200, result("scalar", `[1667617200,"0"]`), "", ""},
		{"the scalar 1", 200, result("scalar", `[1667617200,"1"]`), "errors > 0 = 1", ""},
		{"an empty matrix", 200, result("matrix", `[]`), "", ""},
		{"a matrix", 200, result("matrix", `[{"metric":{},"values":[[1667617200,"1"]]}]`), "errors > 0 returns 1 series", ""},
		{"a string", 200, result("string", `[1667617200,"yes"]`), "", "unexpected value type"},
		{"a wrong query", 400, `{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}`, "",
			"parse error: unexpected end"},
		{"a server that is not well", 503, "try later", "", "503"},
		{"who must not ask", 401, "who are you?", "", "401"},
		{"what is no Prometheus", 200, "<html>hello</html>", "", "invalid character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := server(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/prefix/api/v1/query" || r.PostFormValue("query") != "errors > 0" {
					t.Errorf("%s asks for %s", r.URL.Path, r.PostForm)
				}
				says(test.status, test.body)(w, r)
			})
			q := newQuery(t, s.URL+"/prefix/", "")
			detail, err := q.Ask(t.Context())
			require.Equal(t, test.want, detail)
			if test.err == "" {
				require.NoError(t, err)
				require.Empty(t, q.log)
				return
			}
			require.ErrorContains(t, err, test.err)
			require.Contains(t, q.log.String(), "the throttle query cannot be asked")
		})
	}
}

func TestWarningsAreLogged(t *testing.T) {
	s := server(t, says(200,
		`{"status":"success","warnings":["some stores are away"],"data":{"resultType":"vector","result":[]}}`))
	q := newQuery(t, s.URL, "")
	_, err := q.Ask(t.Context())
	require.NoError(t, err)
	require.Contains(t, q.log.String(), "some stores are away")
}

// Whatever goes wrong, the token goes to Prometheus and nowhere else.
func TestTheTokenStaysSecret(t *testing.T) {
	headers := make(chan string, 10)
	note := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			headers <- r.Header.Get("Authorization")
			next(w, r)
		}
	}
	seen := func() (all []string) {
		for len(headers) > 0 {
			all = append(all, <-headers)
		}
		return all
	}
	elsewhere := server(t, note(says(200, result("vector", `[]`))))
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		fails  bool
		seen   []string
	}{
		{"answered", says(200, result("vector", `[]`)), false, []string{"Bearer " + token}},
		{"forbidden", says(403, "no"), true, []string{"Bearer " + token, "Bearer " + token}}, // POST, then GET
		{"broken off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true,
			[]string{"Bearer " + token}},
		{
			"redirected to another server", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
			}, false, []string{"Bearer " + token, ""},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := newQuery(t, server(t, note(test.answer)).URL, token)
			_, err := q.Ask(t.Context())
			require.Equal(t, test.seen, seen())
			require.Equal(t, test.fails, err != nil, "%v", err)
			if err != nil {
				require.NotContains(t, err.Error(), token)
			}
			require.NotContains(t, q.log.String(), token)
		})
	}

	gone := server(t, nil)
	gone.Close()
	q := newQuery(t, gone.URL, token)
	_, err := q.Ask(t.Context())
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error()+q.log.String(), token)

	_, err = newQuery(t, elsewhere.URL, "").Ask(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{""}, seen(), "no token, no header")
}

// A server that hangs is not waited for, and holds nothing of this process: goleak watches.
func TestAServerThatHangsIsLeft(t *testing.T) {
	release := make(chan struct{})
	s := server(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	q := newQuery(t, s.URL, token)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := q.Ask(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestAQueryThatIsClosedKeepsNoConnection(t *testing.T) {
	s := server(t, says(200, result("vector", `[]`)))
	before := goleak.IgnoreCurrent()
	q := newQuery(t, s.URL, "")
	_, err := q.Ask(t.Context())
	require.NoError(t, err)
	require.Error(t, goleak.Find(before), "the connection is kept for the next question")
	q.Close()
	goleak.VerifyNone(t, before)
}

func TestAFailureIsLoggedOnceUntilItIsOver(t *testing.T) {
	var ok atomic.Bool
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		if ok.Load() {
			says(200, result("vector", `[]`))(w, r)
		} else {
			says(503, "")(w, r)
		}
	})
	q := newQuery(t, s.URL, "")
	for _, answers := range []bool{true, false, false, false, true, false, false} {
		ok.Store(answers)
		q.askedAt = time.Time{}
		_, err := q.Ask(t.Context())
		require.Equal(t, answers, err == nil)
	}
	require.Equal(t, 2, strings.Count(q.log.String(), "cannot be asked"))
}

func TestAnAddressThatIsNoURLIsRefused(t *testing.T) {
	for _, address := range []string{"", "prometheus", "localhost:9090", "127.0.0.1:9090", "ftp://prometheus", "http://", "/api",
		"http://a b"} {
		_, err := NewQuery(address, "up", token, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "Prometheus at", "%q", address)
		require.NotContains(t, err.Error(), token)
	}
}
