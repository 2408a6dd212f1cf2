package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func topicsAreTakenInOnce(t *testing.T, s *Store) {
	p := shipped(t, s)
	one, other := grant.TopicID{Cluster: "c", Topic: [16]byte{1}}, grant.TopicID{Cluster: "c", Topic: [16]byte{2}}
	at := func(id grant.TopicID, next int64) []Position { return []Position{{"claims", id, 0, next, 7}} }
	next := func() int64 {
		known, err := s.Positions(t.Context(), "claims", one)
		require.NoError(t, err)
		return known.Next[0]
	}
	_, err := s.Receive(t.Context(), []Filing{filing(p, 1)}, at(one, 3))
	require.NoError(t, err)
	require.EqualValues(t, 3, next())
	twice := filing(p, 2)
	twice.Opening.Unit = filing(p, 1).Opening.Unit
	_, err = s.Receive(t.Context(), []Filing{twice}, at(one, 4))
	require.NoError(t, err)
	require.EqualValues(t, 3, next(), "what was refused must be a dead letter before it counts as read")
	require.NoError(t, s.Advance(t.Context(), at(one, 4)))
	require.NoError(t, s.Advance(t.Context(), at(one, 2)))
	require.EqualValues(t, 4, next(), "who is behind takes nothing back")
	_, err = s.Receive(t.Context(), []Filing{filing(p, 3)}, at(other, 1))
	require.ErrorIs(t, err, grant.ErrTopicChanged)
	require.Equal(t, 1, sound(t, s).Claims, "what goes along failed, so nothing was taken")
	_, err = s.Positions(t.Context(), "claims", other)
	require.ErrorIs(t, err, grant.ErrTopicChanged)
	require.NoError(t, s.ForgetPositions(t.Context(), "claims"))
	require.Zero(t, next())
}
