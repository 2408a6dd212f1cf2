package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/status"
)

// Somebody who reads a trail page by page, while others order and old refusals are dropped, sees every entry that was there
// all the time, once, and none twice.
func TestPagesOfATrailThatChangesHaveEveryEntryOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entry := func(i int) grant.HistoryEntry {
			at := time.Unix(1_667_606_441, int64(i/3)) // some at the same time
			e := grant.HistoryEntry{At: at, Action: grant.ActionPause, Who: fmt.Sprint(i)}
			if rapid.Bool().Draw(t, "refused") {
				e.Refused = "refused"
			}
			return e
		}
		var acts []grant.HistoryEntry
		n := 0
		more := func(count int) {
			for range count {
				acts = append(acts, entry(n))
				n++
			}
		}
		more(rapid.IntRange(0, 30).Draw(t, "entries"))
		stays, seen := map[string]bool{}, map[string]bool{}
		for _, e := range acts {
			stays[e.Who] = e.Refused == ""
		}
		p := paged{limit: rapid.IntRange(1, 7).Draw(t, "limit")}
		for {
			page, older := p.last(acts)
			require.LessOrEqual(t, len(page), p.limit)
			for _, e := range page {
				require.False(t, seen[e.Who], "twice")
				seen[e.Who] = true
			}
			if p.from = older; older == "" {
				break
			}
			require.Regexp(t, entryCursor, older)
			more(rapid.IntRange(0, 3).Draw(t, "more"))
			if i := slices.IndexFunc(acts, func(e grant.HistoryEntry) bool { return e.Refused != "" }); i >= 0 &&
				acts[i].At.UnixNano() != cursorTime(older) && rapid.Bool().Draw(t, "one is dropped") {
				acts = slices.Delete(acts, i, i+1)
			}
		}
		for who, stayed := range stays {
			require.True(t, !stayed || seen[who], "%s is on no page", who)
		}
	})
}

func cursorTime(cursor string) (nanos int64) {
	_, _ = fmt.Sscanf(cursor, "%d-", &nanos)
	return nanos
}

func TestATrailComesInPages(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.order(RoleOperator, fmt.Sprintf(`{"action":"throttle","throttle":%d,"why":"%d"}`, i+1, i)).is(http.StatusOK)
	}
	var whole, first, second trail
	all := w.get(RoleViewer, base+"/history")
	all.is(http.StatusOK)
	all.into(&whole)
	require.Len(t, whole.Acts, 5)
	require.Empty(t, whole.Older)

	w.get(RoleViewer, base+"/history?limit=3").into(&first)
	require.Equal(t, whole.Acts[2:], first.Acts)
	w.order(RoleOperator, `{"action":"pause","why":"meanwhile"}`).is(http.StatusOK)
	w.get(RoleViewer, base+"/history?limit=3&before="+first.Older).into(&second)
	require.Equal(t, whole.Acts[:2], second.Acts)
	require.Empty(t, second.Older)

	for _, bad := range []string{
		"limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "before=7", "before=", "before=" + strings.Repeat("9", 30),
	} {
		w.get(RoleViewer, base+"/history?"+bad).is(http.StatusBadRequest)
	}
}

// A client shows all of a trail, however many pages it has.
func TestAClientReadsEveryPage(t *testing.T) {
	w := newWorld(t, plain)
	many := &longTrail{Coordination: w.coordination}
	for i := range 2*lookup.MaxAtOnce + 3 {
		at := time.Unix(int64(i), 0).UTC()
		many.acts = append(many.acts, grant.HistoryEntry{At: at, Action: grant.ActionPause, Who: "minji"})
	}
	w.server.api.cfg.Campaigns = only{&Subject{Campaign: aCampaign(), Coordination: many}}
	c, err := NewClient(ClientConfig{URL: w.server.URL(), Campaign: "sorry-2022", Token: w.tokens[RoleViewer]})
	require.NoError(t, err)
	defer c.Close()
	acts, err := c.History(t.Context())
	require.NoError(t, err)
	require.Equal(t, many.acts, acts)
}

// Campaigns come and go while somebody reads page by page: names say where to go on.
func TestCampaignsComeInPages(t *testing.T) {
	w := newWorld(t)
	campaigns := several{"a", "c", "e", "g"}
	w.server.api.cfg.Campaigns = &campaigns
	var first, second listed
	w.get(RoleViewer, "/api/v1/campaigns?limit=2").into(&first)
	require.Equal(t, []string{"a", "c"}, first.names())
	campaigns = several{"b", "e", "f", "g"} // c, which the cursor names, is gone
	w.get(RoleViewer, "/api/v1/campaigns?limit=3&after="+first.Next).into(&second)
	require.Equal(t, []string{"e", "f", "g"}, second.names())
	require.Empty(t, second.Next)
	w.get(RoleViewer, "/api/v1/campaigns?after=A").is(http.StatusBadRequest)

	var user User
	w.get(RoleSupport, "/api/v1/users/2?limit=3").into(&user)
	require.Len(t, user.Answers, 3)
	require.Equal(t, "f", user.Next)
	w.get(RoleSupport, "/api/v1/users/2?limit=3&after="+user.Next).into(&user)
	require.Equal(t, "g", user.Answers[0].Campaign)
}

func (l *listed) names() (names []string) {
	for _, b := range l.Campaigns {
		names = append(names, b.Campaign)
	}
	return names
}

// several are campaigns of which there are only the names.
type several []string

func (s *several) Names() []string { return slices.Clone(*s) }

func (s *several) Refresh(context.Context) error { return nil }

func (s *several) Open(_ context.Context, name string) (*Subject, error) {
	if !slices.Contains(*s, name) {
		return nil, &NoCampaignError{Detail: "no"}
	}
	return &Subject{Campaign: &grant.Campaign{Name: name}, Broken: errors.New("unread")}, nil
}

func (s *several) List(context.Context) (list []status.Brief, _ error) {
	for _, name := range slices.Backward(*s) { // not by name
		list = append(list, status.Unreadable(name, errors.New("unread")))
	}
	return list, nil
}

// longTrail is a ledger with a long audit trail.
type longTrail struct {
	Coordination
	acts []grant.HistoryEntry
}

func (l *longTrail) History(context.Context) ([]grant.HistoryEntry, error) { return l.acts, nil }
