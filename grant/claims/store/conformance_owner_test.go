package store

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

func drafts(t *testing.T, s *Store) {
	p, now := shipped(t, s), time.Now()
	s.now = func() time.Time { return now }
	id, err := s.NewDraft(t.Context(), p.Name)
	require.NoError(t, err)
	require.NoError(t, s.SaveDraft(t.Context(), id, map[string]string{"a": "1", "b": "2"}))
	require.NoError(t, s.SaveDraft(t.Context(), id, map[string]string{"b": "3"}))
	answers, err := s.Draft(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1", "b": "3"}, answers)
	require.ErrorIs(t, s.SaveDraft(t.Context(), "other", nil), ErrNotFound)
	_, err = s.NewCode(t.Context(), id, false)
	require.NoError(t, err)
	now = now.Add(draftFor + time.Minute)
	require.NoError(t, s.Sweep(t.Context()))
	_, err = s.Draft(t.Context(), id)
	require.ErrorIs(t, err, ErrNotFound, "nobody went on with it")
	_, err = s.NewCode(t.Context(), id, false)
	require.ErrorIs(t, err, ErrNotFound)
}

func ownersEnter(t *testing.T, s *Store) {
	c := receive(t, s, 2)
	now := time.Now()
	s.now = func() time.Time { return now }
	id := c[0].ID
	_, _, err := s.Enter(t.Context(), id, "")
	require.ErrorIs(t, err, ErrNotFound, "it has no code")
	code, err := s.NewCode(t.Context(), id, false)
	require.NoError(t, err)
	mistaken := " " + strings.NewReplacer("0", "o", "1", "L", "-", " ").Replace(strings.ToLower(code))
	for _, written := range []string{code, mistaken} {
		number, token, err := s.Enter(t.Context(), id, written)
		require.NoError(t, err)
		require.Equal(t, id, number)
		whose, err := s.Session(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, id, whose)
	}
	_, err = s.NewCode(t.Context(), c[1].ID, false)
	require.NoError(t, err)
	wrong := code[:18] + "x"
	if strings.HasSuffix(code, "X") {
		wrong = code[:18] + "y"
	}
	for number, written := range map[string]string{c[1].ID: code, id: wrong, "nobody": code, "": ""} {
		_, _, err = s.Enter(t.Context(), number, written)
		require.ErrorIs(t, err, ErrNotFound, number)
	}
	_, token, err := s.Enter(t.Context(), id, code)
	require.NoError(t, err)
	now = now.Add(SessionFor)
	_, err = s.Session(t.Context(), token)
	require.ErrorIs(t, err, ErrNotFound, "it is over")
	_, token, err = s.Enter(t.Context(), id, code)
	require.NoError(t, err)
	_, err = s.NewCode(t.Context(), id, true)
	require.NoError(t, err)
	_, err = s.Session(t.Context(), token)
	require.ErrorIs(t, err, ErrNotFound, "whoever came in by the code before is out")
	_, _, err = s.Enter(t.Context(), id, code)
	require.ErrorIs(t, err, ErrNotFound, "the code before opens nothing")
	_, err = s.Session(t.Context(), "")
	require.ErrorIs(t, err, ErrNotFound)

	before := now
	first, opens, err := s.GiveCodeOnce(t.Context(), id, "a token", before)
	require.NoError(t, err)
	require.True(t, opens, "the code that there was is not newer")
	now = now.Add(time.Second)
	again, opens, err := s.GiveCodeOnce(t.Context(), id, "a token", now)
	require.NoError(t, err)
	require.True(t, opens)
	require.Equal(t, first, again)
	now = now.Add(time.Second)
	other, err := s.GiveCode(t.Context(), id, "a token and a form")
	require.NoError(t, err)
	require.NotEqual(t, first, other)
	_, opens, err = s.GiveCodeOnce(t.Context(), id, "a token", before)
	require.NoError(t, err)
	require.False(t, opens, "another code was given since")
	_, _, err = s.Enter(t.Context(), id, other)
	require.NoError(t, err)
}

func lettersAreKeptApart(t *testing.T, s *Store) {
	c := receive(t, s, 1)[0]
	require.NoError(t, s.Write(t.Context(), Step{Claim: c, Action: claims.Withdraw, By: Owner}, "제가 잘못 적었습니다"))
	letters, err := s.Letters(t.Context(), c.ID)
	require.NoError(t, err)
	require.Equal(t, map[int]string{2: "제가 잘못 적었습니다"}, letters)
	sound(t, s)
	_, err = s.db.ExecContext(t.Context(), "UPDATE letters SET text = 'other'")
	require.NoError(t, err)
	p, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []Finding{{Claim: c.ID, Seq: 2, What: "what the owner wrote is not what history has the hash of"}}, p.Wrong)
	require.NoError(t, s.Erase(t.Context(), c, privacy, "asked"))
	letters, err = s.Letters(t.Context(), c.ID)
	require.NoError(t, err)
	require.Empty(t, letters)
	sound(t, s)
}

