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

func (b buckets) BucketMembers(_ context.Context, numbers []uint64) ([][]opaque.Entry, error) {
	out := make([][]opaque.Entry, len(numbers))
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

// A dry run withholds who is excluded, and whom a run would exclude first, and not who was granted before.
func TestADryRunOfMembersWithholdsTheExcluded(t *testing.T) {
	stored := opaquetest.NewMemory()
	require.EqualValues(t, 100, give(t, stored, 0, upTo(0, 100)...))
	member := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	listed := map[uint64][]byte{}
	for _, n := range []uint64{5, 300, 301, 999} { // one of whom is granted, and one excluded
		bucket := eightBytes.Bucket(opaque.Hash(member(n)))
		listed[bucket] = append(listed[bucket], member(n)...)
	}
	for _, n := range []uint64{200, 201, 301} {
		out := opaque.Entry{Members: member(n), Says: opaque.Excludes}
		stored.Append(eightBytes.Bucket(opaque.Hash(member(n))), out, string(member(n)))
	}
	stored.Append(eightBytes.Bucket(opaque.Hash(member(201))), opaque.Entry{Members: member(201), Says: opaque.Admits})
	dry := NewMembers(buckets{stored}, eightBytes, listed)
	require.EqualValues(t, 296, give(t, dry, 0, append(upTo(0, 400), upTo(190, 310)...)...))
	o := dry.Outcome(func(users, _ float64) float64 { return users })
	require.EqualValues(t, 296, o.WouldGrant)
	require.EqualValues(t, 101, o.AlreadyGranted, "one of them by an act that ended an exclusion")
	require.EqualValues(t, 3, o.Excluded)
}

// A dry run of IDs that are not dense counts what a run would do, whoever is in the topic how often, and writes nothing.
func TestADryRunOfMembersCountsAsARunWould(t *testing.T) {
	for name, memory := range map[string]int{"remembers": 0, "forgets": 1} {
		t.Run(name, func(t *testing.T) {
			stored := opaquetest.NewMemory()
			require.EqualValues(t, 3000, give(t, stored, memory, upTo(0, 3000)...))
			before := stored.Users()
			dry := NewMembers(buckets{stored}, eightBytes, nil)
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
