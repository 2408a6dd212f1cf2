package schema

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/granter/granter/grant"
)

// What is written for tests and rehearsals is what other libraries read, and what a run does.
func TestWrittenRecordsAreRead(t *testing.T) {
	fixed16 := `{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`
	deep := `["null",{"type":"record","name":"Account","fields":[{"name":"parent","type":["null","a.b.User","a.b.Account"]},
		{"name":"key","type":["null","string"]}]}]`
	for name, c := range map[string]struct {
		path, text string
		ids        grant.IDs
		value      Value
		null       bool
	}{
		"long":             {"id", in(`"long"`), "", Value{Is: Number, Int: 1 << 40}, false},
		"optional":         {"id", in(`["null","long"]`), "", Value{Is: Number, Int: 1 << 40}, true},
		"optional, last":   {"id", in(`["string","null"]`), "", Value{Is: Text, Data: []byte("12")}, true},
		"uuid of 16 bytes": {"id", in(fixed16), grant.IDsUUID, Value{Is: Bytes, Data: []byte("0123456789abcdef")}, false},
		"nested":           {"id.key", in(deep), grant.IDsString, Value{Is: Text, Data: []byte("Ada")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			of := &grant.Schema{ID: 7, Text: c.text}
			w, err := NewWriter(input(c.path, c.ids), of)
			require.NoError(t, err)
			require.Equal(t, c.value.Is, w.Is)
			data := w.Append(nil, c.value)
			id, payload, fault := Frame(data)
			require.Empty(t, fault)
			require.EqualValues(t, 7, id)
			s, err := Compile(input(c.path, c.ids), of)
			require.NoError(t, err)
			v, fault := s.Find(payload)
			require.Empty(t, fault)
			require.Equal(t, c.value, v)
			var value any
			rest, err := avro.MustParse(c.text).Decode(payload, &value)
			require.NoError(t, err)
			require.Empty(t, rest)
			require.Equal(t, c.null, w.Null() != nil)
			if c.null {
				_, fault = s.Find(w.Null()[Header:])
				require.Equal(t, NoField, fault)
			}
		})
	}
	user := described(t, userProto).Messages().ByName("User")
	for path, value := range map[string]Value{
		"id": {Is: Number, Int: 5}, "i32": {Is: Number, Int: -5}, "u64": {Is: Number, Int: 5}, "s32": {Is: Number, Int: -5},
		"s64": {Is: Number, Int: -1 << 63}, "f32": {Is: Number, Int: 5}, "sf64": {Is: Number, Int: -5},
		"text": {Is: Text, Data: []byte("12")}, "account.key.number": {Is: Number, Int: 1 << 40}, "wrapped": {Is: Number, Int: 5},
		"parent.parent.id": {Is: Number, Int: 300},
	} {
		in := &grant.Input{Format: grant.FormatProtobuf, Path: path}
		of := &grant.Schema{ID: 7, Text: userProto, References: []grant.Reference{accountFile}}
		w, err := NewWriter(in, of)
		require.NoError(t, err, path)
		data := w.Append(nil, value)
		s, err := Compile(in, of)
		require.NoError(t, err)
		v, fault := s.Find(data[Header:])
		require.Empty(t, fault, path)
		require.Equal(t, value, v, path)
		m := dynamicpb.NewMessage(user)
		require.NoError(t, proto.Unmarshal(data[Header+1:], m))
		require.Empty(t, m.GetUnknown())
		require.True(t, m.Has(user.Fields().ByName(protoreflect.Name(names(path)[0]))))
		_, fault = s.Find(w.Null()[Header:])
		require.Equal(t, NoField, fault)
	}
	_, err := NewWriter(input("id", ""),
		&grant.Schema{Text: `{"type":"record","name":"R","fields":[{"name":"a","type":"R"},{"name":"id","type":"long"}]}`})
	require.ErrorIs(t, err, errEndless)
	_, err = NewWriter(input("ID", ""), &grant.Schema{Text: in(`"long"`)})
	require.EqualError(t, err, "the record User has no field ID")
	w, err := NewWriter(input("id", ""), &grant.Schema{Text: in(`"int"`)})
	require.NoError(t, err)
	require.EqualValues(t, 1<<31-1, w.Most)
	require.True(t, w.Signed())
}
