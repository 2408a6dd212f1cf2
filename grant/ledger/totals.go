package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

const (
	countPage    = 512 // chunks counted in one pipeline
	memorySample = 64  // chunks that the memory is estimated from
)

// Totals is a summary of the ledger.
type Totals struct {
	Granted int64 `json:"granted"` // users who have the campaign, or had it
	// Excluded are users who will not get it.
	Excluded int64 `json:"excluded"`
	Chunks   int   `json:"chunks"`  // with at least one of these
	Bytes    int64 `json:"bytes"`   // estimated memory of all chunks, from a sample; 0: Redis would not say
	Missing  int64 `json:"missing"` // chunks that the index has lost: their users are not counted. Prove finds them

	Replays grant.Replays `json:"replays"` // rejected records that were repaired

	Listed *Listed `json:"listed,omitempty"` // what became of the lists of users whom the spec excludes; nil: none was read

	Rebuilt []grant.Rebuilt `json:"rebuilt,omitempty"` // when the ledger was made again, oldest first
}

// Totals counts the users whose place is settled. It takes about 10 µs of Redis for each chunk.
func (l *Reader) Totals(ctx context.Context) (Totals, error) {
	var t Totals
	err := l.remembered(ctx, &t)
	if err != nil {
		return t, err
	}
	if t.Replays, err = l.Replays(ctx); err != nil {
		return t, err
	}
	chunks, err := l.Chunks(ctx)
	if err != nil {
		return t, err
	}
	if l.campaign.Input.Opaque() {
		filled, err := l.countBuckets(ctx, chunks, &t)
		t.Chunks = len(filled)
		t.Bytes = l.estimateBytes(ctx, filled)
		return t, err
	}
	var filled []uint64
	for page := range slices.Chunk(chunks, countPage) {
		counts := make([]*redis.IntCmd, 2*len(page))
		err := l.retry(ctx, "counting granted users", func() error {
			pipe := l.client.Pipeline()
			for i, chunk := range page {
				keys := l.keys.chunk(chunk, "")
				counts[2*i] = pipe.BitCount(ctx, keys.excluded, nil) // first: who is in it then is in the other
				counts[2*i+1] = pipe.BitCount(ctx, keys.granted, nil)
			}
			_, err := pipe.Exec(ctx)
			return named(counts, err)
		})
		if err != nil {
			return t, err
		}
		for i, chunk := range page {
			if excluded, settled := counts[2*i].Val(), counts[2*i+1].Val(); settled > 0 {
				t.Granted += settled - excluded
				t.Excluded += excluded
				filled = append(filled, chunk)
			}
		}
	}
	t.Chunks = len(filled)
	t.Bytes = l.estimateBytes(ctx, filled)
	return t, nil
}

// remembered adds how many chunks the index has lost, by what the spec remembers of it, what became of the spec's lists, and when
// the ledger was made again.
func (l *Reader) remembered(ctx context.Context, t *Totals) error {
	return l.retry(ctx, "counting chunks", func() error {
		pipe := l.client.Pipeline()
		had, chunks := pipe.HMGet(ctx, l.keys.spec, "chunks", listedField), pipe.SCard(ctx, l.keys.chunks)
		rebuilt := pipe.LRange(ctx, l.keys.rebuilt, 0, -1)
		_, err := pipe.Exec(ctx)
		if err := named([]redis.Cmder{had, chunks, rebuilt}, err); err != nil {
			return err
		}
		fields := had.Val()
		count, _ := fields[0].(string)
		most, _ := strconv.ParseInt(count, 10, 64) // version 0.1 did not count
		t.Missing = max(0, most-chunks.Val())
		text, _ := fields[1].(string)
		if t.Listed, err = l.parseListed(text); err != nil {
			return err
		}
		t.Rebuilt, err = l.parseRebuilds(rebuilt.Val())
		return err
	})
}

// estimateBytes asks for the memory of some chunks, evenly spread, and extrapolates. It is a service, not a promise: where
// MEMORY USAGE is forbidden, the answer is 0.
func (l *Reader) estimateBytes(ctx context.Context, chunks []uint64) int64 {
	n := min(len(chunks), memorySample)
	if n == 0 {
		return 0
	}
	pipe := l.client.Pipeline()
	for i := range n {
		keys := l.keys.chunk(chunks[i*len(chunks)/n], "")
		for _, key := range []string{keys.granted, keys.journal, keys.calls} {
			pipe.MemoryUsage(ctx, key, 0)
		}
	}
	replies, err := pipe.Exec(ctx)
	if err != nil {
		return 0
	}
	var sum int64
	for _, reply := range replies {
		sum += reply.(*redis.IntCmd).Val()
	}
	return sum * int64(len(chunks)) / int64(n)
}

// Contradiction says how what is counted contradicts what other keys say; empty: it does not. Everything that reports how
// many users are granted asks it, so that nobody believes one key.
func Contradiction(campaign string, t Totals, checkpoint grant.Offsets, runs []grant.RunRecord, spec string) string {
	if t.Missing > 0 {
		return fmt.Sprintf("granter:{%s}:chunks has had %d more chunks than it lists, and their users are not counted: "+
			"granter status --prove finds them, and the next run puts them back", campaign, t.Missing)
	}
	settled := int64(0)
	for _, next := range checkpoint {
		settled = max(settled, next)
	}
	n := grantedBy(runs, spec)
	if t.Granted > 0 || settled == 0 || n == 0 {
		return ""
	}
	return fmt.Sprintf("nobody is granted, but the checkpoint is at offset %d, and runs say that they granted %d users: "+
		"what they wrote is gone, and a run would not write it again. Restore Redis from a backup, or delete the keys granter:{%s/*}:checkpoint:* to grant everybody again",
		settled, n, campaign)
}
