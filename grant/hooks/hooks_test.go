package hooks

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/publish"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/metrics"
)

func aCampaign() *grant.Campaign {
	return &grant.Campaign{Name: "sorry-2022", Title: "Sorry", Hash: strings.Repeat("5f", 32)}
}

// stage is a campaign whose status is what the test says, and those who watch it.
type stage struct {
	*testing.T
	board *ledger.Coordination
	mini  *miniredis.Miniredis
	mu    sync.Mutex
	now   status.Status
	lost  int
	reg   *prometheus.Registry
	told  *metrics.Hooks
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, mini: miniredis.RunT(t), reg: prometheus.NewRegistry()}
	s.board = boardOf(t, s.mini.Addr())
	at := time.Now()
	for _, part := range status.Parts() {
		s.now.Parts = append(s.now.Parts, status.Part{Part: part, At: &at})
	}
	s.now.Campaign, s.now.Title, s.now.Phase, s.now.Expected = "sorry-2022", "Sorry", status.PhaseWaiting, 1000
	s.told = metrics.NewHooks(s.reg, "sorry-2022", "h")
	return s
}

func boardOf(t testing.TB, addr string) *ledger.Coordination {
	t.Helper()
	client, err := ledger.Connect(ledger.Options{Addrs: []string{addr}})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	store, err := ledger.Open(client, aCampaign(), ledger.Config{RetryFor: 20 * time.Second})
	require.NoError(t, err)
	return ledger.NewCoordination(store)
}

// is changes how the campaign stands.
func (s *stage) is(change func(*status.Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Runs = slices.Clone(s.now.Runs) // who has looked before may still read those
	change(&s.now)
}

func running(st *status.Status) {
	st.Phase = status.PhaseRunning
	st.Runs = []status.Replica{{RunRecord: grant.RunRecord{Run: 7, State: grant.RunRunning}, Live: true}}
}

func (s *stage) config(who string, all ...Hook) Config {
	return Config{
		Campaign: aCampaign(), Hooks: all, Who: who, Board: s.board, Every: 5 * time.Millisecond, Grace: 20 * time.Second,
		Metrics: s.told,
		Log:     slog.New(slog.NewTextHandler(s.Output(), nil)),
		Status: func(context.Context) (*status.Status, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			st := s.now
			return &st, nil
		},
		Lost: func(context.Context) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.lost, nil },
	}
}

// server is somebody's server, which keeps what it got.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string // Idempotency-Key
	bodies []string
	signed int
	answer func(w http.ResponseWriter, r *http.Request, n int)
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.got, s.bodies = append(s.got, r.Header.Get("Idempotency-Key")), append(s.bodies, string(body))
		if r.Header.Get("Webhook-Signature") != "" {
			s.signed++
		}
		n, answer := len(s.got), s.answer
		s.mu.Unlock()
		if answer != nil {
			answer(w, r, n)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.got...)
}

func (s *server) hook(changes ...func(*Hook)) Hook {
	h := Hook{
		Name: "h", Timeout: 10 * time.Second, Retry: time.Minute,
		Webhook: publish.Webhook{URL: s.URL, Secret: []byte(strings.Repeat("k", 24)), Timeout: 10 * time.Second, Calls: 1},
	}
	for _, change := range changes {
		change(&h)
	}
	return h
}

func (s *stage) eventually(what string, is func() bool) {
	s.Helper()
	require.Eventually(s, is, time.Minute, 2*time.Millisecond, what)
}

// follow watches until the function that it returns is called, which waits.
func (s *stage) follow(cfg Config) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { New(cfg).Follow(ctx) })
	return func() { cancel(); work.Wait() }
}

