//go:build integration

package desk

import (
	"testing"

	"github.com/granter/granter/deploy/dev/devtest"
)

// The same as on SQLite.
func TestClaimsAreHandedInOnPostgreSQL(t *testing.T) {
	claimsAreHandedIn(t, devtest.StartPostgres(t).URL)
}
