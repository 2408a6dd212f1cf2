package store

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

var secretary = Actor{"oh", claims.Secretary}

// farExtension is one of the window of documents, from how it is now to a time to come.
func farExtension(t *testing.T, s *Store) Extension {
	t.Helper()
	windows, err := s.Windows(t.Context(), shipped(t, s))
	require.NoError(t, err)
	for _, w := range windows {
		if w.Name == "documents" {
			return Extension{"documents", w.Closes, time.Now().Add(24 * time.Hour).Truncate(time.Second)}
		}
	}
	require.Fail(t, "no window of documents")
	return Extension{}
}

func windowsAreExtended(t *testing.T, s *Store) {
	p := shipped(t, s)
	hash := p.Hash
	closes := func() time.Time { return farExtension(t, s).Old }
	was := closes()
	e := farExtension(t, s)
	got, err := s.Extend(t.Context(), p, e, secretary, "few have filed")
	require.NoError(t, err)
	require.Equal(t, "oh", got.Who)
	require.True(t, e.New.Equal(closes()), "it counts at once")
	again, err := s.Programme(t.Context(), p.Name)
	require.NoError(t, err)
	require.Equal(t, hash, again.Hash)

	for says, wrong := range map[string]Extension{
		"read it again":          e,
		"never shortened":        {"documents", e.New, e.New.Add(-time.Hour)},
		"is over":                {"documents", e.New, was},
		"would overlap":          {"reports", p.Windows[0].Closes, time.Now().Add(time.Hour)},
		"has no window \"none\"": {"none", e.New, e.New.Add(time.Hour)},
	} {
		_, err = s.Extend(t.Context(), p, wrong, secretary, "x")
		require.ErrorIs(t, err, claims.ErrNoExtension)
		require.ErrorContains(t, err, says)
	}
	_, err = s.Extend(t.Context(), p, Extension{"documents", e.New, e.New.Add(time.Hour)}, secretary, "")
	require.ErrorContains(t, err, "and why")

	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() {
			_, errs[i] = s.Extend(t.Context(), p, Extension{"documents", e.New, e.New.Add(time.Duration(i+1) * time.Hour)},
				secretary, "at once")
		})
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		require.ErrorIs(t, err, claims.ErrNoExtension)
	}
	require.Equal(t, 1, won, "the others are told")
	list, err := s.Amendments(t.Context(), p.Name)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []string{"few have filed", "at once"}, []string{list[0].Why, list[1].Why})

	proof := sound(t, s)
	require.Equal(t, 2, proof.Records)
	later, err := s.Prove(t.Context(), &Anchor{proof.Commits, proof.Head})
	require.NoError(t, err)
	require.Empty(t, later.Wrong)
	for _, statement := range []string{
		"UPDATE records SET why = 'x'", "DELETE FROM records",
		"INSERT INTO records SELECT programme, 9, commit_number, 9, at, who, duty, kind, why, body, prev, hash FROM records",
	} {
		_, err = s.db.Exec(statement)
		require.Error(t, err, statement)
	}
}

// lookingAgain adopts a programme in which chance has a share of the approved claims looked at again.
func lookingAgain(t *testing.T, s *Store, share string) *claims.Programme {
	t.Helper()
	p, err := s.Adopt(t.Context(), bytes.Replace(source(t), []byte("second_look: 0%"), []byte("second_look: "+share), 1))
	require.NoError(t, err)
	return p
}

// approvedBy has the rules approve a claim.
func approvedBy(t *testing.T, s *Store, c *Claim) {
	t.Helper()
	won := claims.Won(30_000)
	require.NoError(t, s.Commit(t.Context(), []Step{
		{Claim: c, Action: claims.Check, By: Rules},
		{Claim: c, Action: Identify, By: Rules, Change: Change{Identity: &Identity{Complete: true}}},
		{Claim: c, Action: claims.Approve, By: Rules, Reason: "the rules", Change: Change{Owed: &won}},
	}, nil))
}

