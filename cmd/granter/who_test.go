package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhoOrdersIsWhatTheSystemKnowsAndThenWhatIsSaid(t *testing.T) {
	for _, test := range []struct {
		uid                    int
		name, host, sudo, says string
		want                   string
	}{
		{1000, "jiyoon", "ops-1", "", "", "jiyoon@ops-1"},
		{65532, "", "granter-desk-x7", "", "", "uid 65532@granter-desk-x7"},
		{65532, "", "granter-desk-x7", "", "jiyoon", "uid 65532@granter-desk-x7 (says jiyoon)"},
		{0, "root", "ops-1", "jiyoon", "", "root@ops-1 (sudo from jiyoon)"},
		{0, "root", "ops-1", "jiyoon", "minji", "root@ops-1 (sudo from jiyoon, says minji)"},
		{1001, "mallory", "ops-1", "jiyoon", "", "mallory@ops-1 (SUDO_USER says jiyoon)"},
		{1001, "mallory", "ops-1", "mallory", "", "mallory@ops-1"},
		{0, "", "", "", "", "uid 0@unknown"},
	} {
		require.Equal(t, test.want, named(test.uid, test.name, test.host, test.sudo, test.says))
	}
	for _, bad := range []string{" minji", "minji\n", "a\tb", strings.Repeat("x", maxWho+1), " "} {
		_, err := whoami(bad)
		require.ErrorContains(t, err, "--who", "%q", bad)
	}
	// Anybody can set USER; the name of a number comes from the system.
	t.Setenv("USER", "jiyoon")
	who, err := whoami("")
	require.NoError(t, err)
	require.False(t, strings.HasPrefix(who, "jiyoon@"))
}
