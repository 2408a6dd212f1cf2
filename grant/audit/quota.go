package audit

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/text"
)

// took is how many users took an item.
type took struct {
	users   int64 // by the bitmaps or the entries
	told    int64 // by the entries
	last    int64 // when the last of these did, Unix milliseconds
	entries int64
}

func (t *took) add(o *took) {
	t.users, t.told, t.last, t.entries = t.users+o.users, t.told+o.told, max(t.last, o.last), t.entries+o.entries
}

// counts are those of the chunk that was read last, by item.
func (t *takesRead) counts() []took {
	out := make([]took, len(t.items))
	for i := range t.items {
		it := &t.items[i]
		all := it.bits
		all.or(&it.told)
		out[i] = took{users: all.count(), told: it.told.count(), entries: it.mine}
		it.told.each(func(low uint16) { out[i].last = max(out[i].last, it.at[low]) })
	}
	return out
}

// counter is what the ledger has counted of an item with a quota.
type counter struct {
	key           string
	taken, fullAt int64
}

// takenChunks adds the chunks in which somebody took something to those of the ledger, and names keys that belong to no item.
func (a *audit) takenChunks(ctx context.Context, chunks []uint64) ([]uint64, error) {
	if len(a.offers) == 0 {
		return chunks, nil
	}
	more, strange, err := a.ledger.TakenChunks(ctx, a.Campaign)
	if err != nil {
		return nil, err
	}
	for _, key := range strange {
		a.findings.add(Unreadable, key, 1, "it is of an item that users do not take", look)
	}
	all := append(slices.Clone(chunks), more...)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// counters reads those of the items with a quota, by place in offers.
func (a *audit) counters(ctx context.Context) (map[int]counter, error) {
	out := map[int]counter{}
	for i, index := range a.offers {
		if a.Campaign.Items[index].First == 0 {
			continue
		}
		stored, err := a.ledger.StoredQuota(ctx, a.Campaign, index)
		if err != nil {
			return nil, err
		}
		c, misuse := counter{key: stored.Key}, stored.Misused
		for name, into := range map[string]*int64{"taken": &c.taken, "full_at": &c.fullAt} {
			if number, there := stored.Fields[name]; there {
				if *into, err = strconv.ParseInt(number, 10, 64); err != nil {
					misuse = fmt.Sprintf("%s is %.40q", name, number)
				}
			}
		}
		if misuse != "" {
			a.findings.add(Unreadable, c.key, 1, "it is no counter of a quota: "+misuse, look)
		}
		out[i] = c
	}
	return out, nil
}

// quotas compares the counters with who took the items. What was counted before the ledger was read is in it; and what is in it
// is counted by now.
func (a *audit) quotas(ctx context.Context, before map[int]counter) error {
	after, err := a.counters(ctx)
	if err != nil {
		return err
	}
	for i, now := range after {
		item, n, was := &a.Campaign.Items[a.offers[i]], &a.took[i], before[i]
		if n.users > item.First {
			if err := a.exceeded(ctx, a.offers[i], now.key, n.users-item.First); err != nil {
				return err
			}
		}
		apart := max(was.taken-n.told, n.told-now.taken)
		still := was.taken == now.taken && n.told == now.taken && n.told == item.First
		full := (now.taken >= item.First) == (now.fullAt > 0)
		if still && full {
			full = max(now.fullAt-n.last, n.last-now.fullAt) <= clocksApart
		}
		if apart > 0 || !full {
			says := "and is not full"
			if now.fullAt > 0 {
				says = "and is full since " + timeText(now.fullAt)
			}
			a.findings.add(QuotaDiffers, now.key, max(apart, 1), fmt.Sprintf(
				"the counter says that %s users took %s, of the first %s, %s; by the entries %s did, the last at %s",
				text.Number(now.taken), item.ID, text.Number(item.First), says, text.Number(n.told), timeText(n.last)), look)
		}
	}
	return nil
}

func timeText(ms int64) string {
	if ms == 0 {
		return "no time"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// exceeded names those who took an item last, as many as are beyond its quota. Who has a bit and no entry has no time, and
// comes behind all others.
func (a *audit) exceeded(ctx context.Context, index int, key string, beyond int64) error {
	chunks, _, err := a.ledger.TakenChunks(ctx, a.Campaign)
	if err != nil {
		return err
	}
	last := &lastTakes{}
	err = a.eachTake(ctx, chunks, index, func(one takeOf) {
		if heap.Push(last, one); int64(last.Len()) > min(beyond, maxBeyond) {
			heap.Pop(last)
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(*last, func(a, b takeOf) int { return cmp.Compare(a.order, b.order) })
	item := &a.Campaign.Items[index]
	what := fmt.Sprintf("users took %s after it was taken by the first %s", item.ID, text.Number(item.First))
	a.findings.name(QuotaExceeded, key, beyond, what, func(one func(grant.UserID)) {
		for _, t := range *last {
			one(t.user)
		}
	})
	return nil
}

const (
	noTime    = 1<<63 - 1
	maxBeyond = 1 << 20 // who are named
)

type takeOf struct {
	at    int64
	order uint64 // of users
	user  grant.UserID
}

// eachTake hands who took an item, and when, to fn.
func (a *audit) eachTake(ctx context.Context, chunks []uint64, index int, fn func(takeOf)) error {
	if a.layout != nil {
		r := a.newBucketTakes()
		r.items = slices.DeleteFunc(r.items, func(it bucketItem) bool { return it.index != index })
		for _, bucket := range chunks {
			if err := r.read(ctx, bucket); err != nil {
				return err
			}
			r.lastIn(&r.items[0], fn)
		}
		return nil
	}
	r := a.newTakesRead()
	r.items = slices.DeleteFunc(r.items, func(it itemRead) bool { return it.index != index })
	for _, chunk := range chunks {
		if err := r.chunkOf(ctx, chunk); err != nil {
			return err
		}
		it := &r.items[0]
		r.anyone.each(func(low uint16) {
			id := chunk<<chunkBits | uint64(low)
			one := takeOf{at: noTime, order: id, user: grant.NumberID(id)}
			if it.told.has(low) {
				one.at = it.at[low]
			}
			fn(one)
		})
	}
	return nil
}

// lastTakes is a heap, the first one on top.
type lastTakes []takeOf

func (l *lastTakes) Len() int { return len(*l) }
func (l *lastTakes) Less(i, k int) bool {
	a, b := (*l)[i], (*l)[k]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) < 0
}
func (l *lastTakes) Swap(i, k int) { (*l)[i], (*l)[k] = (*l)[k], (*l)[i] }
func (l *lastTakes) Push(x any)    { *l = append(*l, x.(takeOf)) }
func (l *lastTakes) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}
