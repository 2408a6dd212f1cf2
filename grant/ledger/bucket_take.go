package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/opaque"
)

// Takes where IDs are not dense. Who may take is looked up before the call that writes: at the bytes that would be theirs, as
// checks do, or else, where acts were done or the bucket grows all the time, by reading the bucket. The call names how many
// entries the bucket had; where there are others by then, it changes nothing, and they are looked at again.

const (
	// takeBucketMembers is how many users of a bucket take an item in one call at most: about 2 ms of Redis.
	takeBucketMembers = 1024
	// takeSpins is how often the same users of a bucket are looked at: each time a run, or an act, was faster.
	takeSpins = 100
)

// bucketSeat is one user who wants something, and what is known of the user.
type bucketSeat struct {
	User

	member []byte
	hash   uint64
}

// takersLook is those users of a bucket who want something, as they were at one moment.
type takersLook struct {
	bucket uint64
	seats  []*bucketSeat
	glance BucketGlance
	seen   int64 // entries that the bucket had
	fresh  bool  // they are as they were looked at, as far as is known
	spins  int
}

// taker is a user who wants an item.
type taker struct {
	*bucketSeat

	wishes []int // indices
}

// bucketTaking is the users of one bucket who want one item.
type bucketTaking struct {
	campaign *grant.Campaign
	keys     takeKeys
	look     *takersLook
	item     int
	takers   []taker   // in the order of entries
	judged   time.Time // of an item with a quota: until when the users count as judged; zero: they are not
	slept    int       // how often it was judged too long ago
	tail     []byte    // the entry of the call under way, which is the same when it is sent again
}

// groupMembers is group of buckets. Whoever has an ID of another form is granted nothing.
func (t *Takes) groupMembers(c *grant.Campaign, wishes []Take, out []Taken) (groups []taking) {
	type place struct {
		bucket uint64
		item   int
	}
	type want struct {
		seat *bucketSeat
		item int
	}
	var order []place
	seats, looks := map[string]*bucketSeat{}, map[uint64]*takersLook{}
	all, wants := map[place][]taker{}, map[want]int{}
	for i, w := range wishes {
		member, fault := t.form.Member(nil, []byte(w.User.String()))
		if fault != "" {
			out[i].Outcome = grant.OutcomeNotGranted
			continue
		}
		seat := seats[string(member)]
		if seat == nil {
			seat = &bucketSeat{User: User{User: w.User}, member: member, hash: opaque.Hash(member)}
			seats[string(member)] = seat
			bucket := t.layout.Bucket(seat.hash)
			if looks[bucket] == nil {
				looks[bucket] = &takersLook{bucket: bucket}
			}
			looks[bucket].seats = append(looks[bucket].seats, seat)
		}
		at := place{t.layout.Bucket(seat.hash), w.Item}
		if all[at] == nil {
			order = append(order, at)
		}
		if n, again := wants[want{seat, w.Item}]; again {
			all[at][n].wishes = append(all[at][n].wishes, i)
			continue
		}
		wants[want{seat, w.Item}] = len(all[at])
		all[at] = append(all[at], taker{seat, []int{i}})
	}
	slices.SortStableFunc(order, func(a, b place) int { return cmp.Compare(a.bucket, b.bucket) }) // to look at a bucket once
	for _, at := range order {
		slices.SortFunc(all[at], func(a, b taker) int {
			return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.member, b.member))
		})
		for part := range slices.Chunk(all[at], takeBucketMembers) {
			groups = append(groups, &bucketTaking{
				campaign: c, keys: t.takeKeys(c, at.bucket, at.item), look: looks[at.bucket], item: at.item, takers: part,
			})
		}
	}
	return groups
}

// lookAtMembers looks at the users of those groups whose buckets have changed, or were not looked at yet, and settles what can be
// said without a call: of those who have the item, and of those who may not have it. A revocation that is to come is held against
// the clock of this process.
func (t *Takes) lookAtMembers(ctx context.Context, groups []taking, out []Taken) error {
	var changed []*bucketTaking
	var looks []*takersLook
	begun := map[*takersLook]bool{}
	for _, one := range groups {
		g, is := one.(*bucketTaking)
		if !is || g.look.fresh {
			continue
		}
		changed = append(changed, g)
		if l := g.look; !begun[l] {
			begun[l], looks = true, append(looks, l)
			if l.spins++; l.spins > takeSpins {
				return fmt.Errorf("bucket %d: somebody else grants or acts there all the time", l.bucket)
			}
		}
	}
	if len(changed) == 0 {
		return nil
	}
	had, left, err := t.glanceAt(ctx, looks, changed, false)
	if err != nil {
		return err
	}
	if len(left) > 0 { // the first look at a bucket, or it has grown
		if err := each(ctx, left, func(ctx context.Context, l *takersLook) error {
			return t.retry(ctx, "looking up users", func() error { return t.reader.Learn(ctx, &l.glance) })
		}); err != nil {
			return err
		}
		if _, left, err = t.glanceAt(ctx, left, nil, true); err != nil {
			return err
		}
	}
	if err := each(ctx, left, t.lookAt); err != nil {
		return err
	}
	for _, l := range looks {
		l.fresh = true
	}
	for i, g := range changed {
		g.admit(had[i].Val(), out)
	}
	return nil
}

