package signon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	fresh    = time.Hour       // how long what the provider says about itself counts
	retry    = 5 * time.Second // before a provider is asked again that did not answer
	within   = 8 * time.Second // for an answer of the provider
	rereads  = time.Second     // how often secrets are read again
	leeway   = time.Minute     // by which the provider's clock may differ
	maxReply = 1 << 20         // bytes of an answer
)

// Kind is why nobody was signed in.
type Kind string

// Kinds of errors.
const (
	KindAway    Kind = "away"    // the provider does not answer: try again
	KindRefused Kind = "refused" // what came back does not fit what was asked: begin again
	KindSetup   Kind = "setup"   // desk and provider are not set up for each other: nobody can sign in
)

// Error is why nobody was signed in.
type Error struct {
	Kind   Kind
	Detail string
}

func (e *Error) Error() string { return e.Detail }

func refuse(detail string) error { return &Error{KindRefused, detail} }
func setup(detail string) error  { return &Error{KindSetup, detail} }
func away(issuer string, err error) error {
	return &Error{KindAway, issuer + " does not answer as an OpenID provider: " + err.Error()}
}

// Client signs people in by one provider. Calls may overlap.
type Client struct {
	Config

	http *http.Client
	now  func() time.Time

	mu     sync.Mutex
	read   time.Time // when the secrets were
	secret string
	seals  seals
	wrong  error // with the secrets

	turn   chan struct{} // has an element while somebody asks what the provider is
	found  *provider
	asked  time.Time
	failed error // when it was asked last
}

// provider is what the provider says about itself.
type provider struct {
	*oidc.Provider

	verifier *oidc.IDTokenVerifier // it asks for the provider's keys when one comes that it does not know

	End       string `json:"end_session_endpoint"`
	SaysIssue bool   `json:"authorization_response_iss_parameter_supported"`
}

// New makes a client. It asks nothing until somebody signs in.
func New(cfg Config) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // that is what it is
	return &Client{
		Config: cfg, now: time.Now, turn: make(chan struct{}, 1),
		http: &http.Client{Timeout: within, Transport: limited{transport}},
	}
}

// limited reads no more of an answer than any has that means well.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxReply)
	}
	return response, err
}

// secrets returns the client's secret and the keys of sessions as they are now.
func (c *Client) secrets() (string, seals, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.read) >= rereads || now.Before(c.read) {
		c.read = now
		c.secret, c.seals, c.wrong = c.readSecrets()
	}
	return c.secret, c.seals, c.wrong
}

func (c *Client) readSecrets() (string, seals, error) {
	secret, err := c.Secret.read()
	if err != nil {
		return "", nil, setup("the secret of the client cannot be read: " + err.Error())
	}
	keys := secret
	if c.Keys != "" {
		if keys, err = c.Keys.read(); err != nil {
			return "", nil, setup("the keys of sessions cannot be read: " + err.Error())
		}
	} else if keys = strings.Join(strings.Fields(keys), " "); len(keys) < minKey { // one key, whatever is in it
		return "", nil, setup(fmt.Sprintf("the secret of the client has less than %d characters, so no session is sealed by it: "+
			"give the client a longer one, or sessions keys of their own by oidc.session_key", minKey))
	}
	s, err := newSeals(keys, c.Issuer+"\n"+c.Client)
	if err != nil {
		return "", nil, setup(err.Error())
	}
	return secret, s, nil
}

// Trouble says what keeps everybody from signing in, as far as that can be known without asking the provider; empty: nothing.
func (c *Client) Trouble() string {
	if _, _, err := c.secrets(); err != nil {
		return "signing in by " + c.Issuer + ": " + err.Error()
	}
	return ""
}

// provider asks what the provider is, unless that is known. One asks for all; an old answer is better than none.
func (c *Client) provider(ctx context.Context) (*provider, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, away(c.Issuer, ctx.Err())
	}
	age := c.now().Sub(c.asked)
	switch {
	case c.found != nil && c.failed == nil && age < fresh:
		return c.found, nil
	case c.failed != nil && age < retry:
	default:
		p, err := c.discover(ctx)
		if c.asked, c.failed = c.now(), err; err == nil {
			c.found = p
		}
	}
	if c.found != nil {
		return c.found, nil
	}
	return nil, away(c.Issuer, c.failed)
}

func (c *Client) discover(ctx context.Context) (*provider, error) {
	// What others wait for is asked whether or not the first still waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.Issuer)
	if err != nil {
		return nil, err
	}
	verifier := found.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), c.http), &oidc.Config{
		ClientID: c.Client,
		Now:      func() time.Time { return c.now().Add(-leeway) }, // a token that has just ended may be of a clock that is ahead
	})
	p := &provider{Provider: found, verifier: verifier}
	return p, found.Claims(p)
}

func (c *Client) oauth(p *provider, secret string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: c.Client, ClientSecret: secret, Endpoint: p.Endpoint(), RedirectURL: c.Redirect, Scopes: c.Scopes,
	}
}

// OutAt is where somebody also ends their session at the provider, and comes back to PathGone; empty: it offers none.
func (c *Client) OutAt(ctx context.Context, who *Person) string {
	p, err := c.provider(ctx)
	if err != nil || p.End == "" {
		return ""
	}
	u, err := url.Parse(p.End)
	if err != nil || checkURL(strings.SplitN(p.End, "?", 2)[0]) != nil {
		return ""
	}
	query := u.Query()
	query.Set("client_id", c.Client)
	query.Set("post_logout_redirect_uri", c.root()+PathGone)
	if who.Token != "" {
		query.Set("id_token_hint", who.Token)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// maxSealed is how long a sealed session is at most: browsers keep cookies of 4,096 bytes, with their names and attributes.
const maxSealed = 3800

// Seal makes a session.
func (c *Client) Seal(who *Person) (string, error) {
	_, keys, err := c.secrets()
	if err != nil {
		return "", err
	}
	text, err := keys.seal(forSession, who)
	if err == nil && len(text) > maxSealed { // the provider asks them itself whether they want to sign out
		without := *who
		without.Token = ""
		text, err = keys.seal(forSession, without)
	}
	if err == nil && len(text) > maxSealed {
		err = setup("they are in so many groups of the access file that no cookie holds them")
	}
	return text, err
}

var errEnded = errors.New("the session has ended")

// Open returns whose session it is. It fails when the session is over or not one of this client.
func (c *Client) Open(sealed string) (*Person, error) {
	_, keys, err := c.secrets()
	if err != nil {
		return nil, err
	}
	var who Person
	if err := keys.open(forSession, sealed, &who); err != nil {
		return nil, err
	}
	if now := c.now(); !now.Before(who.Until) || who.Since.Add(c.Life).Before(now) || who.Issuer != c.Issuer {
		return nil, errEnded
	}
	return &who, nil
}

// decode reads claims with their numbers as they are.
func decode(text json.RawMessage) (claims, error) {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var out claims
	err := decoder.Decode(&out)
	return out, err
}
