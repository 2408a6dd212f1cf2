package ledgertest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/dense/densetest"
)

func grantsOnce(s *subject) {
	densetest.RunSink(s.T, func() dense.Sink { return s.join() }, s.Granted)
}

func grantsInShards(s *subject) {
	m := s.join()
	var want []uint64
	var work errgroup.Group
	for shard := range 4 {
		ids := append(densetest.Many(uint64(shard)*dense.ChunkSize, 100), uint64(shard)<<30|1<<29)
		first, second := m.flushes.Next(shard, ids[:50]...), m.flushes.Next(shard, ids[50:]...)
		want = append(want, ids...)
		work.Go(func() error {
			if err := m.Grant(s.Context(), first); err != nil {
				return err
			}
			return m.Grant(s.Context(), second)
		})
	}
	require.NoError(s, work.Wait())
	s.holds(want...)
}

func keepsTheSpec(s *subject) {
	m := s.join()
	m.grants([]uint64{7})
	other := aCampaign()
	other.Hash, other.Canonical = "bb22", []byte("spec: two\n")
	require.Error(s, s.Join(99, other).EnsureSpec(s.Context(), other))
	require.NoError(s, m.EnsureSpec(s.Context(), aCampaign()), "the same one again")
	s.join().grants([]uint64{7, 8}, 7)
}

func keepsTheStart(s *subject) {
	m := s.join()
	m.NotBefore(s.Now().Add(time.Hour))
	f := m.flushes.Next(1, 7, 8)
	var early *grant.EarlyError
	require.ErrorAs(s, m.Grant(s.Context(), f), &early)
	require.WithinDuration(s, s.Now().Add(time.Hour), early.Start, 10*time.Minute)
	s.holds()
	m.NotBefore(s.Now().Add(-time.Second))
	require.NoError(s, m.Grant(s.Context(), f))
	densetest.Tells(s, f, []uint64{7, 8}, nil)
	s.holds(7, 8)
}

func keepsTheEnd(s *subject) {
	c := aCampaign()
	c.EndsAt = s.Now().Add(-time.Second)
	m := s.joinAs(c)
	require.ErrorIs(s, m.Grant(s.Context(), m.flushes.Next(1, 7)), grant.ErrEnded)
	s.holds()
}

func keepsCheckpoints(s *subject) {
	a, b := s.join(), s.join()
	require.NoError(s, a.Checkpoint(s.Context(), grant.Offsets{0: 10, 1: 20}, nil))
	require.NoError(s, b.Checkpoint(s.Context(), grant.Offsets{1: 15, 2: 0}, nil))
	require.NoError(s, a.Checkpoint(s.Context(), grant.Offsets{0: 5}, nil))
	require.NoError(s, a.Checkpoint(s.Context(), nil, nil))
	want := grant.Offsets{0: 10, 1: 20, 2: 0}
	for _, m := range []*member{a, b, s.join()} {
		found, err := m.Checkpoints(s.Context())
		require.NoError(s, err)
		require.Equal(s, want, found.Next)
		require.Equal(s, aTopic, found.Topic)
		require.Equal(s, want, m.begin())
	}
}

func keepsEpochs(s *subject) {
	m := s.join()
	require.NoError(s, m.Checkpoint(s.Context(), grant.Offsets{0: 10, 1: 5}, map[int]int32{0: 3, 1: 0}))
	require.NoError(s, m.Checkpoint(s.Context(), grant.Offsets{0: 8, 1: 6}, map[int]int32{0: 2}), "0 is behind what is there, and 1 not known")
	found, err := m.Checkpoints(s.Context())
	require.NoError(s, err)
	require.Equal(s, grant.Offsets{0: 10, 1: 6}, found.Next)
	require.Equal(s, map[int]int32{0: 3}, found.Epochs)
	require.EqualValues(s, -1, found.Epoch(1))
}

func (s *subject) otherTopic(err error, before, now grant.TopicID) {
	s.Helper()
	var other *grant.OtherTopicError
	require.ErrorAs(s, err, &other)
	require.ErrorIs(s, err, grant.ErrTopicChanged)
	require.Equal(s, []grant.TopicID{before, now}, []grant.TopicID{other.Before, other.Now})
}

