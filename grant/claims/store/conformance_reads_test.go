package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant/claims"
)

// readsAreKept: the access log is only added to, names who read what from where, and is proven; its lines go when they are old
// enough, and not before.
func readsAreKept(t *testing.T, s *Store) {
	list := receive(t, s, 3)
	heads := []string{list[0].Head, list[1].Head}
	line := Reading{By: reviewer, From: "192.0.2.1", What: ReadList, Claims: []string{list[0].ID, list[1].ID, "c-nobody"}}
	require.NoError(t, s.Read(t.Context(), line))
	require.NoError(t, s.Read(t.Context(), Reading{By: Actor{Name: "shin"}, From: "::1", What: ReadClaim, Why: "a check",
		Claims: []string{list[1].ID}}))
	require.NoError(t, s.Read(t.Context(), Reading{By: reviewer, What: ReadClaim, Claims: []string{"c-nobody"}}), "of nobody")
	require.ErrorIs(t, s.Read(t.Context(), Reading{What: ReadClaim, Claims: line.Claims}), claims.ErrIllegal)
	require.ErrorIs(t, s.Read(t.Context(), Reading{By: reviewer, What: ReadClaim, Why: "900101-1234568", Claims: line.Claims}),
		claims.ErrIllegal)
	again, err := s.Get(t.Context(), list[0].ID, list[1].ID)
	require.NoError(t, err)
	require.Equal(t, []string{again[0].Head, again[1].Head}, heads, "who reads is in the way of nobody who decides")

	all, err := s.Access(t.Context(), AccessFilter{Programme: "outage-2022"})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, Looked{
		Claim: list[1].ID, At: all[0].At, By: Actor{Name: "shin"}, From: "::1", What: ReadClaim, Why: "a check",
	}, all[0])
	require.Equal(t, []string{list[0].ID, list[1].ID}, all[1].Claims)
	for filter, want := range map[AccessFilter]int{
		{Claim: list[0].ID}: 1, {Claim: list[1].ID}: 2, {Claim: "c-00000_"}: 0, {Who: "lee"}: 1, {Limit: 1}: 1,
		{From: s.now().Add(time.Hour)}: 0, {Programme: "another"}: 0,
	} {
		got, err := s.Access(t.Context(), filter)
		require.NoError(t, err)
		require.Len(t, got, want, "%+v", filter)
	}
	_, err = s.ReadPerson(t.Context(), list[0].ID, reviewer, "192.0.2.9", "she called")
	require.NoError(t, err)
	all, err = s.Access(t.Context(), AccessFilter{Claim: list[0].ID})
	require.NoError(t, err)
	require.Len(t, all, 2, "what a claim's history has of looks is beside it")
	require.Equal(t, ReadOwner, all[0].What)
	require.Equal(t, "192.0.2.9", all[0].From)

	require.Equal(t, 2, sound(t, s).Reads)
	for _, query := range []string{
		"DELETE FROM reads", "UPDATE reads SET who = 'x'", "UPDATE reads SET who = '-', origin = '', why = '', claims = ''",
	} {
		_, err := s.db.ExecContext(t.Context(), query)
		require.ErrorContains(t, err, "the access log is only added to", query)
	}
	_, err = s.db.ExecContext(t.Context(), "INSERT INTO reads SELECT programme, 9, at, who, duty, origin, what, why, claims, "+
		"'x', hash FROM reads WHERE number = 1")
	require.ErrorContains(t, err, "does not follow")
	readsArePurged(t, s)
}

func readsArePurged(t *testing.T, s *Store) {
	never := func(time.Time) ([]Class, time.Time) { return nil, time.Time{} }
	out, err := s.Purge(t.Context(), "outage-2022", never, privacy, "nothing is", false)
	require.NoError(t, err)
	require.Nil(t, out.Reads)
	old := func(time.Time) ([]Class, time.Time) { return nil, s.now().Add(time.Hour) }
	dry, err := s.Purge(t.Context(), "outage-2022", old, privacy, "two years", true)
	require.NoError(t, err)
	require.Equal(t, map[Class]int{ClassAccess: 3}, dry.Records)
	done, err := s.Purge(t.Context(), "outage-2022", old, privacy, "two years", false)
	require.NoError(t, err)
	require.Equal(t, dry, done)
	all, err := s.Access(t.Context(), AccessFilter{Who: "lee"})
	require.NoError(t, err)
	require.Empty(t, all)
	require.NoError(t, s.Read(t.Context(), Reading{By: reviewer, What: ReadClaim, Claims: []string{"c-000001"}}))
	require.Equal(t, 3, sound(t, s).Emptied, "two lines and an entry")
	for _, test := range []struct{ statement, back, want string }{
		{"UPDATE reads SET duty = 'payer' WHERE number = 1", "UPDATE reads SET duty = 'reviewer' WHERE number = 1",
			"what is left of the access log"},
		{"UPDATE reads SET who = 'kim' WHERE number = 3", "UPDATE reads SET who = 'lee' WHERE number = 3", "its hash is another"},
		{"UPDATE reads SET who = '-', origin = '', why = '', claims = '' WHERE number = 3", "", "no purge says so"},
	} {
		unguarded(t, s, test.statement)
		p, err := s.Prove(t.Context(), nil)
		require.NoError(t, err)
		require.Len(t, p.Wrong, 1, test.statement)
		require.Contains(t, p.Wrong[0].What, test.want)
		if test.back != "" {
			unguarded(t, s, test.back)
		}
	}
}

// purgesAtOnce: a line goes by one purge, whose record alone has it.
func purgesAtOnce(t *testing.T, s *Store) {
	list := receive(t, s, 1)
	for range 3 {
		require.NoError(t, s.Read(t.Context(), Reading{By: reviewer, What: ReadClaim, Claims: []string{list[0].ID}}))
	}
	old := func(ended time.Time) ([]Class, time.Time) {
		classes, _ := everything(s)(ended)
		return classes, s.now().Add(time.Hour)
	}
	done := make([]*Purged, 8)
	var work errgroup.Group
	for i := range done {
		work.Go(func() (err error) {
			done[i], err = s.Purge(t.Context(), "outage-2022", old, privacy, "two years", false)
			return err
		})
	}
	require.NoError(t, work.Wait())
	var gone []int
	for _, p := range done {
		if p.Reads != nil {
			gone = append(gone, p.Reads.Records)
		}
	}
	require.Equal(t, []int{3}, gone)
	require.Equal(t, 3, sound(t, s).Emptied)
}
