package store

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

// aFormIsDoneOnce: a commit for a form that was done fails, whoever makes it and from whichever process, until the form is
// forgotten; what failed is no form that was done.
func aFormIsDoneOnce(t *testing.T, s *Store) {
	p := shipped(t, s)
	claim := receive(t, s, 1)[0].ID
	note := func() error {
		list, err := s.Get(t.Context(), claim)
		require.NoError(t, err)
		return s.Commit(Once(t.Context(), "form 1"), []Step{{Claim: list[0], Action: Note, Reason: "called",
			By: Actor{Name: "kim", Duty: claims.Reviewer}}}, nil)
	}
	_, err := s.SetFreeze(Once(t.Context(), "form 1"), p.Name, Freeze{Who: "kim", Why: "nothing is frozen"})
	require.ErrorIs(t, err, claims.ErrIllegal)
	done, err := s.FormDone(t.Context(), "form 1")
	require.NoError(t, err)
	require.False(t, done)
	failed := make(chan error)
	for range 4 {
		go func() { failed <- note() }()
	}
	good := 0
	for range 4 {
		if err := <-failed; err == nil {
			good++
		} else if _, conflict := errors.AsType[*ConflictError](err); !conflict {
			require.ErrorIs(t, err, ErrTwice)
		}
	}
	require.Equal(t, 1, good)
	require.ErrorIs(t, note(), ErrTwice)
	_, err = s.SetFreeze(Once(t.Context(), "form 1"), p.Name, Freeze{Who: "kim", Why: "x", Frozen: true})
	require.ErrorIs(t, err, ErrTwice)
	done, err = s.FormDone(t.Context(), "form 1")
	require.NoError(t, err)
	require.True(t, done)
	now := s.now()
	s.SetClock(func() time.Time { return now.Add(formsFor + time.Hour) })
	_, err = s.SetFreeze(Once(t.Context(), "form 2"), p.Name, Freeze{Who: "kim", Why: "x", Frozen: true, Number: 2})
	require.NoError(t, err, "whatever number nobody has frozen before")
	_, err = s.SetFreeze(t.Context(), p.Name, Freeze{Who: "lee", Why: "x", Number: 1})
	require.ErrorIs(t, err, claims.ErrIllegal, "kim froze it since")
	done, err = s.FormDone(t.Context(), "form 1")
	require.NoError(t, err)
	require.False(t, done, "it is forgotten")
}
