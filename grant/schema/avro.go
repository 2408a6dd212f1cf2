package schema

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/avro"

	"github.com/granter/granter/grant"
)

// shape is how a value of a schema lies in a record.
type shape uint8

const (
	null     shape = iota
	fixed          // size bytes
	varint         // zigzag
	prefixed       // a length, and as many bytes
	array          // blocks of items
	table          // blocks of a name and an item
	record         // its fields, one behind the other
	union          // which of its branches, and that
)

// node is a type of a schema, by what it takes to pass over one. A type that has itself in it is one node.
type node struct {
	shape shape
	size  int
	item  *node
	parts []*node // fields or branches
	spec  *avro.SchemaNode
	empty bool // it takes no bytes, whatever it holds
}

// deepest is how many values may be inside each other: a schema may say that a record is in itself for ever.
const deepest = 64

// compiler makes nodes of a schema's types.
type compiler struct {
	named map[string]*node
	types map[string]*avro.SchemaNode
}

func compileAvro(in *grant.Input, text *grant.Schema) (s *Schema, err error) {
	parsed, err := parseAvro(text)
	if err != nil {
		return nil, err
	}
	c := compiler{named: map[string]*node{}, types: map[string]*avro.SchemaNode{}}
	root := c.compile(parsed.Root(), "")
	root.findEmpty(map[*node]bool{})
	s = &Schema{name: fullName(root.spec)}
	s.about = describe(root, s.name, names(in.Path))
	s.avro = plan(root, names(in.Path), in.IDs, 0)
	if s.avro.never != "" {
		s.problem, s.detail = s.avro.never, s.avro.why
	}
	return s, nil
}

// parseAvro reads a schema whose types may be in those that it refers to: these come first, each behind what it needs itself.
func parseAvro(s *grant.Schema) (*avro.Schema, error) {
	var known avro.SchemaCache
	for i := range s.References {
		if _, err := known.Parse(s.References[i].Text); err != nil {
			return nil, fmt.Errorf("%s: %w", s.References[i].Name, err)
		}
	}
	return known.Parse(s.Text)
}

// describe says what a schema has at a path, for people.
func describe(root *node, name string, path []string) string {
	types := []*node{root}
	for _, field := range path {
		var next []*node
		for _, n := range spread(types) {
			if at := fieldOf(n.spec.Fields, field); at >= 0 {
				next = append(next, n.parts[at])
			}
		}
		types = next
	}
	types = spread(types)
	words := make([]string, 0, len(types))
	for _, n := range types {
		word := n.spec.Type
		if n.spec.LogicalType != "" {
			word += " (" + n.spec.LogicalType + ")"
		}
		words = append(words, word)
	}
	return fmt.Sprintf("the record %s, whose field %s is %s", name, strings.Join(path, "."), strings.Join(words, " or "))
}

// spread has the branches of unions in their place.
func spread(list []*node) (out []*node) {
	for _, n := range list {
		if n.shape == union {
			out = append(out, spread(n.parts)...)
		} else {
			out = append(out, n)
		}
	}
	return out
}

func (c *compiler) compile(t *avro.SchemaNode, space string) *node {
	n := &node{spec: t}
	switch t.Type {
	case "null":
	case "boolean":
		n.shape, n.size = fixed, 1
	case "int", "long":
		n.shape = varint
	case "float":
		n.shape, n.size = fixed, 4
	case "double":
		n.shape, n.size = fixed, 8
	case "bytes", "string":
		n.shape = prefixed
	case "array":
		n.shape, n.item = array, c.compile(t.Items, space)
	case "map":
		n.shape, n.item = table, c.compile(t.Values, space)
	case "union":
		n.shape = union
		for i := range t.Branches {
			n.parts = append(n.parts, c.compile(&t.Branches[i], space))
		}
	case "enum":
		n.shape = varint
		c.name(t, n)
	case "fixed":
		n.shape, n.size = fixed, t.Size
		c.name(t, n)
	case "record", "error":
		n.shape = record
		space = c.name(t, n)
		for i := range t.Fields {
			n.parts = append(n.parts, c.compile(&t.Fields[i].Type, space))
		}
	default:
		return c.refer(t.Type, space)
	}
	return n
}

func fullName(t *avro.SchemaNode) string {
	if t.Namespace == "" || strings.Contains(t.Name, ".") {
		return t.Name
	}
	return t.Namespace + "." + t.Name
}

