package ledger

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// conformanceOfActs is what every kind of Redis must do when people do something about single users.
func conformanceOfActs(t *testing.T, options Options) {
	for _, test := range []struct {
		name string
		run  func(*world)
	}{
		{"grants by hand, and never again", grantsByHand},
		{"withholds who is excluded, in every shape of a delta", withholdsTheExcluded},
		{"keeps who is revoked from every replay", keepsWhoIsRevoked},
		{"does each kind of act, and proves it", doesEachKindOfAct},
		{"does an act once, whatever is lost", doesAnActOnce},
		{"lets rivals do something about the same users", letsRivalsAct},
		{"looks up who is excluded meanwhile", looksUpWhoIsExcludedMeanwhile},
		{"grants by hand within the time, or after the end if that is asked", fencesHands},
		{"fixes the spec by the first act", actsFixTheSpec},
		{"finds what is wrong about acts", findsViolationsOfActs},
	} {
		t.Run("acts: "+test.name, func(t *testing.T) { test.run(newWorld(t, options)) })
	}
}

// actor is somebody at the command line.
type actor struct {
	*Acts
	w     *world
	fault *fault
	id    int
	// afterEnd is of the acts that it does.
	afterEnd bool
}

func (w *world) actor() *actor { return w.actorOf(w.campaign()) }

func (w *world) actorOf(c *grant.Campaign) *actor {
	w.Helper()
	a := &actor{w: w, fault: &fault{}}
	client := w.connect()
	client.AddHook(a.fault)
	s, err := Open(client, c, Config{RetryFor: 5 * time.Second})
	require.NoError(w, err)
	a.Acts = NewActs(s, grant.NewRunID(time.Now()))
	return a
}

// act makes an act with an ID of its own.
func (a *actor) act(kind grant.ActKind) grant.Act {
	a.id++
	return grant.Act{
		ID: a.grants.run.String() + "-" + strconv.Itoa(a.id), Kind: kind, Who: "mira", Via: "cli", Reason: "ticket 7",
		Revocation: map[bool]grant.RevocationKind{true: grant.RevokedFraud}[kind == grant.ActRevoke],
	}
}

// unasked does an act about a user of chunk 0, without the look at the time that comes before.
func (a *actor) unasked(act grant.Act, user grant.UserID) error {
	require.NoError(a.w, a.begin(a.w.ctx))
	defer a.end(a.w.ctx)
	act.At = a.w.now()
	c := chunkActs{Acts: a.Acts, acts: []UserAct{{User: user, Act: act}}, results: make([]ActResult, 1)}
	return c.do(a.w.ctx, []int{0}, false)
}

// does an act about some users, and returns what became of each.
func (a *actor) does(act grant.Act, users ...grant.UserID) []ActResult {
	a.w.Helper()
	acts := make([]UserAct, len(users))
	for i, user := range users {
		acts[i] = UserAct{User: user, Act: act, AfterEnd: a.afterEnd}
	}
	results, err := a.Do(a.w.ctx, acts, false)
	require.NoError(a.w, err)
	return results
}

func (a *actor) done(act grant.Act, users ...grant.UserID) {
	a.w.Helper()
	for i, r := range a.does(act, users...) {
		require.NoError(a.w, r.Err, "user %d", users[i])
	}
}

func users(chunk uint64, lows ...uint16) []grant.UserID {
	out := make([]grant.UserID, len(lows))
	for i, low := range lows {
		out[i] = grant.NumberID(dense.Join(chunk, low))
	}
	return out
}

// proven checks that the ledger is whole, and how many have the campaign and how many never will.
func (w *world) proven(granted, excluded int64) {
	w.Helper()
	l, err := open(w.client, w.campaign(), 0, Config{})
	require.NoError(w, err)
	proof, err := l.Prove(w.ctx)
	require.NoError(w, err)
	require.True(w, proof.Holds(), "%+v", proof)
	totals, err := l.Totals(w.ctx)
	require.NoError(w, err)
	require.Equal(w, [2]int64{granted, excluded}, [2]int64{proof.Granted, proof.Excluded})
	require.Equal(w, [2]int64{granted, excluded}, [2]int64{totals.Granted, totals.Excluded})
}

// user is what a reader of its own finds.
func (w *world) user(id grant.UserID) *User {
	w.Helper()
	l, err := open(w.client, w.campaign(), 0, Config{})
	require.NoError(w, err)
	found, err := l.Users(w.ctx, []grant.UserID{id})
	require.NoError(w, err)
	return &found[0]
}

