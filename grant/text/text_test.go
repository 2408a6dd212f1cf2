package text

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestNumbersAreWrittenInThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 48_000_000: "48,000,000", -1: "-1", -100: "-100", -1000: "-1,000",
		math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		assert.Equal(t, want, Number(n))
	}
	assert.Equal(t, "18,446,744,073,709,551,615", Number(uint64(math.MaxUint64)))
}

func TestMomentsHaveTheirZone(t *testing.T) {
	seoul := time.FixedZone("", 9*60*60)
	assert.Equal(t, "2023-01-05 00:00:00 +09:00", Moment(time.Date(2023, 1, 5, 0, 0, 0, 0, seoul)))
	assert.Equal(t, "never", Moment(time.Time{}))
}

func TestNearestFindsASlipAndNothingElse(t *testing.T) {
	words := []string{"starts_at", "ends_at", "title", "from"}
	for slip, want := range map[string]string{
		"titel": "title", "Title": "title", "titles": "title", "tile": "title",
		"startsAt": "starts_at", "starts-at": "starts_at", "start_at": "starts_at", "END_AT": "ends_at", "form": "from",
		"owner": "", "x": "", "": "", strings.Repeat("title", 20): "", strings.Repeat("x", 1<<20): "",
	} {
		assert.Equal(t, want, Nearest(slip, words), slip)
	}
}

func TestNearestOfTopics(t *testing.T) {
	topics := []string{"user-ids", "orders", "orders.rejected", strings.Repeat("long-", 40) + "name"}
	for slip, want := range map[string]string{
		"user_ids": "user-ids", "users-ids": "user-ids", "order": "orders", "orders.rejects": "orders.rejected", "payments": "",
		strings.Repeat("long-", 40) + "names": topics[3],
	} {
		assert.Equal(t, want, Nearest(slip, topics), slip)
	}
}

func TestDistance(t *testing.T) {
	for want, pair := range map[int][2]string{3: {"kitten", "sitting"}, 1: {"form", "from"}, 0: {"", ""}, 4: {"", "four"}} {
		assert.Equal(t, want, distance(pair[0], pair[1]))
	}
}