// name notes a named type, and returns the name space that it opens.
func (c *compiler) name(t *avro.SchemaNode, n *node) (space string) {
	full := fullName(t)
	c.named[full] = n
	if dot := strings.LastIndexByte(full, '.'); dot > 0 {
		space = full[:dot]
	}
	return space
}

// refer returns the type that a name means. The parser has seen that there is one.
func (c *compiler) refer(name, space string) *node {
	if n := c.named[space+"."+name]; n != nil && !strings.Contains(name, ".") {
		return n
	}
	if n := c.named[name]; n != nil {
		return n
	}
	panic("avro: no type " + name)
}

// findEmpty notes which types take no bytes: of their arrays a few bytes may claim any number.
func (n *node) findEmpty(seen map[*node]bool) bool {
	if seen[n] {
		return n.empty
	}
	seen[n] = true
	if n.item != nil {
		n.item.findEmpty(seen)
	}
	all := true
	for _, p := range n.parts {
		all = p.findEmpty(seen) && all
	}
	n.empty = n.shape == null || n.shape == fixed && n.size == 0 || n.shape == record && all
	return n.empty
}

// long reads a zigzag varint.
func long(data []byte) (v int64, rest []byte, ok bool) {
	if len(data) > 0 && data[0] < 0x80 {
		u := int64(data[0])
		return u>>1 ^ -(u & 1), data[1:], true
	}
	v, n := binary.Varint(data)
	if n <= 0 {
		return 0, nil, false
	}
	return v, data[n:], true
}

// cut reads a length, and as many bytes.
func cut(data []byte) (part, rest []byte, ok bool) {
	n, rest, ok := long(data)
	if !ok || n < 0 || n > int64(len(rest)) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:], true
}

// skip passes over a value.
func (n *node) skip(data []byte, depth int) (rest []byte, ok bool) {
	if depth > deepest {
		return nil, false
	}
	switch n.shape {
	case null:
		return data, true
	case fixed:
		if len(data) < n.size {
			return nil, false
		}
		return data[n.size:], true
	case varint:
		_, rest, ok = long(data)
		return rest, ok
	case prefixed:
		_, rest, ok = cut(data)
		return rest, ok
	case array, table:
		return n.skipBlocks(data, depth)
	case union:
		i, rest, ok := long(data)
		if !ok || i < 0 || i >= int64(len(n.parts)) {
			return nil, false
		}
		return n.parts[i].skip(rest, depth+1)
	case record:
	}
	for _, part := range n.parts {
		if data, ok = part.skip(data, depth+1); !ok {
			return nil, false
		}
	}
	return data, true
}

// skipBlocks passes over blocks of items: each begins with their number, negative if their size in bytes follows; 0 is the
// last. A size that is not that of the items is a lie, and readers would differ in which of the two they believe.
func (n *node) skipBlocks(data []byte, depth int) (rest []byte, ok bool) {
	for {
		count, rest, ok := long(data)
		switch {
		case !ok || count == math.MinInt64:
			return nil, false
		case count == 0:
			return rest, true
		case count < 0:
			var block []byte
			if block, data, ok = cut(rest); !ok {
				return nil, false
			}
			if behind, ok := n.skipItems(block, -count, depth); !ok || len(behind) > 0 {
				return nil, false
			}
		default:
			if data, ok = n.skipItems(rest, count, depth); !ok {
				return nil, false
			}
		}
	}
}

func (n *node) skipItems(data []byte, count int64, depth int) (rest []byte, ok bool) {
	for ; count > 0; count-- {
		if n.shape == table {
			if _, data, ok = cut(data); !ok {
				return nil, false
			}
		} else if n.item.empty {
			break
		}
		if data, ok = n.item.skip(data, depth+1); !ok {
			return nil, false
		}
	}
	return data, true
}

const isNull = "it is null"

// finder finds a value of a type. One that never can says why, and passes over what is there.
type finder struct {
	*node

	is    Type
	field int       // of a record: which to go on in
	next  *finder   // there
	each  []*finder // of a union: in each of its branches
	never Fault
	why   string
}

