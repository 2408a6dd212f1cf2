package desk

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/source"
)

// rejecting is a desk whose topic has one record that was rejected, and one that was replayed since.
func rejecting(t *testing.T, asked *[]rejected.Filter) *world {
	t.Helper()
	list := &rejected.Listing{
		Campaign: "sorry-2022", Topic: "users.rejected", Letters: 1201,
		Reasons: map[source.Reason]int64{"leading_zero": 1200, "empty": 1},
		Replays: grant.Replays{Granted: 1}, Last: []rejected.Record{
			{Partition: 3, Offset: 1207, Reason: "leading_zero", Run: 7, Value: []byte("<b>007")},
			{Partition: 3, Offset: 1208, Reason: "empty", Run: 7, Key: []byte("k"), Whole: 9000,
				Replayed: &rejected.Replayed{User: grant.NumberID(5), Run: 8, Result: rejected.Granted},
				Headers:  []rejected.Header{{Name: "trace", Value: []byte{0xff}}}},
		},
	}
	return newWorld(t, func(w *world) {
		w.cfg.Rejected = func(ctx context.Context, f rejected.Filter, _ int) (*rejected.Listing, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				return nil, fmt.Errorf("without end: %w", context.DeadlineExceeded)
			}
			*asked = append(*asked, f)
			out := *list
			switch {
			case len(f.Places) == 1 && f.Places[0].Offset == 1:
				out.Last = nil
			case len(f.Places) == 1 && f.Places[0].Offset == 2:
				return nil, context.DeadlineExceeded
			case len(f.Places) == 1:
				out.Last = out.Last[1:]
			}
			return &out, nil
		}
	})
}

// Rejected records are listed and shown to whoever may look users up, by the API and on the page, as text whatever is in them.
func TestRejectedRecordsAreShown(t *testing.T) {
	var asked []rejected.Filter
	w := rejecting(t, &asked)
	var got rejected.Listing
	w.get(RoleSupport, base+"/rejected").into(&got)
	require.EqualValues(t, 1201, got.Letters)
	require.Equal(t, []byte("<b>007"), got.Last[0].Value)
	require.Nil(t, got.Last[0].Key)
	w.get(RoleSupport, base+"/rejected?reason=empty&at=3/1208").into(&got)
	require.Equal(
		t,
		rejected.Filter{Reasons: []source.Reason{"empty"}, Places: []rejected.Place{{Partition: 3, Offset: 1208}}},
		asked[1],
	)
	w.get(RoleViewer, base+"/rejected").is(http.StatusForbidden)
	w.get(RoleSupport, base+"/rejected?reason=other").is(http.StatusBadRequest)
	for _, reason := range source.Reasons() {
		w.get(RoleSupport, base+"/rejected?reason="+string(reason)).is(http.StatusOK) // the document allows it, or this fails
	}
	w.get(RoleSupport, base+"/rejected?at=3").is(http.StatusBadRequest)
	require.Contains(t, w.get(RoleSupport, base+"/rejected?at=3/2").is(http.StatusServiceUnavailable), "granter rejected list")

	page := func(query string, code int) string {
		p := w.get(RoleSupport, "/users/rejected/sorry-2022"+query)
		require.Equal(t, code, p.status)
		return string(p.body)
	}
	all := page("", http.StatusOK)
	for _, want := range []string{
		"1,201 records held no valid user ID", "a leading zero</a>: 1,200", "Replayed: 1 granted", "&lt;b&gt;007",
		"User 5 was granted",
		`href="../../users/rejected/sorry-2022?at=3%2F1207"`, `href="../../campaigns/sorry-2022/"`,
	} {
		require.Contains(t, all, want)
	}
	require.Contains(t, page("?lang=ko", http.StatusOK), "사용자 ID를 읽을 수 없는 레코드가 1,201개 있습니다.")
	one := page("?at=3/1208", http.StatusOK)
	for _, want := range []string{
		"Header &#34;trace&#34;", `\xff`, ">ff<", "It had 9,000 bytes, and was cut.", "All rejected records",
	} {
		require.Contains(t, one, want)
	}
	all = page("?lang=ko&at=3/1208", http.StatusOK)
	require.Contains(t, all, "값이 없음 <code>empty</code>")
	require.Contains(t, page("?at=3/1", http.StatusOK), "No record was rejected at this place")
	require.Contains(t, page("?at=x", http.StatusBadRequest), "PARTITION/OFFSET")
	require.Contains(t, page("?at=3/2", http.StatusServiceUnavailable), "too large")

	w.server.api.cfg.Campaigns.(only).subject.Rejected = nil
	require.Contains(t, w.get(RoleSupport, base+"/rejected").is(http.StatusServiceUnavailable), "granter rejected list does")
}
