package preflight

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
)

const users48M = 48_000_000

// topicOf samples a topic of which only the rule is known that gives the ID of the nth user.
type topicOf struct {
	users      int64
	partitions int
	ascending  bool // users are dealt to the partitions in their order; otherwise shuffled
	id         func(user uint64) uint64
}

func (c topicOf) sample(seed uint64) (visited [][]uint64, records int64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	bounds := grant.Bounds{Firsts: grant.Offsets{}, Ends: grant.Offsets{}}
	for p := range c.partitions {
		bounds.Firsts[p], bounds.Ends[p] = 5, 5+c.users/int64(c.partitions)
	}
	records = bounds.Records()
	for _, place := range places(bounds) {
		var ids []uint64
		for offset := place.From; offset < place.Until && len(ids) < place.Limit; offset++ {
			user := uint64(rng.Int64N(c.users))
			if c.ascending {
				user = uint64(offset-5)*uint64(c.partitions) + uint64(place.Partition)
			}
			ids = append(ids, c.id(user))
		}
		visited = append(visited, ids)
	}
	return visited, records
}

// random is a bijection that looks random, within 63 bits.
func random(n uint64) uint64 { return userid.Hash(n) >> 1 }

func TestEstimateBracketsTheTruth(t *testing.T) {
	t.Parallel()
	dense := func(n uint64) uint64 { return n }
	spread := func(factor float64) func(uint64) uint64 {
		return func(n uint64) uint64 { return uint64(float64(n) * factor) }
	}
	for _, c := range []struct {
		name  string
		topic topicOf
		truth float64
		tight float64 // how far the range may reach from the truth, as a factor
	}{
		{"dense, shuffled", topicOf{users: users48M, partitions: 8, id: dense}, 733, 1.05},
		{"dense, ascending", topicOf{users: users48M, partitions: 8, ascending: true, id: dense}, 733, 1.4},
		{"dense, one partition", topicOf{users: users48M, partitions: 1, id: dense}, 733, 1.1},
		{"dense, many partitions", topicOf{users: users48M, partitions: 500, id: dense}, 733, 1.1},
		{"dense, from a high offset on", topicOf{users: users48M, partitions: 8, id: func(n uint64) uint64 { return 1<<60 + n }}, 733, 1.05},
		{"spread over 400 million", topicOf{users: users48M, partitions: 8, id: spread(400. / 48)}, 6104, 1.1},
		{"spread over 400 million, ascending", topicOf{users: users48M, partitions: 8, ascending: true, id: spread(400. / 48)}, 6104, 1.5},
		{"spread over 4 billion", topicOf{users: users48M, partitions: 8, id: spread(4000. / 48)}, 61_035, 1.3},
		{"spread over 400 billion", topicOf{users: users48M, partitions: 8, id: spread(400_000. / 48)}, 6_103_000, 3},
		{"opaque", topicOf{users: users48M, partitions: 8, id: random}, users48M, 1.01},
		{"opaque, ascending", topicOf{users: users48M, partitions: 8, ascending: true, id: func(n uint64) uint64 { return n << 37 }}, users48M, 1.01},
		{"a thousand prefixes, shuffled", topicOf{users: users48M, partitions: 8, id: func(n uint64) uint64 { return n%1000<<40 | n/1000 }}, 1000, 1.05},
		{"a thousand prefixes, ascending", topicOf{users: users48M, partitions: 1, ascending: true, id: func(n uint64) uint64 { return n/47123<<40 | n%47123 }}, 1019, 5},
		{"one in ten opaque", topicOf{users: users48M, partitions: 8, id: func(n uint64) uint64 {
			if n%10 == 0 {
				return random(n)
			}
			return n
		}}, 4_800_733, 5},
		{"one in a thousand opaque", topicOf{users: users48M, partitions: 8, id: func(n uint64) uint64 {
			if n%1000 == 0 {
				return random(n)
			}
			return n
		}}, 733 + 48_000, 80},
		{"one chunk", topicOf{users: 60_000, partitions: 8, id: dense}, 1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				visited, records := c.topic.sample(seed)
				d := estimate(visited, records, records, 0, false)
				t.Logf("seed %d: chunks %.0f, bytes %.0f", seed, d.chunks, d.bytes)
				assert.LessOrEqual(t, d.chunks[0], d.chunks[1])
				assert.LessOrEqual(t, d.chunks[0], c.truth*1.3)
				assert.GreaterOrEqual(t, d.chunks[1], c.truth*0.9)
				assert.GreaterOrEqual(t, d.chunks[0], c.truth/max(c.tight, 1.1))
				assert.LessOrEqual(t, d.chunks[1], c.truth*c.tight+2)
			}
		})
	}
}

func TestOnlyOpaqueIDsAreSparse(t *testing.T) {
	t.Parallel()
	of := func(users int64, id func(uint64) uint64) bool {
		visited, records := topicOf{users: users, partitions: 8, id: id}.sample(1)
		d := estimate(visited, records, records, 0, false)
		return d.sparse()
	}
	assert.True(t, of(users48M, random))
	assert.False(t, of(users48M, func(n uint64) uint64 { return n * 8 }))
	assert.False(t, of(5_000, random), "so few users fit whatever their IDs look like")
}

