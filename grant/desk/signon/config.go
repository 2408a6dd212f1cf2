package signon

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Paths of a desk, below the one where it begins. The redirect URL ends with PathBack.
const (
	PathIn   = "oidc/sign-in"
	PathBack = "oidc/callback"
	PathOut  = "oidc/sign-out"
	PathGone = "oidc/signed-out"
)

// Lives of sessions.
const (
	DefaultLife = 8 * time.Hour // a shift
	MinLife     = 5 * time.Minute
	MaxLife     = 24 * time.Hour
)

// ClaimSubject and ClaimEmail are claims with rules of their own: every token has the one, and the other may be unverified.
const (
	ClaimSubject = "sub"
	ClaimEmail   = "email"
)

// Config is one OpenID provider, and this desk as its client.
type Config struct {
	Issuer   string // URL; https, unless it is this machine
	Client   string // the client's ID there
	Secret   Secret // the client's; empty: it is a public client
	Keys     Secret // of sessions, one a line: the first seals, all open; empty: one that follows from the client's secret
	Redirect string // where the provider sends people back to: where browsers find this desk, and PathBack
	Name     string // the claim that people are called by
	Scopes   []string
	Life     time.Duration // of a session
	Title    string        // what people call the provider; empty: nothing in particular
	Ask      string        // whom somebody asks who is let in nowhere; empty: nobody in particular

	// Wanted are the claims that decide what somebody may do, with the values that do. A session has no others.
	Wanted map[string][]string
}

// Validate returns everything that is wrong, without the names of fields: wrong gets those.
func (c *Config) Validate(wrong func(field string, err error)) {
	if err := checkURL(c.Issuer); err != nil {
		wrong("issuer", err)
	}
	if err := checkURL(c.Redirect); err != nil {
		wrong("redirect", err)
	}
	if c.Client == "" {
		wrong("client", errors.New("is missing: the ID under which the provider knows this desk"))
	}
	if c.Redirect != "" && !strings.HasSuffix(c.Redirect, "/"+PathBack) {
		wrong("redirect", errors.New("must end with /"+PathBack))
	}
	if c.Secret == "" && c.Keys == "" {
		wrong("secret", errors.New("is missing: file:PATH or env:NAME of the client's secret; a public client, which has none, "+
			"needs oidc.session_key file:PATH instead"))
	}
	if c.Life < MinLife || c.Life > MaxLife {
		wrong("session", fmt.Errorf("want a time from %v to %v, such as 8h", MinLife, MaxLife))
	}
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errors.New("is missing")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("want a URL without a query, such as https://id.example/realms/staff")
	case u.Scheme == "https", u.Scheme == "http" && here(u.Hostname()):
		return nil
	}
	return errors.New("want https; http is for this machine only")
}

func here(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// root is where browsers find the desk, with a slash at the end.
func (c *Config) root() string { return strings.TrimSuffix(c.Redirect, PathBack) }

// Path is the path of a place of the desk, as browsers see it; of "" where the desk begins.
func (c *Config) Path(place string) string {
	u, err := url.Parse(c.root())
	if err != nil { // Validate has seen it
		return "/" + place
	}
	return u.EscapedPath() + place
}

// Secure says that browsers come by TLS.
func (c *Config) Secure() bool { return strings.HasPrefix(c.Redirect, "https:") }

// Secret says where a secret is: file:PATH or env:NAME.
type Secret string

// ParseSecret reads where a secret is. The path of a file counts from a folder.
func ParseSecret(text, folder string) (Secret, error) {
	kind, name, _ := strings.Cut(text, ":")
	switch {
	case name == "":
	case kind == "env":
		return Secret(text), nil
	case kind == "file" && filepath.IsAbs(name):
		return Secret(text), nil
	case kind == "file":
		return Secret("file:" + filepath.Join(folder, name)), nil
	}
	return "", errors.New("want file:PATH or env:NAME; the secret itself does not belong here") // which it may be
}

const maxSecret = 64 << 10

// read returns the secret without white space around it; of none, nothing.
func (s Secret) read() (string, error) {
	kind, name, _ := strings.Cut(string(s), ":")
	var text string
	switch kind {
	case "":
		return "", nil
	case "env":
		text = os.Getenv(name)
	default:
		file, err := os.ReadFile(name) //nolint:gosec // the operator names the file
		if err != nil {
			return "", err
		}
		text = string(file)
	}
	if text = strings.TrimSpace(text); text == "" || len(text) > maxSecret {
		return "", fmt.Errorf("%s: it is empty or too large", s)
	}
	return text, nil
}
