package devtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
)

// A broker that moves partitions on a busy machine takes its time to create a topic.
const exchangeTimeout = 20 * time.Second

// Credentials that the SASL listener knows, by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. The guest can log in, and is then
// authorised for nothing.
const (
	SASLUser     = "granter"
	SASLPassword = "granter-secret"

	GuestUser     = "guest"
	GuestPassword = "guest-secret"
)

// KafkaOptions says which Kafka to start. The zero value is one broker without security.
type KafkaOptions struct {
	Version  string            // of the installed ones, or NewestKafka; empty: EachKafka's, GRANTER_DEV_KAFKA's, or the oldest
	Features []string          // of the storage format, such as "share.version=1"
	Brokers  int               // 1 to 9; 0 means 1
	SASL     bool              // also listen on SASLBrokers
	TLS      bool              // also listen on TLSBrokers; with SASL, SASLBrokers speak TLS as well
	Props    map[string]string // more of server.properties, for every broker
}

// NewestKafka is the version for a test of what older ones have not.
const NewestKafka = "newest"

// Kafka is one or more brokers in KRaft mode. Broker 0 is also the only controller: without it partitions stay where
// they are. Its methods may be called from any goroutine; a failure ends the calling one.
type Kafka struct {
	Brokers     []string // host:port of each broker, the same after a restart; here everybody may do everything
	SASLBrokers []string
	TLSBrokers  []string
	CAFile      string // what TLS clients trust, in PEM
	Version     string // such as 4.1.0
	Dir         string // broker-N/server.properties, kafka.log, data

	tb      TB
	servers []*server
}

// StartKafka starts brokers on free ports, and ends them with the test. It takes about 1.5 seconds; tests that only
// need some broker share one: see SharedKafka.
func StartKafka(tb TB, o KafkaOptions) *Kafka {
	tb.Helper()
	if o.Version == "" {
		o.Version = versionFor(tb)
	}
	k, err := startKafka(tb, o)
	if err != nil {
		tb.Fatalf("starting Kafka: %v", err)
	}
	return k
}

