package desk

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/status"
)

func TestOrdersChangeTheControl(t *testing.T) {
	w := newWorld(t)
	for version, c := range []struct {
		body  string
		after grant.Control
	}{
		{`{"action":"pause","why":"complaints"}`, grant.Control{Paused: true}},
		{`{"action":"throttle","throttle":200000,"why":"slow"}`, grant.Control{Paused: true, Throttle: 200_000}},
		{`{"action":"resume","throttle":0,"starts_at":null,"why":"well again"}`, grant.Control{Throttle: 200_000, Resumed: 3}},
		{`{"action":"throttle","throttle":0,"why":"well again"}`, grant.Control{Resumed: 3}},
		{`{"action":"abort","why":"wrong spec"}`, grant.Control{Resumed: 3, Abort: 5}},
		{`{"action":"finish","why":"everybody"}`, grant.Control{Resumed: 3, Abort: 5,
			Finish: &grant.Finish{Version: 6, Ends: grant.Offsets{0: 4, 1: 10}}}},
	} {
		answer := w.order(RoleOperator, c.body)
		answer.is(http.StatusOK)
		var done ordered
		answer.into(&done)
		act := done.Act
		require.Equal(t, "sorry-2022", done.Campaign)
		c.after.Version = int64(version + 1)
		require.Equal(t, c.after, unsigned(*act.After))
		if act.After.AbortedBy != nil {
			require.Equal(t, "a-operator", act.After.AbortedBy.Who)
		}
		require.Equal(t, "a-operator", act.Who)
		require.Equal(t, "api", act.Via)
		control, _, err := w.coordination.Control(t.Context())
		require.NoError(t, err)
		require.Equal(t, *act.After, control)
	}
	require.Len(t, w.trail(), 6)
	lines := w.logged("order carried out")
	require.Len(t, lines, 6)
	require.Equal(t, []any{"pause", "a-operator", "complaints", 1.0},
		[]any{lines[0]["action"], lines[0]["who"], lines[0]["why"], lines[0]["version"]})

	var history trail
	w.get(RoleViewer, base+"/history").into(&history)
	require.Len(t, history.Acts, 6)
	require.Equal(t, grant.ActionPause, history.Acts[0].Action)
}

// unsigned is a control without who ordered it.
func unsigned(c grant.Control) grant.Control {
	c.PausedBy, c.ThrottledBy, c.AbortedBy = nil, nil, nil
	if c.Finish != nil {
		c.Finish = &grant.Finish{Version: c.Finish.Version, Ends: c.Finish.Ends}
	}
	return c
}

func TestAnOrderForATime(t *testing.T) {
	w := newWorld(t)
	answer := w.order(RoleOperator, `{"action":"pause","for":"90m","why":"Redis is moved"}`)
	answer.is(http.StatusOK)
	var done ordered
	answer.into(&done)
	require.Equal(t, done.Act.At.Add(90*time.Minute), done.Act.After.PausedBy.Until)
	require.Contains(t, string(answer.body), `"until":"`)
	for body, says := range map[string]string{
		`{"action":"pause","for":"soon","why":"x"}`:                   "want a time such as 30m or 2h",
		`{"action":"pause","for":"-2h","why":"x"}`:                    "want a time such as 30m or 2h",
		`{"action":"abort","for":"2h","why":"x"}`:                     "only pause and throttle",
		`{"action":"throttle","throttle":0,"for":"2h","why":"x"}`:     "does not come back",
		`{"action":"pause","for":"90000h","why":"for much too long"}`: "366 days",
	} {
		answer := w.order(RoleOperator, body)
		answer.is(http.StatusUnprocessableEntity)
		require.Contains(t, string(answer.body), says, body)
	}
}

func TestAStartIsPostponedAndNot(t *testing.T) {
	campaign := aCampaign()
	campaign.StartsAt = time.Now().Add(time.Hour).Truncate(time.Second)
	w := newWorld(t, func(w *world) { w.cfg.Campaign = campaign; w.serve(campaign) })
	later := campaign.StartsAt.Add(time.Hour)
	answer := w.order(RoleOperator, `{"action":"postpone","starts_at":"`+later.Format(time.RFC3339)+`","why":"late"}`)
	answer.is(http.StatusOK)
	var done ordered
	answer.into(&done)
	require.True(t, later.Equal(*done.Act.After.StartsAt))
	w.order(RoleOperator, `{"action":"postpone","starts_at":null,"why":"not late"}`).is(http.StatusOK)
	w.order(RoleOperator, `{"action":"postpone","why":"not late"}`).is(http.StatusConflict)
}

