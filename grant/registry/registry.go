// Package registry asks a schema registry, as Confluent's serves them, for the schemas that records name: each once, because
// what an ID means never changes. A registry that does not answer is an error, which may pass; that it has no such schema is an
// answer.
package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/granter/granter/grant"
)

// Access says how a registry is reached, wherever a campaign says that it is.
type Access struct {
	URLs           []string // in place of the campaign's: the same registry, one address asked after the other
	User, Password string
	Token          string      // of a bearer; not with a user
	TLS            *tls.Config // nil: the system's authorities, no certificate
	Timeout        time.Duration
}

const defaultTimeout = 10 * time.Second

// ErrUnknown means that the registry has no schema of an ID.
var ErrUnknown = errors.New("the registry has no such schema")

// An UnusableError means that the registry has a schema of an ID, by which no record can be read.
type UnusableError struct{ Why string }

func (e *UnusableError) Error() string { return e.Why }

// The limits of what a registry may answer.
const (
	mostBytes      = 4 << 20 // of an answer
	mostReferences = 256
	mostTexts      = 16 << 20 // of a schema and all that it refers to
)

// Those schemas that the registry does not have are asked for again before that is believed: a follower may lag behind the leader
// that a producer got the ID from. But not all of the IDs in records that are no such records.
const (
	askAgain     = 3
	doubted      = 16 // IDs that are asked for again
	mostUnknown  = 4096
	believedFor  = time.Minute
	beforeAgain  = 300 * time.Millisecond
	mostSubjects = 3
)

// Client asks the registry of a campaign. It is safe for concurrent use: whoever asks while somebody else does waits for the
// answer.
type Client struct {
	format  grant.Format
	urls    []string
	api     *sr.Client
	http    *http.Client
	pause   time.Duration
	turn    chan struct{} // holds one who asks
	schemas map[uint32]grant.Schema
	useless map[uint32]*UnusableError
	unknown map[uint32]time.Time // when that was found
	doubts  int
}

// Reads reports whether an input has a registry.
func Reads(in *grant.Input) bool { return in.Format.Schemas() && in.Registry != "" }

// New makes a client. It connects when it is asked something; Close must be called.
func New(in *grant.Input, a Access) (*Client, error) {
	urls := a.URLs
	if len(urls) == 0 {
		urls = []string{in.Registry}
	}
	urls = slices.Clone(urls)
	for i := range urls {
		if err := CheckURL(urls[i]); err != nil {
			return nil, err
		}
		urls[i] = strings.TrimRight(urls[i], "/")
	}
	if a.Timeout <= 0 {
		a.Timeout = defaultTimeout
	}
	base := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: a.TLS, ForceAttemptHTTP2: true, MaxIdleConns: 4,
		TLSHandshakeTimeout: a.Timeout, IdleConnTimeout: time.Minute,
	}
	c := &Client{
		format: in.Format, urls: urls, pause: beforeAgain, turn: make(chan struct{}, 1),
		http: &http.Client{
			Timeout: a.Timeout, Transport: &transport{base: base},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		schemas: map[uint32]grant.Schema{}, useless: map[uint32]*UnusableError{}, unknown: map[uint32]time.Time{},
	}
	opts := []sr.ClientOpt{sr.URLs(urls...), sr.HTTPClient(c.http), sr.UserAgent("granter")}
	switch {
	case a.Token != "":
		opts = append(opts, sr.BearerToken(a.Token))
	case a.User != "":
		opts = append(opts, sr.BasicAuth(a.User, a.Password))
	}
	var err error
	c.api, err = sr.NewClient(opts...)
	return c, err
}

// CheckURL says what is wrong with the address of a registry.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is no address of a schema registry: write one such as https://schemas.example:8081", text)
	case u.User != nil:
		return errors.New("an address is no place for a user or a password: both have settings of their own")
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q has more than an address: write it without what is behind ? or #", text)
	}
	return nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Address is where the registry is asked, for people.
func (c *Client) Address() string { return strings.Join(c.urls, ", ") }

// Schema returns a schema and all that it refers to. ErrUnknown: the registry has none of the ID. An *UnusableError: no record
// can be read by it. Both are answers; any other error says that there is none, and Temporary whether one may come.
func (c *Client) Schema(ctx context.Context, id uint32) (grant.Schema, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return grant.Schema{}, context.Cause(ctx)
	}
	if s, known := c.schemas[id]; known {
		return s, nil
	}
	if err := c.useless[id]; err != nil {
		return grant.Schema{}, err
	}
	if at, known := c.unknown[id]; known && time.Since(at) < believedFor || id > math.MaxInt32 || id == 0 {
		return grant.Schema{}, ErrUnknown
	}
	s, err := c.ask(ctx, id)
	var useless *UnusableError
	switch {
	case errors.Is(err, ErrUnknown):
		if len(c.unknown) >= mostUnknown {
			clear(c.unknown)
		}
		c.unknown[id] = time.Now()
	case errors.As(err, &useless):
		c.useless[id] = useless
	case err == nil:
		c.schemas[id] = s
	default:
		err = fmt.Errorf("asking the schema registry for schema %d: %w", id, tidy(err))
	}
	return s, err
}

