package grant

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// After returns the place and the state that an act makes of a user's. An error that is ErrRefused says why it cannot be
// done, and what can; one that is ErrUnchanged that there is nothing to do. It is the one rule of what acts do: who writes
// the ledger asks it beforehand, and the proof does so again with what the journal says.
func (s *UserState) After(place Place, a *Act) (Place, UserState, error) {
	next := s.clone()
	next.Acts = append(next.Acts, a.ID)
	var err error
	switch a.Kind {
	case ActHand:
		err = s.mayHand(place)
		place, next.MovedFrom, next.GrantedAt, next.Ends = PlaceGranted, a.From, a.GrantedAt, a.Ends
	case ActExclude:
		err = mayExclude(place)
		place = PlaceExcluded
	case ActReinstate:
		place, err = next.reinstate(place, a)
	case ActNote:
		next.Notes = append(next.Notes, a.remark())
	case ActErase:
		next.erase(a)
	default:
		if err = s.mayChange(place, a.Kind); err == nil {
			err = next.change(a)
		}
	}
	if err != nil {
		return "", UserState{}, err
	}
	return place, next, nil
}

// Keeps reports whether an act leaves something in the state of a user. That somebody was granted by hand or excluded is
// said by the entry that settled the place.
func (a *Act) Keeps() bool {
	return a.Kind != ActExclude && (a.Kind != ActHand || a.From != nil)
}

func (a *Act) remark() Remark { return Remark{At: a.At, Who: a.Who, Reason: a.Reason} }

func (s *UserState) clone() UserState {
	c := *s
	c.Acts, c.Notes, c.Ends, c.Recalled = slices.Clone(s.Acts), slices.Clone(s.Notes), maps.Clone(s.Ends), maps.Clone(s.Recalled)
	return c
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
}

func unchanged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnchanged, fmt.Errorf(format, args...))
}

// erase forgets why anything was done about the user, and the notes. What acts made of the user stays.
func (s *UserState) erase(a *Act) {
	s.Notes, s.Erased = nil, new(a.remark())
	for item, said := range s.Recalled {
		said.Reason = ""
		s.Recalled[item] = said
	}
	if s.Revoked != nil {
		revoked := *s.Revoked
		revoked.Reason, revoked.Kind = "", RevokedErased
		s.Revoked = &revoked
	}
}

// Told is an act as it may be told of this user. The entry of a list is about others, too, and keeps its reason when one of them
// is erased; of that one nobody is to read it any more, wherever the entry is shown.
func (s *UserState) Told(a *Act) *Act {
	if a == nil || s.Erased == nil || a.At.After(s.Erased.At) {
		return a
	}
	return new(a.WithoutWhy())
}

func (s *UserState) mayHand(place Place) error {
	switch {
	case place == PlaceNone:
		return nil
	case place == PlaceExcluded:
		return Coded(WhyExcluded, refused("the user is excluded: reinstate ends that, and grants"))
	case s.MovedTo != nil:
		return Coded(WhyMoved, refused("the grant was moved to user %s: move it back", *s.MovedTo))
	case s.Revoked != nil:
		return Coded(WhyRevoked, refused("the grant was revoked (%s: %s): reinstate it", s.Revoked.Kind, s.Revoked.Reason))
	}
	return Coded(WhyGranted, unchanged("the user is granted already"))
}

func mayExclude(place Place) error {
	switch place {
	case PlaceGranted:
		return Coded(WhyGranted, refused("the user is granted already: only revoke takes that back"))
	case PlaceExcluded:
		return Coded(WhyExcluded, unchanged("the user is excluded already"))
	case PlaceNone:
	}
	return nil
}

