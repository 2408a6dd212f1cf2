package grant

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ActKind is what somebody did about single users of a campaign.
type ActKind string

// The kinds of acts.
const (
	ActHand      ActKind = "hand"      // granted by hand: late, or missed
	ActExclude   ActKind = "exclude"   // they never get the campaign, whatever the topic says
	ActRevoke    ActKind = "revoke"    // they had it, and have it no more
	ActReinstate ActKind = "reinstate" // they have it again; or are excluded no more, and get it now
	ActExtend    ActKind = "extend"    // one item or all of them end at another time
	ActMove      ActKind = "move"      // another account has it in their place
	ActRecall    ActKind = "recall"    // what was offered and not taken is offered no more
	ActNote      ActKind = "note"      // something that the next colleague should know
	ActErase     ActKind = "erase"     // why anything was done about them is forgotten; what was done stays
)

// ActKinds are all kinds of acts.
func ActKinds() []ActKind {
	return []ActKind{ActHand, ActExclude, ActRevoke, ActReinstate, ActExtend, ActMove, ActRecall, ActNote, ActErase}
}

// ListKinds are the kinds of acts that are done to lists of users.
func ListKinds() []ActKind {
	return slices.DeleteFunc(ActKinds(), func(k ActKind) bool { return k == ActErase })
}

// RevocationKind says why somebody lost what was granted.
type RevocationKind string

// The kinds of revocation. A move revokes on the side of the account that it leaves.
const (
	RevokedMistake RevocationKind = "mistake"
	RevokedFraud   RevocationKind = "fraud"
	RevokedRequest RevocationKind = "request"
	RevokedErased  RevocationKind = "erased" // why is not known any more: nobody revokes by it
)

// Act is one thing that somebody did about one user, or the same about several. It is in the journal of each of them.
type Act struct {
	ID     string    `json:"id"` // the same act is done to a user once
	Kind   ActKind   `json:"kind"`
	At     time.Time `json:"at"`  // by the clock of Redis, to the millisecond
	Who    string    `json:"who"` // a person, or the name of a token
	Via    string    `json:"via"` // how it came: "cli" or "api"
	Role   string    `json:"role,omitempty"`
	Second string    `json:"second,omitempty"` // who approved it, where that takes two
	Reason string    `json:"reason"`

	Revocation RevocationKind `json:"revocation,omitempty"` // of a revoke
	Effective  time.Time      `json:"effective,omitzero"`   // of a revoke: since when; zero: At
	Item       string         `json:"item,omitempty"`       // of an extend or a recall; empty: all
	Until      time.Time      `json:"until,omitzero"`       // of an extend: the new end

	To   *UserID `json:"to,omitempty"`   // of a move: who has it now
	From *UserID `json:"from,omitempty"` // of a hand or a reinstate that ends a move: who had it
	// What a move takes along: when the user it came from was granted, and the ends that acts gave to items.
	GrantedAt time.Time            `json:"granted_at,omitzero"`
	Ends      map[string]time.Time `json:"ends,omitempty"`
}

const maxActID = 64 // bytes

// Years of the times in acts: those that a campaign's own times may be in.
const minYear, maxYear = 2000, 2199

// Validate reports what is wrong with an act in itself.
func (a *Act) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains(ActKinds(), a.Kind) {
		wrong("act %q: want one of %s", a.Kind, ActKinds())
	}
	if a.ID == "" || len(a.ID) > maxActID {
		wrong("the ID of the act has %d bytes: want 1 to %d", len(a.ID), maxActID)
	}
	if strings.TrimSpace(a.Who) == "" {
		wrong("who does it is missing")
	}
	if err := ValidateWhy(a.Reason); err != nil {
		errs = append(errs, err)
	}
	if a.Kind == ActRevoke {
		switch a.Revocation {
		case RevokedMistake, RevokedFraud, RevokedRequest:
		default:
			wrong("revocation %q: want %s, %s or %s", a.Revocation, RevokedMistake, RevokedFraud, RevokedRequest)
		}
	}
	if a.Kind == ActExtend && a.Until.IsZero() {
		wrong("the new end is missing")
	}
	for name, at := range map[string]time.Time{"the new end": a.Until, "the time since when": a.Effective} {
		if !at.IsZero() && (at.UTC().Year() < minYear || at.UTC().Year() > maxYear) {
			wrong("%s, %s: want one of the years %d to %d", name, at.Format(time.RFC3339), minYear, maxYear)
		}
	}
	if a.Kind == ActMove && a.To == nil {
		wrong("the account to move to is missing")
	}
	return errors.Join(errs...)
}

// WithoutWhy is the act without why it was done, as an erasure leaves it: what it did, when and by whom stays. An erasure keeps
// its ground.
func (a *Act) WithoutWhy() Act {
	out := *a
	if a.Kind == ActErase {
		return out
	}
	out.Reason = ""
	if out.Revocation != "" {
		out.Revocation = RevokedErased
	}
	return out
}

// Since is from when on a revocation holds.
func (a *Act) Since() time.Time {
	if a.Effective.IsZero() {
		return a.At
	}
	return a.Effective
}

// Place is what the bitmaps of the ledger say of a user: it is settled for good unless it is PlaceNone.
type Place string

// The places.
const (
	PlaceNone     Place = "none"     // neither of these, yet
	PlaceGranted  Place = "granted"  // has the campaign, or had it
	PlaceExcluded Place = "excluded" // will not get it
)

// UserState is what acts made of one user, beyond the place. Its zero value is that of a user about whom nobody did
// anything, but perhaps grant or exclude by hand.
type UserState struct {
	Acts      []string             `json:"acts"` // their IDs, oldest first
	Revoked   *Revocation          `json:"revoked,omitempty"`
	MovedTo   *UserID              `json:"moved_to,omitempty"`   // who has it in this user's place
	MovedFrom *UserID              `json:"moved_from,omitempty"` // who had it before this user
	GrantedAt time.Time            `json:"granted_at,omitzero"`  // what counts in place of the time of the journal entry
	Ends      map[string]time.Time `json:"ends,omitempty"`       // by item; "" stands for those that are not named
	Recalled  map[string]Remark    `json:"recalled,omitempty"`   // by item; "" is all of them
	Notes     []Remark             `json:"notes,omitempty"`      // oldest first
	// Erased says when reasons and notes were erased last, by whom and on what ground: what is older has none.
	Erased *Remark `json:"erased,omitempty"`
}

// Revocation says since when somebody has lost the campaign, and why. It may be to come.
type Revocation struct {
	Since time.Time      `json:"since"`
	Kind  RevocationKind `json:"kind"`
	Remark
}

// Remark is what somebody said, and when.
type Remark struct {
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Reason string    `json:"reason"`
}

// ErrUnchanged means that an act finds what it asks for. Nothing was changed.
var ErrUnchanged = errors.New("unchanged")

// Done reports whether an act has been done to the user.
func (s *UserState) Done(id string) bool { return slices.Contains(s.Acts, id) }
