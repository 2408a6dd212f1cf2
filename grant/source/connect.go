// Package source reads a campaign's topic: it joins the consumer group, fetches its partitions, decodes user IDs, and
// stores what it cannot decode in the dead-letter topic before the position passes it. It skips nothing silently.
package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

const clientID = "granter"

// Kafka says how to reach the brokers.
type Kafka struct {
	Brokers []string
	TLS     *tls.Config    // nil: plain text
	SASL    sasl.Mechanism // nil: no authentication
	Timeout time.Duration  // to connect, and for each request. Default 10 s.
}

// Mechanism returns the SASL mechanism of a name: plain, scram-sha-256 or scram-sha-512.
func Mechanism(name, user, password string) (sasl.Mechanism, error) {
	switch name {
	case "":
		return nil, nil
	case "plain":
		return plain.Mechanism{Username: user, Password: password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, user, password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, user, password)
	}
	return nil, fmt.Errorf("SASL mechanism %q: want plain, scram-sha-256 or scram-sha-512", name)
}

func (k Kafka) timeout() time.Duration {
	if k.Timeout > 0 {
		return k.Timeout
	}
	return 10 * time.Second
}

// Dialer returns what kafka-go's consumer group connects with.
func (k Kafka) Dialer() *kafka.Dialer {
	return &kafka.Dialer{ClientID: clientID, Timeout: k.timeout(), DualStack: true, TLS: k.TLS, SASLMechanism: k.SASL}
}

// Transport returns what kafka-go's client and writer connect with. The caller closes its idle connections.
func (k Kafka) Transport() *kafka.Transport {
	return &kafka.Transport{ClientID: clientID, DialTimeout: k.timeout(), TLS: k.TLS, SASL: k.SASL, MetadataTTL: time.Second}
}

// Client returns a client for everything but fetching.
func (k Kafka) Client(t *kafka.Transport) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(k.Brokers...), Timeout: k.timeout(), Transport: t}
}

// dial opens an authenticated connection to a broker. kafka-go does the authentication; afterwards the connection is
// ours alone: kafka-go's Conn starts no goroutine and, with no request under way, has read nothing ahead.
func (k Kafka) dial(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	d := k.Dialer()
	d.TLS = nil
	d.DialFunc = func(ctx context.Context, network, addr string) (_ net.Conn, err error) {
		if conn, err = (&net.Dialer{}).DialContext(ctx, network, addr); err != nil || k.TLS == nil {
			return conn, err
		}
		cfg := k.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = host
		}
		secure := tls.Client(conn, cfg)
		conn = secure
		return conn, secure.HandshakeContext(ctx)
	}
	if _, err := d.DialContext(ctx, "tcp", address); err != nil {
		if conn != nil {
			conn.Close() //nolint:errcheck // the dial failed
		}
		return nil, err
	}
	return conn, nil
}

// ErrorKind sorts errors into a fixed set of kinds, for a metric label and for deciding whether to try again.
type ErrorKind string

// The kinds of error.
const (
	KindLeader        ErrorKind = "leader"        // the partition's leader moved or is being elected
	KindBroker        ErrorKind = "broker"        // any other error that a broker reports and that may pass
	KindNetwork       ErrorKind = "network"       // refused, reset, closed, time-out
	KindRange         ErrorKind = "out_of_range"  // the topic no longer, or not yet, has the offset
	KindAuthorization ErrorKind = "authorization" // not allowed; does not pass by waiting
	KindAuthenticate  ErrorKind = "authentication"
	KindTopic         ErrorKind = "unknown_topic"
	KindCorrupt       ErrorKind = "corrupt" // a record batch contradicts itself or its CRC
	KindOther         ErrorKind = "other"
)

// ErrorKinds lists every kind, so that metrics can start at zero.
func ErrorKinds() []ErrorKind {
	return []ErrorKind{
		KindLeader, KindBroker, KindNetwork, KindRange, KindAuthorization, KindAuthenticate, KindTopic, KindCorrupt, KindOther,
	}
}

// Classify returns the kind of an error and whether trying again may help.
func Classify(err error) (kind ErrorKind, retry bool) {
	var code kafka.Error
	var network net.Error
	switch {
	case errors.Is(err, errCorrupt), errors.Is(err, errTruncated):
		return KindCorrupt, true // a copy of the batch on the way may be what is damaged; the deadline decides
	case errors.As(err, &code):
		switch code {
		case kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch,
			kafka.ReplicaNotAvailable, kafka.PreferredLeaderNotAvailable, kafka.OffsetNotAvailable:
			return KindLeader, true
		case kafka.OffsetOutOfRange:
			return KindRange, false
		case kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed,
			kafka.TransactionalIDAuthorizationFailed:
			return KindAuthorization, false
		case kafka.SASLAuthenticationFailed, kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState:
			return KindAuthenticate, false
		case kafka.UnknownTopicOrPartition:
			return KindTopic, true // also while metadata spread through the cluster
		}
		return KindBroker, true
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.ErrClosedPipe):
		return KindNetwork, true
	}
	return KindOther, false
}
