package ledger

import (
	"context"
	"fmt"
)

// Take asks for users to grant out of the budget that all replicas share, and returns how many may be granted now. rate
// is users per second. It makes one attempt only. The rule is budgetScript.
func (l *Coordination) Take(ctx context.Context, want, rate int64) (int64, error) {
	n, err := l.call(ctx, &budgetCall, []string{l.keys.budget}, want, rate)
	switch {
	case misused(err):
		err = fmt.Errorf("%s is broken: delete it, and it is made again: %w", l.keys.budget, err)
	case err != nil:
		err = fmt.Errorf("%s: %w", l.keys.budget, err)
	}
	return n, err
}
