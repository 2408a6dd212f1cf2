// Package client asks a desk whether users hold items, from other services. It keeps connections, repeats what may pass, and says
// on what an answer rests. It needs nothing of granter but its vocabulary.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/granter/granter/grant"
)

// ErrUnknown means that the desk does not know, as its ledger does not answer, and declares nothing for that case: the caller
// decides.
var ErrUnknown = errors.New("whether the user holds the item is not known")

// Error is an answer that is no check. It may be an ErrUnknown.
type Error struct {
	Status int    // of HTTP
	Type   string // urn:problem-type:granter:…, which never changes its meaning; empty: it was not a desk that answered
	Detail string // for people

	unknown bool
}

func (e *Error) Error() string { return fmt.Sprintf("the desk answers %d: %s", e.Status, e.Detail) }

// Is says of ErrUnknown whether that is what it means.
func (e *Error) Is(target error) bool { return target == ErrUnknown && e.unknown }

// Config of a Client. Only URL, and Token or a certificate in TLS, are needed.
type Config struct {
	URL      string        // https://host:port; http only on this machine
	Token    string        // of granter token NAME service
	TLS      *tls.Config   // nil: the system's authorities
	Timeout  time.Duration // of one attempt; 0: 2 s, for a list 10 s
	Attempts uint          // for what may pass: no connection, 429, 502, 503, 504; 0: 3
	Conns    int           // that are kept open; 0: 64
}

const (
	defaultTimeout  = 2 * time.Second
	listTimeout     = 10 * time.Second
	defaultAttempts = 3
	defaultConns    = 64

	maxAnswer = 16 << 20 // bytes
	listSize  = 1 << 17  // users of one request: 1 MiB of numbers, 5 MB of UUIDs
)

// Client asks a desk. It is safe for concurrent use.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
}

// New makes a client. It does not talk to the desk yet.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil {
		return nil, errors.New("the desk's address: want https://host:port, and nothing secret in it")
	}
	ip := net.ParseIP(base.Hostname())
	if base.Scheme == "http" && base.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%s: everybody on the way would read the token: use https", base.Host)
	}
	if cfg.Token == "" && (cfg.TLS == nil || len(cfg.TLS.Certificates) == 0) {
		return nil, errors.New("who asks? Give a token, or a client certificate")
	}
	cfg.Attempts, cfg.Conns = cmp.Or(cfg.Attempts, defaultAttempts), cmp.Or(cfg.Conns, defaultConns)
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg.TLS, ForceAttemptHTTP2: true,
			MaxIdleConns: cfg.Conns, MaxIdleConnsPerHost: cfg.Conns, IdleConnTimeout: time.Minute,
		},
		// A token must not follow to where the desk never was.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Check is how a user and an item stand.
type Check struct {
	User     grant.UserID `json:"user"`
	Item     string       `json:"item"`
	Active   bool         `json:"active"` // whether the user may use the item: this decides
	State    grant.State  `json:"state"`
	Campaign string       `json:"campaign"` // by which the user has it; empty: by none
	At       time.Time    `json:"at"`       // that the answer is about
	Basis    string       `json:"basis"`    // "ledger", or what was declared for when that is away: "deny", "allow", "last-known"
	AsOf     time.Time    `json:"as_of"`    // of "last-known": when the ledger was seen so
}

// Holdings are all that a user holds, or held.
type Holdings struct {
	User         grant.UserID `json:"user"`
	At           time.Time    `json:"at"`
	Basis        string       `json:"basis"`
	Entitlements []Holding    `json:"entitlements"`
	Unreadable   []string     `json:"unreadable"` // campaigns of which it is not known
}

// Holding is one item that the user holds, or held.
type Holding struct {
	Campaign  string      `json:"campaign"`
	Item      string      `json:"item"`
	Kind      grant.Kind  `json:"kind"`
	Amount    int64       `json:"amount"`
	Currency  string      `json:"currency"`
	Active    bool        `json:"active"`
	State     grant.State `json:"state"`
	GrantedAt time.Time   `json:"granted_at"`
	TakenAt   time.Time   `json:"taken_at"`
	TakeUntil time.Time   `json:"take_until"`
	ExpiresAt time.Time   `json:"expires_at"` // zero: never
	LastDay   string      `json:"last_day"`
}

// Option narrows a question.
type Option func(url.Values)

// At asks about a moment instead of now.
func At(at time.Time) Option { return func(v url.Values) { v.Set("at", at.Format(time.RFC3339Nano)) } }

// Of asks about the items of one campaign only.
func Of(campaign string) Option { return func(v url.Values) { v.Set("campaign", campaign) } }

// Check asks about one item. A user is a grant.NumberID or, of whatever else a campaign has as IDs, a grant.TextID. Errors are
// ErrUnknown, an *Error, and those of the connection and the context.
func (c *Client) Check(ctx context.Context, user grant.UserID, item string, options ...Option) (check Check, err error) {
	err = c.ask(ctx, defaultTimeout, request{path: []string{"entitlements", id(user), item}, options: options}, into(&check))
	return check, err
}

// Holdings asks about all items of all campaigns.
func (c *Client) Holdings(ctx context.Context, user grant.UserID, options ...Option) (held Holdings, err error) {
	err = c.ask(ctx, defaultTimeout, request{path: []string{"entitlements", id(user)}, options: options}, into(&held))
	return held, err
}

