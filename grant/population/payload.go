package population

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// Kind says what a record is: a user's first or repeated naming, or which kind of bad input.
type Kind uint8

// The kinds of record. Those after KindRepeat are malformed; kindsOf says which of them a format knows.
const (
	KindFirst        Kind = iota // a valid ID, the first time
	KindRepeat                   // a valid ID that an earlier record named
	KindEmpty                    // zero bytes
	KindTombstone                // a null key or value
	KindNegative                 // below zero
	KindSign                     // a plus sign
	KindSpaces                   // a space before the digits
	KindLetters                  // letters before the digits
	KindLeadingZeros             // a zero before the digits
	KindFraction                 // a decimal fraction
	KindOverLimit                // a well-formed ID just above the topic's limit (above 2⁶³−1 if that is the limit)
	KindHuge                     // hundreds of digits, or bytes
	KindMissing                  // JSON without the field
	KindNull                     // JSON with null in the field
	KindTruncated                // broken off in the middle
	KindSchema                   // a schema's ID that nobody gave
)

var kindNames = [...]string{
	"first", "repeat", "empty", "tombstone", "negative", "sign", "spaces", "letters", "leading_zeros", "fraction",
	"over_limit", "huge", "missing", "null", "truncated", "unknown_schema",
}

// String returns the kind's name in snake case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Valid reports whether a record of the kind holds a valid ID.
func (k Kind) Valid() bool { return k <= KindRepeat }

// kindsOf returns the kinds of bad record that a generated population holds for a topic, in the order in which they take
// turns.
func kindsOf(t grant.Input) []Kind {
	if t.Format.Schemas() {
		if p, err := newPayload(t); err == nil {
			return framedKinds(p, t)
		}
		return []Kind{KindEmpty}
	}
	if t.Opaque() {
		return opaqueKinds(t)
	}
	switch t.Format {
	case grant.FormatJSON:
		return []Kind{
			KindEmpty, KindTombstone, KindNegative, KindSign, KindSpaces, KindLetters, KindLeadingZeros, KindFraction,
			KindOverLimit, KindHuge, KindMissing, KindNull, KindTruncated,
		}
	case grant.FormatInt64BE:
		if userid.Limit(t.MaxID) == grant.MaxUserID { // every 8-byte value above it is negative
			return []Kind{KindEmpty, KindTombstone, KindNegative, KindLetters, KindHuge, KindTruncated}
		}
		return []Kind{KindEmpty, KindTombstone, KindNegative, KindLetters, KindOverLimit, KindHuge, KindTruncated}
	default:
		return []Kind{
			KindEmpty, KindTombstone, KindNegative, KindSign, KindSpaces, KindLetters, KindLeadingZeros, KindFraction,
			KindOverLimit, KindHuge,
		}
	}
}

// hugeSize is how long a KindHuge record's ID is, in digits or bytes: beyond any integer, small beside a batch.
const hugeSize = 500

// payload encodes records as a topic holds them.
type payload struct {
	ids            grant.IDs // empty: dense
	format         grant.Format
	key            bool   // the ID is in the key; the value is then empty, but not null
	header         string // that the ID is in; empty: in none. The value is then empty, too
	max            uint64
	prefix, suffix []byte  // FormatJSON: what surrounds the ID
	framed         *framed // nil: records name no schema
}

func newPayload(t grant.Input) (*payload, error) {
	p := &payload{ids: t.IDs, format: t.Format, key: t.From == grant.FromKey, header: t.From.Header(), max: userid.Limit(t.MaxID)}
	var errs []error
	if t.Topic == "" {
		errs = append(errs, errors.New("topic: no name"))
	}
	if t.MaxID > grant.MaxUserID {
		errs = append(errs, fmt.Errorf("max_id: %d is above %d", t.MaxID, grant.MaxUserID))
	}
	if t.From != "" && t.From != grant.FromKey && t.From != grant.FromValue && p.header == "" {
		errs = append(errs, fmt.Errorf("from: %q: want %s, %s or %sNAME", t.From, grant.FromKey, grant.FromValue,
			grant.FromHeader))
	}
	if t.Format.Schemas() {
		var err error
		if p.framed, p.prefix, err = newFramed(t); err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
	}
	switch t.Format {
	case grant.FormatDecimal, grant.FormatInt64BE, grant.FormatText, grant.FormatAvro, grant.FormatProtobuf:
	case grant.FormatJSON, grant.FormatJSONSchema:
		for field := range strings.SplitSeq(t.Path, ".") {
			if field == "" {
				errs = append(errs, fmt.Errorf("path: %q: want field names with dots between them", t.Path))
				break
			}
			name, err := json.Marshal(field)
			if err != nil {
				return nil, fmt.Errorf("path: %w", err)
			}
			p.prefix = append(append(append(p.prefix, '{'), name...), ':')
			p.suffix = append(p.suffix, '}')
		}
		if t.IDs == grant.IDsUUID || t.IDs == grant.IDsString {
			p.prefix, p.suffix = append(p.prefix, '"'), append([]byte{'"'}, p.suffix...)
		}
	default:
		errs = append(errs, fmt.Errorf("format: %q: want %s, %s, %s, %s or one with schemas",
			t.Format, grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE, grant.FormatText))
	}
	return p, errors.Join(errs...)
}