func grantsByHand(w *world) {
	p, a := w.join(), w.actor()
	late := users(7, 3, 9)
	hand := a.act(grant.ActHand)
	before := w.now()
	a.done(hand, late...)
	u := w.user(late[1])
	require.Equal(w, grant.PlaceGranted, u.Place)
	require.Equal(w, EntryHand, u.Settled.Kind)
	require.Equal(w, "ticket 7", u.Settled.Act.Reason)
	require.Equal(w, "mira", u.Settled.Act.Who)
	require.False(w, u.GrantedAt().Before(before))
	require.Empty(w, u.State.Acts, "one key for each grant by hand would be a waste")
	f := p.grant(1, delta(7, span(0, 10, 1)))
	require.Equal(w, 8, f.Deltas[0].Count)
	require.True(w, same(bitmap(3, 9), f.Deltas[0].Duplicates))
	for _, r := range a.does(a.act(grant.ActHand), users(7, 3, 4)...) {
		require.ErrorIs(w, r.Err, grant.ErrUnchanged, "by hand, or by a run")
	}
	w.proven(10, 0)
}

func withholdsTheExcluded(w *world) {
	a := w.actor()
	for chunk, n := range map[uint64]int{1: 9, 2: 3000} { // offsets, and a bitmap
		a.done(a.act(grant.ActExclude), users(chunk, 2, 5)...)
		p, again := w.join(), w.join()
		f := p.grant(1, delta(chunk, span(0, n, 1)))
		require.Equal(w, n-2, f.Deltas[0].Count)
		require.True(w, same(bitmap(2, 5), f.Deltas[0].Withheld))
		require.Nil(w, f.Deltas[0].Duplicates)
		require.False(w, f.Deltas[0].Granted.Has(2))
		f = again.grant(1, delta(chunk, span(0, n, 1)))
		require.Zero(w, f.Deltas[0].Count)
		require.True(w, same(bitmap(2, 5), f.Deltas[0].Withheld))
		require.Equal(w, n-2, f.Deltas[0].Duplicates.Count())
		_, granted, err := p.Lookup(w.ctx, users(chunk, 5)[0])
		require.NoError(w, err)
		require.False(w, granted)
	}
	results := a.does(a.act(grant.ActExclude), users(1, 3, 2, 60000)...)
	require.ErrorIs(w, results[0].Err, grant.ErrRefused)
	require.ErrorContains(w, results[0].Err, "revoke")
	require.ErrorIs(w, results[1].Err, grant.ErrUnchanged)
	require.NoError(w, results[2].Err)
	w.proven(9+3000-4, 5)
}

func keepsWhoIsRevoked(w *world) {
	a := w.actor()
	w.join().grant(1, delta(7, span(0, 100, 1)))
	a.done(a.act(grant.ActRevoke), users(7, 3)...)
	for range 2 {
		f := w.join().grant(1, delta(7, span(0, 100, 1))) // a fresh group replays the topic
		require.Zero(w, f.Deltas[0].Count)
		require.True(w, f.Deltas[0].Duplicates.Has(3))
	}
	u := w.user(users(7, 3)[0])
	require.NotNil(w, u.State.Revoked)
	require.Equal(w, grant.RevokedFraud, u.State.Revoked.Kind)
	require.True(w, u.State.RevokedAt(w.now()))
	w.proven(100, 0)
}

func doesEachKindOfAct(w *world) {
	a := w.actor()
	w.join().grant(1, delta(7, span(0, 100, 1)))
	of := func(low uint16) grant.UserID { return users(7, low)[0] }
	granted := w.user(of(1)).GrantedAt()

	a.done(a.act(grant.ActRevoke), of(1))
	a.done(a.act(grant.ActReinstate), of(1))
	u := w.user(of(1))
	require.Nil(w, u.State.Revoked)
	require.Equal(w, granted, u.GrantedAt(), "the first dates stay")
	require.Len(w, u.State.Acts, 2)

	until := time.Date(2023, 5, 1, 0, 0, 0, 0, time.UTC)
	one, all := a.act(grant.ActExtend), a.act(grant.ActExtend)
	one.Item, one.Until, all.Until = "emoticon-a", until, until.Add(time.Hour)
	a.done(all, of(2))
	a.done(one, of(2))
	state := w.user(of(2)).State
	for item, want := range map[string]time.Time{"emoticon-a": until, "emoticon-b": until.Add(time.Hour)} {
		end, ok := state.End(item)
		require.True(w, ok && end.Equal(want), "%s ends at %s", item, end)
	}
	again := one
	again.ID = "again"
	require.ErrorIs(w, a.does(again, of(2))[0].Err, grant.ErrUnchanged)

	recall := a.act(grant.ActRecall)
	recall.Item = "emoticon-a"
	a.done(recall, of(3))
	require.Contains(w, w.user(of(3)).State.Recalled, "emoticon-a")

	a.done(a.act(grant.ActNote), of(3), users(9, 1)[0]) // also about somebody who has nothing
	require.Equal(w, "ticket 7", w.user(users(9, 1)[0]).State.Notes[0].Reason)
	require.Equal(w, grant.PlaceNone, w.user(users(9, 1)[0]).Place)

	a.done(a.act(grant.ActExclude), of(200))
	a.done(a.act(grant.ActReinstate), of(200)) // that was wrong: the user gets it now
	u = w.user(of(200))
	require.Equal(w, grant.PlaceGranted, u.Place)
	require.Equal(w, EntryExclude, u.Settled.Kind)
	require.False(w, u.GrantedAt().Before(u.Settled.At.Add(-time.Second)))
	user := of(300)
	for _, kind := range []grant.ActKind{grant.ActRevoke, grant.ActReinstate, grant.ActExtend, grant.ActRecall, grant.ActMove} {
		act := a.act(kind)
		act.Until, act.To = until, &user
		require.ErrorIs(w, a.does(act, user)[0].Err, grant.ErrRefused, "%s of somebody who has nothing", kind)
	}
	w.proven(101, 0)
}

