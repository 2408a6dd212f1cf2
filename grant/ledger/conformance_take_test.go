package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// conforms is one thing that every kind of Redis must do.
type conforms struct {
	name string
	run  func(*world)
}

var takesConform = []conforms{
	{"has many users take an item at once, among those who may not", takesByMany},
	{"judges users again who were judged long ago", judgesAgain},
	{"finds what is wrong with takes", findsWrongTakes},
	{"copies takes whose keys are made meanwhile", copiesNewTakes},
}

// eitherTakes run on both layouts.
var eitherTakes = []conforms{
	{"has users take what they were offered, once", takesOnce},
	{"has many users take an item among those who had taken it", takesAmongOthers},
	{"lets nobody take who may not", refusesTakes},
	{"knows a take whose reply was lost", knowsALostTake},
	{"lets exactly so many take an item", takesTheFirst},
}

// The items of a campaign of offers.
const (
	itemGiven = iota
	itemTaken
	itemTimed // with a take_until
	itemFirst // with a quota
)

const someFirst = 40

func (w *world) offers(until time.Time) *grant.Campaign {
	c := w.campaign()
	c.Population = 1000
	c.Items = []grant.Item{
		{ID: "given"},
		{ID: "taken", Validity: grant.Validity{Taken: true}},
		{ID: "timed", Validity: grant.Validity{Taken: true}, TakeUntil: until},
		{ID: "first", Validity: grant.Validity{Taken: true}, First: someFirst},
	}
	return c
}

// offering is a campaign of offers that was granted to some users of chunks 1 and 2.
func (w *world) offering() (*player, *Takes) {
	w.Helper()
	p := w.play(w.offers(time.Now().Add(time.Hour)), 5*time.Second)
	p.begin()
	p.grant(1, delta(1, span(0, 3000, 1)), delta(2, span(0, 3000, 1)))
	return p, NewTakes(p.Store, 7)
}

func user(chunk uint64, low uint16) grant.UserID { return grant.NumberID(dense.Join(chunk, low)) }

// whole checks that the takes agree with themselves, and returns how many there are.
func (w *world) whole(p *player) int64 {
	w.Helper()
	proof, err := p.Prove(w.ctx)
	require.NoError(w, err)
	require.NoError(w, p.ProveTakes(w.ctx, p.campaign, &proof))
	require.True(w, proof.Holds(), "%+v", proof)
	return proof.Taken
}

func takesOnce(w *world) {
	p, t := w.offering()
	var wishes []Take
	for low := range uint16(2500) { // more than a call takes; of several segments
		wishes = append(wishes, Take{user(1, low), itemTaken})
	}
	wishes = append(wishes, Take{user(2, 7), itemTaken}, Take{user(2, 7), itemTimed}, Take{user(2, 7), itemTaken})
	rand.Shuffle(len(wishes)-3, func(i, j int) { wishes[i], wishes[j] = wishes[j], wishes[i] })
	got, err := t.Take(w.ctx, p.campaign, wishes)
	require.NoError(w, err)
	for i, g := range got[:len(got)-1] {
		require.Equal(w, grant.OutcomeTaken, g.Outcome, "%v", wishes[i])
		require.WithinDuration(w, time.Now(), g.At, time.Minute)
	}
	require.Equal(w, Taken{grant.OutcomeAlready, got[len(got)-3].At}, got[len(got)-1], "the same twice in one batch")
	require.EqualValues(w, 2502, w.whole(p))

	again, err := t.Take(w.ctx, p.campaign, wishes)
	require.NoError(w, err)
	for i, g := range again {
		require.Equal(w, Taken{grant.OutcomeAlready, got[i].At}, g, "%v", wishes[i])
	}
	mixed, err := t.Take(w.ctx, p.campaign, []Take{{user(1, 5), itemTaken}, {user(1, 2999), itemTaken}, {user(1, 5), itemTimed}})
	require.NoError(w, err)
	require.Equal(w, []grant.Outcome{grant.OutcomeAlready, grant.OutcomeTaken, grant.OutcomeTaken}, outcomes(mixed))
	require.EqualValues(w, 2504, w.whole(p))

	granted := []time.Time{got[0].At.Add(-time.Second), got[0].At, {}}
	held, err := p.Holdings(w.ctx, p.campaign, []grant.UserID{wishes[0].User, user(2, 8), user(9, 9)}, granted)
	require.NoError(w, err)
	require.Equal(w, got[0].At, held[0].TakenAt[itemTaken])
	require.Equal(w, []time.Time{{}, {}, {}, {}}, held[1].TakenAt)
	require.Zero(w, held[2].GrantedAt)
	counts, err := p.Taken(w.ctx, p.campaign)
	require.NoError(w, err)
	require.Equal(w, []ItemTaken{{"taken", 2502, 0}, {"timed", 2, 0}, {"first", 0, someFirst}}, counts)

	_, err = t.Take(w.ctx, p.campaign, []Take{{user(1, 5), itemGiven}})
	require.ErrorContains(w, err, "item 0 of sorry-2022 is none that users take")
}

