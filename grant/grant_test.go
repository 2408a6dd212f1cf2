package grant

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTalliesAddUp(t *testing.T) {
	count := rapid.Int64Range(0, 1<<40)
	draw := func(t *rapid.T, name string) Tally {
		out := Tally{
			Granted: count.Draw(t, name+" granted"), Duplicate: count.Draw(t, name+" duplicate"),
			Rejected: count.Draw(t, name+" rejected"), Withheld: count.Draw(t, name+" withheld"),
		}
		out.Consumed = out.Granted + out.Duplicate + out.Rejected + out.Withheld
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		sum := a.Add(b)
		require.Equal(t, sum.Consumed, sum.Granted+sum.Duplicate+sum.Rejected+sum.Withheld)
		require.Equal(t, sum, b.Add(a))
		require.Equal(t, a, a.Add(Tally{}))
		require.Equal(t, a.Consumed+b.Consumed, sum.Consumed)
		require.Equal(t, a.Granted+b.Granted, sum.Granted)
		require.Equal(t, a.Duplicate+b.Duplicate, sum.Duplicate)
		require.Equal(t, a.Rejected+b.Rejected, sum.Rejected)
		require.Equal(t, a.Withheld+b.Withheld, sum.Withheld)
	})
}

func TestARunIDIsTheSameAfterItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := RunID(rapid.Uint64().Draw(t, "id"))
		text := id.String()
		require.Len(t, text, 16)
		got, err := ParseRunID(text)
		require.NoError(t, err)
		require.Equal(t, id, got)

		data, err := json.Marshal(map[RunID]RunID{id: id})
		require.NoError(t, err)
		require.JSONEq(t, `{"`+text+`":"`+text+`"}`, string(data))
		var back map[RunID]RunID
		require.NoError(t, json.Unmarshal(data, &back))
		require.Equal(t, map[RunID]RunID{id: id}, back)
	})
}

func TestRunIDsSortByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 1<<42-2).Draw(t, "ms") // until the year 2109
		a, b := NewRunID(time.UnixMilli(ms)), NewRunID(time.UnixMilli(ms+1))
		require.Less(t, a, b)
		require.Less(t, a.String(), b.String())
		require.Equal(t, ms, int64(a>>22))
	})
	at := time.Now()
	same := make([]RunID, 100)
	for i := range same {
		same[i] = NewRunID(at)
	}
	slices.Sort(same)
	require.Greater(t, len(slices.Compact(same)), 90, "replicas that start in the same millisecond are told apart")
}

func TestWhatIsNoRunIDIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "0", "123456789abcdef", "123456789abcdef01", "123456789abcdefg", "+23456789abcdef0", "-23456789abcdef0",
		"0x3456789abcdef0", " 23456789abcdef0", "12345678_abcdef0", "１23456789abcd",
	} {
		_, err := ParseRunID(text)
		require.ErrorContains(t, err, "want 16 hexadecimal digits", "%q", text)
		var id RunID
		require.Error(t, id.UnmarshalText([]byte(text)), "%q", text)
	}
	id, err := ParseRunID("FFFFFFFFFFFFFFFF")
	require.NoError(t, err)
	require.Equal(t, RunID(math.MaxUint64), id)
}
