package accesslog_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/accesslog"
)

func started(t *testing.T) (*miniredis.Miniredis, *redis.Client, *accesslog.Log) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { client.Close() })
	return server, client, accesslog.New(client)
}

func read(t *testing.T, l *accesslog.Log, q accesslog.Query) (out []accesslog.Entry) {
	t.Helper()
	require.NoError(t, l.Each(t.Context(), q, func(e *accesslog.Entry) error { out = append(out, *e); return nil }))
	return out
}

func lookup(who string, users ...grant.UserID) accesslog.Access {
	return accesslog.Access{Who: who, From: "10.0.0.7", What: accesslog.WhatLookup, Why: "ticket 5", Users: users}
}

func holds(t *testing.T, l *accesslog.Log) *accesslog.Verdict {
	t.Helper()
	v, err := l.Verify(t.Context(), accesslog.Head{})
	require.NoError(t, err)
	require.Empty(t, v.Violations)
	return v
}

func TestEveryReadOfARecordIsAnEntry(t *testing.T) {
	server, _, l := started(t)
	require.Zero(t, holds(t, l).Entries)
	at := time.Date(2023, 1, 5, 0, 0, 0, 0, time.UTC)
	server.SetTime(at)
	require.NoError(t, l.Record(t.Context(), lookup("kim", grant.NumberID(7))))
	server.SetTime(at.Add(time.Hour))
	require.NoError(t, l.Record(t.Context(), lookup("lee", grant.NumberID(7), grant.NumberID(8))))

	all := read(t, l, accesslog.Query{})
	require.Len(t, all, 3)
	user := grant.NumberID(7)
	require.Equal(
		t,
		accesslog.Entry{N: 1, At: at, Who: "kim", From: "10.0.0.7", What: "lookup", Why: "ticket 5", User: &user},
		all[0],
	)
	require.Equal(t, 2, all[2].Many)
	require.Len(t, read(t, l, accesslog.Query{Who: "kim"}), 1)
	require.Len(t, read(t, l, accesslog.Query{User: "7"}), 2)
	require.Len(t, read(t, l, accesslog.Query{From: at.Add(time.Minute)}), 2)
	require.Len(t, read(t, l, accesslog.Query{To: at.Add(time.Hour)}), 1)
	require.EqualValues(t, 3, holds(t, l).Entries)
}

