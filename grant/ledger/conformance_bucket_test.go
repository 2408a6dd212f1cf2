package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
)

var bucketsConform = []conforms{
	{"buckets: grants and looks up IDs of every kind, once", grantsMembers},
	{"buckets: counts a call once when its replies are lost", countsMembersOnce},
	{"buckets: judges spec and time in the call", fencesMembers},
	{"buckets: notices what was lost", noticesLostMembers},
	{"buckets: goes on with a flush that failed", goesOnWithMembers},
	{"buckets: reads long journals", readsLongBuckets},
	{"buckets: indexes a bucket before it grants, and completes an index that lost some", indexesBuckets},
	{"buckets: refuses another spec in a bucket", fencesBuckets},
	{"buckets: finds what is wrong", findsWrongMembers},
	{"buckets: stops at a full bucket, and says what to do", stopsAtAFullBucket},
	{"buckets: says who of many is absent, by reading each bucket once", namesAbsentMembers},
	{"buckets: an older granter refuses", marksTheFormat},
	{"buckets: does each kind of act, and proves it", actsInBuckets},
	{"buckets: does an act once, whatever is lost", actsOnceInBuckets},
	{"buckets: lets rivals act, and runs grant meanwhile", rivalsInBuckets},
	{"buckets: withholds who is excluded from every replay", withholdsMembers},
	{"buckets: takes away why, and leaves what", erasesWhyInBuckets},
	{"buckets: tells nobody why somebody is excluded or revoked", erasesWhyOfExcludedMembers},
	{"buckets: takes a repeated user out of all entries but the first", mendsBuckets},
	{"buckets: what is not built for them says so", refusesWhatIsForChunks},
}

func (w *world) opaqueCampaign(ids grant.IDs) *grant.Campaign {
	return &grant.Campaign{
		Name: "opaque-" + string(ids), Hash: "aa11", Canonical: []byte("spec: one\n"), Population: 1000,
		Input: grant.Input{IDs: ids},
	}
}

// hold makes a run of a campaign whose IDs are not dense, with a session begun.
func (w *world) hold(c *grant.Campaign) *player {
	w.Helper()
	p := w.play(c, 5*time.Second)
	p.begin()
	return p
}

// adds grants IDs through a pool, and returns how many of them were new.
func (p *player) adds(ids ...string) int64 {
	p.w.Helper()
	n, err := p.tries(ids...)
	require.NoError(p.w, err)
	return n
}

func (p *player) tries(ids ...string) (int64, error) {
	p.w.Helper()
	if p.pools++; p.pools > 1 {
		p.begin()
	}
	ctx, cancel := context.WithCancel(p.w.ctx)
	defer cancel()
	pool := opaque.New(opaque.Config{Config: sharding.Config{Shards: 2}, Layout: LayoutOf(p.campaign)}, p.parts.Grants,
		map[int]int64{0: 0})
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	lane := pool.Lane(0)
	for i, id := range ids {
		member, fault := p.Store.form.Member(nil, []byte(id))
		require.Empty(p.w, fault, id)
		require.NoError(p.w, lane.AddMember(ctx, int64(i), opaque.Hash(member), member))
	}
	marked := lane.Mark(ctx, int64(len(ids)), true)
	pool.Close()
	if err := <-ended; err != nil {
		return 0, err
	}
	require.NoError(p.w, marked)
	positions, err := pool.Positions()
	require.NoError(p.w, err)
	require.EqualValues(p.w, len(ids), positions[0].Next)
	p.withheld = positions[0].Withheld
	return positions[0].Granted, nil
}

// has checks who is granted, by all that asks.
func (p *player) has(ids ...string) {
	p.w.Helper()
	var users []grant.UserID
	for _, id := range ids {
		user, err := p.Store.form.Parse(id)
		require.NoError(p.w, err)
		users = append(users, user)
	}
	found, err := p.LookupAll(p.w.ctx, users)
	require.NoError(p.w, err)
	for i, g := range found {
		require.NotNil(p.w, g, ids[i])
		require.WithinDuration(p.w, p.w.now(), g.At, time.Minute)
		require.NotEmpty(p.w, g.Ranges)
	}
	proof, err := p.Prove(p.w.ctx)
	require.NoError(p.w, err)
	require.Empty(p.w, proof.Violations)
	require.True(p.w, proof.Holds())
	require.EqualValues(p.w, len(ids), proof.Granted)
	totals, err := p.Totals(p.w.ctx)
	require.NoError(p.w, err)
	require.EqualValues(p.w, len(ids), totals.Granted)
}

func uuids(from, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", from+i))
	}
	return ids
}

