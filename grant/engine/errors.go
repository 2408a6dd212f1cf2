package engine

import (
	"errors"
	"time"

	"github.com/granter/granter/grant"
)

// ErrDrained means that the run stopped because it was asked to, before everything was granted.
var ErrDrained = errors.New("stopped before the end: start it again to continue")

// ErrAborted means that operators aborted the campaign: nobody is granted anything until they order to resume.
var ErrAborted = errors.New("aborted")

// AbortedError is the ErrAborted of a run, and says whose order it obeys.
type AbortedError struct {
	Order grant.Given
	Zone  *time.Location // of the campaign's dates
}

func (e *AbortedError) Error() string {
	return "aborted " + e.Order.By(e.Zone) + ". What is granted stays, and nobody else is granted anything until somebody " +
		"orders granter resume; then start it again, and it goes on from the checkpoint " +
		"(or do both by granter run --resume --why TEXT)"
}

// Is makes it an ErrAborted.
func (e *AbortedError) Is(target error) bool { return target == ErrAborted }
