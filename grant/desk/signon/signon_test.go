package signon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/desk/signon/signontest"
)

const back = "http://127.0.0.1:9/desk/" + PathBack

// world is a provider for this test, and the client of a desk there.
func world(t *testing.T, changes ...func(*Config)) (*signontest.Provider, *Client) {
	t.Helper()
	p := signontest.Start(t, []signontest.User{
		{ID: "1001", Email: "mira@example.com", Groups: []string{"cs", "staff", "x"}},
		{ID: "1002", Email: "joe@example.com", Unverified: true, Groups: []string{"cs"}},
	}, back)
	cfg := Config{
		Issuer: p.URL, Client: signontest.Client, Secret: secretFile(t, signontest.Secret), Redirect: back, Name: ClaimEmail,
		Scopes: []string{"openid", "profile", "email"}, Life: time.Hour,
		Wanted: map[string][]string{"groups": {"cs", "ops"}},
	}
	for _, change := range changes {
		change(&cfg)
	}
	cfg.Validate(func(field string, err error) { require.NoError(t, err, field) })
	return p, New(cfg)
}

func secretFile(t *testing.T, text string) Secret {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
	return Secret("file:" + file)
}

// signIn is all that a browser does.
func signIn(t *testing.T, p *signontest.Provider, c *Client, email string) (*Person, error) {
	t.Helper()
	begun, err := c.Begin(t.Context(), "users/2")
	require.NoError(t, err)
	answer := p.Visit(t, begun.URL, email).Query()
	require.Equal(t, begun.ID, AttemptOf(answer))
	who, next, err := c.Finish(t.Context(), answer, begun.Sealed)
	require.Equal(t, "users/2", next)
	return who, err
}

func kindOf(t *testing.T, err error) Kind {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e.Kind
}

// Groups may be in the token, or only where the provider is asked about the user.
func TestWhoTheProviderVouchesForHasASession(t *testing.T) {
	p, c := world(t)
	for _, inToken := range []bool{true, false} {
		p.InToken(inToken)
		who, err := signIn(t, p, c, "mira@example.com")
		require.NoError(t, err)
		require.Equal(t, "mira@example.com (1001 at "+strings.TrimPrefix(p.URL, "http://")+")", who.Who())
		require.Equal(t, map[string][]string{"groups": {"cs"}}, who.Claims, "what nothing depends on is not kept")
		sealed, err := c.Seal(who)
		require.NoError(t, err)
		require.NotContains(t, sealed, "mira")
		again, err := c.Open(sealed)
		require.NoError(t, err)
		require.Equal(t, who.Who(), again.Who())
		require.NotEmpty(t, again.Token)
	}
}

func TestAnUnverifiedEmailNamesNobody(t *testing.T) {
	p, c := world(t)
	_, err := signIn(t, p, c, "joe@example.com")
	require.Equal(t, KindSetup, kindOf(t, err))
	require.ErrorContains(t, err, "does not say the claim email")
	p, c = world(t, func(cfg *Config) {
		cfg.Name = "preferred_username"
		cfg.Wanted = map[string][]string{"email": {"joe@example.com"}}
	})
	who, err := signIn(t, p, c, "joe@example.com")
	require.NoError(t, err)
	require.Empty(t, who.Claims)
}

