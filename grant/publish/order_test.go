package publish

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

// inbox is a subscriber in memory, which may fail in the middle, or after it has taken everything.
type inbox struct {
	mu     sync.Mutex
	r      *rand.Rand
	fails  float64
	events []string         // IDs as they came
	users  map[string]int64 // ID → index of the entry
	size   limits
	dead   bool
}

func newInbox(r *rand.Rand, fails float64) *inbox {
	size := limits{chunks: 3, entries: 2, members: 7, events: 20, calls: 2}
	return &inbox{r: r, fails: fails, users: map[string]int64{}, size: size}
}

var errTaken = errors.New("the line is cut")

func (b *inbox) deliver(_ context.Context, w *writer, pieces []piece) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return errTaken
	}
	for i := range pieces {
		p, n := &pieces[i], 0
		for user := range p.entry.Users(p.chunk) {
			if n++; n <= p.first || n > p.first+p.count {
				continue
			}
			if b.fails > 0 && b.r.Float64() < b.fails/20 {
				return errTaken
			}
			id := fmt.Sprintf("%s/%s", entryID(w.campaign, p), user)
			b.events = append(b.events, id)
			b.users[id] = int64(user.Number())
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
		found[grant.NumberID(uint64(user))]++
	}
	require.Len(w, found, len(w.granted))
	for user, n := range found {
		require.True(w, w.granted[user])
		require.Equal(w, 1, n, "user %d", user)
	}
}

// Publishers are given up in the middle, two at a time lead in turns, and the subscriber fails as it likes.
func TestWhateverFailsEachEventIsThereOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for n := range 8 {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		mini := miniredis.RunT(t)
		w := newWorld(t, mini.Addr())
		box := newInbox(rand.New(rand.NewPCG(seed, uint64(n)+1000)), 0.2)
		ctx := context.Background()
		var work errgroup.Group
		for range 12 {
			var users []grant.UserID
			for range 1 + r.IntN(60) {
				if user := grant.NumberID(uint64(r.IntN(5)<<16 + r.IntN(2000))); !w.granted[user] &&
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
		mini.FastForward(2 * leadFor) // the last attempt to lead may have come after the lead was given back
		w.once(box)
		box.holds(w)
	}
}

// Redis loses its last writes: entries that were published are gone, and others come in their place.
func TestALedgerThatLostWritesIsNoticed(t *testing.T) {
	for _, lost := range []int{1, 3, 29} {
		mini := miniredis.RunT(t)
		w := newWorld(t, mini.Addr())
		box := newInbox(nil, 0)
		for i := range 29 {
			w.grant(span(grant.NumberID(uint64(100*i)), 10)...)
		}
		before := mini.Dump()
		w.once(box)
		box.holds(w)
		require.NotEmpty(t, before)
		for range lost {
			_, err := mini.Pop("granter:{sorry-2022/0}:journal")
			require.NoError(t, err)
		}
		published := len(box.users)
		w.once(box)
		require.Len(t, box.users, published, "nothing new has come")
		require.Equal(t, 1, int(w.count("rewinds_total")), "it is said, before anything comes")

		w.regrant(mini, 29-lost)
		w.once(box)
		again := map[int64]int{}
		for _, user := range box.users {
			again[user]++
		}
		for i := range 29 {
			want := 1
			if i >= 29-lost {
				want = 2 // with another ID: the ledger says something else about them now
			}
			require.Equal(t, want, again[int64(100*i)], "entry %d of 29, %d lost", i, lost)
		}
	}
}

// The same, where as many entries as were lost have come before anybody looked.
func TestOtherEntriesInTheSamePlacesAreNoticed(t *testing.T) {
	mini := miniredis.RunT(t)
	w := newWorld(t, mini.Addr())
	box := newInbox(nil, 0)
	for i := range 9 {
		w.grant(span(grant.NumberID(uint64(100*i)), 10)...)
	}
	w.once(box)
	for range 2 {
		_, err := mini.Pop("granter:{sorry-2022/0}:journal")
		require.NoError(t, err)
	}
	w.regrant(mini, 7)
	w.once(box)
	require.Len(t, box.users, 110)
}

// regrant grants those again whose entries are gone, from an entry on.
func (w *world) regrant(mini *miniredis.Miniredis, from int) {
	w.Helper()
	mini.Del("granter:{sorry-2022/0}:granted")
	mini.Del("granter:{sorry-2022/0}:calls")
	w.seq += 100
	mini.SetTime(time.Now().Add(time.Second))
	for i := from; i < 29; i++ {
		if w.granted[grant.NumberID(uint64(100*i))] {
			w.grant(span(grant.NumberID(uint64(100*i)), 10)...)
		}
	}
	mini.SetTime(time.Time{})
}

func TestOneOfSeveralLeads(t *testing.T) {
	mini := miniredis.RunT(t)
	w := newWorld(t, mini.Addr())
	box := newInbox(nil, 0)
	w.grant(span(grant.NumberID(1), 40)...)
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

func TestWhereASubscriberBegins(t *testing.T) {
	mini := miniredis.RunT(t)
	w := newWorld(t, mini.Addr())
	at := time.Now().Truncate(time.Second).UTC()
	for i := range 5 {
		mini.SetTime(at.Add(time.Duration(i) * time.Second))
		w.grant(grant.NumberID(uint64(i)), grant.NumberID(uint64(1<<16+i)))
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
	w.grant(grant.NumberID(9), grant.NumberID(2<<16))
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
