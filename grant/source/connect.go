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
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/registry"
)

// ClientID is the name by which brokers know this program, in their logs and as a group's member.
const ClientID = "granter"

const defaultTimeout = 10 * time.Second

// Kafka says how to reach the brokers.
type Kafka struct {
	Brokers []string
	TLS     *tls.Config    // nil: plain text
	SASL    sasl.Mechanism // nil: no authentication
	Timeout time.Duration  // to connect, and for each request. Default 10 s.
	// Registry is how the schema registry is reached, of a topic whose records name schemas that the spec does not have.
	Registry registry.Access
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
	return defaultTimeout
}

// registry is Registry, with the time that everything else has.
func (k Kafka) registry() registry.Access {
	a := k.Registry
	if a.Timeout <= 0 {
		a.Timeout = k.timeout()
	}
	return a
}

// Dialer returns what kafka-go's consumer group connects with.
func (k Kafka) Dialer() *kafka.Dialer {
	return &kafka.Dialer{ClientID: ClientID, Timeout: k.timeout(), DialFunc: k.open, TLS: k.TLS, SASLMechanism: k.SASL}
}

// Transport returns what kafka-go's client connects with. The caller closes its idle connections.
func (k Kafka) Transport() *kafka.Transport {
	return &kafka.Transport{
		ClientID: ClientID, Dial: k.open, DialTimeout: k.timeout(), TLS: k.TLS, SASL: k.SASL,
		MetadataTTL: 2 * time.Second, // how long a leader that moved is looked for in vain, and how long the answer may take
	}
}

// open connects, and no more.
func (k Kafka) open(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: k.timeout()}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &bounded{Conn: conn, timeout: k.timeout()}, nil
}

// bounded is a connection on which nothing waits for ever. kafka-go sets no deadline while it authenticates, so a
// broker that freezes at that moment would hang the consumer group, and whoever wants to leave it.
type bounded struct {
	net.Conn
	timeout time.Duration
}

func (c *bounded) SetDeadline(t time.Time) error      { return c.Conn.SetDeadline(c.bound(t)) }
func (c *bounded) SetReadDeadline(t time.Time) error  { return c.Conn.SetReadDeadline(c.bound(t)) }
func (c *bounded) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.bound(t)) }

func (c *bounded) bound(t time.Time) time.Time {
	if t.IsZero() {
		t = time.Now().Add(c.timeout)
	}
	return t
}

// Client returns a client for everything but fetching.
func (k Kafka) Client(t *kafka.Transport) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(k.Brokers...), Timeout: k.timeout(), Transport: t}
}

// dial opens an authenticated connection to a broker, on which nothing waits for ever.
func (k Kafka) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout())
	defer cancel()
	conn, release, err := k.authenticated(ctx, address, k.open)
	if err != nil {
		return nil, err
	}
	if !release() {
		conn.Close()
		return nil, ctx.Err()
	}
	return conn, nil
}

// authenticated opens a connection to a broker by a function that connects, and lets kafka-go authenticate. Afterwards the
// connection is the caller's alone: kafka-go's Conn starts no goroutine and, with no request under way, has read nothing
// ahead. kafka-go looks at no context while it authenticates, so the context closes the connection when it ends, until the
// caller releases it; release reports whether that came in time.
func (k Kafka) authenticated(
	ctx context.Context, address string, open func(ctx context.Context, network, address string) (net.Conn, error),
) (conn net.Conn, release func() bool, err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, nil, err
	}
	release = func() bool { return true }
	d := k.Dialer()
	d.TLS = nil // kafka-go's handshake looks at no context either
	d.DialFunc = func(dialing context.Context, network, address string) (net.Conn, error) {
		raw, err := open(dialing, network, address)
		if err != nil {
			return nil, err
		}
		conn = raw
		release = context.AfterFunc(ctx, func() { raw.Close() })
		if k.TLS == nil {
			return conn, nil
		}
		cfg := k.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = host
		}
		secure := tls.Client(raw, cfg)
		conn = secure
		return conn, secure.HandshakeContext(dialing)
	}
	if _, err = d.DialContext(ctx, "tcp", address); err == nil {
		return conn, release, nil
	}
	release()
	if conn != nil {
		conn.Close()
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return nil, nil, err
}

