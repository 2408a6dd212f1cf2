package entitle_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
)

// patient is for what takes a stand-in of Redis long, which interprets scripts.
func patient(cfg *entitle.Config) { cfg.Timeout = time.Minute }

// sorryTo is sorry for users whose IDs are not dense.
func sorryTo(ids grant.IDs) *grant.Campaign {
	c := sorry()
	c.Population, c.Input = 1000, grant.Input{IDs: ids, Format: grant.FormatText}
	return c
}

// ids are n users whose IDs are of a kind, from a number on.
func ids(kind grant.IDs, from, n int) (out []grant.UserID) {
	for i := from; i < from+n; i++ {
		out = append(out, grant.TextID(map[grant.IDs]string{
			grant.IDsUUID:   fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", i),
			grant.IDsString: fmt.Sprintf(`민지/"%d"`, i),
			grant.IDsInt64:  fmt.Sprint(int64(1-2*(i%2)) * (int64(i) + 1) << 40),
		}[kind]))
	}
	return out
}

// put grants users in buckets at a moment.
func (w *world) put(c *grant.Campaign, at time.Time, users ...grant.UserID) {
	w.Helper()
	w.redis.SetTime(at)
	form := userid.FormOf(&c.Input)
	var members [][]byte
	for _, user := range users {
		member, fault := form.Member(nil, []byte(user.String()))
		require.Empty(w, fault)
		members = append(members, member)
	}
	_, err := w.grants[c.Name].AddSome(w.Context(), &w.seq, []sharding.Range{{First: 1, Last: 1}}, members)
	require.NoError(w, err)
}

// countReads counts how often a list is read, which buckets are.
type countReads struct{ read atomic.Int64 }

func (*countReads) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *countReads) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "lrange" {
			c.read.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (c *countReads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if cmd.Name() == "lrange" {
				c.read.Add(1)
			}
		}
		return next(ctx, cmds)
	}
}

// crowd are n users of a campaign in four of its buckets, so that each entry of theirs has several.
func crowd(t *testing.T, c *grant.Campaign, n int) (out []grant.UserID) {
	t.Helper()
	form, layout := userid.FormOf(&c.Input), ledger.LayoutOf(c)
	for i := 0; len(out) < n; i++ {
		user := ids(c.Input.IDs, i, 1)[0]
		member, fault := form.Member(nil, []byte(user.String()))
		require.Empty(t, fault)
		if int(layout.Bucket(opaque.Hash(member)))%layout.Buckets() < 4 {
			out = append(out, user)
		}
	}
	return out
}

// Whatever the IDs are, each user has an item from the user's own moment on, whichever way somebody asks.
func TestAUserInABucketIsCheckedExactly(t *testing.T) {
	const each = 12 // are granted at a moment
	for _, kind := range []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64} {
		t.Run(string(kind), func(t *testing.T) {
			c := sorryTo(kind)
			w := newWorld(t, c)
			users := crowd(t, c, 5*each)
			checker := w.checker(patient)
			require.Equal(t, []grant.State{none}, w.states(checker, "cheer-up", began, users[0]))
			for i := range 4 {
				w.put(c, began.Add(time.Duration(i)*time.Hour), users[each*i:each*(i+1)]...)
				some := []grant.UserID{users[0], users[each*i], users[each*(i+1)-1], users[each*(i+1)]}
				want := []grant.State{active, active, active, none}
				require.Equal(t, want, w.states(checker, "thank-you", time.Time{}, some...))
			}
			for _, at := range []time.Duration{
				-time.Millisecond, 0, time.Hour, days90 - time.Millisecond, days90, days90 + 2*time.Hour - time.Millisecond,
				days90 + 2*time.Hour, days90 + 9*time.Hour,
			} {
				want := make([]grant.State, len(users))
				for i := range users {
					own := time.Duration(i/each) * time.Hour
					switch {
					case i >= 4*each || at < own:
						want[i] = none
					case at < own+days90:
						want[i] = active
					default:
						want[i] = expired
					}
				}
				require.Equal(t, want, w.states(checker, "cheer-up", began.Add(at), users...), "%s", at)
			}
		})
	}
}

