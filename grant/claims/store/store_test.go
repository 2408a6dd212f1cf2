package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

func source(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/programmes/outage-2022.yaml")
	require.NoError(t, err)
	return bytes.Replace(text, []byte("second_look: 2%"), []byte("second_look: 0%"), 1) // chance would differ each time
}

func filing(p *claims.Programme, i int) Filing {
	unit := ""
	for last := range 10 {
		if n, err := claims.ParseBusinessNumber(fmt.Sprintf("12081%04d%d", i+1, last)); err == nil {
			unit = string(n)
		}
	}
	return Filing{
		ID: fmt.Sprintf("c-%06d", i),
		Opening: Opening{
			Programme: p.Name, Rules: p.Hash, Unit: claims.BusinessNumber(unit), Channel: "file", EnteredBy: "intake",
			Window: "reports",
			Digest: fmt.Sprint(i),
		},
		Facts: claims.Facts{Industry: "retail", Opened: "2020-01-01", OutageSales: 1, WeekSales: []claims.Won{2}},
		Person: Person{
			Business: "가게", Representative: "김사장", Phone: fmt.Sprintf("010-1234-%04d", i), Bank: "004",
			Account: fmt.Sprintf("123-%07d", i), Holder: "김사장",
		},
		By: Actor{"intake", claims.Intake},
	}
}

func opened(t *testing.T, where string) *Store {
	t.Helper()
	s, err := Open(t.Context(), where, "")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestConformanceOnSQLite(t *testing.T) {
	conformance(t, func(t *testing.T, where string) *Store {
		if where == "" {
			where = filepath.Join(t.TempDir(), "claims of 50%?.db") // what a URL would read otherwise
		}
		return opened(t, where)
	})
}

func TestADatabaseIsOpenedAgain(t *testing.T) {
	where := filepath.Join(t.TempDir(), "claims.db")
	list := receive(t, opened(t, where), 2)
	again := opened(t, where)
	c, err := again.Get(t.Context(), list[1].ID)
	require.NoError(t, err)
	require.Equal(t, list[1].Head, c[0].Head)
	sound(t, again)
}

func TestAPasswordIsNoPartOfAnAddress(t *testing.T) {
	_, err := Open(t.Context(), "postgres://granter:secret@127.0.0.1:1/x", "")
	require.ErrorContains(t, err, "holds a password")
	require.NotContains(t, err.Error(), "secret")
	_, err = Open(t.Context(), "postgres://granter@127.0.0.1:1/x?sslmode=disable&connect_timeout=2", "secret")
	require.ErrorContains(t, err, "preparing the database of claims")
	require.NotContains(t, err.Error(), "secret")
}

func TestNoTwoListsOfTextsHaveOneHash(t *testing.T) {
	require.NotEqual(t, digestOf("a", "bc"), digestOf("ab", "c"))
	require.NotEqual(t, digestOf("1:a"), digestOf("a"))
}
