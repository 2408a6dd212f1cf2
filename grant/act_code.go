package grant

import "errors"

// WhyNot is a stable code of why an act is not done to a user.
type WhyNot string

// Why an act is not done to a user.
const (
	WhyGranted      WhyNot = "granted"           // is granted already
	WhyNotGranted   WhyNot = "not_granted"       // has nothing that it could be done to
	WhyExcluded     WhyNot = "excluded"          // is excluded
	WhyRevoked      WhyNot = "revoked"           // has lost the grant
	WhyNotRevoked   WhyNot = "not_revoked"       // has it
	WhyMoved        WhyNot = "moved"             // another account has it
	WhyAsItIs       WhyNot = "as_it_is"          // is as the act would have it
	WhyChanged      WhyNot = "changed"           // somebody else did something since
	WhyUnreadable   WhyNot = "unreadable"        // the row is wrong
	WhySameAccount  WhyNot = "same_account"      // of a move
	WhyTaken        WhyNot = "taken"             // of a move: what was taken cannot be moved
	WhyOtherAccount WhyNot = "other_account"     // of a move: that one cannot have it
	WhyNothing      WhyNot = "nothing_to_erase"  // of an erasure
	WhyUnderWay     WhyNot = "something_pending" // of an erasure: something about the user is not at its end
)

// coded is an error with such a code.
type coded struct {
	error

	code WhyNot
}

func (e *coded) Unwrap() error { return e.error }

// Coded gives an error a code.
func Coded(code WhyNot, err error) error { return &coded{err, code} }

// WhyNotOf returns the code of an error; empty: it has none.
func WhyNotOf(err error) WhyNot {
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code
	}
	if errors.Is(err, ErrUserChanged) {
		return WhyChanged
	}
	return ""
}
