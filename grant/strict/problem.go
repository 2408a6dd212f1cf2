package strict

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Rule is one thing that a file can break. Whoever reads files of a kind has rules of his own beside these.
type Rule string

// What any file can break.
const (
	FileSize     Rule = "file-size"
	Encoding     Rule = "encoding"
	Syntax       Rule = "yaml-syntax"
	TabIndent    Rule = "tab-indent"
	Empty        Rule = "empty-spec"
	OneDocument  Rule = "one-document"
	NoAlias      Rule = "no-alias"
	NoTag        Rule = "no-tag"
	MappingType  Rule = "mapping-type"
	ListType     Rule = "list-type"
	TextType     Rule = "text-type"
	FieldName    Rule = "field-name"
	UnknownField Rule = "unknown-field"
	UniqueField  Rule = "unique-field"
	EmptyValue   Rule = "empty-value"
	Missing      Rule = "required"
	IntegerForm  Rule = "integer-form"
	IntegerRange Rule = "integer-range"
	TextChars    Rule = "text-chars"

	TimeForm  Rule = "time-form"
	TimeZone  Rule = "time-zone"
	TimeRange Rule = "time-range"
)

// Problem is one broken rule, as an error of one line.
type Problem struct { //nolint:errname // it is a line of an error, and people call it a problem
	Rule  Rule
	File  string
	Line  int    // from 1; 0 when the problem is the file as a whole
	Field string // "" when the problem is not one field's
	Text  string
}

func (p *Problem) Error() string {
	s := p.File + ":"
	if p.Line > 0 {
		s += strconv.Itoa(p.Line) + ":"
	}
	if p.Field != "" {
		s += " " + p.Field + ":"
	}
	return s + " " + p.Text
}

// MaxProblems bounds the error of a file that is not a spec at all, such as a topic's dump of a megabyte.
const MaxProblems = 50

// Reportf notes a problem of a line (0: of the whole file) and a field (empty: of no single one).
func (d *Decoder) Reportf(r Rule, line int, field, format string, args ...any) {
	d.Problems = append(d.Problems, &Problem{r, d.File, line, field, fmt.Sprintf(format, args...)})
}

// Err joins the problems in the order of the lines, so that a file is repaired from its top to its bottom.
func (d *Decoder) Err() error {
	slices.SortStableFunc(d.Problems, func(a, b *Problem) int { return cmp.Compare(a.Line, b.Line) })
	var errs []error
	for i, p := range d.Problems {
		if i == MaxProblems {
			errs = append(errs, fmt.Errorf("%s: and %d more problems", d.File, len(d.Problems)-i))
			break
		}
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// Quote shows a value of the file in an error: on one line, and never the whole of a long one.
func Quote(s string) string {
	if short := shorten(s, 60); len(short) < len(s) {
		return strconv.Quote(short) + "…"
	}
	return strconv.Quote(s)
}

// shorten cuts s after so many runes.
func shorten(s string, runes int) string {
	for i := range s {
		if runes == 0 {
			return s[:i]
		}
		runes--
	}
	return s
}
