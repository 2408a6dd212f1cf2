package audit

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// A ledger that was made again of the topic alone has everybody of it, and nothing of what people did. By itself that looks
// proven, and says so; the report before knows better.
func TestWhatALedgerLacksThatWasMadeAgainIsNamedByTheReportBefore(t *testing.T) {
	w := granted(t)
	w.publish(0, "601")
	w.does(grant.NumberID(600), grant.Act{Kind: grant.ActHand})
	w.does(grant.NumberID(601), grant.Act{Kind: grant.ActExclude})
	w.does(grant.NumberID(3), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedFraud})
	w.does(grant.NumberID(4), grant.Act{Kind: grant.ActNote})
	w.checkpoint(w.ends)
	before := w.finds(Proven, map[Kind]int64{})

	require.NoError(t, w.client.FlushAll(t.Context()).Err())
	w.open()
	w.begin()
	for partition, chunk := range []uint64{0, 1, 5} {
		var users []uint64
		for i := range uint64(perChunk) {
			users = append(users, chunk<<16|i*uint64(partition+1))
		}
		w.grant(partition, 0, perChunk+1, users...)
	}
	w.grant(0, w.ends[0]-1, w.ends[0]-1, 601)
	w.checkpoint(w.ends)
	mark := func(c *Config) { c.Rebuilt = []grant.Rebuilt{{At: time.Now(), Who: "minji"}} }
	r := w.finds(Proven, map[Kind]int64{}, mark)
	var printed, page bytes.Buffer
	r.Print(&printed, "en")
	require.Contains(t, printed.String(), "by minji, of the topic alone: what people did about users before")
	require.NoError(t, r.Page(&page, "ko", "", ""))
	require.Contains(t, page.String(), "minji 님이 토픽만으로 다시 만들었습니다")

	// One by hand and one excluded, a revocation and a note.
	r = w.finds(Refuted, map[Kind]int64{ActsGone: 2 + 2, LedgerChanged: 1}, mark, func(c *Config) { c.Previous = before })
	require.Contains(t, r.Findings[0].What, "there were 1 users granted by hand, 1 excluded, 2 with other acts")
	require.Contains(t, r.Findings[0].What, "by minji, of the topic alone")
	require.Contains(t, r.Findings[0].Do, "exclude first")
}

// What people do between two audits makes nothing of before go.
func TestNothingThatPeopleDoMakesActsGo(t *testing.T) {
	w := granted(t)
	w.publish(0, "601", "602")
	w.does(grant.NumberID(600), grant.Act{Kind: grant.ActHand})
	w.does(grant.NumberID(601), grant.Act{Kind: grant.ActExclude})
	w.does(grant.NumberID(602), grant.Act{Kind: grant.ActExclude})
	w.does(grant.NumberID(602), grant.Act{Kind: grant.ActNote})
	w.does(grant.NumberID(3), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake})
	w.checkpoint(w.ends)
	before := w.finds(Proven, map[Kind]int64{})
	proof, err := w.reader.Prove(t.Context())
	require.NoError(t, err)
	require.Equal(t, proof.Digest, before.Ledger.GrantedDigest, "the digest is that of granter status --prove")
	require.NotEqual(t, proof.Digest, before.Ledger.Digest)
	for _, act := range []struct {
		user uint64
		kind grant.ActKind
	}{{601, grant.ActReinstate}, {602, grant.ActReinstate}, {3, grant.ActReinstate}} {
		w.does(grant.NumberID(act.user), grant.Act{Kind: act.kind})
		before = w.finds(Proven, map[Kind]int64{}, func(c *Config) { c.Previous = before })
	}
	require.Equal(t, before.Ledger.Digest, before.Ledger.GrantedDigest, "nobody is excluded any more")
}

// Who looks at a chain of reports learns what is before it, and where a clock was set back.
func TestWhatAChainLeavesOpenIsSaid(t *testing.T) {
	at := time.Date(2023, 1, 5, 0, 0, 0, 0, time.UTC)
	first, second, third := &Report{At: at}, &Report{At: at.Add(time.Hour)}, &Report{At: at.Add(time.Minute)}
	second.Follows([]byte("first"), first)
	third.Follows([]byte("second"), second)
	require.Empty(t, Remarks([]*Report{first, second}))
	remarks := Remarks([]*Report{second, third})
	require.Len(t, remarks, 2)
	require.Contains(t, remarks[0], "continues another one, of 2023-01-05T00:00:00Z (SHA-256 "+Name([]byte("first")))
	require.Contains(t, remarks[1], "a clock was set back")
}

// Where an entry by hand was one too many, its repair is noted as another act.
func TestARepairMakesNoActsGo(t *testing.T) {
	was := LedgerReport{ByHand: 2, Excluded: 1, Acted: 3, ByReplay: 1}
	require.Zero(t, was.actsBeyond(&LedgerReport{ByHand: 1, Excluded: 1, Acted: 4, ByReplay: 1}))
	require.EqualValues(t, 1, was.actsBeyond(&LedgerReport{ByHand: 1, Excluded: 1, Acted: 3, ByReplay: 1}))
	require.EqualValues(t, 1+1+2, was.actsBeyond(&LedgerReport{ByHand: 1, Excluded: 1, Acted: 2, ByReplay: -1}))
}
