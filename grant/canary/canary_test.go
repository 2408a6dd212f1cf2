package canary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const campaign = "sorry-2022"

func share(t require.TestingT, campaign string, of float64) grant.Pass {
	p, err := Share(grant.Pass{Group: "g"}, campaign, of)
	require.NoError(t, err)
	return p
}

func TestALargerShareIncludesEverybodyOfASmallerOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float64Range(math.SmallestNonzeroFloat64, 1).Draw(t, "a")
		b := rapid.Float64Range(a, 1).Draw(t, "b")
		small, large := share(t, campaign, a), share(t, campaign, b)
		first := rapid.Uint64().Draw(t, "first ID")
		for id := first; id != first+200; id++ {
			if small.Includes(id) {
				require.True(t, large.Includes(id), "%d is in %g and not in %g", id, a, b)
			}
		}
	})
}

// An operator raises the canary step by step; each step has been in all that follow.
func TestRaisingTheShareOnlyAddsUsers(t *testing.T) {
	steps := []grant.Pass{share(t, campaign, 0.001), share(t, campaign, 0.01), share(t, campaign, 0.1), share(t, campaign, 1)}
	counts := make([]int, len(steps))
	for id := range uint64(200_000) {
		in := false
		for i := range steps {
			now := steps[i].Includes(id)
			if in && !now {
				require.Fail(t, "a user left", "%d at step %d", id, i)
			}
			if in = now; in {
				counts[i]++
			}
		}
	}
	require.IsIncreasing(t, counts)
	require.Equal(t, 200_000, counts[3])
}

// seeded returns a source of randomness, and prints its seed in case the test fails.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestTheSizeIsTheShare(t *testing.T) {
	const users = 1_000_000
	// Users are not drawn by lot but by a fixed hash, so dense IDs give one fixed result for each campaign.
	ids := map[string]func(i uint64) uint64{"dense": func(i uint64) uint64 { return i }}
	r := seeded(t)
	ids["sparse"] = func(uint64) uint64 { return r.Uint64() >> 1 }
	ids["every 65,536th"] = func(i uint64) uint64 { return i << 16 }
	for name, id := range ids {
		for _, of := range []float64{0.0001, 0.01, 0.1, 0.5, 0.99} {
			t.Run(fmt.Sprintf("%s %g", name, of), func(t *testing.T) {
				p := share(t, campaign, of)
				n := 0
				for i := range uint64(users) {
					if p.Includes(id(i)) {
						n++
					}
				}
				sigma := math.Sqrt(users * of * (1 - of))
				tolerance := 4.0
				if name == "sparse" {
					tolerance = 6 // drawn anew in every run of this test: 4 sigma would fail once in 3,000
				}
				require.InDelta(t, users*of, n, tolerance*sigma)
			})
		}
	}
}