func secondLooks(t *testing.T, s *Store) {
	const n = 200
	p := lookingAgain(t, s, "50%")
	filings, ids := make([]Filing, n), make([]string, n)
	for i := range filings {
		filings[i] = filing(p, i)
		ids[i] = filings[i].ID
	}
	_, err := s.Receive(t.Context(), filings, nil)
	require.NoError(t, err)
	list, err := s.Records(t.Context(), p.Name)
	require.NoError(t, err)
	require.Len(t, list, 1, "it is bound to a secret before anything is known of the first claim")
	require.Len(t, list[0].Change.Chance, 64)
	all, err := s.Get(t.Context(), ids...)
	require.NoError(t, err)
	var drawn []*Claim
	for _, c := range all {
		approvedBy(t, s, c)
		if c.State == claims.SecondLook {
			drawn = append(drawn, c)
			continue
		}
		require.Equal(t, claims.Approved, c.State)
	}
	require.InDelta(t, n/2, len(drawn), 5*7.1, "about half of them")
	books, err := s.Books(t.Context(), p.Name, 0)
	require.NoError(t, err)
	require.EqualValues(t, n*30_000, books.Owed, "it is owed, too")

	run, err := s.Declare(t.Context(), p, 2*n, payer)
	require.NoError(t, err)
	require.Equal(t, n-len(drawn), run.Payments, "the others are paid, and none of them")
	require.ErrorIs(t, s.Commit(t.Context(), []Step{{Claim: drawn[0], Action: claims.Send, By: payer}}, nil), claims.ErrIllegal)

	c := drawn[0]
	confirm := func(by Actor) error {
		return s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Confirm, By: by, Reason: "it is right"}}, nil)
	}
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: Note, By: reviewer, Reason: "I judged it"}}, nil))
	require.ErrorContains(t, confirm(reviewer), "had a hand in it")
	require.ErrorContains(t, confirm(Actor{"intake", claims.Reviewer}), "entered it")
	require.ErrorContains(t, confirm(payer), "is done by reviewer or approver")
	require.NoError(t, confirm(approver))
	require.Equal(t, claims.Approved, c.State)
	run, err = s.Declare(t.Context(), p, 2*n, payer)
	require.NoError(t, err)
	require.Equal(t, 1, run.Payments)

	c = drawn[1] // what was decided again is looked at again
	require.NoError(t, s.Commit(t.Context(), []Step{
		{Claim: c, Action: claims.Flag, By: Rules, Reason: "a signal"},
		{Claim: c, Action: claims.Clear, By: Rules, Reason: "gone"},
	}, nil))
	won := claims.Won(30_000)
	require.NoError(t, s.Commit(t.Context(), []Step{{Claim: c, Action: claims.Approve, By: Rules, Reason: "the rules",
		Change: Change{Owed: &won}}}, nil))
	require.Equal(t, claims.SecondLook, c.State)
	sound(t, s)

	unguarded(t, s, "UPDATE secrets SET secret = 'another'")
	proof, err := s.Prove(t.Context(), nil)
	require.NoError(t, err)
	require.Contains(t, proof.Wrong[0].What, "the secret of programme "+p.Name)
}

// Whoever approves without the draw that belongs to it is found.
func TestADrawThatIsLeftOutIsFound(t *testing.T) {
	f := &fairness{chances: map[string]chance{"p": {1_000_000, "secret"}}}
	c := &Claim{ID: "c-1", Opening: Opening{Programme: "p"}}
	proof := &Proof{}
	f.next(proof, c, &Entry{Action: claims.Approve})
	f.next(proof, c, &Entry{Action: claims.Draw})
	f.next(proof, c, nil)
	require.Empty(t, proof.Wrong)
	f.next(proof, c, &Entry{Action: claims.Approve})
	f.next(proof, c, &Entry{Action: claims.Send})
	require.Len(t, proof.Wrong, 1)
	f.next(proof, c, &Entry{Action: claims.Approve})
	f.next(proof, c, nil)
	require.Len(t, proof.Wrong, 2)
	f.next(proof, &Claim{Opening: Opening{Programme: "not bound"}}, &Entry{Action: claims.Approve})
	f.next(proof, c, nil)
	require.Len(t, proof.Wrong, 2)
}