// The first who takes an item in a chunk may do so when a copy has looked for keys and not yet read those of the chunk.
func copiesNewTakes(w *world) {
	p, t := w.offering()
	copied, taken := map[string]PartKind{}, false
	_, err := p.ReadParts(w.ctx, func(part Part) error {
		if part.Chunk == 2 {
			copied[part.Name] = part.Kind
		}
		if taken || !part.OfChunk {
			return nil
		}
		taken = true // chunk 1 is read
		_, err := t.Take(w.ctx, p.campaign, []Take{{user(2, 5), itemTaken}})
		return err
	})
	require.NoError(w, err)
	require.Contains(w, copied, "taken:1")
	require.Contains(w, copied, "taken:1:0")
	require.Contains(w, copied, "takes")
}

// Users come in any order, few and many, so that their bits and times are written between those of others, in all ways.
func takesAmongOthers(w *world) {
	p, t := w.offering()
	for _, item := range []int{itemTaken, itemTimed} {
		lows := rand.Perm(3000)
		for _, n := range []int{1, 30, 270, 900, 1799} {
			wishes := make([]Take, n)
			for i := range wishes {
				wishes[i] = Take{user(2, uint16(lows[i])), item}
			}
			lows = lows[n:]
			last, err := t.Take(w.ctx, p.campaign, wishes)
			require.NoError(w, err)
			for i := range last {
				require.Equal(w, grant.OutcomeTaken, last[i].Outcome, "%v", wishes[i])
			}
		}
	}
	require.EqualValues(w, 6000, w.whole(p))
}

func outcomes(taken []Taken) (out []grant.Outcome) {
	for _, t := range taken {
		out = append(out, t.Outcome)
	}
	return out
}

