package source

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/granter/granter/grant"
)

func TestFetchRequestsAreWhatFranzGoReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic := rapid.StringMatching(`[a-zA-Z0-9._-]{1,249}`).Draw(t, "topic")
		correlation := rapid.Int32().Draw(t, "correlation")
		partition := rapid.Int32Range(0, 1<<30).Draw(t, "partition")
		offset := rapid.Int64Min(0).Draw(t, "offset")
		size := rapid.Int32Range(1, 1<<30).Draw(t, "bytes")
		wait := rapid.Int32Range(0, 10_000).Draw(t, "wait")
		at := target{
			fetchVersion: rapid.SampledFrom(fetchVersions).Draw(t, "version"), topic: topic,
			partition: int(partition), leaderEpoch: rapid.Int32Min(-1).Draw(t, "leader epoch"),
		}
		copy(at.id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic ID"))
		epoch := rapid.Int32Min(-1).Draw(t, "epoch")
		b := fetchRequest(nil, correlation, &at, offset, epoch, int(size), time.Duration(wait)*time.Millisecond)
		require.EqualValues(t, len(b)-4, binary.BigEndian.Uint32(b))
		require.Equal(t, correlation, int32(binary.BigEndian.Uint32(b[8:])))
		require.Equal(t, ClientID, string(b[14:14+len(ClientID)]))
		req := kmsg.NewPtrFetchRequest()
		req.Version = int16(binary.BigEndian.Uint16(b[6:]))
		body := b[14+len(ClientID):]
		if at.fetchVersion >= fetchFlexible {
			require.Zero(t, body[0], "no tags in the header")
			body = body[1:]
		}
		require.NoError(t, req.ReadFrom(body))
		want := kmsg.NewPtrFetchRequest()
		want.Version, want.ReplicaID, want.MaxWaitMillis, want.MinBytes, want.MaxBytes, want.IsolationLevel = at.fetchVersion, -1,
			wait, 1, size, 1
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes = partition, offset, size
		part.CurrentLeaderEpoch = at.leaderEpoch
		want.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{part}}}
		if at.fetchVersion >= fetchFlexible {
			want.Topics[0].Partitions[0].LastFetchedEpoch = epoch
		}
		if at.fetchVersion >= fetchByID {
			want.Topics[0].Topic, want.Topics[0].TopicID = "", at.id
		}
		require.Equal(t, want, req)
	})
}

var fetchVersions = []int16{fetchOldest, fetchFlexible, fetchByID}

// answered is a response without its size.
func answered(correlation int32, resp *kmsg.FetchResponse) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(correlation))
	if resp.Version >= fetchFlexible {
		b = append(b, 0) // no tags in the header
	}
	return resp.AppendTo(b)
}

func TestFetchResponsesAreReadAsFranzGoWritesThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := fetched{
			code:     kafka.Error(rapid.Int16().Draw(t, "code")),
			throttle: time.Duration(rapid.Int32Range(0, 1000).Draw(t, "throttle")) * time.Millisecond,
			highest:  rapid.Int64().Draw(t, "highest"), stable: rapid.Int64().Draw(t, "stable"),
			records: rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "records"),
		}
		at := target{fetchVersion: rapid.SampledFrom(fetchVersions).Draw(t, "version"), topic: topicName, partition: 3,
			id: [16]byte{7, 1}}
		resp := fetchResponse(want.highest, want.records)
		resp.Version, resp.Topics[0].TopicID = at.fetchVersion, at.id
		resp.ThrottleMillis = int32(want.throttle.Milliseconds())
		part := &resp.Topics[0].Partitions[0]
		part.ErrorCode, part.LastStableOffset, part.Partition = int16(want.code), want.stable, 3
		for range rapid.IntRange(0, 3).Draw(t, "aborted") {
			a := aborted{producer: rapid.Int64().Draw(t, "producer"), first: rapid.Int64().Draw(t, "first")}
			want.aborted = append(want.aborted, a)
			part.AbortedTransactions = append(part.AbortedTransactions,
				kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: a.producer, FirstOffset: a.first})
		}
		if at.fetchVersion >= fetchFlexible && rapid.Bool().Draw(t, "diverged") {
			want.diverged = &epochEnd{epoch: rapid.Int32Min(0).Draw(t, "epoch"), end: rapid.Int64Min(0).Draw(t, "end")}
			part.DivergingEpoch.Epoch, part.DivergingEpoch.EndOffset = want.diverged.epoch, want.diverged.end
			part.CurrentLeader.LeaderID = 5 // a tag that says nothing to us
		}
		data := answered(7, resp)
		got, err := parseFetch(data, 7, &at)
		require.NoError(t, err)
		require.Equal(t, want, got)

		_, err = parseFetch(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut off at")], 7, &at)
		require.ErrorIs(t, err, errResponse)
		_, err = parseFetch(append(data, 0), 7, &at)
		require.ErrorIs(t, err, errResponse)
		at.topic, at.id[0] = "other", 8
		_, err = parseFetch(data, 7, &at)
		require.ErrorIs(t, err, errResponse)
	})
}

