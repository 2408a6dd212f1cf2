package signon

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// AttemptLife is how long somebody may take to sign in at the provider.
const AttemptLife = 10 * time.Minute

// attempt is a sign-in that was begun. The browser that began it keeps it, sealed, and nobody else has it.
type attempt struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Next     string    `json:"next"`
	Until    time.Time `json:"until"`
}

// Begun is what a browser needs to sign in.
type Begun struct {
	URL    string // where it goes
	ID     string // of the attempt: there may be several, in several tabs
	Sealed string // what it keeps meanwhile
}

// attemptOf is the ID of the attempt with a state.
func attemptOf(state string) string { return state[:min(len(state), 8)] }

// AttemptOf returns the ID of the attempt that an answer of the provider says it is of.
func AttemptOf(answer url.Values) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return r
	}, attemptOf(answer.Get("state")))
}

// Begin begins to sign somebody in, who goes on to next afterwards.
func (c *Client) Begin(ctx context.Context, next string) (*Begun, error) {
	secret, keys, err := c.secrets()
	if err != nil {
		return nil, err
	}
	p, err := c.provider(ctx)
	if err != nil {
		return nil, err
	}
	a := attempt{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: c.now().Add(AttemptLife),
	}
	sealed, err := keys.seal(forAttempt, a)
	if err != nil {
		return nil, err
	}
	to := c.oauth(p, secret).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier))
	return &Begun{URL: to, ID: attemptOf(a.State), Sealed: sealed}, nil
}

// Finish says who signed in, by the provider's answer and what the browser kept, and where they go on. Where it fails, next is
// there all the same when it is known.
func (c *Client) Finish(ctx context.Context, answer url.Values, sealed string) (who *Person, next string, err error) {
	secret, keys, err := c.secrets()
	if err != nil {
		return nil, "", err
	}
	var a attempt
	if sealed == "" || keys.open(forAttempt, sealed, &a) != nil ||
		subtle.ConstantTimeCompare([]byte(a.State), []byte(answer.Get("state"))) != 1 {
		return nil, "", refuse("this browser has begun no such sign-in, or finished it already")
	}
	switch code := answer.Get("error"); {
	case c.now().After(a.Until):
		return nil, a.Next, refuse(fmt.Sprintf("the sign-in took more than %d minutes", AttemptLife/time.Minute))
	case code != "":
		return nil, a.Next, refuse(printable(fmt.Sprintf("the provider says %s: %s", code, answer.Get("error_description"))))
	case answer.Get("code") == "":
		return nil, a.Next, refuse("the provider's answer has no code")
	}
	p, err := c.provider(ctx)
	if err != nil {
		return nil, a.Next, err
	}
	if iss := answer.Get("iss"); iss != c.Issuer && (iss != "" || p.SaysIssue) { // RFC 9207
		return nil, a.Next, refuse("the answer is of another provider")
	}
	who, err = c.exchange(ctx, p, secret, &a, answer.Get("code"))
	return who, a.Next, err
}

// exchange gives the code for tokens, and believes them where they are for this client and of this attempt.
func (c *Client) exchange(ctx context.Context, p *provider, secret string, a *attempt, code string) (*Person, error) {
	ctx = oidc.ClientContext(ctx, c.http)
	tokens, err := c.oauth(p, secret).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, c.notExchanged(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return nil, setup("the provider gives no ID token: is the scope openid allowed to this client?")
	}
	token, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, refuse("its ID token does not count: " + err.Error())
	}
	var text json.RawMessage
	if err := token.Claims(&text); err != nil {
		return nil, refuse("its ID token cannot be read: " + err.Error())
	}
	said, err := decode(text)
	if err != nil {
		return nil, refuse("its ID token cannot be read: " + err.Error())
	}
	azp, several := said["azp"].(string)
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.Nonce)) != 1:
		return nil, refuse("its ID token is of another sign-in (nonce)")
	case several && azp != c.Client, len(token.Audience) > 1 && !several:
		return nil, refuse("its ID token was made for another client (azp)")
	case token.IssuedAt.After(c.now().Add(5 * leeway)):
		return nil, refuse("its ID token is of the future: the clocks of provider and desk differ")
	case token.AccessTokenHash != "" && token.VerifyAccessToken(tokens.AccessToken) != nil:
		return nil, refuse("its ID token is of another access token")
	}
	if said.lack(&c.Config) && p.UserInfoEndpoint() != "" {
		if err := c.ask(ctx, p, tokens, said); err != nil {
			return nil, err
		}
	}
	who, err := said.person(&c.Config, c.now())
	if err == nil {
		who.Token = raw
	}
	return who, err
}

// ask adds what the provider says about the user elsewhere: many say groups there only. What the token says counts more.
func (c *Client) ask(ctx context.Context, p *provider, tokens *oauth2.Token, said claims) error {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return away(c.Issuer, err)
	}
	var text json.RawMessage
	err = info.Claims(&text)
	var more claims
	if err == nil {
		more, err = decode(text)
	}
	if err != nil {
		return away(c.Issuer, err)
	}
	if info.Subject != said[ClaimSubject] { // OpenID Connect Core, 5.3.2
		return refuse("the provider answers about somebody else than its token is of")
	}
	for name, value := range more {
		if _, there := said[name]; !there {
			said[name] = value
		}
	}
	return nil
}

// notExchanged says why there are no tokens.
func (c *Client) notExchanged(err error) error {
	failed, answered := errors.AsType[*oauth2.RetrieveError](err)
	if !answered || failed.Response == nil || failed.Response.StatusCode >= http.StatusInternalServerError ||
		failed.Response.StatusCode == http.StatusTooManyRequests {
		return away(c.Issuer, err)
	}
	why := printable("the provider says " + failed.ErrorCode + ": " + failed.ErrorDescription)
	if slices.Contains([]string{"invalid_client", "unauthorized_client"}, failed.ErrorCode) {
		return setup(why + " (ID and secret of the client, or what it is allowed)")
	}
	return refuse(why)
}

// printable is what somebody else says, in one line that is not long.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.TrimSuffix(strings.TrimSpace(text), ":"))
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}
