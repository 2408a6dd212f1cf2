package schema

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/granter/granter/grant"
)

// protoPlan finds a field of a message, and what is at the rest of the path in it.
type protoPlan struct {
	number protowire.Number
	kind   descriptorpb.FieldDescriptorProto_Type
	next   *protoPlan         // nil: the field is the ID
	rivals []protowire.Number // the other fields of its oneof: the last one of all counts
	always bool               // the value of a wrapper: where the wrapper is, a value that is left out is 0 or empty
}

// word is the type of a field as a .proto file writes it.
func (p *protoPlan) word() string {
	return strings.ToLower(strings.TrimPrefix(p.kind.String(), "TYPE_"))
}

// is says which type of value a field has; None: it can be no ID.
func (p *protoPlan) is() Type {
	switch p.kind {
	case descriptorpb.FieldDescriptorProto_TYPE_STRING:
		return Text
	case descriptorpb.FieldDescriptorProto_TYPE_BYTES:
		return Bytes
	case descriptorpb.FieldDescriptorProto_TYPE_INT32, descriptorpb.FieldDescriptorProto_TYPE_INT64,
		descriptorpb.FieldDescriptorProto_TYPE_UINT32, descriptorpb.FieldDescriptorProto_TYPE_UINT64,
		descriptorpb.FieldDescriptorProto_TYPE_SINT32, descriptorpb.FieldDescriptorProto_TYPE_SINT64,
		descriptorpb.FieldDescriptorProto_TYPE_FIXED32, descriptorpb.FieldDescriptorProto_TYPE_FIXED64,
		descriptorpb.FieldDescriptorProto_TYPE_SFIXED32, descriptorpb.FieldDescriptorProto_TYPE_SFIXED64:
		return Number
	default:
		return None
	}
}

// fits says why a field cannot be an ID of a kind; empty: it can.
func (p *protoPlan) fits(ids grant.IDs) (Fault, string) {
	if is := p.is(); is == None || !is.fits(ids) {
		return FieldType, fmt.Sprintf("%s cannot be an ID of source.id %s", p.word(), orDense(ids))
	}
	return "", ""
}

// deepestIndex is how many messages may be inside each other, as records name them.
const deepestIndex = 32

// messageOf returns the message that a payload names, by indexes in front of it, and what is behind them. The indexes are a
// count and as many numbers, zigzag; a single 0 stands for the first message. nil: there is no such message.
func (s *Schema) messageOf(data []byte) (*protoMessage, []byte) {
	if len(data) == 0 {
		return nil, nil
	}
	if data[0] == 0 {
		return s.proto[0], data[1:]
	}
	count, rest, ok := long(data)
	if !ok || count < 1 || count > deepestIndex {
		return nil, nil
	}
	var message *protoMessage
	for list := s.proto; count > 0; count-- {
		var i int64
		if i, rest, ok = long(rest); !ok || i < 0 || i >= int64(len(list)) {
			return nil, nil
		}
		message = list[i]
		list = message.nested
	}
	return message, rest
}

// findProto takes the value out of the message that a payload names.
func (s *Schema) findProto(data []byte) (Value, Fault) {
	message, data := s.messageOf(data)
	if message == nil {
		return Value{}, Malformed
	}
	if message.never != "" {
		if !wellFormed(data) {
			return Value{}, Malformed
		}
		return Value{}, message.never
	}
	var found protoFound
	if !message.plan.scan(data, &found) {
		return Value{}, Malformed
	}
	if !found.ok {
		return Value{}, NoField
	}
	return found.value, ""
}

func wellFormed(data []byte) bool {
	for len(data) > 0 {
		_, _, n := protowire.ConsumeField(data)
		if n < 0 {
			return false
		}
		data = data[n:]
	}
	return true
}

type protoFound struct {
	value Value
	ok    bool
}