func documentsComplete(t *testing.T, s *Store) {
	c := receive(t, s, 1)[0]
	kinds := []string{"a", "b"}
	require.NoError(t, s.Commit(t.Context(), []Step{
		{Claim: c, Action: claims.Check, By: Rules},
		{Claim: c, Action: claims.MissDocument, By: Rules, Reason: "x", Change: Change{
			Assessment: &claims.Assessment{}, Proposal: &claims.Proposal{Tier: 3, Review: true, Documents: kinds}}},
	}, nil))
	_, err := s.Key(t.Context(), c.ID, "")
	require.ErrorIs(t, err, ErrNotFound)
	for _, fresh := range []string{"first", "second"} {
		key, err := s.Key(t.Context(), c.ID, fresh)
		require.NoError(t, err)
		require.Equal(t, "first", key)
	}
	document := func(kind, digest string, quarantined bool) Kept {
		return Kept{Document: Document{Kind: kind, Digest: digest, Type: "image/png", Size: 10, Scan: "clean"}, Claim: c.ID,
			Blob: digest, Quarantined: quarantined}
	}
	add := func(k Kept) error { return s.AddDocument(t.Context(), c, k, 3, 100, Owner) }
	require.NoError(t, add(document("a", "1", false)))
	require.Equal(t, claims.DocumentsMissing, c.State)
	require.NoError(t, add(document("b", "2", true)))
	require.Equal(t, claims.DocumentsMissing, c.State, "nobody has looked at it")
	waiting, err := s.Quarantined(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.NoError(t, s.Release(t.Context(), c, waiting[0], Rules))
	require.Equal(t, claims.Checking, c.State, "it was the last one that was missing")
	require.ErrorContains(t, s.Release(t.Context(), c, waiting[0], Rules), "by somebody else")
	require.ErrorIs(t, add(Kept{Document: Document{Digest: "3", Size: 91}, Blob: "3"}), ErrFull)
	require.NoError(t, add(document("b", "4", true)))
	require.ErrorIs(t, add(document("b", "5", false)), ErrFull)
	waiting, err = s.Quarantined(t.Context(), 10)
	require.NoError(t, err)
	require.NoError(t, s.Reject(t.Context(), c, waiting[0], Rules, "malware"))
	blobs, err := s.Blobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"1": true, "2": true}, blobs)
	require.NoError(t, add(document("b", "6", true)))
	require.Equal(t, 3, sound(t, s).Documents)
	for _, test := range []struct {
		query, undo string
		what        []string
	}{
		{
			"DELETE FROM documents WHERE digest = '1'",
			"INSERT INTO documents VALUES ('c-000000', '1', 'a', 'image/png', 10, '1', 'kept', 1, '')",
			[]string{"document 1 came, as history says, and is not there"},
		},
		{
			"UPDATE documents SET digest = '7' WHERE digest = '2'", "UPDATE documents SET digest = '2' WHERE digest = '7'",
			[]string{
				"document 7 is there, and history does not say that it came",
				"document 2 came, as history says, and is not there",
			},
		},
		{
			"UPDATE documents SET kind = 'b' WHERE digest = '1'", "UPDATE documents SET kind = 'a' WHERE digest = '1'",
			[]string{"document 1 is {kind:b typ:image/png redacts: size:10}, and history says " +
				"{kind:a typ:image/png redacts: size:10}"},
		},
		{
			"DELETE FROM keys", "INSERT INTO keys VALUES ('c-000000', 'first')",
			[]string{"the key of document 1 is gone: nobody can open it", "the key of document 2 is gone: nobody can open it",
				"the key of document 6 is gone: nobody can open it"},
		},
	} {
		_, err := s.db.ExecContext(t.Context(), test.query)
		require.NoError(t, err)
		p, err := s.Prove(t.Context(), nil)
		require.NoError(t, err)
		var says []string
		for _, f := range p.Wrong {
			require.Equal(t, c.ID, f.Claim)
			says = append(says, f.What)
		}
		require.Equal(t, test.what, says, test.query)
		_, err = s.db.ExecContext(t.Context(), test.undo)
		require.NoError(t, err)
		sound(t, s)
	}
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Withdraw, By: Owner}}, nil))
	require.NoError(t, s.Erase(t.Context(), c, privacy, "asked"))
	_, err = s.Key(t.Context(), c.ID, "another")
	require.ErrorIs(t, err, ErrNotFound, "an erased claim gets no key")
	list, err := s.Documents(t.Context(), c.ID)
	require.NoError(t, err)
	require.Empty(t, list)
	require.Zero(t, sound(t, s).Documents)
	for _, query := range []string{
		"INSERT INTO keys VALUES ('c-000000', 'first')",
		"INSERT INTO documents VALUES ('c-000000', '1', 'a', 'image/png', 10, '1', 'kept', 1, '')",
	} {
		_, err := s.db.ExecContext(t.Context(), query)
		require.NoError(t, err)
	}
	p, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []Finding{{Claim: c.ID, What: "document 1 was erased, and is there"}}, p.Wrong)
}

