//go:build integration

package pagetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/status"
)

// TestOnlyWhatOneMayIsShown: rights are a set, and the page shows what each opens.
func TestOnlyWhatOneMayIsShown(t *testing.T) {
	d := newDesk(t, running())
	for token, who := range map[string]principal{
		"granter_pauser": {"nightshift", "status,history,pause,resume"}, "granter_watcher": {"wall", "status"},
	} {
		d.change(func(d *desk) { d.tokens[token] = who })
	}
	p := signedIn(t, d, "granter_pauser")
	buttons := func() []string {
		return eval[[]string](p, `[...document.querySelectorAll("#buttons button")].map((b) => b.dataset.order)`)
	}
	require.Equal(t, []string{"pause"}, buttons())
	d.tell(func(st *status.Status) { st.Control.Paused = true })
	p.await(`document.querySelector("#buttons [data-order=resume]")`)
	require.NotContains(t, buttons(), "abort")
	require.True(t, p.visible("history-section"))

	p = signedIn(t, d, "granter_watcher")
	require.False(t, p.visible("controls"))
	require.False(t, p.visible("history-section"))
	p.await("document.getElementById('phase').innerText !== ''")
	p.usable("a watcher's page")
}