// Whom a canary chooses must never change: a canary of 10% would then not include the 1% that went before. These values
// are those of another implementation of SplitMix64 and SHA-256.
func TestTheChoiceNeverChanges(t *testing.T) {
	require.Equal(t, uint64(6457827717110365317), userid.Hash(1234567), "the first number of SplitMix64 with this seed")
	require.Equal(t, uint64(0xde354da13f56dee7), seedOf("sorry-2022"))
	for id, want := range map[uint64]uint64{
		0: 0x092d54887c649b56, 1: 0xd43f264b94a953cd, 48_000_000: 0xc5503a7d18423ec9, 1<<63 - 1: 0x9587fbea45a80607,
	} {
		require.Equal(t, want, userid.Hash(id^seedOf("sorry-2022")), id)
	}
	in := func(p grant.Pass, from, to uint64) (ids []uint64) {
		for id := from; id < to; id++ {
			if p.Includes(id) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	require.Equal(t, []uint64{116, 123, 203, 383, 401, 411, 461, 847}, in(share(t, "sorry-2022", 0.01), 0, 1000))
	require.Equal(t, []uint64{47999018, 47999093, 47999150, 47999311}, in(share(t, "sorry-2022", 0.01), 47_999_000, 47_999_500))
	require.Equal(t, []uint64{61, 64, 187, 217, 531, 828, 871, 899, 919, 991}, in(share(t, "sorry-2023", 0.01), 0, 1000))
}

// Otherwise the same users would be the first to suffer from every campaign's mistakes.
func TestCampaignsChooseIndependently(t *testing.T) {
	const users, of = 1_000_000, 0.1
	a, b := share(t, "sorry-2022", of), share(t, "sorry-2023", of)
	both := 0
	for id := range uint64(users) {
		if a.Includes(id) && b.Includes(id) {
			both++
		}
	}
	sigma := math.Sqrt(users * of * of * (1 - of*of))
	require.InDelta(t, users*of*of, both, 4*sigma)
}

func TestSharesOutOfRangeAreRefused(t *testing.T) {
	for _, of := range []float64{0, -0.01, math.Nextafter(1, 2), 1.01, 100, math.NaN(), math.Inf(1), math.Inf(-1)} {
		p, err := Share(grant.Pass{}, campaign, of)
		require.ErrorContains(t, err, "want a share above 0% and up to 100%", "%g", of)
		require.Nil(t, p.Includes)
	}
}

func TestTheSmallestAndTheLargestShares(t *testing.T) {
	r := seeded(t)
	var most uint64 // hash
	all, almost, least := share(t, campaign, 1), share(t, campaign, math.Nextafter(1, 0)),
		share(t, campaign, math.SmallestNonzeroFloat64)
	seed := seedOf(campaign)
	for range 100_000 {
		id := r.Uint64()
		hash := userid.Hash(id ^ seed)
		// A limit that overflowed would not be this one.
		if !all.Includes(id) || least.Includes(id) || almost.Includes(id) != (hash < 1<<64-1<<11) {
			require.Fail(t, "wrong choice", "%d, whose hash is %x", id, hash)
		}
		most = max(most, hash)
	}
	require.Greater(t, most, uint64(1)<<63, "the upper half of all hashes was tried")
}

func TestNameAndKeyOfAShare(t *testing.T) {
	for of, want := range map[float64]string{
		1: "100%", 0.01: "1%", 0.1: "10%", 0.005: "0.5%", 0.07: "7%", 0.29: "29%", 0.57: "57%", 0.999: "99.9%", 0.00001: "0.001%",
		1.0 / 3: "33.33333333333333%",
	} {
		p := share(t, campaign, of)
		require.Equal(t, "canary "+want, p.Name)
		require.Equal(t, "canary-"+want, p.Key)
	}
	// Whatever percentage an operator types, it is what he reads, and no other one has its checkpoint.
	longest, keys := 0, map[string]bool{}
	for hundredths := 1; hundredths <= 10_000; hundredths++ {
		p := share(t, campaign, float64(hundredths)/10_000)
		longest, keys[p.Key] = max(longest, len(p.Key)), true
	}
	require.Len(t, keys, 10_000)
	require.Equal(t, len("canary-99.99%"), longest)
}

func only(t *testing.T, list string) *List {
	t.Helper()
	p, err := Only(t.Context(), grant.Pass{}, strings.NewReader(list), grant.Input{MaxID: 1 << 40})
	require.NoError(t, err)
	return p
}

func TestAListChoosesItsUsers(t *testing.T) {
	const limit = 1 << 40
	for name, list := range map[string]string{
		"one a line":         "7\n65536\n65535\n0\n1099511627776\n",
		"without a last end": "7\n65536\n65535\n0\n1099511627776",
		"from Windows":       "\ufeff7\r\n65536\r\n65535\r\n0\r\n1099511627776\r\n",
		"with duplicates":    "7\n7\n65536\n0\n65535\n7\n1099511627776\n0\n",
		"in another order":   "1099511627776\n0\n65535\n65536\n7\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := only(t, list)
			require.EqualValues(t, 5, p.Listed)
			require.Equal(t, "only 5 users", p.Name)
			require.Equal(t, only(t, "0\n7\n65535\n65536\n1099511627776\n").Key, p.Key, "it is the same set")
			for _, id := range []uint64{0, 7, 65535, 65536, limit} {
				require.True(t, p.Includes(id), id)
			}
			for _, id := range []uint64{1, 6, 8, 65534, 65537, limit - 1, limit + 1, limit + 7, 7 << 16, math.MaxUint64} {
				require.False(t, p.Includes(id), id)
			}
		})
	}
	require.Regexp(t, "^only-[0-9a-f]{12}$", only(t, "1\n").Key)
	keys := map[string]string{}
	for _, list := range []string{"1", "2", "1\n2", "65537", "1\n65537", "131072", "0"} {
		p := only(t, list)
		require.NotContains(t, keys, p.Key, "%q", list)
		keys[p.Key] = list
	}
}

// stored is a ledger that has some users, and fails without.
type stored []uint64

func (s stored) Bitmaps(_ context.Context, chunks []uint64) ([]*dense.Bitmap, error) {
	if s == nil {
		return nil, errors.New("it does not answer")
	}
	out := make([]*dense.Bitmap, len(chunks))
	for _, id := range s {
		chunk, low := dense.Split(id)
		if i := slices.Index(chunks, chunk); i >= 0 {
			if out[i] == nil {
				out[i] = new(dense.Bitmap)
			}
			out[i].Set(low)
		}
	}
	return out, nil
}

