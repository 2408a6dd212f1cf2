package hooks

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/publish"
	"github.com/granter/granter/grant/strict"
)

// Hook is a webhook or a program that is told of events.
type Hook struct {
	Name    string
	Webhook publish.Webhook // its URL is empty: it is a program
	Body    string          // a template of the body; empty: the event as CloudEvents has it
	Program []string        // and its arguments
	On      []Kind          // nil: all
	Timeout time.Duration   // of a call
	Retry   time.Duration   // how long a call that fails is made again
}

func (h *Hook) wants(k Kind) bool { return k == KindTest || h.On == nil || slices.Contains(h.On, k) }

const maxFile = 256 << 10

const (
	ruleName   strict.Rule = "name"
	ruleURL    strict.Rule = "url"
	ruleSecret strict.Rule = "secret"
	ruleKind   strict.Rule = "kind"
	ruleUnique strict.Rule = "unique"
	ruleTarget strict.Rule = "target"
	ruleBody   strict.Rule = "body"
)

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	hooksField = strict.Required("hooks", "[{name: chat, url_file: chat.url, body: …}]")
	hookFields = []strict.Known{
		strict.Required("name", "chat"),
		strict.Optional("url", "https://chat.example/hook"), strict.Optional("url_file", "chat.url"),
		strict.Optional("secret_file", "chat.secret"), strict.Optional("body", `'{"text": "{title}: {message}"}'`),
		strict.Optional("program", "[/usr/local/bin/notify, ops]"), strict.Optional("on", "[start, end]"),
		strict.Optional("timeout_seconds", "10"), strict.Optional("retry_seconds", "300"),
	}
)

// Load reads a file of hooks, and the files that it names, which count from its folder.
func Load(path string) ([]Hook, error) {
	d := &strict.Decoder{File: path, Subject: "hooks", Docs: "docs/hooks.md", MaxSize: maxFile}
	var out []Hook
	err := d.FileOf(hooksField, hookFields, func(at strict.Field, m *strict.Mapping) {
		r := reader{d, m, at}
		out = append(out, r.hook(out))
	})
	return out, err
}

// reader reads one hook.
type reader struct {
	d  *strict.Decoder
	m  *strict.Mapping
	at strict.Field
}

func (r *reader) hook(others []Hook) Hook {
	at := r.m.Get("name")
	h := Hook{Name: r.d.Match(at, ruleName, nameForm, "1 to 63 small letters, digits and hyphens")}
	if slices.ContainsFunc(others, func(o Hook) bool { return o.Name == h.Name && h.Name != "" }) {
		r.d.Reportf(ruleUnique, at.Line, at.Path,
			"%s is also the name of another one: what is to be told is kept under its name", h.Name)
	}
	h.Timeout = time.Duration(r.d.Integer(r.m.Get("timeout_seconds"), 300, 10)) * time.Second
	h.Retry = time.Duration(r.d.Integer(r.m.Get("retry_seconds"), 86_400, 300)) * time.Second
	h.Program = r.list("program")
	for _, kind := range r.list("on") {
		if !slices.Contains(Kinds(), Kind(kind)) {
			on := r.m.Get("on")
			r.d.Reportf(ruleKind, on.Line, on.Path, "%s is no kind of event: write some of %v", strict.Quote(kind), Kinds())
		}
		h.On = append(h.On, Kind(kind))
	}
	url := r.url()
	if one := url != "" != (len(h.Program) > 0); !one {
		r.d.Reportf(ruleTarget, r.at.Line, r.at.Path, "what is to be called? Say one of url, url_file and program")
	}
	h.Webhook = publish.Webhook{URL: url, Secret: r.secret(), Timeout: h.Timeout, Calls: 1, Batch: 1}
	if body := r.m.Get("body"); body.Node != nil {
		text, ok := r.d.Text(body)
		if err := checkTemplate(text); ok && err != nil {
			r.d.Reportf(ruleBody, body.Line, body.Path, "%v", err)
		}
		h.Body = text
	}
	return h
}

// list reads a list of texts.
func (r *reader) list(name string) (out []string) {
	f := r.m.Get(name)
	if f.Node == nil {
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode || len(f.Node.Content) == 0 {
		r.d.Reportf(strict.ListType, f.Line, f.Path, "must be a list of texts, not %s", strict.Describe(f.Node))
		return nil
	}
	for _, node := range f.Node.Content {
		if text, ok := r.d.Text(strict.Field{Path: f.Path, Line: node.Line, Node: node}); ok {
			out = append(out, text)
		}
	}
	return out
}

// url is where a webhook is: that of a chat tool is a secret, and may be in a file of its own.
func (r *reader) url() string {
	f, file := r.m.Get("url"), r.m.Get("url_file")
	if f.Node == nil && file.Node == nil {
		return ""
	}
	var text string
	if file.Node != nil {
		f = file
		text = r.file(file)
	} else if text, _ = r.d.Text(f); text == "" {
		return ""
	}
	if err := publish.CheckURL(text); err != nil {
		r.d.Reportf(ruleURL, f.Line, f.Path, "%v", err)
	}
	return text
}

func (r *reader) secret() []byte {
	f := r.m.Get("secret_file")
	if f.Node == nil {
		return nil
	}
	key, err := publish.ParseSecret(r.file(f))
	if err != nil {
		r.d.Reportf(ruleSecret, f.Line, f.Path, "%v", err)
	}
	return key
}

// file reads the text of a file that a field names.
func (r *reader) file(f strict.Field) string {
	data, _, err := r.d.Beside(f)
	if err != nil {
		r.d.Reportf(ruleSecret, f.Line, f.Path, "%v", err)
	}
	return strings.TrimSpace(string(data))
}
