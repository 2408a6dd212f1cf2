package entitle

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Users whose IDs are not dense are in buckets, whose journals are the only record of who is granted. So that a check need not
// read a bucket, which has some ten thousand users, it is read once, and fingerprints of its members are kept: they say which
// bytes to ask Redis for, and those decide.

const (
	// maxIndexes is what the fingerprints of all campaigns take: those of 64 million users. Where there are more, buckets are
	// read again and again.
	maxIndexes = 256 << 20
	// maxLooks is how often a bucket is looked at that grows meanwhile, before a lookup reads all of it, which is sure to end.
	maxLooks = 4
	// bucketsAtOnce are looked at in one pipeline for a list, and listPipelines of those are under way: others go in between.
	bucketsAtOnce = 32
	listPipelines = 2
)

// indexes are what is known of buckets.
type indexes struct {
	mu    sync.Mutex
	known map[bucketKey]*index
	size  int64
}

type bucketKey struct {
	campaign, hash string
	bucket         uint64
}

// index is what is known of one bucket. Who reads the bucket on reads it for the others, too.
type index struct {
	mu  sync.Mutex
	now atomic.Pointer[ledger.BucketIndex]
}

var noIndex = new(ledger.BucketIndex)

func (x *indexes) of(key bucketKey) *index {
	x.mu.Lock()
	defer x.mu.Unlock()
	found := x.known[key]
	if found == nil {
		found = new(index)
		found.now.Store(noIndex)
		x.known[key] = found
	}
	return found
}

// extend reads on from what somebody saw of a bucket, unless another one has.
func (x *indexes) extend(ctx context.Context, l Ledger, key bucketKey, seen *ledger.BucketIndex) error {
	at := x.of(key)
	at.mu.Lock()
	defer at.mu.Unlock()
	before := at.now.Load()
	if before != seen {
		return nil
	}
	after, err := l.ExtendIndex(ctx, key.bucket, before)
	if err != nil {
		return err
	}
	at.now.Store(after)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known[key] != at {
		return nil // there were too many meanwhile
	}
	x.size += after.Size() - before.Size()
	for other, it := range x.known { // any of them
		if x.size <= maxIndexes {
			break
		}
		if other != key {
			x.size -= it.now.Swap(noIndex).Size()
			delete(x.known, other)
		}
	}
	return nil
}

// key names a bucket of the subject.
func (s *subject) key(bucket uint64) bucketKey { return bucketKey{s.Name, s.Hash, bucket} }

// opaque reports whether users are in buckets.
func (s *subject) opaque() bool { return s.Input.Opaque() }

// reads reports whether a user may be one of the campaign, by the form of the ID.
func (s *subject) reads(user grant.UserID) bool {
	if !s.opaque() {
		return user.IsNumber()
	}
	_, ok := s.Ledger.Seat(user)
	return ok
}

// seated is what a question knows of a user in a bucket.
type seated struct {
	seats  []ledger.Seat // of the user
	glance ledger.BucketGlance
	looks  int
	sight  ledger.Sight
	at     time.Time // when the user was granted, of SightGranted
}

// prepareBucket finds out where the user is, in the form in which the ledger has the ID.
func (q *question) prepareBucket(user grant.UserID) {
	q.seated = seated{sight: ledger.SightNone}
	if seat, ok := q.Ledger.Seat(user); ok {
		q.user, q.seated = seat.User, seated{seats: []ledger.Seat{seat}}
	}
}

// addBucket looks at the user, by what is known of the bucket by now.
func (q *question) addBucket(g *ledger.Glances) {
	if s := &q.seated; s.sight == ledger.SightStale {
		known := q.indexes.of(q.key(s.seats[0].Bucket)).now.Load()
		s.glance = q.Ledger.GlanceAt(g, s.seats, known, s.looks > 0)
	}
}

// seen takes in what a look found, and reports whether another one has to follow.
func (q *question) seen(ctx context.Context) (again bool, err error) {
	s := &q.seated
	if s.sight != ledger.SightStale {
		return false, nil
	}
	if err := s.glance.Err(); err != nil {
		return q.Ledger.Relearn(ctx, err)
	}
	err = s.glance.See(func(_ int, sight ledger.Sight, at time.Time) { s.sight, s.at = sight, at })
	if err != nil || s.sight != ledger.SightStale {
		return false, err
	}
	if s.looks++; s.looks == maxLooks {
		s.sight = ledger.SightActs
		return false, nil
	}
	return true, q.indexes.extend(ctx, q.Ledger, q.key(s.seats[0].Bucket), s.glance.Known)
}

// holding returns what the user of a bucket was granted; nil: nothing, or a lookup has to say what (sure is false).
func (s *seated) holding() (h *grant.Holding, sure bool) {
	switch s.sight {
	case ledger.SightGranted:
		return &grant.Holding{GrantedAt: s.at}, true
	case ledger.SightNone:
		return nil, true
	case ledger.SightStale, ledger.SightActs:
	}
	return nil, false
}

