package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/grant/source"
)

// demoSpec is the campaign of the demo: that of deploy/campaigns/emoticons.yaml without its dates.
const demoSpec = `campaign: demo-emoticons
title: Three emoticons for every user
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: demo-users}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
  - {id: cheer-up-90d, kind: emoticon, validity: 90d}
  - {id: lets-go-90d, kind: emoticon, validity: 90d}
`

const demoPartitions = 8

func newDemo() *cobra.Command {
	var users int64
	var once bool
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Grant a generated population, with Kafka and Redis inside this process",
		Long: `Demo starts an in-process Kafka and Redis, publishes a generated population with duplicates and malformed records, runs
the real granter on it, and looks one user up. It needs nothing else. Without --once it then keeps serving metrics and
lookups until Ctrl-C.

The in-process servers stand in for real ones: they keep everything in memory, and are not fast.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd, users, once, listen) },
	}
	f := cmd.Flags()
	f.Int64Var(&users, "users", 1_000_000, "number of distinct users")
	f.BoolVar(&once, "once", false, "exit after the run")
	f.StringVar(&listen, "listen", "127.0.0.1:9464", `address of /metrics, /healthz, /readyz and /users/{id}, or "off"`)
	return cmd
}

func demo(cmd *cobra.Command, users int64, once bool, listen string) error {
	out := cmd.OutOrStdout()
	camp, err := campaign.Parse("demo", []byte(demoSpec))
	if err != nil {
		return err
	}
	plan := population.Plan{Topic: camp.Source, Users: users, Duplicates: 0.01, Malformed: 0.0001, Seed: 1}
	if err := plan.Validate(); err != nil {
		return usageError(err)
	}
	camp.Population = users
	redis, err := miniredis.Run()
	if err != nil {
		return fmt.Errorf("starting the in-process Redis: %w", err)
	}
	defer redis.Close()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(demoPartitions, camp.Source.Topic))
	if err != nil {
		return fmt.Errorf("starting the in-process Kafka: %w", err)
	}
	defer kafka.Close()

	flags := &runFlags{listen: listen, stall: time.Minute, checkpointEvery: 200 * time.Millisecond, force: true}
	flags.brokers, flags.redis, flags.group = kafka.ListenAddrs(), []string{redis.Addr()}, "granter-demo"
	flags.timeout, flags.retryFor, flags.session = 10*time.Second, time.Minute, 10*time.Second
	k := source.Kafka{Brokers: flags.brokers}

	transport := k.Transport()
	defer transport.CloseIdleConnections()
	counts := plan.Counts()
	fmt.Fprintf(out, "publishing %s users, %s duplicates and %s malformed records to an in-process Kafka …\n",
		number(counts.Distinct), number(counts.Repeats), number(counts.Malformed))
	loaded, err := population.Publish(cmd.Context(), k.Client(transport), camp.Source, plan.Source(), population.Options{})
	if err != nil {
		return fmt.Errorf("publishing the population: %w", err)
	}
	fmt.Fprintf(out, "published %s records in %.1f s\n\n", number(loaded.Records), loaded.Elapsed.Seconds())

	client, err := flags.redisClient()
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // the process ends
	screen := newScreen(cmd.ErrOrStderr())
	log := slog.New(slog.NewTextHandler(screen, &slog.HandlerOptions{Level: slog.LevelWarn}))
	j := job{campaign: camp, kafka: k, redis: client, flags: flags, log: log, screen: screen, run: grant.NewRunID(time.Now()), registry: newRegistry()}
	return j.demonstrate(cmd.Context(), cmd, counts, once)
}

// demonstrate runs the job, checks and shows what it did, and unless told otherwise keeps serving.
func (j *job) demonstrate(ctx context.Context, cmd *cobra.Command, counts population.Counts, once bool) error {
	out := cmd.OutOrStdout()
	led, err := ledger.New(j.redis, j.campaign, 0, ledger.Config{RetryFor: time.Second})
	if err != nil {
		return err
	}
	j.serveUsers = func(mux *http.ServeMux) { mux.Handle("GET /users/{id}", lookups(led, j.campaign)) }
	j.afterRun = func(summary *Summary) error {
		printSummary(out, false, summary)
		if summary.Granted != counts.Distinct || summary.Tally.Rejected != counts.Malformed {
			return fmt.Errorf("granted %d of %d users and rejected %d of %d malformed records", summary.Granted, counts.Distinct, summary.Tally.Rejected, counts.Malformed)
		}
		proof, err := led.Prove(ctx)
		if err != nil {
			return err
		}
		printProof(out, newProof(&proof))
		fmt.Fprintln(out)
		if err := verify(ctx, out, led, j.campaign, []grant.UserID{grant.UserID(counts.Distinct / 2)}, false); err != nil {
			return err
		}
		if once || j.flags.listen == "off" {
			return nil
		}
		fmt.Fprintf(out, "\nserving until Ctrl-C:\n  http://%[1]s/metrics\n  http://%[1]s/users/%[2]d\n", j.flags.listen, counts.Distinct/2)
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		<-ctx.Done()
		return nil
	}
	_, err = j.execute(ctx)
	return err
}

// lookups answers GET /users/{id} with a Verdict.
func lookups(led *ledger.Ledger, c *grant.Campaign) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := source.ParseUserID(r.PathValue("id"), c.Source.MaxID)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		g, granted, err := led.Lookup(r.Context(), user)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if !granted {
			w.WriteHeader(http.StatusNotFound)
		}
		json.NewEncoder(w).Encode(newVerdict(c, user, g, granted)) //nolint:errcheck // the client went away
	})
}
