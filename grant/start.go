package grant

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Gap is a range of offsets of one partition: from From up to, not including, To.
type Gap struct {
	Partition int
	From, To  int64
}

// String is the form of --accept-gap: PARTITION:FROM-TO.
func (g Gap) String() string { return fmt.Sprintf("%d:%d-%d", g.Partition, g.From, g.To) }

// MarshalText makes a Gap a string in JSON, such as that of the log.
func (g Gap) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// ParseGap reads what String wrote.
func ParseGap(s string) (g Gap, err error) {
	s = strings.TrimSpace(s)
	n, err := fmt.Sscanf(s, "%d:%d-%d", &g.Partition, &g.From, &g.To)
	if err != nil || n != 3 || g.String() != s || g.From >= g.To {
		return Gap{}, fmt.Errorf("%q: want PARTITION:FROM-TO, as the message about the gap gave it", s)
	}
	return g, nil
}

// Flags are the flags that accept gaps.
func Flags(gaps []Gap) string {
	words := make([]string, len(gaps))
	for i, g := range gaps {
		words[i] = "--accept-gap " + g.String()
	}
	return strings.Join(words, " ")
}

// OffsetsIn returns how many offsets gaps have together.
func OffsetsIn(gaps []Gap) int64 {
	var n int64
	for _, g := range gaps {
		n += g.To - g.From
	}
	return n
}

// GapError means that the topic no longer has records that were never granted, and that nobody accepted it.
type GapError struct{ Gaps []Gap }

func (e *GapError) Error() string {
	where := make([]string, len(e.Gaps))
	for i, g := range e.Gaps {
		where[i] = fmt.Sprintf("offsets %d to %d of partition %d", g.From, g.To-1, g.Partition)
	}
	return fmt.Sprintf("%s are gone (retention or record deletion) before they were granted: restore them, or publish their users again "+
		"and then continue without these %d records by %s", strings.Join(where, ", "), OffsetsIn(e.Gaps), Flags(e.Gaps))
}

// Start is where a pass begins to read, and what is gone before that.
type Start struct {
	From     Offsets // by partition: everything before it is granted, or gone and accepted
	Accepted []Gap   // gone, never granted, and in Pass.AcceptGaps: From is behind them
	Refused  []Gap   // gone, never granted, and nobody accepted it: From is before them, and the pass must not begin
}

// Err is a *GapError if there are gaps that nobody accepted.
func (s *Start) Err() error {
	if len(s.Refused) == 0 {
		return nil
	}
	return &GapError{Gaps: s.Refused}
}

// Start says where the pass begins to read: at the smaller of what the ledger and Kafka say, since either may have lost its
// latest word. What only Kafka has the ledger has lost. What only the ledger has may, where brokers have no topic IDs, be of
// another topic: Kafka forgets the offsets of a topic that is deleted, so one that was made again is read from its first
// record; that grants nobody twice. What retention removed below the ledger's checkpoint has been granted. What it removed
// beyond that is a gap.
//
// checkpoint is the pass's, of the topic that Kafka has now. committed has the partitions to read, and for each what Kafka
// has for the group, −1: nothing. It is nil when that is not known: then all partitions are meant, and the ledger's word
// counts alone, as it always does for a private pass.
func (p Pass) Start(checkpoint, committed Offsets, has Bounds) Start {
	partitions := committed
	if committed == nil {
		partitions = has.Ends
	}
	s := Start{From: make(Offsets, len(partitions))}
	for _, partition := range slices.Sorted(maps.Keys(partitions)) {
		trusted, first := checkpoint[partition], has.Firsts[partition]
		from := trusted
		if committed != nil && !p.Private {
			from = min(trusted, max(committed[partition], 0))
		}
		from = max(from, min(trusted, first))
		if gap := (Gap{partition, from, first}); from < first {
			if p.accepts(gap) {
				s.Accepted = append(s.Accepted, gap)
				from = first
			} else {
				s.Refused = append(s.Refused, gap)
			}
		}
		s.From[partition] = from
	}
	return s
}

// accepts reports whether an operator named every offset of a gap. More may be named than is gone: retention goes on while
// somebody reads the message and starts again. A gap that goes beyond what was named is not accepted, in no part.
func (p Pass) accepts(gap Gap) bool {
	at := gap.From
	for _, a := range slices.SortedFunc(slices.Values(p.AcceptGaps), func(a, b Gap) int { return cmp.Compare(a.From, b.From) }) {
		if a.Partition == gap.Partition && a.From <= at {
			at = max(at, a.To)
		}
	}
	return at >= gap.To
}

// Needless returns what AcceptGaps name although it is there and the pass has not read it: were it removed now, before it
// is granted, the pass would go on without it.
func (p Pass) Needless(s *Start, has Bounds) []Gap {
	var out []Gap
	for _, a := range p.AcceptGaps {
		from, known := s.From[a.Partition]
		g := Gap{a.Partition, max(a.From, from, has.Firsts[a.Partition]), min(a.To, has.Ends[a.Partition])}
		if known && g.From < g.To {
			out = append(out, g)
		}
	}
	return out
}
