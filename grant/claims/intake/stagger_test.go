package intake

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// On a day of others a claim is refused by every channel, with the day that is its own; taken in on it, it is that for good.
func TestEveryChannelSaysWhoseDayItIs(t *testing.T) {
	d := desk(t)
	p, err := d.Store.Adopt(t.Context(), append(bytes.Clone(storetest.Source(t)),
		"\nstagger:\n  - {on: 2022-10-20, digits: [2, 7]}\n  - {on: 2022-10-21, digits: [1, 6]}\n"...))
	require.NoError(t, err)
	d.Programme = p
	now := time.Date(2022, 10, 20, 3, 0, 0, 0, time.UTC)
	d.Now = func() time.Time { return now }
	f := good() // 120-81-47521
	f.Received = nil
	const says = "received: a business whose number ends in 1 hands in from 2022-10-21 on"
	record, err := json.Marshal(f)
	require.NoError(t, err)
	row := strings.Split(strings.Replace(line(0, 10), storetest.Number(0).String(), "1208147521", 1), ",")
	refused := func() {
		t.Helper()
		results, err := d.Take(t.Context(), []*Form{f}, staff)
		require.NoError(t, err)
		require.ErrorContains(t, results[0].Err, says)
		_, refusal := d.ReadRecord(t.Context(), record, staff)
		require.Equal(t, ReasonInvalid, refusal.Reason)
		require.Contains(t, refusal.Detail, says)
		got, err := d.Import(t.Context(), [][]string{strings.Split(heads, ","), row}, staff)
		require.NoError(t, err)
		require.Contains(t, got.Sheet[1][len(got.Sheet[1])-1], says)
	}
	refused()
	now = now.Add(24 * time.Hour)
	results, err := d.Take(t.Context(), []*Form{f}, staff)
	require.NoError(t, err)
	require.Equal(t, Result{Outcome: store.Taken, Claim: "app-1"}, results[0])
	now = now.Add(-24 * time.Hour)
	results, err = d.Take(t.Context(), []*Form{f}, staff)
	require.NoError(t, err)
	require.Equal(t, store.Again, results[0].Outcome)
	other := *f
	other.ID, other.BusinessNumber = "app-2", claims.BusinessNumber("2208162517").String()
	results, err = d.Take(t.Context(), []*Form{&other}, staff)
	require.NoError(t, err)
	require.NoError(t, results[0].Err, "a 7 on its day")
}
