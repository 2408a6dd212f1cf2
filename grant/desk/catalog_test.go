package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
)

func spec(t *testing.T, name, title, starts string) *grant.Campaign {
	t.Helper()
	c, err := campaign.Parse(name+".yaml", fmt.Appendf(nil, "campaign: %s\ntitle: %s\nstarts_at: %s\npopulation: 10\n"+
		"source: {topic: users-%s}\nitems:\n  - {id: cheer-up, kind: emoticon, validity: 90d}\n", name, title, starts, name))
	require.NoError(t, err)
	return c
}

// many makes a world's desk serve all campaigns of its ledger, and those of some files.
type many struct {
	client  redis.UniversalClient
	catalog *Catalog
	totals  atomic.Int64 // how often bitmaps were counted
}

func (m *many) serve(files ...*grant.Campaign) func(*world) {
	return func(w *world) {
		client, err := ledger.Connect(ledger.Options{Addrs: []string{w.redis.Addr()}})
		require.NoError(w, err)
		w.Cleanup(func() { require.NoError(w, client.Close()) })
		m.client = client
		index, err := ledger.NewIndex(client, ledger.Config{RetryFor: 200 * time.Millisecond})
		require.NoError(w, err)
		m.catalog, err = NewCatalog(CatalogConfig{
			Files: files, Index: index, Log: slog.New(slog.NewJSONHandler(w.log, nil)),
			Stored: func(ctx context.Context, name string) (*grant.Campaign, error) {
				_, coordination, _ := m.ledgerOf(w.T, &grant.Campaign{Name: name})
				return status.Stored(ctx, coordination, name)
			},
			Open: func(c *grant.Campaign) (*Subject, error) {
				_, coordination, reader := m.ledgerOf(w.T, c)
				g := status.NewGatherer(c, coordination, counting{reader, &m.totals}, topic{})
				return &Subject{
					Campaign: c, Coordination: coordination, Reader: reader, Checks: reader,
					Status: g.Gather, Brief: g.Brief, Bounds: topic{}.Bounds,
				}, nil
			},
		})
		require.NoError(w, err)
		w.cfg.Campaigns = m.catalog
	}
}

type counting struct {
	*ledger.Reader
	times *atomic.Int64
}

func (c counting) Totals(ctx context.Context) (ledger.Totals, error) {
	c.times.Add(1)
	return c.Reader.Totals(ctx)
}

func (m *many) ledgerOf(t *testing.T, c *grant.Campaign) (*ledger.Store, *ledger.Coordination, *ledger.Reader) {
	t.Helper()
	store, err := ledger.Open(m.client, c, ledger.Config{RetryFor: 200 * time.Millisecond})
	require.NoError(t, err)
	return store, ledger.NewCoordination(store), ledger.NewReader(store)
}

// begin stores the spec of a campaign, as its first run does, and says what the run says of itself.
func (m *many) begin(t *testing.T, c *grant.Campaign, run grant.RunRecord) {
	t.Helper()
	store, coordination, _ := m.ledgerOf(t, c)
	run.Run = grant.NewRunID(time.Now())
	grants := ledger.NewGrants(store, run.Run)
	require.NoError(t, grants.EnsureSpec(t.Context(), c))
	run.Spec, run.UpdatedAt = c.Hash, time.Now()
	require.NoError(t, coordination.SaveRun(t.Context(), run))
}

func (w *world) list(token string) (briefs []status.Brief) {
	w.Helper()
	answer := w.ask(request{method: http.MethodGet, path: "/api/v1/campaigns", token: token})
	answer.is(http.StatusOK)
	var l listed
	answer.into(&l)
	return l.Campaigns
}

func phasesOf(briefs []status.Brief) map[string]status.Phase {
	out := map[string]status.Phase{}
	for _, b := range briefs {
		out[b.Campaign] = b.Phase
	}
	return out
}

