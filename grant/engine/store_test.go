package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
	"github.com/granter/granter/sharding/opaque"
)

var (
	errDown     = errors.New("the ledger does not answer")
	errConflict = errors.New("users were granted another version of the campaign")
)

// store is a ledger in memory that can lose the end of its history, as Redis can. It notices a loss as the real one
// does: by the tip of each shard, and by the checkpoint that a session last saw. It checks what a run promises.
type store struct {
	topic *topic

	mu         sync.Mutex
	undo       []func() // takes back the history, the last write first
	spec       string
	users      map[uint64]bool
	buckets    map[uint64][]opaque.Entry // where IDs are not dense
	tips       map[string]uint64         // by session and shard
	of         grant.TopicID             // what the checkpoint counts in
	checkpoint grant.Offsets             // and epochs
	epochs     map[int]int32
	inspected  grant.Checkpoint // what inspect found well, as nobody lost his grant since
	records    map[grant.RunID][]grant.RunRecord
	granted    int64 // newly granted in acknowledged flushes; what was lost is not taken away
	sessions   int
	complete   bool // somebody has read that everything is granted
	broken     []string

	grant func(*dense.Flush) (applied bool, err error) // decides the fate of a flush
	write func(context.Context) error                  // decides that of a checkpoint; it may block
	save  error

	saving func(context.Context) error // decides the fate of a run's record; it may block

	includes func(id uint64) bool // who is granted; nil: everybody

	ahead time.Duration // its clock minus that of the runs
}

func newStore(tp *topic) *store {
	return &store{
		topic: tp, users: map[uint64]bool{}, buckets: map[uint64][]opaque.Entry{}, tips: map[string]uint64{},
		checkpoint: grant.Offsets{}, epochs: map[int]int32{},
		records: map[grant.RunID][]grant.RunRecord{},
	}
}

// lose takes back the last n writes, and reports whether there was anything to lose. Nobody looks for a loss any more
// once everything was granted.
func (s *store) lose(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.complete || len(s.undo) == 0 {
		return false
	}
	for ; n > 0 && len(s.undo) > 0; n-- {
		last := len(s.undo) - 1
		s.undo[last]()
		s.undo = s.undo[:last]
	}
	return true
}

// loseFlush takes back so much that somebody has lost his grant.
func (s *store) loseFlush() bool {
	for n := s.has(); s.has() == n; {
		if !s.lose(1) {
			return false
		}
	}
	return true
}

// loseEverything is FLUSHALL.
func (s *store) loseEverything() bool { return s.lose(1 << 30) }

func (s *store) change(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// has returns how many users are granted.
func (s *store) has() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.users)
}

func (s *store) at() grant.Offsets {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.checkpoint)
}

// record returns what a run said about itself last, and the states it went through.
func (s *store) record(run grant.RunID) (last grant.RunRecord, states []grant.RunState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, last = range s.records[run] {
		states = append(states, last.State)
	}
	return last, slices.Compact(states)
}

// client is the store as one run's Ledger.
type client struct {
	*store
	run grant.RunID

	notBefore, ends time.Time

	session  string
	reads    grant.TopicID
	acked    map[int]uint64
	expected grant.Offsets
}

func (s *store) client(run grant.RunID) *client { return &client{store: s, run: run} }

func (c *client) EnsureSpec(_ context.Context, campaign *grant.Campaign) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spec == "" {
		c.spec = campaign.Hash
		c.undo = append(c.undo, func() { c.spec = "" })
	}
	if c.spec != campaign.Hash {
		return errConflict
	}
	c.ends = campaign.EndsAt
	return nil
}

func (c *client) NotBefore(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notBefore = at
}

// now is the clock of the ledger.
func (s *store) now() time.Time { return time.Now().Add(s.ahead) }

// other returns an error if the checkpoint is of another topic. It is called with the lock held.
func (s *store) other(topic grant.TopicID) error {
	if !topic.Continues(s.of) {
		return &grant.OtherTopicError{Name: "topic", Whose: "the checkpoint", Before: s.of, Now: topic}
	}
	return nil
}

// state returns the checkpoint. It is called with the lock held.
func (s *store) state() grant.Checkpoint {
	return grant.Checkpoint{Topic: s.of, Next: maps.Clone(s.checkpoint), Epochs: maps.Clone(s.epochs)}
}

// put changes the checkpoint. It is called with the lock held.
func (s *store) put(c grant.Checkpoint) {
	before := s.state()
	s.of, s.checkpoint, s.epochs = c.Topic, c.Next, c.Epochs
	s.undo = append(s.undo, func() { s.of, s.checkpoint, s.epochs = before.Topic, before.Next, before.Epochs })
}

func (c *client) BeginAnew(_ context.Context, topic grant.TopicID, lost *grant.TruncatedError) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of != topic || lost != nil && c.store.checkpoint[lost.Partition] > lost.End {
		c.put(grant.Checkpoint{Topic: topic, Next: grant.Offsets{}, Epochs: map[int]int32{}})
	}
	return nil
}

func (c *client) Begin(_ context.Context, topic grant.TopicID) (grant.Checkpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.other(topic); err != nil {
		return grant.Checkpoint{}, err
	}
	c.reads = topic
	c.sessions++
	c.session = fmt.Sprintf("%s-%d", c.run, c.sessions)
	c.acked, c.expected = map[int]uint64{}, maps.Clone(c.store.checkpoint)
	return c.state(), nil
}

