package ledger

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestNodesWithoutAHostAreAtTheHostThatWasAsked(t *testing.T) {
	e := endpoints{asked: "redis.example"}
	got, err := e.slots([]any{
		[]any{int64(0), int64(99), []any{nil, int64(7000), "a", []any{}}, []any{"10.0.0.2", int64(7001), "b"}},
		[]any{int64(100), int64(16383), []any{"", int64(7002)}, []any{"::1", int64(7003)}},
	})
	require.NoError(t, err)
	require.Equal(t, []redis.ClusterSlot{
		{Start: 0, End: 99, Nodes: []redis.ClusterNode{{ID: "a", Addr: "redis.example:7000"}, {ID: "b", Addr: "10.0.0.2:7001"}}},
		{Start: 100, End: 16383, Nodes: []redis.ClusterNode{{Addr: "redis.example:7002"}, {Addr: "[::1]:7003"}}},
	}, got)

	_, err = e.slots([]any{[]any{int64(0), int64(1), []any{"?", int64(7000), "a"}}})
	require.ErrorIs(t, err, errHostname)
	for _, odd := range []any{nil, "x", []any{int64(1)}, []any{"0", int64(1)}, []any{int64(0), int64(1), nil}, []any{int64(0), int64(1), []any{"h"}}} {
		_, err = e.slots([]any{odd})
		require.ErrorContains(t, err, "unexpected")
	}
}
