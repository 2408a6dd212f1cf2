package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant/claims"
)

func toldOnce(t *testing.T, s *Store) {
	now := time.Now()
	s.now = func() time.Time { return now }
	list := receive(t, s, 150)
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { _, err := s.Collect(t.Context()); return err })
	}
	require.NoError(t, group.Wait())
	c := list[0]
	require.NoError(t, s.Commit(t.Context(), []Step{
		{Claim: c, Action: claims.Check, By: Rules},
		{Claim: c, Action: claims.MissDocument, By: Rules, Reason: "x"},
	}, nil))
	made, err := s.Collect(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, made)
	until := now.Add(time.Hour)
	for range 2 {
		require.NoError(t, s.Remind(t.Context(), c.Programme, until))
	}
	before, err := s.Person(t.Context(), c.ID)
	require.NoError(t, err)
	other := *before
	other.Account = "999"
	require.NoError(t, s.ChangePerson(t.Context(), c, other, Owner, "another bank"))
	of, err := s.Notices(t.Context(), NoticeFilter{Claim: c.ID})
	require.NoError(t, err)
	kinds := map[NoticeKind]int{}
	for _, n := range of {
		kinds[n.Kind]++
		if n.Kind == NoticeAccount {
			require.Equal(t, before.Account, n.Person.Account, "the old contact is told")
		}
	}
	require.Equal(t, map[NoticeKind]int{NoticeReceived: 1, NoticeMissing: 1, NoticeDeadline: 1, NoticeAccount: 1}, kinds)

	taken := make(chan []Notice, 4)
	for range 4 {
		group.Go(func() error {
			got, err := s.Take(t.Context(), 1000, time.Minute)
			taken <- got
			return err
		})
	}
	require.NoError(t, group.Wait())
	seen := map[string]bool{}
	for range 4 {
		for _, n := range <-taken {
			require.False(t, seen[n.ID], "each is sent by one")
			seen[n.ID] = true
		}
	}
	require.Len(t, seen, 153)
	n := of[0]
	n.State = NoticeSent
	require.NoError(t, s.Settle(t.Context(), &n))
	now = now.Add(2 * time.Minute)
	got, err := s.Take(t.Context(), 1000, time.Minute)
	require.NoError(t, err)
	require.Len(t, got, 152, "those of a sender that died come again")
	require.NoError(t, s.Resend(t.Context(), n.ID))
	require.ErrorContains(t, s.Resend(t.Context(), "nothing"), "there is no notice nothing")
	got, err = s.Take(t.Context(), 1000, time.Minute)
	require.NoError(t, err)
	require.Len(t, got, 1)
	waiting, err := s.Notices(t.Context(), NoticeFilter{States: []NoticeState{NoticeWaiting, NoticeFailed}, Limit: 5})
	require.NoError(t, err)
	require.Len(t, waiting, 5)
	then, is, history, err := s.AsOf(t.Context(), c.ID, 1)
	require.NoError(t, err)
	require.Equal(t, claims.Received, then.State)
	require.Equal(t, claims.DocumentsMissing, is.State)
	require.Len(t, history, 1)
	sound(t, s)
}