// Three processes watch; one after the other leads. Each event is told once for all of them.
func TestEachEventOnceForTheCampaign(t *testing.T) {
	s, web := newStage(t), newServer(t)
	var stops []func()
	for _, who := range []string{"a", "b", "c"} {
		stops = append(stops, s.follow(s.config(who, web.hook())))
	}
	told := func(n int) { s.eventually("told", func() bool { return len(web.ids()) == n }) }
	s.is(running)
	told(1)
	s.is(func(st *status.Status) {
		st.Holds = []grant.Hold{{Cause: grant.CauseOperator, Detail: "by mira"}}
	})
	told(2)
	stops[0]()
	s.is(func(st *status.Status) { st.Holds, st.Percentage, st.Granted = nil, 51, 510 })
	told(3)
	s.is(func(st *status.Status) {
		failed := grant.RunRecord{Run: 8, Host: "x", State: grant.RunFailed, Error: "out of disk"}
		st.Runs = append(st.Runs, status.Replica{RunRecord: failed})
	})
	told(4)
	stops[1]()
	s.is(func(st *status.Status) {
		st.Phase = status.PhaseFinished
		st.Runs[0].State = grant.RunFinished
		st.Runs[0].Live = false
	})
	stops[2]() // what happened until then is told still
	ids := web.ids()
	require.Len(t, ids, 5)
	require.Regexp(t, `^sorry-2022/hold/operator_pause/\d+$`, ids[1])
	require.Equal(t, []string{
		"sorry-2022/start", "sorry-2022/half", "sorry-2022/failure/0000000000000008", "sorry-2022/end/finished",
	}, []string{ids[0], ids[2], ids[3], ids[4]})
	require.Equal(t, 5, web.signed)
	require.Contains(t, web.bodies[3], `"message":"sorry-2022: run 0000000000000008 on x failed: out of disk"`)
	require.Contains(t, web.bodies[0], `"type":"granter.run.start"`)

	late := s.follow(s.config("d", web.hook()))
	late()
	require.Len(t, web.ids(), 5, "it is known")
}

// A campaign that was over before anybody watched it is no news, nor is a run that failed then.
func TestWhatWasBeforeIsNoNews(t *testing.T) {
	s, web := newStage(t), newServer(t)
	s.is(func(st *status.Status) {
		st.Phase, st.Percentage = status.PhaseFinished, 100
		st.Runs = []status.Replica{{RunRecord: grant.RunRecord{Run: 8, State: grant.RunFailed}}}
	})
	s.follow(s.config("a", web.hook()))()
	require.Empty(t, web.ids())
}

// A server that answers slowly, with errors, redirects or without end is called again in bounded time, is seen in the metrics,
// and holds up no other hook.
func TestAHookThatFailsHoldsUpNobody(t *testing.T) {
	s, good, elsewhere := newStage(t), newServer(t), newServer(t)
	var bad []*server
	release := make(chan struct{})
	for _, answer := range []func(http.ResponseWriter, *http.Request, int){
		func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusGone) },
		func(w http.ResponseWriter, r *http.Request, _ int) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		func(_ http.ResponseWriter, r *http.Request, _ int) {
			select {
			case <-r.Context().Done():
			case <-release:
			}
		},
		func(w http.ResponseWriter, r *http.Request, _ int) {
			w.WriteHeader(http.StatusInternalServerError)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		},
	} {
		web := newServer(t)
		web.answer = answer
		bad = append(bad, web)
	}
	defer close(release)
	all := []Hook{good.hook()}
	for i, web := range bad {
		all = append(all, web.hook(func(h *Hook) {
			h.Name, h.Timeout, h.Retry = string(rune('a'+i)), 100*time.Millisecond, 1200*time.Millisecond
		}))
	}
	stop := s.follow(s.config("x", all...))
	s.is(running)
	s.is(func(st *status.Status) { st.Percentage = 60 })
	s.eventually("the good one is told", func() bool { return len(good.ids()) == 2 })
	s.eventually("the others are given up", func() bool {
		n := 0.0
		for i := range bad {
			n += testutil.ToFloat64(s.told.GivenUp.WithLabelValues(string(rune('a' + i))))
		}
		return n == float64(2*len(bad))
	})
	require.Positive(t, testutil.ToFloat64(s.told.Failing.WithLabelValues("a")))
	require.Zero(t, testutil.ToFloat64(s.told.Failing.WithLabelValues("h")))
	stop()
	require.Empty(t, elsewhere.ids(), "a redirect is not followed")
	require.Greater(t, len(bad[0].ids()), 2, "it was tried again")
}

// Something that comes and goes is told once; what passes soon is not told at all.
func TestWhatComesAndGoes(t *testing.T) {
	st := status.Status{Campaign: "c", Phase: status.PhaseRunning}
	running(&st)
	o := &outlook{Status: &st, campaign: aCampaign(), now: time.Now()}
	s := first(o)
	ids := func() (out []string) {
		for _, e := range s.learn(o) {
			out = append(out, string(e.Kind)+" "+e.Cause)
		}
		return out
	}
	require.Equal(t, []string{"start "}, ids())
	for range 30 {
		st.Holds = []grant.Hold{{Cause: grant.CauseLatency}}
		require.Empty(t, ids())
		o.now = o.now.Add(settle / 2)
		st.Holds = nil
		require.Empty(t, ids())
	}
	st.Holds = []grant.Hold{{Cause: grant.CauseLatency}}
	require.Empty(t, ids())
	o.now = o.now.Add(settle)
	require.Equal(t, []string{"hold latency"}, ids())
	for range 30 {
		st.Holds = nil
		o.now = o.now.Add(quiet / 2)
		require.Empty(t, ids())
		st.Holds = []grant.Hold{{Cause: grant.CauseLatency}}
		require.Empty(t, ids())
	}
	st.Holds = nil
	o.now = o.now.Add(2 * quiet)
	require.Equal(t, []string{"released latency"}, ids())
	o.lost = 1
	require.Empty(t, ids())
	o.now = o.now.Add(settle)
	require.Equal(t, []string{"alert replica_lost"}, ids())
	st.Phase, st.Control.AbortedBy = status.PhaseAborted, &grant.Given{At: o.now}
	require.Equal(t, []string{"end "}, ids())
	require.Empty(t, ids())
}

