package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
)

// Outcome is what became of a claim that somebody wanted to hand in, as it is counted.
type Outcome string

// The outcomes.
const (
	OutcomeTaken   Outcome = "taken"            // now or before
	OutcomeRefused Outcome = "refused"          // something in it is wrong, or no window is open
	OutcomeClaimed Outcome = "business_claimed" // the business has another claim
	OutcomeFailed  Outcome = "failed"           // it could not be said
)

// Outcomes are all of them.
func Outcomes() []Outcome {
	return []Outcome{OutcomeTaken, OutcomeRefused, OutcomeClaimed, OutcomeFailed}
}

// Problem is one thing that is wrong with a form.
type Problem struct { //nolint:errname // it is a line of an error, and people call it a problem
	Field  string `json:"field,omitempty"` // a name of Form's JSON; empty: it is about the form as a whole
	Detail string `json:"detail"`          // what is wrong, and what to write
}

func (p Problem) Error() string {
	if p.Field == "" {
		return p.Detail
	}
	return p.Field + ": " + p.Detail
}

// Problems are what an error says that joins what is wrong with a form, in its order.
func Problems(err error) (out []Problem) {
	if err == nil {
		return nil
	}
	if one, ok := err.(Problem); ok { //nolint:errorlint // what wraps it says more than it does
		return []Problem{one}
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		if list := many.Unwrap(); err.Error() == errors.Join(list...).Error() { // and not what has a text of its own
			for _, e := range list {
				out = append(out, Problems(e)...)
			}
			return out
		}
	}
	field, detail, found := strings.Cut(err.Error(), ": ")
	if name, _, _ := strings.Cut(field, "["); !found || !slices.Contains(fields, name) && !slices.Contains(reportFields, name) {
		return []Problem{{Detail: err.Error()}}
	}
	return []Problem{{field, detail}}
}

// unsaid is an error about fields in which no resident registration number is repeated that somebody wrote there: an error is
// shown, logged, and stands in files and topics.
func unsaid(err error) error {
	if err == nil || !resident.In(err.Error(), true) {
		return err
	}
	var errs []error
	for _, p := range Problems(err) {
		if hidden := resident.Refuse(cmp.Or(p.Field, "what you wrote"), p.Error(), true); hidden != nil {
			errs = append(errs, hidden)
			continue
		}
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// Also adds problems of fields about which nothing has been said.
func Also(err, more error) error {
	said := map[string]bool{}
	for _, p := range Problems(err) {
		said[p.Field] = true
	}
	for _, p := range Problems(more) {
		if name, _, _ := strings.Cut(p.Field, "["); p.Field != "" && !said[name] {
			err = errors.Join(err, p)
		}
	}
	return err
}

// Result is what became of a form. Exactly one of Claim and Err is set, but for a business that has another claim.
type Result struct {
	Outcome store.Outcome // empty: it could not be a claim
	Claim   string        // its number; of Twice, that of the other claim
	Err     error         // why it was not taken; Problems takes it apart; nil: it was, now or before
}

// Taken reports whether a form is a claim, now or before.
func (r *Result) Taken() bool { return r.Err == nil }

// Take takes forms in, in one transaction, and returns what became of each, in their order. This is the path of every channel
// but topics, whose progress is part of the transaction. Forms that were taken before are taken for that whenever they come
// again, also when no window is open any more. On an error nothing was taken, and all of it may be tried again.
func (d *Desk) Take(ctx context.Context, forms []*Form, from Channel) (out []Result, err error) {
	defer func() {
		for i := range forms {
			d.count(out, i, err)
		}
	}()
	out = make([]Result, len(forms))
	var filings []store.Filing
	var at []int
	for i, f := range forms {
		filing, late, wrong := d.read(ctx, f, from)
		if errors.Is(wrong, ErrNotNow) {
			return nil, wrong
		}
		if wrong == nil && late != nil {
			if again, err := d.before(ctx, &filing); err != nil {
				return nil, err
			} else if again {
				out[i] = Result{Outcome: store.Again, Claim: filing.ID}
				continue
			}
		}
		if err := errors.Join(wrong, late); err != nil {
			out[i].Err = err
			continue
		}
		filings, at = append(filings, filing), append(at, i)
	}
	if len(filings) == 0 {
		return out, nil
	}
	filed, err := d.Store.Receive(ctx, filings, nil)
	if err != nil {
		return nil, err
	}
	for i, f := range filed {
		out[at[i]] = Result{f.Outcome, f.Claim, Refusal(f, filings[i].Opening.Unit)}
	}
	return out, nil
}

// before reports whether a filing was taken in while a window was open.
func (d *Desk) before(ctx context.Context, f *store.Filing) (bool, error) {
	list, err := d.Store.Get(ctx, f.ID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrNotNow, err)
	}
	return list[0].Digest == f.Opening.Digest, nil
}

func (d *Desk) count(out []Result, i int, err error) {
	if d.Count == nil {
		return
	}
	switch {
	case err != nil:
		d.Count(OutcomeFailed)
	case out[i].Taken():
		d.Count(OutcomeTaken)
	case out[i].Outcome == store.Twice:
		d.Count(OutcomeClaimed)
	default:
		d.Count(OutcomeRefused)
	}
}

// Refusal says why a filing was not taken; nil: it was, now or before.
func Refusal(f store.Filed, unit claims.BusinessNumber) error {
	switch f.Outcome {
	case store.Different:
		return fmt.Errorf("id: claim %s is there already, with something else in it: give this one a number of its own", f.Claim)
	case store.Twice:
		return fmt.Errorf("business_number: %s has claim %s already, and a business claims once", unit, f.Claim)
	default:
		return nil
	}
}
