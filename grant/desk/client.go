package desk

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

// ClientConfig says where a desk is, which campaign is meant, and how to show who asks. Either a token or a certificate
// is needed.
type ClientConfig struct {
	URL      string // https://host:port
	Campaign string // its name: a desk of another one refuses, and an answer about another one is an error
	Token    string
	// PEM files. CA is the authority of the server's certificate; empty: those of the system.
	CA, Cert, Key string
}

const (
	clientTimeout = 30 * time.Second // the desk answers after 15 s at most
	maxAnswer     = 64 << 20         // bytes; more than any page has
)

// Client asks a desk, and gives it orders. It is safe for concurrent use.
type Client struct {
	cfg  ClientConfig
	base *url.URL
	http *http.Client
}

// NewClient makes a client. It does not talk to the desk yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil {
		return nil, fmt.Errorf("the desk's address: want https://host:port, and nothing secret in it")
	}
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("%s: everybody on the way would read the token: use https", cfg.URL)
	}
	if cfg.Campaign == "" {
		return nil, errors.New("which campaign? Every request to a desk names one")
	}
	if cfg.Token == "" && cfg.Cert == "" {
		return nil, errors.New("who asks? Put a token into GRANTER_TOKEN or into the file that GRANTER_TOKEN_FILE names, " +
			"or use a client certificate")
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, err
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", cfg.CA)
		}
	}
	if cfg.Cert != "" || cfg.Key != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Timeout:   clientTimeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, ForceAttemptHTTP2: true},
		// A token must not follow to where the desk never was.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Order gives an order. Who gives it follows from the token or certificate, and where a topic ends the desk knows
// itself. An order that is refused fails with grant.ErrRefused.
func (c *Client) Order(ctx context.Context, o grant.Order) (grant.HistoryEntry, error) {
	body := order{Action: o.Action, StartsAt: o.StartsAt, Why: o.Why}
	if o.Action == grant.ActionThrottle {
		body.Throttle = &o.Throttle
	}
	if o.For != 0 {
		body.For = o.For.String()
	}
	var done ordered
	err := c.ask(ctx, http.MethodPost, "orders", body, &done)
	return done.Act, err
}

// History returns the audit trail, oldest first.
func (c *Client) History(ctx context.Context) ([]grant.HistoryEntry, error) {
	var acts []grant.HistoryEntry
	for query := ""; ; {
		var h trail
		if err := c.ask(ctx, http.MethodGet, "history"+query, nil, &h); err != nil {
			return nil, err
		}
		if acts = append(h.Acts, acts...); h.Older == "" {
			return acts, nil
		}
		query = "?before=" + url.QueryEscape(h.Older)
	}
}

// Status returns how far the campaign is.
func (c *Client) Status(ctx context.Context) (*status.Status, error) {
	var s status.Status
	if err := c.ask(ctx, http.MethodGet, "status", nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

func (c *Client) ask(ctx context.Context, method, what string, body, answer any) error {
	var text io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	path, query, _ := strings.Cut(what, "?")
	address := c.base.JoinPath("api/v1/campaigns", url.PathEscape(c.cfg.Campaign), path)
	address.RawQuery = query
	request, err := http.NewRequestWithContext(ctx, method, address.String(), text)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("the desk does not answer: %w (check that it runs and its address, or do without --desk-url)", err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the desk's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return c.explain(response, content)
	}
	var about struct {
		Campaign string `json:"campaign"`
	}
	if err := errors.Join(json.Unmarshal(content, &about), json.Unmarshal(content, answer)); err != nil {
		return fmt.Errorf("%s does not answer like a desk: %w", c.base, err)
	}
	if about.Campaign != c.cfg.Campaign {
		return fmt.Errorf("%s answers for the campaign %q, asked was %q: check --desk-url, and what is in between", c.base,
			about.Campaign, c.cfg.Campaign)
	}
	return nil
}

// explain says what an answer other than 200 means, and what to do.
func (c *Client) explain(response *http.Response, content []byte) error {
	var p Problem
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.Unmarshal(content, &p) != nil {
		return fmt.Errorf("%s answers %s: is it a desk, and is nothing else in between?", c.base, response.Status)
	}
	switch p.Status {
	case http.StatusUnauthorized:
		return fmt.Errorf("the desk does not know you: %w (use a token whose line is in the file of its --desk-access; "+
			"granter token makes both)", &p)
	case http.StatusForbidden:
		return fmt.Errorf("the desk does not let you: %w (ask somebody who may, or for the right)", &p)
	case http.StatusConflict:
		if p.is(kindRefused) {
			return fmt.Errorf("%w: %s", grant.ErrRefused, strings.TrimPrefix(p.Detail, grant.ErrRefused.Error()+": "))
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return fmt.Errorf("%w (try again in %s s)", &p, response.Header.Get("Retry-After"))
	}
	return &p
}
