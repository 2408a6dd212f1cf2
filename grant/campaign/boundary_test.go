package campaign

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// base is a valid spec whose every value a test can replace.
var base = map[string]string{
	"campaign": "a", "title": "a", "starts_at": "2023-01-05T00:00:00Z", "ends_at": "2024-01-05T00:00:00Z", "zone": "",
	"population": "1",
	"topic":      "a", "format": "json", "path": "a", "from": "value", "dead_letters": "", "tombstones": "",
	"max_id": "9223372036854775807", "max_rejected": "1%",
	"id": "a", "kind": "cash", "validity": "1d", "take_until": "", "first": "", "amount": "1", "currency": "KRW",
}

func specWith(changes ...string) []byte {
	v := maps.Clone(base)
	for i := 0; i < len(changes); i += 2 {
		v[changes[i]] = changes[i+1]
	}
	line := func(indent, name string) string {
		if v[name] == "" {
			return ""
		}
		return indent + name + ": " + v[name] + "\n"
	}
	var s strings.Builder
	for _, name := range []string{"campaign", "title", "starts_at", "ends_at", "zone", "population"} {
		s.WriteString(line("", name))
	}
	s.WriteString("source:\n")
	for _, name := range []string{"topic", "format", "path", "from", "max_id", "max_rejected", "dead_letters", "tombstones"} {
		s.WriteString(line("  ", name))
	}
	s.WriteString("items:\n" + line("- ", "id"))
	for _, name := range []string{"kind", "validity", "take_until", "first", "amount", "currency"} {
		s.WriteString(line("  ", name))
	}
	return []byte(s.String())
}

func TestBothSidesOfEveryLimit(t *testing.T) {
	long := strings.Repeat
	for _, limit := range []struct {
		field     string
		good, bad []string
	}{
		{
			"campaign",
			[]string{"a", "0a", "a-b", "a--b", long("a", 63)},
			[]string{long("a", 64), "-a", "a-", "a_b", "a.b", "A", "'a '", "é", `"a\n"`, "7"},
		},
		{
			"title",
			[]string{"x", long("가", 200), `"👩‍💻 \"thanks\""`, "yes", "~x", "'7'"},
			[]string{long("가", 201), "' '", `"\t"`, `"\u0085"`, `"\u2029"`, `"\x7f"`, `"\ufffe"`, `"\ufeff"`, "7", "null", "[a]",
				"{a: b}"},
		},
		{
			"starts_at",
			[]string{
				"2000-01-01T00:00:00Z", "2023-12-31T23:59:59.999999999Z", "2024-01-04T23:59:59Z", "1999-12-31T23:00:00-01:00",
				"2024-01-05T23:58:59+23:59", "'2023-01-05T00:00:00Z'", "2023-01-05T00:00:00-00:00",
			},
			[]string{
				"1999-12-31T23:59:59Z", "2000-01-01T00:00:00+00:01", "2024-01-05T00:00:00Z", "2023-01-05T00:00:00.1234567890Z",
				"2023-01-05T24:00:00Z", "2023-01-05T00:60:00Z", "2016-12-31T23:59:60Z", "2023-01-05T00:00:00+24:00",
				"2023-01-05T00:00:00+09:60",
				"2023-01-05T00:00:00z", "2023-01-05t00:00:00Z", "2023-01-05T00:00:00,5Z", "2023-01-05T0:00:00Z",
				"2023-1-5T00:00:00Z",
				"2023-01-05T00:00:00", "2023-01-05", "now", "+2023-01-05T00:00:00Z", "''", "true",
			},
		},
		{
			"ends_at",
			[]string{"2023-01-05T00:00:00.000000001Z", "2023-01-05T00:00:01Z", "2199-12-31T23:59:59Z"},
			[]string{"2023-01-05T00:00:00Z", "2023-01-04T23:59:59Z", "2200-01-01T00:00:00Z", "2199-12-31T23:59:59-00:01",
				"never"},
		},
		{
			"population",
			[]string{"1", "48000000", "9223372036854775807"},
			[]string{"0", "-1", "+1", "9223372036854775808", "01", "0o7", "0x7", "0b1", "1_0", "1.0", "1e3", ".inf", "'1'", `"1"`,
				"true"},
		},
		{
			"topic",
			[]string{"a", "A.b_c-9", "...", "rejected", "a.rejected.b", "a_rejected", long("a", 240)},
			[]string{long("a", 241), ".", "..", ".rejected", "a.rejected", "a/b", "a b", "가", "''", "7"},
		},
		{"format", []string{"json"}, []string{"decimal", "int64be", "JSON", "''", "thrift"}}, // path is given
		{
			"path",
			[]string{"a", "a.b", "가", "'a b'", "$", "'0'", "items.0.id", long("a", 250)},
			[]string{"", "''", ".", "a.", ".a", "a..b", "a. b", "' a'", `"a\nb"`, long("a", 251), "0"},
		},
		{"from", []string{"value", "key"}, []string{"Value", "headers", "''", "1"}},
		{
			"max_id",
			[]string{"1", "9223372036854775807"},
			[]string{"0", "-1", "9223372036854775808", "1_000", "'1'"},
		},
		{
			"max_rejected",
			[]string{"0%", "0.0001%", "100%", "100.0000%", "99.9999%", "'1%'", "1.50%"},
			[]string{"100.0001%", "101%", "999%", "1000%", "-1%", "01%", "0.00001%", "1.%", ".5%", "1", "0.01", "1%%", "'%'",
				"1 %", "NaN%", "1e1%"},
		},
		{
			"id",
			[]string{"a", "A", "'0'", "a.b_c-d", long("a", 100)},
			[]string{long("a", 101), "-a", ".a", "_a", "a b", "a/b", "가", "''", "7", "null"},
		},
		{"kind", []string{"cash", "credit"}, []string{"emoticon", "item", "Cash", "money", "''"}}, // amount is given
		{
			"validity",
			[]string{"permanent", "1s", "1m", "1h", "1d", "36500d", "876000h", "52560000m", "3153600000s", "'90d'"},
			[]string{"36501d", "876001h", "52560001m", "3153600001s", "99999999999999999999d", "0d", "0", "-1d", "+1d", "1.5d",
				"1", "1w", "1ms", "1D", "d", "1 d", "1d1h", "Permanent", "''"},
		},
		{
			"amount",
			[]string{"1", "50000", "1000000000000000"},
			[]string{"", "0", "-1", "1000000000000001", "50000.0", "'50000'", "50_000", "'50,000'", "9223372036854775808"},
		},
		{"currency", []string{"KRW", "USD", "XCG"}, []string{"", "krw", "KR", "KRWX", "XXX", "XAU", "DEM", "₩", "410", "''"}},
	} {
		for _, value := range limit.good {
			_, err := Parse("spec", specWith(limit.field, value))
			assert.NoError(t, err, "%s: %s", limit.field, value)
		}
		for _, value := range limit.bad {
			_, err := Parse("spec", specWith(limit.field, value))
			if assert.Error(t, err, "%s: %s", limit.field, value) {
				// The slip is shown at its own field, or at the one that it contradicts.
				about := map[string]string{"format": "path", "kind": "amount", "starts_at": "ends_at"}[limit.field]
				assert.Regexp(t, fmt.Sprintf(`^spec:\d+: (\S+\.)?(%s|%s): `, limit.field, about), err.Error())
			}
		}
	}
}

