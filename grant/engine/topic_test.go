package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
)

// What a record of a topic is when it is not a user ID.
const (
	malformed = -1
	outside   = -2 // of the canary, say
)

// topic is a Kafka topic in memory, with the consumer group that reads it. A rebalance works as in Kafka: every
// generation ends, and the next begins when every member waits for it.
type topic struct {
	mu        sync.Mutex
	id        grant.TopicID
	epochs    map[int][]epochAt // ascending
	changed   chan struct{}     // closed and replaced at every change
	parts     [][]int64
	holds     grant.Offsets // by partition: no record from this offset on is handed over
	failures  map[int]failure
	members   []*member
	committed grant.Offsets
	firsts    grant.Offsets // what retention has left
	consumed  []consumed
	broken    []string // what the run did that Kafka would not forgive

	opaque    bool          // its IDs are not dense
	batch     int           // records in a fetch
	pace      time.Duration // how long a fetch takes
	bindErr   error
	commitErr error
	leaveErr  error
	prepare   func(context.Context) error
}

type failure struct {
	offset int64
	err    error
	once   bool
}

// consumed is one call of Consume.
type consumed struct {
	partition   int
	from, until int64
}

func newTopic(parts ...[]int64) *topic {
	return &topic{
		parts: parts, batch: 64, id: grant.TopicID{Cluster: "cluster", Topic: [16]byte{1}}, epochs: map[int][]epochAt{},
		holds: grant.Offsets{}, failures: map[int]failure{}, committed: grant.Offsets{},
	}
}

// ids returns n records: the user IDs first, first + step, and so on.
func ids(n int, first, step int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = first + int64(i)*step
	}
	return out
}

// change changes the topic and wakes whoever waits for that.
func (tp *topic) change(fn func()) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	fn()
	close(tp.changed)
	tp.changed = make(chan struct{})
}

func (tp *topic) hold(partition int, offset int64) {
	tp.change(func() { tp.holds[partition] = offset })
}

func (tp *topic) release() { tp.change(func() { clear(tp.holds) }) }

func (tp *topic) fail(partition int, offset int64, err error) {
	tp.change(func() { tp.failures[partition] = failure{offset: offset, err: err} })
}

func (tp *topic) add(partition int, records ...int64) {
	tp.change(func() { tp.parts[partition] = append(tp.parts[partition], records...) })
}

// grow adds a partition; the group notices.
func (tp *topic) grow(records []int64) {
	tp.change(func() {
		tp.parts = append(tp.parts, records)
		tp.rebalance()
	})
}

// users returns the users of the topic.
func (tp *topic) users() map[uint64]bool {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	out := map[uint64]bool{}
	for _, records := range tp.parts {
		for _, id := range records {
			if id >= 0 {
				out[uint64(id)] = true
			}
		}
	}
	return out
}

// calls returns the calls of Consume for a partition.
func (tp *topic) calls(partition int) []consumed {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(tp.consumed), func(c consumed) bool { return c.partition != partition })
}

// epochAt says that records from an offset on were written in a leader epoch; those before all in epoch 0.
type epochAt struct {
	offset int64
	epoch  int32
}

// remake deletes the topic and makes it again.
func (tp *topic) remake(parts ...[]int64) {
	tp.change(func() {
		tp.id.Topic[0]++
		tp.parts, tp.epochs, tp.committed = parts, map[int][]epochAt{}, grant.Offsets{}
	})
}

// truncate loses the end of a partition, and others take the place of what is lost.
func (tp *topic) truncate(partition int, offset int64, records ...int64) {
	tp.change(func() {
		tp.parts[partition] = append(slices.Clone(tp.parts[partition][:offset]), records...)
		tp.epochs[partition] = append(tp.epochs[partition], epochAt{offset, int32(len(tp.epochs[partition]) + 1)})
	})
}

// epoch returns the leader epoch of the record before an offset. It is called with the lock held.
func (tp *topic) epoch(partition int, next int64) (epoch int32) {
	for _, e := range tp.epochs[partition] {
		if e.offset < next {
			epoch = e.epoch
		}
	}
	return epoch
}

