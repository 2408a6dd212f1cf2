package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// offers is a campaign of which some items are taken, and most end.
func offers(ids grant.IDs) *grant.Campaign {
	c := aCampaign(ids)
	c.Items = []grant.Item{
		{ID: "for-good", Kind: grant.KindEmoticon},
		{ID: "from-grant", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 50 * time.Hour}},
		{ID: "taken", Kind: grant.KindEmoticon, Validity: grant.Validity{Length: 30 * time.Hour, Taken: true}},
		{ID: "first", Kind: grant.KindItem, Validity: grant.Validity{Days: 2, EndOfDay: true, Taken: true}, First: 25},
	}
	c.Zone = time.UTC
	return c
}

// life is a ledger of which the clock is moved.
type life struct {
	*world
	mini  *miniredis.Miniredis
	now   time.Time
	takes *ledger.Takes
	acts  *ledger.Acts
	done  int
}

func newLife(t *testing.T, ids grant.IDs) *life {
	t.Helper()
	const day = 24 * time.Hour // what ends with a day comes before or after what ends by the hour: it is always nine here
	l := &life{mini: miniredis.RunT(t), now: time.Now().UTC().Truncate(day).Add(-30*day + 9*time.Hour)}
	l.mini.SetTime(l.now)
	l.world = newWorldOf(t, l.mini.Addr(), offers(ids))
	l.takes, l.acts = ledger.NewTakes(l.store, 8), ledger.NewActs(l.store, 9)
	return l
}

func (l *life) pass(d time.Duration) {
	l.now = l.now.Add(d)
	l.mini.FastForward(d)
	l.mini.SetTime(l.now)
	l.begin() // the lease
}

func (l *life) take(user grant.UserID, item int) grant.Outcome {
	l.Helper()
	taken, err := l.takes.Take(l.Context(), l.campaign, []ledger.Take{{User: user, Item: item}})
	require.NoError(l, err)
	return taken[0].Outcome
}

// try does something about a user, where that is allowed.
func (l *life) try(user grant.UserID, a grant.Act) error {
	l.Helper()
	l.done++
	a.ID, a.Who, a.Via, a.Reason = fmt.Sprint("act-", l.done), "mira", "cli", "ticket 7"
	results, err := l.acts.Do(l.Context(), []ledger.UserAct{{User: user, Act: a}}, false)
	require.NoError(l, err)
	return results[0].Err
}

// postbox is a subscriber, and what has it get everything that there is.
func (l *life) postbox(name string) (*hook, func()) {
	l.Helper()
	h := newHook(l.TB.(*testing.T))
	return h, func() {
		l.Helper()
		l.pass(time.Millisecond) // what happens in this one has to wait
		l.once(h.target(l.TB.(*testing.T), 3), func(c *Config) { c.Name = name })
	}
}

// story is what each user's events say, in their order, as ID and time.
func story(h *hook) map[string][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string][]string{}
	for _, e := range h.order {
		out[e.Data.User] = append(out[e.Data.User], e.ID)
	}
	return out
}

func (h *hook) types(user grant.UserID) (out []string) {
	for _, e := range h.order {
		if e.Data.User == user.String() {
			says := strings.TrimPrefix(e.Type, TypePrefix)
			if e.Data.Item != "" {
				says += " " + e.Data.Item
			}
			out = append(out, says)
		}
	}
	return out
}

// first is the first event of a user and a type.
func (h *hook) first(user grant.UserID, is Type) event {
	return h.order[slices.IndexFunc(h.order, func(e event) bool {
		return e.Data.User == user.String() && e.Type == TypePrefix+string(is)
	})]
}

// Takes and ends come in the order in which they came to be, also where people changed the end.
func TestTakesAndEndsComeInOrder(t *testing.T) { onEachLayout(t, onTakesAndEndsComeInOrder) }

