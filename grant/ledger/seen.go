package ledger

import (
	"fmt"
	"time"

	"github.com/granter/granter/grant"
)

// Seen says what somebody who looks at a user sees of what was done about the user: it is another one after any act, and after
// a grant. An act that names it is refused to whoever looked before the last act of somebody else.
func (u *User) Seen() string {
	settled, last := "", ""
	if u.Settled != nil && u.Settled.Act != nil {
		settled = u.Settled.Act.ID
	}
	if n := len(u.State.Acts); n > 0 {
		last = u.State.Acts[n-1]
	}
	return fmt.Sprintf("%s/%d/%s/%s", u.Place, len(u.State.Acts), settled, last)
}

// StillAs fails with grant.ErrUserChanged when a user is not as somebody saw, and says what is so now. Empty: it does not matter.
func (u *User) StillAs(seen string) error {
	if seen == "" || seen == u.Seen() {
		return nil
	}
	said := func(what string, r grant.Remark) string {
		return fmt.Sprintf("%s by %s at %s (%s)", what, r.Who, r.At.Format(time.RFC3339), r.Reason)
	}
	now := "the user is " + string(u.Place)
	switch notes := u.State.Notes; {
	case u.Place == grant.PlaceNone:
		now = "the user has not been granted"
	case u.State.MovedTo != nil:
		now = fmt.Sprintf("the grant was moved to user %v", *u.State.MovedTo)
	case u.State.Revoked != nil:
		now = said("the grant was revoked", u.State.Revoked.Remark)
	case u.Settled != nil && u.Settled.Act != nil && len(u.State.Acts) == 0:
		act := u.Settled.Act
		now += said(", by "+string(act.Kind), grant.Remark{At: act.At, Who: act.Who, Reason: act.Reason})
	case len(notes) > 0:
		now += said("; the last note was", notes[len(notes)-1])
	}
	return fmt.Errorf("%w: now %s; look again, and decide then", grant.ErrUserChanged, now)
}
