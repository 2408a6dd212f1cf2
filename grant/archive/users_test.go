package archive

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

// holding is a ledger in which some users are granted.
func holding(t *testing.T, ids grant.IDs, users ...string) (*ledger.Reader, *grant.Campaign) {
	t.Helper()
	client, err := ledger.Connect(ledger.Options{Addrs: []string{miniredis.RunT(t).Addr()}, PoolSize: 4})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	c := &grant.Campaign{Name: "sorry", Hash: "aa11", Canonical: []byte("{}"), Population: 100, Input: grant.Input{IDs: ids}}
	store, err := ledger.Open(client, c, ledger.Config{RetryFor: time.Second})
	require.NoError(t, err)
	g := ledger.NewGrants(store, grant.NewRunID(time.Now()))
	_, err = g.Begin(t.Context(), aTopic)
	require.NoError(t, err)
	require.NoError(t, g.EnsureSpec(t.Context(), c))
	form := userid.FormOf(&c.Input)
	ranges := []sharding.Range{{Partition: 0, First: 0, Last: 90}}
	if !c.Input.Opaque() {
		byChunk := map[uint64]*dense.Bitmap{}
		for _, user := range users {
			id, err := form.Parse(user)
			require.NoError(t, err)
			chunk, low := dense.Split(id.Number())
			if byChunk[chunk] == nil {
				byChunk[chunk] = new(dense.Bitmap)
			}
			byChunk[chunk].Set(low)
		}
		f := &dense.Flush{Seq: 1, Ranges: ranges}
		for _, chunk := range slices.Sorted(maps.Keys(byChunk)) {
			f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: byChunk[chunk], Count: byChunk[chunk].Count()})
		}
		require.NoError(t, g.Grant(t.Context(), f))
		require.NoError(t, client.SetBit(t.Context(), "granter:{sorry/0}:excluded", 5, 1).Err())
		return ledger.NewReader(store), c
	}
	layout := ledger.LayoutOf(c)
	byBucket := map[uint64][][]byte{}
	for _, user := range users {
		member, fault := form.Member(nil, []byte(user))
		require.Empty(t, fault)
		bucket := layout.Bucket(opaque.Hash(member))
		byBucket[bucket] = append(byBucket[bucket], member)
	}
	f := &opaque.Flush{Seq: 1, Ranges: ranges}
	for _, bucket := range slices.Sorted(maps.Keys(byBucket)) {
		d := opaque.Delta{Bucket: bucket, Width: layout.Width, Count: len(byBucket[bucket])}
		for _, member := range slices.SortedFunc(slices.Values(byBucket[bucket]), opaque.Compare) {
			d.Bytes = layout.Width.Append(d.Bytes, member)
		}
		f.Deltas = append(f.Deltas, d)
	}
	require.NoError(t, g.AddMembers(t.Context(), f))
	out := map[grant.IDs]string{
		grant.IDsInt64: "-6", grant.IDsUUID: "00000000-0000-4000-8000-000000000006", grant.IDsString: "Grace",
	}[ids]
	did, err := ledger.NewActs(store, 9).Do(t.Context(), []ledger.UserAct{{User: grant.TextID(out), Act: grant.Act{
		ID: "one", Kind: grant.ActExclude, Who: "mira", Via: "cli", Reason: "ticket 7",
	}}}, false)
	require.NoError(t, err)
	require.NoError(t, did[0].Err)
	return ledger.NewReader(store), c
}

// Whoever is granted is in a list once, in each form, whatever IDs are, and can be read out of it again; who is excluded is not.
func TestUsersAreListedInEachForm(t *testing.T) {
	const one, other = "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "00000000-0000-4000-8000-000000000001"
	for ids, c := range map[grant.IDs]struct{ granted, want []string }{
		"":              {[]string{"5", "7", "48000000"}, []string{"7", "48000000"}},
		grant.IDsInt64:  {[]string{"-5", "9223372036854775807"}, []string{"-5", "9223372036854775807"}},
		grant.IDsUUID:   {[]string{one, "{" + strings.ToUpper(other) + "}"}, []string{other, one}},
		grant.IDsString: {[]string{"Ada", "한국 \"1\""}, []string{"Ada", "한국 \"1\""}},
	} {
		t.Run(string(ids), func(t *testing.T) {
			reader, camp := holding(t, ids, c.granted...)
			form := userid.FormOf(&camp.Input)
			write := func(as UserForm) []byte {
				var out bytes.Buffer
				users, err := WriteUsers(t.Context(), reader, camp, as, &out)
				require.NoError(t, err)
				require.EqualValues(t, len(c.want), users)
				return out.Bytes()
			}
			require.ElementsMatch(t, c.want, strings.Split(strings.TrimSuffix(string(write(UsersText)), "\n"), "\n"))
			var read []string
			require.NoError(t, userid.ReadListOf(bytes.NewReader(write(UsersText)), &camp.Input).Each(t.Context(),
				func(id grant.UserID) { read = append(read, id.String()) }))
			require.ElementsMatch(t, c.want, read)

			read = nil
			for line := range strings.Lines(string(write(UsersJSON))) {
				var of struct {
					User string `json:"user"`
				}
				require.NoError(t, json.Unmarshal([]byte(line), &of))
				read = append(read, of.User)
			}
			require.ElementsMatch(t, c.want, read)

			read = nil
			for raw := write(UsersBinary); len(raw) > 0; {
				size, n := form.Width(), 0
				switch {
				case ids == grant.IDsString:
					length, k := binary.Uvarint(raw)
					size, n = int(length), k
				case ids == "":
					read, raw = append(read, grant.NumberID(binary.BigEndian.Uint64(raw)).String()), raw[8:]
					continue
				}
				id := form.ID(raw[n : n+size])
				read, raw = append(read, id.String()), raw[n+size:]
			}
			require.ElementsMatch(t, c.want, read)
			require.True(t, ids != "" || slices.Equal(c.want, read), "ascending")
		})
	}
	reader, camp := holding(t, grant.IDsString, "two\nlines")
	_, err := WriteUsers(t.Context(), reader, camp, UsersText, new(bytes.Buffer))
	require.ErrorContains(t, err, "write json or binary")
	_, err = WriteUsers(t.Context(), reader, camp, UsersBinary, new(bytes.Buffer))
	require.NoError(t, err)
}
