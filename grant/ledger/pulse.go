package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// Pulse returns memory and replica lag of the masters, the worst of each. It makes one attempt. Latency and clock are
// not filled in.
func (l *Reader) Pulse(ctx context.Context) (grant.RedisHealth, error) {
	worst := grant.RedisHealth{MemoryBytes: -1}
	var mu sync.Mutex
	err := l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx).Result()
		if err != nil {
			return fmt.Errorf("%s: %w", c.Options().Addr, err)
		}
		h := parseInfo(text).pulse()
		mu.Lock()
		defer mu.Unlock()
		if worst.MemoryBytes < 0 || share(h) > share(worst) {
			worst.MemoryBytes, worst.MemoryLimit = h.MemoryBytes, h.MemoryLimit
		}
		worst.ReplicaLag = max(worst.ReplicaLag, h.ReplicaLag)
		return nil
	})
	return worst, err
}

// Masters returns a text that is another one when a master has been restarted, restored, or replaced by a replica since: all that
// makes a Redis lose what it had acknowledged, but for commands that are about keys. It is empty where one does not say that.
func (l *Reader) Masters(ctx context.Context) (string, error) {
	var mu sync.Mutex
	var out []string
	err := l.retry(ctx, "asking which masters there are", func() error {
		out = out[:0]
		return l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			text, err := c.Info(ctx).Result()
			if _, refused := errors.AsType[redis.Error](err); err != nil && !refused {
				return fmt.Errorf("%s: %w", c.Options().Addr, err)
			}
			i := parseInfo(text)
			mu.Lock()
			defer mu.Unlock()
			out = append(out, i["run_id"]+"/"+i["master_replid"])
			return nil
		})
	})
	slices.Sort(out)
	if slices.ContainsFunc(out, func(id string) bool { return len(id) < len("a/b") || id[0] == '/' || id[len(id)-1] == '/' }) {
		return "", err
	}
	return strings.Join(out, " "), err
}

func share(h grant.RedisHealth) float64 {
	return float64(h.MemoryBytes) / float64(max(h.MemoryLimit, 1))
}

// pulse reads what INFO says about memory and replication.
func (i info) pulse() grant.RedisHealth {
	h := grant.RedisHealth{MemoryBytes: i.number("used_memory"), MemoryLimit: i.number("maxmemory")}
	if h.MemoryLimit <= 0 {
		h.MemoryLimit = max(i.number("total_system_memory"), 0)
	}
	offset := i.number("master_repl_offset")
	for key, value := range i {
		if !strings.HasPrefix(key, "slave") || !strings.Contains(value, "offset=") {
			continue
		}
		fields := info{}
		for part := range strings.SplitSeq(value, ",") {
			name, v, _ := strings.Cut(part, "=")
			fields[name] = v
		}
		if at := fields.number("offset"); at >= 0 && offset >= 0 {
			h.ReplicaLag = max(h.ReplicaLag, offset-at)
		}
	}
	return h
}
