package notices

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// A sender has the notices of all programmes of the database: a reminder of another one has that one's title and windows.
func TestAReminderIsOfItsProgramme(t *testing.T) {
	w := newWorld(t)
	source := bytes.Replace(storetest.Source(t), []byte("outage-2022"), []byte("outage-2023"), 1)
	other, err := w.Store.Adopt(t.Context(), bytes.Replace(source, []byte("until: 2023-02-27T23:59:59"),
		[]byte("until: 2023-02-26T23:59:59"), 1))
	require.NoError(t, err)
	storetest.Reported(t, w.Store, other, 1, 350_000, store.Reporter{Phone: "010-1234-5678"})
	_, err = w.Store.RemindReporters(t.Context(), other.Name, store.Actor{Name: "kim", Duty: claims.Intake}, "a week is "+
		"left", false)
	require.NoError(t, err)
	require.Equal(t, &Sent{Sent: 1}, w.pass())
	require.Contains(t, w.got[0].Text, "신청 기한: 2023년 2월 26일 23:59")
}
