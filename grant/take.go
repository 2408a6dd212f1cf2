package grant

// Outcome says what became of a user's request to take an item.
type Outcome string

// The outcomes of a take. A user who has taken an item and asks again is told when that was.
const (
	OutcomeTaken      Outcome = "taken"       // the user has it now
	OutcomeAlready    Outcome = "already"     // the user had taken it before
	OutcomeNotGranted Outcome = "not_granted" // it was not offered to the user, or not yet
	OutcomeExcluded   Outcome = "excluded"    // the user is excluded from the campaign
	OutcomeRevoked    Outcome = "revoked"     // what acts made of the user allows no take
	OutcomeLapsed     Outcome = "lapsed"      // its take_until is over
	OutcomeExhausted  Outcome = "exhausted"   // others took the last of its first
)

// Outcomes are all outcomes of a take.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeTaken, OutcomeAlready, OutcomeNotGranted, OutcomeExcluded, OutcomeRevoked, OutcomeLapsed, OutcomeExhausted,
	}
}

// Has reports whether the user has the item, or had it.
func (o Outcome) Has() bool { return o == OutcomeTaken || o == OutcomeAlready }