// A lookup asks twice where acts were done: whoever is settled between the two is in an entry that the first did not count.
func looksUpWhoIsExcludedMeanwhile(w *world) {
	a := w.actor()
	a.done(a.act(grant.ActExclude), users(7, 1)...)
	reads, looked := 0, &meanwhile{}
	looked.after = func() {
		if reads++; reads == 1 {
			a.done(a.act(grant.ActExclude), users(7, 2)...)
		}
	}
	client := w.connect()
	client.AddHook(looked)
	l, err := open(client, w.campaign(), 0, Config{})
	require.NoError(w, err)
	found, err := l.Users(w.ctx, users(7, 2))
	require.NoError(w, err)
	require.Equal(w, grant.PlaceExcluded, found[0].Place)
	require.Equal(w, EntryExclude, found[0].Settled.Kind)
	require.Equal(w, 2, reads)
}

// meanwhile is a hook that does something after each pipeline of bits.
type meanwhile struct {
	redis.Hook

	after func()
}

func (m *meanwhile) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *meanwhile) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (m *meanwhile) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if cmds[0].Name() == "getbit" {
			m.after()
		}
		return err
	}
}

// Whatever is lost, the request or the reply, the act is done once, and so is the same act of a command that is started again.
func doesAnActOnce(w *world) {
	w.join().grant(1, delta(7, span(0, 100, 1)))
	for i, share := range []float64{0, 1} {
		a := w.actor()
		low := uint16(i * 10)
		for n, kind := range []grant.ActKind{grant.ActHand, grant.ActExclude, grant.ActRevoke, grant.ActNote} {
			user := users(7, low+uint16(n))[0]
			if kind == grant.ActHand || kind == grant.ActExclude {
				user = grant.NumberID(user.Number() + 1000)
			}
			act := a.act(kind)
			lost := 0
			a.fault.mu.Lock()
			a.fault.next = func(commands int) int { // a call of the act script is alone, what looks is not
				if lost > 0 || commands > 1 {
					return -1
				}
				lost++
				return int(share)
			}
			a.fault.mu.Unlock()
			a.done(act, user)
			require.Equal(w, 1, lost)
			entries, err := w.client.LLen(w.ctx, a.keys.journal(7)).Result()
			require.NoError(w, err)
			a.done(act, user)
			w.actor().done(act, user)
			after, err := w.client.LLen(w.ctx, a.keys.journal(7)).Result()
			require.NoError(w, err)
			require.Equal(w, entries, after)
		}
	}
	w.proven(102, 2)
}

