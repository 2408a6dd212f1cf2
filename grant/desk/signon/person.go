package signon

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Person is somebody whom the provider knows, as of when they signed in.
type Person struct {
	Issuer  string              `json:"iss"`
	Subject string              `json:"sub"`
	Name    string              `json:"name"`
	Claims  map[string][]string `json:"claims,omitempty"` // those of Config.Wanted that they have
	Since   time.Time           `json:"since"`
	Until   time.Time           `json:"until"` // when the session ends
	Token   string              `json:"token,omitempty"`
}

const (
	maxName    = 64
	maxSubject = 255 // OpenID Connect Core, 2
)

// Who is the person in audit trails and logs: the name, and behind it who that is for good. Names change, and two people may have
// the same; the subject is one person at the issuer. No name of a token has spaces, so none can look like this.
func (p *Person) Who() string {
	at := strings.TrimPrefix(strings.TrimPrefix(p.Issuer, "https://"), "http://")
	return fmt.Sprintf("%s (%s at %s)", p.Name, url.PathEscape(p.Subject), at)
}

// nameOf makes a name of a claim: printable, without spaces and parentheses, which separate it from what is behind it.
func nameOf(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune("()", r) {
			return '_'
		}
		return r
	}, strings.TrimSpace(text))
	if runes := []rune(text); len(runes) > maxName {
		text = string(runes[:maxName])
	}
	return text
}

// claims are those of a token and of the provider's answer about the user.
type claims map[string]any

// values returns what a claim says, as texts: of a list each, of an object its keys. A claim of that very name counts most; else
// dots lead into objects, as in realm_access.roles. An email counts when the provider says that it is verified: some leave out
// that it is not.
func (c claims) values(name string) []string {
	if verified := c["email_verified"]; name == ClaimEmail && verified != true && verified != "true" {
		return nil
	}
	value, ok := c[name]
	for rest, in := name, c; !ok; {
		first, more, dotted := strings.Cut(rest, ".")
		inner, object := in[first].(map[string]any)
		if !dotted || !object {
			return nil
		}
		value, ok = inner[more]
		rest, in = more, inner
	}
	switch v := value.(type) {
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, scalar(one)...)
		}
		return out
	case map[string]any:
		var out []string
		for key := range v {
			out = append(out, key)
		}
		slices.Sort(out)
		return out
	}
	return scalar(value)
}

func scalar(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case json.Number:
		return []string{v.String()}
	case bool:
		return []string{strconv.FormatBool(v)}
	}
	return nil
}

// lack reports whether claims that are wanted are not there at all.
func (c claims) lack(cfg *Config) bool {
	if len(c.values(cfg.Name)) == 0 {
		return true
	}
	for name := range cfg.Wanted {
		if _, there := c[name]; !there && len(c.values(name)) == 0 {
			return true
		}
	}
	return false
}

// person is who claims are of.
func (c claims) person(cfg *Config, now time.Time) (*Person, error) {
	sub, _ := c[ClaimSubject].(string)
	if sub == "" || len(sub) > maxSubject {
		return nil, refuse("the provider names nobody: its token has no good subject")
	}
	p := &Person{
		Issuer:  cfg.Issuer,
		Subject: sub,
		Since:   now.UTC(),
		Until:   now.Add(cfg.Life).UTC(),
		Claims:  map[string][]string{},
	}
	names := c.values(cfg.Name)
	if len(names) == 0 || nameOf(names[0]) == "" {
		return nil, setup(
			fmt.Sprintf("the provider does not say the claim %s, by which people are called here, or not as verified: "+
				"have it send that claim, or choose another one by oidc.name", cfg.Name),
		)
	}
	p.Name = nameOf(names[0])
	for name, wanted := range cfg.Wanted {
		has := slices.DeleteFunc(c.values(name), func(v string) bool { return !slices.Contains(wanted, v) })
		if len(has) > 0 {
			p.Claims[name] = has
		}
	}
	return p, nil
}
