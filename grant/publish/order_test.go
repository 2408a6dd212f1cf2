package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// inbox is a subscriber in memory, which may fail in the middle, or after it has taken everything.
type inbox struct {
	mu     sync.Mutex
	r      *rand.Rand
	fails  float64
	events []string          // IDs as they came
	users  map[string]string // ID → user
	size   limits
	dead   bool
}

func newInbox(r *rand.Rand, fails float64) *inbox {
	size := limits{chunks: 3, entries: 2, members: 7, events: 20, calls: 2}
	return &inbox{r: r, fails: fails, users: map[string]string{}, size: size}
}

var errTaken = errors.New("the line is cut")

func (b *inbox) deliver(_ context.Context, w *writer, pieces []piece) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return errTaken
	}
	for i := range pieces {
		p := &pieces[i]
		for user := range p.texts() {
			if b.fails > 0 && b.r.Float64() < b.fails/20 {
				return errTaken
			}
			id := fmt.Sprintf("%s/%s", entryID(w.campaign, p), user)
			b.events = append(b.events, id)
			b.users[id] = string(user)
		}
	}
	if b.fails > 0 && b.r.Float64() < b.fails {
		return errTaken
	}
	return nil
}

func (b *inbox) limits() limits       { return b.size }
func (b *inbox) transient(error) bool { return true }
func (b *inbox) Close()               {}

// holds requires that every granted user is there, and once after repetitions are dropped.
func (b *inbox) holds(w *world) {
	w.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	found := map[grant.UserID]int{}
	for _, user := range b.users {
		found[grant.TextID(user)]++
	}
	require.Len(w, found, len(w.granted))
	for user, n := range found {
		require.True(w, w.granted[user])
		require.Equal(w, 1, n, "user %d", user)
	}
}

// Publishers are given up in the middle, two at a time lead in turns, and the subscriber fails as it likes.
func TestWhateverFailsEachEventIsThereOnce(t *testing.T) {
	onEachLayout(t, onWhateverFailsEachEventIsThereOnce)
}

func onWhateverFailsEachEventIsThereOnce(t *testing.T, ids grant.IDs) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for n := range 4 {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		mini := miniredis.RunT(t)
		w := newWorld(t, mini.Addr(), ids)
		box := newInbox(rand.New(rand.NewPCG(seed, uint64(n)+1000)), 0.2)
		ctx := context.Background()
		var work errgroup.Group
		for range 12 {
			var users []grant.UserID
			for range 1 + r.IntN(60) {
				if user := w.id(uint64(r.IntN(5)<<16 + r.IntN(2000))); !w.granted[user] &&
					!slices.Contains(users, user) {
					users = append(users, user)
				}
			}
			if len(users) > 0 {
				w.grant(users...)
			}
			soon, stop := context.WithTimeout(ctx, time.Duration(r.IntN(30))*time.Millisecond)
			for range 2 {
				work.Go(func() error { return w.publisher(box).Follow(soon) })
			}
			require.NoError(t, work.Wait())
			stop()
		}
		box.mu.Lock()
		box.fails = 0
		box.mu.Unlock()
		err := errLead
		for errors.Is(err, errLead) { // an attempt to lead that nobody waits for any more may come at any time
			mini.FastForward(2 * leadFor)
			err = w.publisher(box).Once(ctx)
		}
		require.NoError(t, err)
		box.holds(w)
	}
}

// Redis loses its last writes: entries that were published are gone, and others come in their place.
func TestALedgerThatLostWritesIsNoticed(t *testing.T) {
	onEachLayout(t, onALedgerThatLostWritesIsNoticed)
}

