package source

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGroupsThatARunCanJoin(t *testing.T) {
	for _, k := range []GroupKind{{}, {"Classic", "Stable"}, {"classic", "Empty"}, {"Consumer", "Empty"}} {
		require.Empty(t, k.Foreign(), "%+v", k)
	}
	require.Contains(t, GroupKind{"Consumer", "Stable"}.Foreign(), "KIP-848")
	require.Equal(t, "is a share group", GroupKind{"Share", "Empty"}.Foreign())
	require.Equal(t, "is a streams group", GroupKind{"Streams", "Stable"}.Foreign())
}
