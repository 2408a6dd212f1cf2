package archive

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// box is a Redis and the ledger of a campaign in it.
type box struct {
	*testing.T
	Subject
	c      *grant.Campaign
	client redis.UniversalClient
	cut    *cut

	letters int     // that settle replays
	users   []aUser // of aMember, and how many IDs were looked at for them
	tried   int
}

// cut lets a number of calls through, and none after them.
type cut struct{ left atomic.Int64 }

var errKilled = errors.New("killed")

func (k *cut) DialHook(next redis.DialHook) redis.DialHook { return next }

func (k *cut) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if k.left.Add(-1) < 0 {
			cmd.SetErr(errKilled)
			return errKilled
		}
		return next(ctx, cmd)
	}
}

func (k *cut) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if k.left.Add(-1) < 0 {
			for _, cmd := range cmds {
				cmd.SetErr(errKilled)
			}
			return errKilled
		}
		return next(ctx, cmds)
	}
}

func newBox(t *testing.T, cluster bool) *box {
	t.Helper()
	return openBox(t, ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}, Cluster: cluster, PoolSize: 4})
}

func openBox(t *testing.T, o ledger.Options) *box { t.Helper(); return openBoxOf(t, o, "") }

func openBoxOf(t *testing.T, o ledger.Options, ids grant.IDs) *box {
	t.Helper()
	c := &grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("{}"), Input: grant.Input{IDs: ids}}
	b := &box{T: t, c: c, cut: &cut{}, letters: 5000} // several pages
	if ids != "" {
		c.Population, b.letters = 1000, 50
		c.Items = []grant.Item{
			{ID: "any", Validity: grant.Validity{Taken: true}}, {ID: "few", Validity: grant.Validity{Taken: true}, First: 20},
		}
	}
	var err error
	b.client, err = ledger.Connect(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.client.Close()) })
	b.cut.left.Store(1 << 40)
	b.client.AddHook(b.cut)
	store, err := ledger.Open(b.client, b.c, ledger.Config{RetryFor: time.Second})
	require.NoError(t, err)
	b.Subject = NewSubject(store)
	return b
}

var aTopic = grant.TopicID{Cluster: "k", Topic: [16]byte{1}}

// grants begins a run.
func (b *box) grants() *ledger.Grants {
	b.Helper()
	g := ledger.NewGrants(b.Store, grant.NewRunID(time.Now()))
	_, err := g.Begin(b.Context(), aTopic)
	require.NoError(b, err)
	require.NoError(b, g.EnsureSpec(b.Context(), b.c))
	return g
}

// fill grants users of every shape of container, and does acts.
func (b *box) fill() {
	b.Helper()
	g := b.grants()
	random := rand.New(rand.NewPCG(1, 2))
	for seq := range uint64(6) {
		f := &dense.Flush{Seq: seq + 1, Ranges: []sharding.Range{{Partition: int(seq), First: 5, Last: 90}}}
		for _, chunk := range []uint64{0, 3, 629, 1 << 40} {
			members := new(dense.Bitmap)
			for range 1 + random.IntN(9000) {
				members.Set(uint16(random.IntN(dense.ChunkSize)))
			}
			if seq == 0 && chunk == 3 {
				*members = dense.Bitmap{}
				for low := range 20_000 {
					members.Set(uint16(low))
				}
			}
			f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: members, Count: members.Count()})
		}
		require.NoError(b, g.Grant(b.Context(), f))
	}
	b.settle(g)
	_, key := b.client.HSet(b.Context(), "granter:{sorry/3}:state", "7", `{"acts":["x"]}`).Result()
	require.NoError(b, key)
	require.NoError(b, b.client.SetBit(b.Context(), "granter:{sorry/3}:excluded", 9, 1).Err())
	require.NoError(b, b.client.SetBit(b.Context(), "granter:{sorry/3}:excluded", 9, 0).Err(), "a bitmap without a user")
}

// settle leaves what is of no chunk.
func (b *box) settle(g *ledger.Grants) {
	b.Helper()
	require.NoError(b, g.Checkpoint(b.Context(), grant.Offsets{0: 100, 7: 3}, map[int]int32{0: 4}))
	require.NoError(b, g.SaveRun(b.Context(), grant.RunRecord{Run: 7, Spec: "aa11", State: grant.RunFinished}))
	order := grant.Order{Action: grant.ActionThrottle, Throttle: 9, Who: "m", Via: "cli", Why: "a test"}
	_, err := b.Coordination.Order(b.Context(), order)
	require.NoError(b, err)
	claims := []ledger.Claim{}
	for i := range b.letters {
		claims = append(claims, ledger.Claim{Letter: fmt.Sprint("t/0/", i), User: grant.NumberID(uint64(i)), Run: 7})
	}
	_, err = b.Coordination.ClaimLetters(b.Context(), claims)
	require.NoError(b, err)
	require.NoError(b, b.Coordination.SettleLetters(b.Context(), []string{"t/0/1"}, []string{"t/0/2"}))
}

