package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/council/vote"
)

// The entries of history that leave a claim where it is.
const (
	Note          claims.Action = "note"
	Identify      claims.Action = "identify"       // the business and the account were asked about
	AddDocument   claims.Action = "add_document"   // the owner sent it
	ChangeAccount claims.Action = "change_account" // to another one, which is not verified yet
	FirstApproval claims.Action = "first_approval" // of two
	Look          claims.Action = "look"           // at who the owner is
	Erase         claims.Action = "erase"          // who the owner is, and the documents
	HandOver      claims.Action = "hand_over"      // of the case, to a colleague
	Purge         claims.Action = "purge"          // of records that need not be kept any longer
	ShowCouncil   claims.Action = "show_council"   // a document of the owner's, or no more
)

var remarks = []claims.Action{
	Note, Identify, AddDocument, ChangeAccount, FirstApproval, Look, Erase, HandOver, Purge, ShowCouncil,
}

// Actor is who does something, and in which duty.
type Actor struct {
	Name string      `json:"name"`
	Duty claims.Duty `json:"duty"`
}

// Rules is the programme itself, which decides without a person.
var Rules = Actor{Name: "rules", Duty: claims.Rules}

// Entry is one line of a claim's history. Its hash covers all of it and the hash of the one before.
type Entry struct {
	Claim  string        `json:"claim"`
	Seq    int           `json:"seq"` // from 1
	At     time.Time     `json:"at"`
	By     Actor         `json:"by"`
	From   claims.State  `json:"from"`
	Action claims.Action `json:"action"`
	To     claims.State  `json:"to"`
	Reason string        `json:"reason,omitempty"`
	Change Change        `json:"change"`
	Prev   string        `json:"prev,omitempty"`
	Hash   string        `json:"hash"`

	body string // Change, as it is stored and hashed
}

// Change is what an entry changes, besides the state. A field that is not there changes nothing.
type Change struct {
	Opening    *Opening           `json:"opening,omitempty"`
	Facts      *claims.Facts      `json:"facts,omitempty"`
	Person     string             `json:"person,omitempty"` // hash of who the owner is, with salt
	Identity   *Identity          `json:"identity,omitempty"`
	Assessment *claims.Assessment `json:"assessment,omitempty"`
	Proposal   *claims.Proposal   `json:"proposal,omitempty"`
	Signals    []claims.Signal    `json:"signals,omitempty"` // that block the claim until somebody has judged them
	Owed       *claims.Won        `json:"owed,omitempty"`
	Approval   *claims.Won        `json:"approval,omitempty"` // of the first of two, for this amount
	Declined   claims.Reason      `json:"declined,omitempty"`
	Payment    *Payment           `json:"payment,omitempty"`
	Document   *Document          `json:"document,omitempty"`
	Letter     string             `json:"letter,omitempty"`   // hash of what the owner wrote, with salt
	Assigned   string             `json:"assigned,omitempty"` // the colleague who sees to it from now on
	Purged     map[Class]Gone     `json:"purged,omitempty"`   // what went, because it need not be kept any longer
	Voted      *Voted             `json:"council,omitempty"`
	Shown      *Shown             `json:"shown,omitempty"`
	From       string             `json:"from,omitempty"` // the address of who looks
}

// Opening is what a claim begins with.
type Opening struct {
	Programme string                `json:"programme"`
	Rules     string                `json:"rules"` // hash of the programme
	Unit      claims.BusinessNumber `json:"unit"`
	Channel   string                `json:"channel"`
	EnteredBy string                `json:"entered_by"`
	Window    string                `json:"window"`
	Digest    string                `json:"digest"` // of all that was handed in: the same again is no second claim
}

// Identity is what the tax office and the bank say.
type Identity struct {
	Business   string      `json:"business"` // active, suspended, closed, unknown, mismatch
	ClosedOn   claims.Date `json:"closed_on,omitempty"`
	Account    string      `json:"account"` // verified, mismatch, unknown
	Complete   bool        `json:"complete"`
	Unanswered []string    `json:"unanswered,omitempty"` // services that were away: pending, never a reason to decline
}

