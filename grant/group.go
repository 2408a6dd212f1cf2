package grant

import "context"

// Group is a membership in the consumer group.
type Group interface {
	// Next waits for an assignment of partitions. The one before must have been released.
	Next(ctx context.Context) (Generation, error)
	// Leave lets the others take over at once.
	Leave() error
}

// Generation is one assignment of partitions.
type Generation interface {
	// Context is cancelled when the assignment ends.
	Context() context.Context
	// Committed returns the offset that Kafka has for each assigned partition; −1: none, or one of another topic.
	Committed() Offsets
	// Commit tells Kafka's tools how far the group is. It may fail without harm: a restart trusts the ledger. An
	// *OtherTopicError means that the offsets are not of the topic that Kafka has now.
	Commit(next Offsets) error
	// Release ends the work on the generation.
	Release()
}
