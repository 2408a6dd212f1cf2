package opaque

import "github.com/granter/granter/sharding"

// NewSet makes the set of a pool of one shard, with a hash of its own.
func NewSet(cfg Config, sink Sink, hash func([]byte) uint64) sharding.Set {
	turns := make(chan *scratch, 1)
	turns <- new(scratch)
	s := newSet(cfg, sink, 0, turns)
	s.hash = hash
	return s
}

// Recount makes a set count its flushes from 1.
func Recount(s sharding.Set) { s.(*set).seq = 0 }
