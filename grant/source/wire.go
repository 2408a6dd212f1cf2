package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
)

// The Fetch API. Version 13 names topics by their ID, so that one that was made again is never taken for the one before;
// brokers since 3.1 speak it. Version 12 tells the reader that what it has read is no longer there. Version 10 is the first
// by which brokers hand out topics whose compression.type is zstd; brokers from 2.1 on speak it. Why not kafka-go's own:
// Conn.ReadBatch checks no CRC, shows control markers and aborted records as ordinary ones and costs 130 ns a record;
// Client.Fetch does check but is three times slower still (docs/performance.md).
const (
	fetchByID     = 13
	fetchFlexible = 12
	fetchOldest   = 10
	readCommitted = 1
	maxResponse   = 1 << 30
	responseStep  = 1 << 20 // a response's memory grows by no more than was read already, or this
)

// errResponse means that an answer is not what a broker answers to a fetch. The connection is of no use afterwards.
var errResponse = errors.New("malformed fetch response")

// conn is an authenticated connection to one broker. Those that fetch do so from one partition.
type conn struct {
	net.Conn
	target
	timeout     time.Duration // for an answer, beyond the time that a fetch may wait. Default 10 s
	versions    map[int16][2]int16
	correlation int32
	request     []byte
	response    []byte
}

// target is what a connection fetches, and how.
type target struct {
	fetchVersion int16 // 0: fetchOldest
	topic        string
	id           [16]byte // of the topic; zero: not known
	partition    int
	leaderEpoch  int32 // of the broker that is asked, as far as we know; −1: not known
}

// negotiate finds out how to fetch.
func (c *conn) negotiate(ctx context.Context) (err error) {
	newest := int16(fetchByID)
	if c.id == [16]byte{} {
		newest = fetchFlexible
	}
	c.fetchVersion, err = c.version(ctx, apiFetch, newest)
	if err == nil && c.fetchVersion < fetchOldest {
		err = fmt.Errorf("fetching from %s, which is older than Kafka 2.1: %w", c.RemoteAddr(), kafka.UnsupportedVersion)
	}
	return err
}

// aborted is a transaction whose records from an offset on must not be seen.
type aborted struct {
	producer int64
	first    int64
}

// fetched is the answer to a fetch. The records are valid until the next fetch.
type fetched struct {
	code     kafka.Error   // 0: none
	throttle time.Duration // how long the broker wants to be left alone, by a quota. It sends no records then
	highest  int64         // the high watermark: offset of the next record to be produced and replicated; −1: not told
	stable   int64         // the last stable offset: records from here on are not handed out, because of an open transaction
	aborted  []aborted
	records  []byte
	diverged *epochEnd // what was fetched before this is not what the broker has; nil: it is
}

// epochEnd is where the records of a leader epoch end; −1: there is no such epoch.
type epochEnd struct {
	epoch int32
	end   int64
}

// end returns the offset up to which there is something to read.
func (f *fetched) end() int64 {
	if f.stable < 0 { // not every broker has transactions
		return f.highest
	}
	return f.stable
}

// fetch asks for records from an offset on, before which was one of a leader epoch; −1: not known. It waits at most the
// given time for the first one. After an error the connection is of no use.
func (c *conn) fetch(ctx context.Context, offset int64, epoch int32, maxBytes int, wait time.Duration) (f fetched, err error) {
	c.correlation++
	c.request = fetchRequest(c.request[:0], c.correlation, &c.target, offset, epoch, maxBytes, wait)
	answer, err := c.exchange(ctx, wait, c.request)
	if err != nil {
		return f, err
	}
	return parseFetch(answer, c.correlation, &c.target)
}

func fetchRequest(b []byte, correlation int32, t *target, offset int64, epoch int32, maxBytes int, wait time.Duration) []byte {
	be := binary.BigEndian
	version := max(t.fetchVersion, fetchOldest)
	flexible := version >= fetchFlexible
	one := func() { // the length of an array of one
		if flexible {
			b = append(b, 2)
		} else {
			b = be.AppendUint32(b, 1)
		}
	}
	noTags := func() {
		if flexible {
			b = append(b, 0)
		}
	}
	b = append(b, 0, 0, 0, 0) // size
	b = be.AppendUint16(b, apiFetch)
	b = be.AppendUint16(b, uint16(version))
	b = be.AppendUint32(b, uint32(correlation))
	b = append(be.AppendUint16(b, uint16(len(ClientID))), ClientID...)
	noTags()
	b = be.AppendUint32(b, ^uint32(0)) // replica ID: none
	b = be.AppendUint32(b, uint32(wait.Milliseconds()))
	b = be.AppendUint32(b, 1) // at least one byte
	b = be.AppendUint32(b, uint32(maxBytes))
	b = append(b, readCommitted)
	b = be.AppendUint32(b, 0)          // session ID: none
	b = be.AppendUint32(b, ^uint32(0)) // session epoch: no session
	one()                              // topics
	switch {
	case version >= fetchByID:
		b = append(b, t.id[:]...)
	case flexible:
		b = append(binary.AppendUvarint(b, uint64(len(t.topic))+1), t.topic...)
	default:
		b = append(be.AppendUint16(b, uint16(len(t.topic))), t.topic...)
	}
	one() // partitions
	b = be.AppendUint32(b, uint32(t.partition))
	b = be.AppendUint32(b, uint32(t.leaderEpoch))
	b = be.AppendUint64(b, uint64(offset))
	if flexible {
		b = be.AppendUint32(b, uint32(epoch))
	}
	b = be.AppendUint64(b, ^uint64(0)) // log start offset: for followers only
	b = be.AppendUint32(b, uint32(maxBytes))
	if flexible {
		b = append(b, 0, 0, 1, 1, 0) // tags of partition and topic, topics to forget from the session, rack, tags
	} else {
		b = be.AppendUint32(b, 0)
	}
	be.PutUint32(b, uint32(len(b)-4))
	return b
}

