package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/granter/granter/grant"
)

const long = `"long"`

// fake is a registry, and how often it was asked.
func fake(t *testing.T) (*srfake.Registry, *atomic.Int64) {
	t.Helper()
	r := srfake.New()
	t.Cleanup(r.Close)
	asked := &atomic.Int64{}
	r.Intercept(func(http.ResponseWriter, *http.Request) bool { asked.Add(1); return false })
	return r, asked
}

func client(t *testing.T, url string, format grant.Format, a Access) *Client {
	t.Helper()
	c, err := New(&grant.Input{Format: format, Registry: url}, a)
	require.NoError(t, err)
	c.pause = time.Microsecond
	t.Cleanup(c.Close)
	return c
}

func TestASchemaIsAskedForOnce(t *testing.T) {
	r, asked := fake(t)
	r.SeedSchema("accounts-value", 1, 7, sr.Schema{Schema: long})
	c := client(t, r.URL()+"/", grant.FormatAvro, Access{})
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			s, err := c.Schema(t.Context(), 7)
			if err != nil || s.ID != 7 || s.Text != long {
				t.Error(s, err)
			}
		})
	}
	work.Wait()
	require.EqualValues(t, 1, asked.Load())
	r.Close() // what an ID means never changes
	_, err := c.Schema(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, []string{r.URL()}, c.urls)
}

// What a schema refers to comes behind what that refers to itself, and once; also where somebody deleted it since.
func TestReferencesAreFollowed(t *testing.T) {
	r, asked := fake(t)
	seed := func(subject string, id int, text string, refs ...sr.SchemaReference) {
		r.SeedSchema(subject, 1, id, sr.Schema{Schema: text, Type: sr.TypeProtobuf, References: refs})
	}
	to := func(name, subject string) sr.SchemaReference {
		return sr.SchemaReference{Name: name, Subject: subject, Version: 1}
	}
	seed("key", 1, "key")
	seed("account", 2, "account", to("key.proto", "key"))
	seed("a/b c", 3, "other", to("key.proto", "key"), to("account.proto", "account"))
	seed("user", 4, "user", to("other.proto", "a/b c"), to("account.proto", "account"))
	var deleted atomic.Int64
	r.Intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.URL.Query().Get("deleted") == "true" {
			deleted.Add(1)
		}
		return false
	})
	s, err := client(t, r.URL(), grant.FormatProtobuf, Access{}).Schema(t.Context(), 4)
	require.NoError(t, err)
	require.Equal(t, grant.Schema{ID: 4, Text: "user", References: []grant.Reference{
		{Name: "key.proto", Text: "key"}, {Name: "account.proto", Text: "account"}, {Name: "other.proto", Text: "other"},
	}}, s)
	require.EqualValues(t, 4, asked.Load())
	require.EqualValues(t, 3, deleted.Load())
}

// A follower may lag behind the leader: that there is no such schema is believed at the third time, of a few IDs.
func TestThatThereIsNoSchemaIsAskedAgain(t *testing.T) {
	r, asked := fake(t)
	r.Intercept(func(http.ResponseWriter, *http.Request) bool {
		if asked.Load() == 2 {
			r.SeedSchema("late", 1, 7, sr.Schema{Schema: long})
		}
		return false
	})
	c := client(t, r.URL(), grant.FormatAvro, Access{})
	_, err := c.Schema(t.Context(), 7)
	require.NoError(t, err)
	require.EqualValues(t, 2, asked.Load())
	for range 2 {
		_, err = c.Schema(t.Context(), 8)
		require.ErrorIs(t, err, ErrUnknown)
		require.False(t, Temporary(err))
	}
	require.EqualValues(t, 2+askAgain, asked.Load(), "and then for a minute")
	for id := uint32(100); id < 100+2*doubted; id++ {
		_, err = c.Schema(t.Context(), id)
		require.ErrorIs(t, err, ErrUnknown)
	}
	require.EqualValues(t, 2+askAgain*doubted+doubted+1, asked.Load(), "of bytes that are no records each is asked for once")
	for _, id := range []uint32{0, 1 << 31} {
		_, err = c.Schema(t.Context(), id)
		require.ErrorIs(t, err, ErrUnknown)
	}
	require.EqualValues(t, 2+askAgain*doubted+doubted+1, asked.Load(), "no registry gives such IDs")
}

