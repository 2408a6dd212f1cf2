// Package signontest runs a real OpenID provider (github.com/zitadel/oidc) in the process of a test: with people in groups, keys
// that rotate, and, where a test wants it, tokens that no provider should give.
package signontest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The client that the provider knows, and the password of everybody.
const (
	Client   = "granter-desk"
	Secret   = "b2Jd0Zk1sT7qXo5Rw9YcLh3Nf6Vg8MaE" //nolint:gosec // of a provider in a test
	Password = "verysecure"
)

// User is somebody whom the provider knows. They sign in with their email.
type User struct {
	ID, Email  string
	Unverified bool // the email
	Groups     []string
}

// Provider is one that runs until the test ends.
type Provider struct {
	URL string // its issuer

	t      testing.TB
	store  *store
	server *httptest.Server

	mu      sync.Mutex
	handler http.Handler
	away    bool
	tamper  func(claims map[string]any, with *jose.SigningKey)
	ended   int
}

// Start starts a provider for a client at some redirect URLs.
func Start(t testing.TB, users []User, back ...string) *Provider {
	t.Helper()
	p := &Provider{t: t}
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.server.Close)
	p.URL = p.server.URL
	clients := map[string]*storage.Client{Client: storage.WebClient(Client, Secret, back...)}
	people := directory{}
	for _, u := range users {
		people[u.ID] = &storage.User{
			ID: u.ID, Username: u.Email, Password: Password, Email: u.Email, EmailVerified: !u.Unverified, LastName: u.ID,
		}
	}
	p.store = &store{Storage: storage.NewStorageWithClients(people, clients), users: users}
	for _, url := range back {
		p.store.out = append(p.store.out, strings.Replace(url, "oidc/callback", "oidc/signed-out", 1))
	}
	p.Rotate()
	// The example logs by the default logger: every request, as if that were news.
	handler := exampleop.SetupServer(p.URL, p.store, slog.New(slog.DiscardHandler), false)
	p.mu.Lock()
	p.handler = handler
	p.mu.Unlock()
	return p
}

type directory map[string]*storage.User

func (d directory) GetUserByID(id string) *storage.User { return d[id] }
func (d directory) ExampleClientID() string             { return "service" }
func (d directory) GetUserByUsername(name string) *storage.User {
	for _, u := range d {
		if u.Username == name {
			return u
		}
	}
	return nil
}

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	next, away, tamper := p.handler, p.away, p.tamper
	if strings.HasSuffix(r.URL.Path, "end_session") {
		p.ended++
	}
	p.mu.Unlock()
	switch {
	case away:
		w.WriteHeader(http.StatusBadGateway)
	case tamper != nil && strings.HasSuffix(r.URL.Path, "/token"):
		p.forge(w, r, next, tamper)
	default:
		next.ServeHTTP(w, r)
	}
}

// forge answers with an ID token that is changed, and signed again.
func (p *Provider) forge(
	w http.ResponseWriter,
	r *http.Request,
	next http.Handler,
	tamper func(map[string]any, *jose.SigningKey),
) {
	given := httptest.NewRecorder()
	next.ServeHTTP(given, r)
	var answer map[string]any
	if json.Unmarshal(given.Body.Bytes(), &answer) != nil || answer["id_token"] == nil {
		w.WriteHeader(given.Code)
		_, _ = w.Write(given.Body.Bytes())
		return
	}
	token, err := jose.ParseSignedCompact(answer["id_token"].(string), []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(p.t, err)
	var claims map[string]any
	require.NoError(p.t, json.Unmarshal(token.UnsafePayloadWithoutVerification(), &claims))
	key := p.store.current().key
	with := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key.key, KeyID: key.id}}
	tamper(claims, &with)
	answer["id_token"] = sign(p.t, claims, with)
	w.Header().Set("Content-Type", "application/json")
	require.NoError(p.t, json.NewEncoder(w).Encode(answer))
}

func sign(t testing.TB, claims map[string]any, with jose.SigningKey) string {
	t.Helper()
	text, err := json.Marshal(claims)
	require.NoError(t, err)
	if with.Algorithm == "none" {
		return encode([]byte(`{"alg":"none"}`)) + "." + encode(text) + "."
	}
	signer, err := jose.NewSigner(with, nil)
	require.NoError(t, err)
	signed, err := signer.Sign(text)
	require.NoError(t, err)
	out, err := signed.CompactSerialize()
	require.NoError(t, err)
	return out
}

// Away makes the provider answer nothing of use, or answer again.
func (p *Provider) Away(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// Tamper changes the claims of ID tokens, and by what they are signed; nil: they are as they should be.
func (p *Provider) Tamper(how func(claims map[string]any, with *jose.SigningKey)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tamper = how
}

// Ended is how often somebody ended their session at the provider.
func (p *Provider) Ended() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Rotate gives the provider another key: nothing is signed by the one before, and it is published no more.
func (p *Provider) Rotate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(p.t, err)
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.key = &signingKey{rand.Text(), key}
}

// InToken says whether what the provider knows about people is in ID tokens, or only where it is asked for.
func (p *Provider) InToken(is bool) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.asserts = is
}

// Groups puts somebody into other groups.
func (p *Provider) Groups(id string, groups ...string) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	for i := range p.store.users {
		if p.store.users[i].ID == id {
			p.store.users[i].Groups = groups
		}
	}
}

// store is the library's example, with groups and keys of its own.
type store struct {
	*storage.Storage

	mu      sync.Mutex
	users   []User
	key     *signingKey
	asserts bool
	out     []string
}

type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

type privateKey struct{ key *signingKey }

func (k privateKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k privateKey) Key() any                                    { return k.key.key }
func (k privateKey) ID() string                                  { return k.key.id }

type publicKey struct{ key *signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.key.key.PublicKey }
func (k publicKey) ID() string                         { return k.key.id }

func (s *store) current() privateKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return privateKey{s.key}
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.current(), nil }
func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}
func (s *store) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey(s.current())}, nil
}

func (s *store) SetUserinfoFromRequest(
	ctx context.Context, info *oidc.UserInfo, token op.IDTokenRequest, scopes []string,
) error {
	s.join(info, token.GetSubject())
	return s.Storage.SetUserinfoFromRequest(ctx, info, token, scopes)
}

func (s *store) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	s.join(info, subject)
	return s.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

// join adds somebody's groups.
func (s *store) join(info *oidc.UserInfo, subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u.ID == subject {
			info.AppendClaims("groups", u.Groups)
		}
	}
}

func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return client{c, s.asserts, s.out}, err
}

type client struct {
	op.Client

	asserts bool
	out     []string
}

func (c client) IDTokenUserinfoClaimsAssertion() bool { return c.asserts }
func (c client) PostLogoutRedirectURIs() []string     { return c.out }
