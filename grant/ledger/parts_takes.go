package ledger

import (
	"context"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/granter/granter/sharding/dense"
)

// Users go on taking items while a ledger is copied. What is of a chunk, or a bucket, and its items without a quota is read with
// it. That of items with a quota is on the master of {C}, where it is read chunk by chunk, each as of one moment, and before what
// says that their users were granted; and their counters count what was read.

// takeNames are the names of all keys that takes in a chunk may get at any moment: of items with a quota, or of those without.
func (l *Store) takeNames(quota bool) (names []string) {
	for _, item := range offers(l.campaign) {
		if l.campaign.Items[item].First > 0 != quota {
			continue
		}
		of := l.keys.take(0, item, quota) // as in any chunk
		add := func(key string) { names = append(names, strings.TrimPrefix(key, of.base)) }
		add(of.list)
		if add(of.taken); l.Buckets() {
			continue
		}
		add(of.many())
		for low := 0; low < dense.ChunkSize; low += segmentUsers {
			key, _ := of.segment(uint16(low))
			add(key)
		}
	}
	return names
}

// takenOf splits the name of a key of an item with a quota, such as 12:takes.
func takenOf(name string) (chunk uint64, rest string, ok bool) {
	number, rest, ok := strings.Cut(name, ":")
	chunk, err := strconv.ParseUint(number, 10, 64)
	return chunk, rest, ok && err == nil
}

// readLimited hands what is of items with a quota to visit, and returns the names that are of nothing of that.
func (l *Reader) readLimited(ctx context.Context, names []string, visit func(Part) error) (others []string, err error) {
	chunks, counters := map[uint64][]string{}, map[string]map[string]string{}
	for _, item := range offers(l.campaign) {
		if l.campaign.Items[item].First > 0 {
			counters["first:"+strconv.Itoa(item)] = nil
		}
	}
	for _, name := range names {
		if chunk, rest, ok := takenOf(name); ok {
			chunks[chunk] = append(chunks[chunk], rest)
		} else if strings.HasPrefix(name, "first:") {
			counters[name] = nil
		} else {
			others = append(others, name)
		}
	}
	for name := range counters {
		if counters[name], err = l.readCounter(ctx, name); err != nil {
			return nil, err
		}
	}
	taken := map[string]int64{}
	for _, chunk := range slices.Sorted(maps.Keys(chunks)) {
		base := l.keys.take(chunk, 0, true).base
		parts, err := l.readStill(ctx, base, slices.Concat(chunks[chunk], l.takeNames(true)))
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			if item, ok := strings.CutPrefix(p.Name, "taken:"); ok && !strings.Contains(item, ":") {
				taken["first:"+item] += takers(&p)
			}
			p.Name = strconv.FormatUint(chunk, 10) + ":" + p.Name
			if err := visit(p); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		now, err := l.readCounter(ctx, name)
		if err != nil {
			return nil, err
		}
		if !maps.Equal(now, counters[name]) && now["taken"] != strconv.FormatInt(taken[name], 10) { // it was taken meanwhile
			now = map[string]string{"taken": strconv.FormatInt(taken[name], 10)}
		}
		var items []string
		for _, field := range slices.Sorted(maps.Keys(now)) {
			items = append(items, field, now[field])
		}
		if err := visit(Part{Name: name, Kind: PartHash, Items: items}); err != nil {
			return nil, err
		}
	}
	return others, nil
}

// readCounter reads the counter of a quota.
func (l *Reader) readCounter(ctx context.Context, name string) (fields map[string]string, err error) {
	key := "granter:{" + l.keys.campaign + "}:" + name
	err = l.retry(ctx, "reading "+key, func() error {
		fields, err = l.client.HGetAll(ctx, key).Result()
		return err
	})
	return fields, err
}

// takers is how many users a key says to have taken an item.
func takers(p *Part) (n int64) {
	if p.Kind == PartHash {
		return int64(len(p.Items) / 2)
	}
	for i := range len(p.Items[0]) {
		n += int64(bits.OnesCount8(p.Items[0][i]))
	}
	return n
}
