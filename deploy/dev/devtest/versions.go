package devtest

import (
	"regexp"
	"strings"
	"sync"
)

// runner is the part of *testing.T that EachKafka needs.
type runner[T any] interface {
	Helper()
	Fatal(args ...any)
	Parallel()
	Run(name string, test func(t T)) bool
}

// EachKafka runs a test on every version of Kafka that granter is tested with, as a subtest: what it starts by StartKafka
// and SharedKafka is of that version, which the subtest's name carries. GRANTER_DEV_KAFKA=VERSION leaves the others out. Test and
// subtests are parallel: what they do is mostly to wait for brokers.
func EachKafka[T runner[T]](t T, test func(t T)) {
	t.Helper()
	t.Parallel()
	versions, err := kafkaVersions()
	if err != nil {
		t.Fatal("which versions of Kafka?", err)
	}
	for _, version := range versions {
		t.Run("kafka-"+version, func(t T) {
			t.Parallel()
			test(t)
		})
	}
}

var versionInName = regexp.MustCompile(`/kafka-(\d+(?:\.\d+)*)(?:/|$)`)

// versionFor is the version that a test in EachKafka is for; empty: it is in none.
func versionFor(tb TB) string {
	if t, ok := tb.(interface{ Name() string }); ok {
		if found := versionInName.FindStringSubmatch(t.Name()); found != nil {
			return found[1]
		}
	}
	return ""
}

func kafkaVersions() ([]string, error) {
	text, err := output("kafka.sh", "versions")
	return strings.Fields(text), err
}

// shared are the brokers of SharedKafka, by version.
var shared = struct {
	sync.Mutex
	kafka map[string]*Kafka
	hosts []*host
}{kafka: map[string]*Kafka{}}

// SharedKafka returns the one broker that all tests of a package share; the first caller starts it. Tests keep apart by
// topic and group names, and must not stop it. It ends with the test binary, or at StopShared. In EachKafka there is one for
// each version.
func SharedKafka(tb TB) *Kafka {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	version := versionFor(tb)
	if version == "" {
		versions, err := kafkaVersions()
		if err != nil {
			tb.Fatalf("which version of Kafka? %v", err)
		}
		version = versions[0]
	}
	if k := shared.kafka[version]; k != nil {
		return k
	}
	h := &host{logf: func(string, ...any) {}}
	var k *Kafka
	err := h.run(func(tb TB) (err error) {
		// It is never restarted, so nobody waits for its session to end; and a busy machine must not cost it its partitions.
		props := map[string]string{"broker.session.timeout.ms": "30000"}
		k, err = startKafka(tb, KafkaOptions{Version: version, Props: props})
		return err
	})
	if err != nil {
		h.close()
		tb.Fatalf("starting the shared Kafka: %v", err)
	}
	shared.kafka[version], shared.hosts = k, append(shared.hosts, h)
	return k
}

// StopShared ends the shared Kafkas and removes their data, if there are any: for a TestMain, after the tests ran. Without
// it they end with the process all the same, and the next run removes their data.
func StopShared() {
	shared.Lock()
	defer shared.Unlock()
	for _, h := range shared.hosts {
		h.close()
	}
	clear(shared.kafka)
	shared.hosts = nil
}
