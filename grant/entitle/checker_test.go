package entitle_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/ledger"
)

const (
	none, active, expired = entitle.StateNone, grant.StateActive, grant.StateExpired
	days90                = 90 * 24 * time.Hour
)

func TestAnItemEndsForEachUserAtItsOwnMoment(t *testing.T) {
	w := newWorld(t, sorry())
	w.grant("sorry-2022", began, grant.NumberIDs(1, 2)...)
	w.grant("sorry-2022", began.Add(time.Hour), grant.NumberIDs(3, 1<<16)...)
	seen := w.count()
	for _, c := range []struct {
		at   time.Time
		want []grant.State // of users 1, 3, 1<<16, 4
	}{
		{began.Add(-time.Millisecond), []grant.State{none, none, none, none}},
		{began, []grant.State{active, none, none, none}},
		{began.Add(time.Hour), []grant.State{active, active, active, none}},
		{began.Add(days90 - time.Millisecond), []grant.State{active, active, active, none}},
		{began.Add(days90), []grant.State{expired, active, active, none}},
		{began.Add(days90 + time.Hour - time.Millisecond), []grant.State{expired, active, active, none}},
		{began.Add(days90 + time.Hour), []grant.State{expired, expired, expired, none}},
	} {
		checker := w.checker()
		require.Equal(t, c.want, w.states(checker, "cheer-up", c.at, grant.NumberIDs(1, 3, 1<<16, 4)...), "%s", c.at)
		require.Equal(t, c.at.Before(began), w.states(checker, "thank-you", c.at, grant.NumberID(1))[0] == none, "%s", c.at)
	}
	require.Positive(t, seen.extended.Load())
}

func TestBoundsDecideWithoutTheJournal(t *testing.T) {
	w := newWorld(t, sorry())
	w.grant("sorry-2022", began, grant.NumberIDs(1, 2)...)
	w.grant("sorry-2022", began.Add(time.Hour), grant.NumberID(3))
	seen := w.count()
	checker := w.checker()
	for _, at := range []time.Time{began.Add(2 * time.Hour), began.Add(days90 - 1), began.Add(days90 + 2*time.Hour)} {
		for _, item := range []string{"thank-you", "cheer-up"} {
			_, err := checker.Check(t.Context(), entitle.Query{User: grant.NumberID(3), Item: item, At: at})
			require.NoError(t, err)
		}
	}
	require.Zero(t, seen.extended.Load())
	a, err := checker.Check(t.Context(), entitle.Query{User: grant.NumberID(3), Item: "cheer-up",
		At: began.Add(days90 + time.Minute)})
	require.NoError(t, err)
	require.Equal(t, active, a.State)
	require.EqualValues(t, 1, seen.extended.Load(), "two entries, and the moment is between")
	_, err = checker.Check(t.Context(), entitle.Query{User: grant.NumberID(1), Item: "cheer-up",
		At: began.Add(days90 + time.Minute)})
	require.NoError(t, err)
	require.EqualValues(t, 1, seen.extended.Load(), "an entry never changes")
}

// What was known of a chunk before it grew said that nobody in it is granted later than then.
func TestWhoIsGrantedIsSeenByTheNextCheck(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	w := newWorld(t, sorry())
	checker := w.checker()
	w.grant("sorry-2022", now.Add(-days90-time.Hour), grant.NumberID(1))
	require.Equal(t, []grant.State{expired, none}, w.states(checker, "cheer-up", time.Time{}, grant.NumberIDs(1, 2)...))
	w.grant("sorry-2022", now.Add(-time.Hour), grant.NumberID(2))
	require.Equal(t, []grant.State{expired, active}, w.states(checker, "cheer-up", time.Time{}, grant.NumberIDs(1, 2)...))
	w.grant("sorry-2022", now.Add(time.Hour), grant.NumberID(3)) // by a Redis whose clock is ahead
	require.Equal(t, []grant.State{expired, active, active}, w.states(checker, "cheer-up", time.Time{}, grant.NumberIDs(1, 2,
		3)...))
}

