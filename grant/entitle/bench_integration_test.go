//go:build integration

package entitle_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// BenchmarkChecks asks a real Redis about random users of a million who are granted, by 64 at a time and in lists: those whose
// IDs are dense beside those whose IDs are UUIDs.
func BenchmarkChecks(b *testing.B) {
	server := devtest.StartRedis(b)
	client, err := ledger.Connect(ledger.Options{Addrs: []string{server.Addr}})
	require.NoError(b, err)
	defer client.Close()
	const users = 1 << 20
	var campaigns []entitle.Campaign
	for _, c := range []*grant.Campaign{sorry(), sorryTo(grant.IDsUUID)} {
		if c.Input.Opaque() {
			c.Name, c.Population = "uuids", users
		}
		store, err := ledger.Open(client, c, ledger.Config{})
		require.NoError(b, err)
		grants := ledger.NewGrants(store, 7)
		_, err = grants.Begin(b.Context(), grant.TopicID{})
		require.NoError(b, err)
		if c.Input.Opaque() {
			form, seq := userid.FormOf(&c.Input), uint64(0)
			for part := range 4 {
				var members [][]byte
				for _, user := range ids(grant.IDsUUID, part*users/4, users/4) {
					member, _ := form.Member(nil, []byte(user.String()))
					members = append(members, member)
				}
				_, err := grants.AddSome(b.Context(), &seq, []sharding.Range{{First: 1, Last: 1}}, members)
				require.NoError(b, err)
			}
		} else {
			f := &dense.Flush{Seq: 1, Ranges: []sharding.Range{{First: 1, Last: 1}}}
			for chunk := range uint64(users >> 16) {
				members := new(dense.Bitmap)
				for low := range 1 << 16 {
					members.Set(uint16(low))
				}
				f.Deltas = append(f.Deltas, dense.Delta{Chunk: chunk, Members: members, Count: 1 << 16})
			}
			require.NoError(b, grants.Grant(b.Context(), f))
		}
		campaigns = append(campaigns, entitle.Campaign{Campaign: c, Ledger: ledger.NewReader(store)})
	}
	uuids := ids(grant.IDsUUID, 0, users)
	for i, name := range []string{"dense", "uuid"} {
		checker := entitle.New(entitle.Config{
			Campaigns: func(context.Context) ([]entitle.Campaign, error) { return campaigns[i : i+1], nil },
		})
		user := func() grant.UserID {
			n := rand.Uint64N(users)
			if name == "dense" {
				return grant.NumberID(n)
			}
			return uuids[n]
		}
		b.Run(name+"/single", func(b *testing.B) {
			b.SetParallelism(32)
			var wrong atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					a, err := checker.Check(b.Context(), entitle.Query{User: user(), Item: "thank-you"})
					if err != nil || !a.Active() {
						wrong.Add(1)
					}
				}
			})
			require.Zero(b, wrong.Load())
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "users/s")
		})
		b.Run(name+"/list", func(b *testing.B) {
			list := make([]grant.UserID, 1<<16)
			states := make([]grant.State, len(list))
			for b.Loop() {
				for n := range list {
					list[n] = user()
				}
				many, err := checker.Many(b.Context(), entitle.Query{Item: "thank-you"})
				require.NoError(b, err)
				require.NoError(b, many.Check(b.Context(), list, states))
			}
			b.ReportMetric(float64(b.N*len(list))/b.Elapsed().Seconds(), "users/s")
		})
	}
}
