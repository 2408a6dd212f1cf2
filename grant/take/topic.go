package take

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// Sessions take items, and remember how far a topic is read: ledger.TopicTakes.
type Sessions interface {
	Begin(ctx context.Context, topic grant.TopicID) (grant.Checkpoint, error)
	// Restart makes the next session begin at the first record.
	Restart(ctx context.Context) error
	// TakeFrom is idempotent; one call of a lane may be under way.
	TakeFrom(ctx context.Context, lane int, c *grant.Campaign, wishes []ledger.Take) ([]ledger.Taken, error)
	Checkpoint(ctx context.Context, next grant.Offsets, epochs map[int]int32) error
	Checkpoints(ctx context.Context) (grant.Checkpoint, error)
}

// Observer is told what became of records. It is called concurrently.
type Observer interface {
	Took(item int, outcome grant.Outcome)
	Malformed(reason source.Reason)
	// Behind says how many records of the assigned partitions are not settled yet.
	Behind(records int64)
	// Regressed says that the ledger lost takes, which are read again.
	Regressed()
}

// Topic has users take items as the records of a Kafka topic ask for: each record once in effect, whoever is killed in between.
// Several processes share the partitions. What is refused, and what is no wish, goes to the dead-letter topic with the reason.
type Topic struct {
	Campaign *grant.Campaign // by which users are granted
	Items    []int           // that a record without an item is for
	Pass     grant.Pass      // its consumer group, and accepted gaps
	Source   source.Reader
	Ledger   Sessions
	Observer Observer
	Log      *slog.Logger
	Once     bool // end when everything that was there at the start is settled
	Restart  bool // begin at the first record, whatever was read before; who has an item has it since then

	topic grant.TopicID
	ends  grant.Offsets // of Once
}

const (
	checkpointEvery = 500 * time.Millisecond
	lanes           = 2       // that take at the same time: one waits for Redis while another one encodes
	queued          = 2       // batches of each lane, beside one of each partition
	callWishes      = 1 << 19 // about as many go to the ledger at once at most: many of a chunk cost Redis less each
)

// ErrStopped means that the context ended before the topic did.
var ErrStopped = errors.New("stopped; what was taken is in the ledger")

// Run takes until the context ends, which is ErrStopped, something fails for good, or, with Once, all is settled.
func (t *Topic) Run(ctx context.Context) error {
	err := t.run(ctx)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Cause(ctx))) {
		return ErrStopped
	}
	return err
}

func (t *Topic) run(ctx context.Context) (err error) {
	if err := t.Source.Prepare(ctx); err != nil {
		return err
	}
	if t.topic, err = t.Source.Bind(ctx); err != nil {
		return err
	}
	if t.Restart {
		if err := t.Ledger.Restart(ctx); err != nil {
			return err
		}
	}
	if t.Once {
		bounds, err := t.Source.Bounds(ctx)
		if err != nil {
			return err
		}
		t.ends = bounds.Ends
	}
	group, err := t.Source.Join()
	if err != nil {
		return err
	}
	defer func() {
		if left := group.Leave(); left != nil {
			t.Log.Warn("leaving the consumer group failed; others take over when the session times out", "error", left)
		}
	}()
	for done := false; err == nil && !done; {
		done, err = t.generation(ctx, group)
	}
	return err
}

// generation works on one assignment of partitions until it ends, and reports whether all is settled, by whichever process.
func (t *Topic) generation(ctx context.Context, group grant.Group) (done bool, err error) {
	assigned, err := group.Next(ctx)
	if err != nil {
		return false, err
	}
	defer assigned.Release()
	committed := assigned.Committed()
	for {
		s := &session{Topic: t, assigned: assigned, committed: committed}
		done, err = s.run(ctx)
		if !errors.Is(err, grant.ErrRegressed) {
			return done, err
		}
		committed = s.committed
		t.Observer.Regressed()
		t.Log.Error("the ledger lost takes: reading them again from its older checkpoint", "reason", err)
		if err := pause(ctx, checkpointEvery); err != nil { // a ledger that goes on losing writes must not make a loop of this
			return false, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