// A replica that still reads the topic of before neither raises the checkpoint of the new one, nor the other way round.
func keepsTopics(s *subject) {
	zombie, fresh := s.join(), s.join()
	require.NoError(s, zombie.Checkpoint(s.Context(), grant.Offsets{0: 10}, nil))
	_, err := fresh.Begin(s.Context(), otherTopic)
	s.otherTopic(err, aTopic, otherTopic)
	_, err = fresh.Begin(s.Context(), grant.TopicID{Cluster: "elsewhere", Topic: aTopic.Topic})
	require.ErrorIs(s, err, grant.ErrTopicChanged)
	_, err = fresh.Begin(s.Context(), aTopic.Weaker())
	require.ErrorIs(s, err, grant.ErrTopicChanged, "a broker that cannot tell is not believed")

	require.NoError(s, fresh.BeginAnew(s.Context(), otherTopic, nil))
	found, err := fresh.Begin(s.Context(), otherTopic)
	require.NoError(s, err)
	require.Empty(s, found.Next)
	s.otherTopic(zombie.Checkpoint(s.Context(), grant.Offsets{0: 11}, nil), otherTopic, aTopic)
	require.NoError(s, fresh.Checkpoint(s.Context(), grant.Offsets{0: 4}, nil))
	s.otherTopic(zombie.Checkpoint(s.Context(), grant.Offsets{0: 12}, nil), otherTopic, aTopic)
	require.NoError(s, fresh.BeginAnew(s.Context(), otherTopic, nil), "another replica with the same flag, or this one started again")
	found, err = zombie.Checkpoints(s.Context())
	require.NoError(s, err)
	require.Equal(s, grant.Checkpoint{Topic: otherTopic, Next: grant.Offsets{0: 4}, Epochs: map[int]int32{}}, found)
	require.Empty(s, found.Of(aTopic).Next)
}

func beginsAnew(s *subject) {
	m := s.join()
	require.NoError(s, m.Checkpoint(s.Context(), grant.Offsets{0: 20, 1: 5}, nil))
	at := func() grant.Offsets {
		found, err := m.Checkpoints(s.Context())
		require.NoError(s, err)
		require.Equal(s, aTopic, found.Topic)
		return found.Next
	}
	require.NoError(s, m.BeginAnew(s.Context(), aTopic, &grant.TruncatedError{Partition: 0, End: 20}))
	require.Equal(s, grant.Offsets{0: 20, 1: 5}, at(), "nothing is lost that was read")
	require.NoError(s, m.BeginAnew(s.Context(), aTopic, &grant.TruncatedError{Partition: 0, End: 15}))
	require.Empty(s, at())
	require.ErrorIs(s, m.Checkpoint(s.Context(), grant.Offsets{0: 21}, nil), grant.ErrRegressed, "a replica that did not know begins again")
}

func noticesLoss(s *subject) {
	m := s.join()
	m.grants([]uint64{7})
	s.Lose()
	require.ErrorIs(s, m.Grant(s.Context(), m.flushes.Next(1, 8)), grant.ErrRegressed)
	require.ErrorIs(s, m.Checkpoint(s.Context(), grant.Offsets{0: 1}, nil), grant.ErrRegressed)
	require.NotContains(s, s.Granted(), uint64(7)) // 8 may be granted: only its acknowledgement is withheld

	// A session that granted nothing notices by what it began with.
	m.begin()
	require.NoError(s, m.Checkpoint(s.Context(), grant.Offsets{0: 1}, nil))
	require.Equal(s, grant.Offsets{0: 1}, m.begin())
	s.Lose()
	require.ErrorIs(s, m.Checkpoint(s.Context(), grant.Offsets{3: 1}, nil), grant.ErrRegressed)
}

func forgetsTheLost(s *subject) {
	m := s.join()
	m.grants([]uint64{7, 8})
	require.NoError(s, m.Checkpoint(s.Context(), grant.Offsets{0: 2}, nil))
	s.Lose()
	require.NoError(s, m.EnsureSpec(s.Context(), aCampaign()))
	require.Empty(s, m.begin())
	m.grants([]uint64{7, 8, 9})
	s.holds(7, 8, 9)
}

func ends(s *subject) {
	m := s.join()
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	require.ErrorIs(s, m.Grant(ctx, m.flushes.Next(1, 7)), context.Canceled)
	require.ErrorIs(s, m.Checkpoint(ctx, grant.Offsets{0: 1}, nil), context.Canceled)
	s.holds()
}
