package campaign

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/registry"
	"github.com/granter/granter/grant/schema"
	"github.com/granter/granter/grant/strict"
)

// The limits of schemas. All texts together are far below the size of a spec, of which they are a part, with quotes escaped.
const (
	maxSchemas     = 64
	maxSchemaTexts = 256 << 10
)

var schemaFields = []strict.Known{
	strict.Required("id", "7"),
	strict.Optional("file", "user-v1.avsc"),
	strict.Optional("text", `'{"type": "record", …}'`),
	strict.Optional("references", "[{name: com.example.Account, file: account.avsc}]"),
}

var referenceFields = []strict.Known{
	strict.Required("name", "com.example.Account"),
	strict.Optional("file", "account.avsc"),
	strict.Optional("text", `'{"type": "record", …}'`),
}

// text is the canonical form of grant.Schema: what a schema says and not where it was, so that the spec means the same where
// there is no such file.
type text struct {
	ID         uint32      `json:"id"`
	Text       string      `json:"text"`
	References []reference `json:"references,omitempty"` // in the order of the file: each behind those that it needs itself
}

type reference struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func formatSchemas(list []grant.Schema) (out []text) {
	for _, s := range list {
		t := text{ID: s.ID, Text: s.Text}
		for _, r := range s.References {
			t.References = append(t.References, reference(r))
		}
		out = append(out, t)
	}
	return out
}

// registry reads where the schemas are that the spec does not have.
func (d *decoder) registry(f strict.Field, in *grant.Input) string {
	if f.Absent || in.Format == "" {
		return ""
	}
	address, ok := d.Text(f)
	if !ok {
		return ""
	}
	if !in.Format.Schemas() {
		d.Reportf(registryForbidden, f.Line, f.Path, "records in the format %s name no schema: remove it, or write another "+
			"format",
			in.Format)
		return ""
	}
	if err := registry.CheckURL(address); err != nil {
		d.Reportf(registryForm, f.Line, f.Path, "%v", err)
		return ""
	}
	return strings.TrimRight(address, "/")
}

