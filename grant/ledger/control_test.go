package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
)

// tomorrow is a campaign that can be postponed still.
func tomorrow() *grant.Campaign {
	return &grant.Campaign{Name: "sorry-2022", Hash: "aa11", StartsAt: time.Now().Add(24 * time.Hour).Truncate(time.Second).UTC()}
}

// withOrders is a ledger that orders are given through, with a hook on every connection to a node.
func (w *world) withOrders(campaign *grant.Campaign, hook redis.Hook) *parts {
	w.Helper()
	client := w.connect()
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(hook) })
	} else {
		client.AddHook(hook)
	}
	l, err := open(client, campaign, grant.NewRunID(time.Now()), Config{RetryFor: 5 * time.Second})
	require.NoError(w, err)
	return l
}

func order(action grant.Action) grant.Order {
	return grant.Order{Action: action, Who: "jiyoon@ops", Via: "cli", Why: "a test"}
}

// did returns the audit trail.
func (w *world) did(l *parts) []grant.HistoryEntry {
	w.Helper()
	acts, err := l.History(w.ctx)
	require.NoError(w, err)
	return acts
}

// ordered returns the control.
func (w *world) ordered(l *parts) grant.Control {
	w.Helper()
	c, _, err := l.Control(w.ctx)
	require.NoError(w, err)
	return c
}

func ordersChangeBoth(w *world) {
	l, other := w.withOrders(tomorrow(), &fault{}), w.withOrders(tomorrow(), &fault{})
	before := w.now()
	c, now, err := l.Control(w.ctx)
	require.NoError(w, err)
	require.Zero(w, c)
	require.False(w, now.Before(before) || now.After(before.Add(10*time.Second)), "%s is not the time of Redis, %s", now, before)
	require.Empty(w, w.did(l))

	later := tomorrow().StartsAt.Add(time.Hour)
	var want []grant.HistoryEntry
	for i, o := range []grant.Order{
		{Action: grant.ActionPause},
		{Action: grant.ActionThrottle, Throttle: 200_000},
		{Action: grant.ActionStartEarly}, // counts no version
		{Action: grant.ActionPostpone, StartsAt: &later},
		{Action: grant.ActionPostpone},
		{Action: grant.ActionFinish, Ends: grant.Offsets{0: 7, 3: 1 << 40}},
		{Action: grant.ActionAbort},
		{Action: grant.ActionResume},
	} {
		o.Who, o.Via, o.Why = fmt.Sprint("operator ", i), "api", `a "reason" with 한글`
		w.each(func(c *redis.Client) error { return c.ScriptFlush(w.ctx).Err() }) // Redis may forget scripts at any time
		act, err := l.Order(w.ctx, o)
		require.NoError(w, err)
		require.False(w, act.At.Before(before), "by the clock of Redis")
		expected, err := c.Apply(&o, tomorrow(), act.At)
		require.NoError(w, err)
		old := c
		require.Equal(w, grant.HistoryEntry{At: act.At, Action: o.Action, Who: o.Who, Via: "api", Why: o.Why, Before: &old, After: &expected}, act)
		want = append(want, act)
		c = expected
		require.Equal(w, c, w.ordered(other))
		require.Equal(w, want, w.did(other))
	}
	require.EqualValues(w, 7, c.Version)

	_, err = l.Order(w.ctx, grant.Order{Action: grant.ActionAbort, Who: "nobody"})
	require.ErrorContains(w, err, "say why")
	require.Equal(w, want, w.did(l), "an order that is wrong in itself is none")
}

func carriesOutRivalOrders(w *world) {
	const operators, each = 6, 8
	var group errgroup.Group
	for i := range operators {
		l := w.withOrders(tomorrow(), &fault{})
		group.Go(func() error {
			for j := range each {
				o := order(grant.ActionThrottle)
				o.Throttle, o.Why = int64(i*each+j+1), fmt.Sprintf("order %d of %d", j, i)
				if act, err := l.Order(w.ctx, o); err != nil || act.After.Throttle != o.Throttle {
					return fmt.Errorf("%+v: %w", act, err)
				}
			}
			return nil
		})
	}
	require.NoError(w, group.Wait())

	l := w.withOrders(tomorrow(), &fault{})
	acts := w.did(l)
	require.Len(w, acts, operators*each)
	last, seen := &grant.Control{}, map[string]bool{}
	for i, act := range acts {
		require.Equal(w, last, act.Before, "act %d is about what the one before it left", i)
		require.Equal(w, act.Before.Version+1, act.After.Version)
		require.False(w, seen[act.Why], "%s is there twice", act.Why)
		last, seen[act.Why] = act.After, true
	}
	require.Equal(w, *last, w.ordered(l))
	require.EqualValues(w, operators*each, last.Version)
}

