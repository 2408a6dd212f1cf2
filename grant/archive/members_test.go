package archive

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/opaque"
)

// fewBuckets is in how many buckets the users of aMember are: a flush is a script's call for each, which takes a stand-in of
// Redis milliseconds, and more under the race detector.
const fewBuckets = 8

// aMember is the n-th user in fewBuckets of a campaign whose IDs are not dense.
func (b *box) aMember(n int) (text string, member []byte) {
	b.Helper()
	form, layout := userid.FormOf(&b.c.Input), ledger.LayoutOf(b.c)
	for ; n >= len(b.users); b.tried++ {
		text := map[grant.IDs]string{
			grant.IDsUUID: fmt.Sprintf("6ba7b810-9dad-41d1-80b4-%012x", b.tried), grant.IDsInt64: fmt.Sprint(-7919 * b.tried),
			grant.IDsString: fmt.Sprintf("민지-%d@example.com", b.tried),
		}[b.c.Input.IDs]
		member, fault := form.Member(nil, []byte(text))
		require.Empty(b, fault)
		if int(layout.Bucket(opaque.Hash(member)))%layout.Buckets() < fewBuckets {
			b.users = append(b.users, aUser{text, member})
		}
	}
	return b.users[n].text, b.users[n].member
}

type aUser struct {
	text   string
	member []byte
}

// addMembers grants users from one up to, not including, another, and returns how many had no place before.
func (b *box) addMembers(g *ledger.Grants, seq *uint64, from, to int) int {
	b.Helper()
	var members [][]byte
	for n := from; n < to; n++ {
		_, m := b.aMember(n)
		members = append(members, m)
	}
	ranges := []sharding.Range{{Partition: 1, First: int64(from), Last: int64(to)}}
	granted, err := g.AddSome(b.Context(), seq, ranges, members)
	require.NoError(b, err)
	return len(granted)
}

// fillMembers grants 240 users, each bucket in several entries, of whom 30 take one item and 20 another, which are all there are.
func (b *box) fillMembers() {
	b.Helper()
	g, seq := b.grants(), uint64(0)
	for n := range 3 {
		require.Equal(b, 80, b.addMembers(g, &seq, 80*n, 80*(n+1)))
	}
	outcomes := map[grant.Outcome]int{}
	for _, t := range b.take(0, 30) {
		outcomes[t.Outcome]++
	}
	require.Equal(b, map[grant.Outcome]int{grant.OutcomeTaken: 50, grant.OutcomeExhausted: 10}, outcomes)
	b.settle(g)
}

// take has users from one up to, not including, another take both items, first all of them the first one.
func (b *box) take(from, to int) []ledger.Taken {
	b.Helper()
	var wishes []ledger.Take
	for item := range b.c.Items {
		for n := from; n < to; n++ {
			text, _ := b.aMember(n)
			wishes = append(wishes, ledger.Take{User: grant.TextID(text), Item: item})
		}
	}
	taken, err := ledger.NewTakes(b.Store, 9).Take(b.Context(), b.c, wishes)
	require.NoError(b, err)
	return taken
}

func (b *box) fillAny() {
	b.Helper()
	if b.c.Input.Opaque() {
		b.fillMembers()
		return
	}
	b.fill()
}

// empty takes everything out of a Redis.
func (b *box) empty() {
	b.Helper()
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		require.NoError(b, cluster.ForEachMaster(b.Context(), func(ctx context.Context, c *redis.Client) error {
			return c.FlushAll(ctx).Err()
		}))
		return
	}
	require.NoError(b, b.client.FlushAll(b.Context()).Err())
}

func TestALedgerOfMembersIsTheSameAfterExportAndImport(t *testing.T) {
	boxOf := func(addr string, cluster bool, ids grant.IDs) *box {
		return openBoxOf(t, ledger.Options{Addrs: []string{addr}, Cluster: cluster, PoolSize: 4}, ids)
	}
	for i, ids := range []grant.IDs{grant.IDsUUID, grant.IDsString, grant.IDsInt64} {
		from := boxOf(miniredis.RunT(t).Addr(), i == 1, ids)
		from.fillMembers()
		path, end := from.export()
		require.EqualValues(t, 240, end.Granted)
		proof, err := from.Reader.Prove(t.Context())
		require.NoError(t, err)
		require.Equal(t, proof.Digest, end.Users)

		elsewhere := miniredis.RunT(t).Addr()
		done, err := boxOf(elsewhere, i == 0, "").restore(path) // as granter import does, which has no spec
		require.NoError(t, err)
		require.Equal(t, end, done.End)
		to := boxOf(elsewhere, i == 0, ids)
		same(t, from, to)
		proof, err = to.Reader.Prove(t.Context())
		require.NoError(t, err)
		require.NoError(t, to.Reader.ProveTakes(t.Context(), to.c, &proof))
		require.True(t, proof.Holds(), "%+v", proof)
		require.EqualValues(t, 50, proof.Taken)
		was, is := from.take(0, 30), to.take(0, 30)
		require.Equal(t, was, is, "since when each has it, and that there are none left")
		require.Equal(t, grant.OutcomeAlready, is[0].Outcome)
		totals, err := to.Reader.Totals(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 240, totals.Granted)

		// It is granted by as before: who has it is a duplicate.
		is = to.take(30, 31)
		require.Equal(t, grant.OutcomeTaken, is[0].Outcome)
		require.Equal(t, grant.OutcomeExhausted, is[1].Outcome)
		g, seq := to.grants(), uint64(0)
		require.Equal(t, 5, to.addMembers(g, &seq, 235, 245))
		done, err = from.restore(path)
		require.NoError(t, err)
		require.True(t, done.Already)
		_, err = to.restore(path)
		require.ErrorIs(t, err, ErrOther)
	}
}

func TestTheTableOfMembersHasARowForEachUserOfEachEntry(t *testing.T) {
	b := openBoxOf(t, ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}, PoolSize: 4}, grant.IDsUUID)
	b.fillMembers()
	var out bytes.Buffer
	rows, err := WriteCSV(t.Context(), b.Subject, &out)
	require.NoError(t, err)
	require.EqualValues(t, 240, rows)
	table, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, table, 241)
	var users, want []string
	for i, row := range table[1:] {
		users = append(users, row[0])
		text, _ := b.aMember(i)
		want = append(want, text)
	}
	slices.Sort(users)
	require.Equal(t, want, users)
}
