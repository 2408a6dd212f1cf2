package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/documents"
	"github.com/granter/granter/grant/claims/store"
)

// serveClaims serves the owner's page until the test ends, and returns its address.
func serveClaims(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	root := newRoot()
	root.SetArgs(append([]string{"claims", "serve", "--page", "127.0.0.1:0", "--listen", "off"}, args...))
	root.SetOut(w)
	root.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() {
		err := root.ExecuteContext(ctx)
		w.CloseWithError(io.EOF)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	line := make([]byte, 4096)
	n, err := r.Read(line)
	require.NoError(t, err)
	found := regexp.MustCompile(`(https?://\S+)/ until`).FindStringSubmatch(string(line[:n]))
	require.NotNil(t, found, string(line[:n]))
	return found[1]
}

func selfSigned(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "claims"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(cert, certPEM, 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	pool = x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return cert, key, pool
}

func TestTheOwnersPageIsServed(t *testing.T) {
	database := claimsDatabase(t)
	cert, key, pool := selfSigned(t)
	url := serveClaims(
		t,
		"--database",
		database,
		"--documents",
		t.TempDir(),
		"--cert",
		cert,
		"--key",
		key,
		"--contact",
		"1577-0000",
	)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	get := func(method, path, body string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp, string(text)
	}
	resp, page := get(http.MethodGet, "/", "") //nolint:bodyclose // get closes it
	require.Contains(t, page, "1577-0000")
	require.NotEmpty(t, resp.Header.Get("Strict-Transport-Security"))

	code, out, errs := ask(
		"code",
		"shown",
		"--database",
		database,
		"--why",
		"called back on the number that we have",
		"--public",
		url,
	)
	require.Zero(t, code, errs)
	secret := regexp.MustCompile(`secret code +(\S+)`).FindStringSubmatch(out)[1]
	require.Contains(t, out, url+"/enter/shown/"+secret)
	resp, _ = get(http.MethodPost, "/enter", "number=shown&code="+secret) //nolint:bodyclose // get closes it
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.True(t, resp.Cookies()[0].Secure)
	require.True(t, resp.Cookies()[0].HttpOnly)
	_, out, _ = ask("show", "shown", "--database", database)
	require.Contains(t, out, "another secret code was given: called back on the number")
	require.NotContains(t, out, secret)
	code, _, errs = ask("code", "shown", "--database", database)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "how you know that it is the owner")
}

func TestTheOwnersPageIsNotServedInTheClear(t *testing.T) {
	for want, args := range map[string][]string{
		"everybody on the way reads the owners' codes": {"--page", "0.0.0.0:9467"},
		"want host:port":         {"--page", "9467"},
		"--cert and --key":       {"--cert", "x.pem"},
		"nothing to look at":     {"--clamd", "127.0.0.1:3310"},
		"want an address such":   {"--public", "claims.example.com"},
		"there is no database /": {"--database", "/nowhere/claims.db"},
	} {
		code, _, errs := ask(append([]string{"serve"}, args...)...)
		require.Equal(t, exitUsage, code, errs)
		require.Contains(t, errs, want)
	}
}

func TestADocumentIsListedAndRead(t *testing.T) {
	database := claimsDatabase(t)
	folder := t.TempDir()
	s, err := store.Open(t.Context(), database, "")
	require.NoError(t, err)
	list, err := s.Get(t.Context(), "shown")
	require.NoError(t, err)
	const pdf = "%PDF-1.7\n%%EOF\n"
	_, err = documents.NewKeeper(s, documents.Folder(folder), nil).Add(t.Context(), list[0],
		documents.Sent{Kind: "proof_of_service_use", Name: "x.pdf", Body: strings.NewReader(pdf), By: store.Owner})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	at := "--database=" + database
	code, out, errs := ask("documents", "shown", at)
	require.Zero(t, code, errs)
	listed := regexp.MustCompile(`(?m)^([0-9a-f]{12}) +proof_of_service_use +application/pdf +15 +not_scanned`)
	digest := listed.FindStringSubmatch(out)[1]
	file := filepath.Join(t.TempDir(), "x.pdf")
	read := []string{"documents", "shown", at, "--documents", folder, "--get", digest, "--out", file}
	code, _, errs = ask(read...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "say by --why")
	read = append(read, "--why", "the review")
	code, _, errs = ask(read...)
	require.Zero(t, code, errs)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, pdf, string(data))
	code, _, errs = ask(read...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "file exists")
	_, out, _ = ask("show", "shown", at)
	require.Contains(t, out, "document "+digest+": the review")
	read[6] = "ffffff"
	code, _, errs = ask(read...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "has no document ffffff")
}
