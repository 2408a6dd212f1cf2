package preflight

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// sampling makes the sample be of other IDs, under a spec whose source says more.
func sampling(t *testing.T, more string, id func(n int) source.Sampled) *healthy {
	t.Helper()
	h := allWell(t)
	h.in.Campaign = parse(t, strings.Replace(specText, "{topic: users}", "{topic: users"+more+"}", 1))
	n := 0
	for i := range h.kafka.samples {
		for k := range h.kafka.samples[i].Records {
			sampled := id(n)
			sampled.Offset = int64(k)
			h.kafka.samples[i].Records[k] = sampled
			n++
		}
	}
	return h
}

func valid(id string) source.Sampled { return source.Sampled{ID: grant.TextID(id)} }

func uuid(n int) string { return fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", n) }

// A wrong kind of ID is refused with the line to write; a right one passes, with what each layout takes.
func TestTheKindOfIDIsJudged(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		more   string
		id     func(n int) source.Sampled
		check  string
		status Status
		says   string
	}{
		"UUIDs": {", id: uuid", func(n int) source.Sampled { return valid(uuid(n)) }, "sample.ids", Pass,
			"source.id uuid: 800 users in 256 buckets"},
		"UUIDs as dense": {"", func(int) source.Sampled {
			return source.Sampled{Reason: source.ReasonNotDecimal,
				Fits: grant.IDsUUID}
		},
			"sample.valid", Fail, "write id: uuid under source (source.id: uuid)"},
		"negative numbers as dense": {"", func(int) source.Sampled {
			return source.Sampled{Reason: source.ReasonNegative,
				Fits: grant.IDsInt64}
		},
			"sample.valid", Fail, "write id: int64 under source"},
		"strings as UUIDs": {", id: uuid", func(int) source.Sampled {
			return source.Sampled{Reason: source.ReasonNotUUID,
				Fits: grant.IDsString}
		},
			"sample.valid", Fail, "write id: string under source"},
		"UUIDs as strings": {", id: string", func(n int) source.Sampled { return valid(uuid(n)) }, "sample.plausible", Fail,
			"write id: uuid under source"},
		"numbers as strings": {", id: string", func(n int) source.Sampled { return valid(fmt.Sprint(n)) }, "sample.plausible",
			Fail, "write id: int64"},
		"strings": {", id: string", func(n int) source.Sampled { return valid(fmt.Sprint("u", n)) },
			"sample.plausible", Pass, "look like user IDs"},
		"random numbers": {", id: int64", func(int) source.Sampled { return valid(fmt.Sprint(int64(random.Uint64()))) },
			"sample.ids", Pass,
			"source.id int64"},
	} {
		t.Run(name, func(t *testing.T) {
			h := sampling(t, c.more, c.id)
			report := h.judge()
			wellFormed(t, report)
			got := find(t, report, c.check)
			require.Equal(t, c.status, got.Status, "%+v", got)
			require.Contains(t, got.Detail+got.Advice, c.says)
		})
	}
}

func TestDenseNumbersAreRefusedAsInt64AndFarOnesGetTheLine(t *testing.T) {
	h := sampling(t, ", id: int64", func(n int) source.Sampled { return valid(fmt.Sprint(n)) })
	h.in.Campaign.Population = 48_000_000
	got := find(t, h.judge(), "sample.ids")
	require.Equal(t, Fail, got.Status, "%+v", got)
	require.Contains(t, got.Detail, "as dense numbers")
	require.Contains(t, got.Advice, "remove id from source")
	h.redis.stored, h.redis.totals.Granted = true, 5
	require.Equal(t, Pass, find(t, h.judge(), "sample.ids").Status, "somebody is granted: it cannot be changed")

	h = sampling(t, "", func(n int) source.Sampled { return source.Sampled{ID: grant.NumberID(random(uint64(n)))} })
	h.in.Campaign.Population = 48_000_000
	got = find(t, h.judge(), "sample.ids")
	require.Equal(t, Fail, got.Status, "%+v", got)
	require.Contains(t, got.Detail, "with source.id int64")
	require.Contains(t, got.Advice, "write id: int64 under source")
}

// The population decides how many buckets there are: one that is far too small is said before anybody is granted.
func TestAPopulationThatIsTooSmallForItsBucketsIsRefused(t *testing.T) {
	for population, want := range map[int64]Status{48_000_000: Pass, 100_000: Warn, 1000: Fail} {
		h := sampling(t, ", id: uuid", func(n int) source.Sampled { return valid(uuid(n)) })
		h.in.Campaign.Population = population
		end := map[Status]int64{Pass: 24_000_000, Warn: 60_000_000, Fail: 130_000_000}[want]
		for p := range h.kafka.bounds.Ends {
			h.kafka.bounds.Ends[p] = end
		}
		got := find(t, h.judge(), "sample.ids")
		require.Equal(t, want, got.Status, "%d: %+v", population, got)
		if want != Pass {
			require.Contains(t, got.Advice, fmt.Sprintf("write population: %d", 2*end))
		}
	}
	require.Equal(t, 1<<20, ledger.MaxBucket)
}

// Whoever says uuid of a topic of dense numbers is told that they are such, and whoever reads eight bytes as text, what they are.
func TestNumbersThatAreReadAsAnotherKindAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ids    grant.IDs
		spread uint64
		raw    bool
		advice string
	}{
		"dense": {grant.IDsUUID, 1, false, "remove id (and format: text, if it is there) from source: they are " +
			"dense numbers"},
		"far apart":           {grant.IDsUUID, 1 << 40, false, "write id: int64 under source"},
		"eight bytes":         {"", 1, true, "write format: int64be under source"},
		"eight bytes as UUID": {grant.IDsUUID, 1, true, "write format: int64be under source, and remove id"},
	} {
		h := allWell(t)
		in := &h.in.Campaign.Input
		if in.IDs = c.ids; c.ids != "" {
			in.Format, in.MaxID = grant.FormatText, 0
		}
		for i := range h.kafka.samples {
			for k := range h.kafka.samples[i].Records {
				n := (1000 + uint64(2*k+i)) * c.spread
				r := source.Sampled{Offset: int64(k), Reason: source.ReasonNotUUID, Fits: grant.IDsInt64,
					Other: grant.TextID(fmt.Sprint(n)), Data: []byte(fmt.Sprint(n))}
				if c.raw {
					r.Fits, r.Data = "", binary.BigEndian.AppendUint64(nil, n)
				}
				h.kafka.samples[i].Records[k] = r
			}
		}
		result := find(t, h.judge(), "sample.valid")
		assert.Equal(t, Fail, result.Status, name)
		assert.Contains(t, result.Advice, c.advice, name)
	}
}
