// Package storetest has claims and stores for tests.
package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
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
			return text
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

// At opens a database, with the shipped programme.
func At(t testing.TB, where string) (*store.Store, *claims.Programme) {
	t.Helper()
	s, err := store.Open(context.Background(), where, "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	p, err := s.Adopt(context.Background(), Source(t))
	require.NoError(t, err)
	return s, p
}

// Number is the i-th valid business number.
func Number(i int) claims.BusinessNumber {
	for last := range 10 {
		serial := 1 + i%9999
		office, kind := 101+i/9999%800, 1+i/9999/800%99
		if n, err := claims.ParseBusinessNumber(fmt.Sprintf("%03d%02d%04d%d", office, kind, serial, last)); err == nil {
			return n
		}
	}
	panic("every nine digits have a tenth")
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
