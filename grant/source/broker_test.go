package source

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// scripted is a broker of one topic with one partition that answers fetches as a test says, down to the byte. What it
// cannot misbehave in, kfake and real brokers are for.
type scripted struct {
	listener net.Listener
	addr     string
	// fetch answers one fetch request. An error ends the connection.
	fetch func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error
	// other answers another request, if it is set and does not return nil.
	other func(req kmsg.Request) kmsg.Response

	speak      map[int16]int16 // the version of each API
	first, end atomic.Int64    // the partition's bounds
	fetches    atomic.Int64
	work       sync.WaitGroup
	mu         sync.Mutex
	conns      map[net.Conn]bool
}

func startScripted(t *testing.T, fetch func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error) *scripted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &scripted{listener: l, addr: l.Addr().String(), fetch: fetch, conns: map[net.Conn]bool{}}
	b.speak = map[int16]int16{0: 3, 1: fetchOldest, 2: 1, 3: 4, 18: 0, 19: 2}
	b.end.Store(1 << 40)
	b.work.Go(b.accept)
	t.Cleanup(b.stop)
	return b
}

func (b *scripted) stop() {
	b.listener.Close()
	b.mu.Lock()
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.work.Wait()
}

func (b *scripted) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conns[c] = true
		b.mu.Unlock()
		b.work.Go(func() {
			defer c.Close()
			var err error
			for err == nil {
				err = b.serve(c)
			}
			b.mu.Lock()
			delete(b.conns, c)
			b.mu.Unlock()
		})
	}
}

func (b *scripted) serve(c net.Conn) error {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	data := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, data); err != nil {
		return err
	}
	req := kmsg.RequestForKey(int16(binary.BigEndian.Uint16(data)))
	req.SetVersion(int16(binary.BigEndian.Uint16(data[2:])))
	correlation := int32(binary.BigEndian.Uint32(data[4:]))
	body := data[10+max(0, int(int16(binary.BigEndian.Uint16(data[8:])))):] // behind the client's ID
	if req.IsFlexible() {
		body = body[1:] // no tags
	}
	if err := req.ReadFrom(body); err != nil {
		return err
	}
	if fetch, ok := req.(*kmsg.FetchRequest); ok {
		b.fetches.Add(1)
		return b.fetch(c, correlation, fetch)
	}
	var resp kmsg.Response
	if b.other != nil {
		resp = b.other(req)
	}
	if resp == nil {
		resp = b.answer(req)
	}
	resp.SetVersion(req.GetVersion())
	return send(c, correlation, resp.AppendTo(nil))
}

func (b *scripted) answer(req kmsg.Request) kmsg.Response {
	resp := req.ResponseKind()
	switch resp := resp.(type) {
	case *kmsg.ApiVersionsResponse:
		for key, version := range b.speak {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: key, MinVersion: version,
				MaxVersion: version})
		}
	case *kmsg.MetadataResponse:
		host, port, _ := net.SplitHostPort(b.addr)
		n, _ := strconv.Atoi(port)
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: host, Port: int32(n)}}
		for _, name := range []string{topicName, letterTopic} {
			resp.Topics = append(resp.Topics, kmsg.MetadataResponseTopic{
				Topic: new(name), Partitions: []kmsg.MetadataResponseTopicPartition{{Leader: 1, Replicas: []int32{1},
					ISR: []int32{1}}},
			})
		}
	case *kmsg.ListOffsetsResponse:
		part := kmsg.ListOffsetsResponseTopicPartition{Timestamp: -1, Offset: b.end.Load()}
		if req.(*kmsg.ListOffsetsRequest).Topics[0].Partitions[0].Timestamp == -2 {
			part.Offset = b.first.Load()
		}
		resp.Topics = []kmsg.ListOffsetsResponseTopic{{Topic: topicName,
			Partitions: []kmsg.ListOffsetsResponseTopicPartition{part}}}
	}
	return resp
}

// send writes a response, behind its size and correlation ID.
func send(w io.Writer, correlation int32, body []byte) error {
	_, err := w.Write(framed(correlation, body))
	return err
}

func framed(correlation int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	return append(b, body...)
}

// fetchResponse is what a sane broker answers, in franz-go's encoding.
func fetchResponse(highest int64, records []byte) *kmsg.FetchResponse {
	part := kmsg.NewFetchResponseTopicPartition()
	part.HighWatermark, part.LastStableOffset, part.LogStartOffset, part.RecordBatches = highest, highest, 0, records
	return &kmsg.FetchResponse{Version: fetchOldest, Topics: []kmsg.FetchResponseTopic{{
		Topic: topicName, Partitions: []kmsg.FetchResponseTopicPartition{part},
	}}}
}

// serveLog answers fetches from some batches as a broker does: whole batches from the one that holds the offset on, up
// to the size that was asked for but at least one. At the end it waits as long as it may.
func serveLog(t require.TestingT, batches ...rawBatch) func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
	encoded := make([][]byte, len(batches))
	for i, b := range batches {
		encoded[i] = b.encode(t)
	}
	return func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
		offset := req.Topics[0].Partitions[0].FetchOffset
		highest := int64(0)
		var records []byte
		for i, b := range batches {
			highest = b.last + 1
			if b.last >= offset && (len(records) == 0 || len(records)+len(encoded[i]) <= int(req.MaxBytes)) {
				records = append(records, encoded[i]...)
			}
		}
		return send(c, correlation, fetchResponse(highest, records).AppendTo(nil))
	}
}