func each(ctx context.Context, looks []*takersLook, do func(context.Context, *takersLook) error) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(lookupChunks)
	for _, l := range looks {
		work.Go(func() error { return do(ctx, l) })
	}
	return work.Wait()
}

// glanceAt looks at users by what is known of their buckets, and returns those looks that did not come to anything; and it asks
// which users of some groups have the item.
func (t *Takes) glanceAt(
	ctx context.Context, looks []*takersLook, groups []*bucketTaking, sure bool,
) (had []*redis.SliceCmd, left []*takersLook, err error) {
	had = make([]*redis.SliceCmd, len(groups))
	err = t.retry(ctx, "looking up users", func() error {
		g := t.reader.Glances(ctx)
		for _, l := range looks {
			seats := make([]Seat, len(l.seats))
			for i, s := range l.seats {
				seats[i] = Seat{t.form.ID(s.member), l.bucket, s.member, s.hash}
			}
			l.glance = t.reader.GlanceAt(g, seats, Ask{}, sure)
		}
		for i, one := range groups {
			fields := make([]string, len(one.takers))
			for n := range one.takers {
				fields[n] = string(one.takers[n].member)
			}
			had[i] = g.pipe.HMGet(ctx, one.keys.taken, fields...)
		}
		if err := g.Send(); err != nil {
			return named(had, err)
		}
		left = left[:0]
		for _, l := range looks {
			settled, err := l.settle()
			if err != nil {
				return err
			}
			if !settled {
				left = append(left, l)
			}
		}
		return nil
	})
	return had, left, err
}

// settle takes in what a glance shows of the users, if it shows all of them. Whoever is seen to have a place had it when the
// bucket had so many entries, whatever the others are.
func (l *takersLook) settle() (bool, error) {
	if err := l.glance.Err(); err != nil {
		return false, err
	}
	all := true
	err := l.glance.See(func(seat int, sight Sight, _ time.Time) {
		s := l.seats[seat]
		s.User = User{User: s.User.User, Place: grant.PlaceNone}
		switch sight {
		case SightGranted:
			s.Place = grant.PlaceGranted
		case SightExcluded:
			s.Place = grant.PlaceExcluded
		case SightNone:
		case SightStale, SightActs:
			all = false
		}
	})
	l.seen = l.glance.entries
	return all, err
}

// lookAt reads the bucket.
func (t *Takes) lookAt(ctx context.Context, l *takersLook) error {
	return t.retry(ctx, "looking up users", func() (err error) {
		asked := make([]askedMember, len(l.seats))
		for i, s := range l.seats {
			asked[i] = askedMember{u: &s.User, member: s.member, hash: s.hash}
		}
		l.seen, err = t.reader.lookUpBucket(ctx, l.bucket, asked)
		return err
	})
}

// admit leaves out those of whom it is known what becomes of their wish. had is when each took the item.
func (g *bucketTaking) admit(had []any, out []Taken) {
	now, all := time.Now(), len(g.takers)
	kept := make([]taker, 0, all)
	for i, one := range g.takers {
		settled := Taken{}
		text, has := had[i].(string)
		switch {
		case has && g.tail == nil:
			settled = Taken{grant.OutcomeAlready, takenTime(text)}
		case has: // the call that was sent may have done it: the script says so
		case one.Place == grant.PlaceNone:
			settled.Outcome = grant.OutcomeNotGranted
		case one.Place == grant.PlaceExcluded:
			settled.Outcome = grant.OutcomeExcluded
		default:
			settled.Outcome = one.State.Stands(g.campaign.Items[g.item].ID, now)
		}
		if settled.Outcome == "" {
			kept = append(kept, one)
			continue
		}
		one.tell(settled, out)
	}
	if g.takers = kept; len(kept) < all {
		g.tail, g.judged = nil, time.Time{}
	}
}

func (t *taker) tell(settled Taken, out []Taken) {
	for n, wish := range t.wishes {
		out[wish] = settled
		if n > 0 && settled.Outcome == grant.OutcomeTaken {
			out[wish].Outcome = grant.OutcomeAlready
		}
	}
}

// cost implements taking.
func (g *bucketTaking) cost() int { return 20 + 2*len(g.takers) }