// ErrorKind sorts errors into a fixed set of kinds, for a metric label and for deciding whether to try again.
type ErrorKind string

// The kinds of error.
const (
	KindLeader        ErrorKind = "leader"         // the partition's leader moved or is being elected
	KindBroker        ErrorKind = "broker"         // any other error that a broker reports and that may pass
	KindNetwork       ErrorKind = "network"        // refused, reset, closed, time-out
	KindRange         ErrorKind = "out_of_range"   // the topic no longer, or not yet, has the offset
	KindAuthorization ErrorKind = "authorization"  // not allowed; does not pass by waiting
	KindAuthenticate  ErrorKind = "authentication" // wrong credentials, or a certificate that one side does not trust
	KindTopic         ErrorKind = "unknown_topic"
	KindCorrupt       ErrorKind = "corrupt"  // a record batch contradicts itself or its CRC, or an answer makes no sense
	KindRegistry      ErrorKind = "registry" // the schema registry does not answer, or refuses to
	KindOther         ErrorKind = "other"
)

// ErrorKinds lists every kind, so that metrics can start at zero.
func ErrorKinds() []ErrorKind {
	return []ErrorKind{
		KindLeader, KindBroker, KindNetwork, KindRange, KindAuthorization, KindAuthenticate, KindTopic, KindCorrupt,
		KindRegistry, KindOther,
	}
}

// Classify returns the kind of an error and whether trying again may help.
func Classify(err error) (kind ErrorKind, retry bool) {
	var code kafka.Error
	var network net.Error
	var remote *net.OpError
	var certificate *tls.CertificateVerificationError
	var schemas *registryError
	switch {
	case errors.As(err, &schemas):
		return KindRegistry, registry.Temporary(err)
	case errors.Is(err, grant.ErrTopicChanged):
		return KindTopic, false
	case errors.Is(err, errCorrupt), errors.Is(err, errTruncated), errors.Is(err, errResponse):
		return KindCorrupt, true // a copy of the batch on the way may be what is damaged; the deadline decides
	case errors.Is(err, errFormat):
		return KindCorrupt, false
	case errors.As(err, &code):
		switch code {
		case kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch,
			kafka.ReplicaNotAvailable, kafka.PreferredLeaderNotAvailable, kafka.OffsetNotAvailable:
			return KindLeader, true
		case kafka.OffsetOutOfRange:
			// of a leader that does not know yet how far it is; grant.GapError and grant.TruncatedError are final
			return KindRange, true
		case kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed,
			kafka.TransactionalIDAuthorizationFailed:
			return KindAuthorization, false
		case kafka.SASLAuthenticationFailed, kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState:
			return KindAuthenticate, false
		case kafka.UnknownTopicOrPartition, kafka.UnknownTopicID, kafka.InconsistentTopicID:
			return KindTopic, true // also while metadata spread through the cluster
		case kafka.InvalidTopic, kafka.InvalidConfiguration, kafka.InvalidRequest, kafka.PolicyViolation,
			kafka.UnsupportedVersion,
			kafka.InvalidGroupId, kafka.InconsistentGroupProtocol, kafka.InvalidSessionTimeout, kafka.MessageSizeTooLarge,
			kafka.RecordListTooLarge, kafka.SecurityDisabled:
			return KindBroker, false // the same question gets the same answer
		}
		return KindBroker, true
	case errors.Is(err, protocol.ErrNoLeader): // kafka-go's own, without asking, while its metadata show none
		return KindLeader, true
	case errors.Is(err, protocol.ErrNoTopic), errors.Is(err, protocol.ErrNoPartition):
		return KindTopic, true
	case errors.As(err, &certificate), errors.As(err, &remote) && remote.Op == "remote error":
		return KindAuthenticate, false // one side refuses the other's certificate, or offers no common version of TLS
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.ErrClosedPipe):
		return KindNetwork, true
	}
	return KindOther, false
}
