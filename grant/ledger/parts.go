package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// PartKind is the type of a key of Redis.
type PartKind byte

// The kinds of parts.
const (
	PartString PartKind = 's'
	PartList   PartKind = 'l' // items in their order
	PartHash   PartKind = 'h' // field, value, field, value…, ascending by field
	PartSet    PartKind = 't' // ascending
)

var partKinds = map[string]PartKind{"string": PartString, "list": PartList, "hash": PartHash, "set": PartSet}

// Part is a key of a campaign and what it holds, or a page of that: a long list, hash or set that is of no chunk comes in
// several.
type Part struct {
	Chunk   uint64
	OfChunk bool   // granter:{C/<chunk>}:<name>; else granter:{C}:<name>
	Name    string // such as granted, or runs
	Kind    PartKind
	Items   []string
}

// Snapshot is a ledger as it is read for a copy of it.
type Snapshot struct {
	Parts  int64
	Chunks int64 // with any key
}

// volatile are the keys of a campaign that a copy must not have: who may grant now, what is made again, and what is said last.
var volatile = []string{"chunks", "leases", "budget", "format"}

// alwaysRead are the names of a chunk's keys that are read of every chunk, because one may get them at any moment.
var alwaysRead = []string{"granted", "excluded", "journal", "state", "calls"}

