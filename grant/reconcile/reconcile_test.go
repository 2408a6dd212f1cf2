package reconcile

import (
	"fmt"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatIsToBeDone(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		missing []grant.UserID
		left    map[audit.Kind]int64
	}{
		"a list":      {"7\n5\n\n7\n", grant.NumberIDs(5, 7), map[audit.Kind]int64{}},
		"ids of both": {"kind,user\nmissing,7\nextra,9\n", grant.NumberIDs(7), map[audit.Kind]int64{audit.Extra: 1}},
		"a report": {`{"findings":[{"kind":"missing","where":"chunk 0","count":2,"users":["8","3"]},` +
			`{"kind":"records_gone","count":5}]}`, grant.NumberIDs(3, 8), map[audit.Kind]int64{audit.RecordsGone: 5}},
		"nothing": {"", nil, map[audit.Kind]int64{}},
	} {
		w, err := Read([]byte(c.text), 100)
		require.NoError(t, err, name)
		require.Equal(t, c.missing, w.Missing, name)
		require.Equal(t, c.left, w.Left, name)
	}
	for text, says := range map[string]string{
		"x": "line 1", "101": "line 1", "{": "no report", "missing,x": "line 1",
		`{"findings":[{"kind":"missing","where":"chunk 0","count":21,"users":["8"]}]}`: "--ids",
	} {
		_, err := Read([]byte(text), 100)
		require.ErrorContains(t, err, says, text)
	}
}

func TestTheMissingAreGrantedOnce(t *testing.T) {
	client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	defer client.Close()
	store, err := ledger.Open(client, &grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("{}")}, ledger.Config{})
	require.NoError(t, err)
	reader := ledger.NewReader(store)
	do := func(text string, dry bool) string {
		t.Helper()
		w, err := Read([]byte(text), 0)
		require.NoError(t, err)
		out, err := Do(t.Context(), ledger.NewActs(store, 9), w, "m", "INC-12", dry)
		require.NoError(t, err)
		return fmt.Sprint(out)
	}
	require.Equal(t, "[{5 granted } {70000 granted }]", do("5\n70000\n", true))
	totals, err := reader.Totals(t.Context())
	require.NoError(t, err)
	require.Zero(t, totals.Granted, "a dry run writes nothing")
	for range 2 { // the same file is the same act
		require.Equal(t, "[{5 granted } {70000 granted }]", do("5\n70000\n", false))
	}
	require.Equal(t, "[{5 had_it } {6 granted }]", do("5\n6\n", false))
	found, granted, err := reader.Lookup(t.Context(), grant.NumberID(5))
	require.NoError(t, err)
	require.True(t, granted)
	require.Equal(t, "INC-12", found.Act.Reason)
	proof, err := reader.Prove(t.Context())
	require.NoError(t, err)
	require.True(t, proof.Holds(), "%+v", proof)
	require.EqualValues(t, 3, proof.Granted)
	journal, err := client.LLen(t.Context(), "granter:{sorry/0}:journal").Result()
	require.NoError(t, err)
	require.EqualValues(t, 2, journal, "an act is done to a user once")
}
