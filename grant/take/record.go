package take

import (
	"github.com/tidwall/gjson"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/userid"
)

// ReasonItem says that a record names an item that the campaign does not have, or that users do not take.
const ReasonItem source.Reason = "unknown_item"

// Malformed are all reasons for which a record is no wish.
func Malformed() []source.Reason { return append(source.Reasons(), ReasonItem) }

// decoder reads records of a topic: a JSON object whose user is an ID, a number or a string, and whose item is the ID of an item
// that users take; without one all of some items are meant. Other fields are left alone. It belongs to one goroutine.
type decoder struct {
	user  func(*source.Parts) (grant.UserID, source.Reason)
	items map[string][]int
	all   []int
}

// newDecoder returns what makes decoders of a campaign's takes.
func newDecoder(c *grant.Campaign, all []int) (func() *decoder, error) {
	user, err := userDecoder(c)
	items := map[string][]int{}
	for i := range c.Items {
		if c.Items[i].Offered() {
			items[c.Items[i].ID] = []int{i}
		}
	}
	return func() *decoder { return &decoder{user: user(), items: items, all: all} }, err
}

// userDecoder returns what makes readers of the users of a campaign's takes.
func userDecoder(c *grant.Campaign) (func() func(*source.Parts) (grant.UserID, source.Reason), error) {
	in := Input(c, "")
	if !in.Opaque() {
		number, err := source.Decoder(in)
		return func() func(*source.Parts) (grant.UserID, source.Reason) {
			return func(p *source.Parts) (grant.UserID, source.Reason) {
				id, reason := number(p)
				return grant.NumberID(id), reason
			}
		}, err
	}
	form := userid.FormOf(&in)
	members, err := source.MemberDecoder(&in)
	return func() func(*source.Parts) (grant.UserID, source.Reason) {
		member := members()
		return func(p *source.Parts) (grant.UserID, source.Reason) {
			read, reason := member(p)
			if reason != "" {
				return grant.UserID{}, reason
			}
			return form.ID(read), ""
		}
	}, err
}

// Input is how the records of a topic of takes are read.
func Input(c *grant.Campaign, topic string) grant.Input {
	return grant.Input{
		Topic: topic, Format: grant.FormatJSON, Path: "user", IDs: c.Input.IDs, Normalise: c.Input.Normalise,
		MaxID: c.Input.MaxID, MaxRejected: c.Input.MaxRejected,
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
		return id, d.all, ""
	case times > 1:
		return grant.UserID{}, nil, source.ReasonAmbiguous
	case item.Type != gjson.String:
		return grant.UserID{}, nil, source.ReasonFieldType
	}
	items = d.items[item.Str]
	if items == nil {
		return grant.UserID{}, nil, ReasonItem
	}
	return id, items, ""
}
