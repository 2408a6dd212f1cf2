package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// chaos is a hook that, at a given rate, cuts a pipeline at any command, loses replies, lets Redis refuse one command of
// many, and takes Redis back to an earlier moment of its history.
type chaos struct {
	w       *world
	r       *rand.Rand
	rate    float64
	history []snapshot
	losses  int
}

func (c *chaos) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *chaos) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if c.strikes(1) {
			if c.strikes(0.5) {
				_ = next(ctx, cmd)
			}
			cmd.SetErr(errCut)
			return errCut
		}
		return next(ctx, cmd)
	}
}

func (c *chaos) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if opening(cmds) {
			return next(ctx, cmds)
		}
		if c.strikes(0.5) {
			c.lose()
		}
		at := c.r.IntN(len(cmds) + 1)
		var err error
		if at > 0 {
			err = next(ctx, cmds[:at])
		}
		if c.strikes(1) {
			c.history = append(c.history, c.w.snapshot())
		}
		if c.strikes(1) {
			for _, cmd := range cmds {
				cmd.SetErr(errCut)
			}
			return errCut
		}
		if at < len(cmds) && c.strikes(1) {
			cmds[at].SetErr(refusal("OOM command not allowed when used memory > 'maxmemory'."))
			if err = errors.Join(err, cmds[at].Err()); at+1 < len(cmds) {
				err = errors.Join(err, next(ctx, cmds[at+1:]))
			}
		} else if at < len(cmds) {
			err = errors.Join(err, next(ctx, cmds[at:]))
		}
		if c.strikes(1) {
			c.history = append(c.history, c.w.snapshot())
		}
		return err
	}
}

// refusal is an error reply of Redis.
type refusal string

func (r refusal) Error() string { return string(r) }
func (r refusal) RedisError()   {}

// strikes decides whether something happens, at the given share of the rate.
func (c *chaos) strikes(share float64) bool { return c.r.Float64() < c.rate*share }

// lose takes Redis back to one of the moments remembered, and forgets the history after it.
func (c *chaos) lose() {
	if len(c.history) == 0 {
		return
	}
	to := max(0, len(c.history)-1-c.r.IntN(4))
	c.w.restore(c.history[to])
	c.history = c.history[:to+1]
	c.losses++
}

// replica reads some partitions of a topic and grants what it reads, as a run does.
type replica struct {
	*parts
	at   map[int]int // next record of each partition that it owns
	seqs map[int]uint64
}

// Whatever fails, and whatever suffix of its history Redis loses: below the checkpoint that Redis has, everybody is
// granted; in the end everybody is; and nobody ever twice.
func TestSimulatedFaults(t *testing.T) {
	for _, rate := range []float64{0, 0.03, 0.15} {
		for _, layout := range layouts {
			t.Run(fmt.Sprintf("rate %v in %s", rate, layout.name), func(t *testing.T) {
				w := newWorld(t, Options{Addrs: []string{startMini(t).Addr()}})
				w.ids = layout.ids
				r := seeded(t)
				s := simulation{world: w, r: r, topic: make([][]uint64, 4), chaos: &chaos{w: w, r: r, rate: rate}, atOnce: 100}
				users := uint(1500)
				if layout.ids == grant.IDsInt64 { // a call for each of them, nearly
					s.atOnce, users, s.chaos.rate = 15, 40, rate/3
				}
				for partition := range s.topic {
					for range 5 * s.atOnce {
						s.topic[partition] = append(s.topic[partition], dense.Join(r.Uint64N(3), uint16(r.UintN(users))))
					}
				}
				s.run()
				t.Logf("%d losses, %d sessions begun", s.chaos.losses, s.sessions)
			})
		}
	}
}

type simulation struct {
	*world
	r        *rand.Rand
	topic    [][]uint64
	chaos    *chaos
	sessions int
	atOnce   int // records of a partition that are read at once, at most
}