func TestOneTo64Items(t *testing.T) {
	spec := func(n int) []byte {
		var s strings.Builder
		s.WriteString("campaign: a\ntitle: a\nstarts_at: 2023-01-05T00:00:00Z\nsource: {topic: a}\nitems: [")
		for i := range n {
			fmt.Fprintf(&s, "{id: i%d, kind: item, validity: permanent}, ", i)
		}
		s.WriteString("]\n")
		return []byte(s.String())
	}
	for n, good := range map[int]bool{0: false, 1: true, 64: true, 65: false} {
		c, err := Parse("spec", spec(n))
		if !good {
			assert.EqualError(t, err, fmt.Sprintf("spec:5: items: has %d items: write 1 to 64", n))
			continue
		}
		if assert.NoError(t, err) {
			assert.Len(t, c.Items, n)
		}
	}
}

// IDs begin at 0, so max_id 9 leaves room for ten users; the largest max_id plus one does not overflow.
func TestThePopulationFitsBelowMaxID(t *testing.T) {
	for _, c := range []struct {
		population, maxID string
		good              bool
	}{
		{"10", "9", true},
		{"11", "9", false},
		{"9223372036854775807", "9223372036854775807", true},
		{"9223372036854775807", "9223372036854775806", true},
		{"9223372036854775807", "9223372036854775805", false},
	} {
		_, err := Parse("spec", specWith("population", c.population, "max_id", c.maxID))
		assert.Equal(t, c.good, err == nil, "%v: %v", c, err)
	}
}

func TestMoneyBelongsToCreditAndCashOnly(t *testing.T) {
	for _, kind := range []string{"credit", "cash", "emoticon", "item"} {
		_, with := Parse("spec", specWith("kind", kind))
		_, without := Parse("spec", specWith("kind", kind, "amount", "", "currency", ""))
		money := kind == "credit" || kind == "cash"
		assert.Equal(t, money, with == nil, "%s with an amount: %v", kind, with)
		assert.Equal(t, !money, without == nil, "%s without an amount: %v", kind, without)
	}
}
