package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/digest"
	"github.com/granter/granter/sharding/opaque"
)

// usersOfBuckets is Users where IDs are not dense. The journal of each bucket is read once, however many of its users are asked
// for.
func (l *Reader) usersOfBuckets(ctx context.Context, users []grant.UserID) ([]User, error) {
	found := make([]User, len(users))
	byBucket := map[uint64][]askedMember{}
	for i, user := range users {
		found[i] = User{User: user, Place: grant.PlaceNone}
		member, fault := l.form.Member(nil, []byte(user.String()))
		if fault != "" {
			continue // an ID of another form: nobody here has it
		}
		hash := opaque.Hash(member)
		bucket := l.layout.Bucket(hash)
		byBucket[bucket] = append(byBucket[bucket], askedMember{u: &found[i], member: member, hash: hash})
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(lookupChunks)
	for bucket, asked := range byBucket {
		work.Go(func() error {
			return l.retry(ctx, "looking up users", func() error {
				_, err := l.lookUpBucket(ctx, bucket, asked)
				return err
			})
		})
	}
	return found, work.Wait()
}

// BucketMembers returns what the entries of some buckets say of the places of their members.
func (l *Reader) BucketMembers(ctx context.Context, buckets []uint64) ([][]opaque.Entry, error) {
	wants := make([]opaque.Want, len(buckets))
	for i, bucket := range buckets {
		wants[i] = opaque.Want{Bucket: bucket}
	}
	return l.readMembers(ctx, wants)
}

// readMembers returns the entries of buckets, all that there are: those that others added since a shard looked spare it a call.
func (l *Store) readMembers(ctx context.Context, wants []opaque.Want) ([][]opaque.Entry, error) {
	out := make([][]opaque.Entry, len(wants))
	err := l.retry(ctx, "reading buckets", func() error {
		pipe := l.client.Pipeline()
		replies := make([]*redis.StringSliceCmd, len(wants))
		for i, want := range wants {
			replies[i] = pipe.LRange(ctx, l.keys.journal(want.Bucket), 0, -1)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		for i, want := range wants {
			entries := replies[i].Val()
			if len(entries) < want.Entries {
				return fmt.Errorf("%w: %s: expected at least %d entries, found %d",
					ErrRegressed, l.keys.journal(want.Bucket), want.Entries, len(entries))
			}
			out[i] = make([]opaque.Entry, len(entries))
			for at, text := range entries {
				var err error
				if out[i][at], err = l.entryOf(want.Bucket, int64(at), text); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return out, err
}

// countBuckets counts the members of buckets, by what calls says.
func (l *Reader) countBuckets(ctx context.Context, buckets []uint64, t *Totals) (filled []uint64, err error) {
	for page := range slices.Chunk(buckets, countPage) {
		counts := make([]*redis.SliceCmd, len(page))
		err := l.retry(ctx, "counting granted users", func() error {
			pipe := l.client.Pipeline()
			for i, bucket := range page {
				counts[i] = pipe.HMGet(ctx, l.keys.chunk(bucket, "").calls, "count", "excluded")
			}
			_, err := pipe.Exec(ctx)
			return named(counts, err)
		})
		if err != nil {
			return nil, err
		}
		for i, reply := range counts {
			var n [2]int64
			for k, field := range reply.Val() {
				text, said := field.(string)
				if n[k], err = strconv.ParseInt(text, 10, 64); err != nil && said {
					return nil, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.chunk(page[i], "").calls, err)
				}
			}
			t.Granted += n[0] - n[1]
			t.Excluded += n[1]
			if n[0] > 0 {
				filled = append(filled, page[i])
			}
		}
	}
	return filled, nil
}

// bucketLook is what one look at a bucket finds, besides its entries.
type bucketLook struct {
	count, excluded int64
	spec            string
	states          map[string]string // what acts made of users
}

// proveBucket looks at one bucket: its entries are readable, in their order, of members that belong there, each of whom one entry
// gives a place; and what acts made of users is what the entries make of them.
func (l *Reader) proveBucket(ctx context.Context, bucket uint64, d *digest.Members) (p chunkProof, err error) {
	keys := l.keys.chunk(bucket, "")
	seen, err := l.lookAtBucket(ctx, &keys, &p)
	if err != nil {
		return p, err
	}
	var r roll
	for at := int64(0); at < p.entries; {
		page, err := l.client.LRange(ctx, keys.journal, at, min(at+journalPage, p.entries)-1).Result()
		if err != nil {
			return p, fmt.Errorf("%s: %w", keys.journal, err)
		}
		if len(page) == 0 {
			p.violated("%s became shorter", keys.journal)
			return p, nil
		}
		for _, text := range page {
			width, err := r.add(text)
			if err == nil && width != l.layout.Width {
				err = fmt.Errorf("members of %d bytes: want %d", width, l.layout.Width)
			}
			if err != nil {
				p.violated("entry %d: %v", at, err)
			}
			at++
		}
	}
	p.acts = r.acts
	l.proveMembers(bucket, r.all(), seen.states, &p, d)
	if settled := p.journaled + p.excluded; settled != seen.count || p.excluded != seen.excluded {
		p.violated("%s counts %d users, %d of them excluded, and the entries have %d and %d", keys.calls, seen.count,
			seen.excluded, settled, p.excluded)
	}
	if p.entries > 0 && seen.spec == "" {
		p.violated("%s does not say under which spec users were granted", keys.calls)
	}
	p.granted = seen.count - seen.excluded
	return p, nil
}

// proveMembers looks at each of a bucket's members, and adds those who are granted to a digest.
func (l *Reader) proveMembers(bucket uint64, all []Rolled, states map[string]string, p *chunkProof, d *digest.Members) {
	twice, first := 0, []byte(nil)
	for i := range all {
		m := &all[i]
		if belongs := l.layout.Bucket(m.hash); belongs != bucket {
			p.violated("%s belongs to bucket %d", l.form.ID(m.Member), belongs)
		}
		if m.Twice {
			if twice++; twice == 1 {
				first = m.Member
			}
		}
		switch m.Place {
		case grant.PlaceGranted:
			d.Add(m.Encoded)
			p.journaled++
		case grant.PlaceExcluded:
			p.excluded++
		case grant.PlaceNone:
		}
		if m.Broken != "" {
			p.violated("user %s: %s", l.form.ID(m.Member), m.Broken)
		}
		if m.Keeps {
			p.compareState(states, l.form.ID(m.Member).String(), &m.State)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(states)) {
		p.violated("state[%s] is %q, and the journal has no act about that user", field, states[field])
	}
	if twice > 0 {
		p.violated("%d users are in two entries, the first is %s", twice, l.form.ID(first))
	}
}

// lookAtBucket reads what calls and state say of a bucket, and how many entries it has, at one moment, as look does.
func (l *Reader) lookAtBucket(ctx context.Context, keys *chunkKeys, p *chunkProof) (seen bucketLook, err error) {
	for {
		pipe := l.client.Pipeline()
		before, calls := pipe.LLen(ctx, keys.journal), pipe.HMGet(ctx, keys.calls, "count", "excluded", "spec")
		states, after := pipe.HGetAll(ctx, keys.state), pipe.LLen(ctx, keys.journal)
		pipe.Exec(ctx) //nolint:errcheck // each command has its own
		p.violations = nil
		for _, cmd := range []redis.Cmder{before, calls, states} {
			switch err := cmd.Err(); {
			case misused(err):
				p.violated("%s: %v", cmd.Args()[1], err)
			case err != nil:
				return seen, fmt.Errorf("%v: %w", cmd.Args()[1], err)
			}
		}
		if before.Val() != after.Val() {
			continue
		}
		p.entries, seen.states = after.Val(), states.Val()
		if fields := calls.Val(); len(fields) == 3 {
			seen.spec, _ = fields[2].(string)
			for i, to := range []*int64{&seen.count, &seen.excluded} {
				text, _ := fields[i].(string)
				if *to, err = strconv.ParseInt(text, 10, 64); err != nil && text != "" {
					p.violated("%s: count: %v", keys.calls, err)
				}
			}
		}
		return seen, nil
	}
}
