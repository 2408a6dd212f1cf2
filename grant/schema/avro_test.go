package schema

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"

	"github.com/granter/granter/grant"
)

const uuid = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"

func input(path string, ids grant.IDs) *grant.Input {
	return &grant.Input{Format: grant.FormatAvro, Path: path, IDs: ids}
}

// in is a record schema with a field id of a type, between fields of all other types.
func in(of string) string {
	return `{"type":"record","name":"User","namespace":"a.b","fields":[
		{"name":"n","type":"null"},{"name":"b","type":"boolean"},{"name":"f","type":"float"},{"name":"d","type":"double"},
		{"name":"e","type":{"type":"enum","name":"E","symbols":["x","y"]}},
		{"name":"tags","type":{"type":"array","items":"string"}},
		{"name":"id","type":` + of + `},
		{"name":"m","type":{"type":"map","values":["null","a.b.E"]}},
		{"name":"o","type":["null","string"]},{"name":"x","type":{"type":"fixed","name":"X","size":3}}]}`
}

func around(id any) map[string]any {
	return map[string]any{
		"n": nil, "b": true, "f": float32(1), "d": 2.0, "e": "y", "tags": []any{"a", "bc"}, "id": id,
		"m": map[string]any{"k": "x", "l": nil}, "o": "text", "x": []byte("xyz"),
	}
}

// Records are written by a library that shares nothing with what reads them.
func TestIDsInAvro(t *testing.T) {
	const ofUUID, ofFour = `{"type":"string","logicalType":"uuid"}`, `{"type":"fixed","name":"F","size":4}`
	nine := map[string]any{"key": int64(9)}
	nested := `{"type":"record","name":"Key","fields":[{"name":"key","type":["null","long"]}]}`
	for name, c := range map[string]struct {
		path, of string
		ids      grant.IDs
		id       any
		want     Value
		fault    Fault
	}{
		"long":               {"id", `"long"`, "", int64(1 << 40), Value{Is: Number, Int: 1 << 40}, ""},
		"long, negative":     {"id", `"long"`, grant.IDsInt64, int64(-1 << 63), Value{Is: Number, Int: -1 << 63}, ""},
		"int":                {"id", `"int"`, "", int32(7), Value{Is: Number, Int: 7}, ""},
		"string":             {"id", `"string"`, "", "12", Value{Is: Text, Data: []byte("12")}, ""},
		"uuid":               {"id", ofUUID, grant.IDsUUID, uuid, Value{Is: Text, Data: []byte(uuid)}, ""},
		"bytes":              {"id", `"bytes"`, grant.IDsUUID, []byte("0123"), Value{Is: Bytes, Data: []byte("0123")}, ""},
		"fixed":              {"id", ofFour, grant.IDsString, []byte("abcd"), Value{Is: Bytes, Data: []byte("abcd")}, ""},
		"optional":           {"id", `["null","long"]`, "", int64(3), Value{Is: Number, Int: 3}, ""},
		"optional, null":     {"id", `["null","long"]`, "", nil, Value{}, NoField},
		"one of two":         {"id", `["string","long"]`, "", "5", Value{Is: Text, Data: []byte("5")}, ""},
		"one that is no ID":  {"id", `["double","long"]`, "", 1.5, Value{}, FieldType},
		"nested":             {"id.key", nested, "", map[string]any{"key": int64(9)}, Value{Is: Number, Int: 9}, ""},
		"nested, null":       {"id.key", nested, "", map[string]any{"key": nil}, Value{}, NoField},
		"nested in optional": {"id.key", `["null",` + nested + `]`, "", nine, Value{Is: Number, Int: 9}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := in(c.of)
			s, err := Compile(input(c.path, c.ids), &grant.Schema{Text: text})
			require.NoError(t, err)
			data, err := avro.MustParse(text).Encode(around(c.id))
			require.NoError(t, err)
			fault, why := s.Problem()
			require.Empty(t, fault, why)
			v, fault := s.Find(data)
			require.Equal(t, c.fault, fault)
			if fault == "" {
				require.Equal(t, c.want, v)
			}
			for cut := range data {
				_, fault := s.Find(data[:cut])
				require.Equal(t, Malformed, fault, "%d of %d bytes", cut, len(data))
			}
			_, fault = s.Find(append(data, 0))
			require.Equal(t, Malformed, fault, "a byte behind it")
			require.Zero(t, testing.AllocsPerRun(10, func() { s.Find(data) }))
		})
	}
}