func onTakesAndEndsComeInOrder(t *testing.T, ids grant.IDs) {
	l := newLife(t, ids)
	h, publish := l.postbox("s")
	l.grant(l.span(1, 9)...)
	l.pass(time.Hour)
	require.Equal(t, grant.OutcomeTaken, l.take(l.id(1), 2))
	require.Equal(t, grant.OutcomeTaken, l.take(l.id(1), 3))
	require.NoError(
		t,
		l.try(l.id(2), grant.Act{Kind: grant.ActExtend, Item: "taken", Until: l.now.Add(300 * time.Hour)}),
	)
	l.pass(time.Millisecond)
	require.Equal(t, grant.OutcomeTaken, l.take(l.id(2), 2))
	require.NoError(
		t,
		l.try(l.id(3), grant.Act{Kind: grant.ActExtend, Item: "from-grant", Until: l.now.Add(80 * time.Hour)}),
	)
	require.NoError(t, l.try(l.id(4), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedMistake}))
	require.NoError(t, l.try(l.id(5), grant.Act{Kind: grant.ActExtend, Item: "for-good", Until: l.now.Add(-time.Hour)}))
	publish()
	taken := h.first(l.id(2), TypeTaken)
	require.WithinDuration(t, l.now.Add(300*time.Hour), *taken.Data.Items[0].ExpiresAt, time.Second, "it was changed before")
	taken = h.first(l.id(1), TypeTaken)
	require.WithinDuration(t, l.now.Add(30*time.Hour), *taken.Data.Items[0].ExpiresAt, time.Second)
	require.Len(t, taken.Data.Items, 1)
	require.NotContains(t, h.types(l.id(1)), "expired taken", "it has not come to that")

	l.pass(70 * time.Hour)
	require.NoError(t, l.try(l.id(4), grant.Act{Kind: grant.ActReinstate}))
	publish()
	require.Equal(t,
		[]string{"granted", "taken taken", "taken first", "expired taken", "expired first", "expired from-grant"},
		h.types(l.id(1)))
	require.Equal(t, []string{"granted", "extended taken", "taken taken", "expired from-grant"}, h.types(l.id(2)))
	require.Equal(t, []string{"granted", "extended from-grant"}, h.types(l.id(3)))
	require.Equal(t, []string{"granted", "revoked", "reinstated", "expired from-grant"}, h.types(l.id(4)),
		"not while it was revoked")
	require.Equal(t, []string{"granted", "extended for-good", "expired for-good", "expired from-grant"}, h.types(l.id(5)),
		"an end in the past is one at once")
	require.Equal(t, []string{"granted", "expired from-grant"}, h.types(l.id(9)))

	require.NoError(t, l.try(l.id(9), grant.Act{Kind: grant.ActExtend, Until: l.now.Add(time.Hour)}))
	l.pass(20 * time.Hour)
	publish()
	require.Equal(t, []string{"granted", "extended from-grant", "expired from-grant"}, h.types(l.id(3)))
	require.Equal(t,
		[]string{"granted", "expired from-grant", "extended", "expired for-good", "expired from-grant"}, h.types(l.id(9)))
	sent := len(h.requests)
	publish()
	require.Len(t, h.requests, sent, "nothing comes twice")
	require.Regexp(t, `^sorry-2022/(0|256)/expired/from-grant/\d{13}/[^/]+$`, h.first(l.id(9), TypeExpired).ID)
}

// Whenever it is published, the same comes, in the same order: what is in an event follows from what was until then.
func TestWhenItIsPublishedChangesNothing(t *testing.T) {
	onEachLayout(t, onWhenItIsPublishedChangesNothing)
}

func onWhenItIsPublishedChangesNothing(t *testing.T, ids grant.IDs) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	l := newLife(t, ids)
	often, publishOften := l.postbox("often")
	late, publishLate := l.postbox("late")
	users := []grant.UserID{
		l.id(3),
		l.id(4),
		l.id(5),
		l.id(6),
		l.id(70_000),
		l.id(70_001),
		l.id(70_002),
		l.id(99),
	}
	over := map[string]bool{} // user and item: it is expired
	ended := map[string]int{} // how often it came to be so
	look := func() {
		found, held, err := l.reader.Held(t.Context(), l.campaign, users)
		require.NoError(t, err)
		for i, user := range users {
			if found[i].Place != grant.PlaceGranted {
				continue
			}
			for _, e := range l.campaign.Entitlements(&held[i], l.now) {
				key := fmt.Sprint(user, " ", e.ID)
				if is := e.State == grant.StateExpired; is != over[key] {
					if over[key] = is; is {
						ended[key]++
					}
				}
			}
		}
	}
	l.grant(l.id(3), l.id(5), l.id(70_000), l.id(99))
	for range 40 {
		user := users[r.IntN(len(users))]
		l.pass(time.Millisecond) // nothing ends in the millisecond in which somebody does something
		look()
		switch r.IntN(8) {
		case 0:
			found, _, err := l.reader.Held(t.Context(), l.campaign, []grant.UserID{user})
			if require.NoError(t, err); found[0].Place == grant.PlaceNone {
				l.grant(user)
			}
		case 1, 2:
			l.take(user, 2+r.IntN(2))
		case 3:
			item := []string{"", "taken", "first", "from-grant", "for-good"}[r.IntN(5)]
			if r.IntN(2) == 0 {
				item = ""
			}
			until := l.now.Add(time.Duration(r.IntN(80)-30) * time.Hour)
			_ = l.try(user, grant.Act{Kind: grant.ActExtend, Item: item, Until: until})
		case 4:
			_ = l.try(user, grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedFraud})
		case 5:
			_ = l.try(user, grant.Act{Kind: grant.ActReinstate})
		case 6:
			_ = l.try(user, []grant.Act{{Kind: grant.ActExclude}, {Kind: grant.ActHand}, {Kind: grant.ActNote}}[r.IntN(3)])
		case 7:
			if r.IntN(2) == 0 {
				publishOften()
			}
		}
		look()
		for range 1 + r.IntN(4) { // hour by hour, so that nothing is over and extended unseen
			l.pass(time.Hour)
			look()
		}
	}
	l.pass(time.Second)
	publishOften()
	publishLate()
	require.Equal(t, story(late), story(often))
	count := map[string]int{}
	for _, e := range late.order {
		if e.Type == TypePrefix+"expired" {
			count[e.Data.User+" "+e.Data.Item]++
		}
	}
	require.Equal(t, ended, count, "each time that something ended")
}

