// Package grant is the vocabulary that all other packages share: who gets what, from when, until when; how far a topic is granted; what
// operators order, and what a run says about itself.
package grant

import "time"

// UserID identifies one user of the service. Any value from 0 to 2⁶³−1 is valid; a campaign may set a lower limit.
type UserID uint64

// MaxUserID is the largest user ID that any campaign accepts: the largest signed 64-bit integer, so that every
// language and database downstream can hold it.
const MaxUserID UserID = 1<<63 - 1

// Kind says what an item is.
type Kind string

// The kinds of item. Credit and cash carry an amount of money; emoticon and item do not.
const (
	KindEmoticon Kind = "emoticon"
	KindCredit   Kind = "credit"
	KindCash     Kind = "cash"
	KindItem     Kind = "item"
)

// Item is one thing that every user of a campaign receives.
type Item struct {
	ID       string
	Kind     Kind
	Validity time.Duration // counted from the grant; 0 means permanent
	Amount   int64         // in the currency's smallest unit (won for KRW); credit and cash only
	Currency string        // ISO 4217; credit and cash only
}

// Campaign is what is granted, to whom, and when. It is immutable from its first grant on; Hash identifies its content.
type Campaign struct {
	Name       string
	Title      string
	StartsAt   time.Time
	EndsAt     time.Time // zero: no end
	Population int64     // expected number of distinct users; 0: unknown
	Input      Input
	Items      []Item
	Hash       string // hex SHA-256 of the canonical spec
	Canonical  []byte // the canonical spec itself, as the ledger stores it
}

// Entitlement is an item that one user holds.
type Entitlement struct {
	Item
	GrantedAt time.Time
	ExpiresAt time.Time // zero: permanent
}

// Entitlements returns what a user who was granted the campaign at the given moment holds, and until when.
func (c *Campaign) Entitlements(at time.Time) []Entitlement {
	out := make([]Entitlement, len(c.Items))
	for i, item := range c.Items {
		out[i] = Entitlement{Item: item, GrantedAt: at}
		if item.Validity > 0 {
			out[i].ExpiresAt = at.Add(item.Validity)
		}
	}
	return out
}