func (s *simulation) run() {
	replicas := []*replica{s.start(0, 2), s.start(2, 4)}
	for turn := 0; !s.finished(replicas); turn++ {
		require.Less(s, turn, 20000, "no progress")
		i := s.r.IntN(len(replicas))
		if err := s.step(replicas[i]); err != nil {
			// Fenced: a session that is slower than a lease here, since it retries for a millisecond only.
			require.Contains(s, []string{KindRegressed, KindNetwork, KindOOM, KindTryAgain, KindFenced}, Kind(err), "%v", err)
			replicas[i] = s.start(2*i, 2*i+2) // as after a crash: nothing is remembered
		}
	}
	want := oracle{}
	for _, users := range s.topic {
		for _, user := range users {
			chunk, low := dense.Split(user)
			want.add(chunk, bitmap(low))
		}
	}
	s.holds(s.plain(), want)
}

// plain is a ledger whose connection works.
func (s *simulation) plain() *parts {
	l, err := open(s.client, s.campaign(), 1, Config{})
	require.NoError(s, err)
	return l
}

// start begins a session for partitions from up to, not including, to.
func (s *simulation) start(from, to int) *replica {
	s.sessions++
	client := s.connect()
	client.AddHook(s.chaos)
	for {
		l, err := open(client, s.campaign(), 7, Config{RetryFor: time.Millisecond}) // the same run: markers must not confuse it
		require.NoError(s, err)
		next, err := l.Begin(s.ctx, aTopic)
		if err != nil {
			require.Contains(s, []string{KindNetwork, KindOOM}, Kind(err), "%v", err)
			continue
		}
		rep := &replica{parts: l, at: map[int]int{}, seqs: map[int]uint64{}}
		for partition := from; partition < to; partition++ {
			rep.at[partition] = int(next.Next[partition])
		}
		return rep
	}
}

// finished reports whether everything is granted and checkpointed, as Redis has it now.
func (s *simulation) finished(replicas []*replica) bool {
	for _, rep := range replicas {
		for partition, at := range rep.at {
			if at < len(s.topic[partition]) {
				return false
			}
		}
	}
	next := s.checkpointHolds()
	for partition := range s.topic {
		if next[partition] < int64(len(s.topic[partition])) {
			return false
		}
	}
	return true
}

// step reads some records, grants their users, and often writes a checkpoint.
func (s *simulation) step(rep *replica) error {
	shards := [2]map[uint64]*dense.Bitmap{{}, {}}
	for _, partition := range slices.Sorted(maps.Keys(rep.at)) {
		users := s.topic[partition][rep.at[partition]:]
		users = users[:min(len(users), s.r.IntN(s.atOnce))]
		rep.at[partition] += len(users)
		for _, user := range users {
			chunk, low := dense.Split(user)
			oracle(shards[chunk%2]).add(chunk, bitmap(low))
		}
	}
	for shard, chunks := range shards {
		f := &dense.Flush{Shard: shard}
		for _, chunk := range slices.Sorted(maps.Keys(chunks)) {
			f.Deltas = append(f.Deltas, delta(chunk, chunks[chunk]))
		}
		if len(f.Deltas) == 0 {
			continue
		}
		rep.seqs[shard]++
		f.Seq = rep.seqs[shard]
		if err := rep.Grant(s.ctx, f); err != nil {
			return err
		}
	}
	if s.r.IntN(3) > 0 {
		return nil
	}
	next := grant.Offsets{}
	for partition, at := range rep.at {
		next[partition] = int64(at)
	}
	if err := rep.Checkpoint(s.ctx, next, nil); err != nil {
		return err
	}
	s.checkpointHolds()
	return nil
}

// checkpointHolds checks that everybody below the checkpoint that Redis has is granted, and returns it.
func (s *simulation) checkpointHolds() grant.Offsets {
	l := s.plain()
	found, err := l.Checkpoints(s.ctx)
	require.NoError(s, err)
	next := found.Next
	granted := s.granted(l)
	for partition, offset := range next {
		for i, user := range s.topic[partition][:offset] {
			chunk, low := dense.Split(user)
			require.True(s, granted[chunk] != nil && granted[chunk].Has(low),
				"user %d, record %d of partition %d, is below checkpoint %d and not granted", user, i, partition, offset)
		}
	}
	return next
}
