package grant

import (
	"errors"
	"fmt"
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
