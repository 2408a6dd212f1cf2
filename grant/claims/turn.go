package claims

import "time"

// Turn is whose turn it is with a claim.
type Turn string

// Whose turn it can be.
const (
	TurnOwner Turn = "owner" // nobody can go on before the owner has sent something
	TurnRules Turn = "rules" // the programme looks at it by itself
	TurnStaff Turn = "staff" // people judge or decide
	TurnPayer Turn = "payer" // it is paid with the next run
	TurnBank  Turn = "bank"  // the bank has the order
	TurnDone  Turn = "done"  // it may rest
)

// Turn says whose turn it is in a state.
func (s State) Turn() Turn {
	switch s {
	case Draft, DocumentsMissing, Asked:
		return TurnOwner
	case Received, Checking:
		return TurnRules
	case OnHold, InReview, BeforeCouncil, SecondLook, Objected, ObjectionBeforeCouncil:
		return TurnStaff
	case Approved, PaymentReturned, Upheld, PartlyUpheld:
		return TurnPayer
	case PaymentSent:
		return TurnBank
	default:
		return TurnDone
	}
}

// Counts reports whether time in a state counts against those who promised an answer: it does not while the owner or the bank
// is to act.
func (t Turn) Counts() bool { return t == TurnRules || t == TurnStaff || t == TurnPayer }

// Stay is one stretch of time that a claim was in a state.
type Stay struct {
	State State
	Since time.Time
}

// Waited is how long an owner has waited for others, up to now: the time of all stays that counts. The last stay goes on.
func Waited(stays []Stay, now time.Time) time.Duration {
	var sum time.Duration
	for i, s := range stays {
		until := now
		if i+1 < len(stays) {
			until = stays[i+1].Since
		}
		if s.State.Turn().Counts() && until.After(s.Since) {
			sum += until.Sub(s.Since)
		}
	}
	return sum
}
