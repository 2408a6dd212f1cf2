package schema

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/granter/granter/grant"
)

// accountProto is what userProto imports. The option at a field is of a file that nobody has.
const accountProto = `syntax = "proto3";
package com.example.account;
import "confluent/meta.proto";
message Account {
  string uuid = 1 [(confluent.field_meta).doc = "the ID"];
  message Key { bytes raw = 16; sint64 number = 17; }
  Key key = 3;
}`

const userProto = `syntax = "proto3";
package com.example;
import "google/protobuf/wrappers.proto";
import "account.proto";
message User {
  map<string, string> tags = 1;
  message Address { string id = 1; }
  enum Kind { NONE = 0; PAID = 1; }
  int64 id = 2; int32 i32 = 3; uint32 u32 = 4; uint64 u64 = 5; sint32 s32 = 6; sint64 s64 = 7;
  fixed32 f32 = 8; fixed64 f64 = 9; sfixed32 sf32 = 10; sfixed64 sf64 = 11;
  string text = 12; bytes raw = 13; double d = 14; bool b = 15; Kind kind = 2000;
  google.protobuf.Int64Value wrapped = 20; google.protobuf.StringValue wrapped_text = 21;
  account.Account account = 22; Address address = 23; repeated int64 list = 24; optional int64 maybe = 25;
  oneof who { int64 member = 30; string guest = 31; Address at = 32; }
  User parent = 40;
}
message Order { int64 number = 1; User user = 2; message Line { int64 id = 1; } }`

func compileProto(t testing.TB, path string, ids grant.IDs, text string, refs ...grant.Reference) (*Schema, error) {
	t.Helper()
	return Compile(&grant.Input{Format: grant.FormatProtobuf, Path: path, IDs: ids}, &grant.Schema{Text: text, References: refs})
}

var accountFile = grant.Reference{Name: "account.proto", Text: accountProto}

// described is the file as the library that the tests write records by understands it.
func described(t testing.TB, text string) protoreflect.FileDescriptor {
	t.Helper()
	plain := strings.NewReplacer(` [(confluent.field_meta).doc = "the ID"]`, "", `import "confluent/meta.proto";`,
		"").Replace(accountProto)
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"user.proto": text, "account.proto": plain}),
	})}
	files, err := c.Compile(t.Context(), "user.proto")
	require.NoError(t, err)
	return files[0]
}

// set sets what is at a path of a message, whose messages on the way are made.
func set(m protoreflect.Message, path string, value any) {
	name, rest, deeper := strings.Cut(path, ".")
	field := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if deeper {
		set(m.Mutable(field).Message(), rest, value)
		return
	}
	m.Set(field, protoreflect.ValueOf(value))
}

// message is a payload as Confluent's serializers write it: indexes, and a message.
func message(t testing.TB, m proto.Message, indexes ...int64) []byte {
	t.Helper()
	head := []byte{0}
	if !slices.Equal(indexes, []int64{0}) {
		head = binary.AppendVarint(nil, int64(len(indexes)))
		for _, i := range indexes {
			head = binary.AppendVarint(head, i)
		}
	}
	data, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(head, m)
	require.NoError(t, err)
	return data
}