// Payment is what an entry says about one payment. The row of payments has the rest.
type Payment struct {
	ID       string     `json:"id"`
	Run      string     `json:"run,omitempty"`
	Decision int        `json:"decision"` // the entry that says what is owed
	Attempt  int        `json:"attempt"`
	Gross    claims.Won `json:"gross"`
	Amount   claims.Won `json:"amount"`           // net of tax: what the owner gets
	Answer   string     `json:"answer,omitempty"` // the bank's, that settled or returned it
}

// Document is what is known of a document for ever; what is in it can be erased.
type Document struct {
	Kind   string `json:"kind"`
	Type   string `json:"type"` // by content, such as application/pdf
	Size   int64  `json:"size"`
	Digest string `json:"digest"` // SHA-256 of the content
	Scan   string `json:"scan"`   // clean, or not_scanned

	// Redacts is the digest of the owner's document of which this is the version for the council; empty: the owner sent it.
	Redacts string `json:"redacts,omitempty"`
}

// seal computes an entry's body and hash.
func (e *Entry) seal() error {
	if e.body == "" {
		body, err := json.Marshal(e.Change)
		if err != nil {
			return fmt.Errorf("claim %s, entry %d: %w", e.Claim, e.Seq, err)
		}
		e.body = string(body)
	}
	e.Hash = e.sum()
	return nil
}

func (e *Entry) sum() string {
	return digestOf(e.Prev, e.Claim, strconv.Itoa(e.Seq), strconv.FormatInt(e.At.UnixMicro(), 10), e.By.Name, string(e.By.Duty),
		string(e.From), string(e.Action), string(e.To), e.Reason, e.body)
}

// lengthOf is about how many bytes the length of a text takes.
const lengthOf = 6

// fields adds texts with their lengths, so that no two lists of texts are the same bytes.
func fields(to []byte, texts ...string) []byte {
	for _, t := range texts {
		to = strconv.AppendInt(to, int64(len(t)), 10)
		to = append(append(to, ':'), t...)
	}
	return to
}

// Claim is what a history comes to.
type Claim struct {
	ID string `json:"id"`
	Opening
	Received   time.Time          `json:"received"`
	State      claims.State       `json:"state"`
	Seq        int                `json:"seq"`
	Head       string             `json:"head"` // hash of its last entry
	Changed    time.Time          `json:"changed"`
	Facts      claims.Facts       `json:"facts"`
	Person     string             `json:"person"`
	Identity   *Identity          `json:"identity,omitempty"`
	Assessment *claims.Assessment `json:"assessment,omitempty"`
	Proposal   *claims.Proposal   `json:"proposal,omitempty"`
	Signals    []claims.Signal    `json:"signals,omitempty"` // not judged yet
	Cleared    []claims.Signal    `json:"cleared,omitempty"` // judged to be no reason
	Owed       claims.Won         `json:"owed"`
	Decision   int                `json:"decision,omitempty"` // the entry that says what is owed
	Declined   claims.Reason      `json:"declined,omitempty"`
	Documents  []Document         `json:"documents,omitempty"`
	Payments   []Payment          `json:"payments,omitempty"` // in the order in which they were sent
	Settled    claims.Won         `json:"settled,omitempty"`  // of what is owed, before tax
	Moved      bool               `json:"moved,omitempty"`    // to another account, since the last payment
	MovedAt    *time.Time         `json:"moved_at,omitempty"` // when it was moved last: AccountHold keeps money back from then on
	Erased     bool               `json:"erased,omitempty"`
	Purged     []Class            `json:"purged,omitempty"`   // what need not be kept any longer, and is gone
	Assigned   string             `json:"assigned,omitempty"` // who sees to it; empty: whoever comes first
	Item       *vote.Item         `json:"item,omitempty"`     // on which the council votes
	Items      []vote.Item        `json:"items,omitempty"`    // on which it has voted, the oldest first
	Shown      []Shown            `json:"shown,omitempty"`    // documents that it may read

	// Who has had a hand in it: nobody decides what he entered, judged or decided before.
	Hands []Actor     `json:"hands,omitempty"`
	First *claims.Won `json:"first_approval,omitempty"` // of two, for this amount

	last Actor
}

