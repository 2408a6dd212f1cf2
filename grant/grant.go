// Package grant is the vocabulary that all other packages share: who gets what, from when, until when; how far a topic is granted; what
// operators order, and what a run says about itself.
package grant

import "time"

// Kind says what an item is.
type Kind string

// The kinds of item. Credit and cash carry an amount of money; emoticon and item do not.
const (
	KindEmoticon Kind = "emoticon"
	KindCredit   Kind = "credit"
	KindCash     Kind = "cash"
	KindItem     Kind = "item"
)

// Item is one thing that every user of a campaign receives, or is offered: then it is theirs when they take it.
type Item struct {
	ID        string
	Kind      Kind
	Validity  Validity
	TakeUntil time.Time // an offer: from this moment on nobody can take it; zero: no end
	First     int64     // an offer: how many users can take it, the first ones; 0: all
	Amount    int64     // in the currency's smallest unit (won for KRW); credit and cash only
	Currency  string    // ISO 4217; credit and cash only
}

// Offered reports whether users have the item only when they have taken it.
func (i *Item) Offered() bool { return i.Validity.Taken }

// Campaign is what is granted, to whom, and when. It is immutable from its first grant on; Hash identifies its content.
type Campaign struct {
	Name       string
	Title      string
	StartsAt   time.Time
	EndsAt     time.Time      // zero: no end
	Zone       *time.Location // of its calendar days; nil: the spec names none, and has no calendar days
	Population int64          // expected number of distinct users; 0: unknown
	Input      Input
	Items      []Item
	Approval   *Approval // of acts about users; nil: nothing takes two people
	Exclude    []Exclude // lists of users who do not get it, in the order in which the first reason counts
	Hash       string    // hex SHA-256 of the canonical spec
	Canonical  []byte    // the canonical spec itself, as the ledger stores it
}

// Offers reports whether there is an item that users have to take.
func (c *Campaign) Offers() bool {
	for i := range c.Items {
		if c.Items[i].Offered() {
			return true
		}
	}
	return false
}

// In shows the campaign's times in a zone.
func (c *Campaign) In(zone *time.Location) {
	show := func(at *time.Time) {
		if !at.IsZero() {
			*at = at.In(zone)
		}
	}
	show(&c.StartsAt)
	show(&c.EndsAt)
	for i := range c.Items {
		show(&c.Items[i].TakeUntil)
	}
}
