package entitle

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// Users whose IDs are not dense are in buckets, whose journals are the only record of who is granted. So that a check need not
// read a bucket, which has some ten thousand users, it is read once, and the ledger keeps fingerprints of its members: they say
// which bytes to ask Redis for, and those decide.

const (
	// maxLooks is how often a bucket is looked at that grows meanwhile, before a lookup reads all of it, which is sure to end.
	maxLooks = 4
	// bucketsAtOnce are looked at in one pipeline for a list, and listPipelines of those are under way: others go in between.
	bucketsAtOnce = 32
	listPipelines = 2
)

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

// asksTakes is what else to look at for one item.
func (q *question) asksTakes() ledger.Ask {
	if q.whole {
		return ledger.Ask{}
	}
	item := &q.Items[q.item]
	return ledger.Ask{Take: item.Offered(), Item: q.item, Quota: item.First > 0}
}

// addBucket looks at the user, by what is known of the bucket by now.
func (q *question) addBucket(g *ledger.Glances) {
	if s := &q.seated; s.sight == ledger.SightStale {
		s.glance = q.Ledger.GlanceAt(g, s.seats, q.asksTakes(), s.looks > 0)
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
	return true, q.Ledger.Learn(ctx, &s.glance)
}

// allInBucket is all for a user of a bucket.
func (q *question) allInBucket(ctx context.Context) ([]Held, error) {
	switch s := &q.seated; s.sight {
	case ledger.SightGranted:
		if !q.Offers() {
			return q.judge(&grant.Holding{GrantedAt: s.at}, q.when), nil
		}
		held, err := q.Ledger.Holdings(ctx, q.Campaign.Campaign, []grant.UserID{q.user}, []time.Time{s.at})
		if err != nil {
			return nil, err
		}
		return q.judge(&held[0], q.when), nil
	case ledger.SightNone, ledger.SightExcluded:
		return nil, nil
	case ledger.SightStale, ledger.SightActs:
	}
	return q.held(ctx, q.user, q.when)
}

// decideInBucket is decide for a user of a bucket.
func (q *question) decideInBucket(ctx context.Context) (grant.State, error) {
	s := &q.seated
	if s.sight == ledger.SightGranted {
		if state, decided := q.granted(&s.glance, 0, s.at); decided {
			return state, nil
		}
	}
	return q.decideHeld(q.allInBucket(ctx))
}

// granted says how the item stands for a user of a bucket who was granted, and whether that decides: of an item with a quota,
// others may have taken the last.
func (q *question) granted(g *ledger.BucketGlance, seat int, at time.Time) (grant.State, bool) {
	h, item := grant.Holding{GrantedAt: at}, &q.Items[q.item]
	if item.Offered() {
		taken := g.Taken(seat)
		if taken.IsZero() && item.First > 0 {
			return "", false
		}
		h = q.holding(q.item, at, taken)
	}
	return q.judge(&h, q.when)[q.item].State, true
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
			out[k] = q.Ledger.GlanceAt(g, seats, q.asksTakes(), sure)
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
	var acted, waiting undecided
	var at time.Time
	var state grant.State // of who was granted then, unless takes decide, too
	offered := q.Items[q.item].Offered()
	err = g.See(func(seat int, sight ledger.Sight, granted time.Time) {
		one, decided := group[seat], true
		switch {
		case sight == ledger.SightStale && !last:
			again = append(again, one)
		case sight == ledger.SightNone || sight == ledger.SightExcluded:
		case sight == ledger.SightGranted:
			if offered || !granted.Equal(at) {
				at = granted
				state, decided = q.granted(g, seat, granted)
			}
			if decided {
				merge(&states[one.n], state)
			} else {
				waiting.add(one, granted)
			}
		default:
			acted.add(one, time.Time{})
		}
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.checker.cfg.Timeout)
	defer cancel()
	if len(again) > 0 {
		err = q.Ledger.Learn(ctx, g)
	}
	if err == nil && len(waiting.users) > 0 {
		var held []grant.Holding
		held, err = q.Ledger.Holdings(ctx, q.Campaign.Campaign, waiting.users, waiting.granted)
		for i := range held {
			merge(&states[waiting.n[i]], q.judge(&held[i], q.when)[q.item].State)
		}
	}
	if err != nil || len(acted.users) == 0 {
		return again, err
	}
	found, held, err := q.Ledger.Held(ctx, q.Campaign.Campaign, acted.users)
	for i := range found {
		if found[i].Place == grant.PlaceGranted {
			merge(&states[acted.n[i]], q.judge(&held[i], q.when)[q.item].State)
		}
	}
	return again, err
}

// undecided are users of a list of whom a glance does not say how the item stands.
type undecided struct {
	users   []grant.UserID
	n       []int // which of the list they are
	granted []time.Time
}

func (u *undecided) add(one listed, granted time.Time) {
	u.users, u.n, u.granted = append(u.users, one.User), append(u.n, one.n), append(u.granted, granted)
}
