package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// StoredTakes is what Redis has of the takes of one item in one chunk, all of one moment, for whoever reads it by other code than
// the ledger's: the layout is in take_keys.go, that of entries in take_entry.go.
type StoredTakes struct {
	Key     string   // of the bitmap, to name it by
	List    string   // key of the entries
	Taken   string   // bitmap of who has taken it
	Times   []string // of each 1,024 users when, or empty
	Many    string   // where the entries of calls of many users are
	Entries int64    // of the list, in which other items of the chunk have theirs, too
	Misused []string // keys of a wrong type, and other things that cannot be; they count as empty
}

// StoredTakes reads the takes of an item in a chunk: it hands them to begin, and then the entries of the list to entry, oldest
// first. When Redis has failed meanwhile, it begins anew. The entries are not decoded. A list that was cut meanwhile ends early.
func (l *Reader) StoredTakes(ctx context.Context, c *grant.Campaign, chunk uint64, item int, begin func(*StoredTakes),
	entry func(at int64, text string),
) error {
	k := l.takeKeys(c, chunk, item)
	return l.retry(ctx, fmt.Sprintf("reading the takes of chunk %d", chunk), func() error {
		stored, err := l.storedTakes(ctx, &k)
		if err != nil {
			return err
		}
		begin(&stored)
		return l.eachStored(ctx, k.list, stored.Entries, lookupPage, entry)
	})
}

// storedTakes reads all but the entries. A take sets all keys in one script, and the list only grows: while it has not, they are
// of one moment.
func (l *Reader) storedTakes(ctx context.Context, k *takeKeys) (StoredTakes, error) {
	for {
		out := StoredTakes{Key: k.taken, List: k.list}
		pipe := l.client.Pipeline()
		before := pipe.LLen(ctx, k.list)
		strings := []*redis.StringCmd{pipe.Get(ctx, k.taken), pipe.Get(ctx, k.many())}
		for low := 0; low < dense.ChunkSize; low += segmentUsers {
			key, _ := k.segment(uint16(low))
			strings = append(strings, pipe.Get(ctx, key))
		}
		after := pipe.LLen(ctx, k.list)
		cmds, err := pipe.Exec(ctx)
		if err = named(cmds, err); err != nil && !misused(err) {
			return out, err
		}
		if before.Val() != after.Val() {
			continue
		}
		for _, cmd := range append([]redis.Cmder{after}, commands(strings)...) {
			switch err := cmd.Err(); {
			case err == nil || errors.Is(err, redis.Nil):
			case misused(err):
				out.Misused = append(out.Misused, fmt.Sprintf("%v: %v", cmd.Args()[1], err))
			default:
				return out, fmt.Errorf("%v: %w", cmd.Args()[1], err)
			}
		}
		out.Taken, out.Many, out.Entries = strings[0].Val(), strings[1].Val(), after.Val()
		for _, of := range strings[2:] {
			out.Times = append(out.Times, of.Val())
		}
		return out, nil
	}
}

func commands[C redis.Cmder](of []C) []redis.Cmder {
	out := make([]redis.Cmder, len(of))
	for i := range of {
		out[i] = of[i]
	}
	return out
}

// StoredQuota is the counter of an item with a quota as Redis has it.
type StoredQuota struct {
	Key     string
	Fields  map[string]string
	Misused string // why it has none
}

// StoredQuota reads the counter of an item with a quota.
func (l *Reader) StoredQuota(ctx context.Context, c *grant.Campaign, item int) (out StoredQuota, err error) {
	err = l.retry(ctx, "reading a quota", func() (err error) {
		out = StoredQuota{Key: l.takeKeys(c, 0, item).first}
		if out.Fields, err = l.client.HGetAll(ctx, out.Key).Result(); err != nil && misused(err) {
			out.Misused, err = err.Error(), nil
		}
		return err
	})
	return out, err
}

// TakenChunks lists every chunk that has keys of takes, ascending, whether anybody is granted there or not, and those keys that
// are of no item that users take.
func (l *Reader) TakenChunks(ctx context.Context, c *grant.Campaign) (chunks []uint64, strange []string, err error) {
	base := "granter:{" + escapePattern(l.keys.campaign)
	err = l.retry(ctx, "looking for takes", func() error {
		found, odd := map[uint64]bool{}, map[string]bool{}
		var mu sync.Mutex
		err := l.eachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			for _, pattern := range []string{base + "/*}:take*", base + "}:*:take*"} {
				for cursor := uint64(0); ; {
					keys, next, err := master.Scan(ctx, cursor, pattern, surveyPage).Result()
					if err != nil {
						return fmt.Errorf("%s: %w", master.Options().Addr, err)
					}
					mu.Lock()
					for _, key := range keys {
						l.keys.parseTake(c, key, found, odd)
					}
					mu.Unlock()
					if cursor = next; cursor == 0 {
						break
					}
				}
			}
			return nil
		})
		chunks, strange = slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(odd))
		return err
	})
	return chunks, strange, err
}

// parseTake notes the chunk that a key of takes is of; or the key, if no take writes it.
func (k *keys) parseTake(c *grant.Campaign, key string, found map[uint64]bool, odd map[string]bool) {
	rest, ofChunk := strings.CutPrefix(key, "granter:{"+k.campaign+"/")
	tag, name, is := strings.Cut(rest, "}:")
	if !ofChunk {
		if rest, is = strings.CutPrefix(key, "granter:{"+k.campaign+"}:"); is {
			tag, name, is = strings.Cut(rest, ":")
		}
	}
	chunk, err := strconv.ParseUint(tag, 10, 64)
	if !is || err != nil || strconv.FormatUint(chunk, 10) != tag {
		return
	}
	ofItem, taken := strings.CutPrefix(name, "taken:")
	number, _, _ := strings.Cut(ofItem, ":")
	item, err := strconv.Atoi(number)
	switch {
	case name == "takes":
		found[chunk] = true
	case !taken:
	case err != nil || item < 0 || item >= len(c.Items) || !c.Items[item].Offered() || (c.Items[item].First > 0) == ofChunk:
		odd[key] = true
	default:
		found[chunk] = true
	}
}
