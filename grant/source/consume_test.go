package source

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

// sampleLog has a gap inside a batch, one between batches, an emptied batch and compressed ones: offsets 10 to 99.
func sampleLog() []rawBatch {
	log := []rawBatch{batchOf(users(10, 20)...), {base: 20, last: 24, producer: -1},
		batchOf(append(users(25, 30), users(35, 50)...)...), batchOf(users(60, 100)...)}
	log[0].codec, log[3].codec = compress.Zstd, compress.Snappy
	return log
}

func TestConsumeHandsOverFromTheFirstOffsetUpToTheLast(t *testing.T) {
	b := startScripted(t, serveLog(t, sampleLog()...))
	b.first.Store(10)
	b.end.Store(100)
	s := newSource(t, []string{b.addr})
	for _, span := range [][2]int64{
		{10, 100}, {10, 11}, {10, 10}, {13, 17}, {19, 20}, {19, 21}, {22, 23}, {20, 25}, {27, 36}, {30, 35}, {33, 40}, {49, 61},
		{50, 60}, {55, 58}, {99, 100}, {100, 100},
	} {
		t.Run(fmt.Sprint(span), func(t *testing.T) {
			read(t, s, 0, span[0], span[1]).requireUsers(span[1], between(sampleLog(), span[0], span[1])...)
		})
	}
}

func TestKeysHoldUsersWhenTheSpecSaysSo(t *testing.T) {
	b := startScripted(t, serveLog(t, batchOf(rec{key: []byte("7"), value: []byte("8")})))
	s := newSource(t, []string{b.addr}, func(c *Config) { c.Topic.From = grant.FromKey })
	r := read(t, s, 0, 0, 1)
	_, err := r.end()
	require.NoError(t, err)
	require.Equal(t, []int64{7}, r.ids())
}

// What goes wrong once must neither lose a record nor hand one over twice.
func TestConsumeRecoversFrom(t *testing.T) {
	log := sampleLog()
	good := serveLog(t, log...)
	respond := func(change func(resp *kmsg.FetchResponse)) func(net.Conn, int32, *kmsg.FetchRequest) error {
		return func(c net.Conn, correlation int32, _ *kmsg.FetchRequest) error {
			var all []byte
			for _, b := range log {
				all = append(all, b.encode(t)...)
			}
			resp := fetchResponse(100, all)
			change(resp)
			return send(c, correlation, resp.AppendTo(nil))
		}
	}
	part := func(r *kmsg.FetchResponse) *kmsg.FetchResponseTopicPartition { return &r.Topics[0].Partitions[0] }
	code := func(e kafka.Error) func(net.Conn, int32, *kmsg.FetchRequest) error {
		return respond(func(r *kmsg.FetchResponse) { part(r).ErrorCode, part(r).RecordBatches = int16(e), nil })
	}
	first, second := log[0].encode(t), log[2].encode(t)
	for name, bad := range map[string]func(net.Conn, int32, *kmsg.FetchRequest) error{
		"a leader that moved":       code(kafka.NotLeaderForPartition),
		"a partition not yet known": code(kafka.UnknownTopicOrPartition),
		"a disk that failed":        code(kafka.KafkaStorageError),
		"a leader that lags":        code(kafka.OffsetOutOfRange),
		"an error without a name":   code(-1),
		"a connection that ends":    func(net.Conn, int32, *kmsg.FetchRequest) error { return errors.New("cut") },
		"another correlation ID":    func(c net.Conn, id int32, r *kmsg.FetchRequest) error { return good(c, id+1, r) },
		"another topic":             respond(func(r *kmsg.FetchResponse) { r.Topics[0].Topic = "other" }),
		"another partition":         respond(func(r *kmsg.FetchResponse) { part(r).Partition = 1 }),
		"an impossible size": func(c net.Conn, _ int32, _ *kmsg.FetchRequest) error {
			_, err := c.Write([]byte{0x7f, 0xff, 0xff, 0xff})
			return err
		},
		"a damaged second batch":         respond(func(r *kmsg.FetchResponse) { part(r).RecordBatches[len(first)+50] ^= 1 }),
		"damage in the third batch":      respond(func(r *kmsg.FetchResponse) { part(r).RecordBatches = damageAt(t, log, 2) }),
		"a batch with a record too many": respond(func(r *kmsg.FetchResponse) { part(r).RecordBatches = tooMany() }),
		"a response cut off": func(c net.Conn, id int32, _ *kmsg.FetchRequest) error {
			frame := framed(id, fetchResponse(100, append(slices.Clone(first), second...)).AppendTo(nil))
			if _, err := c.Write(frame[:len(frame)-30]); err != nil {
				return err
			}
			return errors.New("cut")
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			b := startScripted(t, func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
				if asked++; asked%2 == 1 && asked < 6 {
					return bad(c, correlation, req)
				}
				return good(c, correlation, req)
			})
			b.first.Store(10)
			seen := new(witness)
			s := newSource(t, []string{b.addr}, func(c *Config) { c.Observer = seen })
			read(t, s, 0, 10, 100).requireUsers(100, between(log, 10, 100)...)
			require.NotEmpty(t, seen.errors(), "every failure is counted")
			require.EqualValues(t, 100, seen.next)
		})
	}
}

