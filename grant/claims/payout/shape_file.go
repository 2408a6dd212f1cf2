package payout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/granter/granter/grant/strict"
)

// maxShape is the largest file of a shape that is read, in bytes.
const maxShape = 64 << 10

// maxWidth is the widest field, in bytes.
const maxWidth = 4096

// What a shape can break beside the rules of package strict.
const (
	wordKnown  strict.Rule = "word-known"
	fieldForm  strict.Rule = "field-form"
	fieldThere strict.Rule = "field-there"
	codeUnique strict.Rule = "code-unique"
	widths     strict.Rule = "widths"
)

var (
	shapeFields = []strict.Known{
		strict.Required("form", "fixed"), strict.Required("encoding", "cp949"),
		strict.Required("orders", "{each: [{is: payment, width: 30}]}"),
		strict.Required("statement", "{each: [{is: payment, width: 30}]}"),
	}
	linesFields = []strict.Known{
		strict.Optional("first", "[{text: S, width: 1}]"), strict.Required("each", "[{is: payment, width: 30}]"),
		strict.Optional("last", "[{text: E, width: 1}, {is: count, width: 7}]"),
	}
	statementFields = append(slices.Clone(linesFields), strict.Optional("statuses", `[{code: "0000", means: settled}]`))
	fieldFields     = []strict.Known{
		strict.Optional("is", "amount"), strict.Optional("text", "D"),
		strict.Optional("name", "amount"), strict.Optional("width", "13"),
		strict.Optional("cut", "true"), strict.Optional("digits", "true"), strict.Optional("optional", "true"),
	}
	statusFields = []strict.Known{
		strict.Required("code", `"0000"`), strict.Required("means", "settled"), strict.Optional("reason", "no such account"),
	}
)

// The parts that lines may have.
var (
	endsOfOrders     = []Part{Count, Sum, Day}
	firstOfStatement = []Part{Skip}
	lastOfStatement  = []Part{Count, Sum, Skip}
	partsOfOrder     = []Part{Payment, Bank, Account, Holder, Amount, Memo, Sending, Number, Day}
	partsOfStatement = []Part{Reference, Payment, StatusOf, Amount, Reason, Sending, Skip}
)

// LoadShape reads the file of a shape.
func LoadShape(path string) (*Shape, error) {
	data, err := strict.ReadFile(path, maxShape)
	if err != nil {
		return nil, fmt.Errorf("reading the form of the bank's files: %w", err)
	}
	return ParseShape(path, data)
}

// shapeDecoder is one that knows what a shape has.
type shapeDecoder struct {
	*strict.Decoder
	fixed bool
}

// ParseShape reads a shape; name stands for the file in errors, which name every problem.
func ParseShape(name string, data []byte) (*Shape, error) {
	d := &shapeDecoder{Decoder: &strict.Decoder{
		File: name, Subject: "shape of a bank's files", Docs: "docs/claims.md", MaxSize: maxShape,
		Places: []strict.Place{
			{Name: "the top of the file", Known: shapeFields}, {Name: "statement", Known: statementFields},
			{Name: "a field", Known: fieldFields}, {Name: "a line of statuses", Known: statusFields},
		},
	}}
	root := d.Document(data)
	if root == nil {
		return nil, d.Err()
	}
	m := d.Mapping(strict.Field{Line: root.Line, Node: root}, shapeFields)
	if m == nil {
		return nil, d.Err()
	}
	type word string
	d.fixed = strict.OneOf[word](d.Decoder, m.Get("form"), wordKnown, "csv", "fixed") == "fixed"
	s := &Shape{Fixed: d.fixed, Korean: strict.OneOf[word](d.Decoder, m.Get("encoding"), wordKnown, "utf-8", "cp949") == "cp949"}
	if orders := d.Mapping(m.Get("orders"), linesFields); orders != nil {
		s.Orders = d.lines(orders, "orders", [3][]Part{endsOfOrders, partsOfOrder, endsOfOrders}, neededOfOrders)
	}
	if statement := d.Mapping(m.Get("statement"), statementFields); statement != nil {
		s.Statement = d.lines(statement, "statement", [3][]Part{firstOfStatement, partsOfStatement, lastOfStatement},
			neededOfStatement)
		s.Statuses = d.statuses(statement.Get("statuses"))
	}
	return s, d.Err()
}

