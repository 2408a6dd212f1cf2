package grant

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What an act makes of a user, for each place and state that there is. The reasons say what can be done instead.
func TestWhatActsMakeOfAUser(t *testing.T) {
	at := time.Date(2022, 11, 20, 0, 0, 0, 0, time.UTC)
	other := NumberID(8)
	revoked := UserState{Acts: []string{"r"}, Revoked: &Revocation{Since: at, Kind: RevokedFraud, Remark: Remark{Reason: "bots"}}}
	moved := UserState{Acts: []string{"m"}, MovedTo: &other}
	const (
		granted = "granted"
		no      = "excluded"
	)
	for _, c := range []struct {
		kind  ActKind
		place Place
		state UserState
		want  string // a place, or text of the error
		err   error
	}{
		{ActHand, PlaceNone, UserState{}, granted, nil},
		{ActHand, PlaceGranted, UserState{}, "granted already", ErrUnchanged},
		{ActHand, PlaceExcluded, UserState{}, "reinstate ends that", ErrRefused},
		{ActHand, PlaceGranted, revoked, "revoked (fraud: bots): reinstate it", ErrRefused},
		{ActHand, PlaceGranted, moved, "moved to user 8: move it back", ErrRefused},
		{ActExclude, PlaceNone, UserState{}, no, nil},
		{ActExclude, PlaceGranted, UserState{}, "only revoke takes that back", ErrRefused},
		{ActExclude, PlaceExcluded, UserState{}, "excluded already", ErrUnchanged},
		{ActRevoke, PlaceGranted, UserState{}, granted, nil},
		{ActRevoke, PlaceNone, UserState{}, "exclude keeps a grant from coming", ErrRefused},
		{ActRevoke, PlaceExcluded, UserState{}, "never granted", ErrUnchanged},
		{ActRevoke, PlaceGranted, revoked, "revoked already (fraud: bots)", ErrUnchanged},
		{ActRevoke, PlaceGranted, moved, "moved to user 8", ErrRefused},
		{ActReinstate, PlaceGranted, revoked, granted, nil},
		{ActReinstate, PlaceExcluded, UserState{}, granted, nil},
		{ActReinstate, PlaceGranted, UserState{}, "not revoked", ErrUnchanged},
		{ActReinstate, PlaceNone, UserState{}, "grant-user grants by hand", ErrRefused},
		{ActReinstate, PlaceGranted, moved, "move it back", ErrRefused},
		{ActExtend, PlaceGranted, UserState{}, granted, nil},
		{ActExtend, PlaceGranted, revoked, "reinstate it first", ErrRefused},
		{ActExtend, PlaceExcluded, UserState{}, "never granted", ErrRefused},
		{ActMove, PlaceGranted, UserState{}, granted, nil},
		{ActMove, PlaceGranted, moved, "moved to user 8", ErrRefused},
		{ActMove, PlaceNone, UserState{}, "has not been granted", ErrRefused},
		{ActRecall, PlaceGranted, UserState{}, granted, nil},
		{ActRecall, PlaceGranted, UserState{Recalled: map[string]Remark{"": {}}}, "recalled already", ErrUnchanged},
		{ActNote, PlaceNone, UserState{}, "none", nil},
		{ActNote, PlaceGranted, revoked, granted, nil},
		{"bless", PlaceGranted, UserState{}, "not known to this granter", ErrRefused},
	} {
		before, err := json.Marshal(c.state)
		require.NoError(t, err)
		act := Act{ID: "a", Kind: c.kind, At: at, To: &other, Until: at, Reason: "ticket 7"}
		place, next, err := c.state.After(c.place, &act)
		if c.err != nil {
			require.ErrorIs(t, err, c.err, "%s of %s %+v", c.kind, c.place, c.state)
			require.ErrorContains(t, err, c.want)
			continue
		}
		require.NoError(t, err, "%s of %s %+v", c.kind, c.place, c.state)
		require.EqualValues(t, c.want, place)
		require.True(t, next.Done("a"))
		now, err := json.Marshal(c.state)
		require.NoError(t, err)
		require.JSONEq(t, string(before), string(now), "the state before stays as it was")
	}
}

// A state comes back from the ledger as it was, or acts would be refused for ever as overtaken.
func TestAStateComesBackAsItWas(t *testing.T) {
	seoul := time.FixedZone("", 9*3600)
	var s UserState
	for i, act := range []Act{
		{ID: "1", Kind: ActExtend, Until: time.Date(2023, 5, 1, 0, 0, 0, 0, seoul)},
		{ID: "2", Kind: ActNote, Reason: "<rings on \u2028 Monday & \x00>"},
		{ID: "3", Kind: ActRevoke, Revocation: RevokedMistake, Effective: time.Date(2023, 1, 1, 0, 0, 0, 5, seoul)},
	} {
		_, next, err := s.After(PlaceGranted, &act)
		require.NoError(t, err, "%d", i)
		text, err := json.Marshal(next)
		require.NoError(t, err)
		s = UserState{}
		require.NoError(t, json.Unmarshal(text, &s))
		again, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
	}
	require.False(t, s.RevokedAt(time.Date(2022, 12, 31, 14, 59, 59, 0, time.UTC)))
	require.True(t, s.RevokedAt(time.Date(2022, 12, 31, 15, 0, 0, 5, time.UTC)))
}

// Times of acts are in the years that a campaign's own may be in: an end in the year 1 or 9999 is a mistake of somebody.
func TestTimesOfActsAreOfThisWorld(t *testing.T) {
	for text, good := range map[string]bool{
		"0001-01-01T00:00:01Z": false, "1999-12-31T23:59:59Z": false, "2000-01-01T00:00:00Z": true, "2199-12-31T23:59:59Z": true,
		"2200-01-01T08:00:00+09:00": true, "2200-01-01T09:00:00+09:00": false, "9999-12-31T23:59:59Z": false,
	} {
		at, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		extend := Act{ID: "a", Kind: ActExtend, Who: "mira", Reason: "x", Until: at}
		revoke := Act{ID: "a", Kind: ActRevoke, Who: "mira", Reason: "x", Revocation: RevokedFraud, Effective: at}
		for _, act := range []Act{extend, revoke} {
			if err := act.Validate(); good {
				require.NoError(t, err, text)
			} else {
				require.ErrorContains(t, err, "2000 to 2199", text)
			}
		}
	}
}
