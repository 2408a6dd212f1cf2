package campaign

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

func TestTheHashSurvivesEveryOtherWayOfWritingTheSpec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := campaigns.Draw(t, "campaign")
		want.Canonical = Canonical(want)
		want.Hash = hash(want.Canonical)

		text := (&writer{t: t}).campaign(want)
		got, err := Parse("spec", []byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, string(want.Canonical), string(got.Canonical), text)
		assert.Equal(t, want.Hash, got.Hash)
		assert.True(t, want.StartsAt.Equal(got.StartsAt))
		assert.Empty(t, Diff(want.Canonical, got.Canonical))

		again, err := Parse("canonical", got.Canonical)
		require.NoError(t, err, string(got.Canonical))
		assert.Equal(t, want, again)
	})
}

func TestTheHashTellsEveryTwoCampaignsApart(t *testing.T) {
	original, err := Parse("spec", specWith("from", "key"))
	require.NoError(t, err)
	for i, change := range []func(*grant.Campaign){
		func(c *grant.Campaign) { c.Name += "2" },
		func(c *grant.Campaign) { c.Title += "!" },
		func(c *grant.Campaign) { c.StartsAt = c.StartsAt.Add(time.Nanosecond) },
		func(c *grant.Campaign) { c.EndsAt = c.EndsAt.Add(time.Second) },
		func(c *grant.Campaign) { c.EndsAt = time.Time{} },
		func(c *grant.Campaign) { c.Population++ },
		func(c *grant.Campaign) { c.Population = 0 },
		func(c *grant.Campaign) { c.Input.Topic += "2" },
		func(c *grant.Campaign) { c.Input.Format, c.Input.Path = grant.FormatDecimal, "" },
		func(c *grant.Campaign) { c.Input.Path += ".id" },
		func(c *grant.Campaign) { c.Input.From = grant.FromValue },
		func(c *grant.Campaign) { c.Input.MaxID-- },
		func(c *grant.Campaign) { c.Input.MaxRejected = 0.010001 },
		func(c *grant.Campaign) { c.Input.DeadLetters = "elsewhere" },
		func(c *grant.Campaign) { c.Input.Tombstones = grant.GrantTombstones },
		func(c *grant.Campaign) { c.Items[0].ID += "2" },
		func(c *grant.Campaign) { c.Items[0].Kind = grant.KindCredit },
		func(c *grant.Campaign) { c.Items[0].Validity.Length += time.Second },
		func(c *grant.Campaign) { c.Items[0].Validity.Length = 0 },
		func(c *grant.Campaign) { c.Items[0].Validity.Taken = true },
		func(c *grant.Campaign) { c.Zone = seoul(t); c.Items[0].Validity = grant.Validity{Days: 90} },
		func(c *grant.Campaign) {
			c.Zone = seoul(t)
			c.Items[0].Validity = grant.Validity{Days: 90, EndOfDay: true}
		},
		func(c *grant.Campaign) { c.Zone = seoul(t) },
		func(c *grant.Campaign) { c.Items[0].Validity.Taken, c.Items[0].First = true, 3 },
		func(c *grant.Campaign) {
			c.Items[0].Validity.Taken, c.Items[0].TakeUntil = true, c.StartsAt.Add(time.Hour)
		},
		func(c *grant.Campaign) { c.Items[0].Amount++ },
		func(c *grant.Campaign) { c.Items[0].Currency = "USD" },
		func(c *grant.Campaign) { c.Approval = &grant.Approval{Within: time.Hour} },
		func(c *grant.Campaign) { c.Approval = &grant.Approval{Within: 2 * time.Hour} },
		func(c *grant.Campaign) { c.Approval = &grant.Approval{Within: time.Hour, Above: 7} },
		func(c *grant.Campaign) {
			c.Approval = &grant.Approval{Within: time.Hour, Acts: []grant.ActKind{grant.ActHand}}
		},
		func(c *grant.Campaign) { c.Items = append(c.Items, grant.Item{ID: "b", Kind: grant.KindItem}) },
	} {
		c := *original
		c.Items = append([]grant.Item(nil), original.Items...)
		change(&c)
		changed, err := Parse("canonical", Canonical(&c))
		require.NoError(t, err, "change %d", i)
		assert.NotEqual(t, original.Hash, changed.Hash, "change %d", i)
		assert.NotEmpty(t, Diff(original.Canonical, changed.Canonical), "change %d", i)
	}
}