// tidy takes off what says the address more than once.
func tidy(err error) error {
	if of, ok := errors.AsType[*Error](err); ok {
		return of
	}
	if of, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: %w", of.URL, of.Err)
	}
	return err
}

// ask asks for a schema that is not known yet.
func (c *Client) ask(ctx context.Context, id uint32) (s grant.Schema, err error) {
	var found sr.Schema
	for try := 1; ; try++ {
		found, err = c.api.SchemaByID(ctx, int(id))
		if !errors.Is(err, ErrUnknown) || try == askAgain || c.doubts >= doubted {
			break
		}
		select {
		case <-time.After(c.pause << (try - 1)):
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
	if err != nil {
		if errors.Is(err, ErrUnknown) {
			c.doubts++
			return s, ErrUnknown
		}
		return s, err
	}
	return c.whole(ctx, id, found)
}

// whole adds what a schema refers to.
func (c *Client) whole(ctx context.Context, id uint32, found sr.Schema) (s grant.Schema, err error) {
	if want := formats[found.Type]; want != c.format {
		return s, &UnusableError{fmt.Sprintf("the registry has schema %d in the format %s, and source.format is %s", id,
			found.Type, c.format)}
	}
	s = grant.Schema{ID: id, Text: found.Schema}
	f := following{client: c, into: &s, seen: map[place]bool{}, size: len(s.Text)}
	if err := f.follow(ctx, found.References); err != nil {
		return grant.Schema{}, err
	}
	return s, nil
}

var formats = map[sr.SchemaType]grant.Format{
	sr.TypeAvro: grant.FormatAvro, sr.TypeProtobuf: grant.FormatProtobuf, sr.TypeJSON: grant.FormatJSONSchema,
}

type place struct {
	subject string
	version int
}

// following collects what a schema refers to, each once, and behind what it needs itself.
type following struct {
	client *Client
	into   *grant.Schema
	seen   map[place]bool
	size   int
}

func (f *following) follow(ctx context.Context, list []sr.SchemaReference) error {
	for _, r := range list {
		at := place{r.Subject, r.Version}
		if f.seen[at] {
			continue
		}
		if f.seen[at] = true; len(f.seen) > mostReferences {
			return &UnusableError{fmt.Sprintf("the schema %d refers to more than %d others", f.into.ID, mostReferences)}
		}
		// A subject that was deleted is still referred to.
		found, err := f.client.api.SchemaByVersion(sr.WithParams(ctx, sr.ShowDeleted), r.Subject, r.Version)
		if errors.Is(err, ErrUnknown) {
			return &UnusableError{fmt.Sprintf("the schema %d refers to %s, version %d of the subject %s, which the registry "+
				"does not "+
				"have", f.into.ID, r.Name, r.Version, r.Subject)}
		}
		if err != nil {
			return err
		}
		if err := f.follow(ctx, found.References); err != nil {
			return err
		}
		if f.size += len(found.Schema.Schema); f.size > mostTexts {
			return &UnusableError{fmt.Sprintf("the schema %d and what it refers to have more than %d MiB", f.into.ID,
				mostTexts>>20)}
		}
		f.into.References = append(f.into.References, grant.Reference{Name: r.Name, Text: found.Schema.Schema})
	}
	return nil
}

// Latest returns the newest schema of a subject, such as that of a topic's values.
func (c *Client) Latest(ctx context.Context, subject string) (grant.Schema, error) {
	found, err := c.api.SchemaByVersion(ctx, subject, -1)
	if err != nil {
		if !errors.Is(err, ErrUnknown) {
			err = fmt.Errorf("asking the schema registry for the subject %s: %w", subject, tidy(err))
		}
		return grant.Schema{}, err
	}
	return c.Schema(ctx, uint32(found.ID))
}

// Ping asks what a run asks, of a schema that there may or may not be: whether somebody answers who serves schemas, and would
// serve whoever asks.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.api.SchemaByID(ctx, 1)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	return tidy(err)
}

// Subjects names some of those that have a schema, and their versions, as far as whoever asks may see them.
func (c *Client) Subjects(ctx context.Context, id uint32) (names []string) {
	list, err := c.api.SubjectsByID(ctx, int(id))
	if err != nil {
		return nil
	}
	slices.Sort(list)
	return list[:min(len(list), mostSubjects)]
}