// What is not wanted is not looked for; the compact form has what ends for many users in one record.
func TestEndsInTheCompactForm(t *testing.T) { onEachLayout(t, onEndsInTheCompactForm) }

func onEndsInTheCompactForm(t *testing.T, ids grant.IDs) {
	c := fakeKafka(t)
	l := newLife(t, ids)
	l.grant(l.span(100, 5000)...)
	send := func() {
		l.once(topicOf(t, c.ListenAddrs(), FormCompact), func(c *Config) { c.Only = []Type{TypeExpired} })
	}
	send()
	l.pass(51 * time.Hour)
	send() // as another process, which has to find out what may end of entries that were sent
	all := records(t, c.ListenAddrs())
	counted := 0
	for _, r := range all {
		require.Contains(t, string(r.Value), `"type":"granter.expired"`)
		var head batchHead
		require.NoError(t, json.NewDecoder(strings.NewReader(string(r.Value))).Decode(&head))
		require.Equal(t, "from-grant", head.Item)
		require.Empty(t, head.Items, "how it stands now is not said")
		require.Equal(t, counted, head.Begin)
		counted += head.Count
	}
	require.Equal(t, 5000, counted)
	if ids != grant.IDsString {
		require.Len(t, all, 1)
	}
}

// A quota is on another master than the grants, and its clock may be behind: whoever took was granted before.
func TestATakeNeverComesBeforeTheGrant(t *testing.T) {
	onEachLayout(t, onATakeNeverComesBeforeTheGrant)
}

func onATakeNeverComesBeforeTheGrant(t *testing.T, ids grant.IDs) {
	l := newLife(t, ids)
	h, publish := l.postbox("s")
	l.grant(l.span(1, 5)...)
	l.grant(l.span(6, 5)...)
	l.mini.SetTime(l.now.Add(-5 * time.Second))
	for _, n := range []uint64{7, 2} {
		require.Equal(t, grant.OutcomeTaken, l.take(l.id(n), 3))
	}
	publish()
	for _, n := range []uint64{7, 2} {
		require.Equal(t, []string{"granted", "taken first"}, h.types(l.id(n)))
	}
}

// between calls a function once, before the lengths of journals are asked.
type between struct{ do func() }

func (b *between) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		asks := cmds[0].Name() == "llen" && strings.HasSuffix(fmt.Sprint(cmds[0].Args()[1]), ":journal")
		if do := b.do; asks && do != nil {
			b.do = nil
			do()
		}
		return next(ctx, cmds)
	}
}

// A user takes an item and loses the grant while the publisher looks at the one list and has not looked at the other.
func TestWhatIsSeenHalfWaits(t *testing.T) { onEachLayout(t, onWhatIsSeenHalfWaits) }

func onWhatIsSeenHalfWaits(t *testing.T, ids grant.IDs) {
	l := newLife(t, ids)
	h, publish := l.postbox("s")
	l.grant(l.id(5))
	hook := &between{do: func() {
		l.pass(10 * time.Millisecond)
		require.Equal(t, grant.OutcomeTaken, l.take(l.id(5), 2))
		l.pass(10 * time.Millisecond)
		require.NoError(t, l.try(l.id(5), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedFraud}))
	}}
	l.client.AddHook(hook)
	publish()
	require.Nil(t, hook.do)
	require.Equal(t, []string{"granted"}, h.types(l.id(5)), "what follows is not known for sure")
	publish()
	require.Equal(t, []string{"granted", "taken taken", "revoked"}, h.types(l.id(5)))
}
