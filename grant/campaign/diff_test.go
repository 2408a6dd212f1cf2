package campaign

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDiffNamesTheFieldAndBothValues(t *testing.T) {
	stored, err := Load("testdata/good/emoticons.yaml")
	require.NoError(t, err)
	const thankYou = `  - {id: thank-you-permanent, kind: emoticon, validity: permanent}`
	const cheerUp = `  - {id: cheer-up-90d, kind: emoticon, validity: 90d}`
	spec := `campaign: sorry-2022-emoticons
title: Three emoticons for every KakaoTalk user
starts_at: 2023-01-05T00:00:00+09:00
ends_at: 2023-04-05T00:00:00+09:00
population: 48000000
source: {topic: kakaotalk-users}
items:
` + thankYou + "\n" + cheerUp + `
  - {id: lets-go-90d, kind: emoticon, validity: 90d}
`
	for name, c := range map[string]struct {
		change *strings.Replacer
		want   []string
	}{
		"nothing": {strings.NewReplacer(), nil},
		"another way of writing it": {
			strings.NewReplacer("2023-01-05T00:00:00+09:00", "2023-01-04T15:00:00Z", "90d}", "2160h}", "{topic",
				"{from: value, topic"), nil,
		},
		"values": {
			strings.NewReplacer("Three emoticons", "Four emoticons", "2023-01-05T00", "2023-01-06T00", "kakaotalk-users",
				"users"),
			[]string{
				`title: stored "Three emoticons for every KakaoTalk user", given "Four emoticons for every KakaoTalk user"`,
				`starts_at: stored 2023-01-04T15:00:00Z, given 2023-01-05T15:00:00Z`,
				`source.topic: stored kakaotalk-users, given users`,
			},
		},
		"fields that one side lacks": {
			strings.NewReplacer("ends_at: 2023-04-05T00:00:00+09:00\n", "", "kakaotalk-users}",
				"kakaotalk-users, format: json, path: id}"),
			[]string{
				`ends_at: stored 2023-04-04T15:00:00Z, not given`,
				`source.format: stored decimal, given json`,
				`source.path: not stored, given id`,
			},
		},
		"one item among others": {
			strings.NewReplacer("id: cheer-up-90d, kind: emoticon, validity: 90d",
				"id: cheer-up-90d, kind: emoticon, validity: 30d"),
			[]string{`items[cheer-up-90d].validity: stored 90d, given 30d`},
		},
		"an item less": {
			strings.NewReplacer(thankYou+"\n", ""),
			[]string{
				`items[thank-you-permanent].kind: stored emoticon, not given`,
				`items[thank-you-permanent].validity: stored permanent, not given`,
				`items: stored [thank-you-permanent, cheer-up-90d, lets-go-90d], given [cheer-up-90d, lets-go-90d]`,
			},
		},
		"an item more": {
			strings.NewReplacer("items:\n", "items:\n  - {id: gift, kind: cash, validity: 1d, amount: 100, currency: KRW}\n"),
			[]string{
				`items: stored [thank-you-permanent, cheer-up-90d, lets-go-90d], ` +
					`given [gift, thank-you-permanent, cheer-up-90d, lets-go-90d]`,
				`items[gift].kind: not stored, given cash`,
				`items[gift].validity: not stored, given 1d`,
				`items[gift].amount: not stored, given 100`,
				`items[gift].currency: not stored, given KRW`,
			},
		},
		"the order of the items": {
			strings.NewReplacer(thankYou+"\n"+cheerUp, cheerUp+"\n"+thankYou),
			[]string{
				`items: stored [thank-you-permanent, cheer-up-90d, lets-go-90d], ` +
					`given [cheer-up-90d, thank-you-permanent, lets-go-90d]`,
			},
		},
	} {
		given, err := Parse("spec", []byte(c.change.Replace(spec)))
		if assert.NoError(t, err, name) {
			assert.Equal(t, strings.Join(c.want, "\n"), Diff(stored.Canonical, given.Canonical), name)
			assert.Equal(t, len(c.want) == 0, bytes.Equal(stored.Canonical, given.Canonical), name)
		}
	}
}

// A ledger may hold what a newer or an older granter stored, or what a fault left of it.
func TestDiffReadsWhatIsNotAValidSpec(t *testing.T) {
	given, err := Load("testdata/good/minimal.yaml")
	require.NoError(t, err)
	newer := strings.Replace(string(given.Canonical), `"campaign": "a",`, `"campaign": "a", "sparse": {"layout": "hash"},`, 1)
	assert.Equal(t, "sparse.layout: stored hash, not given", Diff([]byte(newer), given.Canonical))

	assert.Equal(t, "the stored spec cannot be read: the stored spec: the file is empty: write a campaign spec, see "+
		"docs/campaign-spec.md",
		Diff(nil, given.Canonical))
	assert.Contains(t, Diff(given.Canonical, given.Canonical[:50]), "the given spec cannot be read: the given spec:")
}
