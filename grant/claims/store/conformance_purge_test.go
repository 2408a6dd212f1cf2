package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

// everything is due of claims that have ended.
func everything(s *Store) Due {
	return func(ended time.Time) ([]Class, time.Time) {
		if ended.IsZero() {
			return nil, time.Time{}
		}
		return Classes(), s.now().Add(time.Hour)
	}
}

// declined are three claims, of which the first two have ended; the first wrote something, and was looked at.
func declined(t *testing.T, s *Store) []*Claim {
	t.Helper()
	list := receive(t, s, 3)
	for _, c := range list[:2] {
		require.NoError(t, s.Commit(t.Context(), []Step{
			{Claim: c, Action: claims.Check, By: Rules},
			{Claim: c, Action: claims.Decline, By: Rules, Reason: "no loss of sales",
				Change: Change{Declined: claims.ReasonNoLoss}},
		}, nil))
	}
	_, err := s.ReadPerson(t.Context(), list[0].ID, reviewer, "192.0.2.1", "the owner called")
	require.NoError(t, err)
	_, err = s.Key(t.Context(), list[0].ID, "secret")
	require.NoError(t, err)
	_, err = s.Collect(t.Context())
	require.NoError(t, err)
	again, err := s.Get(t.Context(), list[0].ID, list[1].ID, list[2].ID)
	require.NoError(t, err)
	return again
}

func purging(t *testing.T, s *Store) {
	list := declined(t, s)
	before := sound(t, s)
	_, err := s.Purge(t.Context(), "outage-2022", everything(s), approver, "old enough", false)
	require.ErrorIs(t, err, claims.ErrIllegal, "it is a duty of its own")

	dry, err := s.Purge(t.Context(), "outage-2022", everything(s), privacy, "old enough", true)
	require.NoError(t, err)
	require.Equal(t, 2, dry.Claims)
	require.Equal(t, map[Class]int{
		ClassDocuments: 1, ClassContact: 6, ClassNotices: 4, ClassAccess: 1, ClassDecisions: 6,
	}, dry.Records)
	require.Equal(t, before, sound(t, s), "nothing was changed")

	done, err := s.Purge(t.Context(), "outage-2022", everything(s), privacy, "old enough", false)
	require.NoError(t, err)
	require.Equal(t, dry, done)
	after := sound(t, s)
	require.Equal(t, 2, after.Erased)
	require.Equal(t, 7, after.Emptied)
	records, err := s.Records(t.Context(), "outage-2022")
	require.NoError(t, err)
	require.Equal(t, done, records[len(records)-1].Change.Purge)

	for _, query := range []string{
		"SELECT COUNT(*) FROM history WHERE claim <> 'c-000002' AND (body LIKE '%retail%' OR body LIKE " +
			"'%" + string(list[0].Unit) +
			"%' OR reason LIKE '%called%' OR who IN ('lee', 'intake'))",
		"SELECT COUNT(*) FROM claims WHERE id <> 'c-000002' AND (unit LIKE '12081%' OR industry <> '' OR entered_by <> '-')",
		"SELECT COUNT(*) FROM owners WHERE claim <> 'c-000002'", "SELECT COUNT(*) FROM keys",
		"SELECT COUNT(*) FROM notices WHERE claim <> 'c-000002'",
	} {
		var n int
		require.NoError(t, s.db.QueryRowContext(t.Context(), query).Scan(&n))
		require.Zero(t, n, query)
	}
	now, err := s.Get(t.Context(), list[0].ID, list[2].ID)
	require.NoError(t, err)
	require.Equal(t, claims.Declined, now[0].State, "what became of it stays")
	require.Equal(t, claims.ReasonNoLoss, now[0].Declined)
	require.Empty(t, now[1].Purged)
	again, err := s.Purge(t.Context(), "outage-2022", everything(s), privacy, "old enough", false)
	require.NoError(t, err)
	require.Zero(t, again.Claims)

	_, err = s.db.ExecContext(t.Context(), "UPDATE history SET who = '-', reason = '', body = '{}' WHERE claim = 'c-000002'")
	require.ErrorContains(t, err, "history is only added to")
	for _, test := range []struct{ statement, back, want string }{
		{"UPDATE history SET who = '-', body = '{}' WHERE claim = 'c-000002'", "", "the entry was emptied, and no purge"},
		{"UPDATE history SET duty = 'approver' WHERE claim = 'c-000000' AND seq = 3",
			"UPDATE history SET duty = 'rules' WHERE claim = 'c-000000' AND seq = 3",
			"what is left of the entries that it emptied"},
		{"UPDATE history SET body = '{\"owed\":5}' WHERE claim = 'c-000000' AND seq = 2",
			"UPDATE history SET body = '{}' WHERE claim = 'c-000000' AND seq = 2", "what is left of the entries that it emptied"},
	} {
		unguarded(t, s, test.statement)
		p, err := s.Prove(t.Context(), nil)
		require.NoError(t, err)
		whats := ""
		for _, f := range p.Wrong {
			whats += f.What + "\n"
		}
		require.Contains(t, whats, test.want)
		if test.back != "" {
			unguarded(t, s, test.back)
		}
	}
}

