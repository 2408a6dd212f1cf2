package source

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What kafka-go does not speak (topic IDs, leader epochs) is asked on connections of our own, in franz-go's encoding. Its
// decoder is used where versions are not flexible: in the others it counts damaged tags for seconds.

// exchange sends a request and reads its answer into the connection's buffer. It waits so long beyond the usual time for
// an answer. After an error the connection is of no use.
func (c *conn) exchange(ctx context.Context, wait time.Duration, request []byte) (answer []byte, err error) {
	timeout := c.timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	// Before AfterFunc, or it might take back the deadline that the end of the context sets.
	if err := c.SetDeadline(time.Now().Add(wait + timeout)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // then the read fails on its own
	defer func() {
		if !stop() {
			err = ctx.Err()
		}
	}()
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxResponse {
		return nil, fmt.Errorf("%w: %s answers with %d bytes: is it a Kafka broker?", errResponse, c.RemoteAddr(), n)
	}
	if err := c.readResponse(int(n)); err != nil {
		return nil, err
	}
	return c.response, nil
}

// formatter writes the header of requests.
var formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID(ClientID))

// ask puts a question in the newest version that both sides speak, and newest allows. kafka.UnsupportedVersion means that
// the broker is too old or too new for it.
func (c *conn) ask(ctx context.Context, q kmsg.Request, newest int16) (kmsg.Response, error) {
	version, err := c.version(ctx, q.Key(), newest)
	if err != nil {
		return nil, err
	}
	q.SetVersion(version)
	c.correlation++
	c.request = formatter.AppendRequest(c.request[:0], q, c.correlation)
	answer, err := c.exchange(ctx, 0, c.request)
	if err != nil {
		return nil, err
	}
	return parseAnswer(answer, c.correlation, q)
}

// parseAnswer reads the answer to a question, without its size.
func parseAnswer(data []byte, correlation int32, q kmsg.Request) (kmsg.Response, error) {
	r := reader{data: data, flexible: q.IsFlexible() && q.Key() != apiVersions} // whose header anybody must be able to read
	if got := r.int32(); got != correlation || !r.ok() {
		return nil, fmt.Errorf("%w: it answers request %d, not %d", errResponse, got, correlation)
	}
	r.tags(nil)
	resp := q.ResponseKind()
	if !r.ok() {
		return nil, fmt.Errorf("%w: its %d bytes end in the header", errResponse, len(data))
	}
	if meta, ok := resp.(*kmsg.MetadataResponse); ok {
		return meta, r.metadata(meta)
	}
	if err := resp.ReadFrom(r.data); err != nil {
		return nil, fmt.Errorf("%w: %w", errResponse, err)
	}
	return resp, nil
}

// metadata reads what matters to us of the answer to a question for metadata, version 4 or later.
func (r *reader) metadata(m *kmsg.MetadataResponse) error {
	r.int32() // throttle
	for n := r.length(); n > 0 && r.ok(); n-- {
		m.Brokers = append(m.Brokers, kmsg.MetadataResponseBroker{NodeID: r.int32(), Host: string(r.text()), Port: r.int32()})
		r.text() // rack
		r.tags(nil)
	}
	cluster := string(r.text())
	m.ClusterID = &cluster
	r.int32() // controller
	for n := r.length(); n > 0 && r.ok(); n-- {
		topic := kmsg.MetadataResponseTopic{ErrorCode: r.int16()}
		name := string(r.text())
		topic.Topic = &name
		if m.Version >= 10 {
			copy(topic.TopicID[:], r.bytes(len(topic.TopicID)))
		}
		r.bytes(1) // internal
		for n := r.length(); n > 0 && r.ok(); n-- {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.ErrorCode, p.Partition, p.Leader = r.int16(), r.int32(), r.int32()
			if m.Version >= 7 {
				p.LeaderEpoch = r.int32()
			}
			lists := 2 // replicas, and those in sync
			if m.Version >= 5 {
				lists = 3 // and those that are offline
			}
			for range lists {
				r.bytes(4 * max(r.length(), 0))
			}
			r.tags(nil)
			topic.Partitions = append(topic.Partitions, p)
		}
		if m.Version >= 8 {
			r.int32() // authorized operations
		}
		r.tags(nil)
		m.Topics = append(m.Topics, topic)
	}
	if m.Version >= 8 && m.Version <= 10 {
		r.int32() // authorized operations
	}
	r.tags(nil)
	if !r.ok() || len(r.data) != 0 {
		return fmt.Errorf("%w: metadata end in the middle, or are too long", errResponse)
	}
	return nil
}

const (
	apiFetch    = 1
	apiVersions = 18
	apiEpoch    = 23
)

// version returns the newest version, up to a limit, of an API that the broker speaks, too.
func (c *conn) version(ctx context.Context, key, newest int16) (int16, error) {
	if key == apiVersions {
		return newest, nil
	}
	if c.versions == nil {
		resp, err := c.ask(ctx, kmsg.NewPtrApiVersionsRequest(), 0) // all brokers from 0.10 to 4.x speak version 0
		if err != nil {
			return 0, err
		}
		answer := resp.(*kmsg.ApiVersionsResponse)
		if answer.ErrorCode != 0 {
			return 0, fmt.Errorf("asking %s for its versions: %w", c.RemoteAddr(), kafka.Error(answer.ErrorCode))
		}
		c.versions = map[int16][2]int16{}
		for _, k := range answer.ApiKeys {
			c.versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
	}
	spoken, ok := c.versions[key]
	version := min(newest, spoken[1])
	if !ok || version < spoken[0] {
		return 0, fmt.Errorf("API %d of %s: %w", key, c.RemoteAddr(), kafka.UnsupportedVersion)
	}
	return version, nil
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
