package population

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// Every kind of ID, in every format: what is valid is read as the ID that it is, and each user is another one; what is malformed
// is rejected.
func TestGeneratedIDsThatAreNotDenseAreReadAsTheyAre(t *testing.T) {
	for _, topic := range []grant.Input{
		{IDs: grant.IDsUUID, Format: grant.FormatText}, {IDs: grant.IDsUUID, Format: grant.FormatJSON, Path: "user.id"},
		{IDs: grant.IDsInt64, Format: grant.FormatDecimal}, {IDs: grant.IDsInt64, Format: grant.FormatInt64BE},
		{IDs: grant.IDsInt64, Format: grant.FormatJSON, Path: "id"},
		{IDs: grant.IDsString, Format: grant.FormatText}, {IDs: grant.IDsString, Format: grant.FormatJSON, Path: "id"},
	} {
		for _, version := range []string{"", UUIDv7} {
			if version != "" && topic.IDs != grant.IDsUUID {
				continue
			}
			topic.Topic = "users"
			plan := Plan{Topic: topic, Users: 5000, Duplicates: 0.1, Malformed: 0.01, Seed: 3, UUID: version}
			require.NoError(t, plan.Validate())
			encoding, err := newPayload(topic)
			require.NoError(t, err)
			src, err := source.New(source.Config{Topic: topic, Campaign: "c",
				Kafka: source.Kafka{Brokers: []string{"127.0.0.1:1"}}})
			require.NoError(t, err)
			seen := map[grant.UserID]bool{}
			counts := Counts{}
			for r := range plan.Records {
				counts.Records++
				if !r.Kind.Valid() {
					counts.Malformed++
					_, reason := src.Decode(&source.Parts{Value: encoding.malformed(r)})
					require.NotEmpty(t, reason, "%v of %v: %q", r.Kind, topic, encoding.malformed(r))
					continue
				}
				dst := make([]byte, encoding.size(r.ID))
				encoding.put(dst, r.ID)
				id, reason := src.Decode(&source.Parts{Value: dst})
				require.Empty(t, reason, "%q", dst)
				require.Equal(t, r.ID, id)
				if seen[id] {
					counts.Repeats++
				}
				seen[id] = true
			}
			counts.Distinct = int64(len(seen))
			require.Equal(t, plan.Counts(), counts, "%v %s", topic, version)
			require.NoError(t, src.Close())
		}
	}
}

func TestUUIDsHaveTheirVersionAndV7Ascends(t *testing.T) {
	topic := grant.Input{Topic: "users", IDs: grant.IDsUUID, Format: grant.FormatText}
	for version, digit := range map[string]byte{"": '4', UUIDv4: '4', UUIDv7: '7'} {
		last := ""
		for id := range (Plan{Topic: topic, Users: 3000, Order: Ascending, UUID: version}).IDs {
			text := id.String()
			require.Equal(t, digit, text[14])
			require.Contains(t, "89ab", text[19:20])
			if version == UUIDv7 {
				require.LessOrEqual(t, last, text[:13], "the time")
				last = text[:13]
			}
		}
	}
	strings := grant.Input{Topic: "users", IDs: grant.IDsString, Format: grant.FormatText}
	for id := range (Plan{Topic: strings, Users: 100}).IDs {
		require.Len(t, id.String(), 20)
	}
}

func TestPlansSayWhatDoesNotFitTheirIDs(t *testing.T) {
	numbers := grant.Input{Topic: "users", IDs: grant.IDsInt64, Format: grant.FormatDecimal}
	uuids := grant.Input{Topic: "users", IDs: grant.IDsUUID, Format: grant.FormatText}
	for want, plan := range map[string]Plan{
		"no UUIDs":      {Topic: numbers, Users: 5, UUID: UUIDv4},
		"want v4 or v7": {Topic: uuids, Users: 5, UUID: "v1"},
		"spread:":       {Topic: numbers, Users: 5, Spread: 7},
	} {
		require.ErrorContains(t, plan.Validate(), want)
	}
}
