package take

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// session takes what the partitions of one assignment hold, from the checkpoint on. It is used once.
type session struct {
	*Topic

	assigned  grant.Generation
	committed grant.Offsets
	until     grant.Offsets // negative: without end
	lanes     [lanes]chan *batch

	looked              int // how often it had a reason to say how many records wait
	mu                  sync.Mutex
	settled             grant.Offsets // everything below is in the ledger, or in the dead-letter topic
	consumed, malformed int64
}

// run reports whether everything is settled, by whichever process. When the group changes, or ctx ends, it stops reading; what
// was read until then is settled first.
func (s *session) run(ctx context.Context) (done bool, err error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	decode, err := newDecoder(s.Campaign, s.Items)
	if err != nil {
		return false, err
	}
	writers, writing := errgroup.WithContext(context.WithoutCancel(ctx))
	reading, stopReading := context.WithCancel(writing)
	defer stopReading()
	defer context.AfterFunc(ctx, stopReading)()
	defer context.AfterFunc(s.assigned.Context(), stopReading)()

	var takers sync.WaitGroup
	for lane := range s.lanes {
		s.lanes[lane] = make(chan *batch, queued)
		takers.Add(1)
		writers.Go(func() error {
			defer takers.Done()
			return s.take(writing, lane)
		})
	}
	taken := make(chan struct{})
	writers.Go(func() error { return s.checkpoints(writing, taken) })
	readErr := s.read(reading, decode)
	for _, lane := range s.lanes {
		close(lane)
	}
	takers.Wait()
	close(taken)
	writeErr := writers.Wait()
	if errors.Is(readErr, grant.ErrTopicChanged) {
		return false, readErr // whatever else failed, failed because of that
	}
	if err := errors.Join(writeErr, readErr); err != nil {
		return false, err
	}
	return s.awaitOthers(ctx)
}

// read hands the records of all partitions to the lanes.
func (s *session) read(ctx context.Context, decode func() *decoder) error {
	readers, reading := errgroup.WithContext(ctx)
	for partition, from := range s.positions() {
		in := &inbox{decoder: decode(), partition: partition, to: s.lanes[partition%lanes]}
		readers.Go(func() error { return s.Source.Follow(reading, partition, from, s.until[partition], in) })
	}
	return readers.Wait()
}

// positions are up to where the partitions are settled.
func (s *session) positions() grant.Offsets {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.settled)
}

// begin finds out where each partition starts and ends.
func (s *session) begin(ctx context.Context) error {
	checkpoint, err := s.Ledger.Begin(ctx, s.topic)
	if err != nil {
		return err
	}
	s.settled, s.until, err = source.Resume(ctx, s.Source, checkpoint, s.committed, s.Pass, s.ends, s.Log)
	if err != nil {
		return err
	}
	s.Log.Info("partitions assigned", "from", s.settled)
	return nil
}

// take has users take items as the batches of one lane say, many at once where many wait.
func (s *session) take(ctx context.Context, lane int) error {
	for first := range s.lanes[lane] {
		batches, n := []*batch{first}, len(first.wishes)
		for more := true; more && n < callWishes; {
			select {
			case b, open := <-s.lanes[lane]:
				if more = open; open {
					batches = append(batches, b)
					n += len(b.wishes)
				}
			default:
				more = false
			}
		}
		if err := s.settle(ctx, lane, batches, n); err != nil {
			return err
		}
	}
	return nil
}

// settle takes what some batches ask for, stores what was rejected of them, and only then moves the positions.
func (s *session) settle(ctx context.Context, lane int, batches []*batch, n int) error {
	wishes := make([]ledger.Take, 0, n)
	for _, b := range batches {
		wishes = append(wishes, b.wishes...)
	}
	var taken []ledger.Taken
	if n > 0 {
		var err error
		if taken, err = s.Ledger.TakeFrom(ctx, lane, s.Campaign, wishes); err != nil {
			return err
		}
	}
	for _, b := range batches {
		rejects, malformed := b.settle(taken[:len(b.wishes)], s.Observer)
		taken = taken[len(b.wishes):]
		if err := s.Source.Reject(ctx, b.partition, rejects); err != nil {
			return fmt.Errorf("storing rejected takes of partition %d: %w", b.partition, err)
		}
		if err := s.settledUpTo(b, malformed); err != nil {
			return err
		}
	}
	return nil
}

// settledUpTo moves the position of a partition behind a batch, and fails if too many records are no takes.
func (s *session) settledUpTo(b *batch, malformed int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled[b.partition] = b.next
	s.consumed += int64(len(b.records))
	s.malformed += int64(malformed)
	limit := s.Campaign.Input.MaxRejected
	if malformed == 0 || !source.TooMany(limit, s.malformed, s.consumed) {
		return nil
	}
	return fmt.Errorf("%w: %d of %d are no takes, and the campaign's max_rejected is %s: is it the right topic? Its dead-letter "+
		"topic has them, with the reasons", source.ErrTooManyRejected, s.malformed, s.consumed, grant.Percent(limit))
}

// checkpoints says regularly how far the session is, and once more when all is taken.
func (s *session) checkpoints(ctx context.Context, taken <-chan struct{}) error {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-taken:
			done = true
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return nil // a taker has failed, and says why
		}
		if err := s.checkpoint(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint says how far the session is: to the ledger, which a restart trusts, and then to Kafka, for its tools. It is written
// also when nothing has changed: that is how a loss is noticed while no record comes.
func (s *session) checkpoint(ctx context.Context) error {
	next, epochs := s.positions(), map[int]int32{}
	for partition, at := range next {
		if epoch := s.Source.Epoch(partition, at); epoch >= 0 {
			epochs[partition] = epoch
		}
	}
	if err := s.Ledger.Checkpoint(ctx, next, epochs); err != nil {
		return err
	}
	if !maps.Equal(next, s.committed) {
		switch err := s.assigned.Commit(next); {
		case errors.Is(err, grant.ErrTopicChanged):
			return err
		case err != nil && s.assigned.Context().Err() == nil:
			s.Log.Warn("committing offsets to Kafka failed; the ledger has them", "error", err)
		case err == nil:
			s.committed = next
		}
	}
	s.report(ctx, next)
	return nil
}

// report says how many records wait.
func (s *session) report(ctx context.Context, next grant.Offsets) {
	if s.looked++; s.looked%4 != 1 {
		return
	}
	bounds, err := s.Source.Peek(ctx)
	if err != nil {
		return // reading says what is wrong with Kafka
	}
	var behind int64
	for partition, at := range next {
		behind += max(bounds.Ends[partition]-at, 0)
	}
	s.Observer.Behind(behind)
}

// awaitOthers stays in the group until all of the topic is settled, by whichever process, or for good: if one dies, its
// partitions come to this one. What this one took may still be lost, so it goes on looking for that.
func (s *session) awaitOthers(ctx context.Context) (done bool, err error) {
	for ctx.Err() == nil && s.assigned.Context().Err() == nil {
		checkpoint, err := s.Ledger.Checkpoints(ctx)
		if err != nil {
			return false, err
		}
		if s.Once && checkpoint.Of(s.topic).Next.Reached(s.ends) {
			return true, nil
		}
		select {
		case <-time.After(checkpointEvery):
		case <-s.assigned.Context().Done():
		case <-ctx.Done():
		}
		if err := s.checkpoint(context.WithoutCancel(ctx)); err != nil {
			return false, err
		}
	}
	return false, nil
}
