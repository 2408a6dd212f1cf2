// Package strict reads the YAML files that people write, and leaves nothing open: what is unknown, twice, empty, or of another
// form is a problem, and all problems of a file are said at once, each with its line, its field, and what to write instead.
package strict

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/text"
)

// The tags by which YAML tells the types of unquoted values apart.
const (
	NullTag = "!!null"
	TextTag = "!!str"
	TimeTag = "!!timestamp"
)

// Decoder walks the tree of one document and collects every problem it meets. Its readers return a zero value for what
// they reported, so that the walk goes on.
type Decoder struct {
	File     string  // for errors
	Subject  string  // what a file describes, such as "campaign"
	Docs     string  // where it is described, such as "docs/campaign-spec.md"
	MaxSize  int     // bytes
	Places   []Place // for a field that stands in the wrong one
	Problems []*Problem
}

// Known is a field that a mapping may have, or must have, and an example of its value for errors to show.
type Known struct {
	Name     string
	Required bool
	Example  string
}

// Required is a field that a mapping must have.
func Required(name, example string) Known { return Known{Name: name, Required: true, Example: example} }

// Optional is a field that a mapping may have.
func Optional(name, example string) Known { return Known{Name: name, Example: example} }

// Place is a kind of mapping in a file.
type Place struct {
	Name  string // such as "an item"
	Known []Known
}

// Field is a place in the file. One that is absent has the line of its mapping; one without a node has nothing to be read,
// because it is absent or because it was reported already.
type Field struct {
	Path    string
	Line    int
	Example string
	Node    *yaml.Node
	Absent  bool
}

// Mapping is the fields that one mapping of the file has.
type Mapping struct {
	at     Field
	known  []Known
	fields map[string]Field
}

// Mapping reads the fields of f, or returns nil when it has none to read.
func (d *Decoder) Mapping(f Field, known []Known) *Mapping {
	if f.Node == nil {
		return nil
	}
	if f.Node.Kind != yaml.MappingNode {
		d.Reportf(MappingType, f.Line, f.Path, "must have fields such as %q, not be %s: write it as in %s",
			known[0].Name+": "+known[0].Example, Describe(f.Node), d.Docs)
		return nil
	}
	m := &Mapping{at: f, known: known, fields: map[string]Field{}}
	meant := map[string]bool{} // known fields that an unknown one seems to be a slip of
	for pair := range slices.Chunk(f.Node.Content, 2) {
		key, value := pair[0], pair[1]
		if key.Kind != yaml.ScalarNode {
			d.Reportf(FieldName, key.Line, f.Path,
				"a field's name cannot be %s: write one of %s", Describe(key), strings.Join(m.names(), ", "))
			continue
		}
		at := m.Get(key.Value)
		if at.Example == "" {
			suggestion, near := d.suggest(m, key.Value)
			d.Reportf(UnknownField, key.Line, m.path(quoteName(key.Value)), "unknown field: %s", suggestion)
			meant[near] = true
			continue
		}
		if !at.Absent {
			d.Reportf(UniqueField, key.Line, at.Path, "is also on line %d: keep one of them", at.Line)
			continue
		}
		at.Line, at.Node, at.Absent = key.Line, value, false
		m.fields[key.Value] = at
	}
	d.complete(m, meant)
	return m
}

// complete reports the known fields of m that have no value.
func (d *Decoder) complete(m *Mapping, meant map[string]bool) {
	for _, k := range m.known {
		at := m.Get(k.Name)
		switch {
		case at.Absent && meant[k.Name]: // reported as the slip that it is
		case at.Absent && k.Required:
			d.Reportf(Missing, at.Line, at.Path, "is missing: add %s: %s", k.Name, k.Example)
		case at.Absent || at.Node.Kind != yaml.ScalarNode || at.Node.ShortTag() != NullTag:
			continue
		case k.Required:
			d.Reportf(EmptyValue, at.Line, at.Path, "has no value: write one, such as %s: %s", k.Name, k.Example)
		default:
			d.Reportf(EmptyValue, at.Line, at.Path,
				"has no value: write one, such as %s: %s, or remove the line", k.Name, k.Example)
		}
		at.Node, at.Absent = nil, false
		m.fields[k.Name] = at
	}
}

// Get returns the field of that name, absent or not. One that is not known has no example.
func (m *Mapping) Get(name string) Field {
	if f, ok := m.fields[name]; ok {
		return f
	}
	f := Field{Path: m.path(name), Line: m.at.Line, Absent: true}
	for _, k := range m.known {
		if k.Name == name {
			f.Example = k.Example
		}
	}
	return f
}

func (m *Mapping) path(name string) string {
	if m.at.Path == "" {
		return name
	}
	return m.at.Path + "." + name
}

func (m *Mapping) names() []string {
	all := make([]string, len(m.known))
	for i, k := range m.known {
		all[i] = k.Name
	}
	return all
}

// suggest says what to write instead of an unknown field: the place where it belongs, the field that it is a slip of, which
// it returns too, or everything known here.
func (d *Decoder) suggest(m *Mapping, name string) (hint, near string) {
	for _, place := range d.Places {
		for _, k := range place.Known {
			if k.Name == name {
				return "it belongs to " + place.Name, ""
			}
		}
	}
	if near = text.Nearest(name, m.names()); near != "" {
		return "did you mean " + near + "?", near
	}
	return "known here are " + strings.Join(m.names(), ", "), ""
}

// quoteName shows an unknown field's name as it is when that reads well, and in quotes when it does not.
func quoteName(s string) string {
	if len(s) <= 40 && plainName.MatchString(s) {
		return s
	}
	return Quote(s)
}

// Describe names what a node is, for "must be text, not a list".
func Describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == NullTag:
		return "empty"
	default:
		return Quote(n.Value)
	}
}
