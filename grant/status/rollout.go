package status

import (
	"fmt"
	"time"

	"github.com/granter/granter/grant"
)

// Rollout tells whoever comes after a rollout, as an audit does, when it is over. Its zero value is ready. It is asked again and
// again, about the same campaign, and remembers what the topic had when it was first seen after the start: so it ends beside
// replicas that follow a topic to which users are still published.
type Rollout struct {
	until grant.Offsets // what the topic had; nil: the campaign was not yet seen after its start
}

// Waits says what there is to wait for; empty: the rollout is over. It is when everything that the topic had is granted or
// accounted for, and when no run grants any more: operators have aborted or finished the campaign, or it has ended.
func (r *Rollout) Waits(s *Status) string {
	for _, name := range []PartName{PartSpec, PartControl, PartRuns, PartKafka, PartCheckpoint} {
		if part := s.Of(name); part.Error != "" {
			return "the " + string(name) + " is not known: " + part.Error
		}
	}
	switch s.Phase {
	case PhaseAborted, PhaseEnded, PhaseFinished:
		return ""
	case PhaseWaiting:
		return "the campaign starts at " + s.StartsAt.Format(time.RFC3339)
	default:
	}
	if r.until == nil {
		r.until = grant.Offsets{}
		for _, p := range s.Partitions {
			r.until[p.Partition] = p.End
		}
	}
	left := int64(0)
	for _, p := range s.Partitions {
		left += max(0, r.until[p.Partition]-max(p.Checkpoint, p.First))
	}
	if left == 0 {
		return ""
	}
	return fmt.Sprintf("%d records are to be granted (%s)", left, s.Phase)
}
