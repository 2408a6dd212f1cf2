package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// ProveTakes adds to a proof what users took: in every chunk each bit is in exactly one entry, has the time of that, and is
// of a user who is granted; and a quota has counted exactly those who took its item. Takes may go on meanwhile.
func (l *Reader) ProveTakes(ctx context.Context, c *grant.Campaign, p *Proof) error {
	bases := map[bool][]int{} // items with a quota have a list of their own
	for _, item := range offers(c) {
		quota := c.Items[item].First > 0
		bases[quota] = append(bases[quota], item)
	}
	if len(bases) == 0 {
		return nil
	}
	before, err := l.quotas(ctx, c)
	if err = p.found("first", err); err != nil {
		return err
	}
	found, err := l.survey(ctx)
	if err != nil {
		return err
	}
	taken := make([]int64, len(c.Items))
	for _, chunk := range found.chunks() {
		for _, items := range bases {
			var result takeProof
			err := l.retry(ctx, fmt.Sprintf("proving the takes of chunk %d", chunk), func() (err error) {
				result, err = l.proveTakes(ctx, c, chunk, items)
				return err
			})
			if err != nil {
				return err
			}
			p.Takes += result.entries
			p.violated(fmt.Sprintf("takes of chunk %d", chunk), result.violations...)
			for item, n := range result.taken {
				taken[item] += n
				p.Taken += n
			}
		}
	}
	after, err := l.quotas(ctx, c)
	if err = p.found("first", err); err != nil {
		return err
	}
	for item, q := range after {
		first, n := c.Items[item].First, taken[item]
		if n < before[item].taken || n > q.taken || n > first || (q.taken >= first) == q.fullAt.IsZero() {
			p.violated(l.takeKeys(c, 0, item).first, fmt.Sprintf(
				"it counts %d (of the first %d, full at %v), and %d users took the item", q.taken, first, q.fullAt, n))
		}
	}
	return nil
}

// takeProof is what is found out about the takes of one chunk that are in one list.
type takeProof struct {
	taken      map[int]int64 // by item
	entries    int64
	violations []string
}

func (p *takeProof) violated(format string, args ...any) {
	p.violations = append(p.violations, fmt.Sprintf(format, args...))
}

// itemTakes are the bits and times of an item as they are stored.
type itemTakes struct {
	bits  *redis.StringCmd
	times []*redis.StringCmd
	many  *redis.StringCmd
	among map[int64]bool // entries of many users, by their place: those have no times
	taken dense.Bitmap
	told  dense.Bitmap // by the entries
	at    []time.Time
}

// lookAtTakes reads all there is of a chunk's takes at one moment, as look does.
func (l *Reader) lookAtTakes(
	ctx context.Context, c *grant.Campaign, chunk uint64, items []int,
) (map[int]*itemTakes, int64, error) {
	list := l.takeKeys(c, chunk, items[0]).list
	for {
		pipe := l.client.Pipeline()
		before := pipe.LLen(ctx, list)
		all := make(map[int]*itemTakes, len(items))
		for _, item := range items {
			k := l.takeKeys(c, chunk, item)
			t := &itemTakes{bits: pipe.Get(ctx, k.taken), many: pipe.Get(ctx, k.many()), at: make([]time.Time, dense.ChunkSize)}
			for low := 0; low < dense.ChunkSize; low += segmentUsers {
				key, _ := k.segment(uint16(low))
				t.times = append(t.times, pipe.Get(ctx, key))
			}
			all[item] = t
		}
		after := pipe.LLen(ctx, list)
		cmds, err := pipe.Exec(ctx)
		if err = named(cmds, err); err != nil && !misused(err) {
			return nil, 0, err
		}
		if before.Val() == after.Val() {
			return all, after.Val(), nil
		}
	}
}

func (l *Reader) proveTakes(ctx context.Context, c *grant.Campaign, chunk uint64, items []int) (p takeProof, err error) {
	if c.Input.Opaque() {
		return l.proveBucketTakes(ctx, c, chunk, items)
	}
	all, entries, err := l.lookAtTakes(ctx, c, chunk, items)
	if err != nil {
		return p, err
	}
	p.entries, p.taken = entries, map[int]int64{}
	for _, t := range all {
		t.read(&p)
	}
	if err := l.readTakes(ctx, l.takeKeys(c, chunk, items[0]).list, chunk, entries, all, &p); err != nil {
		return p, err
	}
	var granted dense.Bitmap // read last: bits are never cleared
	text, err := l.client.Get(ctx, l.keys.granted(chunk)).Result()
	if err != nil && !errors.Is(err, redis.Nil) && !misused(err) {
		return p, fmt.Errorf("%s: %w", l.keys.granted(chunk), err)
	}
	copy(granted[:], text)
	for item, t := range all {
		id := c.Items[item].ID
		p.taken[item] = int64(t.taken.Count())
		for _, check := range []struct {
			a, b *dense.Bitmap
			what string
		}{
			{&t.taken, &t.told, "took %s and are in no entry"}, {&t.told, &t.taken, "took %s by an entry and have no bit"},
			{&t.taken, &granted, "took %s and are not granted"},
		} {
			if n, first := without(check.a, check.b); n > 0 {
				p.violated("%d users "+check.what+", the first is %d", n, id, dense.Join(chunk, first))
			}
		}
		for place := range t.among {
			p.violated("%v: take %d is no entry of many who took %s", t.many.Args()[1], place, id)
		}
		t.compareTimes(&p, id, chunk)
	}
	return p, nil
}

// read takes the bits in.
func (t *itemTakes) read(p *takeProof) {
	text, err := t.bits.Result()
	if misused(err) || copy(t.taken[:], text) < len(text) {
		p.violated("%v is no bitmap of a chunk (%v)", t.bits.Args()[1], err)
	}
	key := fmt.Sprint(t.many.Args()[1])
	text, err = t.many.Result()
	found, odd := places(key, text)
	if misused(err) || odd != nil {
		p.violated("%s does not say where entries are (%v, %v)", key, err, odd)
	}
	t.among = make(map[int64]bool, len(found))
	for _, place := range found {
		t.among[place] = true
	}
}

// readTakes goes through the entries, each of whose members must be in no other of the same item.
func (l *Reader) readTakes(
	ctx context.Context, list string, chunk uint64, entries int64, all map[int]*itemTakes, p *takeProof,
) error {
	var e TakeEntry
	return l.eachTold(ctx, list, entries, p, func(at int64, text string) error {
		if err := e.UnmarshalBinary([]byte(text)); err != nil {
			return err
		}
		t := all[e.Item]
		if t == nil {
			return fmt.Errorf("it is of item %d, which is none that users take", e.Item)
		}
		t.tell(&e, at, chunk, p)
		return nil
	})
}

// eachTold hands the entries of a list of takes to tell, whose errors are violations, as is a list that became shorter.
func (l *Reader) eachTold(
	ctx context.Context, list string, entries int64, p *takeProof, tell func(at int64, text string) error,
) error {
	read := int64(0)
	err := l.eachStored(ctx, list, entries, journalPage, func(at int64, text string) {
		read++
		if err := tell(at, text); err != nil {
			p.violated("take %d: %v", at, err)
		}
	})
	if err == nil && read < entries {
		p.violated("%s became shorter", list)
	}
	return err
}

// tell adds an entry to what is told of an item.
func (t *itemTakes) tell(e *TakeEntry, n int64, chunk uint64, p *takeProof) {
	among := t.among[n]
	delete(t.among, n)
	for i := range dense.Words {
		if both := t.told.Word(i) & e.Members.Word(i); both != 0 {
			first := uint16(i*64 + bits.LeadingZeros64(both))
			p.violated("take %d: a user is in an earlier entry too: %d", n, dense.Join(chunk, first))
		}
		for w := e.Members.Word(i); w != 0 && !among; {
			lead := bits.LeadingZeros64(w)
			t.at[i*64+lead] = e.At
			w &^= 1 << (63 - lead)
		}
	}
	t.told.Or(&e.Members)
}

// compareTimes looks whether the times are those of the entries.
func (t *itemTakes) compareTimes(p *takeProof, id string, chunk uint64) {
	for n, reply := range t.times {
		text, err := reply.Result()
		if misused(err) || len(text) > segmentUsers*stampedBytes {
			p.violated("%v holds no times of %d users (%v)", reply.Args()[1], segmentUsers, err)
		}
		for i := range segmentUsers {
			var at time.Time
			if end := (i + 1) * stampedBytes; end <= len(text) {
				at = takenTime(text[end-stampedBytes : end])
			}
			if low := n*segmentUsers + i; !at.Equal(t.at[low]) {
				p.violated("user %d took %s at %v by the entries, and at %v by %v", dense.Join(chunk, uint16(low)), id,
					t.at[low], at, reply.Args()[1])
				break
			}
		}
	}
}
