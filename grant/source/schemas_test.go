package source

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/schema"
)

const (
	userV1 = `{"type":"record","name":"User","fields":[{"name":"id","type":"long"},{"name":"age","type":"long"}]}`
	userV2 = `{"type":"record","name":"User","fields":[{"name":"age","type":"long"},{"name":"id","type":["null","string"]}]}`
)

// avroRecord is a record as Confluent's serializer writes it.
func avroRecord(tb testing.TB, id uint32, text string, v map[string]any) []byte {
	tb.Helper()
	data, err := avro.MustParse(text).AppendEncode(binary.BigEndian.AppendUint32([]byte{0}, id), v)
	require.NoError(tb, err)
	return data
}

func avroUsers(c *Config) {
	c.Topic.Format, c.Topic.Path = grant.FormatAvro, "id"
	c.Topic.Schemas = []grant.Schema{{ID: 7, Text: userV1}, {ID: 9, Text: userV2}}
	c.Observer = &witness{}
}

// Each record is read by the schema that it names, and by no other: 30 is somebody's age and another one's ID.
func TestRecordsAreReadByTheSchemaThatTheyName(t *testing.T) {
	list := []*kgo.Record{
		{Value: avroRecord(t, 7, userV1, map[string]any{"id": int64(1), "age": int64(30)})},
		{Value: avroRecord(t, 9, userV2, map[string]any{"id": "2", "age": int64(30)})},
		{Value: avroRecord(t, 8, userV1, map[string]any{"id": int64(3), "age": int64(30)})},
		{Value: avroRecord(t, 9, userV2, map[string]any{"id": nil, "age": int64(30)})},
		{Value: []byte("4")},
		{Value: append(avroRecord(t, 7, userV1, map[string]any{"id": int64(5), "age": int64(30)}), 0)},
		{Value: avroRecord(t, 7, userV1, map[string]any{"id": int64(-6), "age": int64(30)})},
		{},
		{Value: []byte{0, 0, 0, 0, 7}},
	}
	c := fakeKafka(t, 1)
	s := prepared(t, c, avroUsers)
	for _, r := range list {
		r.Topic = topicName
	}
	produce(t, c.ListenAddrs(), list...)
	r := read(t, s, 0, 0, int64(len(list)))
	_, err := r.end()
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2}, r.ids())
	var reasons []string
	require.NoError(t, s.EachLetter(t.Context(), func(l *Letter) error {
		_, again := s.Decode(l.Parts())
		require.Equal(t, l.Reason, again)
		reasons = append(reasons, fmt.Sprint(l.Offset, " ", l.Reason))
		return nil
	}))
	require.Equal(t, []string{"2 unknown_schema", "3 missing_field", "4 no_schema_id", "5 malformed_payload", "6 negative",
		"7 empty", "8 malformed_payload"}, reasons)
}

func TestEveryKindOfIDIsReadBySchema(t *testing.T) {
	const uuid = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	const ofFixed = `{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`
	raw := "\x6b\xa7\xb8\x10\x9d\xad\x41\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8"
	for name, c := range map[string]struct {
		ids    grant.IDs
		of     string
		id     any
		want   string
		reason Reason
	}{
		"uuid":                  {grant.IDsUUID, `{"type":"string","logicalType":"uuid"}`, uuid, uuid, ""},
		"uuid, fixed":           {grant.IDsUUID, ofFixed, []byte(raw), uuid, ""},
		"uuid, bytes":           {grant.IDsUUID, `"bytes"`, []byte(raw), uuid, ""},
		"16 characters":         {grant.IDsUUID, `"string"`, "abcdefghijklmnop", "", ReasonNotUUID},
		"int64":                 {grant.IDsInt64, `"long"`, int64(-5), "-5", ""},
		"int64, text":           {grant.IDsInt64, `"string"`, "-5", "-5", ""},
		"string":                {grant.IDsString, `"string"`, "Ada", "Ada", ""},
		"string, not UTF-8":     {grant.IDsString, `"bytes"`, []byte("\xff"), "", ReasonNotUTF8},
		"dense":                 {grant.IDsDense, `"int"`, int32(5), "5", ""},
		"dense, over the limit": {grant.IDsDense, `"long"`, int64(1001), "", ReasonOverLimit},
		"dense, text":           {grant.IDsDense, `"string"`, "007", "", ReasonLeadingZero},
	} {
		text := `{"type":"record","name":"User","fields":[{"name":"id","type":` + c.of + `}]}`
		for _, from := range []grant.Part{grant.FromValue, grant.FromKey, grant.FromHeader + "h"} {
			in := grant.Input{Topic: topicName, Format: grant.FormatAvro, Path: "id", From: from, IDs: c.ids,
				Schemas: []grant.Schema{{ID: 1 << 20, Text: text}}}
			if c.ids == grant.IDsDense {
				in.MaxID = 1000
			}
			s, err := New(Config{Topic: in})
			require.NoError(t, err, name)
			data := avroRecord(t, 1<<20, text, map[string]any{"id": c.id})
			parts := map[grant.Part]*Parts{grant.FromValue: {Value: data}, grant.FromKey: {Key: data, Value: []byte{}}}[from]
			if parts == nil {
				parts = &Parts{Header: data}
			}
			id, reason := s.Decode(parts)
			require.Equal(t, c.reason, reason, name)
			if reason == "" {
				require.Equal(t, c.want, id.String(), name)
			}
			require.NoError(t, s.Close())
		}
	}
}

// A JSON Schema is not needed to find a field, and its ID still says which producer it was: others are rejected.
func TestRecordsOfAJSONSchemaAreReadAsJSON(t *testing.T) {
	in := grant.Input{Topic: topicName, Format: grant.FormatJSONSchema, Path: "user.id", From: grant.FromValue,
		Schemas: []grant.Schema{{ID: 7, Text: `{"type":"object"}`}}}
	decode, err := Decoder(in)
	require.NoError(t, err)
	for text, want := range map[string]Reason{
		"\x00\x00\x00\x00\x07" + `{"user":{"id":12}}`:   "",
		"\x00\x00\x00\x00\x07" + `{"user":{"id":"12"}}`: "",
		"\x00\x00\x00\x00\x07" + `{"user":{"id":1.5}}`:  ReasonFieldType,
		"\x00\x00\x00\x00\x07" + `{"user":{}}`:          ReasonNoField,
		"\x00\x00\x00\x00\x07" + `{"user":`:             ReasonJSON,
		"\x00\x00\x00\x00\x08" + `{"user":{"id":12}}`:   ReasonUnknownSchema,
		`{"user":{"id":12}}`:                            Reason(schema.NotFramed),
	} {
		id, reason := decode(&Parts{Value: []byte(text)})
		require.Equal(t, want, reason, "%q", text)
		if reason == "" {
			require.EqualValues(t, 12, id)
		}
	}
}
