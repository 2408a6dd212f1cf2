package preflight

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

var plausibleNow = time.Date(2022, 11, 6, 0, 0, 0, 0, time.UTC)

// each returns a hundred IDs, ascending.
func each(id func(n uint64) uint64) (ids []uint64) {
	for n := range uint64(100) {
		ids = append(ids, id(n))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func be(b ...byte) uint64 { return binary.BigEndian.Uint64(b) }

func TestWhatIDsLookLikeInstead(t *testing.T) {
	t.Parallel()
	zigzag := func(n uint64) []byte { return binary.AppendUvarint(nil, n<<1) }
	le := func(n uint64) uint64 { return binary.BigEndian.Uint64(binary.LittleEndian.AppendUint64(nil, n)) }
	for name, c := range map[string]struct {
		format grant.Format
		id     func(n uint64) uint64
		want   string // "": nothing
	}{
		"dense":                          {grant.FormatInt64BE, func(n uint64) uint64 { return n + 1 }, ""},
		"odd ones only":                  {grant.FormatInt64BE, func(n uint64) uint64 { return 2*n + 1 }, ""},
		"steps of ten":                   {grant.FormatInt64BE, func(n uint64) uint64 { return 10*n + 3 }, ""},
		"a block that begins with zeros": {grant.FormatInt64BE, func(n uint64) uint64 { return 42<<24 + n*7 }, ""},
		"ten digits":                     {grant.FormatDecimal, func(n uint64) uint64 { return 1_600_000_000 + n*13 }, ""},
		"random":                         {grant.FormatInt64BE, random, ""},
		"Avro, IDs from 8,192 on": {grant.FormatInt64BE, func(n uint64) uint64 {
			return be(append([]byte{0, 0, 0, 0, 42}, zigzag(10_000+3*n)...)...)
		}, "schema registry (0 and schema 42)"},
		"Avro, one of a union": {grant.FormatInt64BE, func(n uint64) uint64 {
			return be(append([]byte{0, 0, 0, 1, 0, 2}, zigzag(100+3*n)...)...)
		}, "schema registry (0 and schema 256)"},
		"eight digits": {grant.FormatInt64BE, func(n uint64) uint64 {
			return be([]byte("100020" + string('0'+byte(n%10)) + string('0'+byte(n/10)))...)
		}, `text of eight characters: "10002000"`},
		"floating point":       {grant.FormatInt64BE, func(n uint64) uint64 { return math.Float64bits(float64(10_000 + n)) }, "floating-point numbers, such as 10000"},
		"lowest byte first":    {grant.FormatInt64BE, func(n uint64) uint64 { return le(10_000+n) &^ (1 << 63) }, "other byte order"},
		"UUID, version 4":      {grant.FormatInt64BE, func(n uint64) uint64 { return random(n)&^0xf000 | 0x4000 }, "halves of UUIDs of version 4"},
		"milliseconds":         {grant.FormatDecimal, func(n uint64) uint64 { return 1_660_000_000_000 + n*977_777 }, "times in milliseconds, from 2022-08-08"},
		"microseconds":         {grant.FormatJSON, func(n uint64) uint64 { return 1_660_000_000_000_000 + n*977_777_777 }, "times in microseconds"},
		"nanoseconds":          {grant.FormatJSON, func(n uint64) uint64 { return 1_660_000_000_000_000_000 + n*977_777_777 }, "times in nanoseconds"},
		"milliseconds to come": {grant.FormatDecimal, func(n uint64) uint64 { return 4_660_000_000_000 + n*977_777 }, ""},
		"amounts":              {grant.FormatJSON, func(n uint64) uint64 { return 500 * (n + 1) }, "multiples of 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suspect(each(c.id), &grant.Input{Format: c.format}, plausibleNow)
			if c.want == "" {
				require.Nil(t, s)
				return
			}
			require.NotNil(t, s)
			assert.Contains(t, s.what, c.want)
			assert.NotEmpty(t, s.advice)
			assert.Nil(t, suspect(each(c.id)[:fewest-1], &grant.Input{Format: c.format}, plausibleNow), "so few may be an accident")
		})
	}
}

// Any range that is filled by chance must pass: a wrong failure teaches people to use --force.
func TestOrdinaryIDsAreNeverSuspected(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.Uint64Range(0, 1<<38).Draw(t, "from")
		width := rapid.Uint64Range(1000, 1<<33).Draw(t, "width")
		var ids []uint64
		for range 300 {
			ids = append(ids, from+rapid.Uint64Range(0, width).Draw(t, "id"))
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) < 50 {
			t.Skip("rapid likes few IDs")
		}
		if d := divisor(ids); d > 1 {
			t.Skip("or even ones")
		}
		format := rapid.SampledFrom([]grant.Format{grant.FormatInt64BE, grant.FormatDecimal}).Draw(t, "format")
		require.Nil(t, suspect(ids, &grant.Input{Format: format}, plausibleNow))
	})
}

