package main

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// Whatever a process logs of an error about one user, the ID is masked.
func TestALogMasksWhomAnErrorIsAbout(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, err := newLogger(newScreen(&out), format)
		require.NoError(t, err)
		about := &grant.UserError{User: grant.NumberID(41_231_007), Err: io.EOF}
		log.Error("a lookup failed", "who", "mira", "error", fmt.Errorf("x: %w", about))
		require.Contains(t, out.String(), "x: user …07: EOF")
		require.NotContains(t, out.String(), "41231007")
	}
}
