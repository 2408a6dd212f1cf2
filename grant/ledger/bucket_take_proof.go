package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// memberTakes are who took an item of a bucket, and when: by the hash, and by the entries.
type memberTakes struct {
	taken *redis.MapStringStringCmd
	told  map[string]time.Time
}

// proveBucketTakes is proveTakes of a bucket.
func (l *Reader) proveBucketTakes(ctx context.Context, c *grant.Campaign, bucket uint64, items []int) (p takeProof, err error) {
	list := l.takeKeys(c, bucket, items[0]).list
	all, entries, err := l.lookAtBucketTakes(ctx, c, bucket, items)
	if err != nil {
		return p, err
	}
	p.entries, p.taken = entries, map[int]int64{}
	if err := l.eachTold(ctx, list, entries, &p, func(at int64, text string) error {
		return l.tellMembers(bucket, text, all, &p, at)
	}); err != nil {
		return p, err
	}
	granted, err := l.grantedMembers(ctx, bucket) // read last: nobody leaves a bucket
	if err != nil {
		return p, err
	}
	for item, t := range all {
		p.taken[item] = int64(len(t.taken.Val()))
		t.compare(l, c.Items[item].ID, granted, &p)
	}
	return p, nil
}

// lookAtBucketTakes reads who took which item, and how many entries there are, at one moment, as lookAtTakes does.
func (l *Reader) lookAtBucketTakes(
	ctx context.Context, c *grant.Campaign, bucket uint64, items []int,
) (map[int]*memberTakes, int64, error) {
	list := l.takeKeys(c, bucket, items[0]).list
	for {
		pipe := l.client.Pipeline()
		before := pipe.LLen(ctx, list)
		all := make(map[int]*memberTakes, len(items))
		for _, item := range items {
			all[item] = &memberTakes{pipe.HGetAll(ctx, l.takeKeys(c, bucket, item).taken), map[string]time.Time{}}
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

// tellMembers adds an entry to what is told of its item.
func (l *Reader) tellMembers(bucket uint64, text string, all map[int]*memberTakes, p *takeProof, at int64) error {
	var e TakeEntry
	members, err := e.UnmarshalBucket([]byte(text))
	if err != nil {
		return err
	}
	t := all[e.Item]
	if t == nil {
		return fmt.Errorf("it is of item %d, which is none that users take", e.Item)
	}
	if members.Width != l.layout.Width {
		return fmt.Errorf("members of %d bytes: want %d", members.Width, l.layout.Width)
	}
	return members.Each(func(hash uint64, member []byte) bool {
		if belongs := l.layout.Bucket(hash); belongs != bucket {
			p.violated("take %d: %s belongs to bucket %d", at, l.form.ID(member), belongs)
		}
		if _, twice := t.told[string(member)]; twice {
			p.violated("take %d: a user is in an earlier entry too: %s", at, l.form.ID(member))
			return true
		}
		t.told[string(member)] = e.At
		return true
	})
}

// grantedMembers are those of a bucket who have a place.
func (l *Reader) grantedMembers(ctx context.Context, bucket uint64) (map[string]bool, error) {
	granted := map[string]bool{}
	var e Entry
	key := l.keys.journal(bucket)
	for at := int64(0); ; {
		page, err := l.client.LRange(ctx, key, at, at+journalPage-1).Result()
		if misused(err) {
			return granted, nil // the proof of the bucket says so
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		for _, text := range page {
			if members, err := e.UnmarshalBucket([]byte(text)); err == nil && e.Kind.Settles() {
				_ = members.Each(func(_ uint64, member []byte) bool { granted[string(member)] = true; return true })
			}
		}
		if at += int64(len(page)); len(page) < journalPage {
			return granted, nil
		}
	}
}

// compare holds hash, entries and bucket against each other.
func (t *memberTakes) compare(l *Reader, id string, granted map[string]bool, p *takeProof) {
	key := fmt.Sprint(t.taken.Args()[1])
	stored, err := t.taken.Result()
	if misused(err) {
		p.violated("%s is no hash of who took %s (%v)", key, id, err)
	}
	var untold, ungranted, unstored []string
	for _, member := range slices.Sorted(maps.Keys(stored)) {
		at, told := t.told[member]
		if !told {
			untold = append(untold, member)
		} else if is := takenTime(stored[member]); !is.Equal(at) {
			p.violated("user %s took %s at %v by the entries, and at %v by %s", l.form.ID([]byte(member)), id, at, is, key)
		}
		if !granted[member] {
			ungranted = append(ungranted, member)
		}
	}
	for _, member := range slices.Sorted(maps.Keys(t.told)) {
		if _, is := stored[member]; !is {
			unstored = append(unstored, member)
		}
	}
	for _, found := range []struct {
		members []string
		what    string
	}{
		{untold, "took %s and are in no entry"}, {unstored, "took %s by an entry and are not in the hash"},
		{ungranted, "took %s and are not granted"},
	} {
		if n := len(found.members); n > 0 {
			p.violated("%d users "+found.what+", the first is %s", n, id, l.form.ID([]byte(found.members[0])))
		}
	}
}
