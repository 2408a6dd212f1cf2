package population

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

const (
	avroNumber = `{"type":"record","name":"User","fields":[{"name":"name","type":"string"},{"name":"id","type":["null","long"]}]}`
	avroText   = `{"type":"record","name":"User","fields":[{"name":"id","type":"string"}]}`
	avroRaw    = `{"type":"record","name":"User","fields":[{"name":"id","type":{"type":"fixed","name":"U","size":16}}]}`
	protoFile  = `syntax = "proto3"; message User { int64 id = 1; uint32 small = 2; string text = 3;
		bytes raw = 4; User in = 5; }`
)

// Whoever reads a population as a run does finds each valid ID, and rejects each bad record for the reason that its kind has.
func TestRecordsOfAPopulationWithSchemas(t *testing.T) {
	reasons := map[Kind]source.Reason{
		KindEmpty: source.ReasonEmpty, KindTombstone: source.ReasonEmpty, KindLetters: source.ReasonNoSchemaID,
		KindSchema: source.ReasonUnknownSchema, KindTruncated: source.ReasonMalformed, KindNull: source.ReasonNoField,
		KindMissing: source.ReasonNoField, KindNegative: source.ReasonNegative, KindOverLimit: source.ReasonOverLimit,
		KindSpaces: source.ReasonNotUUID,
	}
	for name, c := range map[string]struct {
		format grant.Format
		ids    grant.IDs
		path   string
		text   string
		max    uint64
	}{
		"avro":                {grant.FormatAvro, "", "id", avroNumber, 1 << 40},
		"avro, any number":    {grant.FormatAvro, grant.IDsInt64, "id", avroNumber, 0},
		"avro, uuid":          {grant.FormatAvro, grant.IDsUUID, "id", avroText, 0},
		"avro, uuid in bytes": {grant.FormatAvro, grant.IDsUUID, "id", avroRaw, 0},
		"avro, string":        {grant.FormatAvro, grant.IDsString, "id", avroText, 0},
		"avro, digits":        {grant.FormatAvro, "", "id", avroText, 0},
		"protobuf":            {grant.FormatProtobuf, "", "in.id", protoFile, 1 << 40},
		"protobuf, 32 bits":   {grant.FormatProtobuf, "", "small", protoFile, 1<<32 - 1},
		"protobuf, uuid":      {grant.FormatProtobuf, grant.IDsUUID, "text", protoFile, 0},
		"protobuf, raw":       {grant.FormatProtobuf, grant.IDsUUID, "raw", protoFile, 0},
		"json":                {grant.FormatJSONSchema, "", "user.id", `{}`, 1 << 40},
		"json, string":        {grant.FormatJSONSchema, grant.IDsString, "user.id", `{}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in := grant.Input{Topic: "t", Format: c.format, Path: c.path, From: grant.FromValue, IDs: c.ids, MaxID: c.max,
				Schemas: []grant.Schema{{ID: 3, Text: c.text}, {ID: 7, Text: c.text}}}
			s, err := source.New(source.Config{Topic: in})
			require.NoError(t, err)
			defer s.Close()
			p, err := newPayload(in)
			require.NoError(t, err)
			kinds := map[Kind]int{}
			for r := range (Plan{Topic: in, Users: 200, First: 1, Malformed: 1, Seed: 1}).Records {
				var data []byte
				if r.Kind.Valid() {
					data = make([]byte, p.size(r.ID))
					p.put(data, r.ID)
				} else {
					data = p.malformed(r)
				}
				kinds[r.Kind]++
				id, reason := s.Decode(&source.Parts{Value: data})
				if r.Kind.Valid() {
					require.Empty(t, reason)
					require.Equal(t, r.ID, id)
					continue
				}
				want := reasons[r.Kind]
				if c.format == grant.FormatJSONSchema && r.Kind == KindTruncated {
					want = source.ReasonJSON
				}
				require.Equal(t, want, reason, "%s: %x", r.Kind, data)
			}
			require.Equal(t, 200, kinds[KindFirst])
			require.GreaterOrEqual(t, len(kinds), 6)
		})
	}
	for name, c := range map[string]struct {
		in   grant.Input
		want string
	}{
		"no schema": {grant.Input{Format: grant.FormatAvro, Path: "id"}, "schemas: there is none to write records by"},
		"too small": {grant.Input{Format: grant.FormatProtobuf, Path: "small", Schemas: []grant.Schema{{ID: 7, Text: protoFile}}},
			"write max_id: 4294967295 under source"},
		"no number": {grant.Input{Format: grant.FormatProtobuf, Path: "small", IDs: grant.IDsInt64,
			Schemas: []grant.Schema{{ID: 7, Text: protoFile}}}, "write a long"},
		"any length": {grant.Input{Format: grant.FormatAvro, Path: "id", IDs: grant.IDsString,
			Schemas: []grant.Schema{{ID: 7, Text: avroRaw}}}, "the ID is a fixed of 16 bytes"},
	} {
		c.in.Topic = "t"
		require.ErrorContains(t, Plan{Topic: c.in, Users: 1}.Validate(), c.want, name)
	}
}
