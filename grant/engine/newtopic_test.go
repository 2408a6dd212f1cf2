package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// states are what a run may be in when its topic is made again.
var states = map[string]func(w *world) (change func(*Run), let func()){
	"waiting for more": func(*world) (func(*Run), func()) { return follow, func() {} },
	"paused": func(*world) (func(*Run), func()) {
		b := newBoard()
		b.control = grant.Control{Version: 1, Paused: true}
		return func(r *Run) { follow(r); b.orders(r) }, func() {}
	},
	"in the middle": func(w *world) (func(*Run), func()) {
		w.topic.hold(0, 50)
		return follow, w.topic.release
	},
}

// A topic that is made again, and is longer than before when the run looks again, is not read on in its middle: the run ends
// and names both, a later one begins anew when it is told to, and then everybody is granted.
func TestATopicThatIsMadeAgainStopsTheRun(t *testing.T) {
	for name, in := range states {
		t.Run(name, func(t *testing.T) {
			inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
				change, let := in(w)
				before := w.topic.id
				p := w.start(change)
				w.settle()
				w.topic.remake(ids(400, 1000, 1))
				let()
				err := p.wait()
				var other *grant.OtherTopicError
				require.ErrorAs(t, err, &other)
				require.Equal(t, []grant.TopicID{before, w.topic.id}, []grant.TopicID{other.Before, other.Now})
				for user := range w.store.users {
					require.Less(t, user, uint64(100), "nobody of the new topic")
				}
				require.Empty(t, w.topic.committed, "nothing is committed to the new topic")

				require.ErrorIs(t, w.start().wait(), grant.ErrTopicChanged)
				w.anew()
			})
		})
	}
}

// anew grants what the topic holds, as --new-topic does, and nobody but what it holds is waited for.
func (w *world) anew() {
	w.t.Helper()
	var why error
	p := w.start(func(r *Run) {
		r.NewTopic = func(_ context.Context, reason error) error { why = reason; return nil }
	})
	require.NoError(w.t, p.wait())
	require.ErrorIs(w.t, why, grant.ErrTopicChanged)
	record, _ := w.store.record(p.Record.Run)
	require.Equal(w.t, w.topic.id, record.Topic)
	for user := range w.topic.users() {
		require.True(w.t, w.store.users[user], "user %d", user)
	}
	require.Equal(w.t, w.topic.id, w.store.of)
	again := w.start(func(r *Run) { r.NewTopic = func(context.Context, error) error { return errors.New("asked again") } })
	require.NoError(w.t, again.wait())
}

// The leave to begin anew is for the start. What happens later stops the run all the same.
func TestTheLeaveToBeginAnewIsForTheStart(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		asked := 0
		p := w.start(follow, func(r *Run) { r.NewTopic = func(context.Context, error) error { asked++; return nil } })
		w.settle()
		w.topic.truncate(0, 40, ids(200, 1000, 1)...)
		var lost *grant.TruncatedError
		require.ErrorAs(t, p.wait(), &lost)
		require.Zero(t, asked)
	})
}

// Nor does the leave hold for what a later session finds, which begins when the group changes.
func TestTheLeaveToBeginAnewIsNotForALaterSession(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b, asked := newBoard(), 0
		p := w.start(follow, b.orders, func(r *Run) { r.NewTopic = func(context.Context, error) error { asked++; return nil } })
		w.settle()
		b.change(func() { b.control = grant.Control{Version: 1, Paused: true} }) // so that it does not read
		w.settle()
		w.topic.truncate(0, 40, ids(200, 1000, 1)...)
		w.start(follow, b.orders).cancel() // it joins, and the group changes
		var lost *grant.TruncatedError
		require.ErrorAs(t, p.wait(), &lost)
		require.Zero(t, asked)
	})
}

func TestATopicIsNotBegunAnewWithoutLeave(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		require.NoError(t, w.start().wait())
		before := w.topic.id
		w.topic.remake(ids(400, 1000, 1))
		no := errors.New("the audit trail cannot be written")
		p := w.start(func(r *Run) { r.NewTopic = func(context.Context, error) error { return no } })
		require.ErrorIs(t, p.wait(), no)
		require.Equal(t, before, w.store.of)
		require.Len(t, w.store.users, 100)
	})
}

