package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

func TestPulseReadsWhatRedisTells(t *testing.T) {
	const (
		memory = "# Memory\r\nused_memory:1000\r\nused_memory_rss:2000\r\ntotal_system_memory:8000\r\nmaxmemory:4000\r\n"
		master = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave_read_only:1\r\nmaster_repl_offset:500\r\n"
	)
	for _, test := range []struct {
		name, info string
		want       grant.RedisHealth
	}{
		{"no replicas", memory + master, grant.RedisHealth{MemoryBytes: 1000, MemoryLimit: 4000}},
		{"no maxmemory", "used_memory:1\r\ntotal_system_memory:8000\r\nmaxmemory:0\r\n", grant.RedisHealth{MemoryBytes: 1, MemoryLimit: 8000}},
		{"nothing", "# Clients\r\nconnected_clients:3\r\n", grant.RedisHealth{MemoryBytes: -1}},
		{"numbers that are none", "used_memory:1K\r\nmaxmemory:much\r\n", grant.RedisHealth{MemoryBytes: -1}},
		{
			"the replica that is furthest behind",
			memory + master + "slave0:ip=10.0.0.1,port=6379,state=online,offset=500,lag=0\r\n" +
				"slave1:ip=fd00::2,port=6379,state=online,offset=420,lag=1\r\nslave2:ip=10.0.0.3,port=6379,state=online,offset=499,lag=0\r\n",
			grant.RedisHealth{MemoryBytes: 1000, MemoryLimit: 4000, ReplicaLag: 80},
		},
		{
			"a replica that copies everything is behind by everything",
			memory + master + "slave0:ip=10.0.0.1,port=6379,state=send_bulk,offset=0,lag=0\r\n",
			grant.RedisHealth{MemoryBytes: 1000, MemoryLimit: 4000, ReplicaLag: 500},
		},
		{
			"a replica that says more than the master has said yet",
			memory + master + "slave0:ip=10.0.0.1,port=6379,state=online,offset=501,lag=0\r\n",
			grant.RedisHealth{MemoryBytes: 1000, MemoryLimit: 4000},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, parseInfo(test.info).pulse())
		})
	}
}

func readsBitmaps(w *world) {
	p := w.join()
	p.grant(1, delta(1, span(0, 3000, 3)), delta(1<<47, bitmap(65535)))
	got, err := p.Bitmaps(w.ctx, []uint64{1, 2, 1 << 47, 1})
	require.NoError(w, err)
	require.Equal(w, []*dense.Bitmap{span(0, 3000, 3), nil, bitmap(65535), span(0, 3000, 3)}, got)
	got, err = p.Bitmaps(w.ctx, nil)
	require.NoError(w, err)
	require.Empty(w, got)
	require.NoError(w, w.client.Del(w.ctx, p.keys.granted(2)).Err())
	require.NoError(w, w.client.RPush(w.ctx, p.keys.granted(2), "x").Err())
	_, err = p.Bitmaps(w.ctx, []uint64{1, 2})
	require.ErrorContains(w, err, "WRONGTYPE")
}
