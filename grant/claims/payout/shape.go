package payout

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/korean"

	"github.com/granter/granter/grant/claims/store"
)

// Shape is the form of a bank's files: of the orders that it takes, and of the statements that it gives. It is data, a YAML file.
type Shape struct {
	Fixed     bool // lines of fixed width; false: CSV with a heading
	Korean    bool // CP949; false: UTF-8
	Orders    Lines
	Statement Lines
	Statuses  []Status // what the bank writes for each status; none: the words themselves
}

// Lines are the kinds of lines of a file.
type Lines struct{ First, Each, Last []Field }

// Field is one place of a line.
type Field struct {
	Is       Part
	Text     string // of a field that is always the same (Is is Literal)
	Name     string // in the heading of a CSV file
	Width    int    // bytes, of a fixed line
	Cut      bool   // what does not fit may be cut
	Digits   bool   // only its digits are written
	Optional bool   // a statement may do without
}

// Part is what a field holds.
type Part string

// The parts of orders and statements.
const (
	Literal   Part = "text"
	Skip      Part = "skip"   // whatever the bank writes there
	Number    Part = "number" // of the line, from 1
	Day       Part = "day"    // on which the file was written, as 20230302
	Count     Part = "count"  // lines of Each
	Sum       Part = "sum"    // their amounts together
	Payment   Part = "payment"
	Bank      Part = "bank"
	Account   Part = "account"
	Holder    Part = "holder"
	Amount    Part = "amount"
	Memo      Part = "memo" // the claim's number
	Sending   Part = "sending"
	Reference Part = "reference"
	StatusOf  Part = "status"
	Reason    Part = "reason"
)

// numeric are parts that a fixed line has on the right, filled up with zeros.
var numeric = []Part{Number, Count, Sum, Amount, Sending}

// What a file cannot do without.
var (
	neededOfOrders    = []Part{Payment, Bank, Account, Amount}
	neededOfStatement = []Part{Reference, Payment, StatusOf, Amount}
)

// Status is what a bank writes for a status, and a reason that this stands for.
type Status struct {
	Code   string
	Means  store.AnswerStatus
	Reason string
}

//go:embed csv.yaml
var csvShape []byte

// Plain is the form of files when nobody names another one: CSV in UTF-8.
var Plain = sync.OnceValue(func() *Shape {
	s, err := ParseShape("csv.yaml", csvShape)
	if err != nil {
		panic(err) // it is part of the program
	}
	return s
})

// status returns what a code of the bank means.
func (s *Shape) status(code string) (store.AnswerStatus, string, error) {
	if len(s.Statuses) == 0 {
		return store.AnswerStatus(code), "", nil // whether there is such a word is checked with the rest of the answer
	}
	codes := make([]string, len(s.Statuses))
	for i, known := range s.Statuses {
		if known.Code == code {
			return known.Means, known.Reason, nil
		}
		codes[i] = known.Code
	}
	return "", "", fmt.Errorf("status %.40q: the shape knows %s; add a line for it to its statuses", code,
		strings.Join(codes, ", "))
}

func (s *Shape) encoding() encoding.Encoding {
	if s.Korean {
		return korean.EUCKR // which, despite its name, is CP949 whole, as the WHATWG has it
	}
	return encoding.Nop
}

// decode returns text of a file. Bytes that are none in its encoding are an error: what is half understood says nothing of money.
func (s *Shape) decode(b []byte) (string, error) {
	out, err := s.encoding().NewDecoder().Bytes(b)
	if err != nil || strings.ContainsRune(strings.ToValidUTF8(string(out), "\ufffd"), '\ufffd') {
		name := "UTF-8"
		if s.Korean {
			name = "CP949"
		}
		return "", fmt.Errorf("%.60q is not %s: is the shape's encoding the file's, and are its widths in bytes?", b, name)
	}
	return string(out), nil
}

// errLong and its like say why a value cannot be written into its field.
var (
	errLong    = errors.New("it is longer than its field")
	errUnknown = errors.New("the bank's encoding has no such character")
	errControl = errors.New("it has a line break or another character that is none of a text")
)

// encode returns a value in the encoding of the file, in at most width bytes; 0: of any length. A field that may be cut is
// written with ? for what cannot be.
func (s *Shape) encode(value string, width int, cut bool) ([]byte, error) {
	encoder := s.encoding().NewEncoder()
	var out []byte
	for _, r := range value {
		b, err := encoder.Bytes([]byte(string(r)))
		control := r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029
		switch {
		case (control || err != nil) && cut:
			b = []byte("?")
		case control:
			return nil, errControl
		case err != nil:
			return nil, fmt.Errorf("%w: %q", errUnknown, r)
		}
		if width > 0 && len(out)+len(b) > width {
			if !cut {
				return nil, errLong
			}
			break // at the end of a character
		}
		out = append(out, b...)
	}
	return out, nil
}

// has reports whether one of the fields holds a part.
func has(fields []Field, part Part) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Is == part })
}