func TestSchemasWithoutAnIDSayWhy(t *testing.T) {
	for of, c := range map[string]struct {
		path string
		ids  grant.IDs
		want string
	}{
		`"long"`:       {"ID", "", "the record User has no field ID"},
		`"int"`:        {"id.key", "", "a value of type int has no field key"},
		`"double"`:     {"id", "", "double cannot be an ID of source.id dense"},
		`"boolean"`:    {"id", grant.IDsString, "boolean cannot be an ID of source.id string"},
		`"bytes"`:      {"id", grant.IDsInt64, "bytes cannot be an ID of source.id int64"},
		`["null","E"]`: {"id", grant.IDsString, "enum cannot be an ID of source.id string"},
		`{"type":"long","logicalType":"timestamp-millis"}`: {"id", "", "timestamp-millis cannot be an ID of source.id dense"},
		`["int", "long"]`: {"id", grant.IDsUUID, "int cannot be an ID of source.id uuid"},
		`"null"`:          {"id", "", "it is null"},
	} {
		s, err := Compile(input(c.path, c.ids), &grant.Schema{Text: in(of)})
		require.NoError(t, err, of)
		fault, why := s.Problem()
		require.NotEmpty(t, fault, of)
		require.Equal(t, c.want, why)
	}
	for _, text := range []string{``, `{`, `{"type":"record"}`, `{"type":"nothing"}`, `"long" "long"`} {
		_, err := Compile(input("id", ""), &grant.Schema{Text: text})
		require.Error(t, err, text)
	}
}

// What a few bytes claim to be costs neither memory nor time.
func TestHostileAvroEnds(t *testing.T) {
	long := func(n int64) []byte { return binary.AppendVarint(nil, n) }
	record := func(of string) string {
		return `{"type":"record","name":"R","fields":[{"name":"a","type":` + of + `},{"name":"id","type":"long"}]}`
	}
	for name, c := range map[string]struct {
		text string
		data []byte
		want Fault
	}{
		"a string of 2^62 bytes":   {record(`"string"`), long(1 << 62), Malformed},
		"a string of -1 byte":      {record(`"string"`), long(-1), Malformed},
		"2^62 nulls":               {record(`{"type":"array","items":"null"}`), append(append(long(1<<62), 0), 2), ""},
		"2^62 longs":               {record(`{"type":"array","items":"long"}`), long(1 << 62), Malformed},
		"a block of -2^63 items":   {record(`{"type":"array","items":"long"}`), append(long(-1<<63), long(1<<62)...), Malformed},
		"a branch that is not":     {record(`["null","long"]`), long(2), Malformed},
		"a branch before all":      {record(`["null","long"]`), long(-1), Malformed},
		"itself in itself":         {record(`"R"`), make([]byte, 1<<16), Malformed},
		"itself, a thousand deep":  {record(`["null","R"]`), bytes.Repeat([]byte{2}, 1000), Malformed},
		"a number of eleven bytes": {record(`"long"`), []byte(strings.Repeat("\xff", 10) + "\x01"), Malformed},
	} {
		s, err := Compile(input("id", ""), &grant.Schema{Text: c.text})
		require.NoError(t, err, name)
		_, fault := s.Find(c.data)
		require.Equal(t, c.want, fault, name)
	}
}

func FuzzAvro(f *testing.F) {
	texts := []string{in(`["null","long"]`), in(`"string"`),
		`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":["null","R","string"]}},
			{"name":"id","type":"long"}]}`}
	for i, text := range texts[:2] {
		data, err := avro.MustParse(text).Encode(around(map[int]any{0: int64(7), 1: "7"}[i]))
		require.NoError(f, err)
		f.Add(i, data)
	}
	f.Add(2, []byte{2, 2, 0, 14, 0, 14})
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		text := texts[uint(which)%uint(len(texts))]
		s, err := Compile(input("id", ""), &grant.Schema{Text: text})
		require.NoError(t, err)
		v, fault := s.Find(data)
		var want any
		rest, err := avro.MustParse(text).Decode(data, &want)
		if err != nil || len(rest) > 0 {
			return // the library also refuses what only its values cannot hold, such as text that is not UTF-8
		}
		if fault == Malformed {
			return // the library believes the items where the size of their block is another, and goes deeper
		}
		id := want.(map[string]any)["id"]
		got := any(v.Int)
		switch {
		case fault == NoField:
			got = nil
		case v.Is == Text:
			got = string(v.Data)
		}
		require.Equal(t, fmt.Sprint(id), fmt.Sprint(got), "%x: %s", data, fault)
	})
}