// Fold computes a claim from its history.
func Fold(history []Entry) *Claim {
	c := &Claim{State: claims.Draft}
	for i := range history {
		c.apply(&history[i])
	}
	return c
}

// apply adds an entry.
func (c *Claim) apply(e *Entry) {
	ch := &e.Change
	if ch.Opening != nil {
		c.ID, c.Opening, c.Received = e.Claim, *ch.Opening, e.At
	}
	c.vote(e)
	c.State, c.Seq, c.Head, c.Changed, c.last = e.To, e.Seq, e.Hash, e.At, e.By
	if ch.Facts != nil {
		c.Facts = *ch.Facts
	}
	if ch.Person != "" {
		c.Person = ch.Person
	}
	if e.Action == ChangeAccount || e.Action == claims.Return {
		c.Identity = nil // it is verified again
	}
	if e.Action == ChangeAccount {
		at := e.At
		c.MovedAt = &at
		c.Cleared = slices.DeleteFunc(
			slices.Clone(c.Cleared),
			func(s claims.Signal) bool { return s.Kind == claims.NotConfirmed },
		)
	}
	if ch.Identity != nil {
		c.Identity = ch.Identity
	}
	if ch.Assessment != nil {
		c.Assessment, c.Proposal = ch.Assessment, ch.Proposal
	}
	c.decide(e)
	switch d := ch.Document; {
	case d == nil:
	case d.Redacts != "":
		c.show(&Shown{Document: d.Redacts, As: d.Digest})
	default:
		c.Documents = append(c.Documents, *d)
	}
	if ch.Shown != nil {
		c.show(ch.Shown)
	}
	c.pay(e)
	if e.Action == Erase {
		c.Erased = true
	}
	if e.Action == HandOver {
		c.Assigned = ch.Assigned
	}
	if e.Action != Look && e.Action != HandOver { // who only passes it on has judged nothing
		c.hand(e.By)
	}
	if e.Action == Purge {
		c.purge(e)
	}
}

// decide notes what an entry decides.
func (c *Claim) decide(e *Entry) {
	ch := &e.Change
	switch e.Action {
	case claims.Flag:
		c.Signals = ch.Signals
	case claims.Clear:
		c.Cleared, c.Signals = append(c.Cleared, c.Signals...), nil
	case FirstApproval:
		c.First = ch.Approval
	default:
	}
	if e.From != e.To && e.Action != claims.Approve {
		c.First = nil // what was approved may have changed
	}
	if ch.Owed != nil {
		c.Owed, c.Decision = *ch.Owed, e.Seq
	}
	if ch.Declined != "" {
		c.Declined, c.Owed = ch.Declined, 0
	}
}

// pay notes what an entry says of money.
func (c *Claim) pay(e *Entry) {
	switch {
	case e.Action == ChangeAccount:
		c.Moved = true
	case e.Change.Payment == nil:
	case e.Action == claims.Send:
		c.Payments, c.Moved = append(c.Payments, *e.Change.Payment), false
	case e.Action == claims.Settle:
		c.Settled += e.Change.Payment.Gross
	case e.Action == claims.Return && e.From == claims.Paid:
		c.Settled -= e.Change.Payment.Gross
	}
}

func (c *Claim) hand(by Actor) {
	if by != Rules && !slices.Contains(c.Hands, by) {
		c.Hands = append(c.Hands, by)
	}
}