func refusesTakes(w *world) {
	p, t := w.offering()
	a := w.actorOf(p.campaign)
	a.done(a.act(grant.ActExclude), users(1, 4000)...)
	a.done(a.act(grant.ActRevoke), users(1, 6)...)
	a.done(a.act(grant.ActRecall), users(1, 7)...)
	a.done(a.act(grant.ActNote), users(1, 2000)...) // stands in nobody's way
	for _, item := range []int{itemTaken, itemFirst} {
		for _, alone := range []bool{true, false} {
			wishes := []Take{
				{user(1, 4000), item}, {user(1, 6), item}, {user(1, 7), item}, {user(1, 3000), item}, {user(99, 1), item},
			}
			if !alone { // so many that the script looks at whole bitmaps
				for low := range uint16(100) {
					wishes = append(wishes, Take{user(1, 2000+low), itemTaken}, Take{user(1, 5000+low), item})
				}
			}
			got, err := t.Take(w.ctx, p.campaign, wishes)
			require.NoError(w, err)
			require.Equal(w, []grant.Outcome{
				grant.OutcomeExcluded, grant.OutcomeRevoked, grant.OutcomeRecalled, grant.OutcomeNotGranted,
				grant.OutcomeNotGranted,
			}, outcomes(got[:5]))
			for i, g := range got[5:] {
				require.Equal(w, i%2 == 0, g.Outcome.Has(), "%v", wishes[5+i])
			}
		}
	}
	require.EqualValues(w, 100, w.whole(p))
	for _, item := range []int{itemTaken, itemFirst} { // who has it is told so, whatever was done about the user later
		has := []Take{{user(1, uint16(20+item)), item}, {user(1, uint16(30+item)), item}}
		got, err := t.Take(w.ctx, p.campaign, has)
		require.NoError(w, err)
		a.done(a.act(grant.ActRevoke), has[0].User)
		a.done(a.act(grant.ActRecall), has[1].User)
		again, err := t.Take(w.ctx, p.campaign, append(has, Take{user(1, 6), item}))
		require.NoError(w, err)
		want := []Taken{{grant.OutcomeAlready, got[0].At}, {grant.OutcomeAlready, got[1].At}, {Outcome: grant.OutcomeRevoked}}
		require.Equal(w, want, again)
	}

	early := NewTakes(p.Store, 8)
	_, err := early.Take(w.ctx, p.campaign, []Take{{user(1, 9), itemTimed}})
	require.NoError(w, err)
	late := w.play(w.offers(time.Now().Add(-time.Minute)), time.Second)
	got, err := NewTakes(late.Store, 9).Take(w.ctx, late.campaign,
		[]Take{{user(1, 9), itemTimed}, {user(1, 8), itemTimed}, {user(1, 8), itemTaken}})
	require.NoError(w, err)
	require.Equal(w, []grant.Outcome{grant.OutcomeAlready, grant.OutcomeLapsed, grant.OutcomeTaken}, outcomes(got))

	other := w.offers(time.Time{})
	other.Hash = "bb22"
	for _, item := range []int{itemTaken, itemFirst} {
		_, err = NewTakes(w.play(other, time.Second).Store, 9).Take(w.ctx, other, []Take{{user(1, 10), item}})
		require.ErrorIs(w, err, ErrSpecChanged)
	}
}

// A call that was applied, and whose reply was lost, is not taken for one of somebody who had the item before.
func knowsALostTake(w *world) {
	p, t := w.offering()
	for _, item := range []int{itemTaken, itemFirst} {
		for round, share := range []float64{0, 1} {
			wishes := []Take{{user(1, uint16(10*round)), item}, {user(1, uint16(10*round+1)), item}}
			p.fault.once(share, nil)
			before := w.looks(p, wishes)
			if item == itemFirst { // a pipeline asks who may
				before++
			}
			p.fault.mu.Lock()
			once, calls := p.fault.next, 0
			p.fault.next = func(n int) int {
				if calls++; calls <= before {
					return -1
				}
				return once(n)
			}
			p.fault.mu.Unlock()
			got, err := t.Take(w.ctx, p.campaign, wishes)
			require.NoError(w, err)
			require.Equal(w, []grant.Outcome{grant.OutcomeTaken, grant.OutcomeTaken}, outcomes(got), "%d, %v", item, share)
			p.fault.never()
		}
	}
	require.EqualValues(w, 8, w.whole(p))
}

// looks is how many pipelines look at users before the first call: one for each bucket, and one for who took what.
func (w *world) looks(p *player, wishes []Take) int {
	if w.ids != grant.IDsInt64 {
		return 0
	}
	buckets := map[uint64]bool{}
	for _, wish := range wishes {
		bucket, err := p.Store.group(wish.User)
		require.NoError(w, err)
		buckets[bucket] = true
	}
	return len(buckets) + 1
}

