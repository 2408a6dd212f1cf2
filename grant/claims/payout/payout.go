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

var orderColumns = []string{"payment", "bank", "account", "holder", "amount", "memo", "sending"}

// WriteOrders writes orders as CSV. The first column is the bank's key: an order that comes again is the same payment. The last
// line has the count and the sum, by which the bank sees that the file is whole.
func WriteOrders(w io.Writer, orders []store.Order) error {
	sheet := [][]string{orderColumns}
	var sum claims.Won
	for i := range orders {
		o := &orders[i]
		if err := payable(o); err != nil {
			return err
		}
		sum += o.Net
		sheet = append(sheet, []string{o.ID, o.Person.Bank, o.Person.Account, o.Person.Holder, strconv.FormatInt(int64(o.Net),
			10), o.Claim, strconv.Itoa(o.Sending)})
	}
	sheet = append(sheet, []string{"total", "", "", strconv.Itoa(len(orders)), strconv.FormatInt(int64(sum), 10), "", ""})
	return intake.WriteCSV(w, sheet)
}

var statementColumns = []string{"reference", "payment", "status", "amount", "reason"}

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
	return claims.RefuseResident("reason", a.Why, true)
}

const longest = 200

// ReadStatement reads a bank's statement, CSV with the columns reference, payment, status (accepted, settled, returned,
// unknown or not_found), amount, reason and sending (the last two may be missing), in any order. Every line that
// is wrong is named, and then none is returned: a statement that is half understood says nothing of money.
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
		sending, numbered := cell("sending"), error(nil)
		if sending != "" {
			a.Sending, numbered = strconv.Atoi(sending)
		}
		switch {
		case err != nil:
			err = fmt.Errorf("amount %.40q: want whole won", cell("amount"))
		case numbered != nil:
			err = fmt.Errorf("sending %.40q: want the number that the order had, or nothing", sending)
		default:
			err = check(&a)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", line, err))
		} else {
			out = append(out, a)
		}
		if len(errs) > 100 {
			return nil, errors.Join(errs...)
		}
	}
}
