package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

// What was taken in while a window was open is taken for that when it comes again later, and only that.
func TestWhatWasTakenInTimeIsTakenWhenItComesAgain(t *testing.T) {
	d := desk(t)
	now := time.Date(2022, 10, 20, 0, 0, 0, 0, time.UTC)
	d.Now = func() time.Time { return now }
	form := func(i int) *Form {
		f := good()
		f.ID, f.BusinessNumber, f.Received = fmt.Sprint("a-", i), storetest.Number(i).String(), nil
		return f
	}
	counted := map[Outcome]int{}
	d.Count = func(o Outcome) { counted[o]++ }
	results, err := d.Take(t.Context(), []*Form{form(1), form(1), {ID: "x"}}, staff)
	require.NoError(t, err)
	require.Equal(t, store.Taken, results[0].Outcome)
	require.Equal(t, store.Again, results[1].Outcome)
	require.False(t, results[2].Taken())

	now = time.Date(2022, 12, 1, 0, 0, 0, 0, time.UTC)
	changed := form(1)
	changed.Holder = "이대표"
	results, err = d.Take(t.Context(), []*Form{form(1), changed, form(2)}, staff)
	require.NoError(t, err)
	require.Equal(t, Result{Outcome: store.Again, Claim: "a-1"}, results[0])
	for _, r := range results[1:] {
		require.ErrorContains(t, r.Err, "received: claims cannot be handed in at 2022-12-01")
	}
	require.Equal(t, map[Outcome]int{OutcomeTaken: 3, OutcomeRefused: 3}, counted)
}

// All that is wrong is said with its field, whether it cannot be read or makes no sense.
func TestProblemsHaveTheirFields(t *testing.T) {
	f, err := ParseForm([]byte(`{"opened": 5, "week_sales": "a", "outage_sales": 1.5, "rrn": "x", "phone": "010-1234-5678",
		"alternative_available": "yes", "own_profit_rate": 0.1, "received": "soon"}`))
	require.Equal(t, "010-1234-5678", f.Phone, "the others are read")
	var names []string
	for _, p := range Problems(err) {
		names = append(names, p.Field)
		require.NotEmpty(t, p.Detail)
	}
	require.Equal(t, []string{
		"alternative_available", "opened", "outage_sales", "own_profit_rate", "received", "", "week_sales",
	}, names)

	_, err = desk(t).Read(t.Context(), &Form{Phone: "x", Opened: "yesterday"}, staff)
	names = nil
	for _, p := range Problems(err) {
		names = append(names, p.Field)
	}
	require.Equal(t, []string{
		"business_number", "business_name", "representative", "industry", "phone", "bank", "account", "holder", "outage_sales",
		"opened", "week_sales", "received",
	}, names)
	for _, text := range []string{"", "null", "[]", "7", `{"id": "a"} x`, `{"id": `} {
		_, err := ParseForm([]byte(text))
		require.ErrorIs(t, err, ErrNoForm, text)
	}
	require.Equal(t, []Problem{{Detail: "the disk is full: really"}}, Problems(errors.New("the disk is full: really")))
	require.Nil(t, Problems(nil))
}

// By a record's own number a claim that is sent again is known; a row of a file needs none.
func TestARecordHasANumberOfItsOwn(t *testing.T) {
	d := desk(t)
	form := good()
	for id, taken := range map[string]bool{"": false, "a-1": true} {
		form.ID = id
		record, err := json.Marshal(form)
		require.NoError(t, err)
		filing, refused := d.ReadRecord(t.Context(), record, staff)
		require.Equal(t, taken, refused.Reason == "", refused.Detail)
		require.Equal(t, taken, filing.ID != "")
		if !taken {
			require.Contains(t, refused.Detail, "id: is missing")
		}
	}
}