func TestSeveralCampaignsHaveAnItem(t *testing.T) {
	again := sorry()
	again.Name, again.Hash, again.Items = "again", "1b1b1b1b1b1b1b1b", again.Items[1:]
	w := newWorld(t, sorry(), again)
	w.grant("sorry-2022", began, grant.NumberIDs(1, 2)...)
	w.grant("again", began.Add(days90), grant.NumberID(1))
	checker, at := w.checker(), began.Add(days90+time.Hour)
	require.Equal(t, []grant.State{active, expired}, w.states(checker, "cheer-up", at, grant.NumberIDs(1, 2)...))
	a, err := checker.Check(t.Context(), entitle.Query{User: grant.NumberID(1), Item: "cheer-up", At: at})
	require.NoError(t, err)
	require.Equal(t, "again", a.Campaign)
	q := entitle.Query{User: grant.NumberID(1), Item: "cheer-up", At: at, In: func(c string) bool { return c != "again" }}
	a, err = checker.Check(t.Context(), q)
	require.NoError(t, err)
	want := entitle.Answer{
		User: q.User, Campaign: "sorry-2022", Item: "cheer-up", State: expired, At: at, Basis: entitle.BasisLedger,
	}
	require.Equal(t, want, a)
	_, err = checker.Check(t.Context(), entitle.Query{Item: "thank-you", In: func(c string) bool { return c == "again" }})
	require.ErrorIs(t, err, entitle.ErrNoItem)
	_, err = checker.Many(t.Context(), entitle.Query{Item: "none"})
	require.ErrorIs(t, err, entitle.ErrNoItem)
	w.campaigns[1].Broken = ledger.ErrInconsistent
	checker = w.checker()
	_, err = checker.Check(t.Context(), entitle.Query{Item: "other"})
	require.ErrorIs(t, err, ledger.ErrInconsistent, "it may be one of the campaign that cannot be read")
	all, err := checker.Holdings(t.Context(), entitle.Query{User: grant.NumberID(1), At: at})
	require.NoError(t, err)
	require.Equal(t, []string{"again"}, all.Unreadable)
	require.Len(t, all.Held, 2)
	require.Equal(t, began.Add(days90), all.Held[1].Expires)
}

// Those who ask while pipelines are under way go together in the next.
func TestQuestionsSharePipelines(t *testing.T) {
	w := newWorld(t, sorry())
	w.grant("sorry-2022", began, grant.NumberIDs(1, 2, 3)...)
	seen := w.count()
	checker := w.checker()
	_, err := checker.Check(t.Context(), entitle.Query{Item: "thank-you"})
	require.NoError(t, err)
	seen.pipelines.Store(0)
	seen.hold = make(chan struct{})
	var all errgroup.Group
	var asked sync.WaitGroup
	const users = 1000
	for user := range uint64(users) {
		asked.Add(1)
		all.Go(func() error {
			asked.Done()
			a, err := checker.Check(t.Context(), entitle.Query{User: grant.NumberID(user), Item: "thank-you"})
			if err == nil && a.Active() != (user >= 1 && user <= 3) {
				return errors.New("another's answer")
			}
			return err
		})
	}
	asked.Wait()
	require.Eventually(t, func() bool { return seen.pipelines.Load() >= 2 }, 10*time.Second, time.Millisecond)
	close(seen.hold)
	require.NoError(t, all.Wait())
	require.Less(t, seen.pipelines.Load(), int64(users/4))
}

// A list and single checks agree with the journal, whatever was granted when.
func TestEveryWayToAskAgreesWithTheJournal(t *testing.T) {
	w, first := newWorld(t, sorry()), 0
	rapid.Check(t, func(r *rapid.T) {
		first += 4 // chunks of its own: a Redis for each time takes longer than all else
		var users []grant.UserID
		taken := map[grant.UserID]bool{}
		at := began
		for range rapid.IntRange(1, 4).Draw(r, "flushes") {
			var members []grant.UserID
			for range rapid.IntRange(1, 10).Draw(r, "users") {
				chunk, low := rapid.IntRange(0, 2).Draw(r, "chunk"), rapid.IntRange(0, 12).Draw(r, "low")
				user := grant.NumberID(uint64((first+chunk)<<16 + low))
				if !taken[user] {
					taken[user] = true
					members = append(members, user)
				}
			}
			at = at.Add(time.Duration(rapid.IntRange(0, 3).Draw(r, "hours")) * time.Hour)
			if len(members) > 0 {
				w.grant("sorry-2022", at, members...)
			}
			users = append(users, members...)
		}
		users = append(users, grant.NumberIDs(uint64(first<<16+100), uint64((first+3)<<16))...)
		checker := w.checker()
		asked := began.Add(days90 + time.Duration(rapid.IntRange(-1, 14).Draw(r, "asked"))*time.Hour)
		got := w.states(checker, "cheer-up", asked, users...)
		for i, user := range users {
			want := none
			if g, ok, err := w.readers["sorry-2022"].Lookup(t.Context(), user); ok {
				require.NoError(t, err)
				want = active
				if !asked.Before(g.At.Add(days90)) {
					want = expired
				}
			}
			require.Equal(t, want, got[i], "user %d", user)
		}
	})
}

