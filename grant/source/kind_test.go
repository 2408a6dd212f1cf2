package source

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGroupsThatARunCanJoin(t *testing.T) {
	for _, k := range []GroupKind{
		{}, {"Classic", "Stable", "consumer"}, {"classic", "Empty", "consumer"}, {"Consumer", "Empty", "consumer"},
		{"Classic", "Empty", "connect"}, {"", "", "consumer"}, {"", "Dead", "connect"},
	} {
		require.Empty(t, k.Foreign(), "%+v", k)
	}
	require.Contains(t, GroupKind{"Consumer", "Stable", "consumer"}.Foreign(), "KIP-848")
	require.Equal(t, "is a share group", GroupKind{"Share", "Empty", "share"}.Foreign())
	require.Equal(t, "is a streams group", GroupKind{"Streams", "Stable", "streams"}.Foreign())
	for _, k := range []GroupKind{{"Classic", "Stable", "connect"}, {"", "Stable", "connect"}, {"", "", "connect"}} {
		require.Equal(t, "is a group of connect, not of consumers", k.Foreign(), "%+v", k)
	}
}