func startKafka(tb TB, o KafkaOptions) (*Kafka, error) {
	k := &Kafka{Dir: tempDir(tb), tb: tb}
	args := []string{"config", k.Dir, "--brokers", strconv.Itoa(max(1, o.Brokers))}
	if o.Version != "" {
		args = append(args, "--version", o.Version)
	}
	for _, feature := range o.Features {
		args = append(args, "--feature", feature)
	}
	if o.SASL {
		args = append(args, "--sasl")
	}
	if o.TLS {
		args = append(args, "--tls")
		k.CAFile = filepath.Join(k.Dir, "ca.pem")
	}
	args = append(args, "--")
	if o.SASL || o.TLS { // no test kills those, and a busy machine must not cost them their session
		args = append(args, "broker.session.timeout.ms=30000")
	}
	for key, value := range o.Props {
		args = append(args, key+"="+value)
	}
	bootstrap, err := output("kafka.sh", args...)
	if err != nil {
		return nil, err
	}
	k.Brokers = strings.Split(bootstrap, ",")
	version, err := os.ReadFile(filepath.Join(k.Dir, "version"))
	if err != nil {
		return nil, err
	}
	k.Version = strings.TrimSpace(string(version))
	if k.SASLBrokers, err = k.listeners("sasl", o.SASL); err != nil {
		return nil, err
	}
	if k.TLSBrokers, err = k.listeners("tls", o.TLS); err != nil {
		return nil, err
	}

	for i, addr := range k.Brokers {
		id := strconv.Itoa(i + 1)
		s := &server{
			name:  "Kafka broker " + addr,
			args:  []string{"kafka.sh", "run", k.Dir, id},
			log:   filepath.Join(k.Dir, "broker-"+id, "kafka.log"),
			ready: func() error { return registered(addr) },
		}
		s.cleanup(tb)
		k.servers = append(k.servers, s)
		if err := s.launch(); err != nil {
			return nil, err
		}
	}
	for _, s := range k.servers {
		if err := s.await(); err != nil {
			return nil, err
		}
	}
	if err := k.awaitBrokers(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Kafka) listeners(kind string, enabled bool) ([]string, error) {
	if !enabled {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(k.Dir, "bootstrap."+kind))
	return strings.Split(strings.TrimSpace(string(text)), ","), err
}

// Stop shuts broker i down cleanly: its partitions move to other replicas first.
func (k *Kafka) Stop(i int) { k.servers[i].stop() }

// Kill ends broker i with SIGKILL. Its partitions move to other replicas when its session has expired, after about
// three seconds.
func (k *Kafka) Kill(i int) { k.servers[i].kill() }

// Restart starts broker i again on the same port and data, and waits until clients are told of it. After a Kill that
// takes some seconds, because its old session has to expire. A broker that is still running is stopped cleanly first.
func (k *Kafka) Restart(i int) {
	k.tb.Helper()
	s := k.servers[i]
	s.stop()
	if err := s.launch(); err != nil {
		k.tb.Fatalf("restarting Kafka: %v", err)
	}
	if err := s.await(); err != nil {
		k.tb.Fatalf("restarting Kafka: %v", err)
	}
}

// Freeze stops broker i with SIGSTOP: connections stay open, and nothing answers.
func (k *Kafka) Freeze(i int) {
	k.tb.Helper()
	if err := k.servers[i].signal(syscall.SIGSTOP); err != nil {
		k.tb.Fatalf("freezing Kafka: %v", err)
	}
}

// Resume ends a Freeze.
func (k *Kafka) Resume(i int) {
	k.tb.Helper()
	if err := k.servers[i].signal(syscall.SIGCONT); err != nil {
		k.tb.Fatalf("resuming Kafka: %v", err)
	}
}

// CreateTopic makes a topic and waits until every running broker knows a leader for each of its partitions. The
// configuration may be nil.
func (k *Kafka) CreateTopic(tb TB, name string, partitions, replication int, config map[string]string) {
	tb.Helper()
	topic := kafka.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: replication}
	for key, value := range config {
		topic.ConfigEntries = append(topic.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	addr, err := k.anyBroker()
	if err == nil {
		err = withConn(addr, exchangeTimeout, func(conn *kafka.Conn) error { return conn.CreateTopics(topic) })
	}
	if err != nil {
		tb.Fatalf("creating topic %s: %v", name, err)
	}
	err = k.everywhere(func(conn *kafka.Conn) error {
		found, err := conn.ReadPartitions(name)
		if err != nil {
			return err
		}
		for _, p := range found {
			if p.Error != nil {
				return p.Error
			}
		}
		if len(found) != partitions {
			return fmt.Errorf("only %d partitions are known", len(found))
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("waiting for the partitions of topic %s: %v", name, err)
	}
}

// Leader returns the index in Brokers of the broker that leads a partition.
func (k *Kafka) Leader(tb TB, topic string, partition int) int {
	tb.Helper()
	p, err := k.partition(topic, partition)
	if err != nil {
		tb.Fatalf("looking for the leader of %s/%d: %v", topic, partition, err)
	}
	return p.Leader.ID - 1
}

// MoveLeader makes broker i (an index in Brokers) the leader of a partition, moving the data when it has no replica
// there, and waits until every broker knows. Nothing is stopped for it.
func (k *Kafka) MoveLeader(tb TB, topic string, partition, i int) {
	tb.Helper()
	if err := k.moveLeader(topic, partition, i+1); err != nil {
		tb.Fatalf("moving the leader of %s/%d to broker %d: %v", topic, partition, i, err)
	}
}

func (k *Kafka) moveLeader(topic string, partition, id int) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	before, err := k.partition(topic, partition)
	if err != nil {
		return err
	}
	// The preferred leader is the first replica. One that has none yet takes the last one's place.
	replicas := []int{id}
	for _, r := range before.Replicas {
		if r.ID != id && len(replicas) < len(before.Replicas) {
			replicas = append(replicas, r.ID)
		}
	}
	transport := new(kafka.Transport)
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(k.Brokers[0]), Transport: transport}
	moved, err := client.AlterPartitionReassignments(ctx, &kafka.AlterPartitionReassignmentsRequest{
		Topic:       topic,
		Assignments: []kafka.AlterPartitionReassignmentsRequestAssignment{{PartitionID: partition, BrokerIDs: replicas}},
		Timeout:     startTimeout,
	})
	if err != nil {
		return err
	}
	for _, result := range moved.PartitionResults {
		if err := errors.Join(moved.Error, result.Error); err != nil {
			return err
		}
	}
	err = k.everywhere(func(conn *kafka.Conn) error {
		p, err := leaderSeenBy(conn, topic, partition)
		if err != nil || p.Leader.ID == id {
			return err
		}
		// Until the new replica has caught up, an election changes nothing; ask again then.
		if slices.ContainsFunc(p.Isr, func(b kafka.Broker) bool { return b.ID == id }) {
			_, err = client.ElectLeaders(ctx, &kafka.ElectLeadersRequest{
				Topic: topic, Partitions: []int{partition}, Timeout: startTimeout,
			})
		}
		return errors.Join(fmt.Errorf("broker %d still leads", p.Leader.ID-1), err)
	})
	return err
}

func (k *Kafka) partition(topic string, partition int) (p kafka.Partition, err error) {
	addr, err := k.anyBroker()
	if err != nil {
		return p, err
	}
	err = withConn(addr, exchangeTimeout, func(conn *kafka.Conn) error {
		p, err = leaderSeenBy(conn, topic, partition)
		return err
	})
	return p, err
}

func leaderSeenBy(conn *kafka.Conn, topic string, partition int) (kafka.Partition, error) {
	partitions, err := conn.ReadPartitions(topic)
	if err != nil {
		return kafka.Partition{}, err
	}
	for _, p := range partitions {
		if p.ID == partition {
			return p, p.Error
		}
	}
	return kafka.Partition{}, fmt.Errorf("topic %s has no partition %d", topic, partition)
}

func (k *Kafka) anyBroker() (string, error) {
	for i, s := range k.servers {
		if s.running() {
			return k.Brokers[i], nil
		}
	}
	return "", errors.New("no broker is running")
}

// awaitBrokers waits until every broker knows all the others.
func (k *Kafka) awaitBrokers() error {
	return k.everywhere(func(conn *kafka.Conn) error {
		known, err := conn.Brokers()
		if err == nil && len(known) < len(k.Brokers) {
			err = fmt.Errorf("only %d of %d brokers are known", len(known), len(k.Brokers))
		}
		return err
	})
}

// everywhere asks each running broker until it agrees.
func (k *Kafka) everywhere(agrees func(conn *kafka.Conn) error) error {
	deadline := time.Now().Add(startTimeout)
	for i, s := range k.servers {
		for s.running() {
			err := withConn(k.Brokers[i], exchangeTimeout, agrees)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("broker %d: %w", i, err)
			}
			time.Sleep(pollInterval)
		}
	}
	return nil
}

// registered returns nil when the broker answers and lists itself: until then it is fenced and clients cannot use it.
func registered(addr string) error {
	return withConn(addr, 2*time.Second, func(conn *kafka.Conn) error {
		known, err := conn.Brokers()
		if err != nil {
			return err
		}
		for _, b := range known {
			if addr == fmt.Sprintf("%s:%d", b.Host, b.Port) {
				return nil
			}
		}
		return errors.New("the broker is not registered yet")
	})
}

// withConn uses a connection for one short exchange.
func withConn(addr string, timeout time.Duration, fn func(conn *kafka.Conn) error) error {
	conn, err := (&kafka.Dialer{Timeout: time.Second}).Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	return fn(conn)
}