// lines reads the kinds of lines of a file.
func (d *shapeDecoder) lines(m *strict.Mapping, of string, parts [3][]Part, needed []Part) Lines {
	var l Lines
	var at [3]strict.Field
	for i, name := range []string{"first", "each", "last"} {
		at[i] = m.Get(name)
		if i == 0 && !d.fixed && !at[i].Absent {
			d.Reportf(fieldThere, at[i].Line, at[i].Path, "a CSV file begins with its heading: remove the line")
			continue
		}
		*[]*[]Field{&l.First, &l.Each, &l.Last}[i] = d.fields(at[i], parts[i], !d.fixed && i == 1)
	}
	if at[1].Node == nil || len(l.Each) == 0 {
		return l
	}
	for i, f := range l.Each {
		if of == "statement" && f.Is != Reference && f.Is != Literal && f.Is != Skip && has(l.Each[:i], f.Is) {
			d.Reportf(fieldThere, at[1].Line, at[1].Path, "has %s twice: which one counts?", f.Is)
		}
	}
	for _, part := range needed {
		if !has(l.Each, part) {
			d.Reportf(fieldThere, at[1].Line, at[1].Path, "%s have no %s: add a field {is: %s, …}", of, part, part)
		}
	}
	if !d.fixed {
		if of == "statement" && len(l.Last) > 0 && !slices.ContainsFunc(l.Last, func(f Field) bool { return f.Text != "" }) {
			d.Reportf(fieldThere, at[2].Line, at[2].Path, "cannot be told from the others: add the {text: …} that it has")
		}
		if of == "orders" && len(l.Last) > 0 && len(l.Last) != len(l.Each) {
			d.Reportf(widths, at[2].Line, at[2].Path, "has %d fields, and each line %d: write as many", len(l.Last), len(l.Each))
		}
		return l
	}
	for i, fields := range [][]Field{l.First, l.Each, l.Last} {
		if n, each := bytesOf(fields), bytesOf(l.Each); len(fields) > 0 && n != each {
			d.Reportf(widths, at[i].Line, at[i].Path, "has %d bytes, and each line %d: fill it up with {text: \"\", width: …}",
				n, each)
		}
	}
	return l
}

// bytesOf returns how long a fixed line is.
func bytesOf(fields []Field) (n int) {
	for _, f := range fields {
		n += f.Width
	}
	return n
}

// each hands over the mappings of a list.
func (d *shapeDecoder) each(f strict.Field, known []strict.Known, do func(at strict.Field, m *strict.Mapping)) {
	d.Mappings(f, known, "write "+f.Example, do)
}

func (d *shapeDecoder) fields(f strict.Field, allowed []Part, named bool) (out []Field) {
	d.each(f, fieldFields, func(at strict.Field, m *strict.Mapping) {
		got := Field{Is: Literal}
		is, text := m.Get("is"), m.Get("text")
		switch {
		case is.Absent == text.Absent:
			d.Reportf(fieldForm, at.Line, at.Path, "say either what it is, as in {is: amount}, or a text that is always there")
			return
		case text.Absent:
			got.Is = strict.OneOf(d.Decoder, is, wordKnown, allowed...)
		default:
			got.Text, _ = d.Text(text)
		}
		got.Name, _ = d.Text(m.Get("name"))
		got.Width = int(d.Integer(m.Get("width"), maxWidth, 0))
		got.Cut, got.Digits, got.Optional = d.yes(m.Get("cut")), d.yes(m.Get("digits")), d.yes(m.Get("optional"))
		switch {
		case d.fixed && got.Width == 0 && m.Get("width").Absent:
			d.Reportf(fieldForm, at.Line, at.Path, "has no width: say how many bytes it takes")
		case d.fixed && (got.Name != "" || got.Optional):
			d.Reportf(fieldForm, at.Line, at.Path, "has a name or is optional, which fields of fixed lines are not")
		case !d.fixed && got.Width != 0:
			d.Reportf(fieldForm, at.Line, at.Path, "has a width, which cells of a CSV file have not")
		case named && got.Name == "":
			d.Reportf(fieldForm, at.Line, at.Path, "has no name: say what its column is called")
		case got.Cut && !slices.Contains([]Part{Holder, Memo}, got.Is):
			d.Reportf(fieldForm, at.Line, at.Path, "must not be cut: only a holder's name and a memo say the same when they are")
		}
		out = append(out, got)
	})
	return out
}

// yes reads a setting that is true where it is there.
func (d *shapeDecoder) yes(f strict.Field) bool {
	if f.Node == nil {
		return false
	}
	if f.Node.Value != "true" {
		d.Reportf(wordKnown, f.Line, f.Path, "%s is unknown: write true, or remove it", strict.Describe(f.Node))
	}
	return true
}

func (d *shapeDecoder) statuses(f strict.Field) (out []Status) {
	d.each(f, statusFields, func(at strict.Field, m *strict.Mapping) {
		code, _ := d.Text(m.Get("code"))
		got := Status{Code: strings.TrimSpace(code), Means: strict.OneOf(d.Decoder, m.Get("means"), wordKnown, statuses...)}
		got.Reason, _ = d.Text(m.Get("reason"))
		if slices.ContainsFunc(out, func(s Status) bool { return s.Code == got.Code }) {
			d.Reportf(codeUnique, at.Line, at.Path, "code %s is there twice: keep one", strict.Quote(got.Code))
		}
		out = append(out, got)
	})
	return out
}