// What comes back counts once, in the browser that asked, and for what it asked.
func TestAnswersThatDoNotFitAreRefused(t *testing.T) {
	p, c := world(t)
	one, err := c.Begin(t.Context(), "")
	require.NoError(t, err)
	two, err := c.Begin(t.Context(), "")
	require.NoError(t, err)
	good := p.Visit(t, one.URL, "mira@example.com").Query()
	with := func(name, value string) url.Values {
		q := url.Values{}
		maps.Copy(q, good)
		q.Set(name, value)
		return q
	}
	for name, c2 := range map[string]struct {
		answer url.Values
		sealed string
		says   string
	}{
		"no attempt":         {good, "", "has begun no such sign-in"},
		"another's attempt":  {good, two.Sealed, "has begun no such sign-in"},
		"a forged state":     {with("state", "x"), one.Sealed, "has begun no such sign-in"},
		"a forged attempt":   {good, one.Sealed[:len(one.Sealed)-2] + "AA", "has begun no such sign-in"},
		"no code":            {with("code", ""), one.Sealed, "has no code"},
		"a forged code":      {with("code", "x"), one.Sealed, "invalid"},
		"it was denied":      {with("error", "access_denied"), one.Sealed, "the provider says access_denied"},
		"of another issuer":  {with("iss", "https://evil.example"), one.Sealed, "another provider"},
		"a session is no at": {good, func() string { s, _ := c.Seal(&Person{}); return s }(), "has begun no such sign-in"},
	} {
		_, _, err := c.Finish(t.Context(), c2.answer, c2.sealed)
		require.Equal(t, KindRefused, kindOf(t, err), name)
		require.ErrorContains(t, err, c2.says, name)
	}
	// The code of one attempt in the other: PKCE and nonce are of the first.
	mixed := with("state", p.Visit(t, two.URL, "mira@example.com").Query().Get("state"))
	_, _, err = c.Finish(t.Context(), mixed, two.Sealed)
	require.Equal(t, KindRefused, kindOf(t, err))

	three, err := c.Begin(t.Context(), "")
	require.NoError(t, err)
	answer := p.Visit(t, three.URL, "mira@example.com").Query()
	_, _, err = c.Finish(t.Context(), answer, three.Sealed)
	require.NoError(t, err)
	_, _, err = c.Finish(t.Context(), answer, three.Sealed)
	require.Equal(t, KindRefused, kindOf(t, err), "replayed")
	_, err = c.Open(three.Sealed)
	require.Error(t, err, "an attempt is no session")

	late, err := c.Begin(t.Context(), "")
	require.NoError(t, err)
	answer = p.Visit(t, late.URL, "mira@example.com").Query()
	c.now = func() time.Time { return time.Now().Add(AttemptLife + time.Second) }
	_, _, err = c.Finish(t.Context(), answer, late.Sealed)
	require.ErrorContains(t, err, "took more than 10 minutes")
}

func TestTokensThatDoNotCountAreRefused(t *testing.T) {
	p, c := world(t)
	now := time.Now().Unix()
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for name, forge := range map[string]func(claims map[string]any, with *jose.SigningKey){
		"alg none": func(_ map[string]any, with *jose.SigningKey) { with.Algorithm = "none" },
		"symmetric": func(_ map[string]any, with *jose.SigningKey) {
			*with = jose.SigningKey{Algorithm: jose.HS256, Key: []byte(signontest.Secret)}
		},
		"another's key": func(_ map[string]any, with *jose.SigningKey) {
			*with = jose.SigningKey{Algorithm: jose.ES256, Key: stranger}
		},
		"another nonce":    func(claims map[string]any, _ *jose.SigningKey) { claims["nonce"] = "x" },
		"no nonce":         func(claims map[string]any, _ *jose.SigningKey) { delete(claims, "nonce") },
		"expired":          func(claims map[string]any, _ *jose.SigningKey) { claims["exp"] = now - 120 },
		"of the future":    func(claims map[string]any, _ *jose.SigningKey) { claims["iat"] = now + 3600 },
		"another audience": func(claims map[string]any, _ *jose.SigningKey) { claims["aud"] = "another" },
		"audience and azp": func(claims map[string]any, _ *jose.SigningKey) { claims["azp"] = "another" },
		"another issuer":   func(claims map[string]any, _ *jose.SigningKey) { claims["iss"] = "https://evil.example" },
		"nobody":           func(claims map[string]any, _ *jose.SigningKey) { delete(claims, "sub") },
		"info of somebody": func(claims map[string]any, _ *jose.SigningKey) { claims["sub"] = "1002" },
		"another at_hash":  func(claims map[string]any, _ *jose.SigningKey) { claims["at_hash"] = "x" },
		"several audiences": func(claims map[string]any, _ *jose.SigningKey) {
			delete(claims, "azp")
			claims["aud"] = []string{"granter-desk", "b"}
		},
	} {
		p.Tamper(forge)
		_, err := signIn(t, p, c, "mira@example.com")
		require.Equal(t, KindRefused, kindOf(t, err), "%s: %v", name, err)
	}
	for name, fine := range map[string]func(claims map[string]any, with *jose.SigningKey){
		"a clock that is a little ahead":  func(claims map[string]any, _ *jose.SigningKey) { claims["iat"] = now + 30 },
		"a clock that is a little behind": func(claims map[string]any, _ *jose.SigningKey) { claims["exp"] = now - 20 },
	} {
		p.Tamper(fine)
		_, err := signIn(t, p, c, "mira@example.com")
		require.NoError(t, err, name)
	}
}