func TestAResponseToSomethingElseIsRefused(t *testing.T) {
	good := framed(7, fetchResponse(10, nil).AppendTo(nil))[4:]
	_, err := parseFetch(good, 7, &target{topic: topicName, partition: 0})
	require.NoError(t, err)
	two := fetchResponse(10, nil)
	two.Topics = append(two.Topics, two.Topics[0])
	parts := fetchResponse(10, nil)
	parts.Topics[0].Partitions = append(parts.Topics[0].Partitions, parts.Topics[0].Partitions[0])
	for want, f := range map[string]func() (fetched, error){
		"answers request 7, not 8": func() (fetched, error) {
			return parseFetch(good, 8,
				&target{topic: topicName, partition: 0})
		},
		"is for topic": func() (fetched, error) {
			return parseFetch(good, 7,
				&target{topic: "other", partition: 0})
		},
		"is for topic ID 01": func() (fetched, error) {
			byID := fetchResponse(10, nil)
			byID.Version, byID.Topics[0].TopicID = fetchByID, [16]byte{1}
			answer := framed(7, append([]byte{0}, byID.AppendTo(nil)...))[4:]
			return parseFetch(answer, 7, &target{fetchVersion: fetchByID, topic: topicName, id: [16]byte{2}})
		},
		"is for partition 0, asked for": func() (fetched, error) {
			return parseFetch(good, 7,
				&target{topic: topicName, partition: 1})
		},
		"has 2 topics": func() (fetched, error) {
			return parseFetch(framed(7, two.AppendTo(nil))[4:], 7, &target{topic: topicName, partition: 0})
		},
		"has 2 partitions": func() (fetched, error) {
			return parseFetch(framed(7, parts.AppendTo(nil))[4:], 7, &target{topic: topicName, partition: 0})
		},
		"has 0 topics": func() (fetched, error) {
			return parseFetch(framed(7, (&kmsg.FetchResponse{Version: fetchOldest}).AppendTo(nil))[4:], 7,
				&target{topic: topicName, partition: 0})
		},
	} {
		_, err := f()
		require.ErrorIs(t, err, errResponse)
		require.ErrorContains(t, err, want)
		kind, again := Classify(err)
		require.Equal(t, KindCorrupt, kind)
		require.True(t, again, "another connection may do better")
	}
}

func FuzzParseFetch(f *testing.F) {
	full := fetchResponse(99, batchOf(users(0, 3)...).encode(f))
	full.Topics[0].TopicID = [16]byte{7}
	full.Topics[0].Partitions[0].AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 1,
		FirstOffset: 2}}
	full.Topics[0].Partitions[0].DivergingEpoch.Epoch = 3
	for i, version := range fetchVersions {
		for _, resp := range []*kmsg.FetchResponse{full, fetchResponse(0, nil), {ThrottleMillis: 100}} {
			resp.Version = version
			f.Add(uint8(i), answered(7, resp))
		}
	}
	f.Fuzz(func(t *testing.T, version uint8, data []byte) {
		at := target{fetchVersion: fetchVersions[int(version)%len(fetchVersions)], topic: topicName, id: [16]byte{7}}
		got, err := parseFetch(data, 7, &at)
		if err != nil {
			require.ErrorIs(t, err, errResponse)
			return
		}
		require.LessOrEqual(t, len(got.records)+16*len(got.aborted), len(data))
		resp := kmsg.NewPtrFetchResponse()
		resp.Version = at.fetchVersion
		body := reader{data: data[4:], flexible: at.fetchVersion >= fetchFlexible}
		body.tags(nil)
		require.NoError(t, resp.ReadFrom(body.data), "what is believed, franz-go believes as well")
		if len(resp.Topics) == 0 {
			require.True(t, got.throttle > 0 || got.code != 0)
			return
		}
		part := resp.Topics[0].Partitions[0]
		require.Equal(t, part.HighWatermark, got.highest)
		require.Equal(t, part.LastStableOffset, got.stable)
		require.EqualValues(t, part.ErrorCode, got.code)
		require.Equal(t, string(part.RecordBatches), string(got.records))
		require.Len(t, got.aborted, len(part.AbortedTransactions))
		if got.diverged != nil {
			require.Equal(t, epochEnd{part.DivergingEpoch.Epoch, part.DivergingEpoch.EndOffset}, *got.diverged)
		}
	})
}