func damageAt(t *testing.T, log []rawBatch, n int) (all []byte) {
	for i, b := range log {
		raw := b.encode(t)
		if i == n {
			raw[len(raw)-3] ^= 0x40
		}
		all = append(all, raw...)
	}
	return all
}

// tooMany is a first batch whose CRC is right but that holds one record more than it says.
func tooMany() []byte {
	var list []byte
	for _, r := range users(10, 20) {
		list = kmsgRecord(r.offset-10, r).AppendTo(list)
	}
	return rawBatch{base: 10, last: 19, producer: -1}.seal(list, 9)
}

func TestDamageThatStaysStopsTheRunAndIsNamed(t *testing.T) {
	log := sampleLog()
	for name, c := range map[string]struct {
		records []byte
		next    int64
		want    string
		within  time.Duration
	}{
		"a damaged batch": {damageAt(t, log, 2), 25,
			"partition 0 at offset 25: no success for 300ms: corrupt record batch at offset 25: CRC-32C is", patience},
		"an old message": {append(eightBytes(10), 0, 0, 0, 15, 1, 2, 3, 4, 1, 0, 255, 255, 255, 255, 0, 0, 0, 1, '7'), 10,
			"partition 0: offset 10 has message format 1", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			b := startScripted(t, func(conn net.Conn, id int32, _ *kmsg.FetchRequest) error {
				return send(conn, id, fetchResponse(100, c.records).AppendTo(nil))
			})
			b.first.Store(10)
			s := newSource(t, []string{b.addr}, func(c *Config) { c.RetryFor = 300 * time.Millisecond })
			r := read(t, s, 0, 10, 100)
			p, err := r.end()
			require.ErrorContains(t, err, c.want)
			require.Equal(t, c.next, p.Next, "what came before the damage is granted")
			require.Equal(t, offsetsOf(between(log, 10, c.next)), r.ids())
			require.EqualValues(t, len(r.ids()), p.Consumed, "once")
		})
	}
}

func eightBytes(offset byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, offset} }

func TestAThrottledFetchIsNoFailure(t *testing.T) {
	good := serveLog(t, sampleLog()...)
	asked := 0
	b := startScripted(t, func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
		if asked++; asked < 4 {
			return send(c, correlation, (&kmsg.FetchResponse{Version: fetchOldest, ThrottleMillis: 30}).AppendTo(nil))
		}
		return good(c, correlation, req)
	})
	b.first.Store(10)
	seen := new(witness)
	s := newSource(t, []string{b.addr}, func(c *Config) { c.Observer = seen })
	began := time.Now()
	read(t, s, 0, 10, 100).requireUsers(100, between(sampleLog(), 10, 100)...)
	require.GreaterOrEqual(t, time.Since(began), 90*time.Millisecond, "the broker is left alone for as long as it asks")
	require.Empty(t, seen.errors())
}

// Brokers before 0.10.1, and perhaps others that speak the protocol, cut a batch off at the size that was asked for.
func TestABatchLargerThanAFetchIsRead(t *testing.T) {
	large := rec{offset: 1, key: bytes.Repeat([]byte("x"), 3<<20), value: []byte("1")}
	log := append(append([]byte{}, batchOf(user(0)).encode(t)...), batchOf(large).encode(t)...)
	log = append(log, batchOf(users(2, 5)...).encode(t)...)
	var sizes []int32
	b := startScripted(t, func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
		sizes = append(sizes, req.MaxBytes)
		rest := log
		for offset := req.Topics[0].Partitions[0].FetchOffset; offset > 0; offset-- {
			_, rest, _ = readBatch(rest)
		}
		return send(c, correlation, fetchResponse(5, rest[:min(len(rest), int(req.MaxBytes))]).AppendTo(nil))
	})
	s := newSource(t, []string{b.addr}, func(c *Config) { c.FetchMemory = 1 })
	read(t, s, 0, 0, 5).requireUsers(5, users(0, 5)...)
	require.Equal(t, []int32{64 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20}, sizes[:5])

	sizes, s.cfg.FetchMemory = nil, 2<<20
	read(t, s, 0, 0, 2).requireUsers(2, users(0, 2)...)
	require.Equal(t, []int32{2 << 20, 2 << 20, 8 << 20}, sizes)
}

