package reconcile

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

var sorry = &grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("{}")}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatIsToBeDone(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		missing []grant.UserID
		left    map[audit.Kind]int64
	}{
		"a list":      {"7\n5\n\n7\n", grant.NumberIDs(5, 7), map[audit.Kind]int64{}},
		"ids of both": {"kind,user\nmissing,7\nextra,9\n", grant.NumberIDs(7), map[audit.Kind]int64{audit.Extra: 1}},
		"a report": {`{"findings":[{"kind":"missing","where":"chunk 0","count":2,"users":["8","3"]},` +
			`{"kind":"records_gone","count":5}]}`, grant.NumberIDs(3, 8), map[audit.Kind]int64{audit.RecordsGone: 5}},
		"flaws":   {"granted_twice,7\nentry_without_bit,9\n", nil, map[audit.Kind]int64{}},
		"nothing": {"", nil, map[audit.Kind]int64{}},
	} {
		w, err := Read([]byte(c.text), &grant.Input{MaxID: 100})
		require.NoError(t, err, name)
		require.Equal(t, c.missing, w.Missing, name)
		require.Equal(t, c.left, w.Left, name)
	}
	for text, says := range map[string]string{
		"x": "line 1", "101": "line 1", "{": "no report", "missing,x": "line 1",
		`{"findings":[{"kind":"missing","where":"chunk 0","count":21,"users":["8"]}]}`: "--ids",
	} {
		_, err := Read([]byte(text), &grant.Input{MaxID: 100})
		require.ErrorContains(t, err, says, text)
	}
}

func TestTheMissingAreGrantedOnce(t *testing.T) {
	client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	defer client.Close()
	store, err := ledger.Open(client, sorry, ledger.Config{})
	require.NoError(t, err)
	reader := ledger.NewReader(store)
	do := func(text string, dry bool) string {
		t.Helper()
		w, err := Read([]byte(text), new(grant.Input))
		require.NoError(t, err)
		out, err := Do(t.Context(), ledger.NewActs(store, 9), w, "m", "INC-12", dry)
		require.NoError(t, err)
		return fmt.Sprint(out)
	}
	require.Equal(t, "[{5 granted } {70000 granted }]", do("5\n70000\n", true))
	totals, err := reader.Totals(t.Context())
	require.NoError(t, err)
	require.Zero(t, totals.Granted, "a dry run writes nothing")
	for range 2 { // the same file is the same act
		require.Equal(t, "[{5 granted } {70000 granted }]", do("5\n70000\n", false))
	}
	require.Equal(t, "[{5 had_it } {6 granted }]", do("5\n6\n", false))
	found, granted, err := reader.Lookup(t.Context(), grant.NumberID(5))
	require.NoError(t, err)
	require.True(t, granted)
	require.Equal(t, "INC-12", found.Act.Reason)
	proof, err := reader.Prove(t.Context())
	require.NoError(t, err)
	require.True(t, proof.Holds(), "%+v", proof)
	require.EqualValues(t, 3, proof.Granted)
	journal, err := client.LLen(t.Context(), "granter:{sorry/0}:journal").Result()
	require.NoError(t, err)
	require.EqualValues(t, 2, journal, "an act is done to a user once")
}

