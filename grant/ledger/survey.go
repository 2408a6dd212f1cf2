package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// surveyPage is how many keys of a master one SCAN looks at: about 2 ms of Redis.
const surveyPage = 5000

// survey is what the masters have of the campaign, whatever its index says.
type survey struct {
	granted, journal, calls map[uint64]bool // chunks that have the key

	unlisted []uint64 // chunks with grants that the index lacks
	index    error    // why the index cannot be read; nil: it can
}

// chunks are those that have any key, ascending.
func (s *survey) chunks() []uint64 {
	all := maps.Clone(s.granted)
	maps.Copy(all, s.journal)
	maps.Copy(all, s.calls)
	return slices.Sorted(maps.Keys(all))
}

// survey scans the keys of all masters. Where other programs share the Redis, it takes about 0.5 s for each million of
// their keys, in steps of 2 ms.
func (l *Ledger) survey(ctx context.Context) (*survey, error) {
	var s *survey
	err := l.retry(ctx, "looking for the keys of "+l.campaign.Name, func() error {
		s = &survey{granted: map[uint64]bool{}, journal: map[uint64]bool{}, calls: map[uint64]bool{}}
		var mu sync.Mutex
		return l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			for cursor := uint64(0); ; {
				keys, next, err := c.Scan(ctx, cursor, l.keys.pattern(), surveyPage).Result()
				if err != nil {
					return fmt.Errorf("%s: %w", c.Options().Addr, err)
				}
				mu.Lock()
				for _, key := range keys {
					s.add(l.keys.parse(key))
				}
				mu.Unlock()
				if cursor = next; cursor == 0 {
					return nil
				}
			}
		})
	})
	if err != nil {
		return nil, err
	}
	listed, err := l.Chunks(ctx)
	if err != nil {
		if !misused(err) {
			return nil, err
		}
		s.index = err
	}
	for _, chunk := range s.chunks() {
		if _, ok := slices.BinarySearch(listed, chunk); !ok {
			s.unlisted = append(s.unlisted, chunk)
		}
	}
	return s, nil
}

func (s *survey) add(chunk uint64, name string) {
	switch name {
	case "granted":
		s.granted[chunk] = true
	case "journal":
		s.journal[chunk] = true
	case "calls":
		s.calls[chunk] = true
	}
}

// pattern matches the keys of all chunks.
func (k *keys) pattern() string {
	escaped := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(k.campaign)
	return "granter:{" + escaped + "/*}:*"
}

// parse returns the chunk that a key is of, and its name; an empty name: it is of none.
func (k *keys) parse(key string) (chunk uint64, name string) {
	rest, ours := strings.CutPrefix(key, "granter:{"+k.campaign+"/")
	tag, name, found := strings.Cut(rest, "}:")
	chunk, err := strconv.ParseUint(tag, 10, 64)
	if !ours || !found || err != nil || strconv.FormatUint(chunk, 10) != tag {
		return 0, ""
	}
	return chunk, name
}

// Permits says what EnsureSpec would, without a write: an error that says why not under this spec.
func (l *Ledger) Permits(ctx context.Context, c *grant.Campaign) error {
	stored, found, err := l.Spec(ctx)
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

// Unlisted returns the chunks that the masters have and the index lacks. The next run puts them back.
func (l *Ledger) Unlisted(ctx context.Context) ([]uint64, error) {
	s, err := l.survey(ctx)
	if err != nil {
		return nil, err
	}
	return s.unlisted, s.index
}

// permits reports whether a spec may be stored that is not there, after a search for grants that the index does not know.
func (l *Ledger) permits(ctx context.Context, c *grant.Campaign, before leaseReply, s *survey) error {
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
	runs, err := l.Runs(ctx)
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
func (l *Ledger) chunkSpecs(ctx context.Context, chunks []uint64) (map[uint64]string, error) {
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

// grantedBy adds up how many users the runs of a spec say that they granted.
func grantedBy(runs []grant.RunRecord, spec string) (n int64) {
	for i := range runs {
		if runs[i].Spec == spec {
			n += runs[i].Tally.Granted
		}
	}
	return n
}

// repair puts chunks back into the index that it lacks.
func (l *Ledger) repair(ctx context.Context, s *survey, missing int64) error {
	if s.index != nil {
		return s.index
	}
	if len(s.unlisted) > 0 {
		lost := make([]any, len(s.unlisted))
		for i, chunk := range s.unlisted {
			lost[i] = chunk
		}
		err := l.retry(ctx, "completing the index of chunks", func() error { return l.client.SAdd(ctx, l.keys.chunks, lost...).Err() })
		if err != nil {
			return err
		}
	}
	if gone := missing - int64(len(s.unlisted)); gone > 0 {
		return fmt.Errorf("%w: %s has had %d more chunks than there are: restore Redis from a backup (granter status --prove says what is left)",
			ErrInconsistent, l.keys.chunks, gone)
	}
	if len(s.chunks()) > 0 {
		return nil
	}
	checkpoint, err := l.Checkpoints(ctx)
	if err != nil {
		return err
	}
	runs, err := l.Runs(ctx)
	if err != nil {
		return err
	}
	what := Contradiction(l.campaign.Name, Totals{}, checkpoint.Next, runs, l.campaign.Hash)
	if what == "" {
		return nil
	}
	if s, err = l.survey(ctx); err != nil || len(s.chunks()) > 0 { // another run may have begun meanwhile
		return err
	}
	return fmt.Errorf("%w: %s", ErrInconsistent, what)
}

// Contradiction says how what is counted contradicts what other keys say; empty: it does not. Everything that reports how
// many users are granted asks it, so that nobody believes one key.
func Contradiction(campaign string, t Totals, checkpoint map[int]int64, runs []grant.RunRecord, spec string) string {
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
