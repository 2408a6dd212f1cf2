// Package payout pays what is owed: it writes the file of orders that a bank takes, and reads what the bank says of them.
package payout

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/intake"
	"github.com/granter/granter/grant/claims/store"
)

var orderColumns = []string{"payment", "bank", "account", "holder", "amount", "memo"}

// WriteOrders writes orders as CSV. The first column is the bank's key: an order that comes again is the same payment. The last
// line has the count and the sum, by which the bank sees that the file is whole.
func WriteOrders(w io.Writer, orders []store.Order) error {
	sheet := [][]string{orderColumns}
	var sum claims.Won
	for i := range orders {
		o := &orders[i]
		if o.Person.Account == "" {
			return fmt.Errorf("payment %s: nobody knows the account of claim %s", o.ID, o.Claim)
		}
		sum += o.Net
		sheet = append(sheet, []string{o.ID, o.Person.Bank, o.Person.Account, o.Person.Holder, strconv.FormatInt(int64(o.Net),
			10), o.Claim})
	}
	sheet = append(sheet, []string{"total", "", "", strconv.Itoa(len(orders)), strconv.FormatInt(int64(sum), 10), ""})
	return intake.WriteCSV(w, sheet)
}

var statementColumns = []string{"reference", "payment", "status", "amount", "reason"}

var statuses = []store.AnswerStatus{store.BankSettled, store.BankReturned, store.BankUnknown, store.BankNotFound}

// ReadStatement reads a bank's statement, CSV with the columns reference, payment, status (settled, returned, unknown or
// not_found), amount and reason, in any order. Every line that is wrong is named, and then none is returned: a statement
// that is half understood says nothing of money.
func ReadStatement(r io.Reader) ([]store.Answer, error) {
	in := csv.NewReader(r)
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("the statement's first line names its columns: %w", err)
	}
	at := map[string]int{}
	for i, name := range head {
		at[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	for _, name := range statementColumns[:4] {
		if _, ok := at[name]; !ok {
			return nil, fmt.Errorf("the statement has no column %s: it has %s", name, strings.Join(head, ", "))
		}
	}
	var out []store.Answer
	var errs []error
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return out, errors.Join(errs...)
		}
		if err != nil {
			return nil, err
		}
		line, _ := in.FieldPos(0)
		cell := func(name string) string {
			if i, ok := at[name]; ok {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		a := store.Answer{ID: cell("reference"), Payment: cell("payment"), Status: store.AnswerStatus(cell("status")),
			Why: cell("reason")}
		amount, err := strconv.ParseInt(cell("amount"), 10, 64)
		a.Amount = claims.Won(amount)
		switch {
		case a.ID == "" || a.Payment == "":
			errs = append(errs, fmt.Errorf("line %d: reference and payment must not be empty", line))
		case !slices.Contains(statuses, a.Status):
			errs = append(errs, fmt.Errorf("line %d: status %.40q: want settled, returned, unknown or not_found", line, a.Status))
		case err != nil || amount < 0:
			errs = append(errs, fmt.Errorf("line %d: amount %.40q: want whole won", line, cell("amount")))
		case claims.HoldsResidentNumber(a.Why, true):
			errs = append(errs, fmt.Errorf("line %d: %w", line, claims.RefuseResident("reason", a.Why, true)))
		default:
			out = append(out, a)
		}
		if len(errs) > 100 {
			return nil, errors.Join(errs...)
		}
	}
}
