package desk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/granter/granter/grant/desk/signon"
)

// sessionCookie has the session of somebody who signed in by the OpenID provider. Unlike that of a token it opens the whole desk:
// what it opens is decided here at each request, it ends by itself, and no other site can send it with anything but a link.
const sessionCookie = "granter_session"

// roleNone is that of lines of the access file that let somebody in nowhere, whatever lines follow.
const roleNone Role = "none"

// claimLine is a line of the access file for whoever the provider says something of.
type claimLine struct {
	Principal

	claim, value string
}

// bySession returns who has a session and may do something, or who that is and why not.
func (a *Access) bySession(sealed string) (Principal, kind) {
	person, err := a.provider.Open(sealed)
	if err != nil {
		return anonymous, kindSession
	}
	return a.byPerson(person)
}

// byPerson returns what the access file lets somebody do whom the provider vouches for.
func (a *Access) byPerson(person *signon.Person) (Principal, kind) {
	who := Principal{Name: person.Who(), signedOn: true}
	for _, line := range a.claims {
		has := person.Claims[line.claim]
		if line.claim == signon.ClaimSubject {
			has = []string{person.Subject}
		}
		if !slices.Contains(has, line.value) {
			continue
		}
		if line.Role == roleNone {
			break
		}
		who.Role, who.only = line.Role, line.only
		return who, ""
	}
	return who, kindNoRole
}

// settings are the lines of the access file about the OpenID provider.
type settings struct {
	folder string // from which paths count
	lines  map[string]int
	signon.Config
}

const settingPrefix = "oidc."

// setting reads a line about the provider. A # with a space in front begins a comment.
func setting(line string) (name, value string, is bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, settingPrefix) {
		return "", "", false
	}
	fields := strings.Fields(line)
	for i, field := range fields {
		if strings.HasPrefix(field, "#") {
			fields = fields[:i]
			break
		}
	}
	return strings.TrimPrefix(fields[0], settingPrefix), strings.Join(fields[1:], " "), true
}

// set notes a setting:
//
//	oidc.issuer       URL of the provider
//	oidc.client       the desk's client ID there
//	oidc.secret       file:PATH or env:NAME of the client's secret
//	oidc.redirect     where browsers find this desk, and /oidc/callback
//	oidc.name         the claim that people are called by; default: email
//	oidc.scopes       what is asked for; default: openid profile email
//	oidc.session      how long a session lasts; default: 8h
//	oidc.session_key  file:PATH or env:NAME of keys of sessions, one a line
//	oidc.title        what people call the provider
//	oidc.ask          whom to ask for a role
func (s *settings) set(name, value string, number int) (err error) {
	if first, again := s.lines[name]; again {
		return fmt.Errorf("oidc.%s is in line %d already", name, first)
	}
	if s.lines == nil {
		s.lines = map[string]int{}
		s.Name, s.Scopes, s.Life = signon.ClaimEmail, []string{"openid", "profile", "email"}, signon.DefaultLife
	}
	s.lines[name] = number
	if value == "" {
		return fmt.Errorf("oidc.%s says nothing", name)
	}
	switch name {
	case "issuer":
		s.Issuer = value
	case "client":
		s.Client = value
	case "secret":
		s.Secret, err = signon.ParseSecret(value, s.folder)
	case "session_key":
		s.Keys, err = signon.ParseSecret(value, s.folder)
	case "redirect":
		s.Redirect = value
	case "name":
		s.Name = value
	case "title":
		s.Title = value
	case "ask":
		s.Ask = value
	case "scopes":
		if s.Scopes = strings.Fields(value); !slices.Contains(s.Scopes, "openid") {
			err = errors.New("want openid among them")
		}
	case "session":
		if s.Life, err = time.ParseDuration(value); err != nil {
			err = errors.New("want a time such as 8h")
		}
	default:
		return fmt.Errorf("oidc.%s: there is no such setting; want issuer, client, secret, redirect, name, scopes, session, "+
			"session_key, title or ask", name)
	}
	if err != nil {
		err = fmt.Errorf("oidc.%s: %w", name, err)
	}
	return err
}

// client is the provider that the settings describe; nil: there is none.
func (s *settings) client(lines []claimLine) (*signon.Client, error) {
	switch {
	case s.lines == nil && len(lines) == 0:
		return nil, nil
	case s.lines == nil:
		return nil, fmt.Errorf(
			"%s has a claim, which no provider says: add oidc.issuer, oidc.client, oidc.secret and oidc.redirect",
			lines[0].Name,
		)
	case len(lines) == 0:
		return nil, errors.New("nobody who signs in by oidc.issuer could do anything: add lines such as " +
			"support-staff support claim:groups=support")
	}
	s.Wanted = map[string][]string{}
	for _, line := range lines {
		if line.claim != signon.ClaimSubject {
			s.Wanted[line.claim] = append(s.Wanted[line.claim], line.value)
		}
	}
	var errs []error
	s.Validate(func(field string, err error) {
		if number, there := s.lines[field]; there {
			err = fmt.Errorf("line %d: oidc.%s: %w", number, field, err)
		} else {
			err = fmt.Errorf("oidc.%s %w", field, err)
		}
		errs = append(errs, err)
	})
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return signon.New(s.Config), nil
}