// Whatever somebody does about a user counts for the next check, and so does what runs grant meanwhile.
func TestActsInBucketsCountForTheNextCheck(t *testing.T) {
	c := sorryTo(grant.IDsUUID)
	w := newWorld(t, c)
	now := time.Now().UTC().Truncate(time.Millisecond)
	users := ids(grant.IDsUUID, 0, 40)
	w.put(c, now.Add(-time.Hour), users[:20]...)
	checker := w.checker(patient)
	states := func(of ...grant.UserID) []grant.State { return w.states(checker, "cheer-up", time.Time{}, of...) }
	require.Equal(t, []grant.State{active, active, none, none, none}, states(users[0], users[1], users[20], users[21], users[22]))
	w.act(now, grant.Act{Kind: grant.ActRevoke, Revocation: grant.RevokedFraud}, users[0])
	w.act(now, grant.Act{Kind: grant.ActHand}, users[20])
	w.act(now, grant.Act{Kind: grant.ActExclude}, users[21])
	w.act(now, grant.Act{Kind: grant.ActExclude}, users[22])
	w.act(now, grant.Act{Kind: grant.ActNote}, users[2])
	w.act(now, grant.Act{Kind: grant.ActExtend, Until: now.Add(-time.Minute)}, users[3])
	w.act(now, grant.Act{Kind: grant.ActReinstate}, users[22])
	require.Equal(t, []grant.State{grant.StateRevoked, active, active, none, active, active, expired},
		states(users[0], users[1], users[20], users[21], users[22], users[2], users[3]))
	w.act(now, grant.Act{Kind: grant.ActReinstate}, users[0])
	require.Equal(t, []grant.State{active}, states(users[0]))
}

// A Redis that lost its last writes has other entries in their place, as many as before: no check takes those for the old ones.
func TestABucketThatLostWritesIsNoticed(t *testing.T) {
	c := sorryTo(grant.IDsUUID)
	w := newWorld(t, c)
	users := ids(grant.IDsUUID, 0, 600)
	w.put(c, began, users[:300]...)
	checker := w.checker(patient)
	before := w.states(checker, "thank-you", time.Time{}, users...)
	require.Equal(t, []grant.State{active, none}, []grant.State{before[0], before[599]})
	for _, key := range w.redis.Keys() {
		if strings.HasSuffix(key, ":journal") || strings.HasSuffix(key, ":calls") {
			w.redis.Del(key)
		}
	}
	w.put(c, began.Add(time.Second), users[300:]...)
	after := w.states(checker, "thank-you", time.Time{}, users...)
	for i := range users {
		require.Equal(t, i >= 300, after[i] == active, i)
	}
}

// A bucket is read once, and only on when it has grown; a check asks for what it needs, of items that users take, too.
func TestABucketIsReadOnce(t *testing.T) {
	c := sorryTo(grant.IDsUUID)
	c.Items = append(c.Items, grant.Item{ID: "take-me", Validity: grant.Validity{Taken: true}},
		grant.Item{ID: "first-ones", Validity: grant.Validity{Taken: true}, First: 100})
	w := newWorld(t, c)
	users := ids(grant.IDsUUID, 0, 300)
	w.put(c, began, users...)
	var seen countReads
	w.client.AddHook(&seen)
	checker := w.checker(patient)
	check := func(user grant.UserID, item string, want grant.State) {
		t.Helper()
		a, err := checker.Check(t.Context(), entitle.Query{User: user, Item: item})
		require.NoError(t, err)
		require.Equal(t, want, a.State)
	}
	var all errgroup.Group
	for _, user := range users {
		all.Go(func() error {
			check(user, "thank-you", active)
			return nil
		})
	}
	require.NoError(t, all.Wait())
	require.LessOrEqual(t, seen.read.Load(), int64(256), "buckets")
	w.take(began.Add(time.Hour), 2, users[0])
	w.take(began.Add(time.Hour), 3, users[0])
	seen.read.Store(0)
	for _, user := range users[1:20] {
		check(user, "thank-you", active)
		check(user, "take-me", grant.StateOffered)
		check(user, "first-ones", grant.StateOffered)
	}
	require.Equal(t, []grant.State{active, grant.StateOffered}, w.states(checker, "first-ones", time.Time{}, users[0], users[1]))
	require.Equal(t, []grant.State{active, grant.StateOffered}, w.states(checker, "take-me", time.Time{}, users[0], users[1]))
	require.Zero(t, seen.read.Load())
}

// Members that have one fingerprint in one bucket are told from each other by their bytes.
func TestAFingerprintDecidesNothing(t *testing.T) {
	c := sorryTo(grant.IDsInt64)
	layout := ledger.LayoutOf(c)
	type place struct {
		bucket uint64
		print  uint32
	}
	seen := map[place]int64{}
	var pair [2]int64
	for n := int64(1); pair[0] == 0; n++ {
		hash := opaque.Hash(binary.BigEndian.AppendUint64(nil, uint64(n)))
		at := place{layout.Bucket(hash), layout.Print(hash)}
		if other, there := seen[at]; there {
			pair = [2]int64{other, n}
		}
		seen[at] = n
	}
	w := newWorld(t, c)
	one, two := grant.NumberID(uint64(pair[0])), grant.NumberID(uint64(pair[1]))
	w.put(c, began, one)
	checker := w.checker(patient)
	require.Equal(t, []grant.State{active, none}, w.states(checker, "thank-you", time.Time{}, one, two))
	w.put(c, began.Add(time.Second), two)
	require.Equal(t, []grant.State{active, active}, w.states(checker, "thank-you", time.Time{}, one, two))
}

