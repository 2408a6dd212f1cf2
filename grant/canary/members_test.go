package canary

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/opaque"
)

func member(t require.TestingT, in *grant.Input, text string) []byte {
	form := userid.FormOf(in)
	m, fault := form.Member(nil, []byte(text))
	require.Empty(t, fault, text)
	return m
}

// Of IDs that are not dense a canary is as large as its share, too, has a user in all spellings or in none, and is within every
// larger one.
func TestAShareOfMembers(t *testing.T) {
	in := grant.Input{IDs: grant.IDsUUID}
	small, large := share(t, campaign, 0.05), share(t, campaign, 0.2)
	const users = 50_000
	counts := [2]int{}
	for i := range users {
		text := fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", i)
		m := member(t, &in, text)
		in5, in20 := small.IncludesMember(opaque.Hash(m), m), large.IncludesMember(opaque.Hash(m), m)
		require.False(t, in5 && !in20, text)
		other := member(t, &in, "{"+strings.ToUpper(text)+"}")
		require.Equal(t, in5, small.IncludesMember(opaque.Hash(other), other))
		for at, in := range []bool{in5, in20} {
			if in {
				counts[at]++
			}
		}
	}
	require.InDelta(t, 0.05*users, counts[0], 300)
	require.InDelta(t, 0.2*users, counts[1], 600)
	all := share(t, campaign, 1)
	require.True(t, all.IncludesMember(7, []byte("anybody")))
}

// A list of users whose IDs are not dense names each in any spelling, and is asked for members, never for hashes.
func TestAListOfMembers(t *testing.T) {
	in := grant.Input{IDs: grant.IDsUUID}
	const one, two = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c9"
	read := func(text string) *List {
		l, err := Only(t.Context(), grant.Pass{Group: "g"}, strings.NewReader(text), in)
		require.NoError(t, err)
		return l
	}
	l := read("{" + strings.ToUpper(one) + "}\n" + two + "\n" + one + "\n")
	require.EqualValues(t, 2, l.Listed)
	require.Equal(t, "only 2 users", l.Name)
	require.Equal(t, l.Key, read(two+"\n"+one).Key, "the same set has the same checkpoint")
	require.NotEqual(t, l.Key, read(one).Key)
	m := member(t, &in, one)
	require.True(t, l.IncludesMember(opaque.Hash(m), m))
	other := member(t, &in, "00000000-0000-0000-0000-000000000000")
	require.False(t, l.IncludesMember(opaque.Hash(m), other), "the hash decides nothing")
	for list, want := range map[string]string{"": "names nobody", one + "\n7\n": "line 2"} {
		_, err := Only(t.Context(), grant.Pass{}, strings.NewReader(list), in)
		require.ErrorContains(t, err, want)
	}
}

func TestWhoOfAListOfMembersIsMissing(t *testing.T) {
	l, err := Only(t.Context(), grant.Pass{}, strings.NewReader("7\n12\n3\n5\n"), grant.Input{IDs: grant.IDsString})
	require.NoError(t, err)
	missing, first, err := l.Missing(t.Context(), stored{5, 6}, 2)
	require.NoError(t, err)
	require.EqualValues(t, 3, missing)
	require.Equal(t, []grant.UserID{grant.TextID("12"), grant.TextID("3")}, first)
	_, _, err = l.Missing(t.Context(), stored(nil), 2)
	require.ErrorContains(t, err, "does not answer")
}
