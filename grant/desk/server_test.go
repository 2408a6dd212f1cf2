package desk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func TestADeskThatAnybodyCouldUseDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	tokens := file("tokens", "minji viewer "+sum("one"))
	certificates := file("certificates", "minji viewer cert:Minji Kim")
	ca := newAuthority(t)
	cert, key := ca.issue("desk", x509.ExtKeyUsageServerAuth)
	for _, c := range []struct {
		cfg   Config
		wants []string
	}{
		{Config{Addr: "127.0.0.1:0"}, []string{"--desk-access"}},
		{Config{Addr: "127.0.0.1:0", ClientCA: ca.file, Cert: cert, Key: key}, []string{"--desk-access"}},
		{Config{Addr: "0.0.0.0:0", Access: tokens}, []string{"--desk-cert", "--desk-insecure"}},
		{Config{Addr: ":0", Access: tokens}, []string{"--desk-insecure"}},
		{Config{Addr: "desk.example:0", Access: tokens}, []string{"--desk-insecure"}},
		{Config{Addr: "127.0.0.1", Access: tokens}, []string{"host:port"}},
		{Config{Addr: "127.0.0.1:0", Access: tokens, Cert: cert}, []string{"need each other"}},
		{Config{Addr: "127.0.0.1:0", Access: tokens, Key: key}, []string{"need each other"}},
		{Config{Addr: "127.0.0.1:0", Access: tokens, ClientCA: ca.file}, []string{"without TLS"}},
		{Config{Addr: "127.0.0.1:0", Access: certificates, Cert: cert, Key: key}, []string{"add --desk-client-ca"}},
		{Config{Addr: "127.0.0.1:0", Access: filepath.Join(dir, "none")}, []string{"the access file", "no such file"}},
		{Config{Addr: "127.0.0.1:0", Access: file("bad", "minji"), Cert: cert, Key: cert},
			[]string{"line 1", "the desk's certificate"}},
		{Config{Addr: "127.0.0.1:0", Access: tokens, Cert: cert, Key: key, ClientCA: tokens}, []string{"no PEM certificate"}},
		{Config{Addr: "127.0.0.1:70000", Access: tokens}, []string{"choose another address"}},
		{Config{Addr: "0.0.0.0:0", Cert: cert, ClientCA: ca.file}, []string{"--desk-access", "need each other"}},
	} {
		c.cfg.Campaign, c.cfg.Coordination, c.cfg.Log = aCampaign(), &ordering{}, slog.New(slog.DiscardHandler)
		_, err := Start(c.cfg)
		for _, want := range c.wants {
			require.ErrorContains(t, err, want, "%+v", c.cfg)
		}
	}
}

func TestADeskWithoutTLS(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"on loopback":     func(*Config) {},
		"behind a proxy":  func(c *Config) { c.Addr, c.Insecure = "0.0.0.0:0", true },
		"without metrics": func(c *Config) { c.Registerer = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				plain(w)
				change(&w.cfg)
			})
			require.Contains(t, w.server.URL(), "http://")
			w.get(RoleViewer, "/api/v1/me").is(http.StatusOK)
		})
	}
}