// schemas reads what records are written by; others says that a registry may have more.
func (d *decoder) schemas(f strict.Field, others bool, in *grant.Input) (list []grant.Schema) {
	const example = "such as [{id: 7, file: user-v1.avsc}]"
	switch {
	case in.Format == "":
		return nil // reported
	case !in.Format.Schemas() && !f.Absent:
		d.Reportf(schemasForbidden, f.Line, f.Path, "records in the format %s name no schema: remove it, or write another format",
			in.Format)
		return nil
	case !in.Format.Schemas():
		return nil
	case f.Absent && others:
		return nil
	case f.Absent:
		d.Reportf(schemasRequired, f.Line, f.Path, "is missing: add where the schemas are that records name, as registry: "+
			"URL, or "+
			"the schemas themselves by their IDs, %s", example)
		return nil
	case f.Node == nil:
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode || len(f.Node.Content) == 0 || len(f.Node.Content) > maxSchemas {
		d.Reportf(schemasList, f.Line, f.Path, "must be a list of 1 to %d schemas, %s", maxSchemas, example)
		return nil
	}
	size := 0
	for i, n := range f.Node.Content {
		at := strict.Field{Path: fmt.Sprintf("%s[%d]", f.Path, i), Line: n.Line, Node: n}
		m := d.Mapping(at, schemaFields)
		if m == nil {
			continue
		}
		id := m.Get("id")
		s := grant.Schema{ID: uint32(d.Integer(id, math.MaxInt32, 0))}
		if s.ID != 0 && slices.ContainsFunc(list, func(o grant.Schema) bool { return o.ID == s.ID }) {
			d.Reportf(schemasOnce, id.Line, id.Path, "%d is in the list already: a registry gives an ID to one schema", s.ID)
			continue
		}
		if s.Text = d.schemaText(m, at, in); s.Text == "" {
			continue
		}
		s.References = d.references(m.Get("references"), in)
		d.compile(&s, at, in)
		list = append(list, s)
		size += sizeOf(&s)
	}
	if size > maxSchemaTexts {
		d.Reportf(schemasList, f.Line, f.Path,
			"has %d bytes of schemas, %d at most: leave out those of which the topic has no record", size, maxSchemaTexts)
	}
	slices.SortFunc(list, func(a, b grant.Schema) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func sizeOf(s *grant.Schema) int {
	size := len(s.Text)
	for i := range s.References {
		size += len(s.References[i].Text)
	}
	return size
}

// references reads what a schema refers to.
func (d *decoder) references(f strict.Field, in *grant.Input) (list []grant.Reference) {
	if f.Absent {
		return nil
	}
	if f.Node.Kind != yaml.SequenceNode || len(f.Node.Content) == 0 || len(f.Node.Content) > maxSchemas {
		d.Reportf(schemasReference, f.Line, f.Path, "must be a list of 1 to %d schemas, such as [{name: com.example.Account, "+
			"file: "+
			"account.avsc}]", maxSchemas)
		return nil
	}
	for i, n := range f.Node.Content {
		at := strict.Field{Path: fmt.Sprintf("%s[%d]", f.Path, i), Line: n.Line, Node: n}
		m := d.Mapping(at, referenceFields)
		if m == nil {
			continue
		}
		name, _ := d.Text(m.Get("name"))
		if name != "" && slices.ContainsFunc(list, func(o grant.Reference) bool { return o.Name == name }) {
			d.Reportf(schemasReference, n.Line, at.Path, "%s is in the list already: remove one of the two", strict.Quote(name))
			continue
		}
		if text := d.schemaText(m, at, in); text != "" && name != "" {
			list = append(list, grant.Reference{Name: name, Text: text})
		}
	}
	return list
}

// compile looks whether a schema has the ID at the path.
func (d *decoder) compile(s *grant.Schema, at strict.Field, in *grant.Input) {
	compiled, err := schema.Compile(in, s)
	if err != nil {
		d.Reportf(schemasText, at.Line, at.Path, "is no schema of the format %s: %v", in.Format, err)
		return
	}
	if fault, why := compiled.Problem(); fault != "" {
		d.Reportf(schemasPath, at.Line, at.Path, "has no ID at source.path, %s: %s: correct source.path, or remove "+
			"the schema, and its records are rejected", strict.Quote(in.Path), why)
	}
}

// schemaText reads the text of a schema.
func (d *decoder) schemaText(m *strict.Mapping, at strict.Field, in *grant.Input) string {
	file, inline := m.Get("file"), m.Get("text")
	if file.Absent == inline.Absent {
		d.Reportf(schemasText, at.Line, at.Path, "must say what the schema is, in one place: write file: NAME, or text")
		return ""
	}
	var raw string
	where := inline
	if !file.Absent {
		where = file
		name, ok := d.Text(file)
		if !ok {
			return ""
		}
		if raw, ok = d.schemaFile(name, file); !ok {
			return ""
		}
	} else {
		if inline.Node == nil {
			return ""
		}
		if inline.Node.Kind != yaml.ScalarNode || inline.Node.ShortTag() != strict.TextTag {
			d.Reportf(schemasText, inline.Line, inline.Path, "must be text, not %s: put the schema in single quotes",
				strict.Describe(inline.Node))
			return ""
		}
		raw = inline.Node.Value
	}
	compact, err := schema.Compact(in.Format, raw)
	switch {
	case err != nil:
		d.Reportf(schemasText, where.Line, where.Path, "is no JSON, as a schema of the format %s is: %v", in.Format, err)
	case compact == "":
		d.Reportf(schemasText, where.Line, where.Path, "is empty: write the schema, as the registry has it")
	}
	return compact
}

// schemaFile reads the file of a schema.
func (d *decoder) schemaFile(name string, f strict.Field) (string, bool) {
	if d.folder == "" {
		d.Reportf(schemasText, f.Line, f.Path, "cannot be read here, where the spec is no file: write the schema itself, as text")
		return "", false
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(d.folder, name)
	}
	data, err := strict.ReadFile(name, maxSchemaTexts)
	switch {
	case err != nil:
		d.Reportf(schemasText, f.Line, f.Path, "cannot be read: %v", err)
	case len(data) > maxSchemaTexts || !utf8.Valid(data):
		d.Reportf(schemasText, f.Line, f.Path, "%s is no schema: it has more than %d bytes, or is not UTF-8", strict.Quote(name),
			maxSchemaTexts)
	default:
		return string(data), true
	}
	return "", false
}