// Records are written by a library that shares nothing with what reads them.
func TestIDsInProtobuf(t *testing.T) {
	user := described(t, userProto).Messages().ByName("User")
	number := func(n int64) Value { return Value{Is: Number, Int: n} }
	for _, c := range []struct {
		path  string
		ids   grant.IDs
		at    string // where it is written; empty: at the path
		value any    // nil: nothing
		want  Value
		fault Fault
	}{
		{"id", "", "", int64(48_000_000), number(48_000_000), ""},
		{"id", grant.IDsInt64, "", int64(-1 << 63), number(-1 << 63), ""},
		{"i32", "", "", int32(-7), number(-7), ""},
		{"u32", "", "", uint32(1<<32 - 1), number(1<<32 - 1), ""},
		{"u64", "", "", uint64(1<<63 - 1), number(1<<63 - 1), ""},
		{"u64", "", "", uint64(1 << 63), Value{Is: Literal, Data: []byte("9223372036854775808")}, ""},
		{"s32", "", "", int32(-1 << 31), number(-1 << 31), ""},
		{"s64", "", "", int64(-1 << 63), number(-1 << 63), ""},
		{"f32", "", "", uint32(1<<32 - 1), number(1<<32 - 1), ""},
		{"f64", "", "", uint64(9), number(9), ""},
		{"sf32", "", "", int32(-9), number(-9), ""},
		{"sf64", "", "", int64(-9), number(-9), ""},
		{"text", "", "", "12", Value{Is: Text, Data: []byte("12")}, ""},
		{"raw", grant.IDsUUID, "", []byte("0123456789abcdef"), Value{Is: Bytes, Data: []byte("0123456789abcdef")}, ""},
		{"id", "", "", nil, Value{}, NoField}, // 0 and nothing are the same bytes
		{"id", "", "", int64(0), Value{}, NoField},
		{"maybe", "", "", int64(0), number(0), ""},
		{"maybe", "", "", nil, Value{}, NoField},
		{"wrapped", "", "wrapped.value", int64(5), number(5), ""},
		{"wrapped.value", "", "", int64(5), number(5), ""},
		{"wrapped", "", "wrapped.value", int64(0), number(0), ""},
		{"wrapped", "", "", nil, Value{}, NoField},
		{"wrapped_text", grant.IDsString, "wrapped_text.value", "Ada", Value{Is: Text, Data: []byte("Ada")}, ""},
		{"account.uuid", grant.IDsUUID, "", uuid, Value{Is: Text, Data: []byte(uuid)}, ""},
		{"account.key.number", "", "", int64(5), number(5), ""},
		{"account.key.raw", grant.IDsString, "", []byte("x"), Value{Is: Bytes, Data: []byte("x")}, ""},
		{"account.uuid", grant.IDsUUID, "account.key.number", int64(1), Value{}, NoField},
		{"address.id", grant.IDsString, "", "x", Value{Is: Text, Data: []byte("x")}, ""},
		{"member", "", "", int64(3), number(3), ""},
		{"member", "", "guest", "x", Value{}, NoField},
		{"at.id", grant.IDsString, "", "x", Value{Is: Text, Data: []byte("x")}, ""},
		{"parent.parent.id", "", "", int64(8), number(8), ""},
	} {
		t.Run(fmt.Sprint(c.path, " ", c.value), func(t *testing.T) {
			s, err := compileProto(t, c.path, c.ids, userProto, accountFile)
			require.NoError(t, err)
			fault, why := s.Problem()
			require.Empty(t, fault, why)
			m := dynamicpb.NewMessage(user)
			set(m, "d", 1.5)
			set(m, "kind", protoreflect.EnumNumber(1))
			if at := c.at; c.value != nil {
				if at == "" {
					at = c.path
				}
				set(m, at, c.value)
			} else if c.path == "wrapped" {
				set(m, "b", true)
			}
			data := message(t, m, 0)
			v, fault := s.Find(data)
			require.Equal(t, c.fault, fault)
			if fault == "" {
				require.Equal(t, c.want, v)
			}
			for cut := range data {
				s.Find(data[:cut]) // no more can be said of it: a message ends anywhere
			}
			if c.want.Is != Literal {
				require.Zero(t, testing.AllocsPerRun(10, func() { s.Find(data) }))
			}
		})
	}
}