func TestAFetchReturnsToItsUsualSize(t *testing.T) {
	s := newSource(t, []string{"127.0.0.1:1"}, func(c *Config) { c.FetchMemory = 128 << 10 })
	p := &partition{Source: s, conn: &conn{response: make([]byte, 1<<20)}, maxBytes: 8 << 20, next: 5}
	p.inflated.Grow(keepInflated + 1)
	require.NoError(t, p.makeRoom(4, fetched{records: []byte{1}}))
	require.Zero(t, p.maxBytes)
	require.Nil(t, p.conn.response)
	require.Zero(t, p.inflated.Cap())
	p.maxBytes = maxResponse / 4
	require.ErrorContains(t, p.makeRoom(5, fetched{records: []byte{1}}), "no whole batch at offset 5 in 256 MiB")
}

func TestAGapStopsTheRunAndSaysHowToGoOn(t *testing.T) {
	b := startScripted(t, serveLog(t, sampleLog()...))
	b.first.Store(10)
	b.end.Store(100)
	s := newSource(t, []string{b.addr})
	r := read(t, s, 0, 4, 100)
	p, err := r.end()
	var gap *grant.GapError
	require.ErrorAs(t, err, &gap)
	require.Equal(t, []grant.Gap{{Partition: 0, From: 4, To: 10}}, gap.Gaps)
	require.ErrorContains(t, err, "offsets 4 to 9 of partition 0 are gone")
	require.ErrorContains(t, err, "--accept-gap 0:4-10")
	require.EqualValues(t, 4, p.Next)
	require.Empty(t, r.ids())
	require.Zero(t, b.fetches.Load())

	accept := func(c *Config) { c.Pass.AcceptGaps = []grant.Gap{{Partition: 0, From: 4, To: 10}} }
	read(t, newSource(t, []string{b.addr}, accept), 0, 4, 100).requireUsers(100, between(sampleLog(), 10, 100)...)

	// Of what is in the gap, more may be there than expected; whoever accepted it did not accept a larger one.
	read(t, newSource(t, []string{b.addr}, accept), 0, 6, 100).requireUsers(100, between(sampleLog(), 10, 100)...)
	b.first.Store(20)
	_, err = read(t, newSource(t, []string{b.addr}, accept), 0, 4, 100).end()
	require.ErrorAs(t, err, &gap)
	require.EqualValues(t, 20, gap.Gaps[0].To)
}

func TestAGapOpensWhileReading(t *testing.T) {
	good := serveLog(t, sampleLog()...)
	var b *scripted
	b = startScripted(t, func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
		if offset := req.Topics[0].Partitions[0].FetchOffset; offset > 10 && offset < 60 {
			b.first.Store(60)
			resp := fetchResponse(100, nil)
			resp.Topics[0].Partitions[0].ErrorCode = int16(kafka.OffsetOutOfRange)
			return send(c, correlation, resp.AppendTo(nil))
		}
		req.MaxBytes = 1 // one batch at a time
		return good(c, correlation, req)
	})
	b.first.Store(10)
	b.end.Store(100)
	p, err := read(t, newSource(t, []string{b.addr}), 0, 10, 100).end()
	var gap *grant.GapError
	require.ErrorAs(t, err, &gap)
	require.Equal(t, []grant.Gap{{Partition: 0, From: 20, To: 60}}, gap.Gaps)
	require.EqualValues(t, 20, p.Next)

	b.first.Store(10)
	s := newSource(t, []string{b.addr}, func(c *Config) { c.Pass.AcceptGaps = gap.Gaps })
	read(t, s, 0, 10, 100).requireUsers(100, append(users(10, 20), users(60, 100)...)...)
}

// Without a record behind the gap nothing else would ever move the checkpoint, and the run would wait for ever.
func TestAnAcceptedGapUpToTheEndIsPassed(t *testing.T) {
	b := startScripted(t, serveLog(t))
	b.first.Store(50)
	b.end.Store(50)
	s := newSource(t, []string{b.addr}, func(c *Config) { c.Pass.AcceptGaps = []grant.Gap{{Partition: 0, From: 3, To: 50}} })
	read(t, s, 0, 3, 50).requireUsers(50)
}