func onALedgerThatLostWritesIsNoticed(t *testing.T, ids grant.IDs) {
	for _, lost := range []int{1, 3, 29} {
		mini := miniredis.RunT(t)
		w := newWorld(t, mini.Addr(), ids)
		box := newInbox(nil, 0)
		for i := range 29 {
			w.grant(w.span(uint64(100*i), 10)...)
		}
		before := mini.Dump()
		w.once(box)
		box.holds(w)
		require.NotEmpty(t, before)
		for range lost {
			_, err := mini.Pop(w.firstKey("journal"))
			require.NoError(t, err)
		}
		published := len(box.users)
		w.once(box)
		require.Len(t, box.users, published, "nothing new has come")
		require.Equal(t, 1, int(w.count("rewinds_total")), "it is said, before anything comes")

		w.regrant(mini, 29-lost)
		w.once(box)
		again := map[string]int{}
		for _, user := range box.users {
			again[user]++
		}
		for i := range 29 {
			want := 1
			if i >= 29-lost {
				want = 2 // with another ID: the ledger says something else about them now
			}
			require.Equal(t, want, again[w.id(uint64(100*i)).String()], "entry %d of 29, %d lost", i, lost)
		}
	}
}

// Where a reason is erased, the entry is the one that was published: nothing comes again, and that it was erased comes once.
func TestAnErasureIsOneEvent(t *testing.T) { onEachLayout(t, onAnErasureIsOneEvent) }

func onAnErasureIsOneEvent(t *testing.T, ids grant.IDs) {
	w := newWorld(t, miniredis.RunT(t).Addr(), ids)
	h := newHook(t)
	w.grant(w.span(0, 10)...)
	acts := ledger.NewActs(w.store, 9)
	do := func(id string, kind grant.ActKind) {
		act := grant.Act{ID: id, Kind: kind, Who: "mira", Via: "cli", Reason: "secret", Revocation: grant.RevokedFraud}
		results, err := acts.Do(t.Context(), []ledger.UserAct{{User: w.id(5), Act: act}}, false)
		require.NoError(t, err)
		require.NoError(t, results[0].Err)
	}
	do("a", grant.ActRevoke) // the last one that is published, so a mark is of it
	w.once(h.target(t, 1))
	require.Equal(t, 11, h.has())
	do("b", grant.ActErase)
	w.once(h.target(t, 1))
	require.Equal(t, 12, h.has())
	require.Zero(t, w.count("rewinds_total"))
	require.Equal(t, TypePrefix+string(TypeErased), h.order[11].Type)
}

// values is a subscriber that reads each entry in both forms.
type values struct {
	*inbox
	of map[string]string // the index of an entry, or that and a user → what is said
}

func (v *values) deliver(_ context.Context, w *writer, pieces []piece) error {
	for i := range pieces {
		p := &pieces[i]
		kind, err := typeOf(p)
		if err != nil || kind != TypeRevoked {
			continue
		}
		batch, err := w.compact(p, kind)
		if err != nil {
			return err
		}
		head, _, _ := strings.Cut(string(batch[0].value), "\n")
		v.of[strconv.FormatInt(p.index, 10)] = head
		template, err := w.template(p, kind)
		if err != nil {
			return err
		}
		for user := range p.who.texts(0) {
			v.of[fmt.Sprintf("%d/%s", p.index, user)] = string(template.append(nil, user))
		}
	}
	return nil
}

// Of a list of users who are revoked, one is erased: whenever the entry is sent from then on, nothing says of this one why.
func TestNobodyIsToldWhyOneOfAListWasRevoked(t *testing.T) {
	onEachLayout(t, onNobodyIsToldWhyOneOfAListWasRevoked)
}

