package claims

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// State is where a claim is.
type State string

// The states of a claim.
const (
	Draft            State = "draft"             // begun by the owner, not handed in
	Received         State = "received"          // handed in
	Checking         State = "checking"          // business, account and facts are being checked
	DocumentsMissing State = "documents_missing" // the tier needs documents that the owner has not sent
	Asked            State = "more_asked"        // the owner was asked for more
	OnHold           State = "on_hold"           // a signal blocks it until a person has judged that
	InReview         State = "in_review"         // people decide
	BeforeCouncil    State = "in_council"        // the council decides, by vote
	Approved         State = "approved"          // an amount is owed
	SecondLook       State = "second_look"       // it is, and chance has it looked at again first
	Declined         State = "declined"          // nothing is owed, for a reason
	Withdrawn        State = "withdrawn"         // by the owner
	PaymentSent      State = "payment_sent"      // the bank has the order
	PaymentReturned  State = "payment_returned"  // the bank gave it back
	Paid             State = "paid"              // settled by the bank's word
	Recouped         State = "recouped"          // paid in error, and given back
	Objected         State = "objection_filed"
	// ObjectionBeforeCouncil is an objection to what the council decided, which it decides again, without those who did.
	ObjectionBeforeCouncil State = "objection_in_council"
	Upheld                 State = "objection_upheld"        // what the owner asked for is owed
	PartlyUpheld           State = "objection_partly_upheld" // some of it is
	Rejected               State = "objection_rejected"      // the first decision stands
)

// Duty is what somebody is there for. Duties do not include each other.
type Duty string

// The duties.
const (
	Owner    Duty = "owner"
	Intake   Duty = "intake"   // staff who take claims by phone and post
	Rules    Duty = "rules"    // the programme's rules, without a person
	Reviewer Duty = "reviewer" // judges claims and signals
	Approver Duty = "approver" // decides, and never what he entered, reviewed or decided before
	Payer    Duty = "payer"
	// Secretary keeps the calendar and the council's business, and decides nothing.
	Secretary Duty = "secretary"
	Privacy   Duty = "privacy" // erases what need not be kept, sees who has read whose data, and decides nothing
	// CouncilDuty is that of members of the council, who see nobody's name and decide by vote only.
	CouncilDuty Duty = "council"
	Bank        Duty = "bank" // what its acknowledgements and statements say
)

// Action is what moves a claim from one state to another.
type Action string

// The actions.
const (
	HandIn       Action = "hand_in"
	Check        Action = "check"
	MissDocument Action = "miss_documents"
	Complete     Action = "complete" // documents, or answers, have come
	Ask          Action = "ask"
	Flag         Action = "flag"
	Clear        Action = "clear"
	Review       Action = "review"
	Refer        Action = "refer"     // to the council
	TakeBack     Action = "take_back" // from it
	PutOnAgenda  Action = "put_on_agenda"
	Vote         Action = "vote"
	Recuse       Action = "recuse"  // a member, from an item
	Adjourn      Action = "adjourn" // the motion was not carried
	Approve      Action = "approve"
	Decline      Action = "decline"
	Draw         Action = "draw"    // chance has an approved claim looked at again
	Confirm      Action = "confirm" // somebody has, and it is right
	Withdraw     Action = "withdraw"
	Send         Action = "send_payment"
	Settle       Action = "settle"
	Return       Action = "return_payment"
	Recoup       Action = "recoup"
	Object       Action = "object"
	Uphold       Action = "uphold"
	PartlyUphold Action = "partly_uphold"
	Reject       Action = "reject"
)

// Transition is one legal step.
type Transition struct {
	From   State  `json:"from"`
	Action Action `json:"action"`
	To     State  `json:"to"`
	By     []Duty `json:"by"`
	Reason bool   `json:"reason"` // whoever does it must say why
}