// Of what is written twice the last one counts, and of a oneof whichever field comes last: as all of Protobuf's readers have it.
func TestWhatComesLastInAMessageCounts(t *testing.T) {
	user := described(t, userProto).Messages().ByName("User")
	write := func(path string, value any) []byte {
		m := dynamicpb.NewMessage(user)
		set(m, path, value)
		data, err := proto.Marshal(m)
		require.NoError(t, err)
		return data
	}
	for name, c := range map[string]struct {
		path  string
		data  [][]byte
		want  int64
		fault Fault
	}{
		"a field twice": {"id", [][]byte{write("id", int64(1)), write("id", int64(2))}, 2, ""},
		"a message twice": {"account.key.number", [][]byte{write("account.key.number", int64(1)),
			write("account.uuid", "x")}, 1, ""},
		"another of the oneof":   {"member", [][]byte{write("member", int64(1)), write("guest", "x")}, 0, NoField},
		"the same of the oneof":  {"member", [][]byte{write("guest", "x"), write("member", int64(1))}, 1, ""},
		"a wrapper, empty, last": {"wrapped", [][]byte{write("wrapped.value", int64(4)), {0xa2, 1, 0}}, 4, ""},
		"another type of field":  {"id", [][]byte{{2<<3 | 2, 1, 'x'}}, 0, Malformed},
		"a field without end":    {"id", [][]byte{{2 << 3}}, 0, Malformed},
		"a group in its place":   {"account.key.number", [][]byte{{22<<3&0x7f | 0x83, 1, 0x84 | 22<<3&0x70, 1}}, 0, NoField},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := compileProto(t, c.path, "", userProto, accountFile)
			require.NoError(t, err)
			v, fault := s.Find(slices.Concat(append([][]byte{{0}}, c.data...)...))
			require.Equal(t, c.fault, fault)
			require.Equal(t, c.want, v.Int)
		})
	}
}

// Serializers count the messages that a file says, each among those beside it: not what stands for a map.
func TestRecordsNameTheirMessage(t *testing.T) {
	file := described(t, userProto)
	user, order := file.Messages().ByName("User"), file.Messages().ByName("Order")
	s, err := compileProto(t, "id", "", userProto, accountFile)
	require.NoError(t, err)
	m := dynamicpb.NewMessage(user)
	set(m, "id", int64(5))
	line := dynamicpb.NewMessage(order.Messages().ByName("Line"))
	set(line, "id", int64(6))
	address := dynamicpb.NewMessage(user.Messages().ByName("Address"))
	set(address, "id", "7")
	for name, c := range map[string]struct {
		data  []byte
		want  Value
		fault Fault
	}{
		"the first":           {message(t, m, 0), Value{Is: Number, Int: 5}, ""},
		"the first, in full":  {append([]byte{2, 0}, message(t, m, 0)[1:]...), Value{Is: Number, Int: 5}, ""},
		"nested, behind maps": {message(t, address, 0, 0), Value{Is: Text, Data: []byte("7")}, ""},
		"nested":              {message(t, line, 1, 0), Value{Is: Number, Int: 6}, ""},
		"one without an ID":   {message(t, dynamicpb.NewMessage(order), 1), Value{}, NoField},
		"one that is not":     {message(t, m, 2), Value{}, Malformed},
		"nested, too deep":    {message(t, m, 0, 0, 0), Value{}, Malformed},
		"one before all":      {message(t, m, -1), Value{}, Malformed},
		"none":                {binary.AppendVarint(nil, -1), Value{}, Malformed},
		"2^62":                {binary.AppendVarint(nil, 1<<62), Value{}, Malformed},
		"nothing":             {nil, Value{}, Malformed},
		"an empty message":    {[]byte{0}, Value{}, NoField},
	} {
		v, fault := s.Find(c.data)
		require.Equal(t, c.fault, fault, name)
		require.Equal(t, c.want, v, name)
	}
}

func TestProtobufWithoutAnIDSaysWhy(t *testing.T) {
	for path, c := range map[string]struct {
		ids  grant.IDs
		want string
	}{
		"ID":             {"", "the message com.example.User has no field ID"},
		"id.key":         {"", "a value of type int64 has no field key"},
		"d":              {"", "double cannot be an ID of source.id dense"},
		"b":              {grant.IDsString, "bool cannot be an ID of source.id string"},
		"kind":           {"", "enum cannot be an ID of source.id dense"},
		"raw":            {grant.IDsInt64, "bytes cannot be an ID of source.id int64"},
		"i32":            {grant.IDsUUID, "int32 cannot be an ID of source.id uuid"},
		"list":           {"", "the field list of the message com.example.User is a list"},
		"tags":           {"", "the field tags of the message com.example.User is a list"},
		"parent":         {"", "the message User cannot be an ID: name a field of it"},
		"wrapped":        {grant.IDsUUID, "int64 cannot be an ID of source.id uuid"},
		"account.uuid.x": {grant.IDsUUID, "a value of type string has no field x"},
	} {
		s, err := compileProto(t, path, c.ids, userProto, accountFile)
		require.NoError(t, err, path)
		fault, why := s.Problem()
		require.NotEmpty(t, fault, path)
		require.Equal(t, c.want, why, path)
	}
	s, err := compileProto(t, "account.uuid", grant.IDsUUID, userProto)
	require.NoError(t, err)
	_, why := s.Problem()
	require.Equal(t, "the message account.Account of the field account is in none of the files: add the one that has it, "+
		"under references", why)
	for _, text := range []string{``, `message`, `syntax = "proto3";`, `syntax = "proto9"; message A {}`,
		`message A { int64 id = 0; }`,
		`message A { int64 id = 1; int64 id2 = 1; }`} {
		_, err := compileProto(t, "id", "", text)
		require.Error(t, err, text)
	}
}