func onNobodyIsToldWhyOneOfAListWasRevoked(t *testing.T, ids grant.IDs) {
	w := newWorld(t, miniredis.RunT(t).Addr(), ids)
	w.grant(w.span(0, 10)...)
	acts := ledger.NewActs(w.store, 9)
	do := func(id string, kind grant.ActKind, users ...uint64) {
		var list []ledger.UserAct
		for _, user := range users {
			act := grant.Act{ID: id, Kind: kind, Who: "mira", Via: "cli", Reason: "secret", Revocation: grant.RevokedFraud}
			list = append(list, ledger.UserAct{User: w.id(user), Act: act})
		}
		results, err := acts.Do(t.Context(), list, false)
		require.NoError(t, err)
		for _, r := range results {
			require.NoError(t, r.Err)
		}
	}
	do("a", grant.ActRevoke, 5, 6, 7)
	do("b", grant.ActErase, 6)
	do("c", grant.ActReinstate, 6)
	do("d", grant.ActRevoke, 6, 8)
	for name, send := range map[string]func(*Publisher) error{
		"for the first time": func(p *Publisher) error { return p.Once(t.Context()) },
		"once more": func(p *Publisher) error {
			return p.Resend(t.Context(), time.Unix(0, 0), time.Now().Add(time.Hour))
		},
	} {
		v := &values{newInbox(nil, 0), map[string]string{}}
		require.NoError(t, send(w.publisher(v)))
		for at, revocation := range map[string]string{
			"1/5": "fraud", "1/6": "erased", "1/7": "fraud", "4/6": "fraud", "4/8": "fraud",
		} {
			index, n, _ := strings.Cut(at, "/")
			user, err := strconv.ParseUint(n, 10, 64)
			require.NoError(t, err)
			require.Contains(t, v.of[index+"/"+w.id(user).String()], `"revocation":"`+revocation+`"`, "%s: %s", name, at)
		}
		require.Contains(t, v.of["1"], `"revocation":"fraud"`, name)
		erased, err := json.Marshal(w.id(6))
		require.NoError(t, err)
		require.Contains(t, v.of["1"], `"erased":[`+string(erased)+`]`, name)
		require.NotContains(t, v.of["4"], "erased", "%s: what was done afterwards is told", name)
	}
}

// The same, where as many entries as were lost have come before anybody looked.
func TestOtherEntriesInTheSamePlacesAreNoticed(t *testing.T) {
	onEachLayout(t, onOtherEntriesInTheSamePlacesAreNoticed)
}

func onOtherEntriesInTheSamePlacesAreNoticed(t *testing.T, ids grant.IDs) {
	mini := miniredis.RunT(t)
	w := newWorld(t, mini.Addr(), ids)
	box := newInbox(nil, 0)
	for i := range 9 {
		w.grant(w.span(uint64(100*i), 10)...)
	}
	w.once(box)
	for range 2 {
		_, err := mini.Pop(w.firstKey("journal"))
		require.NoError(t, err)
	}
	w.regrant(mini, 7)
	w.once(box)
	require.Len(t, box.users, 110)
}

// regrant grants those again whose entries are gone, from an entry on.
func (w *world) regrant(mini *miniredis.Miniredis, from int) {
	w.Helper()
	mini.Del(w.firstKey("granted"))
	mini.Del(w.firstKey("calls"))
	w.seq += 100
	mini.SetTime(time.Now().Add(time.Second))
	for i := from; i < 29; i++ {
		if w.granted[w.id(uint64(100*i))] {
			w.grant(w.span(uint64(100*i), 10)...)
		}
	}
	mini.SetTime(time.Time{})
}

func TestOneOfSeveralLeads(t *testing.T) { onEachLayout(t, onOneOfSeveralLeads) }

func onOneOfSeveralLeads(t *testing.T, ids grant.IDs) {
	mini := miniredis.RunT(t)
	w := newWorld(t, mini.Addr(), ids)
	box := newInbox(nil, 0)
	w.grant(w.span(1, 40)...)
	impatient := func(c *Config) { c.GiveUp = 50 * time.Millisecond }
	first, second := w.publisher(box), w.publisher(box, impatient)
	require.NoError(t, first.take(t.Context()))
	require.ErrorIs(t, second.Once(t.Context()), errLead)
	require.Empty(t, box.events)

	mini.FastForward(2 * leadFor) // the first sleeps
	require.NoError(t, second.Once(t.Context()))
	box.holds(w)
	require.ErrorIs(t, first.sweep(t.Context(), true, time.Second), errLead, "it wakes up, and moves nothing")
	third := w.publisher(box)
	sent := len(box.events)
	require.NoError(t, third.Once(t.Context()))
	require.Len(t, box.events, sent)
	box.holds(w)
}