// Transitions are all legal steps: the whole life of a claim.
//
// Money moves in two places only. A payment is sent for what was decided, and for each decision one payment can be under way: a
// second is legal only after the bank gave the first one back. An objection does not stop a payment that was decided: it is filed
// when that is settled, and what it adds is a decision of its own, whose payment is the difference.
func Transitions() []Transition { return slices.Clone(transitions) }

var (
	byOwner     = []Duty{Owner, Intake}
	byRules     = []Duty{Rules, Reviewer}
	byPeople    = []Duty{Reviewer}
	byDecider   = []Duty{Rules, Approver}
	byOther     = []Duty{Approver}
	byCouncil   = []Duty{CouncilDuty}
	bySecretary = []Duty{Secretary}
)

var transitions = []Transition{
	{Draft, HandIn, Received, byOwner, false},
	{Draft, Withdraw, Withdrawn, byOwner, false},

	{Received, Check, Checking, byRules, false},
	{Received, Withdraw, Withdrawn, byOwner, false},

	{Checking, MissDocument, DocumentsMissing, byRules, true},
	{Checking, Ask, Asked, byPeople, true},
	{Checking, Flag, OnHold, byRules, true},
	{Checking, Review, InReview, byRules, false},
	{Checking, Approve, Approved, byDecider, true},
	{Checking, Decline, Declined, byDecider, true},
	{Checking, Withdraw, Withdrawn, byOwner, false},

	{DocumentsMissing, Complete, Checking, byOwner, false},
	{DocumentsMissing, Decline, Declined, byDecider, true}, // the window closed
	{DocumentsMissing, Withdraw, Withdrawn, byOwner, false},

	{Asked, Complete, Checking, byOwner, false},
	{Asked, Decline, Declined, byDecider, true},
	{Asked, Withdraw, Withdrawn, byOwner, false},

	{OnHold, Clear, Checking, byRules, true},
	{OnHold, Decline, Declined, byOther, true},
	{OnHold, Withdraw, Withdrawn, byOwner, false},

	{InReview, Ask, Asked, byPeople, true},
	{InReview, Flag, OnHold, byRules, true},
	{InReview, Approve, Approved, byOther, true},
	{InReview, Decline, Declined, byOther, true},
	{InReview, Refer, BeforeCouncil, byPeople, true},
	{InReview, Withdraw, Withdrawn, byOwner, false},

	{BeforeCouncil, PutOnAgenda, BeforeCouncil, bySecretary, true},
	{BeforeCouncil, Vote, BeforeCouncil, byCouncil, false},
	{BeforeCouncil, Recuse, BeforeCouncil, []Duty{CouncilDuty, Secretary}, true},
	{BeforeCouncil, Adjourn, BeforeCouncil, byCouncil, true}, // the motion was not carried
	{BeforeCouncil, Approve, Approved, byCouncil, true},
	{BeforeCouncil, Decline, Declined, byCouncil, true},
	{BeforeCouncil, TakeBack, InReview, byPeople, true},
	{BeforeCouncil, Flag, OnHold, byRules, true},
	{BeforeCouncil, Withdraw, Withdrawn, byOwner, false},

	{Approved, Flag, OnHold, byRules, true}, // a signal that comes after the decision still stops the money
	{Approved, Draw, SecondLook, []Duty{Rules}, false},
	{Approved, Send, PaymentSent, []Duty{Payer}, false},
	{Approved, Withdraw, Withdrawn, byOwner, false},

	{SecondLook, Confirm, Approved, []Duty{Reviewer, Approver}, true}, // never by whoever had a hand in it
	{SecondLook, Flag, OnHold, byRules, true},
	{SecondLook, Withdraw, Withdrawn, byOwner, false},

	{PaymentSent, Settle, Paid, []Duty{Bank}, false},
	{PaymentSent, Return, PaymentReturned, []Duty{Bank}, true},

	{PaymentReturned, Send, PaymentSent, []Duty{Payer}, true}, // to an account that was verified again
	{PaymentReturned, Decline, Declined, byOther, true},

	{Paid, Object, Objected, byOwner, true},
	{Paid, Return, PaymentReturned, []Duty{Bank}, true}, // reversed after all
	{Paid, Recoup, Recouped, []Duty{Payer}, true},

	{Declined, Object, Objected, byOwner, true},

	{Objected, Uphold, Upheld, byOther, true},
	{Objected, PartlyUphold, PartlyUpheld, byOther, true},
	{Objected, Reject, Rejected, byOther, true},
	{Objected, Refer, ObjectionBeforeCouncil, byPeople, true},
	{Objected, Withdraw, Rejected, byOwner, false}, // the objection, not the claim

	{ObjectionBeforeCouncil, PutOnAgenda, ObjectionBeforeCouncil, bySecretary, true},
	{ObjectionBeforeCouncil, Vote, ObjectionBeforeCouncil, byCouncil, false},
	{ObjectionBeforeCouncil, Recuse, ObjectionBeforeCouncil, []Duty{CouncilDuty, Secretary}, true},
	{ObjectionBeforeCouncil, Adjourn, ObjectionBeforeCouncil, byCouncil, true}, // the motion was not carried
	{ObjectionBeforeCouncil, Uphold, Upheld, byCouncil, true},
	{ObjectionBeforeCouncil, PartlyUphold, PartlyUpheld, byCouncil, true},
	{ObjectionBeforeCouncil, Reject, Rejected, byCouncil, true},
	{ObjectionBeforeCouncil, TakeBack, Objected, byPeople, true},
	{ObjectionBeforeCouncil, Withdraw, Rejected, byOwner, false},

	{Upheld, Send, PaymentSent, []Duty{Payer}, false},
	{PartlyUpheld, Send, PaymentSent, []Duty{Payer}, false},
}