// size returns the encoded length of a valid ID.
func (p *payload) size(id grant.UserID) int {
	switch {
	case p.format == grant.FormatInt64BE:
		return 8
	case p.framed != nil && p.framed.writer != nil:
		return len(p.framed.encode(p.ids, id))
	}
	if p.ids != "" {
		return len(p.prefix) + len(p.text(id)) + len(p.suffix)
	}
	return len(p.prefix) + decimalSize(id.Number()) + len(p.suffix)
}

// put encodes a valid ID into dst, which is of its size.
func (p *payload) put(dst []byte, id grant.UserID) {
	if p.framed != nil && p.framed.writer != nil {
		copy(dst, p.framed.encode(p.ids, id))
		return
	}
	if p.ids != "" {
		p.putOpaque(dst, id)
		return
	}
	if p.format == grant.FormatInt64BE {
		binary.BigEndian.PutUint64(dst, id.Number())
		return
	}
	copy(dst, p.prefix)
	putDecimal(dst[len(p.prefix):len(dst)-len(p.suffix)], id.Number())
	copy(dst[len(dst)-len(p.suffix):], p.suffix)
}

// malformed returns a bad record of a kind, made from the digits of a valid ID; nil is null.
func (p *payload) malformed(r Record) []byte {
	switch r.Kind {
	case KindTombstone:
		return nil
	case KindEmpty:
		return []byte{}
	default:
	}
	if p.framed != nil {
		return p.malformedFramed(r)
	}
	if p.ids != "" {
		return p.malformedOpaque(r)
	}
	if p.format == grant.FormatInt64BE {
		return p.malformedInt64(r)
	}

	digits := r.ID.String()
	text := ""
	switch r.Kind {
	case KindNegative:
		text = "-" + strconv.FormatUint(r.ID.Number()|1, 10) // minus zero would be zero
	case KindSign:
		text = "+" + digits
	case KindSpaces:
		text = " " + digits
	case KindLetters:
		text = "user" + digits
	case KindLeadingZeros:
		text = "0" + digits
	case KindFraction:
		text = digits + ".5"
	case KindOverLimit:
		text = strconv.FormatUint(p.overLimit(r.ID), 10)
	case KindHuge:
		text = "9" + strings.Repeat("0", hugeSize-1)
	default:
	}
	if p.format != grant.FormatJSON {
		return []byte(text)
	}
	switch r.Kind {
	case KindSign, KindSpaces, KindLetters, KindLeadingZeros: // these are not JSON numbers
		text = `"` + text + `"`
	case KindMissing:
		return []byte("{}")
	case KindNull:
		text = "null"
	case KindTruncated:
		return append(append([]byte{}, p.prefix...), digits...)
	default:
	}
	return append(append(append([]byte{}, p.prefix...), text...), p.suffix...)
}

func (p *payload) malformedInt64(r Record) []byte {
	b := binary.BigEndian.AppendUint64(nil, r.ID.Number())
	switch r.Kind {
	case KindNegative:
		b[0] |= 0x80
	case KindLetters:
		b = r.ID.Append([]byte("user-id:")) // longer than 8 bytes
	case KindOverLimit:
		binary.BigEndian.PutUint64(b, p.overLimit(r.ID))
	case KindHuge:
		b = make([]byte, hugeSize)
	case KindTruncated:
		b = b[:7]
	default:
	}
	return b
}

// overLimit returns a number just above the limit. It stays an int64 as long as the limit allows.
func (p *payload) overLimit(id grant.UserID) uint64 {
	room := uint64(1000)
	if p.max < grant.MaxUserID {
		room = min(room, grant.MaxUserID-p.max)
	}
	return p.max + 1 + id.Number()%room
}

var powersOf10 = func() (pow [20]uint64) {
	for i, v := 0, uint64(1); i < len(pow); i, v = i+1, v*10 {
		pow[i] = v
	}
	pow[0] = 0 // zero has one digit
	return pow
}()

// decimalSize returns the number of decimal digits of v: 1233/4096 is just above log₁₀2, so the product is the number
// of digits or one too few.
func decimalSize(v uint64) int {
	n := bits.Len64(v) * 1233 >> 12
	if v >= powersOf10[n] {
		n++
	}
	return n
}

const digitPairs = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849" +
	"5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// putDecimal writes v into dst, whose length is the number of its digits.
func putDecimal(dst []byte, v uint64) {
	i := len(dst)
	for v >= 100 {
		pair := v % 100 * 2
		v /= 100
		i -= 2
		dst[i], dst[i+1] = digitPairs[pair], digitPairs[pair+1]
	}
	if v >= 10 {
		dst[0], dst[1] = digitPairs[v*2], digitPairs[v*2+1]
		return
	}
	dst[0] = byte('0' + v)
}