func TestTemplatesForChats(t *testing.T) {
	e := Event{Title: `The "night"`, Message: "line\none", Granted: 7}
	body := fill(`{"text": "{title}: {message} ({granted}/{expected})", "blocks": []}`, &e)
	var read map[string]any
	require.NoError(t, json.Unmarshal(body, &read))
	require.Equal(t, "The \"night\": line\none (7/0)", read["text"])
	require.NoError(t, checkTemplate(`{"text": "{message_ko}"}`))
	require.ErrorContains(t, checkTemplate(`{"text": "{mesage}"}`),
		"{mesage} is no field of an event: write some of {at}, {campaign}")
	require.ErrorContains(t, checkTemplate(`{"text": {message}}`), "inside of quotes")
}

func TestFilesOfHooks(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	write("u", "https://chat.example/secret\n")
	write("s", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
	all, err := Load(write("h.yaml", `hooks:
  - {name: chat, url_file: u, body: '{"text": "{message_ko}"}', on: [start, end]}
  - {name: ours, url: 'http://127.0.0.1:1/x', secret_file: s, timeout_seconds: 3, retry_seconds: 9}
  - {name: page, program: [/bin/notify, ops]}
`))
	require.NoError(t, err)
	require.Equal(t, "https://chat.example/secret", all[0].Webhook.URL)
	require.False(t, all[0].wants(KindHalf))
	require.True(t, all[1].wants(KindHalf))
	require.Equal(t, []string{"/bin/notify", "ops"}, all[2].Program)
	require.Equal(t, []time.Duration{3 * time.Second, 9 * time.Second}, []time.Duration{all[1].Timeout, all[1].Retry})
	_, err = Load(write("h.yaml", `hooks:
  - {name: A, url: 'http://b.example', program: [x], on: [all], body: '{x}', more: 1}
  - {name: b, url_file: none, secret_file: s}
  - {name: b}
`))
	for _, says := range []string{
		"h.yaml:2: hooks[0].name:", "want https://", "is no kind of event", "Say one of url, url_file and program", "is no field",
		"more", "no such file", "also the name of another one",
	} {
		require.ErrorContains(t, err, says)
	}
}

// How each hook takes what it is told is in the ledger: for the status, wherever whoever tells it runs.
func TestHowHooksStandIsToldInTheLedger(t *testing.T) {
	s, good, bad := newStage(t), newServer(t), newServer(t)
	var mend atomic.Bool
	bad.answer = func(w http.ResponseWriter, _ *http.Request, _ int) {
		if !mend.Load() {
			w.WriteHeader(http.StatusGone)
		}
	}
	stop := s.follow(s.config("x", good.hook(), bad.hook(func(h *Hook) { h.Name = "chat" })))
	standing := func(name string) (out grant.Subscriber) {
		all, err := s.board.Subscribers(t.Context())
		require.NoError(t, err)
		for _, one := range all {
			if one.Name == name {
				out = one
			}
		}
		return out
	}
	s.is(running)
	s.eventually("it fails", func() bool {
		at := standing("hook:chat")
		return at.State == grant.SubscriberFailing && at.Failures > 1 && at.Behind == 1 && strings.Contains(at.Error, "410")
	})
	s.eventually("the other one is told", func() bool {
		at := standing("hook:h")
		return at.State == grant.SubscriberCurrent && at.Last != nil && at.Behind == 0 && at.Failures == 0
	})
	mend.Store(true)
	s.eventually("it is told", func() bool {
		at := standing("hook:chat")
		return at.State == grant.SubscriberCurrent && at.Last != nil && at.Failures == 0 && at.Error == "" && at.Behind == 0
	})
	stop()
	require.Equal(t, grant.SubscriberStopped, standing("hook:chat").State)
}
