package publish

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
)

// childEnv makes the test's own program a publisher that can be killed: Redis, brokers with commas between, the kind of IDs and
// the topic.
const childEnv = "GRANTER_TEST_PUBLISHER"

func TestMain(m *testing.M) {
	if servers := os.Getenv(childEnv); servers != "" {
		if err := child(servers); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// small is a topic that takes little at once, so that it is killed in the middle of things.
type small struct{ Target }

func (small) limits() limits { return limits{chunks: 2, entries: 3, events: 500, calls: 3} }

func child(servers string) error {
	redis, servers, _ := strings.Cut(servers, " ")
	brokers, servers, _ := strings.Cut(servers, " ")
	ids, topic, _ := strings.Cut(servers, " ")
	campaign := aCampaign(grant.IDs(ids))
	client, err := ledger.Connect(ledger.Options{Addrs: []string{redis}})
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := ledger.Open(client, campaign, ledger.Config{})
	if err != nil {
		return err
	}
	transport := &kafka.Transport{}
	producer := &kafka.Client{Addr: kafka.TCP(strings.Split(brokers, ",")...), Transport: transport, Timeout: 20 * time.Second}
	to := small{NewTopic(producer, Topic{Name: topic, Form: FormJSON}, transport.CloseIdleConnections)}
	return New(ledger.NewCoordination(store), ledger.NewReader(store), to, Config{
		Name: "s", Who: fmt.Sprint(os.Getpid()), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Every: 10 * time.Millisecond,
		Spec: func(context.Context) (*grant.Campaign, error) { return campaign, nil },
	}).Follow(context.Background())
}
