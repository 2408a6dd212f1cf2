package source

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
)

// The Fetch API, version 4: the oldest that brokers from 0.11 to 4.x all speak, and the first with read-committed
// isolation. Why not kafka-go's own: Conn.ReadBatch checks no CRC, shows control markers and aborted records as
// ordinary ones and costs 130 ns a record; Client.Fetch does check but is three times slower still (docs/performance.md).
const (
	apiFetch      = 1
	fetchVersion  = 4
	readCommitted = 1
	maxResponse   = 1 << 30
)

// conn is an authenticated connection to one broker that fetches one partition.
type conn struct {
	net.Conn
	topic       string
	partition   int
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
	code    kafka.Error // 0: none
	highest int64       // the high watermark: offset of the next record to be produced and replicated
	aborted []aborted
	records []byte
}

// fetch asks for records from an offset on. It waits at most the given time for the first one.
func (c *conn) fetch(ctx context.Context, offset int64, maxBytes int, wait time.Duration) (f fetched, err error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // then the read fails on its own
	defer func() {
		if !stop() && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	if err := c.SetDeadline(time.Now().Add(wait + 30*time.Second)); err != nil {
		return f, err
	}
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
		return f, fmt.Errorf("%s answers with %d bytes: is it a Kafka broker?", c.RemoteAddr(), n)
	}
	if int(n) > cap(c.response) {
		c.response = make([]byte, n+n/4)
	}
	c.response = c.response[:n]
	if _, err := io.ReadFull(c, c.response); err != nil {
		return f, err
	}
	return parseFetch(c.response, c.correlation, c.topic, c.partition)
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
	b = be.AppendUint32(b, 1) // topics
	str(topic)
	b = be.AppendUint32(b, 1) // partitions
	b = be.AppendUint32(b, uint32(partition))
	b = be.AppendUint64(b, uint64(offset))
	b = be.AppendUint32(b, uint32(maxBytes))
	be.PutUint32(b, uint32(len(b)-4))
	return b
}

// parseFetch reads a response without its size.
func parseFetch(data []byte, correlation int32, topic string, partition int) (f fetched, err error) {
	r := reader{data: data}
	if got := r.int32(); got != correlation && r.ok() {
		return f, fmt.Errorf("fetch response %d answers request %d", got, correlation)
	}
	r.int32() // throttle time: the broker has waited already
	if n := r.int32(); n != 1 && r.ok() {
		return f, fmt.Errorf("fetch response has %d topics, asked for 1", n)
	}
	if got := string(r.bytes(int(r.int16()))); got != topic && r.ok() {
		return f, fmt.Errorf("fetch response is for topic %q, asked for %q", got, topic)
	}
	if n := r.int32(); n != 1 && r.ok() {
		return f, fmt.Errorf("fetch response has %d partitions, asked for 1", n)
	}
	if got := r.int32(); int(got) != partition && r.ok() {
		return f, fmt.Errorf("fetch response is for partition %d, asked for %d", got, partition)
	}
	f.code = kafka.Error(r.int16())
	f.highest = r.int64()
	r.int64() // last stable offset: the broker sends nothing beyond it
	if n := int(r.int32()); n > 0 {
		if n > len(r.data)/16 {
			return f, fmt.Errorf("fetch response has %d aborted transactions in %d bytes", n, len(r.data))
		}
		f.aborted = make([]aborted, n)
		for i := range f.aborted {
			f.aborted[i] = aborted{producer: r.int64(), first: r.int64()}
		}
	}
	if n := int(r.int32()); n > 0 {
		f.records = r.bytes(n)
	}
	if !r.ok() {
		return fetched{}, fmt.Errorf("fetch response of %d bytes is cut off", len(data))
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
