package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/granter/granter/grant/claims/feed"
	"github.com/granter/granter/grant/claims/resident"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/source"
)

// Why records of a topic are no claims.
const (
	ReasonInvalid  source.Reason = "invalid_claim"
	ReasonResident source.Reason = "resident_number"  // it holds one: the dead letter holds nothing of the record
	ReasonID       source.Reason = "id_taken"         // its number is there already, with something else in it
	ReasonBusiness source.Reason = "business_claimed" // the business has another claim
)

// TopicReasons are all of them.
func TopicReasons() []source.Reason {
	return []source.Reason{source.ReasonEmpty, source.ReasonJSON, ReasonInvalid, ReasonResident, ReasonID, ReasonBusiness}
}

// ReadRecord reads a record of a topic: a form as JSON, with a number of its own.
func (d *Desk) ReadRecord(ctx context.Context, value []byte, from Channel) (store.Filing, feed.Refusal) {
	if len(value) == 0 {
		return store.Filing{}, feed.Refusal{Reason: source.ReasonEmpty}
	}
	refuse := func(reason source.Reason, err error) (store.Filing, feed.Refusal) {
		r := feed.Refusal{Reason: reason, Detail: err.Error()}
		// Nothing may keep such a number, and a record that is no claim may hold one anywhere.
		if errors.Is(err, resident.ErrNumber) || holdsResident(value) {
			r = feed.Refusal{Reason: ReasonResident, Detail: resident.ErrNumber.Error(), Withhold: true}
		}
		return store.Filing{}, r
	}
	f, err := ParseForm(value)
	if err != nil {
		return refuse(source.ReasonJSON, err)
	}
	if f.ID == "" {
		return refuse(ReasonInvalid, errors.New("id: is missing: by it a claim that is sent again is known"))
	}
	filing, err := d.Read(ctx, f, from)
	switch {
	case errors.Is(err, ErrNotNow):
		return store.Filing{}, feed.Refusal{Failed: err}
	case err == nil:
		err = filing.Prepare() // here, since records are read side by side, and stored one batch after the other
	}
	if err != nil {
		return refuse(ReasonInvalid, err)
	}
	return filing, feed.Refusal{}
}

// holdsResident reports whether a record that is no claim holds a resident registration number. As in claims, numbers of phones
// and accounts are taken for one only if they are written like one, or their check digit fits.
func holdsResident(value []byte) bool {
	if resident.In(string(value), false) {
		return true
	}
	before := ""
	for in := json.NewDecoder(bytes.NewReader(value)); ; { // what is there twice, or is escaped, is seen as well
		token, err := in.Token()
		if err != nil {
			return !errors.Is(err, io.EOF) && resident.In(string(value), true) // it is no JSON: no field says what is meant
		}
		text := fmt.Sprint(token)
		if number, ok := token.(float64); ok {
			text = strconv.FormatFloat(number, 'f', -1, 64)
		}
		if resident.In(text, before != "phone" && before != "account") {
			return true
		}
		before = text
	}
}

// ReceiveRecords takes in what records came to.
func (d *Desk) ReceiveRecords(ctx context.Context, filings []store.Filing, at []store.Position) ([]feed.Refusal, error) {
	filed, err := d.Store.Receive(ctx, filings, at)
	if err != nil {
		return nil, err
	}
	out := make([]feed.Refusal, len(filed))
	for i, f := range filed {
		if err := Refusal(f, filings[i].Opening.Unit); err != nil {
			out[i] = feed.Refusal{Reason: ReasonID, Detail: err.Error()}
			if f.Outcome == store.Twice {
				out[i].Reason = ReasonBusiness
			}
		}
	}
	return out, nil
}