func TestTLS(t *testing.T) {
	w := newWorld(t)
	handshake := func(cfg *tls.Config) (*x509.Certificate, error) {
		dialer := tls.Dialer{Config: cfg}
		conn, err := dialer.DialContext(t.Context(), "tcp", w.server.URL()[len("https://"):])
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		// In TLS 1.3 the server's opinion of a client certificate comes after the handshake.
		_, err = conn.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], err
	}
	_, err := handshake(&tls.Config{RootCAs: w.ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	require.ErrorContains(t, err, "protocol version")

	before, err := handshake(w.secure())
	require.NoError(t, err)
	_, err = handshake(w.secure(w.ca.client("Ji-hoon Park")))
	require.NoError(t, err)
	_, err = handshake(w.secure(newAuthority(t).client("Ji-hoon Park")))
	require.Error(t, err, "somebody else's authority is not trusted")
	pair, err := tls.LoadX509KeyPair(w.ca.issue("a server", x509.ExtKeyUsageServerAuth))
	require.NoError(t, err)
	_, err = handshake(w.secure(pair))
	require.Error(t, err, "a server's certificate is no client's")

	// The certificate is renewed, key after certificate, and later the clients' authority is exchanged.
	key, err := os.ReadFile(w.cfg.Key)
	require.NoError(t, err)
	w.ca.issue("desk", x509.ExtKeyUsageServerAuth)
	renewed, err := os.ReadFile(w.cfg.Key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(w.cfg.Key, key, 0o600))
	await(t, "the log says that certificate and key differ", func() bool {
		now, err := handshake(w.secure())
		require.NoError(t, err)
		require.Equal(t, before.SerialNumber, now.SerialNumber)
		return len(w.logged("the last good version stays in force: the desk's certificate")) > 0
	})
	require.NoError(t, os.WriteFile(w.cfg.Key, renewed, 0o600))
	await(t, "the new certificate is there", func() bool {
		now, err := handshake(w.secure())
		require.NoError(t, err)
		return now.SerialNumber.Cmp(before.SerialNumber) != 0
	})
	mine := w.ca.client("Ji-hoon Park")
	other := newAuthority(t)
	content, err := os.ReadFile(other.file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(w.cfg.ClientCA, content, 0o600))
	await(t, "the old authority does not count", func() bool {
		_, err := handshake(w.secure(mine))
		return err != nil
	})
	_, err = handshake(w.secure(other.client("Ji-hoon Park")))
	require.NoError(t, err)
}

// What a certificate opened is closed when its authority does not count any more, also on a connection that is there already.
func TestAConnectionIsNotOlderThanItsAuthority(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world){
		"another authority": func(w *world) {
			content, err := os.ReadFile(newAuthority(w.T).file)
			require.NoError(w, err)
			require.NoError(w, os.WriteFile(w.cfg.ClientCA, content, 0o600))
		},
		"no authority":       func(w *world) { require.NoError(w, os.WriteFile(w.cfg.ClientCA, nil, 0o600)) },
		"no file":            func(w *world) { require.NoError(w, os.Remove(w.cfg.ClientCA)) },
		"no line":            func(w *world) { w.clients = nil; w.rotate() },
		"nobody in the file": func(w *world) { w.allow("") },
		"no access file":     func(w *world) { require.NoError(w, os.Remove(w.cfg.Access)) },
		"a broken file":      func(w *world) { w.allow("this is no access file") },
		"an unreadable file": func(w *world) {
			require.NoError(w, os.Remove(w.cfg.Access))
			require.NoError(w, os.Mkdir(w.cfg.Access, 0o700))
		},
		"a file of something": func(w *world) { w.allow("\x00\xff") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each takes a second or two
			w := newWorld(t, func(w *world) { w.cfg.AccessGrace = time.Millisecond })
			secure := w.secure(w.ca.client("Ji-hoon Park"))
			transport := &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			ask := func() int {
				response, err := transport.RoundTrip(request{method: http.MethodGet, path: "/api/v1/me"}.http(t.Context(), t,
					w.server.URL()))
				require.NoError(t, err)
				defer response.Body.Close()
				return response.StatusCode
			}
			require.Equal(t, http.StatusOK, ask())
			change(w)
			await(t, "it is closed", func() bool { return ask() == http.StatusUnauthorized })
		})
	}
}

// A file that is broken is updates of although nobody asks anything, and mended it is in force again.
func TestABrokenFileIsTold(t *testing.T) {
	w := newWorld(t, func(w *world) { w.cfg.AccessGrace = time.Millisecond })
	broken := func() float64 { return w.metric("file_broken", "file", "access") }
	await(t, "the metric is there", func() bool { return w.metric("file_broken") == 0 && w.server.NotReady() == "" })
	w.allow("minji operator")
	await(t, "the metric says so", func() bool { return broken() == 1 })
	await(t, "it is not ready", func() bool {
		return strings.Contains(w.server.NotReady(), "line 1: want NAME ROLE") &&
			strings.Contains(w.server.NotReady(), "nobody is let in")
	})
	require.NotEmpty(t, w.logged("the last good version is no longer in force, and nobody is let in by it: the access file"))
	w.rotate()
	await(t, "all is well", func() bool { return broken() == 0 && w.server.NotReady() == "" })
	w.get(RoleViewer, "/api/v1/me").is(http.StatusOK)
}

// closing is a desk with an order under way.
type closing struct {
	*world
	slow    *ordering
	ordered chan error
}

func newClosing(t *testing.T, grace time.Duration) *closing {
	t.Helper()
	c := &closing{slow: &ordering{begun: make(chan context.Context), end: make(chan error)}, ordered: make(chan error)}
	c.world = newWorld(t, func(w *world) {
		c.slow.Coordination, w.cfg.Coordination, w.cfg.pace.grace = w.coordination, c.slow, grace
	})
	client := c.client(RoleOperator)
	go func() {
		_, err := client.Order(t.Context(), grant.Order{Action: grant.ActionPause, Why: "a test"})
		c.ordered <- err
	}()
	<-c.slow.begun
	return c
}

func TestClosingWaitsForRequests(t *testing.T) {
	c := newClosing(t, patience)
	closed := make(chan error)
	go func() { closed <- c.server.Close() }()
	await(t, "it takes no new connections", func() bool {
		conn, err := (&tls.Dialer{Config: c.secure()}).DialContext(t.Context(), "tcp", c.server.URL()[len("https://"):])
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	c.slow.end <- nil
	require.NoError(t, <-c.ordered)
	require.NoError(t, <-closed)
}

func TestClosingDoesNotWaitForEver(t *testing.T) {
	c := newClosing(t, 10*time.Millisecond)
	require.ErrorIs(t, c.server.Close(), context.DeadlineExceeded)
	require.Error(t, <-c.ordered)
	c.slow.end <- nil
}
