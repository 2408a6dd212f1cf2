//go:build integration

package source

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/granter/granter/grant"
)

// evolved are the versions of one schema in the course of a topic's life.
var evolved = map[uint32]string{
	7:  `{"type":"record","name":"User","fields":[{"name":"id","type":"int"}]}`,
	8:  `{"type":"record","name":"User","fields":[{"name":"age","type":"long"},{"name":"id","type":"long"}]}`,
	9:  `{"type":"record","name":"User","fields":[{"name":"id","type":["null","long"]},{"name":"note","type":"bytes"}]}`,
	10: `{"type":"record","name":"User","fields":[{"name":"user_id","aliases":["id"],"type":"string"}]}`,
	11: `{"type":"record","name":"User","fields":[{"name":"account","type":"long"}]}`,
	12: `{"type":"record","name":"User","fields":[{"name":"next","type":["null","User"]},{"name":"id","type":"long"}]}`,
	13: `{"type":"record","name":"User","fields":[{"name":"id","type":{"type":"enum","name":"E","symbols":["a","b"]}}]}`,
}

// A topic whose schema changed again and again, in compressed batches of a real Kafka, with whatever else was written to it: each
// record is its own user or is rejected for its own reason, from the value, the key and a header.
func TestRealKafkaSchemasThatChange(t *testing.T) {
	r := srfake.New()
	defer r.Close()
	encode := func(id uint32, v map[string]any) []byte { return avroRecord(t, id, evolved[id], v) }
	for id, text := range evolved {
		r.SeedSchema(fmt.Sprint("users-", id), 1, int(id), sr.Schema{Schema: text})
		_, err := avro.Parse(text)
		require.NoError(t, err)
	}
	deep := map[string]any{"next": nil, "id": int64(99)}
	for range 10 {
		deep = map[string]any{"next": deep, "id": int64(5)}
	}
	endless := append([]byte{0, 0, 0, 0, 12}, bytes.Repeat([]byte{2}, 1<<16)...)
	large := encode(9, map[string]any{"id": int64(4), "note": bytes.Repeat([]byte("x"), 10<<20)})
	magic := append([]byte{1}, encode(7, map[string]any{"id": int32(1)})[1:]...)
	list := []written{
		{"the first", encode(7, map[string]any{"id": int32(1)}), 1, ""},
		{"widened", encode(8, map[string]any{"age": int64(77), "id": int64(1 << 40)}), 1 << 40, ""},
		{"nullable", encode(9, map[string]any{"id": int64(3), "note": []byte("x")}), 3, ""},
		{"nullable, and null", encode(9, map[string]any{"id": nil, "note": []byte("x")}), 0, ReasonNoField},
		{"10 MB", large, 4, ""},
		{"renamed, with an alias", encode(10, map[string]any{"user_id": "6"}), 6, ""},
		{"renamed", encode(11, map[string]any{"account": int64(8)}), 0, ReasonNoField},
		{"in itself", encode(12, deep), 5, ""},
		{"in itself for ever", endless, 0, ReasonMalformed},
		{"an enum", encode(13, map[string]any{"id": "b"}), 0, ReasonFieldType},
		{"another magic byte", magic, 0, ReasonNoSchemaID},
		{"of four bytes", []byte{0, 0, 0, 7}, 0, ReasonNoSchemaID},
		{"a schema that nobody has", append([]byte{0, 0, 0, 0, 99}, magic[5:]...), 0, ReasonUnknownSchema},
		{"not as its schema says", append([]byte{0, 0, 0, 0, 8}, magic[5:]...), 0, ReasonMalformed},
		{"of no bytes", []byte{}, 0, ReasonEmpty},
		{"null", nil, 0, ReasonEmpty},
	}
	for _, from := range []grant.Part{grant.FromValue, grant.FromKey, "header:user"} {
		t.Run(string(from), func(t *testing.T) { readChanging(t, r.URL(), from, list) })
	}
}

type written struct {
	what   string
	data   []byte
	id     int64
	reason Reason
}

func readChanging(t *testing.T, url string, from grant.Part, list []written) {
	topic := "schemas-" + strings.ReplaceAll(string(from), ":", "-")
	w := &witness{}
	k, s := shared1(t, topic, map[string]string{"max.message.bytes": "33554432"}, func(c *Config) {
		c.Topic.Format, c.Topic.Path, c.Topic.From, c.Topic.Registry, c.Observer = grant.FormatAvro, "id", from, url, w
	})
	require.NoError(t, s.Prepare(t.Context()))
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers...), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(32<<20), kgo.MaxBufferedBytes(64<<20))
	require.NoError(t, err)
	defer client.Close()
	var records []*kgo.Record
	var ids []int64
	var reasons []string
	for _, one := range list {
		rec := &kgo.Record{Value: one.data}
		switch {
		case from == grant.FromKey:
			rec = &kgo.Record{Key: one.data, Value: []byte{}}
		case from.Header() != "": // of two the last one counts
			rec = &kgo.Record{Headers: []kgo.RecordHeader{{Key: "user", Value: list[0].data}, {Key: "user", Value: one.data}}}
		}
		records = append(records, rec)
		if one.reason == "" {
			ids = append(ids, one.id)
		} else {
			reasons = append(reasons, string(one.reason))
		}
	}
	switch {
	case from == grant.FromKey:
		records, reasons = append(records, &kgo.Record{Key: list[0].data}), append(reasons, string(ReasonTombstone))
	case from.Header() != "":
		records, reasons = append(records, &kgo.Record{Value: list[0].data}), append(reasons, string(ReasonNoHeader))
	}
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	r := read(t, s, 0, 0, int64(len(records)))
	p, err := r.end()
	require.NoError(t, err)
	require.EqualValues(t, len(records), p.Next)
	require.ElementsMatch(t, ids, r.ids())
	require.Equal(t, reasons, w.rejected)
	letters := 0
	require.NoError(t, s.EachLetter(t.Context(), func(l *Letter) error {
		_, again := s.Decode(l.Parts())
		require.Equal(t, l.Reason, again, "%d", l.Offset)
		letters++
		return nil
	}))
	require.Equal(t, len(reasons), letters)
}