func TestImplausibleIDsFailUntilTheSpecConfirmsThem(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	for i := range h.kafka.samples {
		for k := range h.kafka.samples[i].Records {
			h.kafka.samples[i].Records[k].ID = grant.NumberID(uint64(1_660_000_000_000 + 2*k + i))
		}
	}
	r := h.judge()
	wellFormed(t, r)
	result := find(t, r, "sample.plausible")
	assert.Equal(t, Fail, result.Status)
	assert.Contains(t, result.Advice, "max_id: 1660000000799")
	h.in.Campaign.Input.MaxID = 1_660_000_000_799
	assert.Equal(t, Pass, find(t, h.judge(), "sample.plausible").Status)
	h.in.Campaign.Input.MaxID = grant.MaxUserID
	h.redis.stored, h.redis.totals.Granted = true, 5
	assert.Equal(t, Warn, find(t, h.judge(), "sample.plausible").Status, "a campaign that runs is not stopped by a new suspicion")
}

func TestANumberThatIsNotTheUsers(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.in.Campaign.Population = 0
	for i := range h.kafka.samples {
		s := &h.kafka.samples[i]
		for k := range 800 {
			s.Records = append(s.Records, source.Sampled{Offset: int64(400 + k)})
		}
		for k := range s.Records {
			s.Records[k].ID = grant.NumberID(uint64(18 + k%60))
		}
		h.kafka.bounds.Ends[i] = 1200
	}
	result := find(t, h.judge(), "sample.plausible")
	assert.Equal(t, Warn, result.Status)
	assert.Contains(t, result.Detail, "only 60 different IDs in 2,400 sampled records")
	h.in.Campaign.Population = 2400
	result = find(t, h.judge(), "sample.plausible")
	assert.Equal(t, Fail, result.Status)
	assert.Contains(t, result.Detail, "there are 60 IDs at most, and the spec expects 2,400 users")
}

// far gives the sample and the topic users whose IDs are far apart.
func (h *healthy) far(users int64, id func(uint64) uint64) {
	n := uint64(0)
	for i := range h.kafka.samples {
		h.kafka.bounds.Ends[i] = users / 2
		h.kafka.stable[i] = users / 2
		for k := range h.kafka.samples[i].Records {
			h.kafka.samples[i].Records[k].ID = grant.NumberID(id(n))
			n++
		}
	}
	h.in.Campaign.Population = users
	h.redis.Masters[0].MaxMemory = 0 // 8 GB
}

func TestRandomIDsFail(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.far(users48M, random)
	h.redis.Masters[0].MaxMemory = 4 << 30
	r := h.judge()
	wellFormed(t, r)
	assert.Equal(t, Fail, find(t, r, "sample.ids").Status, "%+v", r)
	assert.Contains(t, find(t, r, "sample.ids").Detail, "5.1 GB to 228 GB, 114 to 5,100 bytes a user; Redis has 4.0 GB left")
	assert.Contains(t, find(t, r, "sample.ids").Advice, "number the users")
}

// What counts is whether they fit, not what they look like.
func TestIDsThatAreFarApartPassWhereThereIsMemory(t *testing.T) {
	t.Parallel()
	h := allWell(t)
	h.far(48_000, func(n uint64) uint64 { return random(n) % 480_000_000 })
	r := h.judge()
	wellFormed(t, r)
	for _, result := range r.Results {
		assert.Equal(t, Pass, result.Status, "%+v", result)
	}
	assert.Contains(t, find(t, r, "sample.ids").Detail, "48,000 users in")
	h.redis.Masters[0].MaxMemory = 32 << 20
	assert.Equal(t, Fail, find(t, h.judge(), "sample.ids").Status)
	h.redis.Masters[0].MaxMemory, h.redis.machine = 0, nil
	assert.Equal(t, Warn, find(t, h.judge(), "sample.ids").Status)
}
