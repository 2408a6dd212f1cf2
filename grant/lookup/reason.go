package lookup

import (
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

// Code is why a user has not all that a campaign gives, in the word that programs decide by. Codes never change their
// meaning; docs/support.md explains each.
type Code string

// The codes that are about the user.
const (
	OutsidePopulation Code = "outside_population" // the ID is above max_id, or of another kind: no record can name it
	Rejected          Code = "rejected"           // a record that seems to mean the user was malformed
	NeverInTopic      Code = "never_in_topic"     // the whole topic was searched
	NotFound          Code = "not_found"          // everything in the topic is settled; nobody has searched it
	Unexplained       Code = "unexplained"        // the record is in the topic, settled, and nobody was granted: a defect
)

// The codes that are about an item of a user who was granted the campaign.
const (
	NotTakenYet    Code = "not_taken_yet"   // the user may take it, and has not
	NotTakenInTime Code = "not_taken"       // it can no longer be taken
	QuotaExhausted Code = "quota_exhausted" // others took the last of it
	Recalled       Code = "recalled"        // an act ended the offer
)

// The codes that are about what somebody did about the user.
const (
	Excluded Code = "excluded" // the user does not get the campaign
	Revoked  Code = "revoked"  // the user had it
	Moved    Code = "moved"    // another account has it in this one's place
)

// The codes that are about the campaign.
const (
	NotStarted    Code = "not_started"
	Postponed     Code = "postponed"
	Preflight     Code = "preflight" // held back: what runs check before they start has failed
	Aborted       Code = "aborted"
	Ended         Code = "ended"    // ends_at has passed
	Finished      Code = "finished" // ordered to finish where the topic ended then
	Paused        Code = "paused"
	Held          Code = "held" // something else stops all runs
	Throttled     Code = "throttled"
	NobodyRuns    Code = "nobody_runs"
	OnlyCanary    Code = "only_canary" // until now only some users are granted, for a trial
	InLag         Code = "in_lag"      // records are left that runs have not settled yet
	TopicReplaced Code = "topic_replaced"
)

// The codes that are about what could not be asked.
const (
	LedgerUnavailable  Code = "ledger_unavailable"
	LedgerInconsistent Code = "ledger_inconsistent"
	StatusUnknown      Code = "status_unknown"
)

// Codes are all codes.
func Codes() []Code {
	return []Code{
		OutsidePopulation, Rejected, NeverInTopic, NotFound, Unexplained, NotTakenYet, NotTakenInTime, QuotaExhausted,
		Recalled, Excluded, Revoked, Moved,
		NotStarted, Postponed, Preflight, Aborted, Ended, Finished, Paused, Held, Throttled, NobodyRuns, OnlyCanary, InLag,
		TopicReplaced,
		LedgerUnavailable, LedgerInconsistent, StatusUnknown,
	}
}

// Reason is one reason why a user has not all that a campaign gives.
type Reason struct {
	Code   Code   `json:"code"`
	Item   string `json:"item,omitempty"`   // that the reason is about; empty: all
	Says   Text   `json:"says"`             // one sentence
	Next   Text   `json:"next"`             // one next step, for who was asked
	Detail string `json:"detail,omitempty"` // what an operator or a system said, in its words. It is not for customers
	Lag    *Lag   `json:"lag,omitempty"`    // InLag
	// When is the moment that the reason is about: of the start, of the end, until when something can be taken, or about when
	// the lag is gone.
	When *time.Time `json:"when,omitempty"`
}

// Lag is where the record of a user may still be: in one of those that are not settled yet.
type Lag struct {
	Records    int64      `json:"records"`
	Partitions []Behind   `json:"partitions"`           // that are not settled, the furthest behind first
	DoneAbout  *time.Time `json:"done_about,omitempty"` // at the present rate; missing: it cannot be estimated
}

// Behind is how many records of a partition are not settled, from an offset on.
type Behind struct {
	Partition int   `json:"partition"`
	From      int64 `json:"from"`
	Records   int64 `json:"records"`
}

// facts are what a reason follows from, beside the answer itself.
type facts struct {
	campaign *grant.Campaign
	status   *status.Status // nil: it was not asked, or nothing is known
	err      error          // what of the status could not be asked
}

// reasons says why a user has not all that the campaign gives. What is about the user goes before what is about all.
func (f *facts) reasons(a *Answer) []Reason {
	own, only := f.ofUser(a)
	if only {
		return own
	}
	all := slices.Concat(own, f.ofCampaign(a))
	if len(own) == 0 {
		return all
	}
	// A record means the user, and was rejected: that no other one does is nothing that somebody has to ask about.
	return slices.DeleteFunc(all, func(r Reason) bool { return r.Code == NeverInTopic || r.Code == NotFound })
}

// ofUser are the reasons that are about this user alone. What somebody decided about one user, or what the user did or did
// not do, has its place here. Only means that nothing else matters beside them.
func (f *facts) ofUser(a *Answer) (own []Reason, only bool) {
	if r := ofActs(a); r != nil {
		return []Reason{*r}, true
	}
	if a.Granted {
		own = []Reason{}
		for i := range a.Entitlements {
			if r := ofItem(&a.Entitlements[i]); r != nil {
				own = append(own, *r)
			} else if e := &a.Entitlements[i]; e.State == grant.StateRecalled {
				own = append(own, recalled(a, e))
			}
		}
		return own, true
	}
	if impossible(f.campaign, a.User) {
		return []Reason{outside(f.campaign, a.User)}, true
	}
	if r := f.rejected(a); r != nil {
		return []Reason{*r}, false
	}
	return nil, false
}

// ofItem says why a user who was granted the campaign cannot use an item; nil: they can, or could until it expired.
func ofItem(e *Entitlement) *Reason {
	switch e.State {
	case grant.StateOffered:
		return notTakenYet(e)
	case grant.StateLapsed:
		return notTaken(e)
	case grant.StateExhausted:
		return exhausted(e)
	case grant.StateActive, grant.StateExpired, grant.StateRevoked, grant.StateRecalled: // of acts: see ofActs
	}
	return nil
}

// ofCampaign are the reasons that hold for everybody whom the campaign has not granted yet.
func (f *facts) ofCampaign(a *Answer) []Reason {
	st := f.status
	if st == nil || !st.Knows(status.PartControl, status.PartRuns) {
		return append([]Reason{statusUnknown(f.err)}, f.ofTopic(a)...)
	}
	switch first := f.first(); {
	case first == nil:
	case first.Code == NotStarted, first.Code == Postponed, first.Code == Aborted, first.Code == Ended:
		return []Reason{*first} // whatever is left in the topic
	default:
		return append([]Reason{*first}, f.ofTopic(a)...)
	}
	return f.ofTopic(a)
}

// first is what stops or slows the whole campaign; nil: nothing does.
func (f *facts) first() *Reason {
	st := f.status
	switch preflight, canary := hold(st, grant.CausePreflight), onlyCanary(st); {
	case st.Phase == status.PhaseEnded:
		return ended(st)
	case st.Phase == status.PhaseAborted:
		return aborted(st)
	case preflight != nil:
		return preflightHolds(preflight)
	case st.Phase == status.PhaseWaiting && st.PostponedFrom != nil:
		return postponed(st)
	case st.Phase == status.PhaseWaiting:
		return notStarted(st)
	case st.Control.Paused:
		return paused(st)
	case st.Phase == status.PhasePaused:
		return held(st)
	case canary != "":
		return canaryOnly(canary)
	case st.Phase == status.PhaseThrottled:
		return throttled(st)
	case st.Phase == status.PhaseIdle:
		return nobodyRuns(st)
	}
	return nil
}

// ofTopic are the reasons that follow from how far the topic is settled, and from a trace, if one was asked for.
func (f *facts) ofTopic(a *Answer) []Reason {
	st := f.status
	if a.Trace != nil && len(a.Trace.Records) > 0 {
		return []Reason{f.traced(a.Trace)}
	}
	switch {
	case st == nil:
		return nil
	case !st.Knows(status.PartKafka, status.PartCheckpoint):
		if st.Knows(status.PartControl, status.PartRuns) { // else it is said already
			return []Reason{statusUnknown(f.err)}
		}
		return nil
	case st.TopicChanged != "":
		return []Reason{topicReplaced(st)}
	case a.Trace != nil && a.Trace.Whole:
		return []Reason{neverInTopic(a.Trace)}
	case st.ToGo() > 0:
		return []Reason{inLag(st)}
	case st.Lag > 0: // behind where it was ordered to finish
		return []Reason{finished(st)}
	}
	return []Reason{notFound(st)}
}

// onlyCanary returns the pass that granted some users before all others, while no run has been for everybody yet; empty:
// there is none.
func onlyCanary(st *status.Status) (pass string) {
	for i := range st.Runs {
		r := &st.Runs[i]
		if r.Pass == "" && (r.State != grant.RunWaiting || r.Tally.Consumed > 0) {
			return ""
		}
		if r.Pass != "" {
			pass = r.Pass
		}
	}
	if st.LastCheckpoint != nil { // of a run whose record is not listed any more
		return ""
	}
	return pass
}

// hold returns what is said of a cause that is in force; nil: it is not.
func hold(st *status.Status, cause grant.Cause) *grant.Hold {
	for i := range st.Holds {
		if st.Holds[i].Cause == cause {
			return &st.Holds[i]
		}
	}
	return nil
}

// rejected returns a reason when a record that was rejected seems to mean the user; nil: none is known.
func (f *facts) rejected(a *Answer) *Reason {
	if a.Trace != nil && len(a.Trace.Letters) > 0 {
		l := a.Trace.Letters[0]
		return rejected(l.Partition, l.Offset, l.Reason, l.Value)
	}
	if f.status == nil {
		return nil
	}
	for _, r := range f.status.Samples { // the last of each kind; a trace looks at all
		if Means(r.Value, a.User) {
			return rejected(r.Partition, r.Offset, r.Reason, r.Value)
		}
	}
	return nil
}
