package grant

import (
	"maps"
	"slices"
)

// Offsets are offsets by partition.
type Offsets map[int]int64

// Clone returns a copy.
func (o Offsets) Clone() Offsets { return maps.Clone(o) }

// Reached reports whether every partition of others is there at that offset, or beyond.
func (o Offsets) Reached(others Offsets) bool {
	for partition, offset := range others {
		if o[partition] < offset {
			return false
		}
	}
	return true
}

// Nearer returns the smaller offset of each partition that both have.
func (o Offsets) Nearer(others Offsets) Offsets {
	out := Offsets{}
	for partition, offset := range others {
		if mine, both := o[partition]; both {
			out[partition] = min(mine, offset)
		}
	}
	return out
}

// Bounds are what the partitions of a topic have: from the first offset that each still has, up to, not including, the one
// that its next record will get. Both have the same partitions.
type Bounds struct{ Firsts, Ends Offsets }

// Partitions returns the numbers of all partitions, ascending.
func (b Bounds) Partitions() []int { return slices.Sorted(maps.Keys(b.Ends)) }

// Until returns what the partitions have before given ends; one that is not in them has nothing.
func (b Bounds) Until(ends Offsets) Bounds {
	return Bounds{Firsts: b.Firsts, Ends: b.Ends.Nearer(ends)}
}

// Records returns how many records the topic has.
func (b Bounds) Records() int64 { return b.From(nil) }

// From returns how many records the topic has from these offsets on; a partition that is not in them is counted whole.
func (b Bounds) From(next Offsets) int64 {
	var n int64
	for partition := range b.Ends {
		n += b.Left(partition, next)
	}
	return n
}

// Left returns how many records a partition has from its offset in next on.
func (b Bounds) Left(partition int, next Offsets) int64 {
	return max(0, b.Ends[partition]-max(b.Firsts[partition], next[partition]))
}