func TestACheckpointBeyondTheEndIsRefused(t *testing.T) {
	b := startScripted(t, serveLog(t))
	b.end.Store(50)
	_, err := read(t, newSource(t, []string{b.addr}), 0, 51, 60).end()
	require.ErrorIs(t, err, grant.ErrTopicChanged)
	require.ErrorContains(t, err, "it was read to offset 51")
	require.ErrorContains(t, err, "it ends at offset 50")
	read(t, newSource(t, []string{b.addr}), 0, 50, 50).requireUsers(50)
}

func TestConsumeEndsWithItsContext(t *testing.T) {
	waiting := make(chan struct{}, 10)
	release := make(chan struct{})
	b := startScripted(t, func(net.Conn, int32, *kmsg.FetchRequest) error {
		waiting <- struct{}{}
		<-release
		return errors.New("cut")
	})
	s := newSource(t, []string{b.addr}, func(c *Config) { c.Kafka.Timeout = time.Hour }) // no answer ends it
	r := read(t, s, 0, 0, -1)
	<-waiting
	r.cancel()
	_, err := r.end()
	require.NoError(t, err, "that is no error")
	close(release)

	// While it waits to try again.
	b.stop()
	seen := new(witness)
	s = newSource(t, []string{b.addr}, func(c *Config) { c.Observer = seen })
	r = read(t, s, 0, 0, -1)
	require.Eventually(t, func() bool { return len(seen.errors()) > 2 }, patience, time.Millisecond)
	r.cancel()
	_, err = r.end()
	require.NoError(t, err)
}

// Records in front of an open transaction must not wait for it.
func TestTheEndOfWhatCanBeReadIsTheLastStableOffset(t *testing.T) {
	log := batchOf(users(0, 5)...).encode(t)
	b := startScripted(t, func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
		resp := fetchResponse(1000, nil)
		if req.Topics[0].Partitions[0].FetchOffset < 5 {
			resp = fetchResponse(1000, log)
		}
		resp.Topics[0].Partitions[0].LastStableOffset = 5
		return send(c, correlation, resp.AppendTo(nil))
	})
	s := newSource(t, []string{b.addr})
	r := read(t, s, 0, 0, 1000, func(c *dense.Config) { c.MaxDelay = time.Hour }) // only an idle partition is flushed
	r.reaches(5)
	require.Equal(t, []int64{0, 1, 2, 3, 4}, r.ids())
	r.cancel()
	p, err := r.end()
	require.NoError(t, err)
	require.EqualValues(t, 5, p.Next, "it does not pass the transaction")

	f := fetched{highest: 7, stable: -1}
	require.EqualValues(t, 7, f.end(), "a broker without transactions")
}

func TestReadReadsWhatConsumeReads(t *testing.T) {
	asked := 0
	good := serveLog(t, sampleLog()...)
	b := startScripted(t, func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
		if asked++; asked == 1 {
			return send(c, correlation, (&kmsg.FetchResponse{Version: fetchOldest, ThrottleMillis: 1}).AppendTo(nil))
		}
		return good(c, correlation, req)
	})
	s := newSource(t, []string{b.addr})
	var got []rec
	next, err := s.Read(t.Context(), 0, 13, 77, func(offset int64, p *Parts) error {
		key, value := p.Key, p.Value
		got = append(got, rec{offset: offset, key: bytes.Clone(key), value: bytes.Clone(value)})
		return nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 77, next)
	require.Equal(t, between(sampleLog(), 13, 77), got)
	stop := errors.New("enough")
	_, err = s.Read(t.Context(), 0, 13, 77, func(offset int64, _ *Parts) error {
		if offset == 40 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.ErrorContains(t, err, "partition 0 at offset "+strconv.Itoa(25))
}

// A canary: everybody else's records are accounted for, and a later pass grants them.
func TestWhoIsWithheldIsCountedAndNotGranted(t *testing.T) {
	c := fakeKafka(t, 1)
	produce(t, c.ListenAddrs(), values(topicName, "1", "2", "3", "4", "5", "2")...)
	r := read(t, newSource(t, c.ListenAddrs()), 0, 0, 6,
		func(c *dense.Config) { c.Includes = func(id uint64) bool { return id%2 == 0 } })
	p, err := r.end()
	require.NoError(t, err)
	require.Equal(t, []int64{2, 4}, r.ids())
	require.Equal(t, sharding.Position{Next: 6, Consumed: 6, Granted: 2, Duplicate: 1, Withheld: 3}, p)
}
