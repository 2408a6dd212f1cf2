package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/opaque"
)

var bucketTakes = []conforms{
	{"buckets: has users of every kind of ID take what they were offered, once", takesOfMembers},
	{"buckets: looks again at who may take, where others grant or act meanwhile", looksAgainAtMembers},
	{"buckets: reads a bucket once for all who take", takesByWhatIsKnown},
	{"buckets: takes no beginning of an ID for the ID", tellsBeginningsOfIDs},
	{"buckets: judges users again who were judged long ago", judgesMembersAgain},
	{"buckets: finds what is wrong with takes", findsWrongMemberTakes},
}

// offered is a campaign of offers, of IDs that are not dense, that was granted to some users.
func (w *world) offered(ids grant.IDs, users ...string) (*player, *Takes) {
	w.Helper()
	c := w.opaqueCampaign(ids)
	c.Items = w.offers(time.Now().Add(time.Hour)).Items
	p := w.hold(c)
	require.EqualValues(w, len(users), p.adds(users...))
	return p, NewTakes(p.Store, 7)
}

func takesOfMembers(w *world) {
	for ids, some := range map[grant.IDs][]string{
		grant.IDsUUID: uuids(0, 1500), grant.IDsInt64: {"-9223372036854775808", "-1", "0", "7", "9223372036854775807"},
		grant.IDsString: {"minji@example.com", "민지", "7", " 7", "x"},
	} {
		w.flush()
		p, t := w.offered(ids, some...)
		var wishes []Take
		for _, id := range some {
			user, err := p.Store.form.Parse(id)
			require.NoError(w, err)
			wishes = append(wishes, Take{user, itemTaken}, Take{user, itemTimed})
		}
		wishes = append(wishes, wishes[0], Take{grant.TextID("nobody, in no form"), itemTaken})
		got, err := t.Take(w.ctx, p.campaign, wishes)
		require.NoError(w, err)
		n := len(some) * 2
		for i := range n {
			require.Equal(w, grant.OutcomeTaken, got[i].Outcome, "%v", wishes[i])
		}
		require.Equal(w, Taken{grant.OutcomeAlready, got[0].At}, got[n], "the same twice in one batch")
		require.Equal(w, Taken{Outcome: grant.OutcomeNotGranted}, got[n+1])
		require.EqualValues(w, n, w.whole(p))
		again, err := NewTakes(w.play(p.campaign, time.Second).Store, 8).Take(w.ctx, p.campaign, wishes[:n])
		require.NoError(w, err)
		for i := range n {
			require.Equal(w, Taken{grant.OutcomeAlready, got[i].At}, again[i])
		}
		found, held, err := p.Held(w.ctx, p.campaign, []grant.UserID{wishes[0].User, grant.TextID("nobody")})
		require.NoError(w, err)
		require.Equal(w, []time.Time{{}, got[0].At, got[1].At, {}}, held[0].TakenAt)
		require.Equal(w, grant.PlaceNone, found[1].Place)
		counts, err := p.Taken(w.ctx, p.campaign)
		require.NoError(w, err)
		all := int64(len(some))
		require.Equal(w, []ItemTaken{{"taken", all, 0}, {"timed", all, 0}, {"first", 0, someFirst}}, counts)
	}
}

// meanwhile does something once, in front of the n-th pipeline from now on.
func (p *player) meanwhile(n int, do func()) {
	p.fault.mu.Lock()
	defer p.fault.mu.Unlock()
	p.fault.next = func(int) int {
		if n--; n == 0 {
			p.fault.mu.Unlock()
			do()
			p.fault.mu.Lock()
		}
		return -1
	}
}

func looksAgainAtMembers(w *world) {
	for _, item := range []int{itemTaken, itemFirst} {
		w.flush()
		p, t := w.offered(grant.IDsUUID)
		bucket, ids := p.inOneBucket(8)
		p.adds(ids[:4]...)
		a, run := w.actorOf(p.campaign), w.hold(p.campaign)
		user := func(n int) Take { return Take{grant.TextID(ids[n]), item} }
		p.meanwhile(3, func() { run.adds(ids[:6]...) }) // a run grants others of the bucket
		got, err := t.Take(w.ctx, p.campaign, []Take{user(0), user(6)})
		require.NoError(w, err)
		require.Equal(w, []grant.Outcome{grant.OutcomeTaken, grant.OutcomeNotGranted}, outcomes(got))
		p.meanwhile(2, func() { a.done(a.act(grant.ActRevoke), idsOf(ids[1])...) })
		got, err = t.Take(w.ctx, p.campaign, []Take{user(0), user(1), user(2)})
		p.fault.never()
		require.NoError(w, err)
		require.Equal(w, []grant.Outcome{grant.OutcomeAlready, grant.OutcomeRevoked, grant.OutcomeTaken}, outcomes(got))
		p.meanwhile(2, func() { w.takes(p, user(3)) }) // another process was faster
		got, err = t.Take(w.ctx, p.campaign, []Take{user(3), user(4)})
		p.fault.never()
		require.NoError(w, err)
		require.Equal(w, []grant.Outcome{grant.OutcomeAlready, grant.OutcomeTaken}, outcomes(got))
		require.NotZero(w, got[0].At)
		require.EqualValues(w, 4, w.whole(p))
		base := p.takeKeys(p.campaign, bucket, item)
		require.EqualValues(w, 4, w.client.LLen(w.ctx, base.list).Val(), "an entry for each call that changed something")
	}
}

