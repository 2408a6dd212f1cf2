package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
)

const (
	// takeMembers is how many users take an item in one call at most: about 2 ms of Redis.
	takeMembers = 2048
	// takePipeline is how many microseconds of Redis a pipeline takes, so that others wait no longer behind it.
	takePipeline = 2500
	// judgedFor is how long a user who was found to be one who may take an item with a quota may do so, by the clocks of two
	// masters. Whoever sleeps longer in between is judged again.
	judgedFor = 10 * time.Second
	maxSlept  = 5
)

// Takes is how users take what they were offered. It is safe for concurrent use.
type Takes struct {
	*Store
	reader *Reader
	run    grant.RunID
	calls  atomic.Uint64
}

// NewTakes makes the takes of a store, of which a process has one: run says in the entries which.
func NewTakes(s *Store, run grant.RunID) *Takes {
	return &Takes{Store: s, reader: NewReader(s), run: run}
}

// Take is one user's wish to have an item.
type Take struct {
	User grant.UserID
	Item int // its index in the spec
}

// Taken is what became of it.
type Taken struct {
	Outcome grant.Outcome
	At      time.Time // when the user took the item, by the clock of Redis, to the millisecond; zero: the user has not
}

// Take has users take items of a campaign, and returns what became of each, in their order. It is idempotent: whoever has an
// item is told since when. All is judged by Redis, in the call that writes: whether the user is granted, and not excluded or
// revoked; the
// item's take_until; and how many of its first are left. After an error it is unknown what was taken; ask again.
//
// The campaign is that by which users are granted: ErrSpecChanged means that it is not.
func (t *Takes) Take(ctx context.Context, c *grant.Campaign, wishes []Take) ([]Taken, error) {
	out, err := t.take(ctx, c, wishes, 2, execute) // while Redis works on one pipeline, the next is made
	if err != nil {
		return nil, err
	}
	return out, t.since(ctx, c, wishes, out)
}

// sender runs a pipeline.
type sender func(context.Context, redis.Pipeliner) error

func execute(ctx context.Context, pipe redis.Pipeliner) error {
	_, err := pipe.Exec(ctx)
	return err
}

// take is Take without the moments of those who had an item before.
func (t *Takes) take(
	ctx context.Context, c *grant.Campaign, wishes []Take, atOnce int, send sender,
) (_ []Taken, err error) {
	ctx, span := tracer.Start(ctx, "ledger.take")
	defer span.End()
	defer func() { recordError(span, err) }()
	out := make([]Taken, len(wishes))
	groups, err := t.group(c, wishes, out)
	if err != nil {
		return nil, err
	}
	if len(groups) < atOnce || c.Input.Opaque() { // groups of one bucket are looked at together
		atOnce = 1
	}
	all, going := errgroup.WithContext(ctx)
	for i := range atOnce {
		part := groups[i*len(groups)/atOnce : (i+1)*len(groups)/atOnce]
		all.Go(func() error { return t.rounds(going, slices.Clone(part), out, send) })
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// rounds makes calls for some groups, one pipeline after the other, until none needs another.
func (t *Takes) rounds(ctx context.Context, groups []taking, out []Taken, send sender) error {
	for len(groups) > 0 {
		n, cost := 0, 0
		for n < len(groups) && (n == 0 || cost+groups[n].cost() <= takePipeline) {
			cost += groups[n].cost()
			n++
		}
		again, err := t.round(ctx, groups[:n], out, send)
		if err != nil {
			return err
		}
		groups = append(again, groups[n:]...)
	}
	return nil
}

// taking is the users of one chunk, or bucket, who want one item: one call after the other until it is known what became of
// each. What a layout knows of them is its own.
type taking interface {
	// cost is about how many microseconds of Redis the next call takes.
	cost() int
	// call is the next call; nil: nobody is left. What it has to find there goes into the pipeline before it.
	call(ctx context.Context, t *Takes, pipe redis.Pipeliner) *redis.Cmd
	// settle looks at the reply, and returns those groups that need another call.
	settle(ctx context.Context, t *Takes, reply any, out []Taken) ([]taking, error)
}

// group puts wishes together that one call can fulfil: those of a chunk, or a bucket, share what the script writes.
func (t *Takes) group(c *grant.Campaign, wishes []Take, out []Taken) ([]taking, error) {
	for _, w := range wishes {
		if w.Item < 0 || w.Item >= len(c.Items) || !c.Items[w.Item].Offered() {
			return nil, fmt.Errorf("item %d of %s is none that users take", w.Item, c.Name)
		}
	}
	if c.Input.Opaque() {
		return t.groupMembers(c, wishes, out), nil
	}
	return t.groupNumbers(c, wishes), nil
}

// round makes one call for each group, and returns those groups that need another.
func (t *Takes) round(ctx context.Context, groups []taking, out []Taken, send sender) (again []taking, err error) {
	if t.campaign.Input.Opaque() {
		if err := t.lookAtMembers(ctx, groups, out); err != nil {
			return nil, err
		}
	}
	calls := make([]*redis.Cmd, len(groups))
	err = t.retry(ctx, "taking items", func() error {
		pipe := t.client.Pipeline()
		for i, g := range groups {
			if calls[i] = g.call(ctx, t, pipe); calls[i] == nil {
				continue
			}
			if err := pipe.Process(ctx, calls[i]); err != nil {
				return err
			}
		}
		return send(ctx, pipe)
	})
	if Kind(err) == KindFenced {
		return nil, fmt.Errorf("%w (%w)", ErrSpecChanged, err)
	}
	if err != nil {
		return nil, err
	}
	for i, g := range groups {
		if calls[i] == nil {
			continue
		}
		rest, err := g.settle(ctx, t, calls[i].Val(), out)
		if err != nil {
			return nil, err
		}
		again = append(again, rest...)
	}
	return again, nil
}

// ErrSpecChanged means that users were granted by another spec than the one that was asked by.
var ErrSpecChanged = errors.New("users were granted by another spec")

// since fills in when those users took an item who had taken it before. Where IDs are dense and the item has a quota, an act that
// stands in a user's way is seen in the chunk before anybody looks at who took it: whoever has it is told so all the same.
func (t *Takes) since(ctx context.Context, c *grant.Campaign, wishes []Take, out []Taken) error {
	var asked []Take
	var at []int
	for i := range out {
		ask := false
		switch out[i].Outcome {
		case grant.OutcomeAlready:
			ask = out[i].At.IsZero()
		case grant.OutcomeExcluded, grant.OutcomeRevoked, grant.OutcomeRecalled:
			ask = !c.Input.Opaque() && c.Items[wishes[i].Item].First > 0
		case grant.OutcomeTaken, grant.OutcomeNotGranted, grant.OutcomeLapsed, grant.OutcomeExhausted:
		}
		if ask {
			asked, at = append(asked, wishes[i]), append(at, i)
		}
	}
	times, err := t.reader.TakenAt(ctx, c, asked)
	if err != nil {
		return err
	}
	for n, i := range at {
		if out[i].Outcome == grant.OutcomeAlready || !times[n].IsZero() {
			out[i] = Taken{grant.OutcomeAlready, times[n]}
		}
	}
	return nil
}

// until is the first millisecond in which an item cannot be taken any more.
func until(c *grant.Campaign, item int) int64 {
	if end := c.Items[item].TakeUntil; !end.IsZero() {
		return milliseconds(end)
	}
	return math.MaxInt64
}