// Campaigns read an ID each in its own way, and one that has no such IDs says nothing about the user.
func TestEachCampaignReadsAnIDInItsOwnWay(t *testing.T) {
	uuids, texts, numbers := sorryTo(grant.IDsUUID), sorryTo(grant.IDsString), sorry()
	texts.Name, numbers.Name = "strings", "numbers"
	texts.Items, numbers.Items = texts.Items[:1], numbers.Items[1:]
	w := newWorld(t, uuids, texts, numbers)
	user := ids(grant.IDsUUID, 7, 1)[0]
	w.put(uuids, began, user)
	w.put(texts, began, grant.TextID("007"))
	w.grant("numbers", began, grant.NumberID(7))
	checker := w.checker(patient)
	ask := func(user, item string) (grant.State, grant.UserID) {
		a, err := checker.Check(t.Context(), entitle.Query{User: grant.TextID(user), Item: item, At: began.Add(time.Hour)})
		require.NoError(t, err)
		return a.State, a.User
	}
	state, as := ask("{6BA7B810-9DAD-41D1-80B4-000000000007}", "thank-you")
	require.Equal(t, active, state)
	require.Equal(t, user, as)
	state, as = ask("007", "thank-you")
	require.Equal(t, active, state)
	require.Equal(t, "007", as.String())
	state, _ = ask("7", "thank-you")
	require.Equal(t, none, state)
	state, _ = ask("7", "cheer-up")
	require.Equal(t, active, state)
	_, err := checker.Check(t.Context(), entitle.Query{User: grant.TextID("007"), Item: "cheer-up"})
	var noUser *entitle.UserError
	require.ErrorAs(t, err, &noUser, "neither a UUID nor a number")
	all, err := checker.Holdings(t.Context(), entitle.Query{User: user})
	require.NoError(t, err)
	require.Len(t, all.Held, 2)
}

// What is said while the ledger is away is declared; of users in buckets nothing is remembered.
func TestTheLastKnownSaysNothingOfBuckets(t *testing.T) {
	c := sorryTo(grant.IDsUUID)
	w := newWorld(t, c)
	user := ids(grant.IDsUUID, 1, 1)[0]
	w.put(c, began, user)
	checker := w.checker(patient, func(cfg *entitle.Config) { cfg.Fallback = entitle.FallbackLast })
	require.NoError(t, checker.Remember(t.Context()))
	require.Equal(t, []grant.State{active}, w.states(checker, "thank-you", time.Time{}, user))
	w.redis.Close()
	_, err := checker.Check(t.Context(), entitle.Query{User: user, Item: "thank-you"})
	var away *entitle.AwayError
	require.ErrorAs(t, err, &away)
}

// What users of buckets take counts for the next check, as it does where IDs are dense.
func TestTakesInBucketsCountForTheNextCheck(t *testing.T) {
	c := sorryTo(grant.IDsUUID)
	c.Items = append(c.Items,
		grant.Item{ID: "take-me", Kind: grant.KindItem, TakeUntil: began.Add(48 * time.Hour),
			Validity: grant.Validity{Length: days90, Taken: true}},
		grant.Item{ID: "first-one", Kind: grant.KindItem, First: 1, Validity: grant.Validity{Taken: true}})
	w := newWorld(t, c)
	users := ids(grant.IDsUUID, 0, 20)
	w.put(c, began, users[:10]...)
	checker := w.checker(patient)
	in := func(item string, at time.Time) []grant.State {
		return w.states(checker, item, at, users[1], users[2], users[11])
	}
	offered, lapsed := grant.StateOffered, grant.StateLapsed
	require.Equal(t, []grant.State{offered, offered, none}, in("take-me", began.Add(time.Minute)))
	w.take(began.Add(time.Hour), 2, users[1])
	require.Equal(t, []grant.State{active, offered, none}, in("take-me", began.Add(time.Hour)))
	require.Equal(t, []grant.State{active, lapsed, none}, in("take-me", began.Add(days90)))
	require.Equal(t, []grant.State{expired, lapsed, none}, in("take-me", began.Add(days90+time.Hour)))
	require.Equal(t, []grant.State{offered, offered, none}, in("first-one", time.Time{}))
	w.take(began.Add(time.Hour), 3, users[1])
	require.Equal(t, []grant.State{active, grant.StateExhausted, none}, in("first-one", time.Time{}))
}