// Absent answers for users whose member is their text.
func (s stored) Absent(_ context.Context, members [][]byte) ([][]byte, error) {
	if s == nil {
		return nil, errors.New("it does not answer")
	}
	return slices.DeleteFunc(slices.Clone(members), func(m []byte) bool {
		return slices.ContainsFunc(s, func(id uint64) bool { return fmt.Sprint(id) == string(m) })
	}), nil
}

func TestWhoOfAListIsMissing(t *testing.T) {
	p := only(t, "7\n65536\n65535\n0\n1099511627776\n")
	for _, test := range []struct {
		has  stored
		want []grant.UserID
	}{
		{stored{}, grant.NumberIDs(0, 7, 65535, 65536, 1<<40)},
		{stored{1, 8, 65537, 1 << 30}, grant.NumberIDs(0, 7, 65535, 65536, 1<<40)},
		{stored{7, 8, 1 << 40}, grant.NumberIDs(0, 65535, 65536)},
		{stored{0, 7, 65535, 65536, 1 << 40}, nil},
	} {
		for some := range 6 {
			missing, first, err := p.Missing(t.Context(), test.has, some)
			require.NoError(t, err)
			require.EqualValues(t, len(test.want), missing)
			require.True(t, slices.Equal(test.want[:min(some, len(test.want))], first), "%v", first)
		}
	}
	_, _, err := p.Missing(t.Context(), stored(nil), 1)
	require.ErrorContains(t, err, "does not answer")
	require.True(t, p.Includes(7), "the list is what it was")
}

func TestALongListIsReadAsAWhole(t *testing.T) {
	const users = 300_000 // more than one piece of the file
	p, err := Only(t.Context(), grant.Pass{}, &countdown{left: users}, grant.Input{})
	require.NoError(t, err)
	require.EqualValues(t, users, p.Listed)
	require.True(t, p.Includes(3) && p.Includes(3*users))
	require.False(t, p.Includes(4) || p.Includes(0) || p.Includes(3*users+3))
}

// countdown is a list of multiples of 3.
type countdown struct{ left int }

func (c *countdown) Read(b []byte) (int, error) {
	n := 0
	for c.left > 0 && len(b)-n > 20 {
		n += copy(b[n:], fmt.Sprintf("%d\n", 3*c.left))
		c.left--
	}
	if c.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

func TestAListThatCannotBeReadGrantsNobody(t *testing.T) {
	for _, test := range []struct{ list, want string }{
		{"", "the list names nobody"},
		{"\ufeff", "the list names nobody"},
		{"1\n2\nthree\n4\n", `line 3: "three": not a decimal user ID; correct the list`},
		{"1\n\n2\n", `line 2: "": the line is blank`},
		{"1\n 2\n", `line 2: " 2": not a decimal user ID`},
		{"-1\n", `line 1: "-1": not a decimal user ID`},
		{"1\n007\n", `line 2: "007": a user ID has no leading zeros`},
		{"1099511627776\n1099511627777\n", `line 2: "1099511627777": above the limit of 1099511627776`},
		{"1\n18446744073709551617\n", `line 2: "18446744073709551617": above the limit`},
		{strings.Repeat("1\n", 400_000) + "x", `line 400001: "x"`}, // while the rest is being read ahead
		{"x\n" + strings.Repeat("1\n", 1_000_000), `line 1: "x"`},
	} {
		p, err := Only(t.Context(), grant.Pass{}, strings.NewReader(test.list), grant.Input{MaxID: 1 << 40})
		require.ErrorContains(t, err, test.want)
		require.NotContains(t, err.Error(), "published", "nothing is published here")
		require.Nil(t, p)
	}
	torn := errors.New("the disk is gone")
	_, err := Only(t.Context(), grant.Pass{}, io.MultiReader(strings.NewReader("1\n2\n"), iotest.ErrReader(torn)), grant.Input{})
	require.ErrorIs(t, err, torn)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	terminal, keyboard := io.Pipe()
	_, err = Only(ctx, grant.Pass{}, terminal, grant.Input{})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, keyboard.Close())
}

// What reads ahead must not outlive the call, whose caller closes the file.
func TestABadLineLeavesNoGoroutineBehind(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	_, err := Only(context.Background(), grant.Pass{}, strings.NewReader("x\n"+strings.Repeat("1\n", 1_000_000)), grant.Input{})
	require.ErrorContains(t, err, "line 1")
	goleak.VerifyNone(t, ignore)
}