// allInBucket is all for a user of a bucket.
func (q *question) allInBucket(ctx context.Context) ([]Held, error) {
	h, sure := q.seated.holding()
	switch {
	case sure && h == nil:
		return nil, nil
	case !sure || q.Offers():
		return q.held(ctx, q.user, q.when)
	}
	return q.judge(h, q.when), nil
}

// decideInBucket is decide for a user of a bucket.
func (q *question) decideInBucket(ctx context.Context) (grant.State, error) {
	h, sure := q.seated.holding()
	switch {
	case sure && h == nil:
		return StateNone, nil
	case !sure || q.Items[q.item].Offered():
		return q.decideHeld(q.held(ctx, q.user, q.when))
	}
	return q.judge(h, q.when)[q.item].State, nil
}

// inBuckets adds the answers of a campaign whose users are in buckets.
func (m *Many) inBuckets(ctx context.Context, i int, users []grant.UserID, states []grant.State) error {
	q := &m.questions[i]
	seats := make([]listed, 0, len(users))
	for n, user := range users {
		if seat, ok := q.Ledger.Seat(user); ok {
			seats = append(seats, listed{seat, n})
		}
	}
	slices.SortFunc(seats, func(a, b listed) int { return cmp.Compare(a.Bucket, b.Bucket) })
	var groups [][]listed
	for len(seats) > 0 {
		n := 1
		for n < len(seats) && seats[n].Bucket == seats[0].Bucket {
			n++
		}
		groups, seats = append(groups, seats[:n:n]), seats[n:]
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(listPipelines)
	for part := range slices.Chunk(groups, bucketsAtOnce) {
		work.Go(func() error { return m.lookAt(ctx, q, part, states) })
	}
	return work.Wait()
}

// listed is a user of a list, and which one.
type listed struct {
	ledger.Seat

	n int
}

// lookAt answers about users of some buckets.
func (m *Many) lookAt(ctx context.Context, q *question, groups [][]listed, states []grant.State) error {
	for looks := 0; len(groups) > 0; looks++ {
		glances, err := m.lookOnce(ctx, q, groups, looks > 0)
		if err != nil {
			return err
		}
		var left [][]listed
		for k := range glances {
			again, err := m.sort(ctx, q, groups[k], &glances[k], looks+1 == maxLooks, states)
			if err != nil {
				return err
			}
			if len(again) > 0 {
				left = append(left, again)
			}
		}
		groups = left
	}
	return nil
}

// lookOnce looks at some buckets in one pipeline.
func (m *Many) lookOnce(ctx context.Context, q *question, groups [][]listed, sure bool) ([]ledger.BucketGlance, error) {
	ctx, cancel := context.WithTimeout(ctx, m.checker.cfg.Timeout)
	defer cancel()
	for forgotten := false; ; forgotten = true {
		g, out := q.Ledger.Glances(ctx), make([]ledger.BucketGlance, len(groups))
		for k, group := range groups {
			seats := make([]ledger.Seat, len(group))
			for n := range group {
				seats[n] = group[n].Seat
			}
			known := q.indexes.of(q.key(seats[0].Bucket)).now.Load()
			out[k] = q.Ledger.GlanceAt(g, seats, known, sure)
		}
		err := g.Send()
		for k := range out {
			err = cmp.Or(err, out[k].Err())
		}
		if err == nil {
			return out, nil
		}
		again, failed := q.Ledger.Relearn(ctx, err)
		if failed != nil {
			return nil, failed
		}
		if !again || forgotten {
			return nil, err
		}
	}
}

// sort notes the states of those users of a bucket who were seen, and returns the others. last says that these are looked up.
func (m *Many) sort(
	ctx context.Context, q *question, group []listed, g *ledger.BucketGlance, last bool, states []grant.State,
) (again []listed, err error) {
	var lookup []listed
	var at time.Time
	var state grant.State // of who was granted then
	err = g.See(func(seat int, sight ledger.Sight, granted time.Time) {
		switch one := group[seat]; {
		case sight == ledger.SightStale && !last:
			again = append(again, one)
		case sight == ledger.SightNone:
		case sight == ledger.SightGranted && !q.Items[q.item].Offered():
			if !granted.Equal(at) {
				at, state = granted, q.judge(&grant.Holding{GrantedAt: granted}, q.when)[q.item].State
			}
			merge(&states[one.n], state)
		default:
			lookup = append(lookup, one)
		}
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.checker.cfg.Timeout)
	defer cancel()
	if len(again) > 0 {
		err = q.indexes.extend(ctx, q.Ledger, q.key(group[0].Bucket), g.Known)
	}
	if err != nil || len(lookup) == 0 {
		return again, err
	}
	users := make([]grant.UserID, len(lookup))
	for i := range lookup {
		users[i] = lookup[i].User
	}
	found, holdings, err := q.Ledger.Held(ctx, q.Campaign.Campaign, users)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if found[i].Place == grant.PlaceGranted {
			merge(&states[lookup[i].n], q.judge(&holdings[i], q.when)[q.item].State)
		}
	}
	return again, nil
}