func watching(t *testing.T, s *Store) {
	list := declined(t, s)
	w := &Watch{Store: s, Programme: "outage-2022", Promised: time.Hour, Within: time.Hour}
	seen, err := w.Look(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int{"file": 3}, seen.Channels)
	require.Equal(t, 2, seen.States[claims.Declined].Claims)
	require.Equal(t, 1, seen.States[claims.Received].Claims)
	require.Zero(t, seen.States[claims.Received].Late)
	require.Equal(t, 2, seen.Steps[Kind{claims.Decline, claims.Rules}])
	require.Equal(t, 5, seen.Notices[NoticeWaiting])
	require.Zero(t, seen.Uncollected)
	require.WithinDuration(t, list[0].Received, seen.Untold, time.Minute)
	require.Nil(t, seen.Frozen)
	require.Empty(t, seen.Books.Wrong)

	_, err = s.SetFreeze(t.Context(), "outage-2022", Freeze{Who: "park", Why: "sums", Frozen: true})
	require.NoError(t, err)
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: list[2], Action: claims.Check, By: Rules}}, nil))
	require.NoError(t, s.Postpone(t.Context(), map[string]time.Time{list[2].ID: s.now().Add(time.Minute)}))
	later := s.now
	s.SetClock(func() time.Time { return later().Add(2 * time.Hour) })
	seen, err = w.Look(t.Context())
	require.NoError(t, err)
	require.Equal(t, "park", seen.Frozen.Who)
	require.Equal(t, 1, seen.Delayed)
	require.Equal(t, 1, seen.States[claims.Checking].Late)
	require.Zero(t, seen.States[claims.Declined].Late, "nobody has to act")
	require.Equal(t, 3, seen.Steps[Kind{claims.Check, claims.Rules}], "what was counted before, and what came since")
	require.Equal(t, int64(2), seen.Uncollected, "the freeze is a commit, too")

	looks, err := s.Access(t.Context(), AccessFilter{Programme: "outage-2022", Who: "lee"})
	require.NoError(t, err)
	require.Len(t, looks, 1)
	require.Equal(t, "the owner called", looks[0].Why)
	looks, err = s.Access(t.Context(), AccessFilter{Claim: "c-000001"})
	require.NoError(t, err)
	require.Empty(t, looks)
}

func errorsAreTold(t *testing.T, s *Store) {
	list := receive(t, s, 1)
	told := map[ErrorKind]int{}
	s.OnError(func(kind ErrorKind) { told[kind]++ })
	stale := *list[0]
	check := func(c *Claim) error {
		return s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Check, By: Rules}}, nil)
	}
	require.NoError(t, check(list[0]))
	require.Empty(t, told)
	require.Error(t, check(&stale))
	require.ErrorIs(t, check(list[0]), claims.ErrIllegal)
	_, err := s.db.ExecContext(t.Context(), "DELETE FROM claims")
	require.Error(t, err)
	_, err = s.db.ExecContext(t.Context(), "SELECT no such thing")
	require.Error(t, err)
	_, err = s.Draft(t.Context(), "none")
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, map[ErrorKind]int{ErrorConflict: 1, ErrorIllegal: 1, ErrorRefused: 1, ErrorOther: 1}, told)
}