func (b *box) export() (string, End) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "sorry.ledger")
	_, end, size, err := Export(b.Context(), b.Subject, Header{Campaign: "sorry", By: "m"}, path)
	require.NoError(b, err)
	require.Positive(b, size)
	return path, end
}

func (b *box) restore(path string) (Imported, error) {
	return Import(b.Context(), b.Subject, path, ledger.Import{At: time.Now(), Who: "m"})
}

// same requires that two ledgers are the same.
func same(t *testing.T, a, b *box) {
	t.Helper()
	one, err := Digest(t.Context(), a.Subject)
	require.NoError(t, err)
	other, err := Digest(t.Context(), b.Subject)
	require.NoError(t, err)
	one.Parts, other.Parts = 0, 0
	require.Equal(t, one, other)
	for _, b := range []*box{a, b} {
		found, err := b.Reader.Checkpoints(t.Context(), b.c)
		require.NoError(t, err)
		require.Equal(t, grant.Checkpoint{Topic: aTopic, Next: grant.Offsets{0: 100, 7: 3}, Epochs: map[int]int32{0: 4}}, found)
		runs, err := b.Coordination.Runs(t.Context())
		require.NoError(t, err)
		require.Len(t, runs, 1)
		control, _, err := b.Coordination.Control(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 9, control.Throttle)
		replays, err := b.Reader.Replays(t.Context())
		require.NoError(t, err)
		require.Equal(t, grant.Replays{Granted: 1, Duplicate: 1}, replays)
		n, err := b.client.HLen(t.Context(), "granter:{sorry}:replays").Result()
		require.NoError(t, err)
		require.EqualValues(t, b.letters, n)
	}
}

func TestALedgerIsTheSameAfterExportAndImport(t *testing.T) {
	for _, c := range []struct{ from, to bool }{{false, true}, {true, false}, {false, false}} {
		t.Run(fmt.Sprint("cluster ", c.from, " to ", c.to), func(t *testing.T) {
			from, to := newBox(t, c.from), newBox(t, c.to)
			from.fill()
			path, end := from.export()
			done, err := to.restore(path)
			require.NoError(t, err)
			require.False(t, done.Already)
			require.Equal(t, end, done.End)
			same(t, from, to)
			_, again := to.export()
			require.Equal(t, end.Ledger, again.Ledger)

			// It is granted by as before: who has it is a duplicate, and the lease, spec and index are in order.
			members := new(dense.Bitmap)
			members.Set(5)
			f := &dense.Flush{Seq: 1, Deltas: []dense.Delta{{Chunk: 3, Members: members, Count: 1}}}
			require.NoError(t, to.grants().Grant(t.Context(), f))
			require.NotNil(t, f.Deltas[0].Duplicates)

			done, err = from.restore(path)
			require.NoError(t, err)
			require.True(t, done.Already, "the ledger of the file itself")
		})
	}
}

func TestAnImportNeverMerges(t *testing.T) {
	from, to := newBox(t, false), newBox(t, false)
	from.fill()
	path, _ := from.export()
	members := new(dense.Bitmap)
	members.Set(5)
	deltas := []dense.Delta{{Chunk: 3, Members: members, Count: 1}}
	require.NoError(t, to.grants().Grant(t.Context(), &dense.Flush{Seq: 1, Deltas: deltas}))
	before, err := Digest(t.Context(), to.Subject)
	require.NoError(t, err)
	_, err = to.restore(path)
	require.ErrorIs(t, err, ErrOther)
	after, err := Digest(t.Context(), to.Subject)
	require.NoError(t, err)
	require.Equal(t, before, after)

	require.NoError(t, to.client.Del(t.Context(), "granter:{sorry}:format", "granter:{sorry}:spec", "granter:{sorry}:chunks",
		"granter:{sorry}:leases").Err())
	_, err = to.restore(path)
	require.ErrorIs(t, err, ErrOther, "a chunk that no index lists is there all the same")
	exists, err := to.client.Exists(t.Context(), "granter:{sorry}:format").Result()
	require.NoError(t, err)
	require.Zero(t, exists)
}

