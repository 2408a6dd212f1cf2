package accesslog

import (
	"fmt"

	"github.com/granter/granter/grant"
)

// Single is how many users somebody may look up at once without a reason: what a conversation with a customer takes. Whoever
// reads more reads in bulk, and says why.
const Single = 20

// NeedsReason reports why some users cannot be looked up without a reason, or with one that is none; nil: they can.
func NeedsReason(users int, why string) error {
	switch {
	case why != "":
		return grant.ValidateWhy(why)
	case users > Single:
		return fmt.Errorf(
			"looking up %d users at once needs a reason, as more than %d do: it is kept in the access log",
			users,
			Single,
		)
	}
	return nil
}
