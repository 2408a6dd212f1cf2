package store

import (
	"context"
	"fmt"

	"github.com/granter/granter/grant/claims"
)

// By is what somebody knows of a claim.
type By string

// What claims are found by.
const (
	ByClaim By = "claim" // its number
	ByUnit  By = "business_number"
	ByPhone By = "phone"
	ByUser  By = "user" // the owner's ID in the service
)

// markUser is the mark by which the claims of a user of the service are found. It is no signal: somebody may have two shops.
const markUser claims.SignalKind = "user"

// mostFound is how many claims are found at most.
const mostFound = 20

// Find returns the claims of a programme that somebody knows something of, those first that came first, and no more than 20. What
// was erased is found by the number of the claim or the business only.
func (s *Store) Find(ctx context.Context, programme string, by By, what string) ([]Line, error) {
	var w where
	w.claims(programme, "", nil)
	marked := func(kind claims.SignalKind, text string) {
		n := len(w.args)
		w.args = append(w.args, string(kind), digestOf(string(kind), text))
		w.conditions = append(w.conditions,
			fmt.Sprintf("id IN (SELECT claim FROM marks WHERE kind = $%d AND digest = $%d)", n+1, n+2))
	}
	switch by {
	case ByClaim:
		w.add("id =", what)
	case ByUnit:
		w.add("unit =", what)
	case ByPhone:
		marked(claims.SamePhone, nationalPhone(what))
	case ByUser:
		marked(markUser, what)
	}
	return s.lines(ctx, &w, "received_at, id", mostFound, mostFound)
}
