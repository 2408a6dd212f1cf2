package grant

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrRegressed means that the ledger lost writes that it had acknowledged, as after a restart without fsync or a
// fail-over to a replica that lagged. What was lost is read from the topic again.
var ErrRegressed = errors.New("the ledger lost acknowledged writes")

// ErrEnded means that the campaign's ends_at came: from then on nobody is granted anything.
var ErrEnded = errors.New("the campaign has ended: nothing may be granted any more")

// EarlyError says that by the ledger's clock the campaign has not started. The call may be repeated then.
type EarlyError struct {
	Now, Start time.Time // by the ledger's clock
}

func (e *EarlyError) Error() string {
	return fmt.Sprintf("the campaign starts at %s, and the ledger's clock says %s", e.Start.Format(time.RFC3339Nano), e.Now.Format(time.RFC3339Nano))
}

// UserError is an error about one user. Whoever asked about the user reads whom it is about; logs do not: see Masked.
type UserError struct {
	User UserID
	Err  error
}

func (e *UserError) Error() string { return "user " + e.User.String() + ": " + e.Err.Error() }
func (e *UserError) Unwrap() error { return e.Err }

// Masked is the text of an error for a log: without the IDs of the users whom it is about.
func Masked(err error) string {
	text := err.Error()
	var mask func(error)
	mask = func(err error) {
		if of, ok := err.(*UserError); ok { //nolint:errorlint // each of the tree is looked at
			text = strings.ReplaceAll(text, "user "+of.User.String()+":", "user "+of.User.Masked()+":")
		}
		switch of := err.(type) { //nolint:errorlint // the same
		case interface{ Unwrap() error }:
			if inner := of.Unwrap(); inner != nil {
				mask(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range of.Unwrap() {
				mask(inner)
			}
		}
	}
	mask(err)
	return text
}
