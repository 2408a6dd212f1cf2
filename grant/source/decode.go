package source

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

// Reason says why a record holds no valid user ID. It is a metric label and a dead letter's header; the set is fixed.
type Reason string

// The reasons for rejecting a record.
const (
	ReasonEmpty       = Reason(userid.Empty)       // no value (a tombstone), or one of no bytes
	ReasonNegative    = Reason(userid.Negative)    // starts with a minus
	ReasonSign        = Reason(userid.Sign)        // starts with a plus
	ReasonSpace       = Reason(userid.Space)       // has white space in it
	ReasonLeadingZero = Reason(userid.LeadingZero) // "007"
	ReasonNotDecimal  = Reason(userid.NotDecimal)  // has something else in it that is not a digit
	ReasonOverLimit   = Reason(userid.OverLimit)   // above the campaign's max_id

	ReasonTombstone Reason = "tombstone"     // a key without a value, where IDs are keys: the user was deleted
	ReasonLength    Reason = "length"        // int64be: not 8 bytes
	ReasonJSON      Reason = "invalid_json"  // json: not a JSON document
	ReasonNoField   Reason = "missing_field" // json: nothing at the path
	ReasonFieldType Reason = "field_type"    // json: neither a whole number nor a string of digits
	ReasonAmbiguous Reason = "ambiguous"     // json: the field is there more than once, and parsers differ in which one they take
)

// Reasons lists every reason, so that metrics can start at zero.
func Reasons() []Reason {
	return []Reason{
		ReasonEmpty, ReasonTombstone, ReasonNegative, ReasonSign, ReasonSpace, ReasonLeadingZero, ReasonNotDecimal,
		ReasonOverLimit,
		ReasonLength, ReasonJSON, ReasonNoField, ReasonFieldType, ReasonAmbiguous,
	}
}

// decoder takes a user ID from a record; reason is empty if it found one.
type decoder func(key, value []byte) (id uint64, reason Reason)

func newDecoder(t grant.Input) (decoder, error) {
	limit := userid.Limit(t.MaxID)
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
		return nil, fmt.Errorf("source.format %q: want %s, %s or %s", t.Format, grant.FormatDecimal, grant.FormatJSON,
			grant.FormatInt64BE)
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
func (s *Source) holder(key, value []byte) []byte { return Holder(s.cfg.Topic, key, value) }

// decimal is userid.Decimal with a record's reason.
func decimal(data []byte, limit uint64) (uint64, Reason) {
	id, fault := userid.Decimal(data, limit)
	return id, Reason(fault)
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