func grantsMembers(w *world) {
	for ids, some := range map[grant.IDs][]string{
		grant.IDsUUID: uuids(0, 700), grant.IDsInt64: {"-9223372036854775808", "-1", "0", "7", "9223372036854775807"},
		grant.IDsString: {"minji@example.com", "민지", "7", " 7", "x"},
	} {
		a, b := w.hold(w.opaqueCampaign(ids)), w.hold(w.opaqueCampaign(ids))
		half := len(some) / 2
		require.EqualValues(w, half, a.adds(append(some[:half:half], some[0])...))
		a.has(some[:half]...)
		require.EqualValues(w, len(some)-half, b.adds(some...))
		require.Zero(w, a.adds(some...))
		a.has(some...)
		nobody, err := a.LookupAll(w.ctx, []grant.UserID{grant.TextID("not one of them"), grant.NumberID(12345)})
		require.NoError(w, err)
		require.Equal(w, []*Grant{nil, nil}, nobody)
	}
	same := w.hold(w.opaqueCampaign(grant.IDsUUID))
	require.Zero(w, same.adds("{6BA7B810-9DAD-41D1-80B4-000000000001}", "urn:uuid:6ba7b8109dad41d180b4000000000002"),
		"other spellings")
}

func countsMembersOnce(w *world) {
	p := w.hold(w.opaqueCampaign(grant.IDsUUID))
	var all []string
	for i, share := range []float64{0, 0.4, 0.7, 1} {
		some := uuids(1000*i, 300)
		all = append(all, some...)
		p.fault.once(share, nil)
		require.EqualValues(w, len(some), p.adds(some...))
	}
	require.Equal(w, len(all), p.seen.granted)
	p.has(all...)
}

func fencesMembers(w *world) {
	c := w.opaqueCampaign(grant.IDsUUID)
	w.hold(c).adds(uuids(0, 5)...)
	other := *c
	other.Hash = "bb22"
	var conflict *SpecConflictError
	require.ErrorAs(w, w.play(&other, time.Second).EnsureSpec(w.ctx, &other), &conflict)

	over := w.opaqueCampaign(grant.IDsUUID)
	over.Name, over.EndsAt = "over", w.now().Add(-time.Second)
	p := w.hold(over)
	_, err := p.tries(uuids(0, 5)...)
	require.ErrorIs(w, err, grant.ErrEnded)
	early := w.opaqueCampaign(grant.IDsUUID)
	early.Name, early.StartsAt = "early", w.now().Add(time.Hour)
	p = w.hold(early)
	_, err = p.tries(uuids(0, 5)...)
	var notYet *grant.EarlyError
	require.ErrorAs(w, err, &notYet)
	p.has()
}

func noticesLostMembers(w *world) {
	p := w.hold(w.opaqueCampaign(grant.IDsUUID))
	p.adds(uuids(0, 50)...)
	require.NoError(w, p.Checkpoint(w.ctx, grant.Offsets{0: 50}, nil))
	w.flush()
	require.ErrorIs(w, p.Checkpoint(w.ctx, grant.Offsets{0: 50}, nil), ErrRegressed)
	require.NoError(w, p.EnsureSpec(w.ctx, p.campaign))
	require.EqualValues(w, 50, p.adds(uuids(0, 50)...))
	p.has(uuids(0, 50)...)
}

// flushOf makes a flush of the members that are in some buckets, none of whose entries its shard has seen.
func (p *player) flushOf(seq uint64, ids ...string) *opaque.Flush {
	p.w.Helper()
	all := map[uint64][][]byte{}
	for _, id := range ids {
		member, fault := p.Store.form.Member(nil, []byte(id))
		require.Empty(p.w, fault)
		bucket := p.layout.Bucket(opaque.Hash(member))
		all[bucket] = append(all[bucket], member)
	}
	f := &opaque.Flush{Shard: 1, Seq: seq, Ranges: []sharding.Range{{Partition: 0, First: 0, Last: 9}}}
	for _, bucket := range slices.Sorted(maps.Keys(all)) {
		slices.SortFunc(all[bucket], opaque.Compare)
		d := opaque.Delta{Bucket: bucket, Count: len(all[bucket]), Width: p.layout.Width}
		d.Bytes = slices.Concat(all[bucket]...)
		f.Deltas = append(f.Deltas, d)
	}
	return f
}

