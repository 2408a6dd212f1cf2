package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/userid"
	"github.com/granter/granter/sharding/opaque"
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

// defaultRetryFor is how long a call goes on when Redis refuses: a fail-over takes 5 to 30 s, loading 10 GB of snapshot
// about a minute.
const defaultRetryFor = 2 * time.Minute

// Observer is told what happens. Calls come from the goroutine that calls the ledger, several at a time, and must not
// block.
type Observer interface {
	// LedgerError counts one failed attempt. The kind is one of Kinds.
	LedgerError(kind string)
	// FlushDone is one acknowledged flush: users newly granted, chunk calls, bytes sent, and how long it took, repetitions
	// included.
	FlushDone(shard, members, calls, bytes int, took time.Duration)
}

// Config of a Store. The zero value is ready for use.
type Config struct {
	RetryFor time.Duration // how long to go on when Redis refuses; 0: defaultRetryFor
	Pass     grant.Pass    // that checkpoints are of; its zero value is the one that grants everybody
	Observer Observer      // may be nil
	Indexes  *Indexes      // what the process knows of buckets; nil: the store has its own
}

// Store is the record of one campaign in Redis: its keys, and how Redis is called. Grants, Coordination and Reader are what
// is done with it. It is safe for concurrent use, starts no goroutines and does not own the client.
type Store struct {
	client   redis.UniversalClient
	cluster  *redis.ClusterClient // nil unless the client is one
	campaign *grant.Campaign
	keys     keys
	retryFor time.Duration
	observer Observer
	layout   opaque.Layout // of a campaign whose IDs are not dense
	form     userid.Form
	indexes  *Indexes
}

// Open makes the store of a campaign; it does not talk to Redis yet. The client must not repeat commands by itself, as
// those of Connect do not: a repetition that the store does not know of would void rule 1 of the package.
func Open(client redis.UniversalClient, campaign *grant.Campaign, cfg Config) (*Store, error) {
	if campaign.Name == "" || strings.ContainsAny(campaign.Name, "{}") {
		return nil, fmt.Errorf("campaign name %q: it becomes a Redis hash tag, so it must not be empty or contain braces", campaign.Name)
	}
	l := &Store{client: client, campaign: campaign, retryFor: cfg.RetryFor, observer: cfg.Observer}
	if l.retryFor <= 0 {
		l.retryFor = defaultRetryFor
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
	l.keys.pass = cfg.Pass.Key
	if campaign.Input.Opaque() {
		l.layout, l.form = LayoutOf(campaign), userid.FormOf(&campaign.Input)
		if l.indexes = cfg.Indexes; l.indexes == nil {
			l.indexes = NewIndexes()
		}
	}
	return l, nil
}

// eachMaster calls fn with a client of every master, possibly concurrently.
func (l *Store) eachMaster(ctx context.Context, fn func(context.Context, *redis.Client) error) error {
	if l.cluster != nil {
		return l.cluster.ForEachMaster(ctx, fn)
	}
	return fn(ctx, l.client.(*redis.Client))
}

// home returns a client of the master that has the control, so that its clock is the one that everybody goes by.
func (l *Store) home(ctx context.Context) (*redis.Client, error) {
	if l.cluster == nil {
		return l.client.(*redis.Client), nil
	}
	node, err := l.cluster.MasterForKey(ctx, l.keys.control)
	if err != nil {
		return nil, fmt.Errorf("looking for the master of %s: %w", l.keys.control, err)
	}
	return node, nil
}

// reload makes the client of a cluster ask again who has which slots, after a kind of error that may mean that it is wrong.
func (l *Store) reload(ctx context.Context, kind string) {
	switch kind {
	case KindMoved, KindClusterDown, KindReadOnly, KindNetwork, KindTimeout:
		if l.cluster != nil {
			l.cluster.ReloadState(ctx)
		}
	}
}

// execute runs one script call for each anchor and hands their replies to check. All of a pipeline must go through.
func (l *Store) execute(ctx context.Context, pipe redis.Pipeliner, calls []*redis.Cmd, check func(int, any) error) error {
	for _, call := range calls {
		if err := pipe.Process(ctx, call); err != nil {
			return err
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, call := range calls {
		if err := check(i, call.Val()); err != nil {
			return err
		}
	}
	return nil
}

// retry makes attempts until one succeeds, one fails for good, the context is cancelled, or failures have lasted for
// RetryFor. An attempt must be idempotent. A cancelled context is noticed within the client's read timeout.
func (l *Store) retry(ctx context.Context, what string, attempt func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = min(20*time.Millisecond, l.retryFor), 2*time.Second
	failure := UnavailableError{What: what}
	forgotten := 0
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		if errors.Is(err, grant.ErrTopicChanged) { // Redis did not refuse
			return err
		}
		failure.Kind, failure.Err = Kind(err), err
		failure.Attempts++
		if l.observer != nil {
			l.observer.LedgerError(failure.Kind)
		}
		if failure.Kind == KindRegressed || failure.Kind == KindFenced {
			return fmt.Errorf("%s: %w", what, err)
		}
		if failure.Since.IsZero() {
			failure.Since = time.Now()
		}
		if !Retryable(failure.Kind) || time.Since(failure.Since) >= l.retryFor {
			return &failure
		}
		l.reload(ctx, failure.Kind)
		if failure.Kind == KindNoScript {
			// Its error, if any, is the next attempt's: that one finds the scripts missing again.
			_ = l.loadScripts(ctx)
			if forgotten++; forgotten == 1 {
				continue
			}
		}
		wait := time.NewTimer(pause.NextBackOff())
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
}