func TestMetadataAreReadAsFranzGoWritesThem(t *testing.T) {
	for version := int16(metadataOldest); version <= metadataNewest; version++ {
		q := kmsg.NewPtrMetadataRequest()
		q.Version = version
		name, cluster, rack := topicName, "a-cluster", "r1"
		resp := kmsg.NewPtrMetadataResponse()
		resp.Version, resp.ClusterID = version, &cluster
		resp.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "h", Port: 9092, Rack: &rack},
			{NodeID: 2, Host: "i", Port: 9092}}
		part := kmsg.MetadataResponseTopicPartition{
			Partition: 3, Leader: 2, LeaderEpoch: 9, Replicas: []int32{1, 2}, ISR: []int32{2}, OfflineReplicas: []int32{1},
		}
		resp.Topics = []kmsg.MetadataResponseTopic{{Topic: &name, TopicID: [16]byte{1, 2},
			Partitions: []kmsg.MetadataResponseTopicPartition{part}}}
		header := []byte{0, 0, 0, 7}
		if q.IsFlexible() {
			header = append(header, 0)
		}
		data := resp.AppendTo(header)
		got, err := parseAnswer(data, 7, q)
		require.NoError(t, err, version)
		d, err := readDescription(got.(*kmsg.MetadataResponse), topicName)
		require.NoError(t, err)
		want := description{id: grant.TopicID{Cluster: "a-cluster"}, leaders: map[int]leader{3: {address: "i:9092", epoch: -1}}}
		if version >= 7 {
			want.leaders[3] = leader{address: "i:9092", epoch: 9}
		}
		if version >= 10 {
			want.id.Topic = [16]byte{1, 2}
		}
		require.Equal(t, want, d, version)
		for n := range data {
			_, err = parseAnswer(data[:n], 7, q)
			require.ErrorIs(t, err, errResponse, "%d bytes of version %d", n, version)
		}
		resp.Topics[0].ErrorCode = int16(kafka.TopicAuthorizationFailed)
		_, err = readDescription(resp, topicName)
		require.ErrorIs(t, err, kafka.TopicAuthorizationFailed)
	}
}

// Answers to questions are read by franz-go; what surrounds them by us.
func FuzzParseAnswer(f *testing.F) {
	name := topicName
	questions := []kmsg.Request{kmsg.NewPtrApiVersionsRequest(), kmsg.NewPtrMetadataRequest(),
		kmsg.NewPtrOffsetForLeaderEpochRequest()}
	questions[1].SetVersion(metadataNewest)
	questions[2].SetVersion(epochNewest)
	meta := kmsg.NewPtrMetadataResponse()
	meta.Version, meta.ClusterID = metadataNewest, &name
	meta.Topics = []kmsg.MetadataResponseTopic{{Topic: &name, TopicID: [16]byte{1},
		Partitions: []kmsg.MetadataResponseTopicPartition{{Leader: 1}}}}
	meta.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "h", Port: 9092}}
	f.Add(uint8(1), meta.AppendTo([]byte{0, 0, 0, 7, 0}))
	epoch := kmsg.NewPtrOffsetForLeaderEpochResponse()
	epoch.Version = epochNewest
	epoch.Topics = []kmsg.OffsetForLeaderEpochResponseTopic{{Topic: name,
		Partitions: []kmsg.OffsetForLeaderEpochResponseTopicPartition{{EndOffset: 5}}}}
	f.Add(uint8(2), epoch.AppendTo([]byte{0, 0, 0, 7}))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		resp, err := parseAnswer(data, 7, questions[int(which)%len(questions)])
		if err != nil {
			require.ErrorIs(t, err, errResponse)
			return
		}
		switch resp := resp.(type) {
		case *kmsg.MetadataResponse:
			_, _ = readDescription(resp, topicName)
		case *kmsg.OffsetForLeaderEpochResponse:
			_ = judgeEpochs(resp, 1, grant.Checkpoint{Next: grant.Offsets{0: 5}, Epochs: map[int]int32{0: 0}})
		}
	})
}