func TestAnOrderWithNothingToDoIsRefused(t *testing.T) {
	w := newWorld(t)
	const tooLate = "refused: the campaign started at 2022-11-05T09:00:00+09:00: pause it"
	require.Equal(t, tooLate, w.order(RoleOperator,
		`{"action":"postpone","starts_at":"2022-11-06T09:00:00Z","why":"late"}`).is(http.StatusConflict))
	acts := w.trail()
	require.Len(t, acts, 1)
	require.Equal(t, "a-operator", acts[0].Who)
	require.Equal(t, tooLate, acts[0].Refused)
	require.Len(t, w.logged("order refused"), 1)
}

func TestAnOrderThatMakesNoSenseIsNotGiven(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		body string
		code int
		want string
	}{
		{``, 400, "EOF"},
		{`pause`, 400, "invalid character"},
		{`[]`, 400, "cannot unmarshal"},
		{`{"action":"pause","why":"x"} {}`, 400, "something comes after"},
		{`{"action":"pause","why":"x","who":"the boss"}`, 400, `unknown field "who"`},
		{`{"action":"finish","why":"x","ends":{"0":1}}`, 400, `unknown field "ends"`},
		{`{"action":"throttle","why":"x","throttle":"9"}`, 400, "cannot unmarshal"},
		{`{"action":"throttle","why":"x","throttle":0.5}`, 400, "cannot unmarshal"},
		{`{"action":"postpone","why":"x","starts_at":"tomorrow"}`, 400, "tomorrow"},
		{`{"action":"pause","why":"` + strings.Repeat("x", maxOrder) + `"}`, 413, "16384 bytes"},
		{`null`, 422, "want pause, resume, throttle"},
		{`{}`, 422, "say why"},
		{`{"action":"pause"}`, 422, "say why"},
		{`{"action":"pause","why":"  "}`, 422, "say why"},
		{`{"action":"pause","why":"` + strings.Repeat("x", 501) + `"}`, 422, "500 at most"},
		{`{"action":"explode","why":"x"}`, 422, "want pause, resume, throttle"},
		{`{"action":"start-early","why":"x"}`, 422, "want pause, resume, throttle"},
		{`{"action":"force","why":"x"}`, 422, "want pause, resume, throttle"},
		{`{"action":"unknown","why":"x"}`, 422, "want pause, resume, throttle"},
		{`{"action":"throttle","why":"x"}`, 422, "throttle is missing"},
		{`{"action":"throttle","why":"x","throttle":-1}`, 422, "users per second"},
		{`{"action":"pause","why":"x","throttle":5}`, 422, "pause has no throttle"},
		{`{"action":"pause","why":"x","starts_at":"2022-11-06T09:00:00+09:00"}`, 422, "pause has no starts_at"},
	} {
		require.Contains(t, w.order(RoleOperator, c.body).is(c.code), c.want, c.body)
	}
	require.Empty(t, w.trail())
	require.Contains(t, w.order(RoleOperator, `{"throttle":1,"starts_at":"2022-11-06T09:00:00Z"}`).is(422), "\n",
		"all that is wrong is said")
}

// ordering is one whose orders wait.
type ordering struct {
	Coordination
	begun chan context.Context
	end   chan error
}

func (o *ordering) Order(ctx context.Context, order grant.Order) (grant.HistoryEntry, error) {
	o.begun <- ctx
	err := <-o.end
	return grant.HistoryEntry{Action: order.Action, Who: order.Who, After: &grant.Control{Version: 1}}, err
}