func erasing(t *testing.T, s *Store) {
	list := receive(t, s, 2)
	c := list[0]
	require.ErrorContains(t, s.Erase(t.Context(), c, privacy, "asked"), "it is in state received")
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Withdraw, By: Actor{"kim", claims.Owner}}}, nil))
	require.ErrorContains(t, s.Erase(t.Context(), c, privacy, ""), "say why")
	require.ErrorIs(t, s.Erase(t.Context(), c, approver, "the owner asked for it"), claims.ErrIllegal,
		"that is a duty of its own")
	require.NoError(t, s.Erase(t.Context(), c, privacy, "the owner asked for it"))
	require.True(t, c.Erased)
	require.NoError(t, s.Erase(t.Context(), c, privacy, "again"))
	require.ErrorContains(t, s.ChangePerson(t.Context(), c, Person{}, approver, "x"), "its owner was erased")
	person, err := s.Person(t.Context(), c.ID)
	require.NoError(t, err)
	require.Nil(t, person)
	for _, table := range []string{"owners", "marks", "history", "claims"} {
		rows, err := s.db.Query("SELECT * FROM " + table) //nolint:unqueryvet // in whichever column it is
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		require.NoError(t, each(rows, func(scan func(...any) error) error {
			cells := make([]sql.NullString, len(columns))
			into := make([]any, len(cells))
			for i := range cells {
				into[i] = &cells[i]
			}
			err := scan(into...)
			require.NotContains(t, fmt.Sprint(cells), "123-0000000", "an account that was erased is in %s", table)
			return err
		}))
	}
	require.Equal(t, 1, sound(t, s).Erased)
	unguarded(t, s, "INSERT INTO owners VALUES ('c-000000', 's', '{}')")
	p, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []Finding{{Claim: "c-000000", What: "its owner was erased, and is there"}}, p.Wrong)
}
