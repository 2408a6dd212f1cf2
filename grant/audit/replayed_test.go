package audit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A replay that grants fewer users than it has records is well: some had the campaign before. Each user needs a malformed record
// that no other entry needed.
func TestEachUserOfAReplayHasARejectedRecord(t *testing.T) {
	a := &audit{counting: true, rejected: map[int]*rejects{}}
	for _, offset := range []int64{1, 2, 4, 5} {
		a.malformed(0, !beyond)(offset)
	}
	for _, c := range []struct {
		name  string
		count int
		spans []span
		want  bool
	}{
		{"of two records, the user of one had it before", 1, []span{{0, 1, 1}, {0, 5, 5}}, true},
		{"after a kill, a record that was done comes again", 1, []span{{0, 1, 2}}, true},
		{"more users than records", 2, []span{{0, 4, 4}}, false},
		{"a record that is not malformed", 1, []span{{0, 2, 5}}, false},
		{"a partition without malformed records", 1, []span{{1, 1, 1}}, false},
		{"the last record that nobody needed", 1, []span{{0, 5, 5}}, true},
		{"all were needed", 1, []span{{0, 1, 2}}, false},
	} {
		require.Equal(t, c.want, a.rejectedAll(&entry{count: c.count, spans: c.spans}), c.name)
	}
}
