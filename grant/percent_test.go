package grant

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseShare(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "1%": 0.01, " 0.01 % ": 0.0001, "100%": 1, "1": 1, "0.25": 0.25} {
		got, err := ParseShare(text)
		require.NoError(t, err)
		require.InDelta(t, want, got, 1e-15, text)
	}
	for _, text := range []string{"", "%", "-1%", "101%", "1.5", "NaN", "1%%", "one"} {
		_, err := ParseShare(text)
		require.Error(t, err, text)
	}
}
