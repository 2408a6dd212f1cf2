package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// setNXBlock is how many users are in memory at once: what is measured is SET NX, not reading.
const setNXBlock = 1_000_000

// setNXAlone is what a user would otherwise write, at its fastest: pipelines of 1,000 SET NX of the users of a topic, in turns
// a block on one connection and a block on as many as there are partitions, so that the keys become more for both.
func setNXAlone(args []string) error {
	f := flag.NewFlagSet("nx", flag.ContinueOnError)
	broker := f.String("brokers", "", "a broker")
	topic := f.String("topic", "", "the topic")
	addr := f.String("redis", "", "an empty Redis")
	users := f.Int("users", 2_000_000, "how many of its users")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: *addr, ReadTimeout: time.Minute, PoolSize: partitions})
	defer client.Close()
	empty, err := memory(ctx, client)
	if err != nil {
		return err
	}
	var done [2]setKeys
	block := min(setNXBlock, *users/2)
	for from, turn := 0, 0; from < *users; from, turn = from+block, turn+1 {
		ids, err := someOf(ctx, *broker, *topic, from, min(block, *users-from))
		if err != nil {
			return err
		}
		if err := done[turn%2].set(ctx, client, ids, []int{1, partitions}[turn%2]); err != nil {
			return err
		}
	}
	used, err := memory(ctx, client)
	if err != nil {
		return err
	}
	all := float64(done[0].users + done[1].users)
	if all == 0 || done[1].users == 0 {
		return fmt.Errorf("%s has no %d users", *topic, *users)
	}
	return json.NewEncoder(os.Stdout).Encode(keyed{
		One: done[0].rate(), Many: done[1].rate(), Each: (done[0].cpu + done[1].cpu) / all, Bytes: float64(used-empty) / all,
	})
}

// setKeys is what some SET NX cost.
type setKeys struct {
	users int
	took  time.Duration
	cpu   float64 // seconds, of both sides
}

func (s *setKeys) rate() float64 { return float64(s.users) / s.took.Seconds() }

func (s *setKeys) set(ctx context.Context, client *redis.Client, ids []string, connections int) error {
	before, err := processorOf(ctx, client)
	if err != nil {
		return err
	}
	began := time.Now()
	var all errgroup.Group
	for part := range slices.Chunk(ids, max(1, (len(ids)+connections-1)/connections)) {
		all.Go(func() error { return setEach(ctx, client, part) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	s.took += time.Since(began)
	s.users += len(ids)
	after, err := processorOf(ctx, client)
	s.cpu += after - before
	return err
}

func setEach(ctx context.Context, client *redis.Client, ids []string) error {
	for page := range slices.Chunk(ids, 1000) {
		pipe := client.Pipeline()
		for _, id := range page {
			pipe.SetNX(ctx, "grant:"+id, 1, 0)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// processorOf returns the seconds of processor that this process and Redis have used.
func processorOf(ctx context.Context, client *redis.Client) (float64, error) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return 0, err
	}
	info, err := client.InfoMap(ctx, "cpu").Result()
	sum := time.Duration(own.Utime.Nano() + own.Stime.Nano()).Seconds()
	for _, of := range []string{"used_cpu_user", "used_cpu_sys"} {
		n, numErr := strconv.ParseFloat(info["CPU"][of], 64)
		err = errors.Join(err, numErr)
		sum += n
	}
	return sum, err
}