// ends returns the epoch up to the given one that the partition has, and where it ends. It is called with the lock held.
func (tp *topic) ends(partition int, epoch int32) (has int32, end int64) {
	end = int64(len(tp.parts[partition]))
	for _, e := range slices.Backward(tp.epochs[partition]) {
		if e.epoch <= epoch {
			return e.epoch, end
		}
		end = e.offset
	}
	return 0, end
}

// reader is the topic as one run's Source.
type reader struct {
	*topic
	monitor *Monitor

	bound *grant.TopicID
	read  map[int]int32 // leader epoch of what was read last, by partition
}

func (r *reader) Bind(context.Context) (grant.TopicID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bindErr != nil {
		return grant.TopicID{}, r.bindErr
	}
	if r.bound == nil {
		id := r.id
		r.bound, r.read = &id, map[int]int32{}
	}
	return *r.bound, r.check()
}

// check is called with the lock held.
func (r *reader) check() error {
	if *r.bound != r.id {
		return &grant.OtherTopicError{Name: "topic", Whose: "this run", Before: *r.bound, Now: r.id}
	}
	return nil
}

func (r *reader) Intact(_ context.Context, at grant.Checkpoint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for partition, next := range at.Next {
		if err := r.intact(partition, next, at.Epoch(partition)); err != nil {
			return err
		}
	}
	return r.check()
}

// intact is called with the lock held.
func (r *reader) intact(partition int, next int64, epoch int32) error {
	has, end := r.ends(partition, epoch)
	if epoch >= 0 && (has != epoch || end < next) {
		return &grant.TruncatedError{Partition: partition, Offset: next, Epoch: epoch, EndEpoch: has, End: end}
	}
	return nil
}

func (r *reader) Epoch(partition int, next int64) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.read[partition]; !ok {
		return -1
	}
	return min(r.epoch(partition, next), r.read[partition])
}

func (r *reader) Prepare(ctx context.Context) error {
	if r.prepare == nil {
		return nil
	}
	return r.prepare(ctx)
}

func (tp *topic) Bounds(context.Context) (grant.Bounds, error) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	out := grant.Bounds{Firsts: tp.firsts.Clone(), Ends: grant.Offsets{}}
	for p, records := range tp.parts {
		out.Ends[p] = int64(len(records))
	}
	return out, nil
}

// end returns where every partition ends.
func (tp *topic) end() grant.Offsets {
	bounds, _ := tp.Bounds(context.Background())
	return bounds.Ends
}

func (r *reader) Consume(ctx context.Context, partition int, from, until int64, lane *sharding.Lane) error {
	r.mu.Lock()
	r.consumed = append(r.consumed, consumed{partition, from, until})
	r.mu.Unlock()
	r.monitor.Position(partition, from, -1)
	for next := from; ctx.Err() == nil && (until < 0 || next < until); {
		records, end, failed := r.fetch(ctx, partition, next, until)
		if failed == nil && len(records) > 0 {
			r.mu.Lock()
			r.read[partition] = r.epoch(partition, next+int64(len(records)))
			r.mu.Unlock()
		}
		err := r.handOver(ctx, partition, next, end, records, lane)
		if err = errors.Join(err, failed); err != nil && ctx.Err() == nil {
			return err
		}
		next += int64(len(records))
	}
	return nil
}

func (r *reader) handOver(ctx context.Context, partition int, next, end int64, records []int64, lane *sharding.Lane) error {
	for _, id := range records {
		switch {
		case id == malformed:
			lane.Reject()
			r.monitor.Rejected(grant.Reject{Partition: partition, Offset: next, Reason: "malformed", Value: "x"})
		case id == outside, lane.Withheld(uint64(id)):
			lane.Withhold()
		default:
			if !lane.Admitted() {
				if err := lane.Mark(ctx, next, false); err != nil {
					return err
				}
				if err := lane.Await(ctx); err != nil {
					return errors.Join(err, lane.Mark(ctx, next, false))
				}
			}
			if err := r.add(ctx, lane, next, uint64(id)); err != nil {
				return err
			}
		}
		next++
	}
	if err := lane.Mark(ctx, next, next == end); err != nil {
		return err
	}
	r.monitor.Position(partition, next, end)
	return nil
}