func TestWhereASubscriberBegins(t *testing.T) { onEachLayout(t, onWhereASubscriberBegins) }

func onWhereASubscriberBegins(t *testing.T, ids grant.IDs) {
	mini := miniredis.RunT(t)
	w := newWorld(t, mini.Addr(), ids)
	at := time.Now().Truncate(time.Second).UTC()
	for i := range 5 {
		mini.SetTime(at.Add(time.Duration(i) * time.Second))
		w.grant(w.id(uint64(i)), w.id(uint64(1<<16+i)))
	}
	mini.SetTime(time.Time{})
	begin := func(name, from string) *inbox {
		box := newInbox(nil, 0)
		f, err := ParseFrom(from)
		require.NoError(t, err)
		w.once(box, func(c *Config) { c.From, c.Name = f, name })
		return box
	}
	require.Len(t, begin("a", "start").events, 10)
	require.Len(t, begin("b", at.Add(3*time.Second).Format(time.RFC3339)).events, 4)
	require.Empty(t, begin("c", "now").events)
	w.grant(w.id(9), w.id(2<<16))
	require.Len(t, begin("c", "start").events, 2, "it has begun")
	_, err := ParseFrom("yesterday")
	require.ErrorContains(t, err, "want start, now, or a moment")
}

func TestCursors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c cursor
		heads := map[int64]head{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			whole := rapid.Bool().Draw(t, "whole")
			members := c.members + rapid.IntRange(1, 9).Draw(t, "members")
			if _, ok := heads[c.entries]; !ok {
				heads[c.entries] = head(rapid.Uint64Range(0, 1<<48-1).Draw(t, "head"))
			}
			c = c.sent(c.entries, heads[c.entries], members, whole)
			read, err := parseCursor(c.String())
			require.NoError(t, err, c.String())
			require.Equal(t, c.String(), read.String())
			require.LessOrEqual(t, len(c.marks), 2*bits.Len64(uint64(c.entries))+4)
		}
		kept := rapid.Int64Range(0, c.entries+1).Draw(t, "kept") // entries that are still there
		back := c.back(func(m mark) bool { return m.index < kept && heads[m.index] == m.head })
		require.LessOrEqual(t, back.entries, kept)
		// No more is sent again than twice what was lost.
		require.LessOrEqual(t, c.entries-back.entries, 2*(c.entries-min(kept, c.entries))+2)
		_, err := parseCursor(back.String())
		require.NoError(t, err)
	})
	for _, bad := range []string{"", "x", "1+0|", "1+0|5:aa", "0+0|0:aa", "1+0|0:xyz", "2+0|1:aa 1:bb", "-1+0|", "1+0"} {
		_, err := parseCursor(bad)
		require.ErrorIs(t, err, errCursor, bad)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("7+3|7:00000000000a 6:0000000000ff")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err != nil {
			return
		}
		again, err := parseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}

// A Redis that refuses for a moment ends nothing that is to publish what there is: it is said, and tried again.
func TestARedisThatIsAwayIsTriedAgain(t *testing.T) {
	redis := miniredis.RunT(t)
	w := newWorld(t, redis.Addr(), grant.IDsUUID)
	w.grant(w.span(0, 5)...)
	redis.SetError("LOADING Redis is loading the dataset in memory")
	said, box := 0, newInbox(nil, 0)
	w.once(box, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(writes(func(line string) {
			if strings.Contains(line, "leading s: LOADING") {
				redis.SetError("")
				said++
			}
		}), nil))
	})
	require.Equal(t, 1, said)
	require.Len(t, box.events, 5)
}

// writes is called with each line of a log.
type writes func(line string)

func (w writes) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }
