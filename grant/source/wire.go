package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// The Fetch API, version 10: the first by which brokers hand out topics whose compression.type is zstd. Brokers from 2.1
// to 4.x speak it. Why not kafka-go's own: Conn.ReadBatch checks no CRC, shows control markers and aborted records as
// ordinary ones and costs 130 ns a record; Client.Fetch does check but is three times slower still (docs/performance.md).
const (
	apiFetch      = 1
	fetchVersion  = 10
	readCommitted = 1
	maxResponse   = 1 << 30
	responseStep  = 1 << 20 // a response's memory grows by no more than was read already, or this
)

// errResponse means that an answer is not what a broker answers to a fetch. The connection is of no use afterwards.
var errResponse = errors.New("malformed fetch response")

// conn is an authenticated connection to one broker that fetches one partition.
type conn struct {
	net.Conn
	topic       string
	partition   int
	timeout     time.Duration // for an answer, beyond the time that a fetch may wait. Default 10 s
	correlation int32
	request     []byte
	response    []byte
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
}

// end returns the offset up to which there is something to read.
func (f *fetched) end() int64 {
	if f.stable < 0 { // not every broker has transactions
		return f.highest
	}
	return f.stable
}

// fetch asks for records from an offset on. It waits at most the given time for the first one. After an error the
// connection is of no use.
func (c *conn) fetch(ctx context.Context, offset int64, maxBytes int, wait time.Duration) (f fetched, err error) {
	timeout := c.timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	// Before AfterFunc, or it might take back the deadline that the end of the context sets.
	if err := c.SetDeadline(time.Now().Add(wait + timeout)); err != nil {
		return f, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // then the read fails on its own
	defer func() {
		if !stop() {
			err = ctx.Err()
		}
	}()
	c.correlation++
	c.request = fetchRequest(c.request[:0], c.correlation, c.topic, c.partition, offset, maxBytes, wait)
	if _, err := c.Write(c.request); err != nil {
		return f, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return f, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxResponse {
		return f, fmt.Errorf("%w: %s answers with %d bytes: is it a Kafka broker?", errResponse, c.RemoteAddr(), n)
	}
	if err := c.readResponse(int(n)); err != nil {
		return f, err
	}
	return parseFetch(c.response, c.correlation, c.topic, c.partition)
}

// readResponse reads n bytes. It takes memory as they arrive: n may be anything if this is no broker.
func (c *conn) readResponse(n int) error {
	c.response = c.response[:0]
	for len(c.response) < n {
		have := len(c.response)
		if have == cap(c.response) {
			c.response = slices.Grow(c.response, min(n-have, max(have, responseStep)))
		}
		c.response = c.response[:min(n, cap(c.response))]
		if _, err := io.ReadFull(c, c.response[have:]); err != nil {
			return err
		}
	}
	return nil
}

func fetchRequest(b []byte, correlation int32, topic string, partition int, offset int64, maxBytes int, wait time.Duration) []byte {
	be := binary.BigEndian
	str := func(s string) { b = append(be.AppendUint16(b, uint16(len(s))), s...) }
	b = append(b, 0, 0, 0, 0) // size
	b = be.AppendUint16(b, apiFetch)
	b = be.AppendUint16(b, fetchVersion)
	b = be.AppendUint32(b, uint32(correlation))
	str(clientID)
	b = be.AppendUint32(b, ^uint32(0)) // replica ID: none
	b = be.AppendUint32(b, uint32(wait.Milliseconds()))
	b = be.AppendUint32(b, 1) // at least one byte
	b = be.AppendUint32(b, uint32(maxBytes))
	b = append(b, readCommitted)
	b = be.AppendUint32(b, 0)          // session ID: none
	b = be.AppendUint32(b, ^uint32(0)) // session epoch: no session
	b = be.AppendUint32(b, 1)          // topics
	str(topic)
	b = be.AppendUint32(b, 1) // partitions
	b = be.AppendUint32(b, uint32(partition))
	b = be.AppendUint32(b, ^uint32(0)) // leader epoch: not known
	b = be.AppendUint64(b, uint64(offset))
	b = be.AppendUint64(b, ^uint64(0)) // log start offset: for followers only
	b = be.AppendUint32(b, uint32(maxBytes))
	b = be.AppendUint32(b, 0) // topics to forget from the session
	be.PutUint32(b, uint32(len(b)-4))
	return b
}

// parseFetch reads a response without its size.
func parseFetch(data []byte, correlation int32, topic string, partition int) (f fetched, err error) {
	r := reader{data: data}
	if got := r.int32(); got != correlation && r.ok() {
		return f, fmt.Errorf("%w: it answers request %d, not %d", errResponse, got, correlation)
	}
	f.throttle = time.Duration(max(r.int32(), 0)) * time.Millisecond
	code := kafka.Error(r.int16())
	r.int32() // session ID
	topics := r.int32()
	if topics == 0 && r.ok() && code != 0 {
		return fetched{code: code, highest: -1, stable: -1}, nil //nolint:nilerr // it is in the answer
	}
	if topics == 0 && r.ok() && f.throttle > 0 && len(r.data) == 0 {
		f.highest, f.stable = -1, -1 // all that a broker says when a quota is exceeded
		return f, nil
	}
	if topics != 1 && r.ok() {
		return f, fmt.Errorf("%w: it has %d topics, asked for 1", errResponse, topics)
	}
	if got := r.bytes(int(r.int16())); string(got) != topic && r.ok() {
		return f, fmt.Errorf("%w: it is for topic %q, asked for %q", errResponse, got, topic)
	}
	if n := r.int32(); n != 1 && r.ok() {
		return f, fmt.Errorf("%w: it has %d partitions, asked for 1", errResponse, n)
	}
	if got := r.int32(); int(got) != partition && r.ok() {
		return f, fmt.Errorf("%w: it is for partition %d, asked for %d", errResponse, got, partition)
	}
	f.code = kafka.Error(r.int16())
	f.highest = r.int64()
	f.stable = r.int64()
	r.int64() // log start offset
	if n := int(r.int32()); n > 0 {
		if n > len(r.data)/16 {
			return fetched{}, fmt.Errorf("%w: %d aborted transactions in %d bytes", errResponse, n, len(r.data))
		}
		f.aborted = make([]aborted, n)
		for i := range f.aborted {
			f.aborted[i] = aborted{producer: r.int64(), first: r.int64()}
		}
	}
	if n := int(r.int32()); n > 0 {
		f.records = r.bytes(n)
	}
	if !r.ok() || len(r.data) != 0 {
		return fetched{}, fmt.Errorf("%w: its %d bytes end in the middle, or are too many", errResponse, len(data))
	}
	return f, nil
}

// reader takes big-endian integers off the front of data; after it ran out it returns zeros.
type reader struct {
	data  []byte
	short bool
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
