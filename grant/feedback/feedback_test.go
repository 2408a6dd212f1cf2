package feedback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseLimits(t *testing.T) {
	for text, want := range map[string]Limits{
		"":                                   {},
		"  ":                                 {},
		"latency=500ms":                      {Latency: 500 * time.Millisecond},
		"memory=85%":                         {Memory: 0.85},
		"memory=0.85":                        {Memory: 0.85},
		"memory=100%":                        {Memory: 1},
		"lag=64MB":                           {Lag: 64 << 20},
		"lag=1B":                             {Lag: 1},
		"lag=3 kb":                           {Lag: 3 << 10},
		"lag=2gb":                            {Lag: 2 << 30},
		"lag=4294967296GB":                   {Lag: 1 << 62},
		"latency=500ms,memory=85%,lag=64MB":  {Latency: 500 * time.Millisecond, Memory: 0.85, Lag: 64 << 20},
		" lag=64MB , memory=85%, latency=1s": {Latency: time.Second, Memory: 0.85, Lag: 64 << 20},
	} {
		got, err := ParseLimits(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}

	const wantBytes = "want a number of bytes above 0 with its unit"
	for text, want := range map[string][]string{
		"latency":                          {`"latency": `},
		"latency=":                         {`"latency=": `},
		"latency=500":                      {"missing unit"},
		"latency=0":                        {"not above 0"},
		"latency=-1s":                      {"not above 0"},
		"memory=0%":                        {"not above 0"},
		"memory=101%":                      {"want a percentage"},
		"memory=85":                        {"want a percentage"},
		"memory=NaN":                       {"want a percentage"},
		"lag=64":                           {wantBytes},
		"lag=MB":                           {wantBytes},
		"lag=0MB":                          {wantBytes},
		"lag=-1MB":                         {wantBytes},
		"lag=1.5MB":                        {wantBytes},
		"lag=64TB":                         {wantBytes},
		"lag=4294967297GB":                 {wantBytes},
		"lag=99999999999999":               {wantBytes},
		"cpu=50%":                          {`"cpu=50%": want latency=500ms, memory=85% or lag=64MB`},
		"latency=1s,":                      {`"": want latency`},
		"Latency=1s":                       {"want latency"},
		"latency=x,memory=y%,lag=z,disk=1": {`"latency=x"`, `"memory=y%"`, `"lag=z"`, `"disk=1"`}, // all at once
	} {
		_, err := ParseLimits(text)
		require.Error(t, err, "%q", text)
		for _, part := range want {
			require.ErrorContains(t, err, part, "%q", text)
		}
	}
}

// redis answers what a test says, or fails.
type redis struct {
	health grant.RedisHealth
	err    error
	hangs  bool
}

func (r *redis) Pulse(ctx context.Context) (grant.RedisHealth, error) {
	if r.hangs {
		<-ctx.Done()
		return grant.RedisHealth{MemoryBytes: 7}, ctx.Err()
	}
	return r.health, r.err
}

func causes(holds []grant.Hold) []grant.Cause {
	out := []grant.Cause{}
	for _, h := range holds {
		out = append(out, h.Cause)
	}
	return out
}

// At the limit is not above it.
func TestWhatIsAboveItsLimitSlowsTheRun(t *testing.T) {
	limits := Limits{Latency: 500 * time.Millisecond, Memory: 0.5, Lag: 100}
	at := grant.RedisHealth{MemoryBytes: 500, MemoryLimit: 1000, ReplicaLag: 100}
	for _, test := range []struct {
		name    string
		limits  Limits
		latency time.Duration
		health  func(h *grant.RedisHealth)
		slow    []grant.Cause
		detail  string // of the first
	}{
		{"all at their limits", limits, 500 * time.Millisecond, nil, nil, ""},
		{"latency above", limits, 500*time.Millisecond + 1, nil, []grant.Cause{grant.CauseLatency},
			"took 500ms, the limit is 500ms"},
		{"latency far above", limits, 1234567 * time.Microsecond, nil, []grant.Cause{grant.CauseLatency},
			"took 1.235s, the limit is 500ms"},
		{
			"memory above", limits, 0, func(h *grant.RedisHealth) { h.MemoryBytes++ },
			[]grant.Cause{grant.CauseMemory}, "Redis uses 50.1% of its memory, the limit is 50%",
		},
		{"memory without a limit", limits, 0, func(h *grant.RedisHealth) { h.MemoryLimit = 0 }, nil, ""},
		{"memory that is not known", limits, 0, func(h *grant.RedisHealth) { h.MemoryBytes = -1 }, nil, ""},
		{
			"lag above", limits, 0, func(h *grant.RedisHealth) { h.ReplicaLag++ },
			[]grant.Cause{grant.CauseReplicaLag}, "101 bytes behind, the limit is 100",
		},
		{
			"everything above", limits, time.Minute, func(h *grant.RedisHealth) { h.MemoryBytes, h.ReplicaLag = 999, 1<<40 },
			[]grant.Cause{grant.CauseLatency, grant.CauseMemory, grant.CauseReplicaLag}, "1m0s",
		},
		{"everything above, and no limits", Limits{}, time.Hour,
			func(h *grant.RedisHealth) { h.MemoryBytes, h.ReplicaLag = 999, 1<<40 }, nil, ""},
		{
			"a percentage that has no exact float", Limits{Memory: 0.29}, 0, nil,
			[]grant.Cause{grant.CauseMemory}, "Redis uses 50.0% of its memory, the limit is 29%",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			health := at
			if test.health != nil {
				test.health(&health)
			}
			f := &Feedback{Redis: &redis{health: health}, SlowAt: test.limits}
			m := f.Measure(t.Context(), test.latency)
			require.ElementsMatch(t, test.slow, causes(m.Slow))
			require.Empty(t, m.Stop)
			require.False(t, m.Unsure)
			health.LatencySeconds = test.latency.Seconds()
			require.Equal(t, health, m.Redis)
			if test.slow != nil {
				require.Contains(t, m.Slow[0].Detail, test.detail)
			}

			// The same numbers are critical where they are limits to pause at.
			f.SlowAt, f.PauseAt = Limits{}, test.limits
			m = f.Measure(t.Context(), test.latency)
			require.Empty(t, m.Slow)
			require.Len(t, m.Stop, len(test.slow))
			for i, h := range m.Stop {
				require.Equal(t, grant.CauseCritical, h.Cause)
				require.True(t, strings.HasSuffix(h.Detail, ": paused until it is below that"), h.Detail)
				require.True(t, i > 0 || strings.Contains(h.Detail, test.detail), h.Detail)
			}
		})
	}
}

