package publish

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

var aSecret = []byte(strings.Repeat("k", minSecret))

// hook is somebody's server.
type hook struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	ids      []string       // of the requests
	events   map[string]int // ID → how often
	order    []event
	answer   func(n int) int // the status of a request, by its number
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{events: map[string]int{}, answer: func(int) int { return 204 }}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.requests, h.ids = append(h.requests, r), append(h.ids, r.Header.Get(headerID))
		if code := h.answer(len(h.requests)); code != 204 {
			w.WriteHeader(code)
			return
		}
		at, err := strconv.ParseInt(r.Header.Get(headerTimestamp), 10, 64)
		if err != nil || r.Header.Get(headerSignature) != sign(aSecret, r.Header.Get(headerID), at, body) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var some []event
		if body[0] != '[' {
			body = append(append([]byte{'['}, body...), ']')
		}
		if json.Unmarshal(body, &some) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, e := range some {
			h.events[e.ID]++
			h.order = append(h.order, e)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) has() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.events)
}

func (h *hook) target(t *testing.T, batch int) Target {
	t.Helper()
	to := NewWebhook(Webhook{URL: h.URL, Secret: aSecret, Batch: batch, Timeout: 10 * time.Second, Calls: 2})
	t.Cleanup(to.Close)
	return to
}

// The signature is that of the example of Standard Webhooks.
func TestTheSignatureIsTheStandardOne(t *testing.T) {
	key, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, []byte(`{"test": 2432232314}`)))
	for _, bad := range []string{
		"", "whsec_", "whsec_short", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"whsec_" + base64.StdEncoding.EncodeToString([]byte("x")),
	} {
		_, err := ParseSecret(bad)
		require.ErrorContains(t, err, "makes one", bad)
	}
}

func TestWebhooksGetEachEvent(t *testing.T) { onEachLayout(t, onWebhooksGetEachEvent) }

func onWebhooksGetEachEvent(t *testing.T, ids grant.IDs) {
	for _, batch := range []int{1, 7} {
		h, w := newHook(t), newWorld(t, miniredis.RunT(t).Addr(), ids)
		w.grant(w.span(100, 30)...)
		w.grant(w.span(1<<16, 5)...)
		h.answer = func(n int) int {
			if code, ok := map[int]int{2: 500, 3: 429, 5: 503}[n]; ok {
				return code
			}
			return 204
		}
		w.once(h.target(t, batch))
		w.holds(h.order)
		for _, r := range h.requests {
			require.Equal(t, r.Header.Get(headerID), r.Header.Get("Idempotency-Key"))
		}
	}
}

// One that is dead is said to be, keeps its place, and holds up no other.
func TestADeadSubscriberHoldsUpNobody(t *testing.T) {
	dead, alive, w := newHook(t), newHook(t), newWorld(t, miniredis.RunT(t).Addr(), grant.IDsDense)
	w.grant(w.span(100, 30)...)
	dead.answer = func(int) int { return 410 }
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	first := w.publisher(dead.target(t, 10))
	second := w.publisher(alive.target(t, 10), func(c *Config) { c.Name = "other" })
	work.Go(func() { first.Follow(ctx) })
	work.Go(func() { second.Follow(ctx) })
	require.Eventually(t, func() bool { return alive.has() == 30 && first.Health().State == StateFailing },
		time.Minute, time.Millisecond)
	require.Contains(t, first.Health().Error, "it answers 410 Gone")
	require.Positive(t, w.count("failing"))
	told := func(name string, state grant.SubscriberState) (one grant.Subscriber) {
		require.Eventually(t, func() bool {
			all, err := w.coordination.Subscribers(t.Context())
			require.NoError(t, err)
			for _, s := range all {
				if s.Name == name && s.State == state {
					one = s
					return true
				}
			}
			return false
		}, time.Minute, time.Millisecond, "%s is %s in the ledger, for whoever looks there", name, state)
		return one
	}
	s := told(first.Name, grant.SubscriberFailing)
	require.Contains(t, s.Error, "it answers 410 Gone")
	require.Nil(t, s.Last)
	s = told("other", grant.SubscriberCurrent)
	require.NotNil(t, s.Last)
	require.Equal(t, grant.SubscriberCurrent, s.AsOf(s.At.Add(10*time.Second)).State)
	require.Equal(t, grant.SubscriberSilent, s.AsOf(s.At.Add(20*time.Second)).State, "nobody says anything any more")
	dead.mu.Lock()
	dead.answer = func(int) int { return 204 }
	dead.mu.Unlock()
	require.Eventually(t, func() bool { return dead.has() == 30 && first.Health().State == StateCurrent },
		time.Minute, time.Millisecond)
	stop()
	work.Wait()
	s = told(first.Name, grant.SubscriberStopped)
	require.Equal(t, grant.SubscriberStopped, s.AsOf(s.At.Add(time.Hour)).State, "which was wanted")
	w.holds(dead.order)
}