func letsRivalsAct(w *world) {
	w.join().grant(1, delta(7, span(0, 100, 1)))
	var work errgroup.Group
	for range 4 {
		a := w.actor()
		work.Go(func() error {
			for range 5 {
				for _, kind := range []grant.ActKind{grant.ActNote, grant.ActRevoke, grant.ActReinstate} {
					act := a.act(kind)
					both := []UserAct{{User: users(7, 1)[0], Act: act}, {User: users(7, 2)[0], Act: act}}
					if _, err := a.Do(w.ctx, both, false); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	require.NoError(w, work.Wait())
	require.Len(w, w.user(users(7, 1)[0]).State.Notes, 20)
	w.proven(100, 0)
}

func fencesHands(w *world) {
	c := w.campaign()
	c.StartsAt, c.EndsAt = w.now().Add(-2*time.Hour), w.now().Add(-time.Hour)
	a := w.actorOf(c)
	_, err := a.Do(w.ctx, []UserAct{{User: grant.NumberID(7), Act: a.act(grant.ActHand)}}, false)
	require.ErrorIs(w, err, grant.ErrEnded)
	require.ErrorIs(w, a.unasked(a.act(grant.ActHand), grant.NumberID(7)), grant.ErrEnded, "the script has the last word")
	require.Equal(w, grant.PlaceNone, w.user(grant.NumberID(7)).Place)
	a.done(a.act(grant.ActExclude), grant.NumberID(8)) // in time or not
	a.afterEnd = true
	a.done(a.act(grant.ActHand), grant.NumberID(7))

	c.Name, c.StartsAt, c.EndsAt = "early", w.now().Add(time.Hour), time.Time{}
	early := w.actorOf(c)
	_, err = early.Do(w.ctx, []UserAct{{User: grant.NumberID(7), Act: early.act(grant.ActHand)}}, false)
	var notYet *grant.EarlyError
	require.ErrorAs(w, err, &notYet)
	require.ErrorAs(w, early.unasked(early.act(grant.ActHand), grant.NumberID(7)), &notYet)
	early.done(early.act(grant.ActExclude), grant.NumberID(7))
}

func actsFixTheSpec(w *world) {
	a := w.actor()
	results, err := a.Do(w.ctx, []UserAct{{User: grant.NumberID(7), Act: a.act(grant.ActExclude)}}, true)
	require.NoError(w, err)
	require.NoError(w, results[0].Err)
	require.Empty(w, w.snapshot(), "a dry run writes nothing")
	a.done(a.act(grant.ActExclude), grant.NumberID(7))
	other := w.campaign()
	other.Hash = "bb22"
	p := w.play(other, time.Second)
	var conflict *SpecConflictError
	require.ErrorAs(w, p.EnsureSpec(w.ctx, other), &conflict)
	b := w.actorOf(other)
	_, err = b.Do(w.ctx, []UserAct{{User: grant.NumberID(7), Act: b.act(grant.ActNote)}}, false)
	require.ErrorAs(w, err, &conflict)
	// As if a sleeper's lease had lapsed.
	require.NoError(w, w.client.HSet(w.ctx, a.keys.chunk(5, "").calls, "spec", "bb22").Err())
	_, err = a.Do(w.ctx, []UserAct{{User: users(5, 1)[0], Act: a.act(grant.ActHand)}}, false)
	require.ErrorAs(w, err, &conflict)
	require.NoError(w, w.client.Del(w.ctx, a.keys.chunk(5, "").calls).Err())
	require.NoError(w, w.play(w.campaign(), time.Second).EnsureSpec(w.ctx, w.campaign()), "the lease is given back")
	w.proven(0, 1)
}

func findsViolationsOfActs(w *world) {
	a := w.actor()
	w.join().grant(1, delta(1, span(0, 10, 1)), delta(2, span(0, 10, 1)), delta(3, span(0, 10, 1)), delta(4, span(0, 10, 1)))
	for chunk := range uint64(5) {
		a.done(a.act(grant.ActNote), users(chunk, 3)...)
	}
	a.done(a.act(grant.ActExclude), users(1, 77)...)
	a.done(a.act(grant.ActRevoke), users(4, 3)...)
	do := func(err error) { w.Helper(); require.NoError(w, err) }
	do(w.client.SetBit(w.ctx, a.keys.excluded(1), 77, 0).Err())
	do(w.client.SetBit(w.ctx, a.keys.excluded(2), 5, 1).Err())
	do(w.client.HSet(w.ctx, a.keys.chunk(3, "").state, "9", `{"acts":["x"]}`).Err())
	state := a.keys.chunk(4, "").state
	text, err := w.client.HGet(w.ctx, state, "3").Result()
	do(err)
	do(w.client.HSet(w.ctx, state, "3", text[:len(text)-1]+" }").Err())
	last := w.client.LIndex(w.ctx, a.keys.journal(4), -1).Val()
	do(w.client.RPush(w.ctx, a.keys.journal(4), last).Err()) // revoked twice
	l, err := open(w.client, w.campaign(), 0, Config{})
	require.NoError(w, err)
	proof, err := l.Prove(w.ctx)
	require.NoError(w, err)
	require.False(w, proof.Holds())
	found := map[string]string{}
	for _, v := range proof.Violations {
		found[v.Where] += v.What + "\n"
	}
	require.Contains(w, found["chunk 1"], "1 users are in an entry but not excluded, the first is 65613")
	require.Contains(w, found["chunk 2"], "1 users are excluded but in no entry, the first is 131077")
	require.Contains(w, found["chunk 3"], "the journal has no act about that user")
	require.Contains(w, found["chunk 4"], "the journal makes it")
	require.Contains(w, found["chunk 4"], "entry 3: revoke of user 262147")
	require.NotContains(w, found, "chunk 0")
}
