// Package schema finds the user ID in records that are written by a schema: what a schema says is compiled once for the path
// of the ID, and then no record costs an allocation, or more than a pass over its bytes, whatever lengths it claims.
package schema

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/granter/granter/grant"
)

// Fault says why a record holds no ID.
type Fault string

// The faults.
const (
	NotFramed Fault = "no_schema_id"      // not 0 and four bytes of a schema ID in front
	Unknown   Fault = "unknown_schema"    // a schema ID of which the text is not known: no other one is taken in its place
	Malformed Fault = "malformed_payload" // not what its schema says
	Unusable  Fault = "unusable_schema"   // the registry has a schema of the ID, and it is of another format, or cannot be read
	NoField   Fault = "missing_field"     // nothing at the path, or null
	FieldType Fault = "field_type"        // what is there cannot be such an ID
)

// Header is how many bytes the wire format has in front: 0, and the ID of the schema, big-endian.
const Header = 5

// Frame reads what the wire format has in front of a payload.
func Frame(data []byte) (id uint32, payload []byte, fault Fault) {
	if len(data) < Header || data[0] != 0 {
		return 0, nil, NotFramed
	}
	return binary.BigEndian.Uint32(data[1:]), data[Header:], ""
}

// Value is what a record has at the path.
type Value struct {
	Is   Type
	Int  int64
	Data []byte // text or bytes, in the record's memory
}

// Type is what a value is.
type Type uint8

// The types of value.
const (
	None    Type = iota
	Number       // Int
	Text         // Data
	Bytes        // Data
	Literal      // Data: a number as JSON writes it
)

// fits reports whether a value of a type can be an ID of a kind. Bytes are UUIDs or strings only: of numbers they would not say
// in which order they are.
func (t Type) fits(ids grant.IDs) bool {
	switch ids {
	case grant.IDsUUID, grant.IDsString:
		return t == Text || t == Bytes
	case grant.IDsDense, grant.IDsInt64, "":
	}
	return t == Text || t == Number
}

// Schema is a schema, compiled for the path of an ID.
type Schema struct {
	avro    *finder
	proto   []*protoMessage // the messages of its file; nil: it is no Protobuf
	problem Fault
	detail  string
	about   string
	name    string // of the record, in Avro
}

// Compile reads the text of a schema and of those that it refers to. An error says that it is none.
func Compile(in *grant.Input, s *grant.Schema) (*Schema, error) {
	switch in.Format {
	case grant.FormatAvro:
		return compileAvro(in, s)
	case grant.FormatProtobuf:
		return compileProtobuf(in, s)
	case grant.FormatJSONSchema:
		return &Schema{about: "a JSON Schema, whose field " + in.Path + " is looked up in each record"}, jsonTexts(s)
	case grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE, grant.FormatText:
	}
	return nil, fmt.Errorf("records in the format %s have no schema", in.Format)
}

// Unreadable is what stands for a schema by which no record can be read.
func Unreadable(why string) *Schema { return &Schema{problem: Unusable, detail: why} }

// Problem is why no record of the schema holds an ID, and the same in words; empty: they do.
func (s *Schema) Problem() (fault Fault, detail string) { return s.problem, s.detail }

// About says what has the ID, and of which type it is there, for people.
func (s *Schema) About() string {
	if s.problem != "" {
		return s.detail
	}
	return s.about
}

// TypeOf is the type of a payload, of those schemas that name types; empty: it has none.
func (s *Schema) TypeOf(payload []byte) string {
	if s.proto == nil {
		return s.name
	}
	message, _ := s.messageOf(payload)
	if message == nil {
		return ""
	}
	return message.name
}

// Find takes what is at the path out of a payload in Avro or Protobuf.
func (s *Schema) Find(payload []byte) (Value, Fault) {
	switch {
	case s.problem == Unusable:
		return Value{}, Unusable
	case s.proto != nil:
		return s.findProto(payload)
	}
	v, rest, fault := s.avro.find(payload, 0)
	if len(rest) > 0 {
		return Value{}, Malformed
	}
	return v, fault
}

// names are the fields of a path.
func names(path string) []string { return strings.Split(path, ".") }
