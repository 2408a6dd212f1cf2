package ledger

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// Unknown is the value of a fact that Redis does not report, or not to this user.
const Unknown = "unknown"

// Facts are what a preflight wants to know about the Redis behind a ledger.
type Facts struct {
	Cluster bool        `json:"cluster"`
	Probed  bool        `json:"probed"`            // whether writing was tried
	State   string      `json:"state,omitempty"`   // of the cluster: ok or fail
	Masters []NodeFacts `json:"masters"`           // by address; of one Redis, that one, even if it is no master
	Anchors string      `json:"anchors,omitempty"` // why losses could not be noticed; empty: they would be
}

// NodeFacts are the facts of one node. Texts that are not known are Unknown, numbers −1.
type NodeFacts struct {
	Addr            string        `json:"addr"`
	Version         string        `json:"version"`
	Role            string        `json:"role"`        // master or slave
	Mode            string        `json:"mode"`        // standalone, sentinel or cluster
	UsedMemory      int64         `json:"used_memory"` // bytes
	MaxMemory       int64         `json:"maxmemory"`   // bytes; 0: no limit
	MaxMemoryPolicy string        `json:"maxmemory_policy"`
	AOF             string        `json:"aof"`            // yes or no
	AppendFsync     string        `json:"appendfsync"`    // always, everysec or no
	Save            string        `json:"save"`           // snapshot rules; empty: none
	LastSave        string        `json:"last_save"`      // ok or err
	LastAOFWrite    string        `json:"last_aof_write"` // ok or err
	Replicas        int64         `json:"replicas"`       // connected
	MinReplicas     string        `json:"min_replicas_to_write"`
	ClockAhead      time.Duration `json:"clock_ahead"` // of this process's clock, give or take RoundTrip
	RoundTrip       time.Duration `json:"round_trip"`
	WriteError      string        `json:"write_error,omitempty"` // what came of trying all that granting does; empty: it works
	WriteHint       string        `json:"write_hint,omitempty"`
}

// Inspect collects the facts of every master. With probe it tries what granting does on keys of its own, which are gone
// when it returns, or within a minute if it is killed; without, it writes nothing. It does not retry; an error means that a
// master could not be asked at all.
func (l *Reader) Inspect(ctx context.Context, probe bool) (Facts, error) {
	f := Facts{Cluster: l.cluster != nil, Probed: probe}
	var mu sync.Mutex
	err := l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		n, err := inspectNode(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Options().Addr, err)
		}
		mu.Lock()
		defer mu.Unlock()
		f.Masters = append(f.Masters, n)
		return nil
	})
	if err != nil {
		return f, err
	}
	slices.SortFunc(f.Masters, func(a, b NodeFacts) int { return strings.Compare(a.Addr, b.Addr) })
	if l.cluster != nil {
		f.State = Unknown
		if info, err := l.cluster.ClusterInfo(ctx).Result(); err == nil {
			f.State = parseInfo(info).text("cluster_state")
		}
		if err := l.checkAnchors(ctx); err != nil {
			f.Anchors = err.Error()
		}
	}
	if probe {
		err = l.probe(ctx, &f)
	}
	return f, err
}

func inspectNode(ctx context.Context, c *redis.Client) (NodeFacts, error) {
	n := NodeFacts{Addr: c.Options().Addr}
	before := time.Now()
	now, err := c.Time(ctx).Result()
	if err != nil {
		return n, err
	}
	n.RoundTrip = time.Since(before)
	n.ClockAhead = now.Sub(before.Add(n.RoundTrip / 2)).Round(time.Microsecond)

	text, _ := c.Info(ctx).Result() // forbidden: all unknown
	info := parseInfo(text)
	n.Version, n.Role, n.Mode = info.text("redis_version"), info.text("role"), info.text("redis_mode")
	n.UsedMemory, n.MaxMemory = info.number("used_memory"), info.number("maxmemory")
	n.MaxMemoryPolicy = info.text("maxmemory_policy")
	n.AOF = map[string]string{"0": "no", "1": "yes", Unknown: Unknown}[info.text("aof_enabled")]
	n.LastSave, n.LastAOFWrite = info.text("rdb_last_bgsave_status"), info.text("aof_last_write_status")
	n.Replicas = info.number("connected_slaves")
	n.AppendFsync, n.Save = config(ctx, c, "appendfsync"), config(ctx, c, "save")
	n.MinReplicas = config(ctx, c, "min-replicas-to-write")
	return n, nil
}

