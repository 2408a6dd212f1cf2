package desk

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/status"
)

// stream is a stream of events as a client reads it.
type stream struct {
	*testing.T
	response *http.Response
	lines    *bufio.Scanner
	comments []string
}

func (w *world) listen(role Role) *stream {
	w.Helper()
	r := request{method: http.MethodGet, path: base + "/events", token: w.tokens[role]}
	s := &stream{T: w.T, response: w.open(w.Context(), r)} //nolint:bodyclose // with the test
	w.Cleanup(func() { s.response.Body.Close() })
	require.Equal(w, http.StatusOK, s.response.StatusCode)
	require.Equal(w, w.cfg.Cert != "", s.response.ProtoMajor == 2)
	conforms(w.T, r.http(w.Context(), w.T, ""), s.response, []byte(": welcome\n\n"))
	require.Equal(w, "text/event-stream", s.response.Header.Get("Content-Type"))
	require.Equal(w, "no-store", s.response.Header.Get("Cache-Control"))
	s.lines = bufio.NewScanner(s.response.Body)
	s.lines.Buffer(nil, 1<<20)
	return s
}

// inBothVersions runs a test over HTTP/2, as browsers speak it with TLS, and over HTTP/1.1.
func inBothVersions(t *testing.T, fn func(t *testing.T, version func(*world))) {
	t.Helper()
	t.Run("HTTP/2", func(t *testing.T) { fn(t, func(*world) {}) })
	t.Run("HTTP/1.1", func(t *testing.T) { fn(t, plain) })
}

// next returns the next event; its name is empty at the end of the stream.
func (s *stream) next() (name, data string) {
	s.Helper()
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch field {
		case "":
			if value != "" {
				s.comments = append(s.comments, value)
			} else if name != "" {
				return name, data
			}
		case "event":
			name = value
		case "data":
			data = value
		default:
			require.Fail(s, "neither event, data nor comment", s.lines.Text())
		}
	}
	return "", ""
}

func TestEventsTellTheStatus(t *testing.T) {
	w := newWorld(t, func(w *world) { w.cfg.pace.events = 50 * time.Millisecond })
	doc, _ := described(t)
	one, two := w.listen(RoleViewer), w.listen(RoleOperator)
	for range 3 {
		for _, s := range []*stream{one, two} {
			name, data := s.next()
			require.Equal(t, "status", name)
			var v any
			require.NoError(t, json.Unmarshal([]byte(data), &v))
			require.NoError(t, doc.Components.Schemas["Status"].Value.VisitJSON(v))
		}
	}
	require.InDelta(t, 2, w.metric("listeners"), 0)
	w.order(RoleOperator, `{"action":"pause","why":"a test"}`).is(http.StatusOK)
	await(t, "the event shows the order", func() bool {
		_, data := one.next()
		var s status.Status
		require.NoError(t, json.Unmarshal([]byte(data), &s))
		return s.Control.Paused
	})

	w.redis.SetError("LOADING Redis is loading the dataset in memory")
	await(t, "the event says which parts are not as of now", func() bool {
		name, data := two.next()
		require.Equal(t, "status", name)
		var v any
		require.NoError(t, json.Unmarshal([]byte(data), &v))
		require.NoError(t, doc.Components.Schemas["Status"].Value.VisitJSON(v))
		return strings.Contains(data, "wait, or allow more time")
	})
}

// A stream outlives the time-outs of ordinary requests, and shows that it lives when there is nothing to tell.
func TestAStreamGoesOn(t *testing.T) {
	inBothVersions(t, func(t *testing.T, version func(*world)) {
		w := newWorld(t, version, func(w *world) {
			w.cfg.pace.read, w.cfg.pace.write, w.cfg.pace.request = 200*time.Millisecond, 200*time.Millisecond, time.Millisecond
			w.cfg.pace.keepalive, w.cfg.pace.events = 300*time.Millisecond, time.Second
		})
		s := w.listen(RoleViewer)
		for range 3 {
			name, _ := s.next()
			require.Equal(t, "status", name)
		}
		require.Equal(t, "welcome", s.comments[0])
		require.Equal(t, "keepalive", s.comments[1])
	})
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	w := newWorld(t)
	s := w.listen(RoleViewer)
	name, _ := s.next()
	require.Equal(t, "status", name)
	w.rotate()
	for name != "" {
		name, _ = s.next()
	}
	await(t, "nobody listens", func() bool { return w.metric("listeners") == 0 })
}

func TestAStreamEndsWithItsServer(t *testing.T) {
	w := newWorld(t)
	s := w.listen(RoleViewer)
	name, _ := s.next()
	require.Equal(t, "status", name)
	w.server.grace = patience
	require.NoError(t, w.server.Close(), "the stream is not waited for")
	for name != "" {
		name, _ = s.next()
	}
	require.Zero(t, w.metric("listeners"))
}

// A client that does not read fills its connection, is dropped, and holds up nobody.
func TestAClientThatDoesNotReadIsDropped(t *testing.T) {
	inBothVersions(t, func(t *testing.T, version func(*world)) {
		w := newWorld(t, version, func(w *world) {
			w.cfg.pace.events, w.cfg.pace.write = 200*time.Millisecond, 2*time.Second
			w.cfg.Status = func(context.Context) (*status.Status, error) {
				return &status.Status{Title: strings.Repeat("x", 4<<20)}, nil
			}
		})
		w.listen(RoleViewer) // and read nothing
		await(t, "it has joined", func() bool { return w.metric("listeners") == 1 })
		quick := w.listen(RoleOperator)
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, quick.response.Body)
		}()
		await(t, "the slow one is gone", func() bool { return w.metric("requests_total", "route", ofCampaign+"/events") > 0 })
		select {
		case <-drained:
			require.Fail(t, "the quick one is dropped, too")
		default:
		}
		quick.response.Body.Close()
		<-drained
	})
}