func TestTheProviderChangesItsKey(t *testing.T) {
	p, c := world(t)
	for range 3 {
		_, err := signIn(t, p, c, "mira@example.com")
		require.NoError(t, err)
		p.Rotate()
	}
}

func TestAProviderThatIsAway(t *testing.T) {
	p, c := world(t)
	p.Away(true)
	_, err := c.Begin(t.Context(), "")
	require.Equal(t, KindAway, kindOf(t, err))
	require.ErrorContains(t, err, p.URL+" does not answer")
	p.Away(false)
	_, err = c.Begin(t.Context(), "")
	require.Equal(t, KindAway, kindOf(t, err), "not asked again at once")
	c.now = func() time.Time { return time.Now().Add(retry) }
	begun, err := c.Begin(t.Context(), "")
	require.NoError(t, err)
	answer := p.Visit(t, begun.URL, "mira@example.com").Query()
	p.Away(true)
	_, _, err = c.Finish(t.Context(), answer, begun.Sealed)
	require.Equal(t, KindAway, kindOf(t, err))
	// What it said about itself counts until it says something else.
	c.now = func() time.Time { return time.Now().Add(2 * fresh) }
	_, err = c.Begin(t.Context(), "")
	require.NoError(t, err)
	require.Contains(t, c.OutAt(t.Context(), &Person{Token: "t"}), p.URL+"/end_session?client_id=granter-desk&id_token_hint=t&"+
		"post_logout_redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fdesk%2Foidc%2Fsigned-out")
}

func TestSessionsEnd(t *testing.T) {
	_, c := world(t)
	now := time.Now()
	sealed, err := c.Seal(&Person{Issuer: c.Issuer, Since: now, Until: now.Add(time.Hour)})
	require.NoError(t, err)
	c.now = func() time.Time { return now.Add(time.Hour - time.Second) }
	_, err = c.Open(sealed)
	require.NoError(t, err)
	c.Life = 30 * time.Minute // the access file says so now
	_, err = c.Open(sealed)
	require.Error(t, err)
	c.Life = time.Hour
	c.now = func() time.Time { return now.Add(time.Hour) }
	_, err = c.Open(sealed)
	require.Error(t, err)
	_, err = c.Open(sealed[:len(sealed)-3] + "AAA")
	require.Error(t, err)
	_, err = c.Open("")
	require.Error(t, err)
}

