package campaign

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// rule is one thing that a spec can break. testdata/bad has a file for each, named after it.
type rule string

const (
	fileSize     rule = "file-size"
	encoding     rule = "encoding"
	yamlSyntax   rule = "yaml-syntax"
	tabIndent    rule = "tab-indent"
	emptySpec    rule = "empty-spec"
	oneDocument  rule = "one-document"
	noAlias      rule = "no-alias"
	noTag        rule = "no-tag"
	mappingType  rule = "mapping-type"
	listType     rule = "list-type"
	textType     rule = "text-type"
	fieldName    rule = "field-name"
	unknownField rule = "unknown-field"
	uniqueField  rule = "unique-field"
	emptyValue   rule = "empty-value"
	required     rule = "required"
	integerForm  rule = "integer-form"
	integerRange rule = "integer-range"
	textChars    rule = "text-chars"

	nameForm         rule = "name-form"
	titleLength      rule = "title-length"
	timeForm         rule = "time-form"
	timeZone         rule = "time-zone"
	timeRange        rule = "time-range"
	timeOrder        rule = "time-order"
	populationMaxID  rule = "population-max-id"
	topicForm        rule = "topic-form"
	topicDeadLetter  rule = "topic-dead-letter"
	formatKnown      rule = "format-known"
	pathRequired     rule = "path-required"
	pathForbidden    rule = "path-forbidden"
	pathForm         rule = "path-form"
	fromKnown        rule = "from-known"
	maxRejectedForm  rule = "max-rejected-form"
	maxRejectedRange rule = "max-rejected-range"

	deadLettersForm     rule = "dead-letters-form"
	deadLettersClash    rule = "dead-letters-clash"
	tombstonesKnown     rule = "tombstones-known"
	tombstonesForbidden rule = "tombstones-forbidden"

	itemsCount        rule = "items-count"
	itemIDForm        rule = "item-id-form"
	itemIDUnique      rule = "item-id-unique"
	kindKnown         rule = "kind-known"
	validityForm      rule = "validity-form"
	validityRange     rule = "validity-range"
	amountRequired    rule = "amount-required"
	amountForbidden   rule = "amount-forbidden"
	currencyRequired  rule = "currency-required"
	currencyForbidden rule = "currency-forbidden"
	currencyKnown     rule = "currency-known"
)

// problem is one broken rule, as an error of one line.
type problem struct {
	rule  rule
	file  string
	line  int    // from 1; 0 when the problem is the file as a whole
	field string // "" when the problem is not one field's
	text  string
}

func (p *problem) Error() string {
	s := p.file + ":"
	if p.line > 0 {
		s += strconv.Itoa(p.line) + ":"
	}
	if p.field != "" {
		s += " " + p.field + ":"
	}
	return s + " " + p.text
}

// maxProblems bounds the error of a file that is not a spec at all, such as a topic's dump of a megabyte.
const maxProblems = 50

func (d *decoder) reportf(r rule, line int, field, format string, args ...any) {
	d.problems = append(d.problems, &problem{r, d.file, line, field, fmt.Sprintf(format, args...)})
}

// err joins the problems in the order of the lines, so that a file is repaired from its top to its bottom.
func (d *decoder) err() error {
	slices.SortStableFunc(d.problems, func(a, b *problem) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for i, p := range d.problems {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("%s: and %d more problems", d.file, len(d.problems)-i))
			break
		}
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// quote shows a value of the file in an error: on one line, and never the whole of a long one.
func quote(s string) string {
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
