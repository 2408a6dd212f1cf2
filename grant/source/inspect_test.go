package source

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func sampleOf(t *testing.T, b *scripted, places ...Place) (samples []Sample, saw int) {
	t.Helper()
	samples, err := newSource(t, []string{b.addr}).Sample(t.Context(), b.addr, places, func() { saw++ })
	require.NoError(t, err)
	return samples, saw
}

// A quota makes a broker answer with nothing. That is no end of the topic.
func TestASampleWaitsWhileTheBrokerThrottles(t *testing.T) {
	good := serveLog(t, batchOf(users(0, 10)...))
	asked := 0
	b := startScripted(t, func(c net.Conn, correlation int32, req *kmsg.FetchRequest) error {
		if asked++; asked < 3 {
			return send(c, correlation, (&kmsg.FetchResponse{Version: fetchOldest, ThrottleMillis: 1}).AppendTo(nil))
		}
		return good(c, correlation, req)
	})
	samples, saw := sampleOf(t, b, Place{Until: 10, Limit: 10})
	require.Len(t, samples[0].Records, 10)
	require.False(t, samples[0].Cut)
	require.Equal(t, 1, saw)
}

func TestASampleSaysThatTheBrokerSentNothing(t *testing.T) {
	b := startScripted(t, func(c net.Conn, correlation int32, _ *kmsg.FetchRequest) error {
		return send(c, correlation, fetchResponse(10, nil).AppendTo(nil))
	})
	samples, saw := sampleOf(t, b, Place{Until: 10, Limit: 10})
	require.True(t, samples[0].Cut)
	require.Zero(t, saw)
}

// A batch expires by its latest time. With LogAppendTime that is the broker's, and the producer's stays in the other field.
func TestASampleIsAsOldAsItsBatchExpires(t *testing.T) {
	raw := batchOf(users(0, 10)...).encode(t)
	produced, stored := time.UnixMilli(1_420_070_400_000), time.UnixMilli(1_700_000_000_000)
	binary.BigEndian.PutUint64(raw[27:], uint64(produced.UnixMilli()))
	binary.BigEndian.PutUint64(raw[35:], uint64(stored.UnixMilli()))
	withCRC(raw)
	b := startScripted(t, func(c net.Conn, correlation int32, _ *kmsg.FetchRequest) error {
		return send(c, correlation, fetchResponse(10, raw).AppendTo(nil))
	})
	samples, _ := sampleOf(t, b, Place{Until: 10, Limit: 10})
	require.Equal(t, stored, samples[0].Oldest)
}