// Each damage is seen by the proof, repaired to what the ledger can still say, and said in the journal.
func TestBitsAndEntriesThatContradictEachOtherAreRepaired(t *testing.T) {
	const granted, journal = "granter:{sorry/0}:granted", "granter:{sorry/0}:journal"
	for name, c := range map[string]struct {
		damage  func(ctx context.Context, r redis.UniversalClient) error
		file    string
		want    string
		entries int64
	}{
		"an entry without a bit": {func(ctx context.Context, r redis.UniversalClient) error {
			return r.SetBit(ctx, granted, 5, 0).Err()
		}, "entry_without_bit,5\n", "[{5 bit_set }]", 3},
		"a bit without an entry": {func(ctx context.Context, r redis.UniversalClient) error {
			return r.SetBit(ctx, granted, 9, 1).Err()
		}, "bit_without_entry,9\n", "[{9 entry_added }]", 3},
		"two entries": {func(ctx context.Context, r redis.UniversalClient) error {
			return r.RPush(ctx, journal, r.LIndex(ctx, journal, 0).Val()).Err()
		}, "granted_twice,5\ngranted_twice,6\n", "[{5 repeat_removed } {6 repeat_removed }]", 3},
		"two entries that share a user": {func(ctx context.Context, r redis.UniversalClient) error {
			text := r.LIndex(ctx, journal, 1).Val() // of user 7: 7 becomes 5
			return r.RPush(ctx, journal, text[:len(text)-2]+"\x05\x00").Err()
		}, "granted_twice,5\n", "[{5 repeat_removed }]", 3},
		"two entries, and a bit without one": {func(ctx context.Context, r redis.UniversalClient) error {
			return errors.Join(r.RPush(ctx, journal, r.LIndex(ctx, journal, 0).Val()).Err(), r.SetBit(ctx, granted, 9, 1).Err())
		}, "granted_twice,5\ngranted_twice,6\nbit_without_entry,9\n",
			"[{5 repeat_removed } {6 repeat_removed } {9 entry_added }]", 4},
		"nothing": {func(context.Context, redis.UniversalClient) error { return nil },
			"entry_without_bit,5\nbit_without_entry,77\n",
			"[{5 had_it } {77 refused refused: neither bitmap nor journal has the user}]", 2},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}})
			require.NoError(t, err)
			defer client.Close()
			store, err := ledger.Open(client, sorry, ledger.Config{})
			require.NoError(t, err)
			grantTo(t, store, 1, 5, 6)
			grantTo(t, store, 2, 7)
			require.NoError(t, c.damage(t.Context(), client))
			reader := ledger.NewReader(store)
			proof, err := reader.Prove(t.Context())
			require.NoError(t, err)
			require.Equal(t, name == "nothing", proof.Holds())
			was := client.Dump(t.Context(), journal).Val() + client.Get(t.Context(), granted).Val()
			w, err := Read([]byte(c.file), new(grant.Input))
			require.NoError(t, err)
			for _, dry := range []bool{true, false} {
				out, err := Do(t.Context(), ledger.NewActs(store, 9), w, "m", "INC-12", dry)
				require.NoError(t, err)
				require.Equal(t, c.want, fmt.Sprint(out))
				if dry {
					require.Equal(t, was, client.Dump(t.Context(), journal).Val()+client.Get(t.Context(), granted).Val())
				}
			}
			proof, err = reader.Prove(t.Context())
			require.NoError(t, err)
			require.True(t, proof.Holds(), "%+v", proof)
			n := client.LLen(t.Context(), journal).Val()
			require.Equal(t, c.entries, n)
			found, has, err := reader.Lookup(t.Context(), grant.NumberID(5))
			require.NoError(t, err)
			require.True(t, has)
			require.Equal(t, grant.RunID(1), found.Run, "who granted it stays known")
			_, err = Do(t.Context(), ledger.NewActs(store, 9), w, "m", "INC-12", false)
			require.NoError(t, err)
			require.Equal(t, n, client.LLen(t.Context(), journal).Val(), "once")
		})
	}
}

// What nobody but a person can decide is left alone.
func TestAnExclusionAndAGrantOfOneUserAreLeftToAPerson(t *testing.T) {
	client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	defer client.Close()
	store, err := ledger.Open(client, sorry, ledger.Config{})
	require.NoError(t, err)
	acts := ledger.NewActs(store, 9)
	_, err = acts.Do(t.Context(), []ledger.UserAct{{User: grant.NumberID(5), Act: grant.Act{
		ID: "x", Kind: grant.ActExclude, Who: "m", Via: "cli", Reason: "a test",
	}}}, false)
	require.NoError(t, err)
	grantTo(t, store, 1, 6)
	const journal = "granter:{sorry/0}:journal"
	text := client.LIndex(t.Context(), journal, 1).Val()
	require.NoError(t, client.RPush(t.Context(), journal, text[:len(text)-2]+"\x05\x00").Err())
	w, err := Read([]byte("granted_twice,5\n"), new(grant.Input))
	require.NoError(t, err)
	out, err := Do(t.Context(), acts, w, "m", "INC-12", false)
	require.NoError(t, err)
	require.Equal(t, Refused, out[0].Result)
	require.Contains(t, out[0].Why, "restore the chunk")
	require.EqualValues(t, 3, client.LLen(t.Context(), journal).Val())
}

func TestTheIndexIsCompleted(t *testing.T) {
	client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}})
	require.NoError(t, err)
	defer client.Close()
	store, err := ledger.Open(client, sorry, ledger.Config{})
	require.NoError(t, err)
	grantTo(t, store, 1, 5)
	require.NoError(t, client.SRem(t.Context(), "granter:{sorry}:chunks", 0).Err())
	w, err := Read([]byte(`{"findings":[{"kind":"unlisted_chunk","where":"chunk 0","count":1}]}`), new(grant.Input))
	require.NoError(t, err)
	_, err = Do(t.Context(), ledger.NewActs(store, 9), w, "m", "INC-12", false)
	require.NoError(t, err)
	require.Equal(t, []string{"0"}, client.SMembers(t.Context(), "granter:{sorry}:chunks").Val())
}

// grantTo grants users of chunk 0 as a run does.
func grantTo(t *testing.T, store *ledger.Store, run grant.RunID, users ...uint16) {
	t.Helper()
	g := ledger.NewGrants(store, run)
	_, err := g.Begin(t.Context(), grant.TopicID{})
	require.NoError(t, err)
	members := new(dense.Bitmap)
	for _, user := range users {
		members.Set(user)
	}
	require.NoError(t, g.Grant(t.Context(), &dense.Flush{
		Seq: 1, Deltas: []dense.Delta{{Chunk: 0, Members: members, Count: len(users)}},
		Ranges: []sharding.Range{{Partition: 0, First: 1, Last: 9}},
	}))
}
