package campaign

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/strict"
)

func TestTheCampaignsToDeployLoad(t *testing.T) {
	files, err := filepath.Glob("../../deploy/campaigns/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)

	for _, file := range files { // of today, and of any day
		camp, err := Load(file)
		require.NoError(t, err)
		assert.True(t, camp.StartsAt.Before(time.Now()), file)
		assert.True(t, camp.EndsAt.IsZero(), file)
	}
	past, err := filepath.Glob("../../deploy/campaigns/2023/*.yaml")
	require.NoError(t, err)
	require.Len(t, past, 2)
	for _, file := range past {
		camp, err := Load(file)
		require.NoError(t, err)
		assert.Equal(t, 2023, camp.EndsAt.Year(), file)
	}
	rollout, err := Load("../../deploy/campaigns/2023/emoticons.yaml")
	require.NoError(t, err)
	assert.EqualValues(t, 48_000_000, rollout.Population)
	assert.Equal(t, "2023-01-05T09:00:00+09:00", rollout.StartsAt.Format(time.RFC3339))
	taken := rollout.StartsAt.Add(time.Hour)
	offered := rollout.Entitlements(&grant.Holding{GrantedAt: rollout.StartsAt, TakenAt: []time.Time{taken, taken}}, taken)
	assert.Equal(t, grant.StateActive, offered[0].State)
	assert.True(t, offered[0].ExpiresAt.IsZero())
	assert.Equal(t, "2023-04-04T23:59:59+09:00", offered[1].LastDay.Format(time.RFC3339))
	assert.Equal(t, grant.StateOffered, offered[2].State)
	assert.Equal(t, "2023-01-21T00:00:00+09:00", offered[2].TakeUntil.Format(time.RFC3339))

	emoticons, err := Load("../../deploy/campaigns/emoticons.yaml")
	require.NoError(t, err)
	require.Len(t, emoticons.Items, 3)
	granted := time.Date(2023, 1, 5, 9, 0, 0, 0, time.UTC)
	held := emoticons.Entitlements(&grant.Holding{GrantedAt: granted}, granted)
	assert.True(t, held[0].ExpiresAt.IsZero())
	assert.Equal(t, granted.AddDate(0, 0, 90), held[1].ExpiresAt)
	assert.Equal(t, granted.AddDate(0, 0, 90), held[2].ExpiresAt)

	cash, err := Load("../../deploy/campaigns/channel-cash.yaml")
	require.NoError(t, err)
	assert.Equal(t, "small-business-owners", cash.Input.Topic)
	require.Len(t, cash.Items, 1)
	assert.Equal(t, grant.KindCredit, cash.Items[0].Kind)
	assert.EqualValues(t, 50_000, cash.Items[0].Amount)
	assert.Equal(t, "KRW", cash.Items[0].Currency)
}

func TestEveryFieldIsDocumented(t *testing.T) {
	doc := manual(t)
	for section, fields := range map[string][]strict.Known{
		"### At the top\n":                      campaignFields,
		"### In `source`\n":                     sourceFields,
		"### In each of `items`\n":              itemFields,
		"### In a `validity` that has fields\n": validityFields,
	} {
		_, text, found := strings.Cut(doc, section)
		require.True(t, found, section)
		text, _, _ = strings.Cut(text, "\n#")
		var want, got []string
		for _, f := range fields {
			want = append(want, f.Name)
		}
		for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]+) \\|").FindAllStringSubmatch(text, -1) {
			got = append(got, row[1])
			for _, f := range fields {
				if f.Name == row[1] {
					assert.Equal(t, f.Required, row[2] == "yes", "whether %s is required", f.Name)
				}
			}
		}
		assert.Equal(t, want, got, section)
	}
}

func TestTheExamplesInTheManualAreValid(t *testing.T) {
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(manual(t), -1)
	require.NotEmpty(t, examples)
	for _, example := range examples {
		_, err := Parse("docs/campaign-spec.md", []byte(example[1]))
		assert.NoError(t, err)
	}
}

// What an error tells people to write must itself be right.
func TestTheExamplesInErrorsAreValid(t *testing.T) {
	write := func(fields []strict.Known) string {
		var s []string
		for _, f := range fields {
			if f.Name == "path" || f.Name == "take_until" || f.Name == "first" || f.Name == "normalise" ||
				f.Name == "schemas" || f.Name == "registry" {
				continue // they belong to another format, kind of ID and validity than the example's
			}
			s = append(s, f.Name+": "+f.Example)
		}
		return strings.Join(s, "\n")
	}
	_, err := Parse("top", []byte(write(campaignFields)))
	require.NoError(t, err)
	nested := map[string]string{"source": "{" + strings.ReplaceAll(write(sourceFields), "\n", ", ") + "}"}
	nested["items"] = "[{" + strings.ReplaceAll(strings.ReplaceAll(write(itemFields), "emoticon", "cash"), "\n", ", ") + "}]"
	spec := slices.Clone(campaignFields)
	for i, f := range spec {
		if text, ok := nested[f.Name]; ok {
			spec[i].Example = text
		}
	}
	_, err = Parse("nested", []byte(write(spec)))
	require.NoError(t, err)
	_, err = Parse("offered", specWith("zone", "Asia/Seoul", "validity", "{days: 90, from: taken, until: end_of_day}",
		"take_until", example(itemFields, "take_until"), "first", example(itemFields, "first")))
	require.NoError(t, err)
}

func example(fields []strict.Known, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Example
		}
	}
	return ""
}

func manual(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/campaign-spec.md")
	require.NoError(t, err)
	return string(doc)
}
