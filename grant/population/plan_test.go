package population

import (
	"context"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

func drawTopic(t *rapid.T) grant.Input {
	return grant.Input{
		Topic:  "t",
		Format: rapid.SampledFrom([]grant.Format{grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE}).Draw(t, "format"),
		Path:   rapid.SampledFrom([]string{"id", "user.id", `a"b.ü.c`}).Draw(t, "path"),
		From:   rapid.SampledFrom([]grant.Part{"", grant.FromKey, grant.FromValue, "header:user-id"}).Draw(t, "from"),
		MaxID:  rapid.SampledFrom([]uint64{0, grant.MaxUserID, grant.MaxUserID - 1, 1 << 40}).Draw(t, "max"),
	}
}

func drawPlan(t *rapid.T) Plan {
	p := Plan{
		Topic:      drawTopic(t),
		Users:      rapid.Int64Range(1, 2000).Draw(t, "users"),
		First:      rapid.Uint64Range(0, 1<<39).Draw(t, "first"),
		Order:      rapid.SampledFrom([]Order{"", Shuffled, Ascending}).Draw(t, "order"),
		Duplicates: rapid.Float64Range(0, 1).Draw(t, "duplicates"),
		Malformed:  rapid.Float64Range(0, 1).Draw(t, "malformed"),
		Seed:       rapid.Uint64().Draw(t, "seed"),
	}
	if rapid.Bool().Draw(t, "sparse") {
		p.Spread = p.Users + rapid.Int64Range(0, 1<<38).Draw(t, "gap")
	}
	return p
}

func TestPlanHoldsExactlyWhatItCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		require.NoError(t, p.Validate())
		seen := map[grant.UserID]bool{}
		byKind := map[Kind]int64{}
		var got Counts
		last := p.First
		for r := range p.Records {
			got.Records++
			byKind[r.Kind]++
			switch {
			case r.Kind == KindFirst:
				require.False(t, seen[r.ID], "user %s is named first twice", r.ID)
				require.GreaterOrEqual(t, r.ID.Number(), p.First)
				require.Less(t, r.ID.Number()-p.First, uint64(p.space()))
				if p.Order == Ascending {
					require.GreaterOrEqual(t, r.ID.Number(), last)
					last = r.ID.Number()
				}
				seen[r.ID] = true
				got.Distinct++
			case r.Kind == KindRepeat:
				require.True(t, seen[r.ID], "user %d is repeated before it came", r.ID)
				got.Repeats++
			default:
				got.Malformed++
			}
		}
		require.Equal(t, p.Counts(), got)
		kinds := kindsOf(p.Topic)
		for _, k := range kinds { // they take turns
			require.InDelta(t, float64(got.Malformed)/float64(len(kinds)), byKind[k], 1-1e-9, k)
		}
		require.Equal(t, p.Users, got.Distinct)
		require.InDelta(t, float64(p.Users)*p.Duplicates, got.Repeats, 0.5)
		require.InDelta(t, float64(p.Users)*p.Malformed, got.Malformed, 0.5)
	})
}

func TestPlanIsTheSameEveryTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		want := slices.Collect(p.Records)
		require.Equal(t, want, slices.Collect(p.Records))

		var got []Record // however many are asked for at a time
		src := p.Source()
		for {
			block := make([]Record, rapid.IntRange(1, 700).Draw(t, "block"))
			n, err := src.Next(context.Background(), block)
			got = append(got, block[:n]...)
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
		}
		require.Equal(t, want, got)

		var ids []grant.UserID
		for _, r := range want {
			if r.Kind == KindFirst {
				ids = append(ids, r.ID)
			}
		}
		require.Equal(t, ids, slices.Collect(p.IDs))
	})
}

func TestUsersOfASparsePlanAreSpreadEvenly(t *testing.T) {
	p := Plan{Topic: decimalTopic("t"), Users: 100_000, Spread: 100_000 * 37, First: 5, Order: Ascending, Seed: 3}
	place := [37]int{}
	i := uint64(0)
	for id := range p.IDs {
		require.Equal(t, i, (id.Number()-5)/37, "one user in each section")
		place[(id.Number()-5)%37]++
		i++
	}
	for at, n := range place {
		require.InDelta(t, 100_000/37, n, 300, "users at place %d of their sections", at)
	}
}

func TestHugePlansDoNotOverflow(t *testing.T) {
	p := Plan{Topic: decimalTopic("t"), Users: 1 << 61, Spread: math.MaxInt64, Duplicates: 1, Malformed: 1}
	require.NoError(t, p.Validate())
	seen := map[grant.UserID]bool{}
	for r := range p.Records {
		require.LessOrEqual(t, r.ID.Number(), grant.MaxUserID)
		seen[r.ID] = true
		if len(seen) == 1000 {
			break
		}
	}
	g := newGenerator(p)
	g.perm = permutation{}
	require.LessOrEqual(t, g.id(g.users-1).Number(), grant.MaxUserID)
}

func TestInvalidPlansNameTheField(t *testing.T) {
	valid := Plan{Topic: decimalTopic("t"), Users: 10}
	require.NoError(t, valid.Validate())
	for field, spoil := range map[string]func(*Plan){
		"users":      func(p *Plan) { p.Users = 0 },
		"spread":     func(p *Plan) { p.Spread = 9 },
		"first":      func(p *Plan) { p.First = grant.MaxUserID - 8 },
		"order":      func(p *Plan) { p.Order = "random" },
		"duplicates": func(p *Plan) { p.Duplicates = 1.01 },
		"malformed":  func(p *Plan) { p.Malformed = math.NaN() },
		"topic":      func(p *Plan) { p.Topic.Topic = "" },
		"format":     func(p *Plan) { p.Topic.Format = "xml" },
		"from":       func(p *Plan) { p.Topic.From = "header" },
		"max_id":     func(p *Plan) { p.Topic.MaxID = grant.MaxUserID + 1 },
		"path":       func(p *Plan) { p.Topic.Format, p.Topic.Path = grant.FormatJSON, "user..id" },
	} {
		p := valid
		spoil(&p)
		require.ErrorContains(t, p.Validate(), field+":")
		_, err := p.Source().Next(context.Background(), make([]Record, 1))
		require.ErrorContains(t, err, field+":", "the source refuses it as well")
		require.Empty(t, slices.Collect(p.Records))
	}
	last := valid
	last.First = grant.MaxUserID - 9
	require.NoError(t, last.Validate(), "the last ten IDs there are")
	limited := valid
	limited.Topic.MaxID = 8
	require.ErrorContains(t, limited.Validate(), "limit of 8")
}
