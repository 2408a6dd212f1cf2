package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/granter/granter/grant/strict"
)

// MaxForm is the largest form that is read, in bytes. One of ordinary length has about 500.
const MaxForm = 64 << 10

// fields are the names of a form's JSON, in its order, and reportFields those of a report's.
var fields, reportFields = namesOf[Form](), namesOf[ReportForm]()

func namesOf[T any]() (out []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out = append(out, name)
	}
	return out
}

// ErrNoForm and ErrNoReport mean that a text is no JSON object at all; nothing can be said about its fields.
var (
	ErrNoForm   = errors.New("it is no claim as JSON")
	ErrNoReport = errors.New("it is no report as JSON")
)

// ParseForm reads a form as JSON, strictly. The error joins a Problem for each field that cannot be read, and the form has the
// others; or it is ErrNoForm.
func ParseForm(data []byte) (*Form, error) { return parse[Form](data, ErrNoForm, "claim", fields) }

// ParseReport does so for an earlier report; the error may be ErrNoReport.
func ParseReport(data []byte) (*ReportForm, error) {
	return parse[ReportForm](data, ErrNoReport, "report", reportFields)
}

func parse[T any](data []byte, none error, what string, fields []string) (*T, error) {
	if len(data) > MaxForm {
		return nil, fmt.Errorf("%w: it has %d bytes, %d at most", none, len(data), MaxForm)
	}
	f := new(T)
	if strict.JSON(data, &f) == nil && f != nil {
		return f, nil
	}
	// One by one, to name all that are wrong: the decoder stops at the first.
	var raw map[string]json.RawMessage
	err := strict.JSON(data, &raw)
	switch {
	case errors.Is(err, strict.ErrFollows), err == nil && raw == nil:
		return nil, fmt.Errorf("%w: write one object", none)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", none, unsaid(err))
	}
	f = new(T)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if !slices.Contains(fields, name) {
			errs = append(errs, Problem{Detail: fmt.Sprintf("%.40q is no field of a %s: possible are %s", name, what,
				strings.Join(fields, ", "))})
			continue
		}
		one, err := json.Marshal(map[string]json.RawMessage{name: raw[name]})
		if err == nil {
			err = strict.JSON(one, f)
		}
		if err != nil {
			errs = append(errs, Problem{name, wanted(name)})
		}
	}
	return f, unsaid(errors.Join(errs...))
}

// wanted is how a field is written as JSON.
func wanted(name string) string {
	switch name {
	case "outage_sales", "reported_loss":
		return "write whole won as a number, such as 1200000"
	case "week_sales":
		return "write a list of whole won, such as [1250000, 1333333]"
	case "alternative_available":
		return "write true or false"
	case "own_profit_rate":
		return `write a fraction as text, such as "0.15" or "3/20"`
	case "reported":
		return `write a time with its zone, or a day, as text, such as "2022-10-20T09:00:00+09:00" or "2022-10-20"`
	case "received":
		return `write a time with its zone as text, such as "2022-10-20T09:00:00+09:00"`
	default:
		return "write a text, in quotes"
	}
}