// hostile makes a connection to something that is no broker, or a broken one.
func hostile(t *testing.T, answer func(c net.Conn)) *conn {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		request := make([]byte, 1<<10)
		if n, err := there.Read(request); err == nil && n > 0 {
			answer(there)
		}
	}()
	t.Cleanup(func() {
		here.Close()
		there.Close()
		<-done
	})
	return &conn{Conn: here, target: target{topic: topicName}, timeout: 300 * time.Millisecond}
}

func TestNoAnswerTakesMemoryThatItDoesNotFill(t *testing.T) {
	for name, answer := range map[string][]byte{
		"a web server":         []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"a TLS listener":       {0x15, 3, 3, 0, 2, 2, 80},
		"1 GiB, cut off":       {0x40, 0, 0, 0, 1, 2, 3},
		"4 GiB":                {0xff, 0xff, 0xff, 0xff},
		"nothing":              {},
		"half a size":          {0, 0},
		"no correlation ID":    {0, 0, 0, 2, 1, 2},
		"a response of nobody": framed(99, fetchResponse(1, nil).AppendTo(nil)),
	} {
		t.Run(name, func(t *testing.T) {
			c := hostile(t, func(c net.Conn) {
				c.Write(answer)
				c.Close()
			})
			var err error
			took := allocated(func() { _, err = c.fetch(t.Context(), 0, -1, 1<<20, 0) })
			require.Error(t, err)
			_, again := Classify(err)
			require.True(t, again)
			require.Less(t, took, uint64(8<<20))
		})
	}
}

func TestASlowAnswerIsReadAndASilentBrokerIsGivenUp(t *testing.T) {
	response := framed(1, fetchResponse(3, batchOf(users(0, 3)...).encode(t)).AppendTo(nil))
	c := hostile(t, func(c net.Conn) {
		for _, b := range response {
			c.Write([]byte{b})
		}
	})
	f, err := c.fetch(t.Context(), 0, -1, 1<<20, time.Second)
	require.NoError(t, err)
	got, _, err := handed(f, 0, -1)
	require.NoError(t, err)
	require.Len(t, got, 3)

	c = hostile(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	_, err = c.fetch(t.Context(), 0, -1, 1<<20, 0)
	kind, again := Classify(err)
	require.Equal(t, KindNetwork, kind)
	require.True(t, again)
}

func TestAFetchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := hostile(t, func(c net.Conn) {
		c.Write([]byte{0, 0, 0, 100, 0})
		cancel()
		io.Copy(io.Discard, c)
	})
	c.timeout = time.Hour
	_, err := c.fetch(ctx, 0, -1, 1<<20, 0)
	require.ErrorIs(t, err, context.Canceled)
	_, err = c.fetch(ctx, 0, -1, 1<<20, 0)
	require.ErrorIs(t, err, context.Canceled, "also when it was over before")
}

func TestErrorsAreSortedByWhetherWaitingHelps(t *testing.T) {
	for _, c := range []struct {
		err   error
		kind  ErrorKind
		again bool
	}{
		{kafka.NotLeaderForPartition, KindLeader, true},
		{kafka.OffsetOutOfRange, KindRange, true},
		{kafka.UnknownTopicOrPartition, KindTopic, true},
		{kafka.TopicAuthorizationFailed, KindAuthorization, false},
		{kafka.SASLAuthenticationFailed, KindAuthenticate, false},
		{kafka.RebalanceInProgress, KindBroker, true},
		{kafka.GroupCoordinatorNotAvailable, KindBroker, true},
		{kafka.PolicyViolation, KindBroker, false},
		{kafka.InvalidSessionTimeout, KindBroker, false},
		{io.EOF, KindNetwork, true},
		{context.DeadlineExceeded, KindNetwork, true},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, KindNetwork, true},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, KindAuthenticate, false},
		{errCorrupt, KindCorrupt, true},
		{errFormat, KindCorrupt, false},
		{&grant.GapError{}, KindOther, false},
		{&grant.TruncatedError{}, KindTopic, false},
		{&grant.OtherTopicError{}, KindTopic, false},
		{ErrTooManyRejected, KindOther, false},
		{&permanent{io.EOF}, KindOther, false},
	} {
		kind, again := Classify(errors.Join(c.err))
		require.Equal(t, c.kind, kind, "%v", c.err)
		require.Equal(t, c.again, again, "%v", c.err)
		require.Contains(t, ErrorKinds(), kind)
	}
	for _, k := range ErrorKinds() {
		require.Equal(t, strings.ToLower(string(k)), string(k))
	}
}