func TestASchemaThatNoRecordCanBeReadByIsAnAnswer(t *testing.T) {
	r, asked := fake(t)
	r.SeedSchema("json", 1, 7, sr.Schema{Schema: `{}`, Type: sr.TypeJSON})
	r.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, "/8") {
			fmt.Fprint(w, `{"schema": "\"long\"", "references": [{"name": "a.B", "subject": "gone", "version": 3}]}`)
		}
		if strings.HasSuffix(req.URL.Path, "/9") {
			fmt.Fprintf(w, `{"schema": "%s"}`, strings.Repeat("x", mostBytes))
		}
		return strings.HasSuffix(req.URL.Path, "/8") || strings.HasSuffix(req.URL.Path, "/9")
	})
	c := client(t, r.URL(), grant.FormatAvro, Access{})
	for id, want := range map[uint32]string{
		7: "the registry has schema 7 in the format JSON, and source.format is avro",
		8: "the schema 8 refers to a.B, version 3 of the subject gone, which the registry does not have",
		9: "the registry's answer has more than 4 MiB",
	} {
		_, err := c.Schema(t.Context(), id)
		var useless *UnusableError
		require.ErrorAs(t, err, &useless)
		require.EqualError(t, useless, want)
		require.False(t, Temporary(err))
		before := asked.Load()
		_, err = c.Schema(t.Context(), id)
		require.ErrorAs(t, err, &useless)
		require.Equal(t, before, asked.Load(), "asked once")
	}
}

// An answer that is none is an error, whatever stands in front of the registry, and says whether waiting helps.
func TestARegistryThatDoesNotAnswerIsAnError(t *testing.T) {
	cutOff := func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"schema\": "+
			"\"\\\"lo")
		conn.Close()
	}
	for name, c := range map[string]struct {
		answer    func(http.ResponseWriter)
		want      string
		temporary bool
	}{
		"its own error": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"error_code": 50001, "message": "Error in the backend data store"}`)
		}, "/schemas/ids/7: 500 Internal Server Error: Error in the backend data store", true},
		"a proxy's error": {func(w http.ResponseWriter) { http.Error(w, "<h1>no\nupstream</h1>", http.StatusBadGateway) },
			"/schemas/ids/7: 502 Bad Gateway: <h1>no upstream</h1>", true},
		"too many requests": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }, "429 Too Many " +
			"Requests", true},
		"no right": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error_code": 40101, "message": "Unauthorized"}`)
		}, "401 Unauthorized: Unauthorized (are --registry-user and GRANTER_REGISTRY_PASSWORD, or GRANTER_REGISTRY_TOKEN, " +
			"right?)", false},
		"another server": {func(w http.ResponseWriter) { http.Error(w, "404 page not found", http.StatusNotFound) },
			"404 Not Found: 404 page not found (is source.registry the address of a schema registry?)", false},
		"elsewhere": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(http.StatusMovedPermanently)
		}, "301 Moved Permanently (write the address that it sends to", false},
		"no JSON": {func(w http.ResponseWriter) { fmt.Fprint(w, "<html>sign in</html>") }, "unable to decode ok " +
			"response body", true},
		"cut off":         {cutOff, "unexpected EOF", true},
		"nothing in time": {nil, " exceeded", true}, // "Client.Timeout", or "context deadline": whichever is first
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if c.answer == nil {
					<-req.Context().Done()
					return
				}
				c.answer(w)
			}))
			defer server.Close()
			of := client(t, server.URL, grant.FormatAvro, Access{Timeout: 200 * time.Millisecond})
			_, err := of.Schema(t.Context(), 7)
			require.ErrorContains(t, err, "asking the schema registry for schema 7: ")
			require.ErrorContains(t, err, c.want)
			require.NotErrorIs(t, err, ErrUnknown)
			require.Equal(t, c.temporary, Temporary(err), err)
			require.Equal(t, c.temporary, Temporary(of.Ping(t.Context())))
		})
	}
	c := client(t, "http://127.0.0.1:1", grant.FormatAvro, Access{})
	_, err := c.Schema(t.Context(), 7)
	require.ErrorContains(t, err, "connection refused")
	require.True(t, Temporary(err))
	stopped, stop := context.WithCancel(t.Context())
	stop()
	_, err = c.Schema(stopped, 7)
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheRegistryIsToldWhoAsks(t *testing.T) {
	r, _ := fake(t)
	r.SeedSchema("a", 1, 7, sr.Schema{Schema: long})
	says := make(chan string, 1)
	r.Intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		says <- req.Header.Get("Authorization")
		return false
	})
	for want, a := range map[string]Access{
		"":                     {},
		"Basic YWRhOnNlY3JldA": {User: "ada", Password: "secret"},
		"Bearer abc":           {Token: "abc"},
	} {
		_, err := client(t, r.URL(), grant.FormatAvro, a).Schema(t.Context(), 7)
		require.NoError(t, err)
		require.Equal(t, want, strings.TrimRight(<-says, "="))
	}
}

func TestTheRegistryIsAskedByTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if len(req.TLS.PeerCertificates) == 0 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"schema": "\"long\""}`)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate())
	ask := func(cfg *tls.Config) error {
		_, err := client(t, server.URL, grant.FormatAvro, Access{TLS: cfg}).Schema(t.Context(), 7)
		return err
	}
	require.NoError(t, ask(&tls.Config{RootCAs: authorities, Certificates: server.TLS.Certificates,
		MinVersion: tls.VersionTLS12}))
	err := ask(&tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12})
	require.ErrorContains(t, err, "403 Forbidden")
	require.False(t, Temporary(err))
	err = ask(nil)
	require.ErrorContains(t, err, "certificate")
	require.False(t, Temporary(err), "it is not trusted later either")
}

// The first address that answers is enough.
func TestTheNextAddressIsAskedWhereOneIsAway(t *testing.T) {
	r, _ := fake(t)
	r.SeedSchema("accounts-value", 3, 7, sr.Schema{Schema: long})
	c := client(t, "https://nowhere.example", grant.FormatAvro, Access{URLs: []string{"http://127.0.0.1:1", r.URL()}})
	_, err := c.Schema(t.Context(), 7)
	require.NoError(t, err)
	require.NoError(t, c.Ping(t.Context()))
	require.Equal(t, "http://127.0.0.1:1, "+r.URL(), c.Address())
	s, err := c.Latest(t.Context(), "accounts-value")
	require.NoError(t, err)
	require.EqualValues(t, 7, s.ID)
	_, err = c.Latest(t.Context(), "nothing-value")
	require.ErrorIs(t, err, ErrUnknown)
}

func TestAddressesOfRegistries(t *testing.T) {
	for _, text := range []string{"http://127.0.0.1:8081", "https://schemas.example/apis/ccompat/v7"} {
		require.NoError(t, CheckURL(text))
	}
	for _, text := range []string{"", "schemas.example:8081", "ftp://a", "https://", "https://u:p@a", "https://a?b=c",
		"https://a#b", "%"} {
		require.Error(t, CheckURL(text), text)
		_, err := New(&grant.Input{Registry: text}, Access{})
		require.Error(t, err, text)
	}
	require.NotErrorIs(t, &Error{Status: http.StatusNotFound}, ErrUnknown)
}