// Somebody orders a pause, and the telephone loses its connection.
func TestAnOrderIsCarriedOutThoughItsSenderIsGone(t *testing.T) {
	slow := &ordering{begun: make(chan context.Context), end: make(chan error)}
	w := newWorld(t, func(w *world) { slow.Coordination, w.cfg.Coordination = w.coordination, slow })
	ctx, hangUp := context.WithCancel(t.Context())
	r := to(orders)
	r.token = w.tokens[RoleOperator]
	received := r.http(ctx, t, "")
	done := make(chan bool)
	go func() {
		defer close(done)
		w.server.api.ServeHTTP(httptest.NewRecorder(), received)
	}()
	carriedOut := <-slow.begun
	hangUp()
	require.NoError(t, carriedOut.Err())
	deadline, ok := carriedOut.Deadline()
	require.True(t, ok, "it does not take for ever, though")
	require.WithinDuration(t, time.Now(), deadline, usual.request)
	slow.end <- nil
	<-done
	require.Len(t, w.logged("order carried out"), 1)
}

func TestRedisThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	w.redis.Close()
	for _, r := range []request{
		{method: http.MethodGet, path: base + "/history"},
		{method: http.MethodGet, path: base + "/users/2"}, {method: http.MethodPost, path: base + "/orders",
			body: `{"action":"pause","why":"x"}`},
	} {
		r.token = w.tokens[RoleOperator]
		answer := w.ask(r)
		detail := answer.is(http.StatusServiceUnavailable)
		require.Contains(t, detail, "cannot reach Redis: check that it runs")
		require.Equal(t, "5", answer.header.Get("Retry-After"))
		if r.method == http.MethodPost {
			require.Contains(t, detail, "look at the history before you order again")
		}
	}
	require.Len(t, w.logged("a request failed"), 3)

	answer := w.get(RoleViewer, base+"/status")
	answer.is(http.StatusOK)
	var s status.Status
	answer.into(&s)
	require.EqualValues(t, 4, s.Records, "Kafka is there")
	for _, part := range status.Parts() {
		require.Equal(t, part != status.PartKafka, s.Of(part).Error != "", part)
	}
}

// Somebody must be able to pause, and to see that it is paused, while Kafka is away.
func TestAPauseNeedsNoKafka(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.cfg.Status = func(ctx context.Context) (*status.Status, error) {
			return status.NewGatherer(aCampaign(), w.coordination, w.reader, noKafka{}).Gather(ctx)
		}
	})
	w.order(RoleOperator, `{"action":"pause","why":"a test"}`).is(http.StatusOK)
	answer := w.get(RoleViewer, base+"/status")
	answer.is(http.StatusOK)
	var s status.Status
	answer.into(&s)
	require.True(t, s.Control.Paused)
	require.Equal(t, "no broker", s.Of(status.PartKafka).Error)
	name, updates := w.listen(RoleViewer).next()
	require.Equal(t, "status", name)
	require.Contains(t, updates, `"error":"no broker"`)
}

type noKafka struct{ topic }

func (noKafka) Bounds(context.Context) (grant.Bounds, error) {
	return grant.Bounds{}, errors.New("no broker")
}

// The topic of the desk's file is not the one that users are granted out of: where it ends says nothing.
func TestFinishDoesNotEndAnotherTopic(t *testing.T) {
	spec := func(topic string) *grant.Campaign {
		c, err := campaign.Parse("spec.yaml", []byte("campaign: sorry-2022\ntitle: Sorry\nstarts_at: 2022-11-05T09:00:00+09:00\n"+
			"source: {topic: "+topic+"}\nitems:\n  - {id: cheer-up, kind: emoticon, validity: 90d}\n"))
		require.NoError(t, err)
		return c
	}
	granted := spec("users")
	w := newWorld(t, func(w *world) {
		w.cfg.Campaign = spec("others")
		w.serve(granted)
	})
	require.NoError(t, w.grants.EnsureSpec(t.Context(), granted))
	w.grant()
	require.Contains(t, w.order(RoleOperator, `{"action":"finish","why":"x"}`).is(http.StatusConflict),
		"nothing was ordered: users are granted out of the topic users")
	w.order(RoleOperator, `{"action":"pause","why":"that works always"}`).is(http.StatusOK)
}

func TestKafkaThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.cfg.Bounds = noKafka{}.Bounds
	})
	require.Contains(t, w.order(RoleOperator, `{"action":"finish","why":"enough"}`).is(http.StatusServiceUnavailable),
		"nothing was ordered: no broker")
	require.Empty(t, w.trail())
}