// Whoever is killed at any call does it again with the same file. Meanwhile nobody grants, asks or orders anything by it.
func TestAnImportThatIsKilledAnywhereIsDoneAgain(t *testing.T) {
	otherBox := newBox(t, false)
	otherBox.grants()
	other, _ := otherBox.export()
	for name, c := range map[string]struct {
		letters     int
		every, held int64 // more calls each time than a part of those before
	}{
		"at each call of the first, and at many": {50, 12, 9},
		"where a key has several pages":          {5000, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			from := newBox(t, false)
			from.letters = c.letters
			from.fill()
			path, _ := from.export()
			held := int64(0)
			for calls, through := int64(1), false; !through; calls += 1 + calls/c.every {
				to := newBox(t, false)
				to.letters = c.letters
				to.cut.left.Store(calls)
				_, err := to.restore(path)
				through = err == nil
				to.cut.left.Store(1 << 40)
				if _, _, err := to.Coordination.Spec(t.Context()); err != nil && !through {
					held++
					importing := &ledger.ImportingError{}
					require.ErrorAs(t, err, &importing)
					require.ErrorContains(t, err, "granter import")
					_, _, err = to.Coordination.Control(t.Context())
					require.ErrorAs(t, err, &importing)
					g := ledger.NewGrants(to.Store, 9)
					require.ErrorAs(t, g.EnsureSpec(t.Context(), to.c), &importing)
					_, err = to.restore(other)
					require.ErrorAs(t, err, &importing, "of another file")
				}
				_, err = to.restore(path)
				require.NoError(t, err, "after %d calls", calls)
				same(t, from, to)
			}
			require.GreaterOrEqual(t, held, c.held)
		})
	}
}

func TestADamagedFileIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	from := newBox(t, false)
	from.fill()
	path, _ := from.export()
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	z, err := zstd.NewReader(bytes.NewReader(whole))
	require.NoError(t, err)
	defer z.Close()
	var plain bytes.Buffer
	_, err = plain.ReadFrom(z)
	require.NoError(t, err)
	pack := func(data []byte) []byte {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, errors.Join(err, w.Close()))
		return out.Bytes()
	}
	random := rand.New(rand.NewPCG(3, 4))
	try := func(name string, data []byte) {
		t.Helper()
		_, _, err := Read(bytes.NewReader(data), Visit{})
		require.Error(t, err, name)
	}
	try("nothing", nil)
	try("text", []byte("{}"))
	for range 60 {
		try("cut off", whole[:random.IntN(len(whole))])
		changed := bytes.Clone(plain.Bytes())
		at := random.IntN(len(changed))
		changed[at] ^= 1 << random.IntN(8)
		try(fmt.Sprint("changed at ", at), pack(changed))
	}
	try("more behind it", pack(append(bytes.Clone(plain.Bytes()), 0)))
	_, _, err = Read(bytes.NewReader(pack([]byte("granter ledger 2\n"))), Visit{})
	require.ErrorContains(t, err, "newer granter")

	to := newBox(t, false)
	bad := filepath.Join(t.TempDir(), "bad")
	require.NoError(t, os.WriteFile(bad, whole[:len(whole)-20], 0o600))
	_, err = to.restore(bad)
	require.ErrorIs(t, err, ErrDamaged)
	keys, err := to.client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestTheTableHasARowForEachUserOfEachEntry(t *testing.T) {
	b := newBox(t, false)
	b.fill()
	var out bytes.Buffer
	rows, err := WriteCSV(t.Context(), b.Subject, &out)
	require.NoError(t, err)
	table, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, table, int(rows)+1)
	totals, err := b.Reader.Totals(t.Context())
	require.NoError(t, err)
	require.Equal(t, totals.Granted, rows)
	require.Equal(t, columns, table[0])
	_, err = time.Parse(time.RFC3339, table[1][1])
	require.NoError(t, err)
	require.Equal(t, "grant", table[1][2])
}

// Why something was done to a list is in the rows of all of the list, but of whom it was erased.
func TestTheTableDoesNotTellWhatWasErased(t *testing.T) {
	b := newBox(t, false)
	b.grants()
	acts := ledger.NewActs(b.Store, 9)
	do := func(kind grant.ActKind, reason string, users ...uint64) {
		var list []ledger.UserAct
		for _, user := range users {
			act := grant.Act{ID: reason, Kind: kind, Who: "m", Via: "cli", Reason: reason}
			list = append(list, ledger.UserAct{User: grant.NumberID(user), Act: act})
		}
		results, err := acts.Do(t.Context(), list, false)
		require.NoError(t, err)
		for _, r := range results {
			require.NoError(t, r.Err)
		}
	}
	do(grant.ActExclude, "list of leavers", 1, 2, 3)
	do(grant.ActErase, "request 88", 2)
	do(grant.ActNote, "=HYPERLINK()", 2, 3)
	var out bytes.Buffer
	_, err := WriteCSV(t.Context(), b.Subject, &out)
	require.NoError(t, err)
	table, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	var said []string
	for _, row := range table[1:] {
		said = append(said, row[0]+" "+row[2]+": "+row[8])
	}
	require.Equal(t, []string{
		"1 exclude: list of leavers", "2 exclude: ", "3 exclude: list of leavers", "2 erase: request 88",
		"2 note: '=HYPERLINK()", "3 note: '=HYPERLINK()",
	}, said)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("granter ledger 1\n\x02H{}"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if len(data) > 0 {
			_, _ = readRecord(data)
		}
		_, _, _ = Read(bytes.NewReader(data), Visit{})
	})
}
