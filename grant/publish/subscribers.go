package publish

import (
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/strict"
)

// Subscriber is a webhook of a file of subscribers.
type Subscriber struct {
	Name string
	Webhook
	Only []Type // nil: all
}

const maxFile = 256 << 10

const (
	ruleName   strict.Rule = "name"
	ruleURL    strict.Rule = "url"
	ruleSecret strict.Rule = "secret"
	ruleType   strict.Rule = "type"
	ruleUnique strict.Rule = "unique"
)

var (
	nameForm      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	webhooksField = strict.Required("webhooks", "[{name: billing, url: …, secret_file: billing.secret}]")
	entryFields   = []strict.Known{
		strict.Required("name", "billing"), strict.Required("url", "https://billing.example/granter"),
		strict.Required("secret_file", "billing.secret"), strict.Optional("only", "[granted, revoked]"),
		strict.Optional("batch", "100"), strict.Optional("timeout_seconds", "10"), strict.Optional("calls", "4"),
	}
)

// LoadSubscribers reads a file of webhooks, and the files of their secrets, whose names count from its folder.
func LoadSubscribers(path string) ([]Subscriber, error) {
	d := &strict.Decoder{File: path, Subject: "subscribers", Docs: "docs/events.md", MaxSize: maxFile}
	var out []Subscriber
	err := d.FileOf(webhooksField, entryFields, func(_ strict.Field, m *strict.Mapping) {
		out = append(out, readSubscriber(d, m, out))
	})
	return out, err
}

func readSubscriber(d *strict.Decoder, m *strict.Mapping, others []Subscriber) Subscriber {
	at := m.Get("name")
	s := Subscriber{Name: d.Match(at, ruleName, nameForm, "1 to 63 small letters, digits and hyphens")}
	if slices.ContainsFunc(others, func(o Subscriber) bool { return o.Name == s.Name && s.Name != "" }) {
		d.Reportf(
			ruleUnique,
			at.Line,
			at.Path,
			"%s is also the name of another one: how far each is, is kept under its name",
			s.Name,
		)
	}
	if text, ok := d.Text(m.Get("url")); ok {
		if err := CheckURL(text); err != nil {
			d.Reportf(ruleURL, m.Get("url").Line, m.Get("url").Path, "%s: %v", strict.Quote(text), err)
		}
		s.URL = text
	}
	if text, ok, err := d.Beside(m.Get("secret_file")); ok {
		if err == nil {
			s.Secret, err = ParseSecret(string(text))
		}
		if err != nil {
			d.Reportf(ruleSecret, m.Get("secret_file").Line, m.Get("secret_file").Path, "%v", err)
		}
	}
	s.Batch = int(d.Integer(m.Get("batch"), 10_000, 1))
	s.Timeout = time.Duration(d.Integer(m.Get("timeout_seconds"), 300, 10)) * time.Second
	s.Calls = int(d.Integer(m.Get("calls"), 64, 4))
	s.Only = readTypes(d, m.Get("only"))
	return s
}

func readTypes(d *strict.Decoder, f strict.Field) (out []Type) {
	if f.Node == nil {
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode || len(f.Node.Content) == 0 {
		d.Reportf(strict.ListType, f.Line, f.Path, "must be a list of types, such as [granted, revoked]; without it, all")
		return nil
	}
	for _, node := range f.Node.Content {
		text, ok := d.Text(strict.Field{Path: f.Path, Line: node.Line, Node: node})
		if ok && !slices.Contains(Types(), Type(text)) {
			d.Reportf(ruleType, node.Line, f.Path, "%s is no type of event: write some of %v", strict.Quote(text), Types())
		}
		out = append(out, Type(text))
	}
	return out
}