// parseFetch reads a response without its size.
func parseFetch(data []byte, correlation int32, t *target) (f fetched, err error) {
	r := reader{data: data, flexible: t.fetchVersion >= fetchFlexible}
	if got := r.int32(); got != correlation && r.ok() {
		return f, fmt.Errorf("%w: it answers request %d, not %d", errResponse, got, correlation)
	}
	r.tags(nil)
	f.throttle = time.Duration(max(r.int32(), 0)) * time.Millisecond
	code := kafka.Error(r.int16())
	r.int32() // session ID
	topics := r.length()
	if topics == 0 && (code != 0 || f.throttle > 0) {
		r.tags(nil)
		if r.ok() && len(r.data) == 0 { // all that a broker says when it fails, or when a quota is exceeded
			f.code, f.highest, f.stable = code, -1, -1
			return f, nil
		}
	}
	if topics != 1 && r.ok() {
		return f, fmt.Errorf("%w: it has %d topics, asked for 1", errResponse, topics)
	}
	if t.fetchVersion >= fetchByID {
		if got := r.bytes(len(t.id)); !bytes.Equal(got, t.id[:]) && r.ok() {
			return f, fmt.Errorf("%w: it is for topic ID %x, asked for %x", errResponse, got, t.id)
		}
	} else if got := r.text(); string(got) != t.topic && r.ok() {
		return f, fmt.Errorf("%w: it is for topic %q, asked for %q", errResponse, got, t.topic)
	}
	if n := r.length(); n != 1 && r.ok() {
		return f, fmt.Errorf("%w: it has %d partitions, asked for 1", errResponse, n)
	}
	if err := f.parsePartition(&r, t.partition); err != nil {
		return fetched{}, err
	}
	r.tags(nil) // of the topic
	r.tags(nil)
	if !r.ok() || len(r.data) != 0 {
		return fetched{}, fmt.Errorf("%w: its %d bytes end in the middle, or are too many", errResponse, len(data))
	}
	return f, nil
}

func (f *fetched) parsePartition(r *reader, partition int) error {
	if got := r.int32(); int(got) != partition && r.ok() {
		return fmt.Errorf("%w: it is for partition %d, asked for %d", errResponse, got, partition)
	}
	f.code = kafka.Error(r.int16())
	f.highest = r.int64()
	f.stable = r.int64()
	r.int64() // log start offset
	if n := r.length(); n > 0 {
		if n > len(r.data)/16 {
			return fmt.Errorf("%w: %d aborted transactions in %d bytes", errResponse, n, len(r.data))
		}
		f.aborted = make([]aborted, n)
		for i := range f.aborted {
			f.aborted[i] = aborted{producer: r.int64(), first: r.int64()}
			r.tags(nil)
		}
	}
	if r.flexible {
		r.int32() // a replica that is nearer: only for those that name a rack
	}
	if n := r.length(); n > 0 {
		f.records = r.bytes(n)
	}
	r.tags(func(tag uint64, value reader) {
		if tag == 0 {
			e := epochEnd{epoch: value.int32(), end: value.int64()}
			value.tags(nil)
			if e != (epochEnd{-1, -1}) { // which says nothing
				f.diverged = &e
			}
			r.short = r.short || !value.ok() || len(value.data) != 0
		}
	})
	return nil
}

// reader takes big-endian integers off the front of data; after it ran out it returns zeros. Flexible versions (KIP-482)
// have compact lengths, and tags behind everything.
type reader struct {
	data     []byte
	short    bool
	flexible bool
}

func (r *reader) ok() bool { return !r.short }

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.data) {
		r.short, r.data = true, nil
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) int16() int16 {
	if b := r.bytes(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.bytes(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 || n > 5 { // they are of 32 bits
		r.short, r.data = true, nil
		return 0
	}
	r.data = r.data[n:]
	return v
}

// length is that of an array, or of bytes; −1: null.
func (r *reader) length() int {
	if r.flexible {
		return int(r.uvarint()) - 1
	}
	return int(r.int32())
}

// text is a string; nil: null.
func (r *reader) text() []byte {
	var n int
	if r.flexible {
		n = r.length()
	} else {
		n = int(r.int16())
	}
	if n == -1 {
		return nil
	}
	return r.bytes(n)
}

// tags passes tagged fields, if there are any, and shows them to a function; nil: they do not matter.
func (r *reader) tags(show func(tag uint64, value reader)) {
	if !r.flexible {
		return
	}
	for n := r.uvarint(); n > 0 && r.ok(); n-- {
		tag := r.uvarint()
		value := r.bytes(int(r.uvarint()))
		if show != nil && r.ok() {
			show(tag, reader{data: value, flexible: true})
		}
	}
}
