package preflight

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/schema"
	"github.com/granter/granter/grant/source"
)

func frame(id uint32, payload string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), payload...)
}

// Whoever forgot that a registry is in front is told so, with the lines to write.
func TestRecordsOfARegistryAreNamed(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	for i := range h.kafka.samples {
		for k := range h.kafka.samples[i].Records {
			h.kafka.samples[i].Records[k] = source.Sampled{
				Offset: int64(k), Reason: source.ReasonNotDecimal, Fits: grant.IDsString,
				Data: frame(uint32(7+2*(k%2)), "\x02\x04"),
			}
		}
	}
	r := h.judge()
	wellFormed(t, r)
	result := find(t, r, "sample.valid")
	assert.Equal(t, Fail, result.Status)
	assert.Contains(t, result.Detail, "they look like records of a schema registry: a 0, and the ID of a schema, 7 (")
	assert.Contains(t, result.Advice, "format: avro")
	assert.Contains(t, result.Advice, "registry: URL")
	assert.Contains(t, result.Advice, "schemas: [{id: 7, file: FILE}, {id: 9, file: FILE}]")
}

func TestStringsThatARegistryIsInFrontOfAreNoIDs(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.in.Campaign.Input.IDs, h.in.Campaign.Input.Format, h.in.Campaign.Input.MaxID = grant.IDsString, grant.FormatText, 0
	for i := range h.kafka.samples {
		for k := range h.kafka.samples[i].Records {
			id := grant.TextID(string(frame(7, string(rune('a'+k%26))+"user")) + string(rune('a'+k/26)))
			h.kafka.samples[i].Records[k] = source.Sampled{Offset: int64(k), ID: id}
		}
	}
	result := find(t, h.judge(), "sample.plausible")
	assert.Equal(t, Fail, result.Status)
	assert.Contains(t, result.Detail, "records of a schema registry")
	assert.Contains(t, result.Advice, "{id: 7, file: FILE}")
}

func TestTheSchemasThatATopicNamesAreListed(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	in := &h.in.Campaign.Input
	in.Format, in.Path, in.Schemas = grant.FormatAvro, "id", []grant.Schema{{ID: 7}, {ID: 9}}
	for i := range h.kafka.samples {
		for k := range h.kafka.samples[i].Records {
			h.kafka.samples[i].Records[k].Schema = 7
		}
	}
	r := h.judge()
	wellFormed(t, r)
	result := find(t, r, "sample.schemas")
	assert.Equal(t, Pass, result.Status)
	assert.Contains(t, result.Detail, "records name 1 schema: 7 (")
	record := &h.kafka.samples[1].Records[3]
	*record = source.Sampled{Offset: 3, Schema: 8, Reason: source.ReasonUnknownSchema, Data: frame(8, "")}
	result = find(t, h.judge(), "sample.schemas")
	assert.Equal(t, Warn, result.Status)
	assert.Contains(t, result.Detail, "8 (1 record)")
	assert.Contains(t, result.Advice, "{id: 8, file: FILE}")
	in.Format = grant.FormatDecimal
	for _, result := range h.judge().Results {
		assert.NotEqual(t, "sample.schemas", result.Name)
	}
}

// A check asks the registry, and says of which subject each schema of a sample is, and what has the ID in it. Where the
// registry is away, or refuses, that is what fails, and not the topic.
func TestTheRegistryIsAsked(t *testing.T) {
	r := srfake.New()
	defer r.Close()
	r.SeedSchema("users-value", 1, 7, sr.Schema{Schema: `{"type":"record","name":"User","fields":[{"name":"id","type":"long"}]}`})
	r.SeedSchema("orders-value", 1, 8,
		sr.Schema{Schema: `{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}`})
	var status atomic.Int64
	r.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		switch {
		case status.Load() != 0:
			http.Error(w, "no", int(status.Load()))
		case strings.HasSuffix(req.URL.Path, "/subjects"):
			fmt.Fprint(w, `["users-value"]`)
		default:
			return false
		}
		return true
	})
	in := input(t, fakeKafka(t, kfake.SeedTopics(1, "users")), fakeRedis(t))
	in.Campaign.Input.Format, in.Campaign.Input.Path, in.Campaign.Input.Registry = grant.FormatAvro, "id", r.URL()
	var values []string
	for id := range 200 {
		values = append(values, string(frame(7, string(binary.AppendVarint(nil, int64(id))))))
	}
	produce(t, in.Kafka.Brokers, "users", 0, values...)
	report := Check(t.Context(), in)
	assert.Equal(t, Result{Name: "sample.registry", Status: Pass, Detail: "the schema registry answers: " + r.URL()},
		find(t, report, "sample.registry"))
	assert.Equal(t, "records name 1 schema: 7 (200 records, of users-value: the record User, whose field id is long)",
		find(t, report, "sample.schemas").Detail)
	assert.Equal(t, Pass, find(t, report, "sample.valid").Status)

	produce(t, in.Kafka.Brokers, "users", 0, string(frame(9, "\x02")), string(frame(8, "\x02")))
	result := find(t, Check(t.Context(), in), "sample.schemas")
	assert.Equal(t, Warn, result.Status)
	assert.Contains(t, result.Detail, "the registry does not have, and would be rejected: 9 (1 record)")

	for code, advice := range map[int]string{
		http.StatusServiceUnavailable: "a run would wait for it, and then stop", http.StatusForbidden: "a run would stop at " +
			"the first record",
	} {
		status.Store(int64(code))
		report = Check(t.Context(), in)
		result = find(t, report, "sample.registry")
		assert.Equal(t, Fail, result.Status)
		assert.Contains(t, result.Advice, advice)
		for _, other := range report.Results {
			assert.NotEqual(t, "sample.valid", other.Name)
		}
	}
}

func TestRecordsOfSeveralTypesAreNamed(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	in := &h.in.Campaign.Input
	in.Format, in.Path, in.Registry = grant.FormatAvro, "id", "https://schemas.example"
	h.kafka.schemas = map[uint32]*schema.Schema{}
	for id, name := range map[uint32]string{7: "User", 8: "Order"} {
		var err error
		h.kafka.schemas[id], err = schema.Compile(in, &grant.Schema{Text: `{"type":"record","name":"` + name +
			`","fields":[{"name":"id","type":"long"}]}`})
		require.NoError(t, err)
	}
	for i := range h.kafka.samples {
		for k := range h.kafka.samples[i].Records {
			r := &h.kafka.samples[i].Records[k]
			if r.Schema, r.Type = 7, "User"; k%4 == 0 {
				r.Schema, r.Type = 8, "Order"
			}
		}
	}
	result := find(t, h.judge(), "sample.schemas")
	assert.Equal(t, Warn, result.Status)
	assert.Equal(t, "records are of 2 types: Order (200 records), User (600 records); all that have the field id are "+
		"granted", result.Detail)
}