// campaigns draws campaigns as Parse returns them for their canonical spec: with times in UTC.
var campaigns = rapid.Custom(func(t *rapid.T) *grant.Campaign {
	c := &grant.Campaign{
		Name:  rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`).Draw(t, "name"),
		Title: "t" + rapid.StringMatching(`[ -~가-힣🙏'":#%\\]{0,100}`).Draw(t, "title"),
		StartsAt: time.Unix(rapid.Int64Range(946_684_800, 4_000_000_000).Draw(t, "start"),
			rapid.SampledFrom([]int64{0, 0, 500_000_000, 1}).Draw(t, "nanoseconds")).UTC(),
		Input: grant.Input{
			Topic: rapid.StringMatching(`[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,99}`).Draw(t, "topic") + "-t",
			Format: rapid.SampledFrom([]grant.Format{grant.FormatDecimal, grant.FormatJSON, grant.FormatInt64BE}).Draw(t,
				"format"),
			From: rapid.SampledFrom([]grant.Part{grant.FromValue, grant.FromKey}).Draw(t, "from"),
			MaxID: rapid.OneOf(rapid.Just(grant.MaxUserID), rapid.Map(rapid.Int64Range(1_000_000, 1<<62),
				func(i int64) uint64 { return uint64(i) })).Draw(t, "max_id"),
			MaxRejected: float64(rapid.OneOf(rapid.Just(10_000), rapid.IntRange(0, millionths)).Draw(t,
				"max_rejected")) / millionths,
		},
	}
	if rapid.Bool().Draw(t, "ends") {
		c.EndsAt = c.StartsAt.Add(time.Duration(rapid.Int64Range(1, int64(50*365*24*time.Hour)).Draw(t, "lasts")))
	}
	if rapid.Bool().Draw(t, "counted") {
		c.Population = rapid.Int64Range(1, 1_000_000).Draw(t, "population")
	}
	if c.Input.Format == grant.FormatJSON {
		c.Input.Path = rapid.StringMatching(`[a-zA-Z_가-힣"#-]{1,10}(\.[a-z0-9]{1,10}){0,3}`).Draw(t, "path")
	}
	if rapid.Bool().Draw(t, "dead letters") {
		c.Input.DeadLetters = rapid.StringMatching(`[a-zA-Z0-9._-]{1,100}`).Draw(t, "dead letters") + "-d"
	}
	if c.Input.From == grant.FromKey && rapid.Bool().Draw(t, "tombstones") {
		c.Input.Tombstones = grant.GrantTombstones
	}
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9._-]{0,30}`), 1, 5, rapid.ID).Draw(t, "ids")
	for _, id := range ids {
		it := grant.Item{
			ID: id,
			Kind: rapid.SampledFrom([]grant.Kind{grant.KindEmoticon, grant.KindCredit, grant.KindCash,
				grant.KindItem}).Draw(t, "kind"),
			Validity: validities.Draw(t, "validity"),
		}
		if it.Validity.Days > 0 && c.Zone == nil {
			c.Zone = seoul(t)
			c.In(c.Zone)
		}
		if it.Offered() && rapid.Bool().Draw(t, "until") {
			it.TakeUntil = c.StartsAt.Add(time.Duration(rapid.Int64Range(1, int64(50*24*time.Hour)).Draw(t, "open for")))
		}
		if it.Offered() && rapid.Bool().Draw(t, "some") {
			it.First = rapid.Int64Range(1, maxFirst).Draw(t, "first")
		}
		if it.Kind == grant.KindCredit || it.Kind == grant.KindCash {
			it.Amount = rapid.Int64Range(1, maxAmount).Draw(t, "amount")
			it.Currency = rapid.SampledFrom([]string{"KRW", "USD", "JPY"}).Draw(t, "currency")
		}
		c.Items = append(c.Items, it)
	}
	if rapid.Bool().Draw(t, "approval") {
		c.Approval = &grant.Approval{
			Above:  rapid.Int64Range(0, maxAbove).Draw(t, "above"),
			Within: time.Duration(rapid.IntRange(1, 720).Draw(t, "within")) * time.Hour,
			Acts: rapid.SampledFrom([][]grant.ActKind{nil, {grant.ActHand}, {grant.ActExclude, grant.ActRevoke}}).
				Draw(t, "acts"),
		}
	}
	return c
})

func seoul(t require.TestingT) *time.Location {
	zone, err := time.LoadLocation("Asia/Seoul")
	require.NoError(t, err)
	return zone
}

var validities = rapid.Custom(func(t *rapid.T) grant.Validity {
	v := grant.Validity{Taken: rapid.Bool().Draw(t, "taken")}
	if rapid.Bool().Draw(t, "calendar") {
		v.Days, v.EndOfDay = rapid.IntRange(1, int(maxDays)).Draw(t, "days"), rapid.Bool().Draw(t, "end of day")
		return v
	}
	v.Length = time.Duration(rapid.Int64Range(0, 4000).Draw(t, "count")) * rapid.SampledFrom(units).Draw(t, "unit").length
	return v
})

// writer writes a campaign in one of the many ways in which a person could.
type writer struct{ t *rapid.T }

type pair struct{ name, value string }

func (w *writer) chance(label string) bool { return rapid.Bool().Draw(w.t, label) }

func (w *writer) campaign(c *grant.Campaign) string {
	fields := []pair{
		{"campaign", w.text(c.Name)},
		{"title", w.text(c.Title)},
		{"starts_at", w.time(c.StartsAt)},
		{"source", w.source(c.Input)},
		{"items", w.items(c.Items)},
	}
	if !c.EndsAt.IsZero() {
		fields = append(fields, pair{"ends_at", w.time(c.EndsAt)})
	}
	if c.Zone != nil {
		fields = append(fields, pair{"zone", w.text(c.Zone.String())})
	}
	if c.Population > 0 {
		fields = append(fields, pair{"population", strconv.FormatInt(c.Population, 10)})
	}
	if c.Approval != nil {
		fields = append(fields, pair{"approval", w.approval(c.Approval)})
	}
	s := w.block(0, fields)
	if w.chance("document start") {
		s = "---\n" + s
	}
	if w.chance("Windows") {
		s = "\ufeff" + strings.ReplaceAll(s, "\n", "\r\n")
	}
	return s
}

func (w *writer) source(s grant.Input) string {
	fields := []pair{{"topic", w.text(s.Topic)}}
	if s.Format != grant.FormatDecimal || w.chance("format spelled out") {
		fields = append(fields, pair{"format", w.text(string(s.Format))})
	}
	if s.Path != "" {
		fields = append(fields, pair{"path", w.text(s.Path)})
	}
	if s.From != grant.FromValue || w.chance("from spelled out") {
		fields = append(fields, pair{"from", w.text(string(s.From))})
	}
	if s.MaxID != grant.MaxUserID || w.chance("max_id spelled out") {
		fields = append(fields, pair{"max_id", strconv.FormatUint(s.MaxID, 10)})
	}
	if s.MaxRejected != DefaultMaxRejected || w.chance("max_rejected spelled out") {
		percent := grant.Percent(s.MaxRejected)
		if !strings.Contains(percent, ".") && w.chance("decimals") {
			percent = strings.TrimSuffix(percent, "%") + ".00%"
		}
		fields = append(fields, pair{"max_rejected", percent})
	}
	if s.DeadLetters != "" || w.chance("dead_letters spelled out") {
		fields = append(fields, pair{"dead_letters", w.text(s.DeadLetterTopic())})
	}
	if s.From == grant.FromKey && (s.Tombstones != "" || w.chance("tombstones spelled out")) {
		fields = append(fields, pair{"tombstones", w.text(string(cmp.Or(s.Tombstones, grant.RejectTombstones)))})
	}
	if w.chance("source in braces") {
		return w.flow(fields)
	}
	return "\n" + w.block(rapid.IntRange(1, 8).Draw(w.t, "indent"), fields)
}

func (w *writer) approval(a *grant.Approval) string {
	fields := []pair{{"within", fmt.Sprintf("%dh", a.Within/time.Hour)}}
	if a.Above > 0 {
		fields = append(fields, pair{"above", strconv.FormatInt(a.Above, 10)})
	}
	if len(a.Acts) > 0 {
		names := make([]string, len(a.Acts))
		for i, kind := range a.Acts {
			names[len(a.Acts)-1-i] = string(kind)
		}
		fields = append(fields, pair{"acts", "[" + strings.Join(names, ", ") + "]"})
	}
	return w.flow(fields)
}

func (w *writer) items(items []grant.Item) string {
	var s strings.Builder
	for _, it := range items {
		fields := []pair{{"id", strconv.Quote(it.ID)}, {"kind", w.text(string(it.Kind))}, {"validity", w.validity(it.Validity)}}
		if !it.TakeUntil.IsZero() {
			fields = append(fields, pair{"take_until", w.time(it.TakeUntil)})
		}
		if it.First > 0 {
			fields = append(fields, pair{"first", strconv.FormatInt(it.First, 10)})
		}
		if it.Amount > 0 {
			fields = append(fields, pair{"amount", strconv.FormatInt(it.Amount, 10)}, pair{"currency", w.text(it.Currency)})
		}
		if w.chance("item in braces") {
			s.WriteString("- " + w.flow(fields) + "\n")
		} else {
			s.WriteString("-\n" + w.block(3, fields))
		}
	}
	return "\n" + s.String()
}

func (w *writer) shuffle(fields []pair) []pair {
	order := rand.New(rand.NewPCG(rapid.Uint64().Draw(w.t, "order"), 0))
	order.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return fields
}

func (w *writer) block(indent int, fields []pair) string {
	var s strings.Builder
	for _, f := range w.shuffle(fields) {
		if w.chance("comment") {
			s.WriteString("\n # said by the legal department\n")
		}
		fmt.Fprintf(&s, "%s%s: %s\n", strings.Repeat(" ", indent), f.name, strings.TrimSuffix(f.value, "\n"))
	}
	return s.String()
}

func (w *writer) flow(fields []pair) string {
	parts := make([]string, len(fields))
	for i, f := range w.shuffle(fields) {
		parts[i] = f.name + ": " + f.value
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// text quotes what YAML could take for something else, and sometimes what it could not.
func (w *writer) text(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" && s != "" && s != "null" && s != "true" && s != "false"
	switch {
	case plain && w.chance("plain"):
		return s
	case w.chance("single quotes"):
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	default:
		return strconv.QuoteToGraphic(s)
	}
}

func (w *writer) time(at time.Time) string {
	zone := time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(w.t, "minutes east")*60)
	s := at.In(zone).Format(time.RFC3339Nano)
	if w.chance("quoted time") {
		return strconv.Quote(s)
	}
	return s
}

func (w *writer) validity(v grant.Validity) string {
	if v == (grant.Validity{Length: v.Length}) && w.chance("one word") {
		return w.length(v.Length)
	}
	var fields []pair
	if v.Days > 0 {
		fields = append(fields, pair{"days", strconv.Itoa(v.Days)})
	} else {
		fields = append(fields, pair{"for", w.length(v.Length)})
	}
	if v.Taken {
		fields = append(fields, pair{"from", w.text(fromTaken)})
	} else if w.chance("from spelled out") {
		fields = append(fields, pair{"from", w.text(fromGranted)})
	}
	if v.EndOfDay {
		fields = append(fields, pair{"until", endOfDay})
	}
	return w.flow(fields)
}

func (w *writer) length(v time.Duration) string {
	if v == 0 {
		return permanent
	}
	var ways []string
	for _, u := range units {
		if v%u.length == 0 {
			ways = append(ways, fmt.Sprintf("%d%s", v/u.length, u.letter))
		}
	}
	return rapid.SampledFrom(ways).Draw(w.t, "unit")
}
