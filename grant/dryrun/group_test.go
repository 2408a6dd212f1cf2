package dryrun

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

func TestKafkaLearnsNothingOfADryRun(t *testing.T) {
	source := &records{t: t, parts: [][]int64{{1, 2}, {}, {3}}}
	rehearsed := Source{Source: source} // whose Prepare and Join fail the test
	require.NoError(t, rehearsed.Prepare(t.Context()))
	group, err := rehearsed.Join()
	require.NoError(t, err)
	generation, err := group.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, grant.Offsets{0: -1, 1: -1, 2: -1}, generation.Committed(), "all partitions, and nothing was committed")
	require.NoError(t, generation.Commit(grant.Offsets{0: 2}))
	require.Equal(t, grant.Offsets{0: -1, 1: -1, 2: -1}, generation.Committed())
	require.NoError(t, generation.Context().Err())
	generation.Release()
	require.Error(t, generation.Context().Err())
	require.NoError(t, group.Leave())

	source.err = errors.New("Kafka is gone")
	_, err = group.Next(t.Context())
	require.ErrorIs(t, err, source.err)
}
