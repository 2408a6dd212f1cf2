package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// A collector gets a span for each flush and lookup, and no user ID.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var got collector.ExportTraceServiceRequest
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if want := "POST /v1/traces application/x-protobuf"; r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type") != want {
			t.Errorf("%s %s, want %s", r.Method, r.URL, want)
		}
		var one collector.ExportTraceServiceRequest
		if err = errors.Join(err, proto.Unmarshal(body, &one)); err != nil {
			t.Error(err)
		}
		proto.Merge(&got, &one)
	}))
	defer server.Close()
	stop, err := startTracing(t.Context(), server.URL, slog.New(slog.DiscardHandler))
	require.NoError(t, err)

	camp := &grant.Campaign{Name: "traced", Hash: "0123456789ab"}
	client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	defer client.Close()
	store, err := ledger.Open(client, camp, ledger.Config{})
	require.NoError(t, err)
	grants, reader := ledger.NewGrants(store, 1), ledger.NewReader(store)
	_, err = grants.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	const user = 7654321
	chunk, low := dense.Split(user)
	members := new(dense.Bitmap)
	members.Set(low)
	require.NoError(t, grants.Grant(t.Context(), &dense.Flush{
		Seq: 1, Ranges: []sharding.Range{{Partition: 0, First: 0, Last: 1}},
		Deltas: []dense.Delta{{Chunk: chunk, Members: members, Count: 1}},
	}))
	_, found, err := reader.Lookup(t.Context(), grant.NumberID(user))
	require.NoError(t, err)
	require.True(t, found)
	stop()

	mu.Lock()
	defer mu.Unlock()
	require.NotContains(t, got.String(), "7654321")
	names := map[string]int{}
	for _, r := range got.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				names[span.GetName()]++
			}
		}
	}
	require.Equal(t, map[string]int{"ledger.grant": 1, "ledger.lookup": 1}, names)
}

// What a collector refuses is said, with its words; a URL with a path is taken as it is.
func TestTracesThatAreRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no tenant at "+r.URL.Path, http.StatusForbidden)
	}))
	defer server.Close()
	var log written
	stop, err := startTracing(t.Context(), server.URL+"/traces", slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	_, span := otel.Tracer("test").Start(t.Context(), "test")
	span.End()
	stop()
	require.Contains(t, log.String(), "403 Forbidden")
	require.Contains(t, log.String(), "no tenant at /traces")
}

func TestTracesWantAURL(t *testing.T) {
	for _, url := range []string{"127.0.0.1:4318", "http://", "ftp://collector", "http://bad url"} {
		_, err := startTracing(t.Context(), url, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "--otlp", url)
	}
}
