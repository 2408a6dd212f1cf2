package ledger

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestSlotsAreThoseOfRedis(t *testing.T) {
	require.EqualValues(t, 0x31c3, crc16("123456789"), "the example of the Redis Cluster specification")
	for key, slot := range map[string]int{"foo": 12182, "user1000": 3443} {
		require.Equal(t, slot, int(crc16(key))%slots)
	}
}

func TestAnchorsAreSpreadEvenly(t *testing.T) {
	for _, campaign := range []string{"c", "kakao-outage-2022"} {
		k := newKeys(campaign, "", true)
		require.Len(t, k.anchors, clusterTags)
		for i, anchor := range k.anchors {
			require.True(t, strings.HasPrefix(anchor, campaign+"/"))
			require.Equal(t, i*anchorStride, int(crc16(anchor))%slots)
		}
		require.Equal(t, k.anchors, newKeys(campaign, "", true).anchors, "every replica must find the same")
	}
	require.Len(t, newKeys("c", "0123456789abcdef", false).anchors, 1)
}

func TestKeysOfAChunk(t *testing.T) {
	k := newKeys("c", "0123456789abcdef", false)
	require.Equal(t, chunkKeys{
		granted: "granter:{c/12}:granted", journal: "granter:{c/12}:journal", calls: "granter:{c/12}:calls",
		delta: "granter:{c/12}:delta:id", scratch: "granter:{c/12}:scratch",
		excluded: "granter:{c/12}:excluded", state: "granter:{c/12}:state",
	}, k.chunk(12, "id"))
	require.Equal(t, "granter:{c}:chunks", k.chunks)
	require.Equal(t, "granter:{c/anchor}:checkpoint:0123456789ab", k.checkpoint(k.anchors[0], k.version))
}

func TestFindsMastersWithoutAnchor(t *testing.T) {
	node := func(addr string) []redis.ClusterNode { return []redis.ClusterNode{{ID: "id-" + addr, Addr: addr}} }
	a, b := node("a"), node("b")
	require.Empty(t, unanchored(nil))
	require.Empty(t, unanchored([]redis.ClusterSlot{{Start: 0, End: 16383, Nodes: a}}))
	require.Empty(t, unanchored([]redis.ClusterSlot{{Start: 0, End: 0, Nodes: a}, {Start: 1, End: 16383, Nodes: b}}))
	require.Empty(t, unanchored([]redis.ClusterSlot{{Start: 0, End: 5, Nodes: a}, {Start: 6, End: 9, Nodes: b}, {Start: 16128, End: 16128, Nodes: b}}))
	require.Equal(t, "b", unanchored([]redis.ClusterSlot{{Start: 0, End: 256, Nodes: a}, {Start: 257, End: 511, Nodes: b}}))
	require.Equal(t, "b", unanchored([]redis.ClusterSlot{{Start: 0, End: 16128, Nodes: a}, {Start: 16129, End: 16383, Nodes: b}}))
}
