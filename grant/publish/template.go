package publish

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/granter/granter/grant"
)

// template is the JSON of the events of one entry: they differ in their user alone, but for the end of what few of them took, and
// for those of whom nobody is told why any more.
type template struct {
	id   []byte            // up to the user
	data []byte            // behind the user
	of   map[string][]byte // data of some users
}

// template makes it. What is behind the user is the same for all.
func (w *writer) template(p *piece, t Type) (*template, error) {
	common := func(v any) []byte { b, _ := json.Marshal(v); return b } //nolint:errchkjson // texts
	attributes := fmt.Sprintf(`{"specversion":"1.0","type":%s,"source":%s,"time":%s,"datacontenttype":"application/json","id":`,
		common(TypePrefix+string(t)), common(source(w.campaign.Name)), common(p.entry.At))
	behind := func(a *grant.Act, end *time.Time) ([]byte, error) {
		data, err := json.Marshal(w.data(p, a, end))
		return append(append([]byte(`",`), data[1:]...), '}'), err
	}
	id := common(entryID(w.campaign, p) + "/")
	out := &template{id: append([]byte(attributes), id[:len(id)-1]...)}
	var err error
	if out.data, err = behind(p.entry.Act, nil); err != nil {
		return nil, err
	}
	out.of = make(map[string][]byte, len(p.ends)+len(p.untold))
	for user, end := range p.ends {
		if out.of[user.String()], err = behind(nil, &end); err != nil {
			return nil, err
		}
	}
	for _, user := range p.untold {
		if out.of[user.String()], err = behind(new(p.entry.Act.WithoutWhy()), nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// append appends the event of one user. The subject is left out where it must not be what the user is.
func (t *template) append(dst, user []byte) []byte {
	quoted, subject := user, true
	dst = append(dst, t.id...)
	if allPlain(user) {
		dst = append(dst, user...)
	} else {
		dst = appendSegment(dst, user)
		text, _ := json.Marshal(string(user)) //nolint:errchkjson // a text
		quoted, subject = text[1:len(text)-1], isAttribute(user)
	}
	if subject {
		dst = append(append(dst, `","subject":"`...), quoted...)
	}
	dst = append(append(dst, `","data":{"user":"`...), quoted...)
	data := t.data
	if own, ok := t.of[string(user)]; ok {
		data = own
	}
	return append(dst, data...)
}

// What stands for itself in the ID of an event. A dot does not: a webhook's signature is of ID, time and body with dots between.
var isPlain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '~' ||
			c == '@' || c == ':'
	}
	return t
}()

func allPlain(user []byte) bool {
	for _, c := range user {
		if !isPlain[c] {
			return false
		}
	}
	return true
}

// appendSegment appends a user as the last segment of an ID: percent-encoded, so that it may be in a header of HTTP, and no two
// users have one ID.
func appendSegment(dst, user []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range user {
		if isPlain[c] {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// isAttribute reports whether a user may be an attribute of CloudEvents: those have no control characters, none that Unicode
// says are no characters, and something else than white space.
func isAttribute(user []byte) bool {
	black := false
	for rest := user; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if unicode.IsControl(r) || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef {
			return false
		}
		black, rest = black || !unicode.IsSpace(r), rest[size:]
	}
	return black
}