// Final reports whether a claim may rest in a state for ever.
func (s State) Final() bool {
	switch s {
	case Declined, Withdrawn, Paid, Recouped, Rejected:
		return true
	default:
		return false
	}
}

// ErrIllegal means that a claim cannot go that way from where it is. Nothing was changed.
var ErrIllegal = errors.New("not possible")

// Next returns where an action leads. It fails with an ErrIllegal that says what would be possible.
func (s State) Next(action Action, by Duty, reason string) (State, error) {
	var possible List[Action]
	for _, t := range transitions {
		if t.From != s {
			continue
		}
		if t.Action != action {
			possible = append(possible, t.Action)
			continue
		}
		switch {
		case !slices.Contains(t.By, by):
			return s, Illegal("%s of a claim in state %s is done by %s, not by %s", action, s, Duties(t.By), by)
		case t.Reason && strings.TrimSpace(reason) == "":
			return s, Illegal("say why: %s of a claim needs a reason", action)
		}
		return t.To, nil
	}
	if len(possible) == 0 {
		return s, Illegal("%s of a claim in state %s: nothing more can be done with it", action, s)
	}
	return s, Illegal("%s of a claim in state %s: possible are %s", action, s, possible)
}

// States are all states, in the order in which the table has them.
func States() []State {
	var out []State
	for _, t := range transitions {
		for _, s := range []State{t.From, t.To} {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// TableText is the table for people, as Markdown.
func TableText() string {
	var b strings.Builder
	b.WriteString("| from | action | to | by | reason |\n|---|---|---|---|---|\n")
	for _, t := range transitions {
		reason := ""
		if t.Reason {
			reason = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", t.From, t.Action, t.To, Duties(t.By), reason)
	}
	return b.String()
}

// TableDOT is the table as a graph that Graphviz draws.
func TableDOT() string {
	var b strings.Builder
	b.WriteString("digraph claim {\n\trankdir=LR;\n\tnode [shape=box, style=rounded, fontname=\"sans-serif\"];\n")
	for _, s := range States() {
		if s.Final() {
			fmt.Fprintf(&b, "\t%s [peripheries=2];\n", s)
		}
	}
	for _, t := range transitions {
		fmt.Fprintf(&b, "\t%s -> %s [label=\"%s\"];\n", t.From, t.To, t.Action)
	}
	b.WriteString("}\n")
	return b.String()
}
