package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/sharding/dense"
)

// One ID is asked of each form of container as it lies: the answer is that of the decoded members.
func TestAskingForOneMemberIsAsGoodAsDecodingAll(t *testing.T) {
	kinds := map[memberKind]int{}
	rapid.Check(t, func(t *rapid.T) {
		members := anyMembers(t)
		stored, err := openMembers(container(members), members.Count())
		require.NoError(t, err)
		kinds[stored.kind]++
		for low := range dense.ChunkSize {
			if stored.has(uint16(low)) != members.Has(uint16(low)) {
				t.Fatalf("member %d", low)
			}
		}
	})
	require.Len(t, kinds, 3, "%v", kinds)
}

func TestAskingForOneMemberAllocatesNothing(t *testing.T) {
	for _, members := range []*dense.Bitmap{bitmap(1, 2, 9), span(10, 100, 1), span(0, 30000, 2)} {
		b, count := container(members), members.Count()
		require.Zero(t, testing.AllocsPerRun(10, func() {
			stored, err := openMembers(b, count)
			if err != nil || stored.has(8) {
				_ = stored.has(65535)
			}
		}))
	}
}