// The replies to a call are lost and the call is given up; handed in again it is known by its entries, also where somebody else
// was faster in one of the buckets.
func goesOnWithMembers(w *world) {
	c := w.opaqueCampaign(grant.IDsUUID)
	p, other := w.play(c, time.Millisecond), w.hold(c)
	p.begin()
	mine, theirs := uuids(0, 40), uuids(1000, 1)
	other.adds(theirs...)
	f := p.flushOf(1, append(mine, theirs...)...)
	p.fault.always(1)
	var unavailable *UnavailableError
	require.ErrorAs(w, p.AddMembers(w.ctx, f), &unavailable)
	p.fault.never()
	require.NoError(w, p.AddMembers(w.ctx, f))
	refused := 0
	for _, d := range f.Deltas {
		if !d.Granted {
			refused++
			require.Len(w, d.Rest, 1, "what somebody else added")
		}
	}
	require.Equal(w, 1, refused)
	require.ErrorContains(w, p.AddMembers(w.ctx, p.flushOf(1, mine...)), "a new shard pool needs a new session")
}

// inOneBucket returns UUIDs whose bucket is the same.
func (p *player) inOneBucket(n int) (bucket uint64, ids []string) {
	return p.inOneBucketOf(func(i int) string { return uuids(i, 1)[0] }, n)
}

func (p *player) inOneBucketOf(of func(n int) string, n int) (bucket uint64, ids []string) {
	for i := 0; len(ids) < n; i++ {
		id := of(i)
		member, _ := p.Store.form.Member(nil, []byte(id))
		if b := p.layout.Bucket(opaque.Hash(member)); len(ids) == 0 || b == bucket {
			bucket, ids = b, append(ids, id)
		}
	}
	return bucket, ids
}

// A bucket may have more entries than are read, or returned by a refused call, at once.
func readsLongBuckets(w *world) {
	c := w.opaqueCampaign(grant.IDsUUID)
	p, other := w.hold(c), w.hold(c)
	bucket, ids := p.inOneBucket(max(journalPage, restEntries) + 5)
	for i, id := range ids {
		f := p.flushOf(uint64(i+1), id)
		f.Deltas[0].Seen = i
		require.NoError(w, p.AddMembers(w.ctx, f))
		require.True(w, f.Deltas[0].Granted)
	}
	require.EqualValues(w, len(ids), w.client.LLen(w.ctx, p.keys.journal(bucket)).Val())
	require.Zero(w, other.adds(ids...), "whoever has seen none of them is told them all")
	p.has(ids...)
}

func indexesBuckets(w *world) {
	p := w.hold(w.opaqueCampaign(grant.IDsUUID))
	bucket, ids := p.inOneBucket(1)
	p.fault.next = func(int) int {
		p.fault.next = nil
		require.True(w, w.client.SIsMember(w.ctx, p.keys.chunks, bucket).Val(), "it may die now, with nobody granted unindexed")
		require.NoError(w, w.client.SRem(w.ctx, p.keys.chunks, bucket).Err())
		return -1
	}
	require.EqualValues(w, 1, p.adds(ids...))
	p.has(ids...)
	require.NoError(w, p.EnsureSpec(w.ctx, p.campaign))
	for _, hurt := range []func() error{
		func() error { return w.client.SRem(w.ctx, p.keys.chunks, bucket).Err() },
		func() error { return w.client.Del(w.ctx, p.keys.chunks).Err() },
	} {
		require.NoError(w, hurt())
		proof, err := p.Prove(w.ctx)
		require.NoError(w, err)
		require.EqualValues(w, 1, proof.Granted, "everybody is found all the same")
		require.False(w, proof.Holds())
		require.NoError(w, p.EnsureSpec(w.ctx, p.campaign), "a run repairs it at its next checkpoint")
		p.has(ids...)
	}
}

func fencesBuckets(w *world) {
	c := w.opaqueCampaign(grant.IDsUUID)
	w.hold(c).adds(uuids(0, 20)...)
	before := w.truth()
	c2 := *c
	c2.Hash, c2.Canonical = "bb22", []byte("spec: two\n")
	p := w.play(&c2, time.Second)
	_, err := p.Begin(w.ctx, aTopic)
	require.NoError(w, err)
	p.lease.Store(1 << 53) // as if it had one
	f := p.flushOf(1, uuids(0, 20)...)
	for i := range f.Deltas {
		f.Deltas[i].Seen = 1 // so that nothing but the spec is in its way
	}
	var conflict *SpecConflictError
	require.ErrorAs(w, p.AddMembers(w.ctx, f), &conflict)
	require.Equal(w, []string{"aa11", "bb22"}, []string{conflict.StoredHash, conflict.GivenHash})
	require.Empty(w, changed(before, w.truth()))
}

