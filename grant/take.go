package grant

import "time"

// Outcome says what became of a user's request to take an item.
type Outcome string

// The outcomes of a take. A user who has taken an item and asks again is told when that was.
const (
	OutcomeTaken      Outcome = "taken"       // the user has it now
	OutcomeAlready    Outcome = "already"     // the user had taken it before
	OutcomeNotGranted Outcome = "not_granted" // it was not offered to the user, or not yet
	OutcomeExcluded   Outcome = "excluded"    // the user is excluded from the campaign
	OutcomeRevoked    Outcome = "revoked"     // the user has lost the campaign, or it was moved to another account
	OutcomeRecalled   Outcome = "recalled"    // the offer was taken back
	OutcomeLapsed     Outcome = "lapsed"      // its take_until is over
	OutcomeExhausted  Outcome = "exhausted"   // others took the last of its first
)

// Outcomes are all outcomes of a take.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeTaken, OutcomeAlready, OutcomeNotGranted, OutcomeExcluded, OutcomeRevoked, OutcomeRecalled,
		OutcomeLapsed, OutcomeExhausted,
	}
}

// Has reports whether the user has the item, or had it.
func (o Outcome) Has() bool { return o == OutcomeTaken || o == OutcomeAlready }

// Stands returns why a user may not take an item at a moment, as far as acts decide that; empty: they do not stand in the way.
func (s *UserState) Stands(item string, at time.Time) Outcome {
	_, one := s.Recalled[item]
	_, all := s.Recalled[""]
	switch {
	case s.RevokedAt(at):
		return OutcomeRevoked
	case one || all:
		return OutcomeRecalled
	}
	return ""
}
