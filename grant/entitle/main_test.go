package entitle_test

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2023, 1, 5, 0, 0, 0, 0, time.UTC)

// world is some campaigns in one Redis, whose clock the test sets.
type world struct {
	*testing.T

	redis     *miniredis.Miniredis
	client    redis.UniversalClient
	campaigns []entitle.Campaign
	readers   map[string]*ledger.Reader
	grants    map[string]*ledger.Grants
	stores    []*ledger.Store
	takes     *ledger.Takes
	seq       uint64
}

func newWorld(t *testing.T, campaigns ...*grant.Campaign) *world {
	t.Helper()
	w := &world{T: t, redis: miniredis.RunT(t), readers: map[string]*ledger.Reader{}, grants: map[string]*ledger.Grants{}}
	var err error
	w.client, err = ledger.Connect(ledger.Options{Addrs: []string{w.redis.Addr()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.client.Close()) })
	w.redis.SetTime(began)
	for _, c := range campaigns {
		store, err := ledger.Open(w.client, c, ledger.Config{RetryFor: 200 * time.Millisecond})
		require.NoError(t, err)
		w.stores = append(w.stores, store)
		w.readers[c.Name], w.grants[c.Name] = ledger.NewReader(store), ledger.NewGrants(store, 7)
		_, err = w.grants[c.Name].Begin(t.Context(), grant.TopicID{})
		require.NoError(t, err)
		w.campaigns = append(w.campaigns, entitle.Campaign{Campaign: c, Ledger: w.readers[c.Name]})
	}
	return w
}

// sorry is the campaign of most tests.
func sorry() *grant.Campaign {
	return &grant.Campaign{Name: "sorry-2022", Hash: "5f5f5f5f5f5f5f5f", StartsAt: began, Items: []grant.Item{
		{ID: "thank-you", Kind: grant.KindEmoticon},
		{ID: "cheer-up", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 90 * 24 * time.Hour}},
	}}
}

// grant grants a campaign to some users at a moment, by an entry for each of their chunks.
func (w *world) grant(campaign string, at time.Time, users ...grant.UserID) {
	w.Helper()
	w.redis.SetTime(at)
	chunks := map[uint64]*dense.Bitmap{}
	for _, user := range users {
		chunk, low := ledger.Place(user)
		if chunks[chunk] == nil {
			chunks[chunk] = new(dense.Bitmap)
		}
		chunks[chunk].Set(low)
	}
	w.seq++
	f := &dense.Flush{Seq: w.seq, Ranges: []sharding.Range{{First: 1, Last: 1}}}
	for chunk, members := range chunks {
		f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: members, Count: members.Count()})
	}
	require.NoError(w, w.grants[campaign].Grant(w.Context(), f))
}

// act does something about a user of the first campaign, by Redis's clock.
func (w *world) act(at time.Time, act grant.Act, user grant.UserID) {
	w.Helper()
	w.redis.SetTime(at)
	w.seq++
	act.ID, act.Who, act.Via, act.Reason = strconv.FormatUint(w.seq, 10), "minji", "cli", "a test"
	results, err := ledger.NewActs(w.stores[0], 9).Do(w.Context(), []ledger.UserAct{{User: user, Act: act}}, false)
	require.NoError(w, err)
	require.NoError(w, results[0].Err)
}

// take takes an item of the first campaign, by its place in the spec.
func (w *world) take(at time.Time, item int, users ...grant.UserID) {
	w.Helper()
	w.redis.SetTime(at)
	if w.takes == nil {
		w.takes = ledger.NewTakes(w.stores[0], 9)
	}
	wishes := make([]ledger.Take, len(users))
	for i, user := range users {
		wishes[i] = ledger.Take{User: user, Item: item}
	}
	out, err := w.takes.Take(w.Context(), w.campaigns[0].Campaign, wishes)
	require.NoError(w, err)
	for i := range out {
		require.True(w, out[i].At.Equal(at), "%+v", out[i])
	}
}

// checker asks the world. Changes are to its configuration.
func (w *world) checker(changes ...func(*entitle.Config)) *entitle.Checker {
	cfg := entitle.Config{Campaigns: func(context.Context) ([]entitle.Campaign, error) { return w.campaigns, nil }}
	for _, change := range changes {
		change(&cfg)
	}
	return entitle.New(cfg)
}

// states asks about an item of some users in each way, which must agree.
func (w *world) states(c *entitle.Checker, item string, at time.Time, users ...grant.UserID) []grant.State {
	w.Helper()
	q := entitle.Query{Item: item, At: at}
	list, err := c.Many(w.Context(), q)
	require.NoError(w, err)
	out := make([]grant.State, len(users))
	require.NoError(w, list.Check(w.Context(), users, out))
	require.Equal(w, entitle.BasisLedger, list.Basis())
	for i, user := range users {
		q.User = user
		a, err := c.Check(w.Context(), q)
		require.NoError(w, err)
		require.Equal(w, a.State, out[i], "user %d, %s", user, at)
		require.Equal(w, entitle.BasisLedger, a.Basis)
		all, err := c.Holdings(w.Context(), q)
		require.NoError(w, err)
		held := slices.IndexFunc(all.Held, func(h entitle.Held) bool { return h.Item.ID == item && h.State == a.State })
		require.Equal(w, a.State != entitle.StateNone, held >= 0, "user %d, %s: %+v", user, at, all.Held)
	}
	return out
}

// counted counts what a ledger is asked, and can hold it up.
type counted struct {
	entitle.Ledger

	pipelines, extended, images atomic.Int64
	hold                        chan struct{} // nil: nobody is held up; else until it is closed
}

func (c *counted) Glances(ctx context.Context) *ledger.Glances {
	c.pipelines.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	return c.Ledger.Glances(ctx)
}

func (c *counted) Extend(ctx context.Context, chunk uint64, t *ledger.Times) error {
	c.extended.Add(1)
	return c.Ledger.Extend(ctx, chunk, t)
}

func (c *counted) Images(ctx context.Context, chunks []uint64, ask ledger.Ask) ([]ledger.Image, error) {
	c.images.Add(int64(len(chunks)))
	return c.Ledger.Images(ctx, chunks, ask)
}

// count puts a counter before the ledger of the only campaign.
func (w *world) count() *counted {
	c := &counted{Ledger: w.campaigns[0].Ledger}
	w.campaigns[0].Ledger = c
	return c
}