// One that takes requests and never answers is failing like a dead one, holds up nobody, and gets everything when it answers.
// Nobody waits for it, not even until its timeout: another one has a timeout of an hour here.
func TestASlowSubscriberHoldsUpNobody(t *testing.T) {
	slow, alive, w := newHook(t), newHook(t), newWorld(t, miniredis.RunT(t).Addr(), grant.IDsDense)
	w.grant(w.span(100, 30)...)
	answers := make(chan struct{})
	handler := slow.Config.Handler
	var waiting atomic.Int64
	slow.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		waiting.Add(1)
		select {
		case <-answers:
			handler.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
	to := NewWebhook(Webhook{URL: slow.URL, Secret: aSecret, Batch: 10, Timeout: time.Second, Calls: 2})
	t.Cleanup(to.Close)
	patient := NewWebhook(Webhook{URL: slow.URL, Secret: aSecret, Batch: 10, Timeout: time.Hour, Calls: 2})
	t.Cleanup(patient.Close)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	third := w.publisher(patient, func(c *Config) { c.Name = "patient" })
	work.Go(func() { third.Follow(ctx) })
	require.Eventually(t, func() bool { return waiting.Load() > 0 }, time.Minute, time.Millisecond, "it waits for answers")
	first := w.publisher(to)
	second := w.publisher(alive.target(t, 10), func(c *Config) { c.Name = "other" })
	work.Go(func() { first.Follow(ctx) })
	work.Go(func() { second.Follow(ctx) })
	require.Eventually(t, func() bool { return alive.has() == 30 && first.Health().State == StateFailing },
		time.Minute, time.Millisecond)
	require.Contains(t, first.Health().Error, "Client.Timeout exceeded")
	require.NotEqual(t, StateFailing, third.Health().State)
	close(answers)
	require.Eventually(t, func() bool {
		return slow.has() == 30 && first.Health().State == StateCurrent && third.Health().State == StateCurrent
	}, time.Minute, time.Millisecond)
	stop()
	work.Wait()
}

// One that fails again and again is asked by one request at a time, after pauses that become longer, and not by all that wait.
func TestWhoFailsAgainAndAgainIsSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(breaker)
		down := errors.New("down")
		began := time.Now()
		var asked []time.Duration
		for range breakAfter + 4 {
			require.NoError(t, b.enter(t.Context(), 10*time.Second))
			asked = append(asked, time.Since(began))
			b.leave(down)
		}
		require.Equal(t, []time.Duration{0, 0, 0, 0, 0, 1e9, 3e9, 7e9, 15e9}, asked)
		for range 9 {
			b.leave(down)
		}
		began = time.Now()
		require.NoError(t, b.enter(t.Context(), 10*time.Second))
		require.Equal(t, maxPause, time.Since(began))
		soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, b.enter(soon, 10*time.Second), context.DeadlineExceeded, "while one asks, the others wait")
		b.leave(nil)
		require.NoError(t, b.enter(t.Context(), 10*time.Second), "it takes something: nobody waits")
	})
}

// A failure that does not pass ends --once, and the next one begins where it was.
func TestARefusalKeepsThePlace(t *testing.T) { onEachLayout(t, onARefusalKeepsThePlace) }

func onARefusalKeepsThePlace(t *testing.T, ids grant.IDs) {
	h, w := newHook(t), newWorld(t, miniredis.RunT(t).Addr(), ids)
	w.grant(w.span(100, 30)...)
	h.answer = func(n int) int {
		if n > 2 {
			return 401
		}
		return 204
	}
	err := w.publisher(h.target(t, 10)).Once(t.Context())
	require.ErrorContains(t, err, "it answers 401 Unauthorized")
	require.Equal(t, 20, h.has())
	h.answer = func(int) int { return 204 }
	w.once(h.target(t, 10))
	require.Len(t, h.order, 30, "in the middle of an entry")
	w.holds(h.order)
}

func TestATimeIsSentAgain(t *testing.T) { onEachLayout(t, onATimeIsSentAgain) }

func onATimeIsSentAgain(t *testing.T, ids grant.IDs) {
	mini := miniredis.RunT(t)
	h, w := newHook(t), newWorld(t, mini.Addr(), ids)
	at := time.Now().Truncate(time.Second).UTC()
	for i := range 4 {
		mini.SetTime(at.Add(time.Duration(i) * time.Minute))
		w.grant(w.span(uint64(100*i), 3)...)
	}
	mini.SetTime(time.Time{})
	to := h.target(t, 2)
	w.once(to)
	require.NoError(t, w.publisher(to).Resend(t.Context(), at.Add(time.Minute), at.Add(3*time.Minute)))
	twice := 0
	for _, n := range h.events {
		twice += n - 1
	}
	require.Equal(t, 6, twice, "with the same IDs")
	w.once(to)
	require.Len(t, h.order, 18, "no cursor has moved")
}

func TestFilesOfSubscribers(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "s"), []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600))
	load := func(text string) ([]Subscriber, error) {
		file := filepath.Join(folder, "w.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return LoadSubscribers(file)
	}
	all, err := load("webhooks:\n  - {name: billing, url: 'https://b.example/x', secret_file: s, only: [granted], batch: 100}\n" +
		"  - {name: here, url: 'http://127.0.0.1:1/x', secret_file: s, timeout_seconds: 3, calls: 9}\n")
	require.NoError(t, err)
	require.Equal(t, []Type{TypeGranted}, all[0].Only)
	require.Equal(t, []int{100, 1, 4, 9}, []int{all[0].Batch, all[1].Batch, all[0].Calls, all[1].Calls})
	require.Equal(t, 3*time.Second, all[1].Timeout)
	_, err = load("webhooks:\n  - {name: A, url: 'http://b.example', secret_file: none, only: [all], batch: 0, more: 1}\n" +
		"  - {name: b, url: 'https://b', secret_file: s}\n  - {name: b, url: 'https://u:p@b', secret_file: s}\n")
	for _, says := range []string{
		"w.yaml:2: webhooks[0].name:", "want https://", "no such file", "is no type of event", "out of range", "more",
		"also the name of another one",
	} {
		require.ErrorContains(t, err, says)
	}
	_, err = load("webhooks: billing\n")
	require.ErrorContains(t, err, "must be a list")
}
