package ledger

import (
	"cmp"
	"crypto/tls"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options say which Redis to use, and how.
type Options struct {
	Addrs     []string // host:port of the master, or of some nodes of a cluster, or of the Sentinels
	Cluster   bool     // it is a cluster even though there is one address; several addresses without Sentinel always are
	Sentinel  string   // name of the master that the Sentinels at Addrs watch
	Username  string   // ACL user; empty: the default user
	Password  string
	DB        int         // not for a cluster
	TLSConfig *tls.Config // nil: no TLS

	SentinelUsername string
	SentinelPassword string

	DialTimeout  time.Duration // 0: 5 s
	ReadTimeout  time.Duration // 0: 10 s; a pipeline of 8 MiB takes 20 ms, saving an append-only file on a slow disk seconds
	WriteTimeout time.Duration // 0: 10 s
	PoolSize     int           // connections to each node; 0: 32, twice the largest number of shards anybody needs
}

// Connect makes a client as New wants it. It does not talk to Redis yet. The caller closes it.
func Connect(o Options) (redis.UniversalClient, error) {
	switch {
	case len(o.Addrs) == 0:
		return nil, errors.New("no Redis address")
	case o.Sentinel != "" && o.Cluster:
		return nil, errors.New("Sentinel and Cluster exclude each other")
	case o.DB != 0 && (o.Cluster || o.Sentinel == "" && len(o.Addrs) > 1):
		return nil, errors.New("Redis Cluster has only database 0")
	}
	options := &redis.UniversalOptions{
		Addrs: o.Addrs, IsClusterMode: o.Cluster, MasterName: o.Sentinel, DB: o.DB,
		Username: o.Username, Password: o.Password,
		SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		TLSConfig: o.TLSConfig, ClientName: "granter",

		// The ledger repeats whole pipelines, see its package comment; go-redis must not repeat parts of one.
		MaxRetries: -1, MaxRedirects: -1, DialerRetries: 1,
		ContextTimeoutEnabled: true,

		DialTimeout:  cmp.Or(o.DialTimeout, 5*time.Second),
		ReadTimeout:  cmp.Or(o.ReadTimeout, 10*time.Second),
		WriteTimeout: cmp.Or(o.WriteTimeout, 10*time.Second),
		PoolSize:     cmp.Or(o.PoolSize, 32),

		// One pool for everything, with buffers for pipelines of megabytes. RESP2 has no push messages, which the
		// ledger has no use for, so none can come between a pipeline and its replies.
		PipelinePoolSize: -1, ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10,
		Protocol: 2, DisableIdentity: true,
	}
	if o.Cluster || o.Sentinel == "" && len(o.Addrs) > 1 {
		cluster := options.Cluster()
		cluster.NewClient = nodeClient
		return redis.NewClusterClient(cluster), nil
	}
	return redis.NewUniversalClient(options), nil
}
