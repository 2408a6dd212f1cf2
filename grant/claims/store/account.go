package store

import (
	"slices"
	"time"

	"github.com/granter/granter/grant/claims"
)

// AccountHold is how long a new account waits before it is verified, and so before it can be paid: whoever was told of the change
// at the old address has a day to say that it was not theirs.
const AccountHold = 24 * time.Hour

// What package identity says of businesses and accounts that are not who the owner says.
const (
	mismatch = "mismatch"
	unknown  = "unknown"
)

// Unconfirmed returns the signal that the tax office or the bank does not confirm what the owner says, unless a person has judged
// it for this account; nil: there is none. Until then nothing is paid, whatever was approved.
func (c *Claim) Unconfirmed(id *Identity) *claims.Signal {
	s := claims.Signal{Kind: claims.NotConfirmed}
	switch {
	case id.Business == mismatch:
		s.What = "the tax office does not know the business by this number, opening day and representative"
	case id.Account == mismatch:
		s.What = "the account belongs to somebody else than the owner says"
	case id.Account == unknown:
		s.What = "there is no such account"
	default:
		return nil
	}
	if slices.ContainsFunc(c.Cleared, func(j claims.Signal) bool { return j.Kind == s.Kind && j.What == s.What }) {
		return nil
	}
	return &s
}

// due is when the rules look at a claim next; 0: as soon as they can, if its state is theirs at all.
func (c *Claim) due() int64 {
	if c.MovedAt == nil || c.Identity != nil {
		return 0
	}
	return c.MovedAt.Add(AccountHold).UnixMicro()
}
