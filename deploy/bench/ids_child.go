package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/userid"
)

// someOf reads n records of a topic, of each partition as many, behind the first ones: from of all partitions together.
func someOf(ctx context.Context, broker, topic string, from, n int) ([]string, error) {
	src, err := source.New(source.Config{
		Kafka: source.Kafka{Brokers: []string{broker}}, Topic: grant.Input{Topic: topic, Format: grant.FormatDecimal},
	})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	bounds, err := src.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	each := make([][]string, len(bounds.Ends))
	var all errgroup.Group
	for partition, end := range bounds.Ends {
		all.Go(func() error {
			share := int64(len(bounds.Ends))
			first, last := min(end, int64(from)/share), min(end, int64(from+n)/share)
			_, err := src.Read(ctx, partition, first, last, func(_ int64, parts *source.Parts) error {
				each[partition] = append(each[partition], string(parts.Value))
				return nil
			})
			return err
		})
	}
	err = all.Wait()
	return slices.Concat(each...), err
}

// lookUps looks up random ones of the first users of a topic, each at its time, as granter verify and the desk do, until its
// standard input ends.
func lookUps(args []string) error {
	f := flag.NewFlagSet("lookups", flag.ContinueOnError)
	spec := f.String("f", "", "the spec")
	broker := f.String("brokers", "", "a broker")
	topic := f.String("topic", "", "the topic")
	addr := f.String("redis", "", "Redis")
	rate := f.Float64("rate", 100, "users a second")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	texts, err := someOf(ctx, *broker, *topic, 0, 100_000)
	if err != nil {
		return err
	}
	camp, err := campaign.Load(*spec)
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: *addr, MaxRetries: -1})
	defer client.Close()
	store, err := ledger.Open(client, camp, ledger.Config{})
	if err != nil {
		return err
	}
	subject := &lookup.Subject{Campaign: camp, Coordination: ledger.NewCoordination(store), Reader: ledger.NewReader(store)}
	form := userid.FormOf(&camp.Input)
	fmt.Println("ready")
	look := func() error {
		user, err := form.Parse(texts[rand.IntN(len(texts))])
		if err == nil {
			_, err = lookup.Look(ctx, subject, []grant.UserID{user})
		}
		return err
	}
	ping := func() error { return client.Ping(ctx).Err() }
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(ended) }()
	var of [2]asked
	var both errgroup.Group
	for i, ask := range []func() error{look, ping} {
		both.Go(func() (err error) {
			of[i], err = atTheirTimes(*rate, ask, ended)
			return err
		})
	}
	if err := both.Wait(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(lookedUp{asked: of[0], Ping50: of[1].P50, Ping99: of[1].P99})
}

// lookedUp says how long lookups took, and, as what the machine itself makes wait, a PING of its own connection.
type lookedUp struct {
	asked

	Ping50 float64 `json:"ping50_ms"`
	Ping99 float64 `json:"ping99_ms"`
}

// atTheirTimes asks so many times a second until it is ended: what comes late is late from when it was due.
func atTheirTimes(rate float64, ask func() error, ended <-chan struct{}) (asked, error) {
	var took []time.Duration
	gap := time.Duration(float64(time.Second) / rate)
	for due := time.Now(); ; due = due.Add(gap) {
		select {
		case <-time.After(time.Until(due)):
		case <-ended:
			return timesOf(took)
		}
		if err := ask(); err != nil {
			return asked{}, err
		}
		took = append(took, time.Since(due))
	}
}
