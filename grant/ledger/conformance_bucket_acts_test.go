package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/opaque"
)

// whole checks that the ledger agrees with itself, and how many have the campaign and how many never will.
func (p *player) whole(granted, excluded int64) {
	p.w.Helper()
	proof, err := p.Prove(p.w.ctx)
	require.NoError(p.w, err)
	require.True(p.w, proof.Holds(), "%+v", proof)
	totals, err := p.Totals(p.w.ctx)
	require.NoError(p.w, err)
	require.Equal(p.w, [2]int64{granted, excluded}, [2]int64{proof.Granted, proof.Excluded})
	require.Equal(p.w, [2]int64{granted, excluded}, [2]int64{totals.Granted, totals.Excluded})
}

// userOf is what is known of a user.
func (p *player) userOf(id string) *User {
	p.w.Helper()
	user, err := p.Store.form.Parse(id)
	require.NoError(p.w, err)
	found, err := p.Users(p.w.ctx, []grant.UserID{user, user})
	require.NoError(p.w, err)
	require.Equal(p.w, found[0], found[1], "asked for twice")
	return &found[0]
}

func idsOf(texts ...string) (ids []grant.UserID) {
	for _, text := range texts {
		ids = append(ids, grant.TextID(text))
	}
	return ids
}

func actsInBuckets(w *world) {
	for _, ids := range []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64} {
		c := w.opaqueCampaign(ids)
		of := func(n int) string {
			return map[grant.IDs]string{
				grant.IDsUUID: uuids(n, 1)[0], grant.IDsString: fmt.Sprint("민지 ", n), grant.IDsInt64: fmt.Sprint(-n),
			}[ids]
		}
		var all []string
		for n := range 300 {
			all = append(all, of(n+1))
		}
		p, a := w.hold(c), w.actorOf(c)
		require.EqualValues(w, 100, p.adds(all[:100]...))
		granted := p.userOf(of(1)).GrantedAt()
		a.done(a.act(grant.ActRevoke), idsOf(of(1))...)
		require.NotNil(w, p.userOf(of(1)).State.Revoked)
		a.done(a.act(grant.ActReinstate), idsOf(of(1))...)
		u := p.userOf(of(1))
		require.Nil(w, u.State.Revoked)
		require.Equal(w, granted, u.GrantedAt(), "the first dates stay")

		until := a.act(grant.ActExtend)
		until.Item, until.Until = "thing", time.Date(2033, 5, 1, 0, 0, 0, 0, time.UTC)
		a.done(until, idsOf(all[1:60]...)...)
		end, ok := p.userOf(of(2)).State.End("thing")
		require.True(w, ok && end.Equal(until.Until))

		a.done(a.act(grant.ActHand), idsOf(of(150), of(151))...)
		u = p.userOf(of(150))
		require.Equal(w, EntryHand, u.Settled.Kind)
		require.Equal(w, "ticket 7", u.Settled.Act.Reason)
		require.Empty(w, u.State.Acts)

		a.done(a.act(grant.ActExclude), idsOf(of(160), of(161))...)
		require.Equal(w, grant.PlaceExcluded, p.userOf(of(160)).Place)
		a.done(a.act(grant.ActNote), idsOf(of(3), of(170))...) // also about somebody who has nothing
		require.Equal(w, grant.PlaceNone, p.userOf(of(170)).Place)
		require.Equal(w, "ticket 7", p.userOf(of(170)).State.Notes[0].Reason)
		p.whole(102, 2)
		require.EqualValues(w, 300-102-2, p.adds(all...), "a note keeps nobody from it, and an exclusion does")
		require.Zero(w, w.hold(c).adds(all...), "a fresh group replays the topic")
		p.whole(298, 2)
		a.done(a.act(grant.ActReinstate), idsOf(of(160))...) // that was wrong: the user gets it now
		u = p.userOf(of(160))
		require.Equal(w, grant.PlaceGranted, u.Place)
		require.Equal(w, EntryExclude, u.Settled.Kind)
		p.whole(299, 1)
		for _, r := range a.does(a.act(grant.ActHand), idsOf(of(1), of(150), of(200))...) {
			require.ErrorIs(w, r.Err, grant.ErrUnchanged)
		}
		require.ErrorIs(w, a.does(a.act(grant.ActExclude), idsOf(of(1))...)[0].Err, grant.ErrRefused)
		require.ErrorIs(w, a.does(a.act(grant.ActRevoke), idsOf(of(900))...)[0].Err, grant.ErrRefused)
		_, has, err := p.Lookup(w.ctx, grant.TextID(of(161)))
		require.NoError(w, err)
		require.False(w, has)
	}
	a := w.actorOf(w.opaqueCampaign(grant.IDsUUID))
	_, err := a.Do(w.ctx, []UserAct{{User: grant.NumberID(7), Act: a.act(grant.ActHand)}}, false)
	require.ErrorContains(w, err, "user 7: is no ID of opaque-uuid, whose source.id is uuid")
}

