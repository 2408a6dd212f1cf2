package rejected

import (
	"context"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
)

// Originals is the topic with the records that were rejected, and where their letters go: source.Source.
type Originals interface {
	Letters
	Prepare(ctx context.Context) error
	Bind(ctx context.Context) (grant.TopicID, error)
	Bounds(ctx context.Context) (grant.Bounds, error)
	// RestoreLetters writes the letters of rejected records that are lost, in order, and tells each.
	RestoreLetters(ctx context.Context, partition int, from, until int64, lost func(offset int64) bool, dry bool,
		told func(offset int64, reason source.Reason)) error
}

// Recovered is a record whose letter was lost.
type Recovered struct {
	Partition int           `json:"partition"`
	Offset    int64         `json:"offset"`
	Reason    source.Reason `json:"reason"`
}

// Recovery says what became of lost letters.
type Recovery struct {
	DryRun  bool                    `json:"dry_run,omitempty"`
	Letters int64                   `json:"letters"` // that were there
	Lost    int64                   `json:"lost"`    // and are there now, unless it was a dry run
	Reasons map[source.Reason]int64 `json:"reasons"` // of the lost ones
	Gone    int64                   `json:"gone"`    // records that retention removed from the topic, rejected or not
}

// Recover writes the letters again that the dead-letter topic no longer has, of all rejected records below the checkpoint that
// the topic still has. It grants nobody, and may be killed and done again. each is called for every one of them.
func Recover(
	ctx context.Context, from Originals, c *grant.Campaign, runs []grant.RunRecord, checkpoint grant.Checkpoint, dry bool,
	each func(Recovered),
) (*Recovery, error) {
	out := &Recovery{DryRun: dry, Reasons: map[source.Reason]int64{}}
	id, err := from.Bind(ctx)
	if err == nil && !dry {
		err = from.Prepare(ctx) // the dead-letter topic may be gone altogether
	}
	if err != nil {
		return out, err
	}
	there := map[Place]bool{}
	err = newReader(from, c, runs, Filter{}).each(ctx, func(l letter) error {
		if id.Continues(l.id) {
			out.Letters++
			there[Place{l.Partition, l.Offset}] = true
		}
		return nil
	})
	if err != nil && !source.NoTopic(err) {
		return out, err
	}
	bounds, err := from.Bounds(ctx)
	if err != nil {
		return out, err
	}
	next := checkpoint.Of(id).Next
	for _, partition := range bounds.Partitions() {
		first := bounds.Firsts[partition]
		out.Gone += min(first, next[partition])
		err := from.RestoreLetters(ctx, partition, first, min(next[partition], bounds.Ends[partition]),
			func(offset int64) bool { return !there[Place{partition, offset}] }, dry,
			func(offset int64, reason source.Reason) {
				out.Lost++
				out.Reasons[reason]++
				each(Recovered{partition, offset, reason})
			})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}
