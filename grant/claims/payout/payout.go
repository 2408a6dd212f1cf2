// Package payout pays what is owed: it writes the file of orders that a bank takes, and reads what the bank says of them, in the
// form that a shape describes, or by Kafka.
package payout

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

var statuses = []store.AnswerStatus{store.BankAccepted, store.BankSettled, store.BankReturned, store.BankUnknown,
	store.BankNotFound}

// payable fails when an order says nobody's account.
func payable(o *store.Order) error {
	if o.Person.Account == "" {
		return fmt.Errorf("payment %s: nobody knows the account of claim %s", o.ID, o.Claim)
	}
	return nil
}

// check says what is wrong with an answer of the bank, from wherever it comes.
func check(a *store.Answer) error {
	switch {
	case a.ID == "" || a.Payment == "":
		return errors.New("the answer's own reference and the payment must not be empty")
	case len(a.ID) > longest || len(a.Payment) > longest || len(a.Why) > 1000:
		return fmt.Errorf("reference and payment have at most %d characters, and a reason 1000", longest)
	case !slices.Contains(statuses, a.Status):
		return fmt.Errorf("status %.40q: want accepted, settled, returned, unknown or not_found", a.Status)
	case a.Amount < 0:
		return fmt.Errorf("amount %d: want whole won", a.Amount)
	case a.Sending < 0:
		return fmt.Errorf("sending %d: want the number that the order or the question had", a.Sending)
	}
	return resident.Refuse("reason", a.Why, true)
}

const longest = 200

// WriteOrders writes orders for the bank, as of a day. The payment is the bank's key: an order that comes again is the same
// payment. By count and sum in the last line the bank sees that the file is whole. The error names the order and the field that
// the shape has no room for.
func (s *Shape) WriteOrders(w io.Writer, orders []store.Order, day time.Time) error {
	total := values{Count: strconv.Itoa(len(orders)), Day: day.Format("20060102")}
	var sum claims.Won
	for i := range orders {
		sum += orders[i].Net
	}
	total[Sum] = strconv.FormatInt(int64(sum), 10)
	out := &lineWriter{w: w, shape: s}
	if !s.Fixed {
		out.heading(s.Orders.Each)
	}
	out.line(s.Orders.First, total, "its first line")
	for i := range orders {
		o := &orders[i]
		if err := payable(o); err != nil {
			return err
		}
		out.line(s.Orders.Each, values{
			Payment: o.ID, Bank: o.Person.Bank, Account: o.Person.Account, Holder: o.Person.Holder,
			Amount: strconv.FormatInt(int64(o.Net), 10), Memo: o.Claim, Sending: strconv.Itoa(o.Sending),
			Number: strconv.Itoa(i + 1), Day: total[Day],
		}, "payment "+o.ID)
	}
	out.line(s.Orders.Last, total, "its last line")
	return out.err
}

// values is what each part of a line holds.
type values map[Part]string

// lineWriter writes lines until one fails.
type lineWriter struct {
	w     io.Writer
	shape *Shape
	err   error
}

func (l *lineWriter) heading(fields []Field) {
	if l.shape.Korean {
		l.cells(fields, func(f *Field) string { return f.Name }, "its heading")
		return
	}
	if _, l.err = io.WriteString(l.w, "\ufeff"); l.err == nil { // by which Excel knows UTF-8
		l.cells(fields, func(f *Field) string { return f.Name }, "its heading")
	}
}

func (l *lineWriter) line(fields []Field, of values, what string) {
	value := func(f *Field) string {
		v := of[f.Is]
		if f.Is == Literal {
			v = f.Text
		}
		if f.Digits {
			v = strings.Map(func(r rune) rune {
				if r < '0' || r > '9' {
					return -1
				}
				return r
			}, v)
		}
		return v
	}
	switch {
	case len(fields) == 0 || l.err != nil:
	case l.shape.Fixed:
		l.fixed(fields, value, what)
	default:
		l.cells(fields, func(f *Field) string { return text.Cell(value(f)) }, what)
	}
}

// cells writes a line of a CSV file, in which no spreadsheet takes a cell for a formula.
func (l *lineWriter) cells(fields []Field, value func(*Field) string, what string) {
	row := make([]string, len(fields))
	for i := range fields {
		cell, err := l.shape.encode(value(&fields[i]), 0, fields[i].Cut)
		if err != nil {
			l.fail(what, &fields[i], err)
			return
		}
		row[i] = string(cell)
	}
	out := csv.NewWriter(l.w) // it looks for separators in bytes below 0x41, which CP949 has in no other character
	l.err = out.Write(row)
	out.Flush()
	l.err = errors.Join(l.err, out.Error())
}

func (l *lineWriter) fixed(fields []Field, value func(*Field) string, what string) {
	var row []byte
	for i := range fields {
		f := &fields[i]
		v, err := l.shape.encode(value(f), f.Width, f.Cut)
		if err != nil {
			l.fail(what, f, err)
			return
		}
		if filling := f.Width - len(v); slices.Contains(numeric, f.Is) {
			row = append(append(row, strings.Repeat("0", filling)...), v...)
		} else {
			row = append(append(row, v...), strings.Repeat(" ", filling)...)
		}
	}
	_, l.err = l.w.Write(append(row, '\r', '\n'))
}

func (l *lineWriter) fail(what string, f *Field, err error) {
	l.err = fmt.Errorf("%s, field %s: %w; change the shape of the bank's file, or what the owner gave", what, f.Is, err)
}