// fetch returns records from an offset on as soon as there are any, and the end of the partition.
func (r *reader) fetch(ctx context.Context, partition int, next, until int64) (records []int64, end int64, err error) {
	if r.pace > 0 {
		select {
		case <-time.After(r.pace):
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		r.mu.Lock()
		err := r.check()
		if epoch, ok := r.read[partition]; err == nil && ok {
			err = r.intact(partition, next, epoch)
		}
		if err != nil {
			r.mu.Unlock()
			return nil, 0, err
		}
		end = int64(len(r.parts[partition]))
		to := min(end, next+int64(r.batch))
		if until >= 0 {
			to = min(to, until)
		}
		if f, ok := r.failures[partition]; ok && f.offset >= next && f.offset <= to {
			to, err = f.offset, f.err
			if f.once {
				delete(r.failures, partition)
			}
		}
		if hold, ok := r.holds[partition]; ok && hold <= to {
			to, err = max(hold, next), nil
		}
		if to > next || err != nil {
			records = slices.Clone(r.parts[partition][next:to])
			r.mu.Unlock()
			return records, end, err
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil, end, nil
}

// member is one run's Group.
type member struct {
	*topic
	gen     *generation // not released yet
	waiting bool
	next    chan *generation
}

func (tp *topic) Join() (grant.Group, error) {
	m := &member{topic: tp, next: make(chan *generation, 1)}
	tp.change(func() {
		tp.members = append(tp.members, m)
		tp.rebalance()
	})
	return m, nil
}

func (m *member) Leave() error {
	m.change(func() {
		if m.gen != nil {
			m.broken = append(m.broken, "left the group before the generation was released")
		}
		m.members = slices.DeleteFunc(m.members, func(o *member) bool { return o == m })
		m.rebalance()
	})
	return m.leaveErr
}

// rebalance ends every generation. It is called with the lock held.
func (tp *topic) rebalance() {
	for _, m := range tp.members {
		if m.gen != nil {
			m.gen.cancel()
		}
	}
	tp.assign()
}

// assign begins the next generation if every member waits for it. It is called with the lock held.
func (tp *topic) assign() {
	for _, m := range tp.members {
		if !m.waiting {
			return
		}
	}
	for i, m := range tp.members {
		ctx, cancel := context.WithCancel(context.Background())
		g := &generation{member: m, ctx: ctx, cancel: cancel, committed: grant.Offsets{}}
		for p := i; p < len(tp.parts); p += len(tp.members) {
			g.committed[p] = -1
			if offset, ok := tp.committed[p]; ok {
				g.committed[p] = offset
			}
		}
		m.gen, m.waiting = g, false
		m.next <- g
	}
}

func (m *member) Next(ctx context.Context) (grant.Generation, error) {
	m.change(func() {
		if m.gen != nil {
			m.broken = append(m.broken, "waited for a generation before the one before was released")
		}
		m.waiting = true
		m.assign()
	})
	select {
	case g := <-m.next:
		return g, nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = false
	select {
	case <-m.next: // came too late
		m.gen.cancel()
		m.gen = nil
	default:
	}
	return nil, ctx.Err()
}

type generation struct {
	member    *member
	ctx       context.Context
	cancel    context.CancelFunc
	committed grant.Offsets
}

func (g *generation) Context() context.Context { return g.ctx }
func (g *generation) Committed() grant.Offsets { return g.committed }

func (g *generation) Commit(next grant.Offsets) error {
	tp := g.member.topic
	tp.mu.Lock()
	defer tp.mu.Unlock()
	if g.member.gen != g {
		tp.broken = append(tp.broken, "committed after the generation was released")
	}
	if tp.commitErr != nil {
		return tp.commitErr
	}
	for p, offset := range next {
		if _, ok := g.committed[p]; !ok {
			tp.broken = append(tp.broken, fmt.Sprintf("committed partition %d, which is not assigned", p))
		}
		tp.committed[p] = offset
	}
	return nil
}

func (g *generation) Release() {
	g.cancel()
	g.member.change(func() {
		if g.member.gen != g {
			g.member.broken = append(g.member.broken, "released a generation twice")
		}
		g.member.gen = nil
	})
}
