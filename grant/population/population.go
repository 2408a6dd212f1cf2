// Package population publishes a population of user IDs, generated or read from a list, to a Kafka topic at
// millions of IDs per second, and says in advance exactly how many distinct, repeated and bad records a generated
// one holds, so that whoever consumes the topic can be checked against it.
//
// Publishing is at least once: a batch whose acknowledgement got lost is sent again and may then be in the topic
// twice. That is harmless here, because a campaign grants each user once however often the topic names them.
package population

import (
	"context"

	"github.com/granter/granter/grant"
)

// Record is one record to publish.
type Record struct {
	ID   grant.UserID
	Kind Kind
}

// Source hands out the records of a population in order.
//
// Next fills dst with at least one record and returns how many; it may return fewer than fit when no more are ready, so
// that a slow source's records are not held back. Records returned together with an error are part of the population;
// the error, io.EOF at the end, comes after them and every later call repeats it. Next must return soon after ctx ends.
// Calls never overlap. dst is the caller's.
type Source interface {
	Next(ctx context.Context, dst []Record) (int, error)
}

// Counts is what a population holds. Records = Distinct + Repeats + Malformed.
type Counts struct {
	Records   int64
	Distinct  int64 // valid records that name a user for the first time
	Repeats   int64 // valid records that name a user again
	Malformed int64 // records without a valid ID
}
