package lookup

import (
	"slices"
	"time"

	"github.com/granter/granter/grant"
)

// Event is something that happened to a user, or will.
type Event struct {
	At       time.Time // in the campaign's zone
	What     Happening
	Campaign string
	Title    string
	Item     string // empty: it is about the whole campaign
}

// Happening is what happened.
type Happening string

// What happens to users.
const (
	HappenedGranted Happening = "granted"
	HappenedTaken   Happening = "taken"
	HappensExpiry   Happening = "expires"
	HappensLapse    Happening = "lapses" // it cannot be taken any more
	HappensRevoked  Happening = "revoked"
)

// Timeline is what happened to a user over all campaigns, and will, the oldest first.
func Timeline(answers []Answer) []Event {
	var events []Event
	for i := range answers {
		a := &answers[i]
		add := func(at *time.Time, what Happening, item string) {
			if at != nil {
				events = append(events, Event{at.In(a.Zone()), what, a.Campaign, a.Title, item})
			}
		}
		add(a.GrantedAt, HappenedGranted, "")
		if a.State != nil && a.State.Revoked != nil {
			add(&a.State.Revoked.Since, HappensRevoked, "")
		}
		for j := range a.Entitlements {
			e := &a.Entitlements[j]
			add(e.TakenAt, HappenedTaken, e.ID)
			if e.State != grant.StateRevoked {
				add(e.ExpiresAt, HappensExpiry, e.ID)
			}
			if e.State == grant.StateOffered || e.State == grant.StateLapsed {
				add(e.TakeUntil, HappensLapse, e.ID)
			}
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	return events
}
