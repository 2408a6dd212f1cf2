package ledger

import (
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

var otherTopic = grant.TopicID{Cluster: aTopic.Cluster, Topic: [16]byte{9}}

// raw changes the checkpoint on every anchor, as somebody else wrote it.
func (p *player) raw(fields ...any) {
	p.w.Helper()
	for _, anchor := range p.keys.anchors {
		require.NoError(p.w, p.client.HSet(p.w.ctx, p.keys.checkpoint(anchor, p.keys.version), fields...).Err())
	}
}

func (p *player) requireOther(err error, before, now grant.TopicID) {
	p.w.Helper()
	var other *grant.OtherTopicError
	require.ErrorAs(p.w, err, &other)
	require.ErrorIs(p.w, err, grant.ErrTopicChanged)
	require.Equal(p.w, []grant.TopicID{before, now}, []grant.TopicID{other.Before, other.Now})
}

// Granter 0c10d32 wrote no topic, and brokers before 2.8 tell no more than their cluster.
func adoptsACheckpointWithoutATopic(w *world) {
	for _, before := range [][]any{{"0", 7}, {"0", 7, "topic", aTopic.Weaker().String()}} {
		p := w.join()
		w.flush()
		p.raw(before...)
		found, err := p.Begin(w.ctx, aTopic)
		require.NoError(w, err)
		require.Equal(w, grant.Offsets{0: 7}, found.Next)
		require.NoError(w, p.Checkpoint(w.ctx, nil, nil))
		_, err = p.Begin(w.ctx, otherTopic)
		p.requireOther(err, aTopic, otherTopic)
	}
}

// Where Kafka lost the end of a partition, what was read of it begins anew, in every pass; what is not beyond that stays.
func beginsAnewBehindALostTail(w *world) {
	p := w.join()
	canary, err := open(w.connect(), w.campaign(), 5, Config{Pass: grant.Pass{Key: "canary-1%"}})
	require.NoError(w, err)
	_, err = canary.Begin(w.ctx, aTopic)
	require.NoError(w, err)
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 20, 1: 5}, nil))
	require.NoError(w, canary.Checkpoint(w.ctx, grant.Offsets{0: 10}, nil))
	at := func(l *parts) grant.Offsets {
		found, err := l.Checkpoints(w.ctx)
		require.NoError(w, err)
		require.Equal(w, aTopic, found.Topic)
		return found.Next
	}
	require.NoError(w, p.BeginAnew(w.ctx, aTopic, &grant.TruncatedError{Partition: 0, End: 20}))
	require.Equal(w, grant.Offsets{0: 20, 1: 5}, at(p.parts), "nothing is lost that was read")
	require.NoError(w, p.BeginAnew(w.ctx, aTopic, &grant.TruncatedError{Partition: 0, End: 15}))
	require.Empty(w, at(p.parts))
	require.Equal(w, grant.Offsets{0: 10}, at(canary))
	require.NoError(w, p.BeginAnew(w.ctx, aTopic, &grant.TruncatedError{Partition: 0, End: -1}))
	require.Empty(w, at(canary))
	require.ErrorIs(w, p.Checkpoint(w.ctx, grant.Offsets{0: 21}, nil), ErrRegressed, "a replica that did not know begins again")
}

// A process may die while it begins anew: some anchors are of the new topic, and others still of the old one.
func countsNothingOfTwoTopics(w *world) {
	p := w.join()
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 10}, nil))
	require.NoError(w, p.client.HSet(w.ctx, p.keys.checkpoint(p.keys.anchors[0], p.keys.version), "topic", otherTopic.String()).Err())
	if len(p.keys.anchors) > 1 {
		found, err := p.Checkpoints(w.ctx)
		require.NoError(w, err)
		require.Empty(w, found.Next)
	}
	_, err := p.Begin(w.ctx, aTopic)
	p.requireOther(err, otherTopic, aTopic)
	require.NoError(w, p.BeginAnew(w.ctx, aTopic, nil))
	_, err = p.Begin(w.ctx, aTopic)
	require.NoError(w, err)
}

func namesACheckpointThatIsNone(w *world) {
	for _, field := range [][2]string{{"topic", "no slash"}, {"topic", "cluster/short"}, {"ex", "1"}, {"e1", "x"}, {"e1", "99999999999"}, {"x", "1"}} {
		p := w.join()
		p.raw(field[0], field[1])
		_, err := p.Checkpoints(w.ctx)
		require.ErrorIs(w, err, ErrInconsistent, field)
		w.flush()
	}
}
