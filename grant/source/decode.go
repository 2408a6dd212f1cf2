package source

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/schema"
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
	ReasonNotUUID     = Reason(userid.NotUUID)     // uuid: in none of its forms
	ReasonNotUTF8     = Reason(userid.NotUTF8)     // string: not UTF-8
	ReasonTooLong     = Reason(userid.TooLong)     // string: more than 256 bytes

	ReasonNoSchemaID    = Reason(schema.NotFramed) // a format with schemas: no 0 and schema ID in front
	ReasonUnknownSchema = Reason(schema.Unknown)   // neither spec nor registry has the schema that a record names
	ReasonUnusable      = Reason(schema.Unusable)  // the registry has it, and it is of another format, or cannot be read
	ReasonMalformed     = Reason(schema.Malformed) // not what the schema says that it names

	ReasonTombstone Reason = "tombstone"      // a key without a value, where IDs are keys: the user was deleted
	ReasonLength    Reason = "length"         // int64be: not 8 bytes
	ReasonJSON      Reason = "invalid_json"   // json: not a JSON document
	ReasonNoField   Reason = "missing_field"  // json: nothing at the path
	ReasonFieldType Reason = "field_type"     // json: neither a whole number nor a string of digits
	ReasonAmbiguous Reason = "ambiguous"      // json: the field is there more than once, and parsers differ in which they take
	ReasonNoHeader  Reason = "missing_header" // no header of the name
)

// Reasons lists every reason, so that metrics can start at zero.
func Reasons() []Reason {
	return []Reason{
		ReasonEmpty, ReasonTombstone, ReasonNegative, ReasonSign, ReasonSpace, ReasonLeadingZero, ReasonNotDecimal,
		ReasonOverLimit,
		ReasonLength, ReasonJSON, ReasonNoField, ReasonFieldType, ReasonAmbiguous, ReasonNoHeader,
		ReasonNotUUID, ReasonNotUTF8, ReasonTooLong, ReasonNoSchemaID, ReasonUnknownSchema, ReasonUnusable, ReasonMalformed,
	}
}

// decoder takes a user ID from a record; reason is empty if it found one.
type decoder func(*Parts) (id uint64, reason Reason)

// newDecoder makes one; by is what records are written by, nil: the format has no schemas.
func newDecoder(t grant.Input, by *schemas) (decoder, error) {
	limit := userid.Limit(t.MaxID)
	var read func(data []byte) (uint64, Reason)
	switch t.Format {
	case grant.FormatDecimal:
		read = func(data []byte) (uint64, Reason) { return decimal(data, limit) }
	case grant.FormatInt64BE:
		read = func(data []byte) (uint64, Reason) { return int64BE(data, limit) }
	case grant.FormatJSON:
		path := strings.Split(t.Path, ".")
		read = func(data []byte) (uint64, Reason) { return jsonField(data, path, limit) }
	case grant.FormatAvro, grant.FormatProtobuf, grant.FormatJSONSchema:
		read = func(data []byte) (uint64, Reason) { return by.dense(data, limit) }
	default:
		return nil, fmt.Errorf("source.format %q: want %s, %s, %s, %s, %s or %s", t.Format, grant.FormatDecimal,
			grant.FormatJSON, grant.FormatInt64BE, grant.FormatAvro, grant.FormatProtobuf, grant.FormatJSONSchema)
	}
	if t.From == grant.FromValue || t.From == "" {
		return func(p *Parts) (uint64, Reason) { return read(p.Value) }, nil
	}
	return func(p *Parts) (uint64, Reason) {
		data, reason := p.held(&t)
		if reason != "" {
			return 0, reason
		}
		return read(data)
	}, nil
}

// held is the part of a record that holds the ID; with a reason, it does not have it.
func (p *Parts) held(in *grant.Input) ([]byte, Reason) {
	switch data := p.Holder(in); {
	case in.From == grant.FromKey && p.Value == nil && in.Tombstones != grant.GrantTombstones:
		return nil, ReasonTombstone
	case in.From.Header() != "" && data == nil:
		return nil, ReasonNoHeader
	default:
		return data, ""
	}
}

// Holder is the part of a record that should hold the ID; nil: there is none.
func (p *Parts) Holder(in *grant.Input) []byte {
	switch {
	case in.From == grant.FromKey:
		return p.Key
	case in.From.Header() != "":
		return p.Header
	}
	return p.Value
}

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
	text, number, reason := jsonText(data, path)
	if reason != "" {
		return 0, reason
	}
	id, reason := decimal([]byte(text), limit)
	if number && reason == ReasonNotDecimal {
		reason = ReasonFieldType // 1.5, 1e3
	}
	return id, reason
}

// jsonText returns the text at a path, and whether it is a number and no string. It is valid as long as data is.
func jsonText(data []byte, path []string) (text string, number bool, reason Reason) {
	if len(data) == 0 {
		return "", false, ReasonEmpty
	}
	valid := gjson.ValidBytes
	if len(data) > maxNested {
		valid = json.Valid
	}
	if !valid(data) {
		return "", false, ReasonJSON
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
			return "", false, ReasonNoField
		case 1:
			field = found
		default:
			return "", false, ReasonAmbiguous
		}
	}
	switch field.Type {
	case gjson.Null:
		return "", false, ReasonNoField
	case gjson.String:
		return field.Str, false, ""
	case gjson.Number:
		return field.Raw, true, ""
	case gjson.True, gjson.False, gjson.JSON:
	}
	return "", false, ReasonFieldType
}