// A Redis that does not report makes nobody slow, and nobody faster.
func TestWhatCannotBeMeasuredMakesItUnsure(t *testing.T) {
	f := &Feedback{
		Redis: &redis{health: grant.RedisHealth{MemoryBytes: 999, MemoryLimit: 1000, ReplicaLag: 1 << 40},
			err: errors.New("NOPERM")},
		SlowAt: Limits{Latency: time.Second, Memory: 0.5, Lag: 1}, PauseAt: Limits{Memory: 0.5},
	}
	m := f.Measure(t.Context(), 100*time.Millisecond)
	require.Equal(t, grant.Measurement{Unsure: true, Redis: grant.RedisHealth{LatencySeconds: 0.1, MemoryBytes: -1,
		ReplicaLag: -1}}, m)
	require.Equal(t, []grant.Cause{grant.CauseLatency}, causes(f.Measure(t.Context(), 2*time.Second).Slow),
		"latency is known all the same")
}

// One answer that does not come makes a critical Redis no better.
func TestACriticalRedisStaysCriticalUntilItSaysOtherwise(t *testing.T) {
	server := &redis{health: grant.RedisHealth{MemoryBytes: 96, MemoryLimit: 100}}
	f := &Feedback{Redis: server, SlowAt: Limits{Memory: 0.85}, PauseAt: Limits{Memory: 0.95}}
	require.Equal(t, []grant.Cause{grant.CauseCritical}, causes(f.Measure(t.Context(), 0).Stop))
	server.err = errors.New("i/o timeout")
	m := f.Measure(t.Context(), 0)
	require.Equal(t, []grant.Cause{grant.CauseCritical}, causes(m.Stop))
	require.Equal(t, []grant.Cause{grant.CauseMemory}, causes(m.Slow))
	require.True(t, m.Unsure)
	require.EqualValues(t, -1, m.Redis.MemoryBytes, "it is not said to be known")
	server.err, server.health.MemoryBytes = nil, 50
	require.Empty(t, f.Measure(t.Context(), 0).Stop)
}

func TestAMeasurementThatComesLateIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Feedback{Redis: &redis{hangs: true}}
		began := time.Now()
		m := f.Measure(t.Context(), 0)
		require.Equal(t, pulseFor, time.Since(began))
		require.True(t, m.Unsure)
		require.EqualValues(t, -1, m.Redis.MemoryBytes)
	})
}

// prometheus is a server whose answers are decided by the test.
type prometheus struct {
	asked  int
	answer func(ctx context.Context) (vector string, err error)
}

func (p *prometheus) RoundTrip(r *http.Request) (*http.Response, error) {
	p.asked++
	vector, err := p.answer(r.Context())
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(result("vector", vector)))}, nil
}

func (p *prometheus) query(expr string) *Query {
	return &Query{expr: expr, client: http.Client{Transport: p}, url: "http://prometheus/api/v1/query",
		log: slog.New(slog.DiscardHandler)}
}

// vectorOf is a vector of one series.
func vectorOf(value int) string { return fmt.Sprintf(`[{"metric":{},"value":[0,"%d"]}]`, value) }

func TestAQueryThatReturnsSomethingSlowsTheRun(t *testing.T) {
	api := &prometheus{answer: func(context.Context) (string, error) { return vectorOf(3), nil }}
	q := api.query("up")
	f := &Feedback{Redis: &redis{}, Query: q}
	m := f.Measure(t.Context(), 0)
	require.Equal(t, []grant.Cause{grant.CauseQuery}, causes(m.Slow))
	require.False(t, m.Unsure)
	require.Empty(t, m.Stop)

	api.answer = func(context.Context) (string, error) { return "", errors.New("it is gone") }
	q.askedAt = time.Time{}
	m = f.Measure(t.Context(), 0)
	require.Empty(t, m.Slow)
	require.True(t, m.Unsure, "it does not speed up on no answer")
	require.True(t, f.Measure(t.Context(), 0).Unsure, "nor on the repeated one")

	api.answer = func(context.Context) (string, error) { return "[]", nil }
	q.askedAt = time.Time{}
	m = f.Measure(t.Context(), 0)
	require.Empty(t, m.Slow)
	require.False(t, m.Unsure)
}

func TestAQueryIsAskedEveryFiveSecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := 200 * time.Millisecond
		api := &prometheus{}
		api.answer = func(context.Context) (string, error) {
			time.Sleep(takes)
			return vectorOf(api.asked), nil
		}
		q := api.query("up")
		ask := func() string {
			detail, err := q.Ask(t.Context())
			require.NoError(t, err)
			return detail
		}
		first := ask()
		require.Equal(t, "up returns 1 series: {} = 1", first)
		for range 49 {
			time.Sleep(100 * time.Millisecond)
			require.Equal(t, first, ask(), "the last answer is repeated")
		}
		require.Equal(t, 1, api.asked)
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, "up returns 1 series: {} = 2", ask())

		// One that hangs is given up, is unsure until it is asked again, and forgets what it said before.
		api.answer = func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}
		time.Sleep(queryEvery)
		began := time.Now()
		_, err := q.Ask(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, queryFor, time.Since(began))
		detail, err := q.Ask(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, detail)
		require.Equal(t, 3, api.asked)
	})
}
