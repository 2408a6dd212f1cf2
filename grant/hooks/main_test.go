package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/publish"
	"github.com/granter/granter/grant/status"
)

// childEnv makes the test's own program a replica that can be killed: Redis, the URL of a webhook, and the log of a program.
const childEnv = "GRANTER_TEST_HOOKS"

func TestMain(m *testing.M) {
	if servers := os.Getenv(childEnv); servers != "" {
		if err := child(strings.Fields(servers)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func child(args []string) error {
	client, err := ledger.Connect(ledger.Options{Addrs: args[:1]})
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := ledger.Open(client, aCampaign(), ledger.Config{})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var st status.Status
	at := time.Now()
	for _, part := range status.Parts() {
		st.Parts = append(st.Parts, status.Part{Part: part, At: &at})
	}
	st.Campaign = "sorry-2022"
	running(&st)
	st.Percentage = 60
	New(Config{
		Campaign: aCampaign(), Who: fmt.Sprint(os.Getpid()), Board: ledger.NewCoordination(store), Every: 20 * time.Millisecond,
		Hooks: []Hook{
			{
				Name: "web", Timeout: time.Minute, Retry: time.Minute,
				Webhook: publish.Webhook{URL: args[1], Timeout: time.Minute, Calls: 1},
			},
			{
				Name: "program", Timeout: time.Minute, Retry: time.Minute,
				Program: []string{"/bin/sh", "-c", `echo "$GRANTER_ID" >> "$0"`, args[2]},
			},
		},
		Status: func(context.Context) (*status.Status, error) { return &st, nil },
		Lost:   func(context.Context) (int, error) { return 0, nil },
		Log:    slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}).Follow(ctx)
	return nil
}
