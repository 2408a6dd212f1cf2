package ledger

import (
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
)

// withholdsMembers sees to it that a run, and a fresh group that replays the topic, count who is excluded as withheld each time.
func withholdsMembers(w *world) {
	c := w.opaqueCampaign(grant.IDsUUID)
	a := w.actorOf(c)
	all := uuids(0, 50)
	a.done(a.act(grant.ActExclude), idsOf(all[3], all[4])...)
	p := w.hold(c)
	require.EqualValues(w, 48, p.adds(append(all, all[3])...))
	require.EqualValues(w, 3, p.withheld)
	a.done(a.act(grant.ActRevoke), idsOf(all[7])...)
	fresh := w.hold(c)
	require.Zero(w, fresh.adds(all...))
	require.EqualValues(w, 2, fresh.withheld)
	require.NotNil(w, p.userOf(all[7]).State.Revoked, "a replay gives nothing back")
	a.done(a.act(grant.ActReinstate), idsOf(all[3])...)
	require.Zero(w, fresh.adds(all...))
	require.EqualValues(w, 1, fresh.withheld)
	p.whole(49, 1)
}

// erasesWhyInBuckets is erasesWhy where IDs are not dense.
func erasesWhyInBuckets(w *world) {
	c := w.opaqueCampaign(grant.IDsUUID)
	p, a := w.hold(c), w.actorOf(c)
	bucket, ids := p.inOneBucket(10)
	p.adds(ids[:8]...)
	user, others, moved := idsOf(ids[3]), idsOf(ids[3], ids[4], ids[5]), idsOf(uuids(5000, 1)[0])
	shared := a.secretly(grant.ActNote)
	shared.Reason = "for a list"
	a.done(a.secretly(grant.ActNote), user...)
	a.done(shared, others...)
	a.done(a.secretly(grant.ActRevoke), user...)
	a.done(a.secretly(grant.ActReinstate), user...)
	move := a.secretly(grant.ActMove)
	move.To = &moved[0]
	a.done(move, user...)
	arrival := a.secretly(grant.ActHand)
	arrival.From, arrival.GrantedAt = &user[0], p.userOf(ids[3]).GrantedAt()
	a.done(arrival, moved...)
	known := func() []string {
		texts, err := w.client.LRange(w.ctx, p.keys.journal(bucket), 0, -1).Result()
		require.NoError(w, err)
		for i, text := range texts {
			texts[i] = WithoutWhy(text)
			require.Equal(w, texts[i], WithoutWhy(texts[i]))
		}
		return texts
	}
	before, marks := p.userOf(ids[3]), known()
	require.Len(w, before.State.Notes, 2)

	erase := a.act(grant.ActErase)
	erase.Reason = "request 88"
	dry, err := a.Do(w.ctx, []UserAct{{User: user[0], Act: erase}}, true)
	require.NoError(w, err)
	require.NoError(w, dry[0].Err)
	require.NotEmpty(w, w.secrets(), "a dry run erases nothing")
	told, err := a.ActsAbout(w.ctx, user[0])
	require.NoError(w, err)
	require.Len(w, told, 5)
	a.done(erase, user...)
	require.Empty(w, w.secrets())
	p.whole(9, 0)
	after := p.userOf(ids[3])
	require.Equal(w, before.GrantedAt(), after.GrantedAt())
	require.Equal(w, moved[0], *after.State.MovedTo)
	require.Empty(w, after.State.Notes)
	require.Equal(w, "request 88", after.State.Erased.Reason)
	require.Len(w, p.userOf(ids[4]).State.Notes, 1, "what was said of others, too, stays with them")
	require.Equal(w, marks, known()[:len(marks)], "to publishers the entries are the ones that they know")
	require.True(w, a.does(erase, user...)[0].Again)
	require.ErrorIs(w, a.does(a.act(grant.ActErase), user...)[0].Err, grant.ErrUnchanged)
	nothing := a.does(a.act(grant.ActErase), idsOf(ids[6])...)
	require.ErrorIs(w, nothing[0].Err, grant.ErrUnchanged, "nothing was ever said of them")
	texts, err := w.client.LRange(w.ctx, p.keys.journal(bucket), 0, -1).Result()
	require.NoError(w, err)
	erased, err := MemberErasuresIn(texts)
	require.NoError(w, err)
	require.Len(w, erased, 1)
	member, err := p.memberOf(user[0])
	require.NoError(w, err)
	asked, err := p.Reader.MemberErasures(w.ctx, bucket, [][]byte{member})
	require.NoError(w, err)
	require.Empty(w, asked.Told(member, &shared).Reason, "it was said before")

	require.EqualValues(w, 2, w.hold(c).adds(ids...), "a replay grants nobody again")
	p.whole(11, 0)
	a.done(a.act(grant.ActNote), user...)
	require.Len(w, p.userOf(ids[3]).State.Notes, 1, "what is said later is kept")
	a.done(a.act(grant.ActErase), user...)
	require.Empty(w, p.userOf(ids[3]).State.Notes)
	p.whole(11, 0)
}

// erasesWhyOfExcludedMembers is erasesWhyOfTheExcluded where IDs are not dense.
func erasesWhyOfExcludedMembers(w *world) {
	c := w.opaqueCampaign(grant.IDsString)
	p, a := w.hold(c), w.actorOf(c)
	a.done(a.secretly(grant.ActExclude), idsOf("민지")...)
	list := a.secretly(grant.ActExclude)
	list.Reason = "for a list"
	_, ids := p.inOneBucketOf(func(n int) string { return uuids(n, 1)[0] }, 2)
	a.done(list, idsOf(ids...)...)
	p.adds("Ada", "Grace")
	a.done(a.secretly(grant.ActRevoke), idsOf("Ada")...)
	for _, user := range idsOf("민지", ids[0], "Ada") {
		a.done(a.act(grant.ActErase), user)
	}
	require.Empty(w, w.secrets())
	require.Empty(w, p.userOf("민지").Settled.Act.Reason)
	require.Empty(w, p.userOf(ids[0]).Settled.Act.Reason, "it is in the entry of the list, and not told of this user")
	require.Equal(w, "for a list", p.userOf(ids[1]).Settled.Act.Reason)
	require.Equal(w, grant.RevokedErased, p.userOf("Ada").State.Revoked.Kind)
	require.Equal(w, grant.PlaceExcluded, p.userOf("민지").Place)
	p.whole(2, 3)
}
