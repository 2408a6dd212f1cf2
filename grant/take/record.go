package take

import (
	"github.com/tidwall/gjson"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// ReasonItem says that a record names an item that the campaign does not have, or that users do not take.
const ReasonItem source.Reason = "unknown_item"

// Malformed are all reasons for which a record is no wish.
func Malformed() []source.Reason { return append(source.Reasons(), ReasonItem) }

// decoder reads records of a topic: a JSON object whose user is an ID, a number or a string of digits, and whose item is the
// ID of an item that users take; without one all of some items are meant. Other fields are left alone.
type decoder struct {
	user  func(*source.Parts) (uint64, source.Reason)
	items map[string][]int
	all   []int
}

func newDecoder(c *grant.Campaign, all []int) (*decoder, error) {
	user, err := source.Decoder(Input(c, ""))
	d := &decoder{user: user, items: map[string][]int{}, all: all}
	for i := range c.Items {
		if c.Items[i].Offered() {
			d.items[c.Items[i].ID] = []int{i}
		}
	}
	return d, err
}

// Input is how the records of a topic of takes are read.
func Input(c *grant.Campaign, topic string) grant.Input {
	return grant.Input{
		Topic: topic, Format: grant.FormatJSON, Path: "user", MaxID: c.Input.MaxID, MaxRejected: c.Input.MaxRejected,
	}
}

// read returns who wants which items; with a reason, nobody does.
func (d *decoder) read(value []byte) (user grant.UserID, items []int, reason source.Reason) {
	id, reason := d.user(&source.Parts{Value: value})
	if reason != "" {
		return grant.UserID{}, nil, reason
	}
	var item gjson.Result
	times := 0
	gjson.ParseBytes(value).ForEach(func(key, value gjson.Result) bool {
		if key.Str == "item" {
			item = value
			times++
		}
		return true
	})
	switch {
	case times == 0:
		return grant.NumberID(id), d.all, ""
	case times > 1:
		return grant.UserID{}, nil, source.ReasonAmbiguous
	case item.Type != gjson.String:
		return grant.UserID{}, nil, source.ReasonFieldType
	}
	items = d.items[item.Str]
	if items == nil {
		return grant.UserID{}, nil, ReasonItem
	}
	return grant.NumberID(id), items, ""
}