// ReadParts hands everything that a copy of the ledger must have to visit, but its checkpoints: read those before. What is of
// no chunk comes first, then the chunks, ascending, each as of one moment: what a later one vouches for is in what comes
// after it. A run may go on meanwhile. It needs memory for one chunk, and some bytes for each.
func (l *Reader) ReadParts(ctx context.Context, visit func(Part) error) (s Snapshot, err error) {
	count := func(p Part) error {
		if len(p.Items) == 0 {
			return nil
		}
		s.Parts++
		return visit(p)
	}
	names, err := l.campaignKeys(ctx)
	if err != nil {
		return s, err
	}
	if names, err = l.readLimited(ctx, names, count); err != nil {
		return s, err
	}
	for _, name := range names {
		if err := l.readLong(ctx, name, count); err != nil {
			return s, err
		}
	}
	chunks, byChunk, err := l.chunkNames(ctx)
	if err != nil {
		return s, err
	}
	for _, chunk := range chunks {
		parts, err := l.readChunk(ctx, chunk, byChunk[chunk])
		if err != nil {
			return s, err
		}
		if len(parts) > 0 {
			s.Chunks++
		}
		for _, p := range parts {
			if err := count(p); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// campaignKeys returns the names of the keys that are of no chunk, without those that a copy must not have.
func (l *Reader) campaignKeys(ctx context.Context) ([]string, error) {
	base := "granter:{" + l.keys.campaign + "}:"
	found := map[string]bool{}
	err := l.scanKeys(ctx, "granter:{"+escapePattern(l.keys.campaign)+"}:*", func(key string) {
		if name, ok := strings.CutPrefix(key, base); ok && !slices.Contains(volatile, name) {
			found[name] = true
		}
	})
	return slices.Sorted(maps.Keys(found)), err
}

// scanKeys looks at the keys of all masters.
func (l *Reader) scanKeys(ctx context.Context, pattern string, visit func(key string)) error {
	return l.retry(ctx, "looking for the keys of "+l.campaign.Name, func() error {
		var mu sync.Mutex
		return l.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			for cursor := uint64(0); ; {
				keys, next, err := c.Scan(ctx, cursor, pattern, surveyPage).Result()
				if err != nil {
					return fmt.Errorf("%s: %w", c.Options().Addr, err)
				}
				mu.Lock()
				for _, key := range keys {
					visit(key)
				}
				mu.Unlock()
				if cursor = next; cursor == 0 {
					return nil
				}
			}
		})
	})
}

// chunkNames returns every chunk that has a key, ascending, and the names of its keys; those of calls under way are none.
func (l *Reader) chunkNames(ctx context.Context) ([]uint64, map[uint64][]string, error) {
	var names []string
	index := map[string]int{}
	has := map[uint64]uint64{} // bit n: names[n]
	tooMany := false
	err := l.scanKeys(ctx, l.keys.pattern(), func(key string) {
		chunk, name := l.keys.parse(key)
		if name == "" || name == "scratch" || strings.HasPrefix(name, "delta:") {
			return
		}
		n, ok := index[name]
		if !ok {
			n = len(names)
			names, index[name] = append(names, name), n
		}
		if n >= 64 {
			tooMany = true
			return
		}
		has[chunk] |= 1 << n
	})
	listed, err2 := l.Chunks(ctx)
	if err := cmp.Or(err, err2); err != nil {
		return nil, nil, err
	}
	out := make(map[uint64][]string, len(has))
	for chunk, set := range has {
		for ; !tooMany && set != 0; set &= set - 1 {
			out[chunk] = append(out[chunk], names[bits.TrailingZeros64(set)])
		}
		if tooMany {
			out[chunk] = names
		}
	}
	for _, chunk := range listed { // one that came meanwhile
		if _, ok := out[chunk]; !ok {
			out[chunk] = nil
		}
	}
	return slices.Sorted(maps.Keys(out)), out, nil
}

// readChunk reads the keys of a chunk as of one moment.
func (l *Reader) readChunk(ctx context.Context, chunk uint64, names []string) (parts []Part, err error) {
	base := strings.TrimSuffix(l.keys.granted(chunk), "granted")
	parts, err = l.readStill(ctx, base, slices.Concat(names, alwaysRead, l.takeNames(false)))
	for i := range parts {
		parts[i].Chunk, parts[i].OfChunk = chunk, true
	}
	return parts, err
}

// readStill reads keys of a chunk as of one moment: every script that changes one of them makes a list of the chunk longer, so
// nothing has changed between two looks at the lengths of all lists that are the same.
func (l *Reader) readStill(ctx context.Context, base string, names []string) (parts []Part, err error) {
	slices.Sort(names)
	names = slices.Compact(names)
	err = l.retry(ctx, "reading "+base+"…", func() (err error) {
		for again := true; again; {
			if parts, again, err = l.readOnce(ctx, base, names); err != nil {
				return err
			}
		}
		return nil
	})
	return parts, err
}

// readOnce reads keys, and reports whether they changed meanwhile.
func (l *Reader) readOnce(ctx context.Context, base string, names []string) (parts []Part, again bool, err error) {
	types := make([]*redis.StatusCmd, len(names))
	pipe := l.client.Pipeline()
	for i, name := range names {
		types[i] = pipe.Type(ctx, base+name)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, false, named(types, err)
	}
	lengths := func(pipe redis.Pipeliner) (out []*redis.IntCmd) {
		for i, name := range names {
			if types[i].Val() == "list" {
				out = append(out, pipe.LLen(ctx, base+name))
			}
		}
		return out
	}
	pipe = l.client.Pipeline()
	before := lengths(pipe)
	values := make([]redis.Cmder, len(names))
	for i, name := range names {
		values[i] = readWhole(ctx, pipe, partKinds[types[i].Val()], base+name)
	}
	after := lengths(pipe)
	still := make([]*redis.StatusCmd, len(names))
	for i, name := range names {
		still[i] = pipe.Type(ctx, base+name)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		if misused(err) { // a key came, or became another one, between the two pipelines
			return nil, true, nil
		}
		if err := named(values, err); err != nil {
			return nil, false, err
		}
	}
	for i := range before {
		again = again || before[i].Val() != after[i].Val()
	}
	for i, name := range names {
		again = again || types[i].Val() != still[i].Val()
		kind, known := partKinds[types[i].Val()]
		if !known && types[i].Val() != "none" {
			return nil, false, fmt.Errorf("%w: %s%s is a %s", ErrInconsistent, base, name, types[i].Val())
		}
		if items := wholeOf(kind, values[i]); name == "calls" {
			parts = append(parts, Part{Name: name, Kind: kind, Items: withoutCalls(items)})
		} else if known {
			parts = append(parts, Part{Name: name, Kind: kind, Items: items})
		}
	}
	return slices.DeleteFunc(parts, func(p Part) bool { return len(p.Items) == 0 }), again, nil
}

// withoutCalls leaves out the calls of runs: they mean something to the Redis that they were sent to.
func withoutCalls(items []string) (kept []string) {
	for i := 0; i+1 < len(items); i += 2 {
		if slices.Contains(ofCalls, items[i]) {
			kept = append(kept, items[i:i+2]...)
		}
	}
	return kept
}

// ofCalls are the fields of calls that are no calls: the spec of the first grant, how many members a bucket has, and how many of
// them are excluded.
var ofCalls = []string{"spec", "count", "excluded"}

func readWhole(ctx context.Context, pipe redis.Pipeliner, kind PartKind, key string) redis.Cmder {
	switch kind {
	case PartString:
		return pipe.Get(ctx, key)
	case PartList:
		return pipe.LRange(ctx, key, 0, -1)
	case PartHash:
		return pipe.HGetAll(ctx, key)
	case PartSet:
		return pipe.SMembers(ctx, key)
	}
	return pipe.Exists(ctx, key)
}

func wholeOf(kind PartKind, cmd redis.Cmder) []string {
	switch c := cmd.(type) {
	case *redis.StringCmd:
		if c.Err() == nil {
			return []string{c.Val()}
		}
	case *redis.StringSliceCmd:
		if kind == PartSet {
			return slices.Sorted(slices.Values(c.Val()))
		}
		return c.Val()
	case *redis.MapStringStringCmd:
		var out []string
		for _, field := range slices.Sorted(maps.Keys(c.Val())) {
			out = append(out, field, c.Val()[field])
		}
		return out
	}
	return nil
}

// partPage is how many items of a long key are read at once.
const partPage = 4096

// readLong reads a key that is of no chunk, page by page. What is added meanwhile may be in it or not; the elements of a hash
// or a set that are there all the time come once at least.
func (l *Reader) readLong(ctx context.Context, name string, visit func(Part) error) error {
	key := "granter:{" + l.keys.campaign + "}:" + name
	var kind PartKind
	err := l.retry(ctx, "reading "+key, func() error {
		text, err := l.client.Type(ctx, key).Result()
		var known bool
		if kind, known = partKinds[text]; err == nil && !known && text != "none" {
			return fmt.Errorf("%w: %s is a %s", ErrInconsistent, key, text)
		}
		return err
	})
	if err != nil || kind == 0 {
		return err
	}
	for cursor := uint64(0); ; {
		var items []string
		next := uint64(0)
		err := l.retry(ctx, "reading "+key, func() (err error) {
			switch kind {
			case PartString:
				var text string
				text, err = l.client.Get(ctx, key).Result()
				items = []string{text}
			case PartList:
				items, err = l.client.LRange(ctx, key, int64(cursor), int64(cursor)+partPage-1).Result()
				if next = cursor + uint64(len(items)); len(items) < partPage {
					next = 0
				}
			case PartHash:
				items, next, err = l.client.HScan(ctx, key, cursor, "", partPage).Result()
			case PartSet:
				items, next, err = l.client.SScan(ctx, key, cursor, "", partPage).Result()
			}
			if errors.Is(err, redis.Nil) {
				items, err = nil, nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := visit(Part{Name: name, Kind: kind, Items: items}); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// NamedCheckpoint is a checkpoint and whose it is.
type NamedCheckpoint struct {
	Version string // of the spec
	Pass    string // key of the pass; empty: everybody
	grant.Checkpoint
}

// AllCheckpoints returns the checkpoints of all versions of the spec, and of all passes.
func (l *Reader) AllCheckpoints(ctx context.Context) ([]NamedCheckpoint, error) {
	found := map[[2]string]bool{}
	pattern := "granter:{" + escapePattern(l.keys.campaign) + "/anchor*}:checkpoint:*"
	err := l.scanKeys(ctx, pattern, func(key string) {
		if _, name, ok := strings.Cut(key, "}:checkpoint:"); ok {
			version, pass, _ := strings.Cut(name, ":")
			found[[2]string{version, pass}] = true
		}
	})
	if err != nil {
		return nil, err
	}
	var out []NamedCheckpoint
	for name := range found {
		of := *l.Store
		of.keys.pass = name[1]
		c := NamedCheckpoint{Version: name[0], Pass: name[1]}
		err := l.retry(ctx, "reading the checkpoint", func() (err error) {
			c.Checkpoint, _, err = of.checkpoints(ctx, name[0])
			return err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b NamedCheckpoint) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Pass, b.Pass))
	})
	return out, nil
}