func namesAbsentMembers(w *world) {
	p := w.hold(w.opaqueCampaign(grant.IDsUUID))
	p.adds(uuids(0, 300)...)
	p.begin()
	p.adds(uuids(300, 100)...)
	var asked, want [][]byte
	for i, id := range uuids(100, 500) {
		member, _ := p.Store.form.Member(nil, []byte(id))
		if asked = append(asked, member); i >= 300 {
			want = append(want, member)
		}
	}
	before := p.fault.pages.Load()
	absent, err := p.Absent(w.ctx, asked)
	require.NoError(w, err)
	require.ElementsMatch(w, want, absent)
	require.Zero(w, p.fault.pages.Load()-before, "buckets are read in pipelines")
	none, err := p.Absent(w.ctx, nil)
	require.NoError(w, err)
	require.Empty(w, none)
	_, err = w.join().Absent(w.ctx, asked)
	require.ErrorContains(w, err, "has dense IDs")
}

func stopsAtAFullBucket(w *world) {
	p := w.hold(w.opaqueCampaign(grant.IDsUUID))
	bucket, ids := p.inOneBucket(3)
	p.adds(ids[0])
	require.NoError(w, w.client.HSet(w.ctx, p.keys.chunk(bucket, "").calls, "count", MaxBucket-1).Err())
	require.EqualValues(w, 1, p.adds(ids[1]), "the last one that it takes")
	_, err := p.tries(ids[2])
	var full *FullError
	require.ErrorAs(w, err, &full)
	require.EqualValues(w, MaxBucket, full.Members)
	require.ErrorContains(w, err, "has 1048576 users, and those who come now would be more than the 1048576 that")
	require.ErrorContains(w, err, "which says population: 1000, and about 268435456 are granted by now. They stay so.")
	require.ErrorContains(w, err, "granter export -f SPEC --why TEXT --format text had.csv")
	require.ErrorContains(w, err, "exclude: [{file: had.csv, reason: has it already}]")
	require.EqualValues(w, 2, w.client.LLen(w.ctx, p.keys.journal(bucket)).Val())
}

func findsWrongMembers(w *world) {
	p := w.hold(w.opaqueCampaign(grant.IDsUUID))
	p.adds(uuids(0, 50)...)
	chunks, err := p.Chunks(w.ctx)
	require.NoError(w, err)
	key := p.keys.journal(chunks[0])
	calls := p.keys.chunk(chunks[0], "").calls
	entry, err := p.client.LIndex(w.ctx, key, 0).Result()
	require.NoError(w, err)
	before := w.snapshot()
	for what, ruin := range map[string]func() error{
		"in two entries": func() error { return p.client.RPush(w.ctx, key, entry).Err() },
		"cut off":        func() error { return p.client.LSet(w.ctx, key, 0, entry[:len(entry)-1]).Err() },
		"counts":         func() error { return p.client.HSet(w.ctx, calls, "count", 99).Err() },
		"belongs to":     func() error { return p.client.RPush(w.ctx, p.keys.journal(chunks[1]), entry).Err() },
		"under which":    func() error { return p.client.HDel(w.ctx, calls, "spec").Err() },
		"does not list":  func() error { return p.client.SRem(w.ctx, p.keys.chunks, strconv.FormatUint(chunks[0], 10)).Err() },
	} {
		require.NoError(w, ruin())
		proof, err := p.Prove(w.ctx)
		require.NoError(w, err)
		require.True(w, slices.ContainsFunc(proof.Violations, func(v Violation) bool { return strings.Contains(v.What, what) }),
			"%s: %v", what, proof)
		require.False(w, proof.Holds())
		w.restore(before)
	}
}

func marksTheFormat(w *world) {
	p := w.hold(w.opaqueCampaign(grant.IDsUUID))
	found, err := p.client.HGetAll(w.ctx, p.keys.format).Result()
	require.NoError(w, err)
	require.Equal(w, map[string]string{"version": "3", "granter": "0.3"}, found)
	require.ErrorIs(w, p.Dense("an act"), ErrOpaque)
	require.NoError(w, Dense(w.campaign(), "an act"))
}

func refusesWhatIsForChunks(w *world) {
	p := w.hold(w.opaqueCampaign(grant.IDsUUID))
	p.adds(uuids(0, 5)...)
	before := w.snapshot()
	for what, do := range map[string]func() error{
		"bitmaps": func() error { _, err := p.Bitmaps(w.ctx, []uint64{256}); return err },
		"a list":  func() error { _, err := p.Images(w.ctx, []uint64{256}, Ask{}); return err },
	} {
		require.ErrorIs(w, do(), ErrOpaque, what)
	}
	require.Equal(w, before, w.snapshot())
}