func config(ctx context.Context, c *redis.Client, name string) string {
	values, err := c.ConfigGet(ctx, name).Result()
	value, ok := values[name]
	if err != nil || !ok {
		return Unknown
	}
	return value
}

type info map[string]string

func parseInfo(text string) info {
	out := info{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok {
			out[key] = value
		}
	}
	return out
}

func (i info) text(key string) string {
	if value, ok := i[key]; ok {
		return value
	}
	return Unknown
}

func (i info) number(key string) int64 {
	n, err := strconv.ParseInt(i[key], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// probe does on every master, with keys of its own, what granting does.
func (l *Reader) probe(ctx context.Context, f *Facts) error {
	if err := l.loadScripts(ctx); err != nil {
		for i := range f.Masters {
			f.Masters[i].WriteError, f.Masters[i].WriteHint = err.Error(), Hint(Kind(err))
		}
		return nil
	}
	tried := map[string]bool{}
	for _, anchor := range l.keys.anchors {
		at := 0
		if l.cluster != nil {
			node, err := l.cluster.MasterForKey(ctx, l.keys.checkpoint(anchor, l.keys.version))
			if err != nil {
				return err
			}
			at = slices.IndexFunc(f.Masters, func(n NodeFacts) bool { return n.Addr == node.Options().Addr })
		}
		if at < 0 || tried[f.Masters[at].Addr] {
			continue
		}
		tried[f.Masters[at].Addr] = true
		if err := l.probeAnchor(ctx, anchor); err != nil {
			f.Masters[at].WriteError, f.Masters[at].WriteHint = err.Error(), Hint(Kind(err))
		}
	}
	return nil
}

func (l *Reader) probeAnchor(ctx context.Context, anchor string) error {
	run := grant.NewRunID(time.Now()) // keys of its own
	base := "granter:{" + anchor + "}:probe:" + run.String() + ":"
	names := []string{"granted", "journal", "calls", "delta", "scratch", "excluded", "tip", "checkpoint", "index", "spec", "leases", "format"}
	key := make([]string, len(names))
	for i, name := range names {
		key[i] = base + name
	}
	var members dense.Bitmap
	members.Set(1)
	pipe := l.client.Pipeline()
	calls := append(make([]redis.Cmder, 0, 6+2*len(key)),
		redis.NewIntCmd(ctx, "sadd", key[8], 1),
		redis.NewStatusCmd(ctx, "set", key[3], members[:], "ex", 60),
		chunkCall.command(ctx, key[:6], runBytes(run), "1", "entry", "", "spec", 0, 1<<53),
		chunkCall.command(ctx, key[:6], runBytes(run), "2", "entry", []byte{0, 2}, "spec", 0, 1<<53),
		tipCall.command(ctx, key[6:7], 0, 0, 1, 60),
		specCall.command(ctx, []string{key[9], key[8], key[10], key[11]}, "hash", "spec", "now", run.String(), 1, "searched ", format, formatSince),
		checkpointCall.command(ctx, []string{key[7], key[6]}, 60, "", "", 1, 0, 1, 0, -1, 1, -1),
	)
	for _, k := range key {
		calls = append(calls, redis.NewBoolCmd(ctx, "expire", k, 60))
	}
	for _, k := range key {
		calls = append(calls, redis.NewIntCmd(ctx, "del", k))
	}
	for _, call := range calls {
		if err := pipe.Process(ctx, call); err != nil {
			return err
		}
	}
	_, err := pipe.Exec(ctx)
	return err
}