// scan passes over all of a message. What comes later counts, and adds to what was before: a field that is left out the second
// time is what it was.
func (p *protoPlan) scan(data []byte, found *protoFound) bool {
	if p.always && !found.ok {
		found.value, found.ok = Value{Is: p.is()}, true
	}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return false
		}
		data = data[n:]
		var size int
		switch kind { // the usual ones here: the call for all of them is dear
		case protowire.VarintType:
			_, size = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			_, size = protowire.ConsumeBytes(data)
		default:
			size = protowire.ConsumeFieldValue(number, kind, data)
		}
		if size < 0 {
			return false
		}
		switch {
		case number == p.number:
			if !p.take(kind, data[:size:size], found) {
				return false
			}
		case p.rivals != nil && slices.Contains(p.rivals, number):
			*found = protoFound{}
		}
		data = data[size:]
	}
	return true
}

// take reads the field, of a type on the wire. Another one than the schema's says that the record is of another schema.
func (p *protoPlan) take(kind protowire.Type, data []byte, found *protoFound) bool {
	if p.next != nil {
		var body []byte
		var n int
		switch kind {
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(data)
		case protowire.StartGroupType:
			body, n = protowire.ConsumeGroup(p.number, data)
		default:
			return false
		}
		return n >= 0 && p.next.scan(body, found)
	}
	value, ok := p.read(kind, data)
	*found = protoFound{value, true}
	return ok
}

func (p *protoPlan) read(kind protowire.Type, data []byte) (v Value, ok bool) {
	var want protowire.Type
	v.Is = Number
	switch p.kind {
	case descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_BYTES:
		if kind != protowire.BytesType {
			return v, false
		}
		v.Is = p.is()
		v.Data, _ = protowire.ConsumeBytes(data)
		return v, true
	case descriptorpb.FieldDescriptorProto_TYPE_FIXED32, descriptorpb.FieldDescriptorProto_TYPE_SFIXED32:
		if kind != protowire.Fixed32Type {
			return v, false
		}
		n := binary.LittleEndian.Uint32(data)
		if v.Int = int64(n); p.kind == descriptorpb.FieldDescriptorProto_TYPE_SFIXED32 {
			v.Int = int64(int32(n))
		}
		return v, true
	case descriptorpb.FieldDescriptorProto_TYPE_FIXED64:
		want = protowire.Fixed64Type
	case descriptorpb.FieldDescriptorProto_TYPE_SFIXED64:
		want = protowire.Fixed64Type
	default:
		want = protowire.VarintType
	}
	if kind != want {
		return v, false
	}
	if want == protowire.Fixed64Type {
		return p.unsigned(binary.LittleEndian.Uint64(data)), true
	}
	n, _ := protowire.ConsumeVarint(data)
	switch p.kind {
	case descriptorpb.FieldDescriptorProto_TYPE_INT32:
		v.Int = int64(int32(n)) // readers take the lower 32 bits
	case descriptorpb.FieldDescriptorProto_TYPE_UINT32:
		v.Int = int64(uint32(n))
	case descriptorpb.FieldDescriptorProto_TYPE_SINT32:
		v.Int = protowire.DecodeZigZag(n & math.MaxUint32)
	case descriptorpb.FieldDescriptorProto_TYPE_SINT64:
		v.Int = protowire.DecodeZigZag(n)
	default:
		return p.unsigned(n), true
	}
	return v, true
}

// unsigned is a number of 64 bits. One beyond the largest with a sign is its digits, so that it is told as too large.
func (p *protoPlan) unsigned(n uint64) Value {
	u := p.kind == descriptorpb.FieldDescriptorProto_TYPE_UINT64 || p.kind == descriptorpb.FieldDescriptorProto_TYPE_FIXED64
	if u && n > math.MaxInt64 {
		return Value{Is: Literal, Data: strconv.AppendUint(nil, n, 10)}
	}
	return Value{Is: Number, Int: int64(n)}
}