// Two processes let users take the same item at once, alone and in batches, some of whom come twice, and lose replies.
func takesTheFirst(w *world) {
	p, t := w.offering()
	other := w.play(p.campaign, 5*time.Second)
	var mu sync.Mutex
	has := map[grant.UserID]time.Time{}
	exhausted := 0
	var work sync.WaitGroup
	for i, takes := range []*Takes{t, NewTakes(other.Store, 8)} {
		work.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 30 {
				var wishes []Take
				for range 1 + r.IntN(4) {
					wishes = append(wishes, Take{user(1+r.Uint64N(2), uint16(r.IntN(60))), itemFirst})
				}
				got, err := takes.Take(w.ctx, p.campaign, wishes)
				if err != nil {
					w.Errorf("taking: %v", err)
					return
				}
				mu.Lock()
				for n, g := range got {
					if g.Outcome == grant.OutcomeExhausted {
						exhausted++
						continue
					}
					if before, ok := has[wishes[n].User]; ok && !before.Equal(g.At) {
						w.Errorf("%v took it at %v and at %v", wishes[n].User, before, g.At)
					}
					has[wishes[n].User] = g.At
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	require.Len(w, has, someFirst)
	require.Positive(w, exhausted)
	require.EqualValues(w, someFirst, w.whole(p))
	full, err := p.FullAt(w.ctx, p.campaign)
	require.NoError(w, err)
	last := time.Time{}
	for _, at := range has {
		if at.After(last) {
			last = at
		}
	}
	require.Equal(w, last, full[itemFirst])
	require.Zero(w, full[itemTaken])
}

// Whoever sleeps between the judgement and the take is judged again.
func judgesAgain(w *world) {
	p, t := w.offering()
	wishes := []Take{{user(1, 5), itemFirst}}
	out := make([]Taken, 1)
	groups, err := t.group(p.campaign, wishes, out)
	require.NoError(w, err)
	again, err := t.round(w.ctx, groups, out, execute)
	require.NoError(w, err)
	require.Len(w, again, 1)
	one := again[0].(*takeGroup)
	require.WithinDuration(w, time.Now().Add(judgedFor), one.judged, time.Minute)
	one.judged = one.judged.Add(-time.Hour)
	a := w.actorOf(p.campaign)
	a.done(a.act(grant.ActRevoke), users(1, 5)...) // meanwhile
	again, err = t.round(w.ctx, again, out, execute)
	require.NoError(w, err)
	require.Len(w, again, 1)
	require.Zero(w, one.judged)
	again, err = t.round(w.ctx, again, out, execute)
	require.NoError(w, err)
	require.Empty(w, again)
	require.Equal(w, grant.OutcomeRevoked, out[0].Outcome)
	require.Zero(w, w.whole(p))
}

func findsWrongTakes(w *world) {
	p, t := w.offering()
	for item := itemTaken; item <= itemFirst; item++ {
		_, err := t.Take(w.ctx, p.campaign, []Take{{user(1, 5), item}, {user(1, 6), item}, {user(2, 5), item}})
		require.NoError(w, err)
	}
	whole := w.snapshot()
	dry, stop := context.WithCancel(w.ctx) // the commands are made with it, and sent later
	stop()
	for _, item := range []int{itemTaken, itemFirst} {
		k := p.takeKeys(p.campaign, 1, item)
		times, _ := k.segment(5)
		id := p.campaign.Items[item].ID
		entry, err := w.client.LIndex(w.ctx, k.list, 0).Result()
		require.NoError(w, err)
		first, r := "granter:{sorry-2022}:first:3", w.client
		for what, damage := range map[string]redis.Cmder{
			"1 users took " + id + " and are in no entry":          r.SetBit(dry, k.taken, 9, 1),
			"1 users took " + id + " by an entry and have no bit":  r.SetBit(dry, k.taken, 5, 0),
			"1 users took " + id + " and are not granted":          r.SetBit(dry, p.keys.granted(1), 5, 0),
			"user 65541 took " + id + " at ":                       r.SetRange(dry, times, 5*6, "\x00"),
			"a user is in an earlier entry too: 65541":             r.RPush(dry, k.list, entry),
			"take 0: entry of version 9":                           r.LSet(dry, k.list, 0, "\x09"+entry[1:]),
			k.taken + " is no bitmap of a chunk":                   r.Append(dry, k.taken, string(make([]byte, 9000))),
			fmt.Sprintf("it counts 4 (of the first %d", someFirst): r.HIncrBy(dry, first, "taken", 1),
			times + " holds no times of 1024 users":                r.Append(dry, times, "x"),
			"which is none that users take":                        r.RPush(dry, k.list, w.foreign(t)),
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

// foreign is an entry of an item that nobody takes.
func (w *world) foreign(t *Takes) string {
	g := &takeGroup{item: itemGiven, lows: []uint16{1}}
	return "\x02\x00\x00\x00\x00\x00\x01" + string(t.entry(g))
}
