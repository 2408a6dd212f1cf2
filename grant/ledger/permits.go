package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// Permits says what EnsureSpec would, without a write: an error that says why not under this spec.
func (l *Reader) Permits(ctx context.Context, c *grant.Campaign) error {
	stored, found, err := l.coordination.Spec(ctx)
	if err != nil || found && stored.Hash == c.Hash {
		return err
	}
	var listed, most *redis.Cmd
	var leases *redis.MapStringStringCmd
	var now *redis.TimeCmd
	err = l.retry(ctx, "reading who may grant", func() error {
		node, err := l.home(ctx) // leases are by its clock
		if err != nil {
			return err
		}
		pipe := node.Pipeline()
		listed, most = pipe.Do(ctx, "scard", l.keys.chunks), pipe.Do(ctx, "hget", l.keys.spec, "chunks")
		leases, now = pipe.HGetAll(ctx, l.keys.leases), pipe.Time(ctx)
		_, err = pipe.Exec(ctx)
		return named([]redis.Cmder{listed, most, leases, now}, err)
	})
	if err != nil {
		return err
	}
	if chunks, _ := listed.Int64(); found && chunks > 0 {
		return l.conflict(c, stored.Hash, stored.Canonical)
	}
	if had, _ := most.Int64(); found && had > 0 {
		return l.conflict(c, stored.Hash, stored.Canonical)
	}
	conflict := l.conflict(c, stored.Hash, stored.Canonical)
	for _, lease := range leases.Val() {
		text, spec, _ := strings.Cut(lease, " ")
		until, err := strconv.ParseInt(text, 10, 64)
		if at := time.UnixMilli(until); err == nil && spec != c.Hash && at.After(now.Val()) && at.After(conflict.Leased) {
			conflict.Leased = at
		}
	}
	if !conflict.Leased.IsZero() {
		return conflict
	}
	s, err := l.survey(ctx)
	if err != nil {
		return err
	}
	return l.permits(ctx, c, leaseReply{hash: stored.Hash, canonical: stored.Canonical}, s)
}

// permits reports whether a spec may be stored that is not there, after a search for grants that the index does not know.
func (l *Reader) permits(ctx context.Context, c *grant.Campaign, before leaseReply, s *survey) error {
	if before.hash == "" {
		specs, err := l.chunkSpecs(ctx, s.chunks())
		if err != nil {
			return err
		}
		for _, chunk := range slices.Sorted(maps.Keys(specs)) {
			if hash := specs[chunk]; hash != "" && hash != c.Hash {
				conflict := l.conflict(c, hash, nil)
				conflict.Damage = l.keys.spec + " is gone"
				return conflict
			}
		}
		return nil
	}
	conflict := l.conflict(c, before.hash, before.canonical)
	if len(s.unlisted) > 0 {
		conflict.Damage = fmt.Sprintf("%s does not list chunk %d and %d more that exist", l.keys.chunks, s.unlisted[0], len(s.unlisted)-1)
		return conflict
	}
	runs, err := l.coordination.Runs(ctx)
	if err != nil {
		return err
	}
	if n := grantedBy(runs, before.hash); n > 0 {
		conflict.Damage = fmt.Sprintf("no user is granted in any chunk, and runs of that spec say that they granted %d", n)
		return conflict
	}
	return nil
}

// chunkSpecs returns the hashes of the specs under which chunks were granted, where that is known.
func (l *Reader) chunkSpecs(ctx context.Context, chunks []uint64) (map[uint64]string, error) {
	specs := map[uint64]string{}
	for page := range slices.Chunk(chunks, countPage) {
		replies := make([]*redis.StringCmd, len(page))
		err := l.retry(ctx, "reading the specs of chunks", func() error {
			pipe := l.client.Pipeline()
			for i, chunk := range page {
				replies[i] = pipe.HGet(ctx, l.keys.chunk(chunk, "").calls, "spec")
			}
			_, err := pipe.Exec(ctx)
			return named(replies, err)
		})
		if err != nil {
			return nil, err
		}
		for i, reply := range replies {
			specs[page[i]] = reply.Val()
		}
	}
	return specs, nil
}
