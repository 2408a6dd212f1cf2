package preflight

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// redisFacts are what Redis and the ledger in it said. Every fact has its error; an error means that it is not known.
type redisFacts struct {
	ledger.Facts
	err     error
	machine map[string]int64 // bytes of memory of each master's machine

	spec          ledger.StoredSpec
	stored        bool
	specErr       error
	checkpoint    grant.Checkpoint
	checkpointErr error
	totals        ledger.Totals
	totalsErr     error
	permitted     error    // why a run could not grant under this spec
	unlisted      []uint64 // chunks that the index lacks
	unlistedErr   error
	runs          []grant.RunRecord
	runsErr       error
	control       grant.Control
	controlErr    error
}

func (f *redisFacts) gather(ctx context.Context, in *Input) {
	// One attempt is enough: waiting is for a run.
	store, err := ledger.Open(in.Redis, in.Campaign, ledger.Config{Pass: in.Pass, RetryFor: time.Nanosecond})
	if err != nil {
		f.err = err
		return
	}
	ctx, cancel := context.WithTimeout(ctx, in.Timeout)
	defer cancel()
	f.read(ctx, ledger.NewCoordination(store), ledger.NewReader(store), in.Campaign, !in.ReadOnly)
	if f.err != nil {
		return
	}
	f.machine = map[string]int64{}
	var mu sync.Mutex
	ask := func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Options().Addr, err)
		}
		if _, after, ok := strings.Cut(text, "total_system_memory:"); ok {
			digits, _, _ := strings.Cut(after, "\r\n")
			if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
				mu.Lock()
				defer mu.Unlock()
				f.machine[c.Options().Addr] = n
			}
		}
		return nil
	}
	// What is not known is missing in the map, and that is reported where it is needed.
	switch c := in.Redis.(type) {
	case *redis.ClusterClient:
		_ = c.ForEachMaster(ctx, ask)
	case *redis.Client:
		_ = ask(ctx, c)
	}
}

func (f *redisFacts) read(ctx context.Context, agreed coordination, r reader, c *grant.Campaign, probe bool) {
	if f.Facts, f.err = r.Inspect(ctx, probe); f.err != nil {
		return
	}
	var work sync.WaitGroup
	work.Go(func() { f.spec, f.stored, f.specErr = agreed.Spec(ctx) })
	work.Go(func() { f.checkpoint, f.checkpointErr = r.Checkpoints(ctx, c) })
	work.Go(func() { f.totals, f.totalsErr = r.Totals(ctx) })
	work.Go(func() { f.permitted = r.Permits(ctx, c) })
	work.Go(func() { f.unlisted, f.unlistedErr = r.Unlisted(ctx) })
	work.Go(func() { f.runs, f.runsErr = agreed.Runs(ctx) })
	work.Go(func() { f.control, _, f.controlErr = agreed.Control(ctx) })
	work.Wait()
	if f.totalsErr == nil && ledger.Contradiction(c.Name, f.totals, f.checkpoint.Next, f.runs, c.Hash) != "" {
		f.totals, f.totalsErr = r.Totals(ctx) // they may have been counted before a run that goes on said so
	}
}