// One desk serves what the ledger has: also what an older granter stored, what comes while it serves, what has begun never,
// and what cannot be read, which takes no other along.
func TestADeskServesEveryCampaignOfTheLedger(t *testing.T) {
	m := &many{}
	upcoming := spec(t, "upcoming", "Soon", time.Now().Add(time.Hour).Format(time.RFC3339))
	w := newWorld(t, m.serve(upcoming))
	running := spec(t, "running", "고마워요 이모티콘", "2022-11-05T09:00:00+09:00")
	m.begin(t, running, grant.RunRecord{State: grant.RunRunning, Rate: 5})
	m.begin(t, spec(t, "finished", "Done", "2022-11-04T09:00:00+09:00"), grant.RunRecord{State: grant.RunFinished})
	m.begin(t, spec(t, "stopped", "Stopped", "2022-11-04T09:00:00+09:00"), grant.RunRecord{State: grant.RunFailed})
	m.begin(t, spec(t, "old", "Of an older granter", "2022-11-03T09:00:00+09:00"), grant.RunRecord{State: grant.RunFinished})
	w.redis.HDel("granter:campaigns", "old")
	m.begin(t, spec(t, "broken", "Broken", "2022-11-03T09:00:00+09:00"), grant.RunRecord{State: grant.RunRunning})
	w.redis.HSet("granter:{broken}:spec", "canonical", "garbage")
	_, coordination, _ := m.ledgerOf(t, spec(t, "aborted", "Aborted", "2022-11-02T09:00:00+09:00"))
	m.begin(t, spec(t, "aborted", "Aborted", "2022-11-02T09:00:00+09:00"), grant.RunRecord{State: grant.RunAborted})
	_, err := coordination.Order(t.Context(), grant.Order{Action: grant.ActionAbort, Who: "minji", Via: "cli", Why: "wrong"})
	require.NoError(t, err)

	token := w.tokens[RoleOperator]
	briefs := w.list(token)
	require.Equal(t, map[string]status.Phase{
		"upcoming": status.PhaseWaiting, "running": status.PhaseRunning, "finished": status.PhaseFinished,
		"stopped": status.PhaseIdle, "old": status.PhaseFinished, "broken": status.PhaseUnknown, "aborted": status.PhaseAborted,
	}, phasesOf(briefs))
	require.Equal(t, "running", briefs[0].Campaign, "those first that somebody should look at")
	require.Equal(t, "고마워요 이모티콘", briefs[0].Title)
	require.Equal(t, 1, briefs[0].Replicas)
	_, offset := briefs[0].StartsAt.Zone()
	require.Equal(t, 9*60*60, offset, "the zone of the spec's dates")
	for _, b := range briefs {
		require.Equal(t, b.Campaign == "broken", b.Error != "", b.Campaign)
	}

	about := func(name, what string) answer {
		return w.ask(request{method: http.MethodGet, path: "/api/v1/campaigns/" + name + "/" + what, token: token})
	}
	for _, b := range briefs {
		code := http.StatusOK
		if b.Error != "" {
			code = http.StatusInternalServerError
		}
		require.Equal(t, code, about(b.Campaign, "status").status, b.Campaign)
		require.Equal(t, code, about(b.Campaign, "users/3").status, b.Campaign)
		about(b.Campaign, "history").is(http.StatusOK)
	}

	m.begin(t, spec(t, "late", "Late", "2022-11-05T10:00:00+09:00"), grant.RunRecord{State: grant.RunRunning})
	about("late", "status").is(http.StatusOK)
	await(t, "it is in the list, without a restart", func() bool { return len(w.list(token)) == len(briefs)+1 })
	require.Contains(t, string(w.get(RoleViewer, "/api/v1/me").body), `"late"`)
	about("none", "status").is(http.StatusNotFound)
	about("N{ne", "status").is(http.StatusNotFound)

	only := w.with(RoleOperator, "finished", "running")
	seen := map[string]status.Phase{"running": status.PhaseRunning, "finished": status.PhaseFinished}
	require.Equal(t, seen, phasesOf(w.list(only)))
	me := w.ask(request{method: http.MethodGet, path: "/api/v1/me", token: only})
	require.Contains(t, string(me.body), `"campaigns":["finished","running"]`)
}

