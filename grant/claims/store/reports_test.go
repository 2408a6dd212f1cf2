package store

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Notices of a database from before there were earlier reports stay when it is brought up to date.
func TestNoticesOfBeforeStay(t *testing.T) {
	where := filepath.Join(t.TempDir(), "claims.db")
	s := opened(t, where)
	list := receive(t, s, 1)
	_, err := s.Collect(t.Context())
	require.NoError(t, err)
	before, err := s.Notices(t.Context(), NoticeFilter{})
	require.NoError(t, err)
	require.Len(t, before, 1)
	old, _, _ := strings.Cut(noticesToo, "CREATE TABLE told")
	unguarded(t, s, "ALTER TABLE notices RENAME TO later", "DROP INDEX notices_by_state", "DROP INDEX notices_by_claim", old,
		"INSERT INTO notices SELECT id, claim, kind, seq, person, state, tries, due, changed, says FROM later",
		"DROP TABLE later", "DROP TABLE reports", "DROP TABLE forms", // which came later
		"DELETE FROM goose_db_version WHERE version_id >= 16")

	again := opened(t, where)
	after, err := again.Notices(t.Context(), NoticeFilter{Claim: list[0].ID})
	require.NoError(t, err)
	require.Equal(t, before, after)
	reported(t, again, 2)
	require.Equal(t, 2, sound(t, again).Reports)
}
