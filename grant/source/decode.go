package source

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/granter/granter/grant"
)

// Reason says why a record holds no valid user ID. It is a metric label and a dead letter's header; the set is fixed.
type Reason string

// The reasons for rejecting a record.
const (
	ReasonEmpty       Reason = "empty"         // no value (a tombstone), or one of no bytes
	ReasonTombstone   Reason = "tombstone"     // a key without a value, where IDs are keys: the user was deleted
	ReasonNegative    Reason = "negative"      // starts with a minus
	ReasonSign        Reason = "sign"          // starts with a plus
	ReasonSpace       Reason = "space"         // has white space in it
	ReasonLeadingZero Reason = "leading_zero"  // "007": two spellings of one user would be a trap downstream
	ReasonNotDecimal  Reason = "not_decimal"   // has something else in it that is not a digit
	ReasonOverLimit   Reason = "over_limit"    // above the campaign's max_id
	ReasonLength      Reason = "length"        // int64be: not 8 bytes
	ReasonJSON        Reason = "invalid_json"  // json: not a JSON document
	ReasonNoField     Reason = "missing_field" // json: nothing at the path
	ReasonFieldType   Reason = "field_type"    // json: neither a whole number nor a string of digits
	ReasonAmbiguous   Reason = "ambiguous"     // json: the field is there more than once, and parsers differ in which one they take
)

// Reasons lists every reason, so that metrics can start at zero.
func Reasons() []Reason {
	return []Reason{
		ReasonEmpty, ReasonTombstone, ReasonNegative, ReasonSign, ReasonSpace, ReasonLeadingZero, ReasonNotDecimal, ReasonOverLimit,
		ReasonLength, ReasonJSON, ReasonNoField, ReasonFieldType, ReasonAmbiguous,
	}
}

// decoder takes a user ID from a record; reason is empty if it found one.
type decoder func(key, value []byte) (id uint64, reason Reason)

func newDecoder(t grant.Topic) (decoder, error) {
	limit := uint64(limitOf(t.MaxID))
	var fromValue decoder
	switch t.Format {
	case grant.FormatDecimal:
		fromValue = func(_, value []byte) (uint64, Reason) { return decimal(value, limit) }
	case grant.FormatInt64BE:
		fromValue = func(_, value []byte) (uint64, Reason) { return int64BE(value, limit) }
	case grant.FormatJSON:
		path := strings.Split(t.Path, ".")
		fromValue = func(_, value []byte) (uint64, Reason) { return jsonField(value, path, limit) }
	default:
		return nil, fmt.Errorf("source.format %q: want %s, %s or %s", t.Format, grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE)
	}
	if t.From != grant.FromKey {
		return fromValue, nil
	}
	tombstones := t.Tombstones != grant.GrantTombstones
	return func(key, value []byte) (uint64, Reason) {
		if value == nil && tombstones {
			return 0, ReasonTombstone
		}
		return fromValue(nil, key)
	}, nil
}

// holder is the part of a record that should hold the ID.
func (s *Source) holder(key, value []byte) []byte {
	if s.cfg.Topic.From == grant.FromKey {
		return key
	}
	return value
}

// limitOf returns a topic's limit; a topic that sets none has the general one.
func limitOf(maxID grant.UserID) grant.UserID {
	if maxID == 0 {
		return grant.MaxUserID
	}
	return min(maxID, grant.MaxUserID)
}

// ParseUserID reads a user ID as people type it, by the same rules as a record in decimal format.
func ParseUserID(s string, maxID grant.UserID) (grant.UserID, error) {
	maxID = limitOf(maxID)
	id, reason := decimal([]byte(s), uint64(maxID))
	if reason != "" {
		return 0, fmt.Errorf("user ID %q is malformed (%s): want decimal digits from 0 to %d, without sign, spaces or leading zeros", s, reason, maxID)
	}
	return grant.UserID(id), nil
}

func decimal(data []byte, limit uint64) (uint64, Reason) {
	// 18 digits cannot overflow, and cover nearly every record.
	if len(data) == 0 || len(data) > 18 || data[0] == '0' {
		return decimalCarefully(data, limit)
	}
	var id uint64
	for _, c := range data {
		d := c - '0'
		if d > 9 {
			return 0, notDecimal(data)
		}
		id = id*10 + uint64(d)
	}
	if id > limit {
		return 0, ReasonOverLimit
	}
	return id, ""
}

func decimalCarefully(data []byte, limit uint64) (uint64, Reason) {
	if len(data) == 0 {
		return 0, ReasonEmpty
	}
	for _, c := range data {
		if c < '0' || c > '9' {
			return 0, notDecimal(data)
		}
	}
	if data[0] == '0' {
		if len(data) == 1 {
			return 0, ""
		}
		return 0, ReasonLeadingZero
	}
	var id uint64
	for _, c := range data {
		d := uint64(c - '0')
		if d > limit || id > (limit-d)/10 {
			return 0, ReasonOverLimit
		}
		id = id*10 + d
	}
	return id, ""
}

// notDecimal says what is wrong with data that hold something else than digits.
func notDecimal(data []byte) Reason {
	for _, c := range data {
		if c == ' ' || c >= '\t' && c <= '\r' {
			return ReasonSpace
		}
	}
	digits := len(data) > 1
	for _, c := range data[1:] {
		digits = digits && c >= '0' && c <= '9'
	}
	switch {
	case digits && data[0] == '-':
		return ReasonNegative
	case digits && data[0] == '+':
		return ReasonSign
	}
	return ReasonNotDecimal
}

func int64BE(data []byte, limit uint64) (uint64, Reason) {
	if len(data) == 0 {
		return 0, ReasonEmpty
	}
	if len(data) != 8 {
		return 0, ReasonLength
	}
	id := binary.BigEndian.Uint64(data)
	if int64(id) < 0 {
		return 0, ReasonNegative
	}
	if id > limit {
		return 0, ReasonOverLimit
	}
	return id, ""
}

// maxNested is the length from which on a JSON document is checked by encoding/json, which limits how deep it may be
// nested: gjson calls itself for each level, and a document of millions of brackets would exhaust the stack.
const maxNested = 8 << 10

func jsonField(data []byte, path []string, limit uint64) (uint64, Reason) {
	if len(data) == 0 {
		return 0, ReasonEmpty
	}
	valid := gjson.ValidBytes
	if len(data) > maxNested {
		valid = json.Valid
	}
	if !valid(data) {
		return 0, ReasonJSON
	}
	// Nothing changes the data during the call, and the copy that gjson makes would be the only allocation.
	field := gjson.Parse(unsafe.String(unsafe.SliceData(data), len(data))) //nolint:gosec // see above
	for _, name := range path {
		var found gjson.Result
		times := 0
		if field.IsObject() {
			field.ForEach(func(key, value gjson.Result) bool {
				if key.Str == name {
					found = value
					times++
				}
				return true
			})
		}
		switch times {
		case 0:
			return 0, ReasonNoField
		case 1:
			field = found
		default:
			return 0, ReasonAmbiguous
		}
	}
	switch field.Type {
	case gjson.Null:
		return 0, ReasonNoField
	case gjson.String:
		return decimal([]byte(field.Str), limit)
	case gjson.Number:
		id, reason := decimal([]byte(field.Raw), limit)
		if reason == ReasonNotDecimal {
			reason = ReasonFieldType // 1.5, 1e3
		}
		return id, reason
	case gjson.True, gjson.False, gjson.JSON:
	}
	return 0, ReasonFieldType
}