func BenchmarkAvro(b *testing.B) {
	text := in(`["null","long"]`)
	s, err := Compile(input("id", ""), &grant.Schema{Text: text})
	require.NoError(b, err)
	data, err := avro.MustParse(text).Encode(around(int64(48_000_000)))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, fault := s.Find(data); fault != "" {
			b.Fatal(fault)
		}
	}
}

// What a schema refers to are types of their own, which may refer to others before them.
func TestTypesOfOtherSchemas(t *testing.T) {
	key := grant.Reference{Name: "com.example.Key",
		Text: `{"type":"record","name":"Key","namespace":"com.example","fields":[{"name":"id","type":"long"}]}`}
	account := grant.Reference{Name: "com.example.Account",
		Text: `{"type":"record","name":"Account","namespace":"com.example","fields":[
		{"name":"other","type":["null","Key"]},{"name":"key","type":"com.example.Key"}]}`}
	text := `{"type":"record","name":"User","fields":[{"name":"first","type":["null","com.example.Account"]},
		{"name":"account","type":"com.example.Account"}]}`
	s, err := Compile(input("account.key.id", ""), &grant.Schema{Text: text, References: []grant.Reference{key, account}})
	require.NoError(t, err)
	require.Equal(t, "the record User, whose field account.key.id is long", s.About())
	var types avro.SchemaCache
	for _, one := range []string{key.Text, account.Text} {
		_, err = types.Parse(one)
		require.NoError(t, err)
	}
	writer, err := types.Parse(text)
	require.NoError(t, err)
	value := map[string]any{"other": map[string]any{"id": int64(1)}, "key": map[string]any{"id": int64(7)}}
	data, err := writer.Encode(map[string]any{"first": value, "account": value})
	require.NoError(t, err)
	v, fault := s.Find(data)
	require.Empty(t, fault)
	require.EqualValues(t, 7, v.Int)
	_, err = Compile(input("account.key.id", ""), &grant.Schema{Text: text})
	require.ErrorContains(t, err, "com.example.Account")
	_, err = Compile(input("id", ""), &grant.Schema{Text: text, References: []grant.Reference{{Name: "a.B", Text: "{"}}})
	require.ErrorContains(t, err, "a.B: ")
}

// Who renames a field says by an alias what it was before.
func TestAFieldThatWasRenamedIsFoundByItsAlias(t *testing.T) {
	text := `{"type":"record","name":"User","fields":[{"name":"a","type":"long"},
		{"name":"user_id","aliases":["id"],"type":"long"}]}`
	s, err := Compile(input("id", ""), &grant.Schema{Text: text})
	require.NoError(t, err)
	v, fault := s.Find([]byte{2, 4})
	require.Empty(t, fault)
	require.EqualValues(t, 2, v.Int)
	require.Equal(t, "the record User, whose field id is long", s.About())
}

// A UUID is a UUID, however it is written, and no number.
func TestLogicalUUIDs(t *testing.T) {
	text, raw := `{"type":"string","logicalType":"uuid"}`, `{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`
	for _, c := range []struct {
		of   string
		ids  grant.IDs
		want string
	}{
		{text, grant.IDsUUID, ""}, {text, grant.IDsString, ""}, {raw, grant.IDsUUID, ""},
		{text, "", "uuid cannot be an ID of source.id dense"}, {text, grant.IDsInt64, "uuid cannot be an ID of source.id int64"},
		{raw, grant.IDsString, "uuid cannot be an ID of source.id string"},
	} {
		s, err := Compile(input("id", c.ids), &grant.Schema{Text: in(c.of)})
		require.NoError(t, err)
		_, why := s.Problem()
		require.Equal(t, c.want, why)
	}
}
