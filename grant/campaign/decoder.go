package campaign

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant/text"
)

// The tags by which YAML tells the types of unquoted values apart.
const (
	nullTag = "!!null"
	strTag  = "!!str"
	timeTag = "!!timestamp"
)

// decoder walks the tree of one document and collects every problem it meets. Its readers return a zero value for what
// they reported, so that the walk goes on.
type decoder struct {
	file     string
	problems []*problem
}

// known is a field that a mapping may have, or must have, and an example of its value for errors to show.
type known struct {
	name     string
	required bool
	example  string
}

// field is a place in the file. One that is absent has the line of its mapping; one without a node has nothing to be read,
// because it is absent or because it was reported already.
type field struct {
	path    string
	line    int
	example string
	node    *yaml.Node
	absent  bool
}

// mapping is the fields that one mapping of the file has.
type mapping struct {
	at     field
	known  []known
	fields map[string]field
}

// mapping reads the fields of f, or returns nil when it has none to read.
func (d *decoder) mapping(f field, known []known) *mapping {
	if f.node == nil {
		return nil
	}
	if f.node.Kind != yaml.MappingNode {
		d.reportf(mappingType, f.line, f.path, "must have fields such as %q, not be %s: write it as in docs/campaign-spec.md",
			known[0].name+": "+known[0].example, describe(f.node))
		return nil
	}
	m := &mapping{at: f, known: known, fields: map[string]field{}}
	meant := map[string]bool{} // known fields that an unknown one seems to be a slip of
	for pair := range slices.Chunk(f.node.Content, 2) {
		key, value := pair[0], pair[1]
		if key.Kind != yaml.ScalarNode {
			d.reportf(fieldName, key.Line, f.path, "a field's name cannot be %s: write one of %s", describe(key), strings.Join(m.names(), ", "))
			continue
		}
		at := m.get(key.Value)
		if at.example == "" {
			suggestion, near := m.suggest(key.Value)
			d.reportf(unknownField, key.Line, m.path(quoteName(key.Value)), "unknown field: %s", suggestion)
			meant[near] = true
			continue
		}
		if !at.absent {
			d.reportf(uniqueField, key.Line, at.path, "is also on line %d: keep one of them", at.line)
			continue
		}
		at.line, at.node, at.absent = key.Line, value, false
		m.fields[key.Value] = at
	}
	d.complete(m, meant)
	return m
}

// complete reports the known fields of m that have no value.
func (d *decoder) complete(m *mapping, meant map[string]bool) {
	for _, k := range m.known {
		at := m.get(k.name)
		switch {
		case at.absent && meant[k.name]: // reported as the slip that it is
		case at.absent && k.required:
			d.reportf(required, at.line, at.path, "is missing: add %s: %s", k.name, k.example)
		case at.absent || at.node.Kind != yaml.ScalarNode || at.node.ShortTag() != nullTag:
			continue
		case k.required:
			d.reportf(emptyValue, at.line, at.path, "has no value: write one, such as %s: %s", k.name, k.example)
		default:
			d.reportf(emptyValue, at.line, at.path, "has no value: write one, such as %s: %s, or remove the line", k.name, k.example)
		}
		at.node, at.absent = nil, false
		m.fields[k.name] = at
	}
}

// get returns the field of that name, absent or not. One that is not known has no example.
func (m *mapping) get(name string) field {
	if f, ok := m.fields[name]; ok {
		return f
	}
	f := field{path: m.path(name), line: m.at.line, absent: true}
	for _, k := range m.known {
		if k.name == name {
			f.example = k.example
		}
	}
	return f
}

func (m *mapping) path(name string) string {
	if m.at.path == "" {
		return name
	}
	return m.at.path + "." + name
}

func (m *mapping) names() []string {
	all := make([]string, len(m.known))
	for i, k := range m.known {
		all[i] = k.name
	}
	return all
}

// suggest says what to write instead of an unknown field: the place where it belongs, the field that it is a slip of, which
// it returns too, or everything known here.
func (m *mapping) suggest(name string) (hint, near string) {
	for _, place := range []struct {
		name  string
		known []known
	}{{"the top of the file", campaignFields}, {"source", sourceFields}, {"an item", itemFields}} {
		for _, k := range place.known {
			if k.name == name {
				return "it belongs to " + place.name, ""
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
	if len(s) <= 40 && topicName.MatchString(s) {
		return s
	}
	return quote(s)
}

// describe names what a node is, for "must be text, not a list".
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == nullTag:
		return "empty"
	default:
		return quote(n.Value)
	}
}