// Two users may have one fingerprint, and the ID of one may be the beginning of the other's: nobody takes what the other one was
// granted.
func tellsBeginningsOfIDs(w *world) {
	p, t := w.offered(grant.IDsString)
	bucket, ids := p.inOneBucketOf(func(n int) string { return strings.TrimSuffix("minji"+strconv.Itoa(n), "0") }, 2)
	require.True(w, strings.HasPrefix(ids[1], ids[0]))
	p.adds(ids[1])
	take := func(id string) grant.Outcome {
		got, err := t.Take(w.ctx, p.campaign, []Take{{grant.TextID(id), itemTaken}})
		require.NoError(w, err)
		return got[0].Outcome
	}
	require.Equal(w, grant.OutcomeTaken, take(ids[1]))
	at := t.reader.indexes.of(t.reader.indexKey(bucket))
	known := *at.now.Load()
	require.Len(w, known.prints, 1)
	known.prints = []uint32{p.layout.Print(opaque.Hash([]byte(ids[0])))}
	at.now.Store(&known)
	require.Equal(w, grant.OutcomeNotGranted, take(ids[0]))
	w.whole(p)
}

func takesByWhatIsKnown(w *world) {
	p, t := w.offered(grant.IDsUUID)
	bucket, ids := p.inOneBucket(14)
	p.adds(ids[:6]...)
	a := w.actorOf(p.campaign)
	a.done(a.act(grant.ActHand), idsOf(ids[6])...)
	a.done(a.secretly(grant.ActExclude), idsOf(ids[7])...)
	take := func(n int) grant.Outcome {
		w.Helper()
		got, err := t.Take(w.ctx, p.campaign, []Take{{grant.TextID(ids[n]), itemTaken}})
		require.NoError(w, err)
		return got[0].Outcome
	}
	takeAll := func(want map[int]grant.Outcome) {
		w.Helper()
		for n, outcome := range want {
			require.Equal(w, outcome, take(n), n)
		}
	}
	take(0)
	read := p.fault.reads()
	takeAll(map[int]grant.Outcome{0: grant.OutcomeAlready, 1: grant.OutcomeTaken, 6: grant.OutcomeTaken})
	takeAll(map[int]grant.Outcome{7: grant.OutcomeExcluded, 8: grant.OutcomeNotGranted})
	require.Zero(w, p.fault.reads()-read, "the bucket was read")
	a.done(a.act(grant.ActErase), idsOf(ids[7])...) // which makes an entry shorter
	a.done(a.act(grant.ActRevoke), idsOf(ids[3])...)
	takeAll(map[int]grant.Outcome{7: grant.OutcomeExcluded, 2: grant.OutcomeTaken, 3: grant.OutcomeRevoked})
	takeAll(map[int]grant.Outcome{8: grant.OutcomeNotGranted})
	p.adds(ids[:9]...)
	takeAll(map[int]grant.Outcome{8: grant.OutcomeTaken, 9: grant.OutcomeNotGranted})
	w.whole(p)
	backup := w.snapshot()
	p.adds(ids[:10]...)
	takeAll(map[int]grant.Outcome{9: grant.OutcomeTaken})
	w.restore(backup) // and somebody else is granted in place of those who are lost
	w.hold(p.campaign).adds(ids[10])
	takeAll(map[int]grant.Outcome{9: grant.OutcomeNotGranted, 10: grant.OutcomeTaken, 4: grant.OutcomeTaken})
	w.whole(p)
	repeated := slices.MaxFunc(ids[:6], func(x, y string) int { // of an entry that has others in front of this one
		return cmp.Compare(opaque.Hash(p.memberFor(x)), opaque.Hash(p.memberFor(y)))
	})
	members := [][]byte{p.memberFor(repeated), p.memberFor(ids[9]), p.memberFor(ids[11]), p.memberFor(ids[12])}
	slices.SortFunc(members, opaque.Compare)
	again, err := appendBucketGrant([]byte{3, 0, 0, 0, 0, 0, 1}, &Entry{Run: 9, Flush: 1 << 20}, p.layout.Width, members)
	require.NoError(w, err)
	require.NoError(w, w.client.RPush(w.ctx, p.keys.journal(bucket), again).Err())
	w.hold(p.campaign).adds(ids[13])
	takeAll(map[int]grant.Outcome{9: grant.OutcomeTaken})
	mended, err := a.Mend(w.ctx, idsOf(repeated), a.act(grant.ActHand), false)
	require.NoError(w, err)
	require.Equal(w, MendedRepeat, mended[0].What)
	takeAll(map[int]grant.Outcome{9: grant.OutcomeAlready, 11: grant.OutcomeTaken, 12: grant.OutcomeTaken})
}

