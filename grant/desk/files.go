package desk

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// files are what a desk reads again and again while it serves: each is in force as it is now.
type files struct {
	access    *reloaded[*Access]
	pair      *reloaded[*tls.Certificate] // nil: the desk speaks HTTP
	authority *reloaded[*x509.CertPool]   // nil: no client certificate counts
}

// openFiles reads all files for the first time. Its error joins what is wrong with any.
func (c *Config) openFiles() (*files, error) {
	f := &files{access: &reloaded[*Access]{
		what: "the access file", paths: []string{c.Access}, parse: c.parseAccess, log: c.Log, grace: c.AccessGrace,
		after: &Access{},
	}}
	errs := []error{f.access.load()}
	if errs[0] == nil && f.access.value.empty() {
		errs[0] = errors.New(`the access file: it names nobody: add the line that "granter token NAME ROLE" prints`)
	}
	if c.Cert != "" {
		// A certificate lets nobody in, and a desk without one could not even be paused through.
		f.pair = &reloaded[*tls.Certificate]{
			what: "the desk's certificate", paths: []string{c.Cert, c.Key}, parse: parsePair, log: c.Log, grace: forever,
		}
		errs = append(errs, f.pair.load())
	}
	if c.ClientCA != "" {
		f.authority = &reloaded[*x509.CertPool]{
			what: "the authority of client certificates", paths: []string{c.ClientCA}, parse: parseAuthority, log: c.Log,
			grace: c.AccessGrace, after: x509.NewCertPool(),
		}
		errs = append(errs, f.authority.load())
	}
	return f, errors.Join(errs...)
}

func (c *Config) parseAccess(contents [][]byte) (*Access, error) {
	a, err := parseAccess(string(contents[0]), filepath.Dir(c.Access))
	if err == nil && len(a.certificates) > 0 && c.ClientCA == "" {
		return nil, errors.New("it names client certificates, which no authority signs: add --desk-client-ca")
	}
	return a, err
}

func parsePair(contents [][]byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	return &pair, err
}

func parseAuthority(contents [][]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(contents[0]) && len(bytes.TrimSpace(contents[0])) > 0 {
		return nil, errors.New("the file has no PEM certificate")
	}
	return pool, nil
}

// secure returns how the server speaks TLS; nil: it does not.
func (f *files) secure() *tls.Config {
	if f.pair == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.now(), nil },
	}
}

// now is the configuration of one connection.
func (f *files) now() *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*f.pair.get()}, NextProtos: []string{"h2", "http/1.1"},
		SessionTicketsDisabled: true, // each connection verifies its certificate by the authority of now
	}
	if f.authority != nil {
		cfg.ClientCAs, cfg.ClientAuth = f.authority.get(), tls.VerifyClientCertIfGiven
	}
	return cfg
}

// trusts reports whether the present authority signed a client's certificate. The connection may be older than that
// authority, and the certificate have expired since.
func (f *files) trusts(chain []*x509.Certificate) bool {
	if f.authority == nil {
		return false
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: f.authority.get(), Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// troubles says what is wrong with each file, by its name in metrics; empty: nothing.
func (f *files) troubles() map[string]string {
	all := map[string]string{"access": f.access.trouble()}
	if provider := f.access.get().provider; provider != nil {
		all["oidc"] = provider.Trouble()
	}
	if f.pair != nil {
		all["certificate"] = f.pair.trouble()
	}
	if f.authority != nil {
		all["client_ca"] = f.authority.trouble()
	}
	return all
}

// watch looks at the files also while nobody asks anything, so that metric and log show what is wrong at once.
func (f *files) watch(ctx context.Context, broken *prometheus.GaugeVec) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		for name, wrong := range f.troubles() {
			value := 0.0
			if wrong != "" {
				value = 1
			}
			broken.WithLabelValues(name).Set(value)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// notReady says what is wrong with any of the files; empty: nothing.
func (f *files) notReady() string {
	var all []string
	for _, wrong := range f.troubles() {
		if wrong != "" {
			all = append(all, wrong)
		}
	}
	return strings.Join(all, "; ")
}
