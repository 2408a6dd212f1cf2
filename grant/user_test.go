package grant

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A user is the text of the ID, however it is held: equal texts are equal users, in memory as in JSON.
func TestAUserIsTheTextOfTheID(t *testing.T) {
	for text, isNumber := range map[string]bool{
		"0": true, "7": true, "9223372036854775807": true, "9223372036854775808": false, "18446744073709551616": false,
		"007": false,
		"-1":  false, "+1": false, "1 ": false, "99999999999999999999": false, "minji@example.com": false,
		"6ba7b810-9dad-11d1-80b4-00c04fd430c8": false,
	} {
		id := TextID(text)
		require.Equal(t, text, id.String())
		require.Equal(t, isNumber, id.IsNumber(), text)
		if isNumber {
			n, err := strconv.ParseUint(text, 10, 64)
			require.NoError(t, err)
			require.Equal(t, NumberID(n), id)
		} else {
			require.Greater(t, id.Number(), MaxUserID, "nobody else's number")
		}
		var again struct {
			User *UserID `json:"user"`
		}
		encoded, err := json.Marshal(map[string]UserID{"user": id})
		require.NoError(t, err)
		require.Equal(t, `{"user":"`+text+`"}`, string(encoded))
		require.NoError(t, json.Unmarshal(encoded, &again))
		require.Equal(t, id, *again.User)
	}
	require.Error(t, json.Unmarshal([]byte(`""`), new(UserID)))
	require.Error(t, json.Unmarshal([]byte(`7`), new(UserID)), "a number in JSON loses digits on its way")
}

func TestUsersHaveAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Custom(func(t *rapid.T) UserID {
			if rapid.Bool().Draw(t, "text") {
				return TextID(rapid.StringMatching(`[0-9a-f]{1,4}`).Draw(t, "id"))
			}
			return NumberID(rapid.Uint64Range(0, MaxUserID).Draw(t, "id"))
		})
		a, b := id.Draw(t, "a"), id.Draw(t, "b")
		require.Equal(t, a == b, a.Compare(b) == 0)
		require.Equal(t, a.Compare(b), -b.Compare(a))
	})
}

// What goes wrong with one user says to whoever asked who it is, and to a log only as much as finds the line again.
func TestALogNamesNoUser(t *testing.T) {
	inner := &UserError{TextID("3f2a91c0-9c0d-4b62-8a10-0e8a52d57c01"), errors.New("not in the journal of chunk 41231007")}
	err := fmt.Errorf("looking up: %w", errors.Join(io.EOF, &UserError{NumberID(41_231_007), fmt.Errorf("the move: %w", inner)}))
	require.ErrorIs(t, err, io.EOF)
	require.ErrorContains(t, err, "user 41231007: the move: user 3f2a91c0-9c0d-4b62-8a10-0e8a52d57c01: not in the journal")
	require.Equal(t, "looking up: EOF\nuser …07: the move: user …01: not in the journal of chunk 41231007", Masked(err))
	require.Equal(t, "user …: EOF", Masked(&UserError{NumberID(7), io.EOF}), "of a short one the end would tell all")
}
