package strict

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJSONIsOneValueOfKnownFields(t *testing.T) {
	type thing struct {
		A int `json:"a"`
	}
	var got thing
	require.NoError(t, JSON([]byte(" {\"a\": 1}\n"), &got))
	require.Equal(t, thing{1}, got)
	for _, text := range []string{`{"a":1}}`, `{"a":1}]`, `{"a":1} {"a":2}`, `{"a":1} x`} {
		require.ErrorIs(t, JSON([]byte(text), &got), ErrFollows, text)
	}
	require.ErrorContains(t, JSON([]byte(`{"a":1,"b":2}`), &got), "unknown field")
	require.Error(t, JSON([]byte(`{"a":1`), &got))
	require.Error(t, JSON(nil, &got))
}
