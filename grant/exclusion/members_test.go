package exclusion

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
)

const (
	listedID, grantedID, otherID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "00000000-0000-4000-8000-000000000001",
		"0190163d-8694-739b-aea5-966c26f8ad91"
)

// adds grants members as a run does, and returns how many had no place.
func (l *listed) adds(users ...string) int {
	l.Helper()
	g := ledger.NewGrants(l.store, grant.NewRunID(time.Now()))
	require.NoError(l, g.EnsureSpec(l.Context(), l.campaign))
	_, err := g.Begin(l.Context(), grant.TopicID{})
	require.NoError(l, err)
	form, seq := userid.FormOf(&l.campaign.Input), uint64(0)
	members := make([][]byte, len(users))
	for i, user := range users {
		members[i], _ = form.Member(nil, []byte(user))
	}
	granted, err := g.AddSome(l.Context(), &seq, nil, members)
	require.NoError(l, err)
	return len(granted)
}

// Users of a list are excluded before anybody is granted whatever their IDs are, each in any spelling; who was granted before
// they were listed keeps it, and is counted.
func TestListsOfIDsThatAreNotDense(t *testing.T) {
	l := newListedOf(t, grant.IDsUUID)
	require.Equal(t, 1, l.adds(grantedID))
	l.write("user,reason", "{"+listedID+"},foreign phone", "urn:uuid:"+listedID+",again", grantedID+",", otherID+",bot")
	require.Equal(t, Outcome{Listed: 3, Excluded: 2, Granted: 1}, l.settle())
	require.Equal(t, 1, l.adds(listedID, grantedID, otherID, "ffffffff-ffff-4fff-bfff-ffffffffffff"))
	found, err := l.reader.Users(t.Context(), []grant.UserID{grant.TextID(listedID), grant.TextID(otherID)})
	require.NoError(t, err)
	require.Equal(t, "foreign phone", found[0].Settled.Act.Reason, "the first one counts")
	require.Equal(t, grant.PlaceExcluded, found[1].Place)
	require.Equal(t, Outcome{Listed: 3, Before: 2, Granted: 1}, l.settle())
	require.NoError(t, l.actOn(grant.ActReinstate, grant.TextID(otherID)))
	require.Equal(t, Outcome{Listed: 3, Before: 1, Granted: 1, Let: 1}, l.settle(), "a person let the user in")
	list, err := l.replica(-1).Lists.Read(t.Context())
	require.NoError(t, err)
	excluded, granted, err := Compare(t.Context(), l.reader, list)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2}, []int64{excluded, granted})
	require.Len(t, list.Buckets(), 3)
	require.Empty(t, list.Chunks())
	l.proven()

	l.write("user,reason", "7,no such ID")
	_, err = l.replica(-1).Lists.Read(context.Background())
	require.ErrorContains(t, err, "out.csv:2: user ID \"7\" is malformed (not_uuid): want a UUID")
}

// IDs that are exact bytes are read as they are: white space around them is a part of them.
func TestListsOfStringsAreExact(t *testing.T) {
	l := newListedOf(t, grant.IDsString)
	l.write("user,reason", "\" Ada\",x", "Ada,y", "한국,z")
	require.Equal(t, Outcome{Listed: 3, Excluded: 3}, l.settle())
	require.Equal(t, 1, l.adds("Ada", " Ada", "Ada ", "한국"))
	l.proven()
}
