package claims

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

//go:generate go test -count=1 -run ^TestTheTableInTheManualIsFresh$ . -update

var update = flag.Bool("update", false, "write the table of states into docs/claims.md")

func TestTheTableInTheManualIsFresh(t *testing.T) {
	const (
		file  = "../../docs/claims.md"
		begin = "<!-- begin: written by go generate -->\n"
		end   = "<!-- end: written by go generate -->\n"
	)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok)
	want := head + begin + TableText() + end + tail
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "run go generate ./grant/claims")
}

func TestTheGraphHasEveryStep(t *testing.T) {
	dot := TableDOT()
	require.Equal(t, len(Transitions()), strings.Count(dot, " -> "))
	for _, s := range States() {
		require.Equal(t, s.Final(), strings.Contains(dot, "\t"+string(s)+" [peripheries=2];"), s)
	}
}