// Grant implements dense.Sink.
func (c *client) Grant(ctx context.Context, f *dense.Flush) error {
	return c.flush(ctx, f.Shard, f.Seq, f, func() (fresh []uint64, undo func(), err error) {
		for i := range f.Deltas {
			fresh = append(fresh, c.add(&f.Deltas[i])...)
		}
		return fresh, func() {}, nil
	})
}

// add grants what a delta has, and says who had been granted before.
func (s *store) add(d *dense.Delta) (fresh []uint64) {
	duplicates, granted := new(dense.Bitmap), new(dense.Bitmap)
	for _, low := range d.Members.Lows(nil) {
		id := dense.Join(d.Chunk, low)
		if s.users[id] {
			duplicates.Set(low)
			continue
		}
		s.users[id] = true
		fresh = append(fresh, id)
	}
	if duplicates.Count() > 0 {
		for id := range s.users {
			if chunk, low := dense.Split(id); chunk == d.Chunk {
				granted.Set(low)
			}
		}
		d.Members.Subtract(duplicates)
		d.Count, d.Duplicates, d.Granted = d.Members.Count(), duplicates, granted
	}
	return fresh
}

// flush judges a flush, has it applied, and keeps its tip; f is nil where IDs are not dense. apply takes back by undo what is
// not in fresh.
func (c *client) flush(
	ctx context.Context, shard int, seq uint64, f *dense.Flush, apply func() (fresh []uint64, undo func(), err error),
) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch now := c.now(); {
	case now.Before(c.notBefore):
		return &grant.EarlyError{Now: now, Start: c.notBefore}
	case !c.ends.IsZero() && !now.Before(c.ends):
		return grant.ErrEnded
	}
	applied, err := true, error(nil)
	if c.grant != nil {
		applied, err = c.grant(f)
	}
	if !applied {
		return err
	}
	tip := fmt.Sprintf("%s-%d", c.session, shard)
	before := c.tips[tip]
	if before < c.acked[shard] {
		return fmt.Errorf("shard %d: %w", shard, grant.ErrRegressed)
	}
	fresh, undo, failed := apply()
	if failed != nil {
		return failed
	}
	c.tips[tip] = seq
	c.undo = append(c.undo, func() {
		undo()
		c.tips[tip] = before
		for _, id := range fresh {
			delete(c.users, id)
		}
		clear(c.inspected.Next)
	})
	if err == nil {
		c.acked[shard] = seq
		c.granted += int64(len(fresh))
	}
	return err
}

func (c *client) Checkpoint(ctx context.Context, next grant.Offsets, epochs map[int]int32) error {
	c.mu.Lock()
	write := c.write
	c.mu.Unlock()
	if write != nil {
		if err := write(ctx); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for shard, acked := range c.acked {
		if c.tips[fmt.Sprintf("%s-%d", c.session, shard)] < acked {
			return fmt.Errorf("tip of shard %d: %w", shard, grant.ErrRegressed)
		}
	}
	if err := c.other(c.reads); err != nil {
		return err
	}
	for p, expected := range c.expected {
		if found, ok := c.store.checkpoint[p]; !ok || found < expected {
			return fmt.Errorf("checkpoint of partition %d: %w", p, grant.ErrRegressed)
		}
	}
	after := c.state()
	after.Topic = c.reads
	for p, offset := range next {
		if found, ok := after.Next[p]; !ok || found < offset {
			after.Next[p] = offset
			delete(after.Epochs, p)
			if epoch, known := epochs[p]; known {
				after.Epochs[p] = epoch
			}
		}
		c.expected[p] = max(c.expected[p], offset)
	}
	if after.Topic != c.of || !maps.Equal(after.Next, c.store.checkpoint) {
		c.put(after)
	}
	c.inspect()
	return nil
}

// inspect checks that nobody below the checkpoint is without a grant, of those whose record is there. A run asks for it once a
// second, and a test's runs wait for hours.
func (s *store) inspect() {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	if s.of != s.topic.id {
		return // nobody can tell any more
	}
	if s.inspected.Topic != s.of {
		s.inspected = grant.Checkpoint{Topic: s.of, Next: grant.Offsets{}}
	}
	for p, next := range s.checkpoint {
		if _, end := s.topic.ends(p, s.epochs[p]); end < next {
			continue
		}
		if len(s.topic.epochs[p]) > 0 {
			s.inspected.Next[p] = 0 // others may have taken the place of what was there
		}
		for offset := s.inspected.Next[p]; offset < next; offset++ {
			id, gone := s.topic.parts[p][offset], offset < s.topic.firsts[p]
			if id >= 0 && !gone && (s.includes == nil || s.includes(uint64(id))) && !s.users[uint64(id)] {
				s.broken = append(s.broken,
					fmt.Sprintf("checkpoint %d of partition %d, but user %d at %d is not granted", next, p, id, offset))
				return
			}
		}
		s.inspected.Next[p] = next
	}
}

func (c *client) Checkpoints(context.Context) (grant.Checkpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == c.topic.id && c.store.checkpoint.Reached(c.topic.end()) {
		c.complete = true
	}
	return c.state(), nil
}

func (c *client) SaveRun(ctx context.Context, r grant.RunRecord) error {
	c.mu.Lock()
	saving := c.saving
	c.mu.Unlock()
	if saving != nil {
		if err := saving(ctx); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.save != nil {
		return c.save
	}
	c.records[c.run] = append(c.records[c.run], r)
	return nil
}