// What people do about a user counts for the next check, whichever way it asks.
func TestActsCountForTheNextCheck(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	w := newWorld(t, sorry())
	w.grant("sorry-2022", now.Add(-days90-time.Hour), grant.NumberIDs(1, 2, 3, 4, 5, 6, 7, 8, 9)...)
	checker := w.checker()
	require.Equal(t, []grant.State{active, active, none}, w.states(checker, "thank-you", time.Time{}, grant.NumberIDs(1, 2,
		10)...))
	w.act(now.Add(time.Hour), grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedFraud},
		grant.NumberID(1)) // by a clock that is ahead
	w.act(now, grant.Act{Kind: grant.ActExtend, Item: "cheer-up", Until: now.Add(time.Hour)}, grant.NumberID(2))
	w.act(now, grant.Act{Kind: grant.ActExclude}, grant.NumberID(10))
	w.act(now, grant.Act{Kind: grant.ActHand}, grant.NumberID(11))
	users := grant.NumberIDs(1, 2, 3, 10, 11, 12)
	require.Equal(t, []grant.State{grant.StateRevoked, active, active, none, active, none},
		w.states(checker, "thank-you", time.Time{}, users...))
	require.Equal(t, []grant.State{grant.StateExpired, active, expired, none, active, none},
		w.states(checker, "cheer-up", time.Time{}, users...))
	require.Equal(t, []grant.State{grant.StateExpired, expired, expired, none, active, none},
		w.states(checker, "cheer-up", now.Add(2*time.Hour), users...))
	w.act(now.Add(time.Hour), grant.Act{Kind: grant.ActReinstate}, grant.NumberID(1))
	require.Equal(t, []grant.State{active}, w.states(checker, "thank-you", time.Time{}, grant.NumberID(1)))
}

// An item that users take is theirs from their own taking, and ends for each at its own moment.
func TestTakesCountForTheNextCheck(t *testing.T) {
	offer := sorry()
	offer.Items = append(offer.Items,
		grant.Item{ID: "take-me", Kind: grant.KindItem, TakeUntil: began.Add(48 * time.Hour),
			Validity: grant.Validity{Length: days90, Taken: true}},
		grant.Item{ID: "keep-me", Kind: grant.KindItem, Validity: grant.Validity{Taken: true}},
		grant.Item{ID: "first-two", Kind: grant.KindItem, First: 2, Validity: grant.Validity{Taken: true}})
	w := newWorld(t, offer)
	users := grant.NumberIDs(1, 2, 3, 4, 5, 6, 7, 8, 9)
	w.grant("sorry-2022", began, users...)
	checker := w.checker()
	in := func(item string, at time.Time) []grant.State {
		return w.states(checker, item, at, grant.NumberIDs(1, 2, 3, 10, 3, 3, 3, 3, 3,
			3)...)[:4] // enough for a list to read the chunk whole
	}
	offered, lapsed := grant.StateOffered, grant.StateLapsed
	require.Equal(t, []grant.State{offered, offered, offered, none}, in("take-me", began.Add(time.Minute)))
	w.take(began.Add(time.Hour), 2, grant.NumberID(1))
	w.take(began.Add(2*time.Hour), 2, grant.NumberID(2))
	w.take(began.Add(2*time.Hour), 3, grant.NumberID(1))
	require.Equal(t, []grant.State{active, offered, offered, none}, in("take-me", began.Add(time.Hour)))
	require.Equal(t, []grant.State{active, active, lapsed, none}, in("take-me", began.Add(days90)))
	require.Equal(t, []grant.State{expired, active, lapsed, none}, in("take-me", began.Add(days90+time.Hour)))
	require.Equal(t, []grant.State{expired, expired, lapsed, none}, in("take-me", time.Time{}))
	require.Equal(t, []grant.State{active, offered, offered, none}, in("keep-me", time.Time{}))
	w.take(began.Add(time.Hour), 4, grant.NumberID(1))
	require.Equal(t, []grant.State{active, offered, offered, none}, in("first-two", time.Time{}))
	w.take(began.Add(time.Hour), 4, grant.NumberID(2))
	require.Equal(t, []grant.State{active, active, grant.StateExhausted, none}, in("first-two", time.Time{}))
}

