package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// surveyPage is how many keys of a master one SCAN looks at: about 2 ms of Redis.
const surveyPage = 5000

// survey is what the masters have of the campaign, whatever its index says.
type survey struct {
	granted, journal, calls map[uint64]bool // chunks that have the key; calls: or takes

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
func (l *Reader) survey(ctx context.Context) (*survey, error) {
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
	case "calls", "takes":
		s.calls[chunk] = true
	}
}

// pattern matches the keys of all chunks.
func (k *keys) pattern() string { return "granter:{" + escapePattern(k.campaign) + "/*}:*" }

// escapePattern makes a name stand for itself in a pattern of SCAN.
func escapePattern(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(name)
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

// Unlisted returns the chunks that the masters have and the index lacks. The next run puts them back.
func (l *Reader) Unlisted(ctx context.Context) ([]uint64, error) {
	s, err := l.survey(ctx)
	if err != nil {
		return nil, err
	}
	return s.unlisted, s.index
}