// deaf is a hook that loses what comes back from the next call of a script: of orders, that is what stores them.
type deaf struct {
	fault // lets all else pass

	mu    sync.Mutex
	armed bool
	reach bool   // whether the call itself gets there
	then  func() // what happens before it is tried again
}

func (d *deaf) next(reach bool, then func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed, d.reach, d.then = true, reach, then
}

func (d *deaf) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		d.mu.Lock()
		strikes := d.armed && cmd.Name() == "evalsha"
		reach, then := d.reach, d.then
		if strikes {
			d.armed = false
		}
		d.mu.Unlock()
		if !strikes || reach {
			if err := next(ctx, cmd); err != nil || !strikes {
				return err
			}
		}
		if then != nil {
			then()
		}
		cmd.SetErr(errCut)
		return errCut
	}
}

func carriesOutOnceWhenReplyIsLost(w *world) {
	hook := &deaf{}
	l, other := w.withOrders(tomorrow(), hook), w.withOrders(tomorrow(), &fault{})
	_, err := l.Order(w.ctx, order(grant.ActionThrottle)) // now all masters know the scripts
	require.NoError(w, err)
	want := w.did(l)
	carriedOut := func(o grant.Order, reach bool, then func()) {
		w.Helper()
		hook.next(reach, then)
		act, err := l.Order(w.ctx, o)
		require.NoError(w, err)
		require.False(w, hook.armed, "the reply was lost")
		require.Contains(w, w.did(other), act)
		want = append(want, act)
	}

	for _, reach := range []bool{false, true} {
		carriedOut(order(grant.ActionAbort), reach, nil)
		carriedOut(order(grant.ActionStartEarly), reach, nil)
		later := tomorrow().StartsAt.Add(time.Hour)
		postpone := order(grant.ActionPostpone)
		postpone.StartsAt = &later
		carriedOut(postpone, reach, nil)
		carriedOut(order(grant.ActionPostpone), reach, nil) // a second time it would be refused: it is not postponed
		require.Equal(w, want, w.did(l))
	}

	// Somebody resumes before the one who paused hears of it: nobody pauses again.
	var resumed grant.HistoryEntry
	carriedOut(order(grant.ActionPause), true, func() {
		var err error
		resumed, err = other.Order(w.ctx, order(grant.ActionResume))
		require.NoError(w, err)
	})
	require.Equal(w, append(want, resumed), w.did(l))
	require.False(w, w.ordered(l).Paused)

	// One that did not get there means what it means after what the other one ordered.
	hook.next(false, func() {
		_, err := other.Order(w.ctx, order(grant.ActionPause))
		require.NoError(w, err)
	})
	act, err := l.Order(w.ctx, order(grant.ActionResume))
	require.NoError(w, err)
	require.True(w, act.Before.Paused)
	require.False(w, act.After.Paused)
}

func keepsRefusals(w *world) {
	started := w.campaign() // long ago, so that it cannot be postponed
	l := w.withOrders(started, &fault{})
	first, err := l.Order(w.ctx, order(grant.ActionPause))
	require.NoError(w, err)

	refused, err := l.Order(w.ctx, order(grant.ActionPostpone))
	require.ErrorIs(w, err, grant.ErrRefused)
	require.Equal(w, first.After, refused.Before)
	require.Nil(w, refused.After)
	require.Contains(w, refused.Refused, "the campaign started at")
	require.Equal(w, []grant.HistoryEntry{first, refused}, w.did(l))
	require.Equal(w, *first.After, w.ordered(l), "nothing was changed")

	// Somebody without the right to order anything tries and tries.
	flood := func(who string, i int) grant.HistoryEntry {
		return grant.HistoryEntry{At: first.At.Add(time.Hour + time.Duration(i)), Action: "pause", Who: who, Via: "api", Refused: "no token"}
	}
	for i := range 3 * maxRefusalsOf {
		require.NoError(w, l.Refuse(w.ctx, flood("anonymous", i)))
	}
	second, err := l.Order(w.ctx, order(grant.ActionResume))
	require.NoError(w, err)
	acts := w.did(l)
	require.Equal(w, []grant.HistoryEntry{first, refused, second}, acts[:3], "orders and what others were refused is not pushed out")
	require.LessOrEqual(w, len(acts), 3+maxRefusalsOf+trimEvery)
	require.GreaterOrEqual(w, len(acts), 3+maxRefusalsOf)
	last := flood("anonymous", 3*maxRefusalsOf-1)
	require.Equal(w, last, acts[len(acts)-1])

	// A reply that is lost leaves a refusal twice in Redis, and once in what is told of it.
	require.NoError(w, l.Refuse(w.ctx, last))
	require.Len(w, w.did(l), len(acts))

	require.NoError(w, w.client.RPush(w.ctx, l.keys.history, "rubbish").Err())
	acts, err = l.History(w.ctx)
	require.ErrorIs(w, err, ErrInconsistent)
	require.Greater(w, len(acts), maxRefusalsOf, "the rest is told all the same")
}

