package grant

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Approval is a campaign's rule on what one person may do about users alone. More takes two: one who proposes it, and
// another one who approves it.
type Approval struct {
	// Above is how many users one person may do something about within AloneFor, whatever number of commands and requests
	// that takes, from the command line, the API and the page together. 0: everything takes two.
	Above  int64
	Acts   []ActKind     // that count, in the order of ActKinds; empty: all but notes
	Within time.Duration // how long a proposal waits for the second person
}

const (
	// AloneFor is the time in which users are counted for Approval.Above. It slides: no midnight starts it anew.
	AloneFor = 24 * time.Hour
	// UsualWithin is how long a proposal waits, unless the campaign says otherwise.
	UsualWithin = 72 * time.Hour
)

// Counts reports whether an act counts. A nil rule counts none.
func (a *Approval) Counts(kind ActKind) bool {
	switch {
	case a == nil:
		return false
	case len(a.Acts) == 0:
		return kind != ActNote
	}
	return slices.Contains(a.Acts, kind)
}

// ApprovableKinds are the acts that an Approval may name.
func ApprovableKinds() []ActKind {
	return slices.DeleteFunc(ActKinds(), func(k ActKind) bool { return k == ActNote })
}

// Person is who somebody is, for rules that are about people: what is behind a name, such as a host or what the name is said
// to be by itself, and capitals make no other person. "mira@host-1 (says Joe)", "Mira@host-2" and "mira" are one. Only root,
// who could be anybody, is whom sudo names.
func Person(who string) string {
	name, more, _ := strings.Cut(who, " (")
	if _, sudo, found := strings.Cut(more, "sudo from "); found {
		name, _, _ = strings.Cut(strings.TrimSuffix(sudo, ")"), ",")
	}
	name, _, _ = strings.Cut(name, "@")
	return strings.ToLower(strings.TrimSpace(name))
}

// SamePerson reports whether two names are of one person. Who signed in by an OpenID provider, "mira@example.com (1001 at
// id.example)", is whom the provider means by 1001, whatever the name was at the time.
func SamePerson(a, b string) bool {
	return Person(a) == Person(b) || subject(a) != "" && subject(a) == subject(b)
}

// subject is who a name of an OpenID provider is of there; empty: it is none.
func subject(who string) string {
	_, behind, ok := strings.Cut(who, " (")
	first, _, at := strings.Cut(behind, " at ")
	if !ok || !at || strings.Contains(first, " ") || !strings.HasSuffix(behind, ")") {
		return ""
	}
	return behind
}

// Proposal is what somebody wants done about users, that takes a second person. Its ID is that of the act, so that it is done
// to each user once.
type Proposal struct {
	Act      Act            `json:"act"`
	AfterEnd bool           `json:"after_end,omitempty"`
	Users    int            `json:"users"`
	Digest   string         `json:"digest"`   // of the users, and what is said of each
	Expected map[string]int `json:"expected"` // what became of how many users in the dry run when it was proposed
	At       time.Time      `json:"at"`       // by the clock of Redis
	Until    time.Time      `json:"until"`    // when it can be approved no more
	State    ProposalState  `json:"state"`
	Decided  *Decision      `json:"decided,omitempty"`
	Result   *Acted         `json:"result,omitempty"` // of one that is done
}

// ErrNoProposal means that there is none by that ID.
var ErrNoProposal = fmt.Errorf("%w: there is no such proposal: granter acts pending lists them", ErrRefused)

// ProposalState says how far a proposal is.
type ProposalState string

// The states of a proposal.
const (
	ProposalPending  ProposalState = "pending"
	ProposalExpired  ProposalState = "expired" // nobody decided in time: what StateAt says, and not what is stored
	ProposalRejected ProposalState = "rejected"
	ProposalApproved ProposalState = "approved" // and not done to all users yet
	ProposalDone     ProposalState = "done"
)

// Decision is what the second person said.
type Decision struct {
	Approve bool      `json:"approve"`
	At      time.Time `json:"at"` // by the clock of Redis
	Who     string    `json:"who"`
	Via     string    `json:"via"`
	Role    string    `json:"role,omitempty"`
	Why     string    `json:"why"`
}

// Same reports whether a decision is another one once more: by the same person, in the same words. Nil is none.
func (d *Decision) Same(o *Decision) bool {
	return d != nil && d.Approve == o.Approve && d.Who == o.Who && d.Via == o.Via && d.Why == o.Why
}

// StateAt is the state at a moment.
func (p *Proposal) StateAt(at time.Time) ProposalState {
	if p.State == ProposalPending && !at.Before(p.Until) {
		return ProposalExpired
	}
	return p.State
}

// Decide returns the proposal after a decision that comes at a time. It fails with ErrRefused when there is nothing to decide
// any more, and when the one who decides is the one who proposed. Who takes a proposal of their own back may reject it.
func (p *Proposal) Decide(d *Decision) (Proposal, error) {
	next := *p
	next.Decided, next.State = d, ProposalRejected
	if d.Approve {
		next.State = ProposalApproved
	}
	switch state := p.StateAt(d.At); {
	case strings.TrimSpace(d.Who) == "":
		return *p, refused("who decides is missing")
	case state == ProposalExpired:
		return *p, refused("it could be approved until %s: propose it again", p.Until.Format(time.RFC3339))
	case state != ProposalPending && p.Decided != nil:
		return *p, refused("it was decided already: %s", p.Decided.say())
	case state != ProposalPending:
		return *p, refused("it was decided already")
	case d.Approve && SamePerson(d.Who, p.Act.Who):
		return *p, refused("%s proposed it, so somebody else has to approve it", p.Act.Who)
	}
	if err := ValidateWhy(d.Why); err != nil {
		return *p, err
	}
	return next, nil
}

func (d *Decision) say() string {
	what := "rejected"
	if d.Approve {
		what = "approved"
	}
	return fmt.Sprintf("%s by %s at %s (%s)", what, d.Who, d.At.Format(time.RFC3339), d.Why)
}
