package programme

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant/claims"
)

const shippedFile = "../../deploy/programmes/outage-2022.yaml"

func shipped(t *testing.T) (*claims.Programme, string) {
	t.Helper()
	text, err := os.ReadFile(shippedFile)
	require.NoError(t, err)
	p, err := Parse("outage-2022.yaml", text)
	require.NoError(t, err)
	return p, string(text)
}

func TestTheShippedProgrammeIsWhatWasAnnounced(t *testing.T) {
	p, text := shipped(t)
	require.LessOrEqual(t, strings.Count(text, "\n"), 60, "an official reads it aloud")
	require.Equal(t, "Asia/Seoul", p.Zone.String())
	require.Equal(t, claims.SalesLoss, p.Tiers.Basis)
	require.Equal(t, big.NewRat(15, 100), p.Assessment.ProfitRates["restaurants"])
	require.Equal(t, 20_000, p.SecondLook)

	for loss, want := range map[claims.Won]claims.Won{299_999: 30_000, 300_000: 50_000, 499_999: 50_000, 500_000: 0} {
		f := &claims.Facts{Industry: "shops", Opened: "2020-01-01", WeekSales: []claims.Won{loss}}
		a, err := p.Assess(f)
		require.NoError(t, err)
		got := p.Propose(f, &a)
		require.Equal(t, want, got.Pay)
		require.Equal(t, want == 0, got.Review)
		require.Len(t, got.Documents, map[bool]int{true: 3}[got.Review])
	}
}

// A second before and after each end of each window, seen from another zone.
func TestTheWindowsOfTheShippedProgramme(t *testing.T) {
	p, _ := shipped(t)
	newYork, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	ends := map[string][2]string{
		"reports":            {"2022-10-19T00:00:00", "2022-11-07T00:00:00"},
		"additional-reports": {"2023-02-13T00:00:00", "2023-02-28T00:00:00"},
		"documents":          {"2023-01-30T15:00:00", "2023-02-28T00:00:00"},
		"objections":         {"2023-01-30T15:00:00", "2023-04-01T00:00:00"},
	}
	require.Len(t, p.Windows, len(ends))
	for _, w := range p.Windows {
		opens, err := time.ParseInLocation("2006-01-02T15:04:05", ends[w.Name][0], p.Zone)
		require.NoError(t, err)
		closes, err := time.ParseInLocation("2006-01-02T15:04:05", ends[w.Name][1], p.Zone)
		require.NoError(t, err)
		for at, open := range map[time.Time]bool{
			opens.Add(-time.Second): false, opens: true, opens.Add(time.Second): true,
			closes.Add(-time.Second): true, closes.Add(-1): true, closes: false, closes.Add(time.Second): false,
		} {
			got, _, ok := p.Open(p.Windows, w.Kind, at.In(newYork))
			require.Equal(t, open, ok && got.Name == w.Name, "%s at %s", w.Name, at)
		}
	}
}

// What means the same has the same hash, and each change of the meaning has another one.
func TestTheHashIsThatOfTheMeaning(t *testing.T) {
	p, text := shipped(t)
	same := strings.NewReplacer("until: 2022-11-06T23:59:59", "before: 2022-11-07T00:00:00",
		"# exactly 300,000 belongs to the next row", "", "  rounding: down\n", "", "20%", "20.0%").Replace(text)
	require.NotEqual(t, text, same)
	other, err := Parse("other.yaml", []byte(same))
	require.NoError(t, err)
	require.Equal(t, string(p.Canonical), string(other.Canonical))
	require.Equal(t, p.Hash, other.Hash)
	hashes := map[string]string{p.Hash: "the shipped one"}
	for _, change := range [][2]string{
		{"below: 300000", "up_to: 300000"}, {"pay: 30000", "pay: 30001"}, {"max", "mean"},
		{"Asia/Seoul", "Asia/Tokyo"}, {"70%", "70.0001%"},
		{"2022-10-19T00:00:00", "2022-10-19T00:00:01"}, {"sales_loss #", "assessed_loss #"},
		{"budget: 5000000000", "budget: 5000000001"},
		{"down", "up"}, {"gambling", "lotteries"}, {"second_look: 2%", "second_look: 2.0001%"}, {"retail: 10%", "retail: 11%"},
		{"title: 2022", "title: 2023"}, {"own_rate: with_evidence", `own_rate: "no"`},
		{"quorum: 5", "quorum: 6"}, {"more_than_half", "two_thirds"}, {"objections: approver", "objections: council"},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		require.NotEqual(t, text, changed, change[0])
		c, err := Parse("changed.yaml", []byte(changed))
		require.NoError(t, err, change[1])
		require.Empty(t, hashes[c.Hash], "%v has the hash of %s", change, hashes[c.Hash])
		hashes[c.Hash] = change[1]
	}
}

// Databases that were begun before programmes had a council go on with theirs.
func TestAProgrammeWithoutACouncilHasTheHashThatItHad(t *testing.T) {
	_, text := shipped(t)
	before, _, found := strings.Cut(text, "\n# Decides large losses together")
	require.True(t, found)
	p, err := Parse("before.yaml", []byte(before))
	require.NoError(t, err)
	require.Equal(t, "47a48f02bd3b9bddce35c38f63d6b4cbdf414a5ff47c602773573b87de6db7af", p.Hash)
}

// Each file of testdata/bad breaks the rule of its name, and its first lines say how.
func TestBadProgrammesAreRefusedWithEveryProblem(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(t, err)
	broken := map[string]bool{}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, "bad.yaml:"+strings.TrimSpace(text))
				}
			}
			d := newDecoder("bad.yaml")
			if root := d.Document(data); root != nil {
				d.programme(root)
			}
			name, _, _ := strings.Cut(filepath.Base(file), ".")
			named := false
			for _, p := range d.Problems {
				broken[string(p.Rule)] = true
				named = named || string(p.Rule) == name
			}
			assert.True(t, named, "it does not break the rule that it is named after")
			p, err := Parse("bad.yaml", data)
			require.Error(t, err)
			require.Nil(t, p)
			require.Equal(t, want, strings.Split(err.Error(), "\n"))
		})
	}
	source, err := parser.ParseFile(token.NewFileSet(), "fields.go", nil, 0)
	require.NoError(t, err)
	rules := 0
	ast.Inspect(source, func(n ast.Node) bool {
		if c, ok := n.(*ast.ValueSpec); ok && c.Type != nil && types.ExprString(c.Type) == "strict.Rule" {
			name, err := strconv.Unquote(c.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			assert.True(t, broken[name], "no file of testdata/bad breaks %s", name)
			rules++
		}
		return true
	})
	require.Greater(t, rules, 10)
}

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(shippedFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("tiers: {table: [{below: 1, pay: 1}, {above: true, review: true}]}")
	f.Add("windows: [{from: 2022-10-19T00:00:00}]\nzone: America/New_York\n")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse("fuzz.yaml", []byte(s))
		if err != nil {
			return
		}
		require.NotEmpty(t, p.Hash)
		require.True(t, p.Tiers.Table[len(p.Tiers.Table)-1].Open)
		for _, loss := range []claims.Won{0, 1, 300_000, claims.MaxSales} {
			facts := &claims.Facts{Opened: "2020-01-01", WeekSales: []claims.Won{loss}, Reported: &loss}
			a, err := p.Assess(facts)
			require.NoError(t, err)
			require.LessOrEqual(t, p.Propose(facts, &a).Tier, len(p.Tiers.Table))
		}
	})
}