// memberFor is what an entry has of an ID.
func (p *player) memberFor(id string) []byte {
	member, err := p.memberOf(grant.TextID(id))
	require.NoError(p.w, err)
	return member
}

// takes has another process take something.
func (w *world) takes(p *player, wishes ...Take) {
	got, err := NewTakes(w.play(p.campaign, time.Second).Store, 99).Take(w.ctx, p.campaign, wishes)
	require.NoError(w, err)
	require.Equal(w, grant.OutcomeTaken, got[0].Outcome)
}

func judgesMembersAgain(w *world) {
	ids := uuids(0, 2)
	p, t := w.offered(grant.IDsUUID, ids...)
	out := make([]Taken, 1)
	groups, err := t.group(p.campaign, []Take{{grant.TextID(ids[0]), itemFirst}}, out)
	require.NoError(w, err)
	step := func() {
		w.Helper()
		groups, err = t.round(w.ctx, groups, out, execute)
		require.NoError(w, err)
	}
	step()
	require.Len(w, groups, 1)
	one := groups[0].(*bucketTaking)
	require.WithinDuration(w, time.Now().Add(judgedFor), one.judged, time.Minute)
	one.judged = one.judged.Add(-time.Hour)
	a := w.actorOf(p.campaign)
	a.done(a.act(grant.ActRevoke), idsOf(ids[0])...) // meanwhile
	step()
	require.Len(w, groups, 1)
	require.Zero(w, one.judged)
	step()
	require.Empty(w, groups)
	require.Equal(w, grant.OutcomeRevoked, out[0].Outcome)
	require.Zero(w, w.whole(p))
}

func findsWrongMemberTakes(w *world) {
	p, t := w.offered(grant.IDsUUID)
	bucket, ids := p.inOneBucket(4)
	p.adds(ids[:3]...)
	for item := itemTaken; item <= itemFirst; item++ {
		_, err := t.Take(w.ctx, p.campaign, []Take{{grant.TextID(ids[0]), item}, {grant.TextID(ids[1]), item}})
		require.NoError(w, err)
	}
	member := func(id string) string {
		m, _ := p.Store.form.Member(nil, []byte(id))
		return string(m)
	}
	whole := w.snapshot()
	dry, stop := context.WithCancel(w.ctx) // the commands are made with it, and sent later
	stop()
	for _, item := range []int{itemTaken, itemFirst} {
		k := p.takeKeys(p.campaign, bucket, item)
		id := p.campaign.Items[item].ID
		entry, err := w.client.LIndex(w.ctx, k.list, 0).Result()
		require.NoError(w, err)
		r := w.client
		stamp := r.HGet(w.ctx, k.taken, member(ids[0])).Val()
		one := func(item int, member string) *bucketTaking {
			return &bucketTaking{item: item, takers: []taker{{bucketSeat: &bucketSeat{member: []byte(member)}}}}
		}
		const begins = "\x03\x00\x00\x00\x00\x00\x01"
		foreign := begins + string(t.bucketEntry(one(itemGiven, member(ids[0]))))
		elsewhere := begins + string(t.bucketEntry(one(item, "sixteen bytes!!!")))
		counter := p.takeKeys(p.campaign, 0, itemFirst).first
		for what, damage := range map[string]redis.Cmder{
			"1 users took " + id + " and are in no entry":                 r.HSet(dry, k.taken, member(ids[2]), stamp),
			"1 users took " + id + " by an entry and are not in the hash": r.HDel(dry, k.taken, member(ids[0])),
			"1 users took " + id + " and are not granted":                 r.HSet(dry, k.taken, member(ids[3]), stamp),
			"user " + ids[0] + " took " + id + " at ":                     r.HSet(dry, k.taken, member(ids[0]), begins[1:]),
			"a user is in an earlier entry too: ":                         r.RPush(dry, k.list, entry),
			"take 0: entry of version 9":                                  r.LSet(dry, k.list, 0, "\x09"+entry[1:]),
			fmt.Sprintf("it counts 3 (of the first %d", someFirst):        r.HIncrBy(dry, counter, "taken", 1),
			k.taken + " is no hash of who took " + id:                     r.Set(dry, k.taken, "x", 0),
			"which is none that users take":                               r.RPush(dry, k.list, foreign),
			" belongs to bucket ":                                         r.RPush(dry, k.list, elsewhere),
		} {
			w.restore(whole)
			require.NoError(w, r.Do(w.ctx, damage.Args()...).Err(), what)
			proof, err := p.Prove(w.ctx)
			require.NoError(w, err)
			require.NoError(w, p.ProveTakes(w.ctx, p.campaign, &proof))
			require.False(w, proof.Holds())
			require.Contains(w, fmt.Sprint(proof.Violations), what)
		}
	}
}
