package source

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/granter/granter/grant"
)

// byRegistry is a source of Avro records whose schemas a registry has, and the registry; away makes it fail.
func byRegistry(t *testing.T, records []*kgo.Record, options ...func(*Config)) (s *Source, away *atomic.Int64) {
	t.Helper()
	r := srfake.New()
	t.Cleanup(r.Close)
	r.SeedSchema("users-value", 1, 7, sr.Schema{Schema: userV1})
	r.SeedSchema("users-value", 2, 9, sr.Schema{Schema: userV2})
	r.SeedSchema("orders-value", 1, 10, sr.Schema{Schema: `{}`, Type: sr.TypeJSON})
	away = &atomic.Int64{}
	r.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		status := int(away.Load())
		if status != 0 && strings.HasSuffix(req.URL.Path, "/9") {
			http.Error(w, "not now", status)
			return true
		}
		return false
	})
	c := fakeKafka(t, 1)
	s = prepared(t, c, append([]func(*Config){func(c *Config) {
		c.Topic.Format, c.Topic.Path, c.Topic.Registry = grant.FormatAvro, "id", r.URL()
		c.Observer = &witness{}
	}}, options...)...)
	for _, rec := range records {
		rec.Topic = topicName
	}
	produce(t, c.ListenAddrs(), records...)
	return s, away
}

func first(t *testing.T, id int64) *kgo.Record {
	return &kgo.Record{Value: avroRecord(t, 7, userV1, map[string]any{"id": id, "age": int64(30)})}
}

func second(t *testing.T, id string) *kgo.Record {
	return &kgo.Record{Value: avroRecord(t, 9, userV2, map[string]any{"id": id, "age": int64(30)})}
}

func TestSchemasAreAskedOfTheRegistry(t *testing.T) {
	other := first(t, 5)
	other.Value[4] = 8 // which nobody has
	json := &kgo.Record{Value: []byte("\x00\x00\x00\x00\x0a{}")}
	s, _ := byRegistry(t, []*kgo.Record{first(t, 1), second(t, "2"), first(t, 3), other, json, {Value: []byte("6")},
		second(t, "7")})
	r := read(t, s, 0, 0, 7)
	_, err := r.end()
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3, 7}, r.ids())
	w, _ := s.cfg.Observer.(*witness)
	require.Equal(t, []string{"unknown_schema", "unusable_schema", "no_schema_id"}, w.rejected)

	var users []string // another source, which has asked nobody yet
	again := newSource(t, s.cfg.Kafka.Brokers, func(c *Config) { c.Topic = s.cfg.Topic })
	_, err = again.Read(t.Context(), 0, 0, 7, func(_ int64, p *Parts) error {
		if id, reason := again.Decode(p); reason == "" {
			users = append(users, id.String())
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "3", "7"}, users)
	again = newSource(t, s.cfg.Kafka.Brokers, func(c *Config) { c.Topic = s.cfg.Topic })
	found := 0
	require.NoError(t, again.Find(t.Context(), 0, 0, 7, func(p *Parts) bool { _, reason := again.Decode(p); return reason == "" },
		func(Record) error { found++; return nil }, func(int64) {}))
	require.Equal(t, 4, found)
}

// While the registry is away the run waits, and has handed over what it read before; nobody is skipped, nothing is rejected.
func TestARunWaitsForTheRegistry(t *testing.T) {
	s, away := byRegistry(t, []*kgo.Record{first(t, 1), first(t, 2), second(t, "3"), first(t, 4)}, forever)
	away.Store(http.StatusServiceUnavailable)
	r := read(t, s, 0, 0, 4)
	w, _ := s.cfg.Observer.(*witness)
	require.Eventually(t, func() bool { return len(w.errors()) > 0 }, patience, time.Millisecond)
	r.reaches(2)
	require.Equal(t, []int64{1, 2}, r.ids())
	require.EqualValues(t, 2, r.position().Next)
	require.Subset(t, []string{"registry"}, w.errors())
	away.Store(0)
	p, err := r.end()
	require.NoError(t, err)
	require.EqualValues(t, 4, p.Next)
	require.Equal(t, []int64{1, 2, 3, 4}, r.ids())
	require.Empty(t, w.rejected)
}

// A run that has waited for long enough, or that the registry refuses, stops before the record.
func TestARunStopsWhereTheRegistryDoesNotSay(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusServiceUnavailable: "503 Service Unavailable: not now; nobody is skipped: a later run begins with this record",
		http.StatusUnauthorized:       "401 Unauthorized: not now (are --registry-user",
	} {
		s, away := byRegistry(t, []*kgo.Record{first(t, 1), second(t, "2"), first(t, 3)}, func(c *Config) {
			c.RetryFor = time.Millisecond
		})
		away.Store(int64(status))
		r := read(t, s, 0, 0, 3)
		p, err := r.end()
		require.ErrorContains(t, err, want)
		require.EqualValues(t, 1, p.Next)
		require.Equal(t, []int64{1}, r.ids())
		w, _ := s.cfg.Observer.(*witness)
		require.Empty(t, w.rejected)
		for _, looking := range []error{
			second2(s.Read(t.Context(), 0, 1, 2, func(int64, *Parts) error { return nil })),
			s.Find(t.Context(), 0, 1, 2, func(*Parts) bool { return true }, func(Record) error { return nil }, func(int64) {}),
			s.PingRegistry(t.Context()),
		} {
			if looking != nil {
				require.ErrorContains(t, looking, "not now")
			}
		}
	}
}

func second2(_ int64, err error) error { return err }
