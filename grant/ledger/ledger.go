// Package ledger records in Redis who has been granted a campaign: every user at most once, with the time, the run and
// the source offsets, and never acknowledged before it is there. It works the same on one Redis, behind Sentinel and on
// Redis Cluster.
//
// # Why a checkpoint can be trusted
//
// A Redis that restarts from its append-only file or a snapshot, or that fails over to a replica, loses a suffix of the
// history of that master, and says nothing. Three rules make the loss visible:
//
//  1. A flush is acknowledged only when one whole pipeline went through without any error: chunk calls first, and last,
//     on every master, a write of the shard's tip. So in the history of each master every write of the pipeline is
//     before its tip: whoever still has the tip still has the writes. After any error the whole pipeline is sent again,
//     with a tip of its own. (With the same tip again, a first attempt that failed in a chunk call but wrote its tip
//     would leave a tip that does not vouch for the second attempt's writes.)
//  2. The tips of a shard are a chain: each names the last acknowledged one, and is refused where less than that is
//     found.
//  3. A checkpoint is written, on every master, by a script that first finds the acknowledged tips of all shards and at
//     least the checkpoint that the session last saw. So it is after them in the history, and is lost if they are.
//
// A session that trips over a loss gets ErrRegressed, and begins again from the smallest checkpoint of all masters.
// Grants are idempotent, so what survived is not granted twice.
//
// The rules hold for loss of a suffix. They do not cover slots that move to another master which then loses what it
// received before its next tip: do not reshard during a run.
//
// # Why nobody is granted under another spec, too early or too late
//
// A process that looked a moment ago may have slept since. So what must not be violated travels with each chunk call, and
// Redis judges it, by its clock, before the first write:
//
//   - The chunk remembers the spec of its first grant, and refuses another.
//   - A chunk that nobody has touched has none. So a run must have a lease to grant anything: for half a minute at a time,
//     one script decides on the master of the key spec that this is the spec, and until when the run may grant under it. A
//     spec is replaced only when nobody was granted under it and no such lease is in force, and chunk calls carry the end
//     of their lease: whoever sleeps longer finds his calls refused, asks again, and gets to know the new spec. The lease
//     ends 10 s earlier for the run than for those who want another spec, because the clocks of masters may differ.
//   - Each call carries starts_at, or what that was postponed to, and ends_at. The entry has the time that was judged.
//
// Whether nobody was granted is asked of the index of chunks, of how many it has ever had, of the keys of all masters, and
// of the records of runs: no single key is believed.
//
// What this does not cover: a Redis that loses the lease and the spec with the last suffix of its history, while another
// version of the spec is started before the run writes its next checkpoint (half a second).
package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// Errors that a caller decides on.
var (
	// ErrRegressed means that the ledger lost writes that it had acknowledged. The session is over: call Begin, and read
	// again from what it returns, with a new shard pool. That is safe at any time, and grants nobody twice.
	ErrRegressed = grant.ErrRegressed
	// ErrInconsistent means that the ledger contradicts itself in a way that no failure explains: somebody wrote to its
	// keys. Prove says where.
	ErrInconsistent = errors.New("the ledger is inconsistent")
)

// DefaultRetryFor is how long a call goes on when Redis refuses: a fail-over takes 5 to 30 s, loading 10 GB of snapshot
// about a minute.
const DefaultRetryFor = 2 * time.Minute

// Observer is told what happens. Calls come from the goroutine that calls the ledger, several at a time, and must not
// block.
type Observer interface {
	// LedgerError counts one failed attempt. The kind is one of Kinds.
	LedgerError(kind string)
	// FlushDone is one acknowledged flush: users newly granted, chunk calls, bytes sent, and how long it took, repetitions
	// included.
	FlushDone(shard, members, calls, bytes int, took time.Duration)
}

// Config of a Ledger. The zero value is ready for use.
type Config struct {
	RetryFor time.Duration // how long to go on when Redis refuses; 0: DefaultRetryFor
	Pass     string        // names the pass over the topic that checkpoints are of; empty: the one that grants everybody
	Observer Observer      // may be nil
}

// Ledger is the record of one campaign, seen from one run. It is safe for concurrent use; see Begin and Grant for what
// must not overlap. It starts no goroutines and does not own the client.
type Ledger struct {
	client   redis.UniversalClient
	cluster  *redis.ClusterClient // nil unless the client is one
	campaign *grant.Campaign
	run      grant.RunID
	keys     keys
	retryFor time.Duration
	observer Observer
	session  atomic.Pointer[session]

	lease     atomic.Int64 // until when this run may grant, in Unix milliseconds by Redis's clock; 0: it has not asked
	notBefore atomic.Int64 // the same for when the campaign starts
	surveyed  atomic.Bool  // the index of chunks was compared with the keys of all masters
	unsure    atomic.Bool  // what became of some call is not known
}

// New makes the ledger of a campaign. The client must not repeat commands by itself, as those of Connect do not: a
// repetition that the ledger does not know of would void rule 1 of the package.
func New(client redis.UniversalClient, campaign *grant.Campaign, run grant.RunID, cfg Config) (*Ledger, error) {
	if campaign.Name == "" || strings.ContainsAny(campaign.Name, "{}") {
		return nil, fmt.Errorf("campaign name %q: it becomes a Redis hash tag, so it must not be empty or contain braces", campaign.Name)
	}
	l := &Ledger{client: client, campaign: campaign, run: run, retryFor: cfg.RetryFor, observer: cfg.Observer}
	if l.retryFor <= 0 {
		l.retryFor = DefaultRetryFor
	}
	var retries int
	switch c := client.(type) {
	case *redis.Client:
		retries = c.Options().MaxRetries
	case *redis.ClusterClient:
		l.cluster = c
		retries = max(c.Options().MaxRetries, c.Options().MaxRedirects)
	default:
		return nil, fmt.Errorf("a Redis client of type %T: want a single, Sentinel or Cluster client", client)
	}
	if retries > 0 {
		return nil, errors.New("the Redis client repeats commands by itself: set MaxRetries and MaxRedirects to -1")
	}
	l.keys = newKeys(campaign.Name, campaign.Hash, l.cluster != nil)
	l.keys.pass = cfg.Pass
	l.NotBefore(campaign.StartsAt)
	return l, nil
}

// Run is the run that this ledger grants for.
func (l *Ledger) Run() grant.RunID { return l.run }

// PoolStats returns the statistics of the connection pools.
func (l *Ledger) PoolStats() *redis.PoolStats { return l.client.PoolStats() }

// eachMaster calls fn with a client of every master, possibly concurrently.
func (l *Ledger) eachMaster(ctx context.Context, fn func(context.Context, *redis.Client) error) error {
	if l.cluster != nil {
		return l.cluster.ForEachMaster(ctx, fn)
	}
	return fn(ctx, l.client.(*redis.Client))
}