func actsOnceInBuckets(w *world) {
	c := w.opaqueCampaign(grant.IDsUUID)
	p := w.hold(c)
	p.adds(uuids(0, 100)...)
	for i, share := range []float64{0, 1} {
		a := w.actorOf(c)
		for n, kind := range []grant.ActKind{grant.ActHand, grant.ActExclude, grant.ActRevoke, grant.ActNote} {
			id := uuids(10*i+n, 1)[0]
			if kind == grant.ActHand || kind == grant.ActExclude {
				id = uuids(1000+10*i+n, 1)[0]
			}
			user, act, lost := grant.TextID(id), a.act(kind), 0
			a.fault.mu.Lock()
			a.fault.next = func(commands int) int { // a call of the script is alone, what looks is not
				if lost > 0 || commands > 1 {
					return -1
				}
				lost++
				return int(share)
			}
			a.fault.mu.Unlock()
			a.done(act, user)
			require.Equal(w, 1, lost)
			bucket, err := a.group(user)
			require.NoError(w, err)
			entries := w.client.LLen(w.ctx, a.keys.journal(bucket)).Val()
			a.done(act, user)
			w.actorOf(c).done(act, user)
			require.Equal(w, entries, w.client.LLen(w.ctx, a.keys.journal(bucket)).Val())
		}
	}
	p.whole(102, 2)
}

func rivalsInBuckets(w *world) {
	c := w.opaqueCampaign(grant.IDsUUID)
	p := w.hold(c)
	_, ids := p.inOneBucket(40)
	p.adds(ids[:10]...)
	var work errgroup.Group
	for n := range 4 {
		a := w.actorOf(c)
		work.Go(func() error {
			for range 5 {
				for _, kind := range []grant.ActKind{grant.ActNote, grant.ActRevoke, grant.ActReinstate} {
					if _, err := a.Do(w.ctx, []UserAct{{User: grant.TextID(ids[n%2]), Act: a.act(kind)}}, false); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	for n := 10; n < 40; n += 10 { // and a run grants in the same bucket
		require.EqualValues(w, 10, p.adds(ids[:n+10]...))
	}
	require.NoError(w, work.Wait())
	p.whole(40, 0)
	for n := range 2 {
		require.Len(w, p.userOf(ids[n]).State.Notes, 10)
	}
}

func mendsBuckets(w *world) {
	c := w.opaqueCampaign(grant.IDsString)
	p, a := w.hold(c), w.actorOf(c)
	bucket, ids := p.inOneBucketOf(func(n int) string { return fmt.Sprint("user ", n) }, 5)
	for _, id := range ids[:4] {
		p.adds(id)
	}
	a.done(a.act(grant.ActHand), idsOf(ids[4])...)
	key := p.keys.journal(bucket)
	first := p.userOf(ids[0])
	// An entry that has three of them once more, and one that repeats what was done by hand.
	e := Entry{Run: 9, Flush: 3}
	var members [][]byte
	for _, id := range ids[:3] {
		members = append(members, []byte(id))
	}
	slices.SortFunc(members, opaque.Compare)
	again, err := appendBucketGrant([]byte{3, 0, 0, 0, 0, 0, 1}, &e, 0, members)
	require.NoError(w, err)
	hand, err := w.client.LIndex(w.ctx, key, 4).Result()
	require.NoError(w, err)
	require.NoError(w, w.client.RPush(w.ctx, key, again, hand).Err())
	proof, err := p.Prove(w.ctx)
	require.NoError(w, err)
	require.False(w, proof.Holds())

	users := idsOf(append(ids, "nobody")...)
	for _, dry := range []bool{true, false} {
		mended, err := a.Mend(w.ctx, users, a.act(grant.ActHand), dry)
		require.NoError(w, err)
		for i, m := range mended {
			want := map[bool]string{true: MendedRepeat}[i < 3 || i == 4]
			require.Equal(w, want, m.What, ids[min(i, 4)])
			require.Equal(w, i == 5, m.Err != nil)
		}
	}
	p.whole(5, 0)
	require.LessOrEqual(w, int64(6), w.client.LLen(w.ctx, key).Val(), "notes say so")
	require.Equal(w, first.Settled, p.userOf(ids[0]).Settled)
	require.Contains(w, p.userOf(ids[4]).State.Notes[0].Reason, MendedRepeat)
}
