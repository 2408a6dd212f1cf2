package desk

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// secure returns how the server speaks TLS; nil: it does not.
func (c *Config) secure() (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	paths := []string{c.Cert, c.Key}
	if c.ClientCA != "" {
		paths = append(paths, c.ClientCA)
	}
	current, err := load("the TLS files", c.Log, parseTLS, paths...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.get(), nil },
	}, nil
}

// parseTLS reads a certificate, its key and, if there is one, the authority of client certificates.
func parseTLS(contents [][]byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"},
		SessionTicketsDisabled: true, // each connection verifies its certificate by the authority of now
	}
	if len(contents) > 2 {
		cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
		if !cfg.ClientCAs.AppendCertsFromPEM(contents[2]) {
			return nil, fmt.Errorf("the file of the client certificates' authority has no PEM certificate")
		}
	}
	return cfg, nil
}