// Of many who are refused often each keeps a share, and who was refused once keeps that.
func TestSurplusOfRefusals(t *testing.T) {
	var list []string
	add := func(who string) {
		text, err := json.Marshal(grant.HistoryEntry{Who: who, Why: strconv.Itoa(len(list))})
		require.NoError(t, err)
		list = append(list, string(text))
	}
	add("minseo")
	for i := range 40 * 60 {
		add(fmt.Sprint("mallory ", i%40))
	}
	list = append(list, "rubbish")
	gone := surplus(list)
	require.Len(t, gone, len(list)-maxRefusals)
	require.NotContains(t, gone, list[0])
	require.NotContains(t, gone, "rubbish")
	require.Equal(t, list[1:1+len(gone)-20], gone[:len(gone)-20], "the oldest of each")
	require.Empty(t, surplus(list[len(list)-maxRefusals:]))

	list = nil // where there is room for more, nobody has more than his share all the same
	for range maxRefusalsOf + 50 {
		add("mallory")
	}
	add("minseo")
	require.Equal(t, list[:50], surplus(list))
}

func namesGarbage(w *world) {
	l := w.withOrders(tomorrow(), &fault{})
	for _, text := range []string{"", "rubbish", "{}", "null", "[]", `{"version":0}`, `{"version":-1}`, `{"version":"7"}`, `{"version":1.5}`, `{"version":1}x`} {
		require.NoError(w, w.client.Set(w.ctx, l.keys.control, text, 0).Err())
		c, _, err := l.Control(w.ctx)
		require.ErrorIs(w, err, ErrInconsistent, "%q", text)
		require.ErrorContains(w, err, "granter:{sorry-2022}:control", "%q", text)
		require.Zero(w, c)
		_, err = l.Order(w.ctx, order(grant.ActionPause))
		require.ErrorIs(w, err, ErrInconsistent, "%q", text)
		require.ErrorContains(w, err, "granter:{sorry-2022}:control", "%q", text)
		require.Equal(w, text, w.client.Get(w.ctx, l.keys.control).Val(), "it is left for somebody to look at")
		require.Empty(w, w.did(l))
	}
	require.NoError(w, w.client.Set(w.ctx, l.keys.control, `{ "version": 41, "unknown": [] }`, 0).Err())
	act, err := l.Order(w.ctx, order(grant.ActionPause))
	require.NoError(w, err, "another version of granter may have written it")
	require.Equal(w, grant.Control{Version: 42, Paused: true, PausedBy: &grant.Given{At: act.At, Who: "jiyoon@ops", Why: "a test"}}, *act.After)

	// What 0c10d32 stored holds, is lifted, and is in the audit trail as it was.
	require.NoError(w, w.client.Set(w.ctx, l.keys.control, `{"version":7,"paused":false,"throttle":0,"abort":7}`, 0).Err())
	require.NotNil(w, w.ordered(l).AbortedBy)
	act, err = l.Order(w.ctx, order(grant.ActionResume))
	require.NoError(w, err)
	require.Equal(w, grant.Control{Version: 8, Resumed: 8}, *act.After)
	require.Equal(w, grant.Control{Version: 8, Resumed: 8}, w.ordered(l))
}

// listener is a hook that notes which commands come together.
type listener struct {
	fault

	mu    sync.Mutex
	heard [][]string
}

func (h *listener) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !opening(cmds) {
			names := make([]string, len(cmds))
			for i, cmd := range cmds {
				names[i] = cmd.Name()
			}
			h.mu.Lock()
			h.heard = append(h.heard, names)
			h.mu.Unlock()
		}
		return next(ctx, cmds)
	}
}

// The masters of a cluster have a clock each. One pipeline to one node gets control and time; only the control's master
// answers for the control.
func takesTimeFromTheControlsMaster(w *world) {
	hook := &listener{}
	l := w.withOrders(tomorrow(), hook)
	for range 3 {
		_, _, err := l.Control(w.ctx)
		require.NoError(w, err)
	}
	require.Equal(w, [][]string{{"get", "hmget", "time"}, {"get", "hmget", "time"}, {"get", "hmget", "time"}}, hook.heard)
}

// A replica starts while its cluster cannot be reached: it must be able to tell that from a cluster that refuses it.
func TestControlSaysThatAClusterIsAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	w := newWorldAs(t, Options{Addrs: []string{listener.Addr().String()}, Cluster: true, DialTimeout: time.Second})
	_, _, err = w.withOrders(tomorrow(), &fault{}).Control(w.ctx)
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.Equal(t, KindNetwork, unavailable.Kind)
	require.True(t, unavailable.Temporary())
}
