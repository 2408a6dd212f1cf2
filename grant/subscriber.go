package grant

import "time"

// SubscriberState is how a subscriber of events is served.
type SubscriberState string

// The states of a subscriber.
const (
	SubscriberWaiting SubscriberState = "waiting" // nothing is known yet
	SubscriberSending SubscriberState = "sending"
	SubscriberCurrent SubscriberState = "current" // it has everything
	SubscriberFailing SubscriberState = "failing" // it does not take what is sent, which is tried again
	SubscriberStopped SubscriberState = "stopped" // whoever published to it has ended
	SubscriberSilent  SubscriberState = "silent"  // whoever published to it says nothing any more: it was killed, or hangs
)

// Subscriber is how somebody is served who is sent events of a campaign, or a hook of its runs (hook:NAME), as whoever publishes
// to it said last. Of a hook Behind are the events that it is still to be told of.
type Subscriber struct {
	Name   string          `json:"name"`
	State  SubscriberState `json:"state"`
	Since  time.Time       `json:"since"`
	Error  string          `json:"error,omitempty"` // of the last attempt; only while it fails
	Behind int64           `json:"behind_entries"`  // of the journals, when they were looked at last
	Events int64           `json:"events"`          // that it acknowledged, of the process that publishes to it
	// Failures are attempts of a hook in a row, until now.
	Failures int64      `json:"failures,omitempty"`
	Last     *time.Time `json:"last_success,omitempty"`
	At       time.Time  `json:"at"` // when it was said
}

const (
	// SubscriberEvery is how often a publisher says how its subscribers are.
	SubscriberEvery = 3 * time.Second
	// subscriberSilent is how long one may say nothing before it counts as gone: as long as its lead lasts.
	subscriberSilent = 15 * time.Second
)

// AsOf is what to think of it at a moment: who said long ago that all is well may be gone.
func (s Subscriber) AsOf(now time.Time) Subscriber {
	if s.State != SubscriberStopped && now.Sub(s.At) > subscriberSilent {
		s.State, s.Since = SubscriberSilent, s.At
	}
	return s
}

// Well reports whether nobody has to look at it. One that was stopped is served by nobody, and that was wanted.
func (s Subscriber) Well() bool { return s.State != SubscriberFailing && s.State != SubscriberSilent }
