package engine

import (
	"context"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding/dense"
)

// Ledger is the durable record of who has been granted what. Its methods may be called concurrently, and again after an
// error: none does anything twice.
type Ledger interface {
	dense.Sink
	Terms
	Sessions
	Checkpoints
	RunRecords
}

// Terms are what each grant is judged by.
type Terms interface {
	// EnsureSpec stores the campaign, or fails if users were granted a different version of it, or may be at any moment.
	// Grant does it, too, when its last success is too long ago.
	EnsureSpec(ctx context.Context, c *grant.Campaign) error
	// NotBefore changes when the campaign starts. Grant fails with an *EarlyError before that, and with ErrEnded from
	// ends_at on, by the ledger's clock; nobody is granted anything then.
	NotBefore(at time.Time)
}

// Sessions keep a checkpoint that vouches for what was granted before it. A run has one session at a time.
type Sessions interface {
	// Begin starts a session on a topic and returns the offsets, by partition, from which on the ledger may lack
	// something. It fails with an *OtherTopicError if the checkpoint is of another topic.
	Begin(ctx context.Context, topic grant.TopicID) (grant.Checkpoint, error)
	// BeginAnew makes the checkpoint one of a topic in which nobody is granted yet, if it is of another one or, where lost
	// is not nil, beyond what a partition still has.
	BeginAnew(ctx context.Context, topic grant.TopicID, lost *grant.TruncatedError) error
	// Checkpoint says that everything below these offsets of the session's topic is granted or accounted for; epochs are
	// the leader epochs of the last records before them, where they are known. It is called after Grant returned for all of
	// that. It fails with ErrRegressed if the ledger has lost something that it acknowledged in this session, and with an
	// *OtherTopicError as Begin does.
	Checkpoint(ctx context.Context, next grant.Offsets, epochs map[int]int32) error
}

// Checkpoints is how far the campaign is granted, by whichever replica.
type Checkpoints interface {
	// Checkpoints returns the checkpoint as Begin does, of whatever topic, without starting a session.
	Checkpoints(ctx context.Context) (grant.Checkpoint, error)
}

// RunRecords is where runs say how they are doing.
type RunRecords interface {
	// SaveRun stores what a run says about itself. The last record counts.
	SaveRun(ctx context.Context, r grant.RunRecord) error
}