// Whoever took an item in a call of many has it from then on, though no time is kept for each of them.
func TestWhoTookAnItemAmongManyHasItFromThenOn(t *testing.T) {
	offer := sorry()
	offer.Items = append(offer.Items, grant.Item{
		ID: "take-me", Kind: grant.KindItem, Validity: grant.Validity{Length: days90, Taken: true},
	})
	w := newWorld(t, offer)
	var crowd, others []grant.UserID
	for n := range uint64(400) {
		crowd, others = append(crowd, grant.NumberID(2*n)), append(others, grant.NumberID(2*n+1))
	}
	w.grant("sorry-2022", began, append(crowd, others...)...)
	checker := w.checker()
	in := func(at time.Time) []grant.State {
		return w.states(checker, "take-me", at, grant.NumberIDs(0, 1, 2, 3, 798, 799, 5000, 5001, 5002, 5003)...)[:7]
	}
	offered := grant.StateOffered
	w.take(began.Add(time.Hour), 2, crowd...)
	require.Equal(t, []grant.State{active, offered, active, offered, active, offered, none}, in(began.Add(2*time.Hour)))
	w.take(began.Add(3*time.Hour), 2, others[:300]...)
	require.Equal(t, []grant.State{active, active, active, active, active, offered, none}, in(began.Add(days90)))
	require.Equal(t, []grant.State{expired, active, expired, active, expired, offered, none}, in(began.Add(days90+2*time.Hour)))
	require.Equal(t, []grant.State{expired, expired, expired, expired, expired, offered, none}, in(began.Add(days90+4*time.Hour)))
}

func TestACampaignThatBeginsIsKnown(t *testing.T) {
	w := newWorld(t)
	asked := 0
	checker := w.checker(func(cfg *entitle.Config) {
		cfg.Campaigns = func(context.Context) ([]entitle.Campaign, error) { asked++; return w.campaigns, nil }
	})
	for range 3 {
		_, err := checker.Check(t.Context(), entitle.Query{Item: "thank-you"})
		require.ErrorIs(t, err, entitle.ErrNoItem)
	}
	require.Equal(t, 1, asked)
	other := newWorld(t, sorry())
	w.campaigns = other.campaigns
	require.Eventually(t, func() bool {
		_, err := checker.Check(t.Context(), entitle.Query{Item: "thank-you"})
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
}

// Whatever the vocabulary knows has a code in lists.
func TestEveryStateHasACode(t *testing.T) {
	require.Subset(t, entitle.States(), grant.States())
}

// An item that users take is held by nobody who has not.
func TestAnOfferIsNotHeld(t *testing.T) {
	offer := sorry()
	offer.Items = append(offer.Items, grant.Item{
		ID: "take-me", Kind: grant.KindItem, TakeUntil: began.Add(time.Hour),
		Validity: grant.Validity{Days: 90, EndOfDay: true, Taken: true},
	})
	w := newWorld(t, offer)
	w.grant("sorry-2022", began, grant.NumberID(1))
	checker := w.checker()
	require.Equal(t, []grant.State{grant.StateOffered, none}, w.states(checker, "take-me", began.Add(time.Minute),
		grant.NumberIDs(1, 2)...))
	require.Equal(t, []grant.State{grant.StateLapsed, none}, w.states(checker, "take-me", time.Time{}, grant.NumberIDs(1, 2)...))
}
