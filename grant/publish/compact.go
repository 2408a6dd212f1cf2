package publish

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/granter/granter/grant"
)

// The content types of the compact form.
const (
	ContentType       = "application/vnd.granter.entry"        // members as a Roaring bitmap
	BucketContentType = "application/vnd.granter.bucket-entry" // members whole
)

// batchHead is the first part of a compact event: what its entry says of all its members.
type batchHead struct {
	Campaign string        `json:"campaign"`
	Chunk    *uint64       `json:"chunk,omitempty"`
	Bucket   uint64        `json:"bucket,omitempty"`
	Index    int64         `json:"index"`
	Type     string        `json:"type"`
	At       time.Time     `json:"at"`
	First    *grant.UserID `json:"first_user,omitempty"` // of a chunk: the members count from it
	IDs      grant.IDs     `json:"ids,omitempty"`        // of a bucket: what the members are
	Begin    int           `json:"first,omitempty"`      // of a bucket: how many members of the entry are in records before
	Count    int           `json:"count"`
	payload
	// Of takes: the ends that the item has for some users, because somebody had changed them before.
	Ends map[string]time.Time `json:"ends,omitempty"`
	// Of revocations: users whose revocation is of the kind "erased" instead.
	Erased []grant.UserID `json:"erased,omitempty"`
}

// packed is a compact event.
type packed struct {
	id    string
	form  string // its content type
	value []byte
}

// compact is the form of an entry as a whole: a JSON object, a line feed, and the members: of a chunk as a portable Roaring
// bitmap of what is to be added to first_user; of a bucket as the entry has them, in several events where they are many.
func (w *writer) compact(p *piece, t Type) (out []packed, err error) {
	whole := batchHead{
		Campaign: w.campaign.Name, Index: p.index, Type: TypePrefix + string(t), At: p.entry.At, IDs: w.campaign.Input.IDs,
		payload: w.data(p, p.entry.Act, nil),
	}
	if !w.campaign.Input.Opaque() {
		whole.IDs = ""
	}
	for from := 0; from < p.entry.Count; {
		h := whole
		n, body := p.who.pack(from, &h)
		h.Count = n
		p.exceptions(&h, from, n)
		text, err := json.Marshal(h)
		if err != nil {
			return nil, err
		}
		one := packed{entryID(w.campaign, p), p.who.form(), append(append(text, '\n'), body...)}
		if from > 0 {
			one.id += "+" + strconv.Itoa(from)
		}
		out, from = append(out, one), from+n
	}
	return out, nil
}

// exceptions says in a head what does not hold for all of its n users.
func (p *piece) exceptions(h *batchHead, from, n int) {
	if len(p.ends) == 0 && len(p.untold) == 0 {
		return
	}
	some := *p
	some.first, some.count = from, n
	here := make(map[string]bool, n)
	for text := range some.texts() {
		here[string(text)] = true
	}
	for user, end := range p.ends {
		if here[user.String()] {
			if h.Ends == nil {
				h.Ends = map[string]time.Time{}
			}
			h.Ends[user.String()] = end
		}
	}
	for _, user := range p.untold {
		if here[user.String()] {
			h.Erased = append(h.Erased, user)
		}
	}
}
