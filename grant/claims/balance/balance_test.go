package balance_test

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/balance"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/claims/store/storetest"
)

func keys(t *testing.T) (note.Signer, note.Verifier) {
	t.Helper()
	private, public, err := audit.Keygen("money")
	require.NoError(t, err)
	s, err := note.NewSigner(private)
	require.NoError(t, err)
	v, err := note.NewVerifier(public)
	require.NoError(t, err)
	return s, v
}

// approved are claims that are owed 30,000 won each.
func approved(t *testing.T, s *store.Store, p *claims.Programme, n int) {
	t.Helper()
	owed := claims.Won(30_000)
	var steps []store.Step
	for _, c := range storetest.Receive(t, s, p, n, 100_000) {
		steps = append(steps, store.Step{Claim: c, Action: claims.Check, By: store.Rules},
			store.Step{Claim: c, Action: store.Identify, By: store.Rules,
				Change: store.Change{Identity: &store.Identity{Complete: true}}},
			store.Step{Claim: c, Action: claims.Approve, By: store.Rules, Reason: "tier 1", Change: store.Change{Owed: &owed}})
	}
	require.NoError(t, s.Commit(t.Context(), steps, nil))
}

// Day by day, reports say how the money stands to the won; whoever edits one, exchanges it or leaves one out is found out.
func TestReportsOfEachDayAreChained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "claims.db")
	s, p := storetest.At(t, path)
	now := time.Date(2023, 3, 2, 9, 0, 0, 0, time.UTC)
	s.SetClock(func() time.Time { return now })
	signer, verifier := keys(t)
	var signed [][]byte
	var before *balance.Report
	report := func() *balance.Report {
		r, err := balance.New(t.Context(), s, p, 24*time.Hour)
		require.NoError(t, err)
		var last []byte
		if before != nil {
			last = signed[len(signed)-1]
		}
		text, err := r.Sign(signer, before, last)
		require.NoError(t, err)
		signed, before, now = append(signed, text), r, now.Add(24*time.Hour)
		return r
	}
	approved(t, s, p, 4)
	r := report()
	require.Equal(t, []claims.Won{120_000, 0, 0, 120_000}, []claims.Won{r.Promised, r.Reserved, r.Settled, r.Owed})
	require.Equal(t, balance.Agrees, r.Verdict)

	_, err := s.Declare(t.Context(), p, 3, store.Actor{Name: "choi", Duty: claims.Payer})
	require.NoError(t, err)
	orders, err := s.HandOver(t.Context(), p.Name, 2)
	require.NoError(t, err)
	r = report()
	require.Equal(t, []claims.Won{120_000, 90_000, 0, 30_000}, []claims.Won{r.Promised, r.Reserved, r.Settled, r.Owed})

	_, err = s.Answers(t.Context(), []store.Answer{
		{ID: "r-1", Payment: orders[0].ID, Status: store.BankSettled, Amount: 30_000},
		{ID: "r-2", Payment: orders[1].ID, Status: store.BankReturned, Amount: 30_000, Why: "no such account"},
		{ID: "r-3", Payment: orders[0].ID, Status: store.BankSettled, Amount: 30_000},
	}, nil)
	require.NoError(t, err)
	r = report()
	require.Equal(t, []claims.Won{120_000, 30_000, 30_000, 60_000}, []claims.Won{r.Promised, r.Reserved, r.Settled, r.Owed},
		"what came back is owed again")
	require.Equal(t, claims.Won(30_000), r.States["returned"].Gross)
	require.Equal(t, balance.Doubts, r.Verdict)
	require.ErrorContains(t, r.Err(), "1 answers of the bank do not fit")

	list, err := balance.Chain(signed, verifier)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, "outage-2022-20230304T090000.000Z"+balance.Suffix, list[2].FileName())
	var out strings.Builder
	require.NoError(t, list[2].Print(&out, list[1], "en"))
	require.Regexp(t, `settled +30,000 +\+30,000`, out.String())
	require.Regexp(t, `came back +30,000 +\+30,000`, out.String())
	out.Reset()
	require.NoError(t, list[2].Print(&out, nil, "ko"))
	require.Contains(t, out.String(), "지급 완료")

	_, err = balance.Chain([][]byte{signed[0], signed[2]}, verifier)
	require.ErrorIs(t, err, audit.ErrChain, "one is left out")
	_, err = balance.Chain([][]byte{signed[0], bytes.Replace(signed[1], []byte("90000"), []byte("60000"), 1)}, verifier)
	require.ErrorIs(t, err, audit.ErrSignature, "one was edited")
	_, other := keys(t)
	_, err = balance.Chain(signed, other)
	require.ErrorIs(t, err, audit.ErrSignature)

	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("UPDATE programmes SET settled = settled + 1000")
	require.NoError(t, err)
	r = report()
	require.Equal(t, balance.Wrong, r.Verdict)
	require.ErrorContains(t, r.Err(), "120000 won and 121000 won")
}