// A group of proto2 is no message of its own, and an ID in it is found.
func TestIDsInGroups(t *testing.T) {
	text := `syntax = "proto2"; message User { optional group Account = 1 { required int64 id = 2; }
		message Key { optional string id = 1; } }`
	s, err := compileProto(t, "account.id", "", text)
	require.NoError(t, err)
	user := described(t, text).Messages().ByName("User")
	m := dynamicpb.NewMessage(user)
	set(m, "account.id", int64(5))
	v, fault := s.Find(message(t, m, 0))
	require.Empty(t, fault)
	require.Equal(t, Value{Is: Number, Int: 5}, v)
	s, err = compileProto(t, "id", grant.IDsString, text)
	require.NoError(t, err)
	key := dynamicpb.NewMessage(user.Messages().ByName("Key"))
	set(key, "id", "x")
	_, fault = s.Find(message(t, key, 0, 0))
	require.Empty(t, fault)
}

func FuzzProtobuf(f *testing.F) {
	paths := []string{"id", "account.key.number", "member", "parent.parent.id", "text", "wrapped.value"}
	user := described(f, userProto).Messages().ByName("User")
	var schemas []*Schema
	for _, path := range paths {
		s, err := compileProto(f, path, "", userProto, accountFile)
		require.NoError(f, err)
		schemas = append(schemas, s)
		m := dynamicpb.NewMessage(user)
		set(m, path, map[bool]any{true: "7", false: int64(7)}[path == "text"])
		f.Add(len(schemas)-1, message(f, m, 0))
	}
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		i := int(uint(which) % uint(len(paths)))
		v, fault := schemas[i].Find(data)
		if len(data) == 0 || data[0] != 0 || fault == Malformed { // the library passes over a field of another type
			return
		}
		m := dynamicpb.NewMessage(user)
		if proto.Unmarshal(data[1:], m) != nil {
			return // it also refuses what is wrong where nobody looks
		}
		var at protoreflect.Message = m
		var value protoreflect.Value
		for name := range strings.SplitSeq(paths[i], ".") {
			field := at.Descriptor().Fields().ByName(protoreflect.Name(name))
			if value = at.Get(field); field.Kind() == protoreflect.MessageKind {
				at = value.Message()
			}
		}
		if fault == NoField {
			require.Empty(t, strings.Trim(value.String(), "0"), "%x", data)
			return
		}
		got := fmt.Sprint(v.Int)
		if v.Is == Text {
			got = string(v.Data)
		}
		require.Equal(t, value.String(), got, "%x", data)
	})
}

func BenchmarkProtobuf(b *testing.B) {
	user := described(b, userProto).Messages().ByName("User")
	m := dynamicpb.NewMessage(user)
	set(m, "text", "somebody's name")
	set(m, "account.uuid", uuid)
	set(m, "d", 1.5)
	for _, path := range []string{"id", "account.uuid"} {
		ids := map[string]grant.IDs{"account.uuid": grant.IDsUUID}[path]
		set(m, "id", int64(48_000_000))
		s, err := compileProto(b, path, ids, userProto, accountFile)
		require.NoError(b, err)
		data := message(b, m, 0)
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, fault := s.Find(data); fault != "" {
					b.Fatal(fault)
				}
			}
		})
	}
}