// plan makes a finder of the rest of a path.
func plan(n *node, path []string, ids grant.IDs, depth int) *finder {
	f := &finder{node: n}
	switch {
	case depth > deepest:
		f.never, f.why = NoField, "it is too deep"
	case n.shape == null:
		f.never, f.why = NoField, isNull
	case n.shape == union:
		f.planUnion(path, ids, depth)
	case len(path) == 0:
		f.planLeaf(ids)
	case n.shape != record:
		f.never, f.why = NoField, fmt.Sprintf("a value of type %s has no field %s", n.spec.Type, path[0])
	default:
		f.field = fieldOf(n.spec.Fields, path[0])
		if f.field < 0 {
			f.never, f.why = NoField, fmt.Sprintf("the record %s has no field %s", n.spec.Name, path[0])
			break
		}
		f.next = plan(n.parts[f.field], path[1:], ids, depth+1)
		f.never, f.why = f.next.never, f.next.why
	}
	return f
}

// fieldOf is the place of a field; −1: there is none. A field that was renamed says by an alias what it was before.
func fieldOf(fields []avro.SchemaField, name string) int {
	at := slices.IndexFunc(fields, func(s avro.SchemaField) bool { return s.Name == name })
	if at < 0 {
		at = slices.IndexFunc(fields, func(s avro.SchemaField) bool { return slices.Contains(s.Aliases, name) })
	}
	return at
}

// planUnion finds it in whichever branch a record has; never, if it is in none of them.
func (f *finder) planUnion(path []string, ids grant.IDs, depth int) {
	for _, branch := range f.parts {
		f.each = append(f.each, plan(branch, path, ids, depth+1))
	}
	possible := slices.ContainsFunc(f.each, func(e *finder) bool { return e.never == "" })
	for _, e := range f.each {
		if first := f.never == "" || f.why == isNull; !possible && first {
			f.never, f.why = e.never, e.why
		}
	}
	if len(f.each) == 0 {
		f.never, f.why = NoField, "it is an empty union"
	}
}

// planLeaf looks whether a type can be an ID. A time, a date or an amount is no ID, also where it is kept as a number.
func (f *finder) planLeaf(ids grant.IDs) {
	switch f.spec.Type {
	case "int", "long":
		f.is = Number
	case "string":
		f.is = Text
	case "bytes", "fixed":
		f.is = Bytes
	}
	what := f.spec.Type
	if logical := f.spec.LogicalType; slices.Contains(notIDs, logical) {
		f.is, what = None, logical
	}
	fits := f.is != None && f.is.fits(ids)
	if f.spec.LogicalType == "uuid" { // text, or 16 bytes, which are no text
		what = "uuid"
		fits = fits && (ids == grant.IDsUUID || ids == grant.IDsString && f.is == Text)
	}
	if !fits {
		f.never, f.why = FieldType, fmt.Sprintf("%s cannot be an ID of source.id %s", what, orDense(ids))
	}
}

var notIDs = []string{
	"date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis",
	"local-timestamp-micros", "local-timestamp-nanos", "decimal", "big-decimal", "duration",
}

func orDense(ids grant.IDs) grant.IDs {
	if ids == "" {
		return grant.IDsDense
	}
	return ids
}

// find takes the value out, and returns what follows all of the type.
func (f *finder) find(data []byte, depth int) (v Value, rest []byte, fault Fault) {
	if depth > deepest {
		return v, nil, Malformed
	}
	if f.never != "" && f.shape != union {
		rest, ok := f.skip(data, depth)
		if !ok {
			return v, nil, Malformed
		}
		return v, rest, f.never
	}
	switch f.shape {
	case union:
		i, rest, ok := long(data)
		if !ok || i < 0 || i >= int64(len(f.each)) {
			return v, nil, Malformed
		}
		return f.each[i].find(rest, depth+1)
	case record:
		return f.findField(data, depth)
	case null, fixed, varint, prefixed, array, table:
	}
	return f.leaf(data)
}

func (f *finder) findField(data []byte, depth int) (v Value, rest []byte, fault Fault) {
	for i, part := range f.parts {
		if i == f.field {
			if v, data, fault = f.next.find(data, depth+1); fault == Malformed {
				return Value{}, nil, fault
			}
			continue
		}
		var ok bool
		if data, ok = part.skip(data, depth+1); !ok {
			return Value{}, nil, Malformed
		}
	}
	return v, data, fault
}

func (f *finder) leaf(data []byte) (v Value, rest []byte, fault Fault) {
	var ok bool
	switch v.Is = f.is; f.shape {
	case varint:
		v.Int, rest, ok = long(data)
	case prefixed:
		v.Data, rest, ok = cut(data)
	default:
		if ok = len(data) >= f.size; ok {
			v.Data, rest = data[:f.size:f.size], data[f.size:]
		}
	}
	if !ok {
		return Value{}, nil, Malformed
	}
	return v, rest, ""
}
