package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/source"
)

// A run counts a commit that Kafka refuses as this kind. One that the source does not list would be a series that
// appears from nowhere.
func TestTheKindOfARefusedCommitIsOneOfTheSources(t *testing.T) {
	require.Contains(t, source.ErrorKinds(), source.KindBroker)
	require.Equal(t, "broker", string(source.KindBroker))
}
