package publish

import (
	"fmt"
	"slices"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Type is what an event says. It is the type attribute of CloudEvents, without the prefix.
type Type string

// TypePrefix is before each type in an event.
const TypePrefix = "granter."

// The types of events.
const (
	TypeGranted    Type = "granted"    // by a run, or by hand
	TypeExcluded   Type = "excluded"   // will not get the campaign
	TypeRevoked    Type = "revoked"    // has lost it, from data.effective on
	TypeReinstated Type = "reinstated" // has it again, or is excluded no more and gets it
	TypeExtended   Type = "extended"   // an item or all of them end at another time
	TypeMoved      Type = "moved"      // another account has it in the user's place
	TypeRecalled   Type = "recalled"   // what was offered and not taken is offered no more
	TypeTaken      Type = "taken"      // the user took an item that was offered
	TypeExpired    Type = "expired"    // an item that the user had is over
	TypeErased     Type = "erased"     // why anything was done about the user is forgotten: so should be copies of it
)

// typeNone is of entries that are for colleagues, and for nobody outside.
const typeNone Type = ""

// Types are all types of events.
func Types() []Type {
	return []Type{
		TypeGranted, TypeExcluded, TypeRevoked, TypeReinstated, TypeExtended, TypeMoved, TypeRecalled, TypeTaken, TypeExpired,
		TypeErased,
	}
}

// typeOf is what an entry says. A kind that is not known stops the publisher: to pass over it would lose what it says.
func typeOf(p *piece) (Type, error) {
	if p.list == listEndings {
		return TypeExpired, nil
	}
	switch p.entry.Kind {
	case ledger.EntryGrant, ledger.EntryHand:
		return TypeGranted, nil
	case ledger.EntryExclude:
		return TypeExcluded, nil
	case ledger.EntryRevoke:
		return TypeRevoked, nil
	case ledger.EntryReinstate:
		return TypeReinstated, nil
	case ledger.EntryExtend:
		return TypeExtended, nil
	case ledger.EntryMove:
		return TypeMoved, nil
	case ledger.EntryRecall:
		return TypeRecalled, nil
	case ledger.EntryTake:
		return TypeTaken, nil
	case ledger.EntryErase:
		return TypeErased, nil
	case ledger.EntryNote:
		return typeNone, nil
	default:
		return "", fmt.Errorf("journal entry of kind %d, which this granter cannot publish: use a newer one", p.entry.Kind)
	}
}

// item is what a granted user has been given, by the entry and the spec alone: both never change.
type item struct {
	ID        string      `json:"id"`
	Kind      grant.Kind  `json:"kind"`
	State     grant.State `json:"state"` // at the moment of the entry: active, or offered
	ExpiresAt *time.Time  `json:"expires_at,omitempty"`
	TakeUntil *time.Time  `json:"take_until,omitempty"`
	Amount    int64       `json:"amount,omitempty"`
	Currency  string      `json:"currency,omitempty"`
}

func itemsOf(c *grant.Campaign, e *ledger.Entry) []item {
	at, ends := e.At, map[string]time.Time(nil)
	if e.Act != nil {
		if ends = e.Act.Ends; !e.Act.GrantedAt.IsZero() {
			at = e.Act.GrantedAt // it was moved here
		}
	}
	held := c.Entitlements(&grant.Holding{GrantedAt: at}, e.At)
	out := make([]item, 0, len(held))
	for i := range held {
		e := &held[i]
		end, changed := ends[e.ID]
		if !changed {
			end, changed = ends[""]
		}
		if changed && e.State != grant.StateOffered {
			e.ExpiresAt = end
		}
		out = append(out, itemOf(e))
	}
	return out
}

func itemOf(e *grant.Entitlement) item {
	it := item{ID: e.ID, Kind: e.Kind, State: e.State, Amount: e.Amount, Currency: e.Currency}
	if !e.ExpiresAt.IsZero() {
		it.ExpiresAt = &e.ExpiresAt
	}
	if e.State == grant.StateOffered && !e.TakeUntil.IsZero() {
		it.TakeUntil = &e.TakeUntil
	}
	return it
}

// taken is an item that users took: with the end that it has by the spec, or that somebody had given it.
func taken(c *grant.Campaign, p *piece, end *time.Time) item {
	at := make([]time.Time, len(c.Items))
	at[p.item] = p.entry.At
	e := c.Entitlements(&grant.Holding{GrantedAt: p.entry.At, TakenAt: at}, p.entry.At)[p.item]
	if end != nil {
		e.ExpiresAt = *end
	}
	return itemOf(&e)
}

// source is the CloudEvents attribute of that name.
func source(campaign string) string { return "/granter/campaigns/" + campaign }

// writer makes the events of the entries of one campaign.
type writer struct {
	campaign *grant.Campaign
	only     []Type // nil: all
}

func (w *writer) wants(t Type) bool {
	return t != typeNone && (w.only == nil || slices.Contains(w.only, t))
}

// lists are those that have to be followed: what ends depends on takes, too.
func (w *writer) lists() []ledger.List {
	if w.wants(TypeTaken) || w.wants(TypeExpired) {
		return ledger.Lists(w.campaign)
	}
	return []ledger.List{ledger.ListJournal}
}

// payload is what the data of an event says, beside the user.
type payload struct {
	Campaign string      `json:"campaign"`
	Items    []item      `json:"items,omitempty"`
	Run      grant.RunID `json:"run,omitzero"`

	// Of what somebody did. Who and why stays inside: it is in the audit trail.
	Act        string               `json:"act,omitempty"` // its ID
	Revocation grant.RevocationKind `json:"revocation,omitempty"`
	Effective  *time.Time           `json:"effective,omitempty"`
	Item       string               `json:"item,omitempty"` // of several types: empty is all
	Until      *time.Time           `json:"until,omitempty"`
	To         *grant.UserID        `json:"to,omitempty"`
	From       *grant.UserID        `json:"from,omitempty"`
}

// data is what an event says. The act, nil: none, is as it may be told. end is the one that somebody had given the item that a
// user took; nil: the spec's.
func (w *writer) data(p *piece, a *grant.Act, end *time.Time) payload {
	out := payload{Campaign: w.campaign.Name}
	t, err := typeOf(p)
	switch {
	case err != nil:
	case t == TypeExpired:
		out.Item = w.campaign.Items[p.item].ID
		return out
	case t == TypeTaken:
		it := taken(w.campaign, p, end)
		out.Item, out.Items = it.ID, []item{it}
		return out
	case t == TypeGranted:
		out.Items = itemsOf(w.campaign, p.entry)
	}
	out.Run = p.entry.Run
	if a == nil {
		return out
	}
	out.Act, out.Revocation, out.Item, out.To, out.From = a.ID, a.Revocation, a.Item, a.To, a.From
	if p.entry.Kind == ledger.EntryRevoke {
		since := a.Since().UTC()
		out.Effective = &since
	}
	if !a.Until.IsZero() {
		until := a.Until.UTC()
		out.Until = &until
	}
	return out
}
