package schema

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/granter/granter/grant"
)

// Writer writes records with an ID and nothing else in them, for tests and rehearsals: every other field of Avro has the first
// value of its type that there is, and those of Protobuf are left out.
type Writer struct {
	Is   Type  // what an ID is written as
	Size int   // bytes that it must have; 0: any number
	Most int64 // the largest number

	head   []byte // what is in front of an ID, always the same
	tail   []byte
	proto  []*protoPlan // the fields from the message down to the ID; nil: it is Avro
	null   []byte       // a record whose ID is null
	signed bool
}

// NewWriter makes a writer of the records of a schema, in Avro or Protobuf.
func NewWriter(in *grant.Input, s *grant.Schema) (*Writer, error) {
	compiled, err := Compile(in, s)
	if err != nil {
		return nil, err
	}
	if _, why := compiled.Problem(); why != "" {
		return nil, errors.New(why)
	}
	w := &Writer{head: binary.BigEndian.AppendUint32([]byte{0}, s.ID), Most: math.MaxInt64, signed: true}
	if compiled.proto != nil {
		w.planProto(compiled.proto)
		return w, nil
	}
	if err := w.planAvro(compiled.avro, 0); err != nil {
		return nil, err
	}
	if w.null != nil {
		w.null = append(w.null, w.tail...)
	}
	return w, nil
}

// Signed reports whether numbers below 0 can be written.
func (w *Writer) Signed() bool { return w.signed }

// Null returns a record without an ID; nil: there is none by this schema.
func (w *Writer) Null() []byte { return w.null }

var errEndless = errors.New("a record of it would be in itself for ever")

// planAvro collects what is before and behind the ID.
func (w *Writer) planAvro(f *finder, depth int) (err error) {
	switch {
	case depth > deepest:
		return errEndless
	case f.shape == union:
		for i, branch := range f.each {
			if branch.never == "" {
				if null := nullBranch(f.node); null >= 0 && w.null == nil && branch.shape != record {
					w.null = binary.AppendVarint(append([]byte{}, w.head...), int64(null))
				}
				w.head = binary.AppendVarint(w.head, int64(i))
				return w.planAvro(branch, depth+1)
			}
		}
		return errEndless // none is possible, which was looked at before
	case f.shape == record:
		for _, part := range f.parts[:f.field] {
			if w.head, err = part.zero(w.head, depth+1); err != nil {
				return err
			}
		}
		if err = w.planAvro(f.next, depth+1); err != nil {
			return err
		}
		for _, part := range f.parts[f.field+1:] {
			if w.tail, err = part.zero(w.tail, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if w.Is = f.is; f.shape == fixed {
		w.Size = f.size
	}
	if f.spec.Type == "int" {
		w.Most = math.MaxInt32
	}
	return nil
}

func nullBranch(n *node) int {
	for i, part := range n.parts {
		if part.shape == null {
			return i
		}
	}
	return -1
}

// zero appends the first value that a type has.
func (n *node) zero(dst []byte, depth int) (_ []byte, err error) {
	if depth > deepest {
		return nil, errEndless
	}
	switch n.shape {
	case null:
	case fixed:
		dst = append(dst, make([]byte, n.size)...)
	case varint, prefixed, array, table:
		dst = append(dst, 0)
	case union:
		for i, part := range n.parts {
			if out, err := part.zero(binary.AppendVarint(dst, int64(i)), depth+1); err == nil {
				return out, nil
			}
		}
		return nil, errEndless
	case record:
		for _, part := range n.parts {
			if dst, err = part.zero(dst, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return dst, nil
}

// planProto takes the first message of the file that has an ID.
func (w *Writer) planProto(messages []*protoMessage) {
	var find func(list []*protoMessage, at []int64) *protoPlan
	var indexes []int64
	find = func(list []*protoMessage, at []int64) *protoPlan {
		for i, m := range list {
			here := append(slices.Clone(at), int64(i))
			if m.never == "" {
				indexes = here
				return m.plan
			}
			if p := find(m.nested, here); p != nil {
				return p
			}
		}
		return nil
	}
	for p := find(messages, nil); p != nil; p = p.next {
		w.proto = append(w.proto, p)
	}
	if len(indexes) == 1 && indexes[0] == 0 {
		w.head = append(w.head, 0)
	} else {
		w.head = binary.AppendVarint(w.head, int64(len(indexes)))
		for _, i := range indexes {
			w.head = binary.AppendVarint(w.head, i)
		}
	}
	leaf := w.proto[len(w.proto)-1]
	w.Is, w.null = leaf.is(), append([]byte{}, w.head...)
	switch leaf.kind {
	case descriptorpb.FieldDescriptorProto_TYPE_INT32, descriptorpb.FieldDescriptorProto_TYPE_SINT32,
		descriptorpb.FieldDescriptorProto_TYPE_SFIXED32:
		w.Most = math.MaxInt32
	case descriptorpb.FieldDescriptorProto_TYPE_UINT32, descriptorpb.FieldDescriptorProto_TYPE_FIXED32:
		w.Most, w.signed = math.MaxUint32, false
	case descriptorpb.FieldDescriptorProto_TYPE_UINT64, descriptorpb.FieldDescriptorProto_TYPE_FIXED64:
		w.signed = false
	default:
	}
}

// Append appends a record with an ID: a number, or text or bytes of the size that the writer asks for.
func (w *Writer) Append(dst []byte, v Value) []byte {
	dst = append(dst, w.head...)
	if w.proto != nil {
		return w.appendProto(dst, v)
	}
	switch {
	case w.Is == Number:
		dst = binary.AppendVarint(dst, v.Int)
	case w.Size > 0:
		dst = append(dst, v.Data...)
	default:
		dst = append(binary.AppendVarint(dst, int64(len(v.Data))), v.Data...)
	}
	return append(dst, w.tail...)
}

func (w *Writer) appendProto(dst []byte, v Value) []byte {
	outer, leaf := w.proto[:len(w.proto)-1], w.proto[len(w.proto)-1]
	sizes := make([]int, len(outer)) // of what is in each message
	size := len(leaf.append(nil, v))
	for i := len(outer) - 1; i >= 0; i-- {
		sizes[i] = size
		size = protowire.SizeTag(outer[i].number) + protowire.SizeBytes(size)
	}
	for i, p := range outer {
		dst = protowire.AppendTag(dst, p.number, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(sizes[i]))
	}
	return leaf.append(dst, v)
}

func (p *protoPlan) append(dst []byte, v Value) []byte {
	switch p.kind {
	case descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_BYTES:
		return protowire.AppendBytes(protowire.AppendTag(dst, p.number, protowire.BytesType), v.Data)
	case descriptorpb.FieldDescriptorProto_TYPE_FIXED32, descriptorpb.FieldDescriptorProto_TYPE_SFIXED32:
		return protowire.AppendFixed32(protowire.AppendTag(dst, p.number, protowire.Fixed32Type),
			uint32(v.Int))
	case descriptorpb.FieldDescriptorProto_TYPE_FIXED64, descriptorpb.FieldDescriptorProto_TYPE_SFIXED64:
		return protowire.AppendFixed64(protowire.AppendTag(dst, p.number, protowire.Fixed64Type), uint64(v.Int))
	case descriptorpb.FieldDescriptorProto_TYPE_SINT32, descriptorpb.FieldDescriptorProto_TYPE_SINT64:
		return protowire.AppendVarint(protowire.AppendTag(dst, p.number, protowire.VarintType), protowire.EncodeZigZag(v.Int))
	default:
		return protowire.AppendVarint(protowire.AppendTag(dst, p.number, protowire.VarintType), uint64(v.Int))
	}
}