// A chunk holds 65,536 users, and a range of IDs as many users as it has IDs.
func TestEstimatesArePossible(t *testing.T) {
	t.Parallel()
	dense := func(n uint64) uint64 { return n }
	visited, records := topicOf{users: 1_000_000, partitions: 8, id: dense}.sample(1)
	d := estimate(visited, records, records, users48M, false)
	assert.EqualValues(t, users48M, d.users, "most are still to be published")
	assert.GreaterOrEqual(t, d.chunks[0], 733., "48,000,000 users in 16 chunks cannot be")

	visited, records = topicOf{users: users48M, partitions: 8, id: func(n uint64) uint64 { return n % 100_000 }}.sample(1)
	for _, population := range []int64{0, users48M} {
		d = estimate(visited, records, records, population, false)
		assert.InDelta(t, 100_000, d.users, 1000, "population %d", population)
		assert.Equal(t, [2]float64{2, 2}, d.chunks)
	}
}

func TestCensusIsExact(t *testing.T) {
	t.Parallel()
	d := estimate([][]uint64{{1, 2, 2, 70_000}, {1 << 40, 1}}, 6, 6, 0, true)
	assert.Equal(t, int64(4), d.users)
	assert.Equal(t, [2]float64{3, 3}, d.chunks)
	assert.Equal(t, uint64(1), d.min)
	assert.Equal(t, uint64(1<<40), d.max)

	d = estimate([][]uint64{{1, 2, 2, 70_000}, {1 << 40, 1}}, 6, 6, 1_000_000, true)
	assert.Equal(t, int64(1_000_000), d.users, "the topic does not hold all the users yet")
	assert.Greater(t, d.chunks[1], 3.)
}

// The model of what a chunk takes against what Redis 7.0.15 took (used_memory, less what it takes empty).
func TestMemoryModelAgreesWithMeasurements(t *testing.T) {
	t.Parallel()
	for _, m := range []struct{ users, chunks, measured float64 }{
		{48_000_000, 733, 68.6e6}, // by make bench
		{48_000_000, 6104, 174e6},
		{4_000_000, 504, 13.68e6},
		{1_000_000, 15_000, 251e6},
		{200_000, 25_000, 368e6},
		{30_000, 30_000, 154e6},
	} {
		assert.InEpsilon(t, m.measured, MemoryOf(m.users, m.chunks), 0.2, "%v users in %v chunks", m.users, m.chunks)
	}
}

func TestEstimateIsAlwaysARange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		visited := rapid.SliceOfN(rapid.SliceOfN(rapid.Uint64Range(0, 1<<63-1), 1, 20), 1, 20).Draw(t, "visited")
		n := 0
		for _, ids := range visited {
			n += len(ids)
		}
		records := int64(n) + rapid.Int64Range(0, 1<<40).Draw(t, "unseen")
		population := rapid.Int64Range(0, 1<<40).Draw(t, "population")
		d := estimate(visited, records, records, population, records == int64(n))
		for i := range 2 {
			require.False(t, math.IsNaN(d.chunks[i]) || math.IsInf(d.chunks[i], 0) || d.chunks[i] < 1)
			require.Positive(t, d.bytes[i])
		}
		require.LessOrEqual(t, d.chunks[0], d.chunks[1])
		require.LessOrEqual(t, d.bytes[0], d.bytes[1])
		require.LessOrEqual(t, d.min, d.max)
	})
}

func TestPlacesAreApartAndSpread(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bounds := grant.Bounds{Firsts: grant.Offsets{}, Ends: grant.Offsets{}}
		for p := range rapid.IntRange(1, 300).Draw(t, "partitions") {
			first := rapid.Int64Range(0, 1000).Draw(t, "first")
			bounds.Firsts[p], bounds.Ends[p] = first, first+rapid.Int64Range(0, 1<<rapid.IntRange(0, 40).Draw(t, "bits")).Draw(t, "records")
		}
		total := 0
		end := map[int]map[int64]int64{}
		for _, place := range places(bounds) {
			require.Positive(t, place.Limit)
			until, known := bounds.Ends[place.Partition]
			require.True(t, known)
			require.GreaterOrEqual(t, place.From, bounds.Firsts[place.Partition])
			require.LessOrEqual(t, place.Until, until)
			require.Less(t, place.From, place.Until)
			total += place.Limit
			if end[place.Partition] == nil {
				end[place.Partition] = map[int64]int64{}
			}
			for from, until := range end[place.Partition] {
				require.False(t, place.From < until && from < place.Until, "places overlap")
			}
			end[place.Partition][place.From] = place.Until
		}
		require.LessOrEqual(t, total, 20_000)
		for p := range bounds.Ends {
			require.Equal(t, bounds.Left(p, nil) > 0, len(end[p]) > 0, "every partition with records is sampled")
		}
	})
}
