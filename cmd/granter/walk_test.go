package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each link of docs/walk.md leads to a file, and each name behind it, up to the next link, is declared there.
func TestTheWalkLeadsWhereItSays(t *testing.T) {
	text, err := os.ReadFile("../../docs/walk.md")
	require.NoError(t, err)
	hops := regexp.MustCompile(`\[([\w/.]+\.go)\]\(\.\./([\w/.]+)\)([^\[]*)`).FindAllSubmatch(text, -1)
	require.Greater(t, len(hops), 20)
	for _, hop := range hops {
		file := string(hop[2])
		require.Equal(t, file, string(hop[1]), "what a link says and where it leads")
		source, err := os.ReadFile("../../" + file)
		require.NoError(t, err)
		names := regexp.MustCompile("`([a-zA-Z]\\w*)`").FindAllSubmatch(hop[3], -1)
		require.NotEmpty(t, names, "%s: say which function", file)
		for _, name := range names {
			require.Regexp(t, `(?m)^(?:func (?:\([^)]*\) )?|\t|var )`+string(name[1])+`\b`, string(source), "%s: %s", file,
				name[1])
		}
	}
}