// Many replicas of a desk append to one chain, and a list is as many entries as it has users.
func TestAChainHasManyWriters(t *testing.T) {
	_, client, _ := started(t)
	var work errgroup.Group
	for i := range 8 {
		work.Go(func() error {
			l := accesslog.New(client)
			for j := range 20 {
				if err := l.Record(context.Background(), lookup(fmt.Sprint(i), grant.NumberID(uint64(j)))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, work.Wait())
	l := accesslog.New(client)
	list := make([]grant.UserID, 1201)
	require.NoError(t, l.Record(t.Context(), lookup("lee", list...)))
	require.EqualValues(t, 8*20+1201, holds(t, l).Entries)
}

func TestWhatWasDoneToTheLogIsNamed(t *testing.T) {
	const log, head = "granter:{/reads}:log", "granter:{/reads}:head"
	ids := func(t *testing.T, c *redis.Client) (out []string) {
		all, err := c.XRange(t.Context(), log, "-", "+").Result()
		require.NoError(t, err)
		for _, x := range all {
			out = append(out, x.ID)
		}
		return out
	}
	for name, c := range map[string]struct {
		harm func(t *testing.T, c *redis.Client)
		want []accesslog.Violation
	}{
		"an entry is removed": {
			func(t *testing.T, c *redis.Client) { require.NoError(t, c.XDel(t.Context(), log, ids(t, c)[1]).Err()) },
			[]accesslog.Violation{{2, "entries from 2 are missing: 3 comes next"}},
		},
		"the last entries are removed": {
			func(t *testing.T, c *redis.Client) { require.NoError(t, c.XDel(t.Context(), log, ids(t, c)[3]).Err()) },
			[]accesslog.Violation{{4, "the log is said to end with entry 4:"}},
		},
		"the first entries are removed": {
			func(t *testing.T, c *redis.Client) { require.NoError(t, c.XDel(t.Context(), log, ids(t, c)[0]).Err()) },
			[]accesslog.Violation{{1, "entries from 1 are missing: 2 comes next"}},
		},
		"an entry is put between": {
			func(t *testing.T, c *redis.Client) {
				all, err := c.XRange(t.Context(), log, "-", "+").Result()
				require.NoError(t, err)
				require.NoError(t, c.Del(t.Context(), log).Err())
				for i, x := range all {
					if i == 2 {
						strange := &redis.XAddArgs{Stream: log, Values: map[string]any{"says": "who?"}}
						require.NoError(t, c.XAdd(t.Context(), strange).Err())
					}
					require.NoError(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: log, Values: x.Values}).Err())
				}
			},
			[]accesslog.Violation{{3, "is not one of this log"}},
		},
		"an entry is changed": {
			func(t *testing.T, c *redis.Client) {
				all, err := c.XRange(t.Context(), log, "-", "+").Result()
				require.NoError(t, err)
				require.NoError(t, c.Del(t.Context(), log).Err())
				all[1].Values["says"] = `{"n":2,"at":"2023-01-05T00:00:00Z","who":"nobody","from":"","what":"lookup","user":"2"}`
				for _, x := range all {
					require.NoError(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: log, Values: x.Values}).Err())
				}
			},
			[]accesslog.Violation{{2, "it was changed, or the one before it"}},
		},
		"the end is put back": {
			func(t *testing.T, c *redis.Client) {
				all, err := c.XRange(t.Context(), log, "-", "+").Result()
				require.NoError(t, err)
				require.NoError(t, c.HSet(t.Context(), head, "n", 3, "digest", all[2].Values["digest"]).Err())
				require.NoError(t, c.XDel(t.Context(), log, all[3].ID).Err())
			},
			[]accesslog.Violation{{4, "the entry that was kept elsewhere"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, client, l := started(t)
			for i := range 4 {
				require.NoError(t, l.Record(t.Context(), lookup("kim", grant.NumberID(uint64(i)))))
			}
			known, err := accesslog.ParseHead(holds(t, l).End)
			require.NoError(t, err)
			c.harm(t, client)
			v, err := l.Verify(t.Context(), known)
			require.NoError(t, err)
			require.False(t, v.Holds())
			require.Equal(t, c.want[0].N, v.Violations[0].N)
			require.Contains(t, v.Violations[0].What, c.want[0].What)
		})
	}
}

// What is removed by purpose is recorded, and the rest can still be proven.
func TestOldEntriesAreRemovedByPurpose(t *testing.T) {
	server, _, l := started(t)
	at := time.Date(2023, 1, 5, 0, 0, 0, 0, time.UTC)
	for i := range 5 {
		server.SetTime(at.AddDate(0, i, 0))
		require.NoError(t, l.Record(t.Context(), lookup("kim", grant.NumberID(uint64(i)))))
	}
	known, err := accesslog.ParseHead(holds(t, l).End)
	require.NoError(t, err)
	removed, err := l.Purge(t.Context(), at.AddDate(0, 2, 0), "park", "host", "kept for two years")
	require.NoError(t, err)
	require.EqualValues(t, 2, removed)
	all := read(t, l, accesslog.Query{})
	require.Len(t, all, 4)
	require.EqualValues(t, 3, all[0].N)
	require.Equal(t, accesslog.WhatPurge, all[3].What)
	require.EqualValues(t, 2, all[3].Gone)
	v, err := l.Verify(t.Context(), known)
	require.NoError(t, err)
	require.Empty(t, v.Violations)
	require.EqualValues(t, 3, v.From)

	removed, err = l.Purge(t.Context(), at.AddDate(0, 2, 0), "park", "host", "again")
	require.NoError(t, err)
	require.Zero(t, removed)
	require.Len(t, read(t, l, accesslog.Query{}), 4)
	removed, err = l.Purge(t.Context(), at.AddDate(0, 3, 0), "park", "host", "again")
	require.NoError(t, err)
	require.EqualValues(t, 1, removed)
	holds(t, l)
}

func TestWhatCannotBeRecordedIsNotRead(t *testing.T) {
	server, _, l := started(t)
	server.SetError("NOPERM nothing here is yours")
	require.ErrorContains(t, l.Record(t.Context(), lookup("kim", grant.NumberID(1))), "recording who reads this: NOPERM")
}

func TestHeadsAreReadAsTheyAreWritten(t *testing.T) {
	for _, bad := range []string{"", "1", "1:", "0:" + fmt.Sprintf("%064d", 0), "x:00", "1:zz", "1:00"} {
		_, err := accesslog.ParseHead(bad)
		require.ErrorContains(t, err, "want NUMBER:DIGEST", bad)
	}
}
