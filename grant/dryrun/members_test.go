package dryrun

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
	"github.com/granter/granter/sharding/opaque/opaquetest"
)

// buckets reads what another sink has been given.
type buckets struct{ *opaquetest.Memory }

func (b buckets) BucketMembers(_ context.Context, numbers []uint64) ([][][]byte, error) {
	out := make([][][]byte, len(numbers))
	for i, number := range numbers {
		out[i] = b.Entries(number)
	}
	return out, nil
}

var eightBytes = opaque.Layout{Bits: opaque.MinBits, Width: 8}

// give has a pool grant some numbers by a sink, in flushes of few of them, and returns how many were granted.
func give(t *testing.T, sink opaque.Sink, memory int, numbers ...uint64) int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pool := opaque.New(opaque.Config{Config: sharding.Config{Shards: 2, Memory: memory}, Layout: eightBytes, TargetPerBucket: 1},
		sink,
		map[int]int64{0: 0})
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	lane := pool.Lane(0)
	for i, n := range numbers {
		member := binary.BigEndian.AppendUint64(nil, n)
		require.NoError(t, lane.AddMember(ctx, int64(i), opaque.Hash(member), member))
	}
	require.NoError(t, lane.Mark(ctx, int64(len(numbers)), true))
	pool.Close()
	require.NoError(t, <-ended)
	positions, err := pool.Positions()
	require.NoError(t, err)
	return positions[0].Granted
}

func upTo(from, to uint64) (out []uint64) {
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

// A dry run of IDs that are not dense counts what a run would do, whoever is in the topic how often, and writes nothing.
func TestADryRunOfMembersCountsAsARunWould(t *testing.T) {
	for name, memory := range map[string]int{"remembers": 0, "forgets": 1} {
		t.Run(name, func(t *testing.T) {
			stored := opaquetest.NewMemory()
			require.EqualValues(t, 3000, give(t, stored, memory, upTo(0, 3000)...))
			before := stored.Users()
			dry := NewMembers(buckets{stored}, eightBytes)
			topic := append(upTo(2000, 9000), upTo(1000, 4000)...) // 1,000 to 2,999 are granted, 2,000 of them twice in the topic
			require.EqualValues(t, 6000, give(t, dry, memory, append(topic, topic...)...))
			o := dry.Outcome(func(users, _ float64) float64 { return 2 * users })
			require.EqualValues(t, 6000, o.WouldGrant)
			require.EqualValues(t, 2000, o.AlreadyGranted)
			require.EqualValues(t, 12000, o.LedgerBytes)
			require.Positive(t, o.Chunks)
			require.Equal(t, before, stored.Users())
		})
	}
}