// reinstate ends a revocation, an exclusion, or, for a move back, that the grant is with somebody else.
func (s *UserState) reinstate(place Place, a *Act) (Place, error) {
	switch {
	case place == PlaceNone:
		return "", Coded(WhyNotGranted, refused("the user has neither been granted nor excluded: grant-user grants by hand"))
	case place == PlaceExcluded:
		s.GrantedAt = a.At
	case s.MovedTo != nil && a.From == nil:
		return "", Coded(WhyMoved, refused("the grant was moved to user %s: move it back", *s.MovedTo))
	case s.MovedTo != nil:
		s.MovedTo, s.MovedFrom, s.GrantedAt, s.Ends = nil, a.From, a.GrantedAt, a.Ends
	case s.Revoked == nil:
		return "", Coded(WhyNotRevoked, unchanged("the grant is not revoked"))
	}
	s.Revoked = nil // the dates of the grant stay as they were
	return PlaceGranted, nil
}

// mayChange says whether a user has what an act is about.
func (s *UserState) mayChange(place Place, kind ActKind) error {
	switch {
	case place == PlaceNone && kind == ActRevoke:
		return Coded(WhyNotGranted, refused("the user has not been granted: exclude keeps a grant from coming"))
	case place == PlaceNone:
		return Coded(WhyNotGranted, refused("the user has not been granted: grant-user grants by hand"))
	case place == PlaceExcluded && kind == ActRevoke:
		return Coded(WhyExcluded, unchanged("the user is excluded, and was never granted"))
	case place == PlaceExcluded:
		return Coded(WhyExcluded, refused("the user is excluded, and was never granted"))
	case s.MovedTo != nil:
		return Coded(WhyMoved, refused("the grant was moved to user %s", *s.MovedTo))
	case s.Revoked != nil && kind == ActRevoke:
		return Coded(WhyRevoked, unchanged("the grant is revoked already (%s: %s)", s.Revoked.Kind, s.Revoked.Reason))
	case s.Revoked != nil:
		return Coded(WhyRevoked, refused("the grant is revoked (%s: %s): reinstate it first", s.Revoked.Kind, s.Revoked.Reason))
	}
	return nil
}

// change does to a user who has the grant what an act says.
func (s *UserState) change(a *Act) error {
	switch a.Kind {
	case ActRevoke:
		s.Revoked = &Revocation{Since: a.Since(), Kind: a.Revocation, Remark: a.remark()}
	case ActMove:
		s.MovedTo = a.To
	case ActExtend:
		if end, ok := s.Ends[a.Item]; ok && end.Equal(a.Until) {
			return Coded(WhyAsItIs, unchanged("it ends at %s already", a.Until.Format(time.RFC3339)))
		}
		if a.Item == "" {
			clear(s.Ends) // all means those that were given an end of their own, too
		}
		if s.Ends == nil {
			s.Ends = map[string]time.Time{}
		}
		s.Ends[a.Item] = a.Until
	case ActRecall:
		if _, ok := s.Recalled[a.Item]; ok {
			return Coded(WhyAsItIs, unchanged("it is recalled already"))
		}
		if s.Recalled == nil {
			s.Recalled = map[string]Remark{}
		}
		s.Recalled[a.Item] = a.remark()
	default:
		return refused("act %q is not known to this granter", a.Kind)
	}
	return nil
}

// End returns the end that acts gave to an item, and whether they gave one.
func (s *UserState) End(item string) (time.Time, bool) {
	end, ok := s.Ends[item]
	if !ok {
		end, ok = s.Ends[""]
	}
	return end, ok
}

// RevokedAt reports whether the user has lost the grant at a moment: by a revocation, or because it was moved away.
func (s *UserState) RevokedAt(at time.Time) bool {
	return s.MovedTo != nil || s.Revoked != nil && !at.Before(s.Revoked.Since)
}

// untaken is what acts make of an offer that the user has not taken.
func (s *UserState) untaken(e *Entitlement, at time.Time) {
	switch {
	case e.State != StateOffered:
	case s.RevokedAt(at):
		e.State = StateRevoked
	case s.RecalledAt(e.ID, at):
		e.State = StateRecalled
	}
}

// RecalledAt reports whether the offer of an item was recalled before a moment.
func (s *UserState) RecalledAt(item string, at time.Time) bool {
	for _, key := range []string{item, ""} {
		if r, ok := s.Recalled[key]; ok && !at.Before(r.At) {
			return true
		}
	}
	return false
}
