// Package storetest has claims and stores for tests.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/store"
)

// Source is the shipped programme.
func Source(t testing.TB) []byte {
	t.Helper()
	dir, err := os.Getwd() // of the package that is tested
	require.NoError(t, err)
	for {
		text, err := os.ReadFile(filepath.Join(dir, "deploy", "programmes", "outage-2022.yaml")) //nolint:gosec // above the test
		if err == nil {
			// What chance has looked at again differs each time: tests of that adopt a programme of their own.
			return bytes.Replace(text, []byte("second_look: 2%"), []byte("second_look: 0%"), 1)
		}
		require.NotEqual(t, filepath.Dir(dir), dir, "no repository above the working directory")
		dir = filepath.Dir(dir)
	}
}

// Open opens a new database in a file, with the shipped programme.
func Open(t testing.TB) (*store.Store, *claims.Programme) {
	t.Helper()
	return At(t, filepath.Join(t.TempDir(), "claims.db"))
}

// Memory opens a new database in memory, with the shipped programme: cheap, for many of them.
func Memory(t testing.TB) (*store.Store, *claims.Programme) {
	t.Helper()
	s, err := store.OpenMemory(context.Background(), rand.Text())
	require.NoError(t, err)
	return adopted(t, s)
}

// At opens a database, with the shipped programme.
func At(t testing.TB, where string) (*store.Store, *claims.Programme) {
	t.Helper()
	s, err := store.Open(context.Background(), where, "")
	require.NoError(t, err)
	return adopted(t, s)
}

func adopted(t testing.TB, s *store.Store) (*store.Store, *claims.Programme) {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	p, err := s.Adopt(context.Background(), Source(t))
	require.NoError(t, err)
	return s, p
}

// Number is the i-th valid business number.
func Number(i int) claims.BusinessNumber {
	return claims.BusinessNumber(identitytest.Number(i))
}

// Filing is the i-th claim, of a loss.
func Filing(p *claims.Programme, i int, loss claims.Won) store.Filing {
	return store.Filing{
		ID: fmt.Sprintf("c-%06d", i),
		Opening: store.Opening{
			Programme: p.Name, Rules: p.Hash, Unit: Number(i), Channel: "file", EnteredBy: "intake", Window: "reports",
			Digest: fmt.Sprint(i, loss),
		},
		Facts: claims.Facts{Industry: "retail", Opened: "2020-01-01", OutageSales: 1_000_000,
			WeekSales: []claims.Won{1_000_000 + loss}},
		Person: store.Person{
			Business: fmt.Sprint("가게 ", i), Representative: "김사장", Phone: fmt.Sprintf("010-1234-%04d", i), Bank: "004",
			Account: fmt.Sprintf("123-%07d", i), Holder: "김사장",
		},
		By: store.Actor{Name: "intake", Duty: claims.Intake},
	}
}

// Receive takes n claims in, of a loss, and returns them.
func Receive(t testing.TB, s *store.Store, p *claims.Programme, n int, loss claims.Won) []*store.Claim {
	t.Helper()
	filings := make([]store.Filing, n)
	ids := make([]string, n)
	for i := range filings {
		filings[i] = Filing(p, i, loss)
		ids[i] = filings[i].ID
	}
	out, err := s.Receive(context.Background(), filings, nil)
	require.NoError(t, err)
	for _, o := range out {
		require.Equal(t, store.Taken, o.Outcome)
	}
	list, err := s.Get(context.Background(), ids...)
	require.NoError(t, err)
	return list
}

// Reported has the i-th business report a loss on 20 October 2022, before claims could be filed; by is who did.
func Reported(t testing.TB, s *store.Store, p *claims.Programme, i int, loss claims.Won, by store.Reporter) {
	t.Helper()
	row := store.ReportRow{By: by, Reported: store.Reported{
		Number: fmt.Sprintf("R-%04d", i), Unit: Number(i), Loss: loss, At: time.Date(2022, 10, 20, 9, 0, 0, 0, p.Zone),
	}}
	_, err := s.ImportReports(context.Background(), p.Name, []store.ReportRow{row}, store.ReportFile{Name: "reports.csv",
		Rows: 1},
		store.Actor{Name: "intake", Duty: claims.Intake}, false)
	require.NoError(t, err)
}