// A run that neither reads nor commits learns of a new topic by asking for it.
func TestAPausedCanaryNoticesANewTopic(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.control = grant.Control{Version: 1, Paused: true}
		p := w.start(follow, b.orders, func(r *Run) { r.Pass.Private = true })
		w.settle()
		w.topic.remake(ids(400, 1000, 1))
		require.ErrorIs(t, p.wait(), grant.ErrTopicChanged)
	})
}

func TestALostTailStopsTheRun(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		require.NoError(t, w.start().wait())
		w.topic.truncate(0, 60, ids(140, 1000, 1)...)
		var lost *grant.TruncatedError
		require.ErrorAs(t, w.start().wait(), &lost)
		require.Equal(t, grant.TruncatedError{Partition: 0, Offset: 100, Epoch: 0, EndEpoch: 0, End: 60}, *lost)
		require.Len(t, w.store.users, 100)
		w.anew()
	})
}

// A replica that is done waits for the other one, whatever the old topic's checkpoint said.
func TestAReplicaDoesNotLeaveByTheOldTopicsCheckpoint(t *testing.T) {
	inWorld(t, newTopic(ids(200, 0, 1), ids(200, 1000, 1)), func(t *testing.T, w *world) {
		require.NoError(t, w.start().wait())
		w.topic.remake(ids(100, 2000, 1), ids(100, 3000, 1))
		w.topic.hold(0, 20)
		a := w.start(func(r *Run) { r.NewTopic = func(context.Context, error) error { return nil } })
		b := w.start()
		w.settle()
		require.Empty(t, b.done, "it waits for the other")
		a.cancel()
		require.Error(t, a.wait())
		w.settle()
		w.topic.release()
		require.NoError(t, b.wait())
		require.Len(t, w.store.users, 600)
	})
}

// A replica without a partition ends, too, when the topic is made again.
func TestAReplicaWithoutPartitionsNoticesANewTopic(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		a, b := w.start(follow), w.start(follow)
		w.settle()
		w.topic.remake(ids(400, 1000, 1))
		require.ErrorIs(t, a.wait(), grant.ErrTopicChanged)
		require.ErrorIs(t, b.wait(), grant.ErrTopicChanged)
	})
}

// A run that waits for its partitions has nothing that would notice, but for the watch.
func TestARunWithoutAnAssignmentNoticesANewTopic(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		silent, err := w.topic.Join() // a member that does not come
		require.NoError(t, err)
		p := w.start(follow)
		require.Equal(t, "no partitions assigned", p.Monitor.Ready())
		w.topic.remake(ids(400, 1000, 1))
		require.ErrorIs(t, p.wait(), grant.ErrTopicChanged)
		require.NoError(t, silent.Leave())
	})
}

// Kafka may be away when the run looks whether the topic is still the same.
func TestATopicThatCannotBeAskedForIsNotAnotherOne(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		p := w.start(follow)
		w.settle()
		w.topic.change(func() { w.topic.bindErr = errors.New("no broker answers") })
		time.Sleep(time.Minute)
		w.topic.change(func() { w.topic.bindErr = nil })
		w.topic.add(0, ids(10, 500, 1)...)
		w.settle()
		require.Len(t, w.store.users, 110)
		p.Drain()
		require.ErrorIs(t, p.wait(), ErrDrained)
	})
}

// An order to finish names offsets, and those of the topic of then mean nothing in the topic of now.
func TestAnOrderToFinishIsForTheTopicOfThen(t *testing.T) {
	inWorld(t, newTopic(ids(100, 0, 1)), func(t *testing.T, w *world) {
		b := newBoard()
		b.order(t, grant.Order{Action: grant.ActionFinish, Ends: grant.Offsets{0: 40}, Topic: w.topic.id})
		require.NoError(t, w.start(b.orders).wait())
		require.Len(t, w.store.users, 40)
		w.topic.remake(ids(200, 1000, 1))
		p := w.start(b.orders, func(r *Run) { r.NewTopic = func(context.Context, error) error { return nil } })
		require.NoError(t, p.wait())
		require.Len(t, w.store.users, 240)
	})
}