// What a browser keeps of a sign-in that was begun is no session, and the other way round, though one key seals both.
func TestWhatIsSealedIsForOnePurpose(t *testing.T) {
	p, c := world(t)
	begun, err := c.Begin(t.Context(), "/users")
	require.NoError(t, err)
	_, err = c.Open(begun.Sealed)
	require.ErrorIs(t, err, errSeal)

	_, keys, err := c.secrets()
	require.NoError(t, err)
	a := attempt{State: "s", Nonce: "n", Verifier: "v", Until: time.Now().Add(time.Hour)}
	session, err := keys.seal(forSession, a) // so that only the purpose is wrong
	require.NoError(t, err)
	_, _, err = c.Finish(t.Context(), url.Values{"state": {"s"}, "error": {"access_denied"}, "iss": {p.URL}}, session)
	require.ErrorContains(t, err, "no such sign-in")
	attempted, err := keys.seal(forAttempt, &Person{Issuer: c.Issuer, Since: time.Now(), Until: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = c.Open(attempted)
	require.ErrorIs(t, err, errSeal)
}

// The first key of a file seals, all open; so keys change while people are signed in.
func TestKeysOfSessionsRotate(t *testing.T) {
	first, second := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	keys := secretFile(t, first)
	_, c := world(t, func(cfg *Config) { cfg.Keys = keys })
	at := time.Now()
	c.now = func() time.Time { return at }
	write := func(text string) {
		require.NoError(t, os.WriteFile(strings.TrimPrefix(string(keys), "file:"), []byte(text), 0o600))
		at = at.Add(rereads)
	}
	who := &Person{Issuer: c.Issuer, Since: at, Until: at.Add(time.Hour)}
	old, err := c.Seal(who)
	require.NoError(t, err)
	write(second + "\n" + first)
	_, err = c.Open(old)
	require.NoError(t, err)
	young, err := c.Seal(who)
	require.NoError(t, err)
	write(second)
	_, err = c.Open(old)
	require.Error(t, err)
	_, err = c.Open(young)
	require.NoError(t, err)
	require.Empty(t, c.Trouble())
	write("short")
	require.Contains(t, c.Trouble(), "has 5 characters")
	require.NoError(t, os.Remove(strings.TrimPrefix(string(keys), "file:")))
	at = at.Add(rereads)
	require.Contains(t, c.Trouble(), "no such file")
}

func TestAWrongSecretOfTheClientIsTheDesksFault(t *testing.T) {
	p, c := world(t, func(cfg *Config) { cfg.Secret = secretFile(t, "not the one that the provider knows") })
	begun, err := c.Begin(t.Context(), "")
	require.NoError(t, err)
	_, _, err = c.Finish(t.Context(), p.Visit(t, begun.URL, "mira@example.com").Query(), begun.Sealed)
	require.Equal(t, KindSetup, kindOf(t, err))
}

// Many sign in at once, while the provider is asked for the first time.
func TestManySignInAtOnce(t *testing.T) {
	p, c := world(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			begun, err := c.Begin(t.Context(), "")
			if err == nil {
				_, _, err = c.Finish(t.Context(), p.Visit(t, begun.URL, "mira@example.com").Query(), begun.Sealed)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestClaimsAreReadAsProvidersWriteThem(t *testing.T) {
	c, err := decode([]byte(`{"groups": ["a", 7, true, null, {}], "one": "b", "https://example.com/roles": ["c"],
		"realm_access": {"roles": ["d"]}, "urn:x": {"admin": {}, "agent": {}}, "email": "e@x",
		"email_verified": false, "n": 12345678901234567890}`))
	require.NoError(t, err)
	for name, want := range map[string][]string{
		"groups": {"a", "7", "true"}, "one": {"b"}, "https://example.com/roles": {"c"}, "realm_access.roles": {"d"},
		"urn:x": {"admin", "agent"}, "email": nil, "none": nil, "realm_access.none": nil, "one.two": nil,
		"n": {"12345678901234567890"},
	} {
		require.Equal(t, want, c.values(name), name)
	}
	require.Equal(t, []string{"e@x"}, claims{"email": "e@x", "email_verified": true}.values("email"))
	require.Empty(t, claims{"email": "e@x"}.values("email"))
}

// A name of the provider's can be no other name of an audit trail.
func TestNamesAreOnesThatNobodyElseHas(t *testing.T) {
	p := Person{Issuer: "https://id.example/staff", Subject: "a|b (x", Name: nameOf(" root (sudo from\nmira) ")}
	require.Equal(t, "root__sudo_from_mira_ (a%7Cb%20%28x at id.example/staff)", p.Who())
	require.Len(t, []rune(nameOf(strings.Repeat("가", 100))), 64)
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	var wrong []string
	(&Config{Issuer: "http://id.example", Redirect: "https://desk.example/back"}).Validate(func(field string, err error) {
		wrong = append(wrong, field+" "+err.Error())
	})
	text := strings.Join(wrong, "\n")
	for _, want := range []string{
		"issuer want https", "redirect must end with /oidc/callback", "client is missing", "secret is missing",
		"session want a time",
	} {
		require.Contains(t, text, want)
	}
	_, err := ParseSecret("b2Jd0Zk1", "/etc")
	require.ErrorContains(t, err, "file:PATH or env:NAME")
	require.NotContains(t, err.Error(), "b2Jd0Zk1")
	s, err := ParseSecret("file:oidc.secret", "/etc/granter")
	require.NoError(t, err)
	require.Equal(t, Secret("file:/etc/granter/oidc.secret"), s)
	t.Setenv("GRANTER_TEST_SECRET", " x ")
	text, err = Secret("env:GRANTER_TEST_SECRET").read()
	require.NoError(t, err)
	require.Equal(t, "x", text)
	c := Config{Redirect: "https://desk.example/granter/" + PathBack}
	require.Equal(t, "/granter/users", c.Path("users"))
	require.True(t, c.Secure())
}
