package population

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// The versions of generated UUIDs.
const (
	UUIDv4 = "v4" // random
	UUIDv7 = "v7" // in the order of time, a thousand in a millisecond
)

// firstV7 is the time of the first UUID of version 7.
var firstV7 = time.Date(2023, 1, 5, 0, 0, 0, 0, time.UTC).UnixMilli()

// maker makes the users of a population whose IDs are not dense.
type maker struct {
	ids  grant.IDs
	v7   bool
	form userid.Form
}

func newMaker(p *Plan) maker {
	return maker{ids: p.Topic.IDs, v7: p.UUID == UUIDv7, form: userid.FormOf(&grant.Input{IDs: p.Topic.IDs})}
}

// id returns the nth user, whose ID is the same in all populations. Mix gives no number twice, so different users have different
// IDs; of UUIDs, which have a few bits less to be different by, that is as good as certain.
func (m *maker) id(n uint64) grant.UserID {
	a := mix(0x69, n)
	switch m.ids {
	case grant.IDsUUID:
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], mix(0x75, n))
		binary.BigEndian.PutUint64(b[8:], a)
		b[6] = b[6]&0x0f | 0x40
		if m.v7 {
			ms := uint64(firstV7) + n/1000
			binary.BigEndian.PutUint32(b[:], uint32(ms>>16))
			binary.BigEndian.PutUint16(b[4:], uint16(ms))
			b[6] = b[6]&0x0f | 0x70
		}
		b[8] = b[8]&0x3f | 0x80
		return m.form.ID(b[:])
	case grant.IDsInt64:
		return grant.TextID(strconv.FormatInt(int64(a), 10))
	case grant.IDsDense, grant.IDsString:
	}
	const digits = "0123456789abcdefghijklmnopqrstuv"
	text := []byte("member-0000000000000") // 20 bytes
	for i := len(text) - 1; a > 0; i-- {
		text[i] = digits[a%32]
		a /= 32
	}
	return grant.TextID(string(text))
}

// check says what does not go together with the IDs of a topic.
func (p Plan) checkIDs() error {
	var errs []error
	if p.UUID != "" && p.Topic.IDs != grant.IDsUUID {
		errs = append(errs, errors.New("uuid: the topic's IDs are no UUIDs: leave it out"))
	}
	if p.UUID != "" && p.UUID != UUIDv4 && p.UUID != UUIDv7 {
		errs = append(errs, fmt.Errorf("uuid: %q: want %s or %s", p.UUID, UUIDv4, UUIDv7))
	}
	if p.Topic.Opaque() && p.Spread != 0 {
		errs = append(errs, fmt.Errorf("spread: is of dense IDs, and the topic has source.id %s: leave it out", p.Topic.IDs))
	}
	return errors.Join(errs...)
}

// opaqueKinds are the kinds of bad record that a generated population of such IDs holds.
func opaqueKinds(t grant.Input) (kinds []Kind) {
	kinds = []Kind{KindEmpty, KindTombstone, KindHuge}
	switch {
	case t.Format == grant.FormatInt64BE:
		return append(kinds, KindLetters, KindTruncated)
	case t.IDs == grant.IDsInt64:
		kinds = append(kinds, KindSign, KindSpaces, KindLetters, KindFraction, KindOverLimit)
	case t.IDs == grant.IDsUUID:
		kinds = append(kinds, KindSpaces, KindLetters)
	}
	if t.Format == grant.FormatJSON {
		kinds = append(kinds, KindMissing, KindNull, KindTruncated)
	}
	return kinds
}

// text is the ID as it stands between prefix and suffix.
func (p *payload) text(id grant.UserID) string {
	text := id.String()
	if p.format != grant.FormatJSON && p.format != grant.FormatJSONSchema || p.ids != grant.IDsString {
		return text
	}
	quoted, err := json.Marshal(text) // an ID is UTF-8
	if err != nil {
		return text
	}
	return string(quoted[1 : len(quoted)-1])
}

// putOpaque encodes a valid ID that is not dense.
func (p *payload) putOpaque(dst []byte, id grant.UserID) {
	if p.format == grant.FormatInt64BE {
		n, _ := strconv.ParseInt(id.String(), 10, 64) // a list and a plan have nothing else
		binary.BigEndian.PutUint64(dst, uint64(n))
		return
	}
	copy(dst, p.prefix)
	copy(dst[len(p.prefix):], p.text(id))
	copy(dst[len(dst)-len(p.suffix):], p.suffix)
}

// malformedOpaque returns a bad record of a kind, made from a valid ID that is not dense.
func (p *payload) malformedOpaque(r Record) []byte {
	id := r.ID.String()
	text := map[Kind]string{
		KindSign: "+" + strings.TrimPrefix(id, "-"), KindSpaces: " " + id, KindLetters: "user" + id, KindFraction: id + ".5",
		KindOverLimit: "9223372036854775808", KindHuge: "9" + strings.Repeat("0", hugeSize-1),
	}[r.Kind]
	if p.format == grant.FormatInt64BE {
		if r.Kind == KindTruncated {
			return make([]byte, 7)
		}
		return []byte("user-id:" + text)
	}
	if p.format != grant.FormatJSON {
		return []byte(text)
	}
	prefix, suffix := string(p.prefix), string(p.suffix)
	switch r.Kind {
	case KindMissing:
		return []byte("{}")
	case KindNull:
		return []byte(strings.TrimSuffix(prefix, `"`) + "null" + strings.TrimPrefix(suffix, `"`))
	case KindTruncated:
		return []byte(prefix + id)
	case KindSign, KindSpaces, KindLetters: // these are not JSON numbers
		if p.ids == grant.IDsInt64 {
			text = `"` + text + `"`
		}
	default:
	}
	return []byte(prefix + text + suffix)
}
