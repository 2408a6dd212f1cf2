package grant

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Somebody whom an OpenID provider knows is one person there, whatever they are called; a name says no more than it does
// elsewhere.
func TestOnePersonAtAProviderIsOne(t *testing.T) {
	const mira = "mira@example.com (1001 at id.example)"
	for other, same := range map[string]bool{
		"m.lee@example.com (1001 at id.example)":  true, // she married
		"mira@host-1":                             true,
		"m.lee@example.com (1002 at id.example)":  false,
		"m.lee@example.com (1001 at id2.example)": false,
		"joe (says 1001 at id.example)":           false,
		"joe":                                     false,
	} {
		require.Equal(t, same, SamePerson(mira, other), other)
		require.Equal(t, same, SamePerson(other, mira), other)
	}
	require.False(t, SamePerson("joe (says x at y)", "kim (says x at y)"))
}