// CheckAll asks about one item and any number of users, some hundred thousand at a time, and returns their states in their order.
// grant.StateActive decides. When it fails, what it returns is not complete.
func (c *Client) CheckAll(ctx context.Context, item string, users []grant.UserID, options ...Option) ([]grant.State, error) {
	out := make([]grant.State, 0, len(users))
	var body []byte
	for len(users) > 0 {
		part := users[:min(len(users), listSize)]
		users = users[len(part):]
		list := request{path: []string{"checks", item}, options: options, form: binaryForm}
		body = body[:0]
		if slices.ContainsFunc(part, func(u grant.UserID) bool { return !u.IsNumber() }) {
			list.form = linesForm
		}
		for _, user := range part {
			switch {
			case list.form == binaryForm:
				body = binary.BigEndian.AppendUint64(body, user.Number())
			case strings.ContainsAny(user.String(), "\r\n"):
				return out, fmt.Errorf("user %q: an ID with a line end cannot be in a list: ask about it alone", user)
			default:
				body = append(user.Append(body), '\n')
			}
		}
		list.body = body
		err := c.ask(ctx, listTimeout, list, func(answer []byte) error {
			before := len(out)
			for len(answer) > 0 {
				state, rest, err := nextState(list.form, answer)
				if err != nil {
					return err
				}
				out, answer = append(out, state), rest
			}
			if n := len(out) - before; n != len(part) {
				return fmt.Errorf("the desk answers about %d users, asked was about %d", n, len(part))
			}
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// The forms of a list and its answer: 8 bytes a user and a byte a state, where users are numbers; else lines.
const (
	binaryForm = "application/octet-stream"
	linesForm  = "text/plain"
)

// nextState reads a state of an answer.
func nextState(form string, answer []byte) (state grant.State, rest []byte, err error) {
	if form == linesForm {
		line, rest, _ := bytes.Cut(answer, []byte{'\n'})
		if state = grant.State(line); !slices.Contains(states, state) {
			return "", nil, fmt.Errorf("the desk answers a state that this client does not know (%.40q)", line)
		}
		return state, rest, nil
	}
	if code := int(answer[0]); code >= len(states) {
		return "", nil, fmt.Errorf("the desk answers a state that this client does not know (%d)", code)
	}
	return states[answer[0]], answer[1:], nil
}

// states have their code as index.
var states = []grant.State{
	"none", grant.StateActive, "unknown", grant.StateExpired, grant.StateOffered, grant.StateLapsed, grant.StateExhausted,
	grant.StateRevoked, grant.StateRecalled,
}

func id(user grant.UserID) string { return user.String() }

// into reads JSON. Fields that this version does not know are none of its concern.
func into(v any) func([]byte) error {
	return func(answer []byte) error {
		if err := json.Unmarshal(answer, v); err != nil {
			return fmt.Errorf("this is not a desk: %w", err)
		}
		return nil
	}
}

// request is what is asked; without a body it is a GET.
type request struct {
	path    []string
	options []Option
	body    []byte
	form    string // of the body
}

// segment is a part of a path. A user may be called . or .., which would lead elsewhere.
func segment(part string) string {
	if part == "." || part == ".." {
		return strings.ReplaceAll(part, ".", "%2E")
	}
	return url.PathEscape(part)
}

// ask makes attempts.
func (c *Client) ask(ctx context.Context, timeout time.Duration, r request, read func([]byte) error) error {
	target := c.base.JoinPath("api", "v1")
	for _, part := range r.path {
		target = target.JoinPath(segment(part))
	}
	values := url.Values{}
	for _, option := range r.options {
		option(values)
	}
	target.RawQuery = values.Encode()
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 2*time.Second
	answer, err := backoff.Retry(ctx, func() ([]byte, error) {
		return c.attempt(ctx, cmp.Or(c.cfg.Timeout, timeout), target.String(), &r)
	}, backoff.WithBackOff(pause), backoff.WithMaxTries(c.cfg.Attempts))
	if err != nil {
		return err
	}
	return read(answer)
}

func (c *Client) attempt(ctx context.Context, timeout time.Duration, target string, of *request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	method, content := http.MethodGet, io.Reader(http.NoBody)
	if of.body != nil {
		method, content = http.MethodPost, bytes.NewReader(of.body)
	}
	r, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	if of.body != nil {
		r.Header.Set("Content-Type", of.form)
	}
	if c.cfg.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil || response.StatusCode == http.StatusOK {
		return answer, err
	}
	return nil, problem(response, answer)
}

// problem says what an answer other than 200 means, and whether another attempt may help.
func problem(response *http.Response, answer []byte) error {
	e := &Error{Status: response.StatusCode, Detail: response.Status}
	var said struct {
		Type   string `json:"type"`
		Detail string `json:"detail"`
	}
	if json.Unmarshal(answer, &said) == nil && said.Type != "" {
		e.Type, e.Detail = said.Type, said.Detail
	}
	e.unknown = response.Header.Get("Granter-Basis") == "unknown"
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return e
	default:
		return backoff.Permanent(e)
	}
}
