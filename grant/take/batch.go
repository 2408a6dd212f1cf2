package take

import (
	"context"

	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
)

// batch is what one fetch of a partition held. It keeps the records, because those that come to nothing go to the dead-letter
// topic.
type batch struct {
	partition int
	next      int64 // everything below is in this batch or in one before
	wishes    []ledger.Take
	records   []record
	data      []byte // keys and values
}

// record is one record of a batch, with memory in its data.
type record struct {
	offset     int64
	key, value int32         // lengths; negative: nil
	wishes     int           // how many of the batch's are its
	reason     source.Reason // none: it is no wish
}

// inbox gathers the records of one partition, and hands them to whoever takes for it.
type inbox struct {
	*decoder

	partition int
	open      *batch
	to        chan<- *batch
}

// Add implements source.Sink.
func (in *inbox) Add(offset int64, parts *source.Parts) error {
	key, value := parts.Key, parts.Value
	if in.open == nil {
		in.open = &batch{partition: in.partition}
	}
	b := in.open
	r := record{offset: offset, key: length(key), value: length(value)}
	user, items, reason := in.read(value)
	r.reason, r.wishes = reason, len(items)
	for _, item := range items {
		b.wishes = append(b.wishes, ledger.Take{User: user, Item: item})
	}
	b.data = append(append(b.data, key...), value...)
	b.records = append(b.records, r)
	return nil
}

func length(b []byte) int32 {
	if b == nil {
		return -1
	}
	return int32(len(b))
}

// Mark implements source.Sink. It waits while those before are being taken, so that memory is bounded.
func (in *inbox) Mark(ctx context.Context, next int64, _ bool) error {
	b := in.open
	if b == nil {
		b = &batch{partition: in.partition}
	}
	b.next = next
	select {
	case in.to <- b:
		in.open = nil
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle tells what became of a batch's records, and returns those that came to nothing: that are no wish, or of which any was
// refused. taken is what became of its wishes, in their order.
func (b *batch) settle(taken []ledger.Taken, observer Observer) (rejects []source.Reject, malformed int) {
	data, wishes := b.data, b.wishes
	for i := range b.records {
		r := &b.records[i]
		reason := r.reason
		if reason != "" {
			malformed++
			observer.Malformed(reason)
		}
		for range r.wishes {
			outcome := taken[0].Outcome
			observer.Took(wishes[0].Item, outcome)
			if reason == "" && !outcome.Has() {
				reason = source.Reason(outcome)
			}
			taken, wishes = taken[1:], wishes[1:]
		}
		var key, value []byte
		key, data = cut(data, r.key)
		value, data = cut(data, r.value)
		if reason != "" {
			rejects = append(rejects, source.Reject{Offset: r.offset, Reason: reason, Key: key, Value: value})
		}
	}
	return rejects, malformed
}

func cut(data []byte, n int32) (part, rest []byte) {
	if n < 0 {
		return nil, data
	}
	return data[:n:n], data[n:]
}