// A damaged spec keeps nobody from a pause, while runs go on by what they have in memory.
func TestACampaignWithABrokenSpecCanBePaused(t *testing.T) {
	m := &many{}
	w := newWorld(t, m.serve())
	m.begin(t, spec(t, "broken", "Broken", "2022-11-03T09:00:00+09:00"), grant.RunRecord{State: grant.RunRunning})
	w.redis.HSet("granter:{broken}:spec", "canonical", "garbage")
	order := request{method: http.MethodPost, path: "/api/v1/campaigns/broken/orders", token: w.tokens[RoleOperator]}
	for action, code := range map[string]int{"pause": 200, "resume": 200, "abort": 200, "finish": 500, "postpone": 500} {
		order.body = `{"action":"` + action + `","why":"it is damaged"}`
		w.ask(order).is(code)
	}
	acts := w.ask(request{method: http.MethodGet, path: "/api/v1/campaigns/broken/history", token: w.tokens[RoleViewer]})
	var h trail
	acts.into(&h)
	require.Len(t, h.Acts, 3, "and what was not ordered is not in the trail")
}

// A spec that nobody was granted by may be replaced: the desk follows without a restart.
func TestADeskFollowsASpecThatIsReplaced(t *testing.T) {
	m := &many{}
	w := newWorld(t, m.serve())
	m.begin(t, spec(t, "sorry", "First", "2022-11-05T09:00:00+09:00"), grant.RunRecord{State: grant.RunFailed})
	title := func() string {
		var s status.Status
		w.get(RoleViewer, "/api/v1/campaigns/sorry/status").into(&s)
		return s.Title
	}
	require.Equal(t, "First", title())
	w.redis.Del("granter:{sorry}:leases")
	m.begin(t, spec(t, "sorry", "Second", "2022-11-05T09:00:00+09:00"), grant.RunRecord{State: grant.RunFailed})
	require.Equal(t, "Second", title())
}

// The list asks for little: bitmaps are counted again only when a run has spoken since, and many who look are one.
func TestTheListIsCheap(t *testing.T) {
	m := &many{}
	w := newWorld(t, m.serve())
	for i := range 5 {
		m.begin(t, spec(t, fmt.Sprintf("c-%d", i), "C", "2022-11-05T09:00:00+09:00"), grant.RunRecord{State: grant.RunFinished})
	}
	for range 3 {
		require.Len(t, w.list(w.tokens[RoleViewer]), 5)
	}
	require.EqualValues(t, 5, m.totals.Load())
	m.catalog.listed = time.Time{}
	require.Len(t, w.list(w.tokens[RoleViewer]), 5)
	require.EqualValues(t, 5, m.totals.Load(), "nobody has been granted since")
	m.begin(t, spec(t, "c-0", "C", "2022-11-05T09:00:00+09:00"), grant.RunRecord{State: grant.RunRunning})
	m.catalog.listed = time.Time{}
	require.Len(t, w.list(w.tokens[RoleViewer]), 5)
	require.EqualValues(t, 6, m.totals.Load())
}

// What is known stays when Redis is away.
func TestACatalogRemembersWhileRedisIsAway(t *testing.T) {
	m := &many{}
	w := newWorld(t, m.serve())
	m.begin(t, spec(t, "sorry", "Sorry", "2022-11-05T09:00:00+09:00"), grant.RunRecord{State: grant.RunRunning})
	require.Len(t, w.list(w.tokens[RoleViewer]), 1)
	w.redis.Close()
	m.catalog.listed = time.Time{}
	briefs := w.list(w.tokens[RoleViewer])
	require.Len(t, briefs, 1)
	require.Contains(t, briefs[0].Error, "cannot reach Redis")
	w.get(RoleViewer, "/api/v1/campaigns/sorry/status").is(http.StatusOK)
	_, err := m.catalog.Open(t.Context(), "another")
	_, none := errors.AsType[*NoCampaignError](err)
	require.Error(t, err)
	require.False(t, none, "it may be there")
}
