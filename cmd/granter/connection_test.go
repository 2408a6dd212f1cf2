package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where the last of two files won, an order went to a campaign that nobody meant, and nothing said so.
func TestNoCommandTakesTwoSpecs(t *testing.T) {
	commands := 0
	for _, c := range newRoot().Commands() {
		if c.Flags().Lookup("file") == nil || c.Name() == "desk" { // which serves all of them
			continue
		}
		commands++
		root, said := newRoot(), new(bytes.Buffer)
		root.SetErr(said)
		root.SetArgs([]string{c.Name(), "-f", "a.yaml", "--file=b.yaml"})
		err := root.ExecuteContext(t.Context())
		var exit *exitError
		require.ErrorAs(t, err, &exit, c.Name())
		require.Equal(t, exitUsage, exit.code, c.Name())
		require.ErrorContains(t, err, "-f a.yaml is there already: a command is about one campaign")
	}
	require.Greater(t, commands, 10)
}