// call implements taking.
func (g *bucketTaking) call(ctx context.Context, t *Takes, _ redis.Pipeliner) *redis.Cmd {
	if len(g.takers) == 0 {
		return nil
	}
	keys := t.keys.chunk(g.look.bucket, "")
	if g.keys.first != "" && g.judged.IsZero() {
		return bucketJudgeCall.command(ctx, []string{keys.journal, keys.calls}, g.campaign.Hash, g.look.seen)
	}
	if g.tail == nil {
		g.tail = t.bucketEntry(g)
	}
	args := make([]any, 0, 5+len(g.takers))
	args = append(args, g.campaign.Hash, until(g.campaign, g.item), g.tail)
	of := []string{keys.journal, keys.calls, g.keys.taken, g.keys.list}
	script := &bucketTakeCall
	if g.keys.first != "" {
		script, of = &bucketQuotaCall, []string{t.keys.spec, g.keys.first, g.keys.taken, g.keys.list}
		args = append(args, g.judged.UnixMilli(), g.campaign.Items[g.item].First)
	} else {
		args = append(args, g.look.seen, 0)
	}
	for i := range g.takers {
		args = append(args, g.takers[i].member)
	}
	return script.command(ctx, of, args...)
}

// bucketEntry is the entry of a call, without its first 7 bytes. The number of the call tells it from all others of this process.
func (t *Takes) bucketEntry(g *bucketTaking) []byte {
	head := appendHead(nil, t.run, 0, t.calls.Add(1))
	head[0] = byte(EntryTake)
	out := appendTake(appendOrigin(nil, head, []byte{0}, len(g.takers)), g.item)
	out = append(out, byte(t.layout.Width))
	for i := range g.takers {
		out = t.layout.Width.Append(out, g.takers[i].member)
	}
	return out
}

// settle implements taking.
func (g *bucketTaking) settle(_ context.Context, _ *Takes, reply any, out []Taken) ([]taking, error) {
	switch reply := reply.(type) {
	case int64:
		switch {
		case reply > 0:
			for i := range g.takers {
				g.takers[i].tell(Taken{grant.OutcomeTaken, time.UnixMilli(reply).UTC()}, out)
			}
			return nil, nil
		case g.keys.first != "" && !g.judged.IsZero():
			if g.slept++; g.slept > maxSlept {
				return nil, fmt.Errorf("users of bucket %d are judged too long ago each time: compare the clocks of the masters",
					g.look.bucket)
			}
		}
		g.look.fresh, g.judged = false, time.Time{}
		return []taking{g}, nil
	case string:
		return g.reduce(reply, out)
	case []any: // of the judge: its time
		if len(reply) == 1 {
			text, _ := reply[0].(string)
			ms, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("judge script: unexpected reply %v: %w", reply, err)
			}
			g.judged = time.UnixMilli(ms).Add(judgedFor)
			return []taking{g}, nil
		}
	}
	return nil, fmt.Errorf("take script: unexpected reply %v", reply)
}

// reduce leaves out those whom something stands in the way of.
func (g *bucketTaking) reduce(says string, out []Taken) ([]taking, error) {
	if len(says) != len(g.takers) {
		return nil, fmt.Errorf("take script: %d letters for %d users", len(says), len(g.takers))
	}
	kept := make([]taker, 0, len(g.takers))
	for i, one := range g.takers {
		if outcome, stands := letters[says[i]]; stands {
			one.tell(Taken{Outcome: outcome}, out)
			continue
		}
		kept = append(kept, one)
	}
	if g.takers, g.tail = kept, nil; len(kept) == 0 {
		return nil, nil
	}
	return []taking{g}, nil
}

// takenAtMembers is TakenAt of some users of buckets. Nobody of another form has taken anything.
func (l *Reader) takenAtMembers(ctx context.Context, c *grant.Campaign, asked []Take) ([]time.Time, error) {
	out, replies := make([]time.Time, len(asked)), make([]*redis.StringCmd, len(asked))
	members := make([][]byte, len(asked))
	for i, a := range asked {
		members[i], _ = l.form.Member(nil, []byte(a.User.String()))
	}
	err := l.retry(ctx, "asking when items were taken", func() error {
		pipe := l.client.Pipeline()
		for i, a := range asked {
			if members[i] == nil {
				continue
			}
			k := l.takeKeys(c, l.layout.Bucket(opaque.Hash(members[i])), a.Item)
			replies[i] = pipe.HGet(ctx, k.taken, string(members[i]))
		}
		_, err := pipe.Exec(ctx)
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		for _, reply := range replies {
			if reply != nil && reply.Err() != nil && !errors.Is(reply.Err(), redis.Nil) {
				return fmt.Errorf("%v: %w", reply.Args()[1], reply.Err())
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, reply := range replies {
		if reply == nil || reply.Err() != nil {
			continue
		}
		if out[i] = takenTime(reply.Val()); out[i].IsZero() {
			return nil, fmt.Errorf("%w: %v: user %s took the item, and nothing says when", ErrInconsistent, reply.Args()[1],
				asked[i].User)
		}
	}
	return out, nil
}
