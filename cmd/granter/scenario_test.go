//go:build integration

package main

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/digest"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/sharding/dense"
)

// seed is printed by every scenario; GRANTER_SEED repeats one.
var seed = func() string {
	if s := os.Getenv("GRANTER_SEED"); s != "" {
		return s
	}
	return fmt.Sprint(time.Now().UnixNano())
}()

// scenario is a campaign with a topic of its own on real servers, and everything that was published to it.
type scenario struct {
	*testing.T
	rand     *rand.Rand
	brokers  []string
	redis    []string // what granters are told; see client for what the test uses
	cluster  bool
	campaign *grant.Campaign
	spec     string // its file
	flags    []string
	env      []string

	kafka  *kafka.Client
	client redis.UniversalClient // of a Redis that is never behind a proxy
	opened
	plans []population.Plan
	asked *asked
}

const specText = `campaign: %[1]s
title: %[1]s
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: %[1]s, max_rejected: 50%%}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
  - {id: cheer-up-90d, kind: emoticon, validity: 90d}
`

// durable is what a Redis needs so that granter trusts it with grants.
func durable() []devtest.RedisOption {
	return []devtest.RedisOption{devtest.RedisSet("appendonly", "yes"), devtest.RedisSet("appendfsync", "everysec")}
}

// newScenario makes a campaign and an empty topic for it, on the shared Kafka.
func newScenario(t *testing.T, partitions int, redisAddrs ...string) *scenario {
	t.Helper()
	return newScenarioOn(t, devtest.SharedKafka(t), partitions, redisAddrs...)
}

func newScenarioOn(t *testing.T, k *devtest.Kafka, partitions int, redisAddrs ...string) *scenario {
	t.Helper()
	hash := fnv.New64a()
	fmt.Fprint(hash, seed, t.Name())
	s := &scenario{
		T: t, rand: rand.New(rand.NewPCG(hash.Sum64(), 1)), brokers: k.Brokers, redis: redisAddrs, cluster: len(redisAddrs) > 1,
		flags: []string{"--session-timeout=2s", "--listen=off", "--json", "--checkpoint-every=200ms"}, asked: mustEndWithAnAudit(t),
	}
	t.Logf("GRANTER_SEED=%s", seed)
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ".", "-", "Test", "").Replace(t.Name()))
	name = fmt.Sprintf("%.50s-%d", name, time.Now().UnixNano()%1e9)
	s.spec = filepath.Join(t.TempDir(), "campaign.yaml")
	require.NoError(t, os.WriteFile(s.spec, fmt.Appendf(nil, specText, name), 0o600))
	var err error
	s.campaign, err = campaign.Load(s.spec)
	require.NoError(t, err)

	transport := &kafka.Transport{MetadataTTL: time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	s.kafka = &kafka.Client{Addr: kafka.TCP(k.Brokers...), Transport: transport, Timeout: 20 * time.Second}
	k.CreateTopic(t, name, partitions, 1, nil)
	s.useRedis(redisAddrs...)
	return s
}

// ofUUIDs makes the IDs of a scenario to which nothing was published UUIDs.
func (s *scenario) ofUUIDs() *scenario {
	s.Helper()
	text := strings.Replace(fmt.Sprintf(specText, s.campaign.Name), "max_rejected", "id: uuid, max_rejected", 1)
	require.NoError(s, os.WriteFile(s.spec, []byte(text), 0o600))
	var err error
	s.campaign, err = campaign.Load(s.spec)
	require.NoError(s, err)
	s.opened, err = openLedger(s.client, s.campaign, patience)
	require.NoError(s, err)
	return s
}

// drawn makes them UUIDs in half of the tests today, and in the other half tomorrow, so that both layouts of the ledger meet what
// happens in a scenario, at the latest on the second day; or as GRANTER_TEST_IDS says.
func (s *scenario) drawn() *scenario {
	s.Helper()
	name := fnv.New32a()
	fmt.Fprint(name, s.Name())
	turn := (int64(name.Sum32()) + time.Now().Unix()/86_400) % 2
	ids := cmp.Or(grant.IDs(os.Getenv("GRANTER_TEST_IDS")), []grant.IDs{grant.IDsDense, grant.IDsUUID}[turn])
	s.Logf("GRANTER_TEST_IDS=%s", ids)
	if ids == grant.IDsDense {
		return s
	}
	return s.ofUUIDs()
}

// useRedis makes the test look at a Redis.
func (s *scenario) useRedis(addrs ...string) { s.Helper(); s.connect(ledger.Options{Addrs: addrs}) }

// login makes the test look at a Redis that wants a password.
func (s *scenario) login(password string) {
	s.Helper()
	s.connect(ledger.Options{Addrs: s.redis, Password: password})
}

func (s *scenario) connect(o ledger.Options) {
	s.Helper()
	redis.SetLogger(quiet{})
	var err error
	s.client, err = ledger.Connect(o)
	require.NoError(s, err)
	client := s.client
	client.AddHook(s.asked)
	s.Cleanup(func() { _ = client.Close() })
	s.opened, err = openLedger(s.client, s.campaign, patience)
	require.NoError(s, err)
}

// users plans some users; one in 20 is named twice, and one record in 2,000 is malformed.
func (s *scenario) users(first, count int64) population.Plan {
	return population.Plan{
		Topic: s.campaign.Input, Users: count, First: uint64(first), Duplicates: 0.05, Malformed: 0.0005, Seed: s.rand.Uint64(),
	}
}

// publish publishes users, and waits until the topic has them.
func (s *scenario) publish(plan population.Plan) {
	s.Helper()
	s.asked.note("users were published")
	s.plans = append(s.plans, plan)
	// Small batches: every partition gets a part of every population.
	_, err := population.Publish(s.Context(), s.kafka, s.campaign.Input, plan.Source(), population.Options{BatchRecords: 1000})
	require.NoError(s, err)
}

// trickle publishes users in the background, at a rate. The function that it returns waits until all are published.
func (s *scenario) trickle(plan population.Plan, o population.Options) (wait func()) {
	s.Helper()
	s.asked.note("users were published")
	s.plans = append(s.plans, plan)
	ctx, stop := context.WithCancel(context.Background())
	published := make(chan error, 1)
	go func() {
		_, err := population.Publish(ctx, s.kafka, s.campaign.Input, plan.Source(), o)
		published <- err
		close(published)
	}()
	s.Cleanup(func() { stop(); <-published })
	return func() {
		s.Helper()
		require.NoError(s, <-published)
	}
}

// run starts a granter.
func (s *scenario) run(flags ...string) *process {
	s.Helper()
	return start(s.T, s.command("run", append(s.flags, flags...)...))
}

// finish runs a granter to its end, which must be that everything is granted.
func (s *scenario) finish(flags ...string) Summary {
	s.Helper()
	p := s.run(flags...)
	require.Zero(s, p.wait(), p.err.String())
	return p.summary()
}

func (s *scenario) command(name string, flags ...string) command {
	s.Helper()
	words := strings.Fields(name)
	args := append(slices.Clone(words), "-f", s.spec)
	sub, _, err := newRoot().Find(words)
	require.NoError(s, err)
	for flag, list := range map[string][]string{"brokers": s.brokers, "redis": s.redis} {
		if sub.Flags().Lookup(flag) != nil { // verify has no use for Kafka
			args = append(args, "--"+flag, strings.Join(list, ","))
		}
	}
	return command{args: append(args, flags...), env: s.env, of: s.asked}
}

// granted returns how many users the ledger has at the moment; 0 while it does not answer.
func (s *scenario) granted() int64 {
	ctx, cancel := context.WithTimeout(s.Context(), time.Second)
	defer cancel()
	totals, err := s.reader.Totals(ctx)
	if err != nil {
		return 0
	}
	return totals.Granted
}

// awaitGranted waits until so many users are granted while a granter runs.
func (s *scenario) awaitGranted(p *process, users int64) {
	s.Helper()
	await(s.T, fmt.Sprintf("%d users are granted", users), func() bool {
		require.True(s, p.running(), "granter ended early: slow it down\n%s", p.err.String())
		return s.granted() >= users
	})
}

// record returns what a granter says about itself; a zero record while it has not said anything.
func (s *scenario) record(p *process) grant.RunRecord {
	ctx, cancel := context.WithTimeout(s.Context(), time.Second)
	defer cancel()
	runs, _ := s.coordination.Runs(ctx) // what cannot be read is not there
	for _, r := range runs {
		if r.PID == p.cmd.Process.Pid {
			return r
		}
	}
	return grant.RunRecord{}
}

// checkpoint returns the checkpoint that Redis has at the moment; nil while it does not answer.
func (s *scenario) checkpoint() grant.Offsets {
	ctx, cancel := context.WithTimeout(s.Context(), time.Second)
	defer cancel()
	next, err := s.reader.Checkpoints(ctx, s.campaign)
	if err != nil {
		return nil
	}
	return next.Next
}

// throttle limits all granters together, so that a run has a middle. The function that it returns lifts the limit.
func (s *scenario) throttle(usersPerSecond int64) (lift func()) {
	s.Helper()
	order := func(rate int64) {
		s.Helper()
		o := grant.Order{Action: grant.ActionThrottle, Throttle: rate, Who: "test", Via: "test", Why: "to see the middle of a run"}
		_, err := s.coordination.Order(s.Context(), o)
		require.NoError(s, err)
	}
	order(usersPerSecond)
	return func() { s.Helper(); order(0) }
}

// slow makes every master of Redis refuse to write most of the time, so that a run of a second takes several and has a
// middle. Reads go on. The function that it returns ends that.
func (s *scenario) slow(pause time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	const gap = 3 * time.Millisecond
	client := s.client // a scenario may go on with another one
	each := func(ctx context.Context, args ...any) {
		// Errors are what scenarios are made of: a Redis that is down needs no slowing down.
		if cluster, ok := client.(*redis.ClusterClient); ok {
			_ = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.Do(ctx, args...).Err() })
			return
		}
		_ = client.Do(ctx, args...).Err()
	}
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			each(ctx, "client", "pause", 10*pause.Milliseconds(), "write")
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			each(context.WithoutCancel(ctx), "client", "unpause")
			select {
			case <-time.After(gap):
			case <-ctx.Done():
			}
		}
	}()
	stop = func() { cancel(); <-ended }
	s.Cleanup(stop)
	return stop
}

// upTo returns a random duration.
func (s *scenario) upTo(most time.Duration) time.Duration {
	return time.Duration(s.rand.Int64N(int64(most) + 1))
}

// killAfter kills a granter a while after its start, unless it has ended by then.
func (p *process) killAfter(d time.Duration) {
	select {
	case <-time.After(time.Until(p.began.Add(d))):
	case <-p.ended:
	}
	p.kill()
}

// interrupt sends SIGTERM.
func (p *process) interrupt() {
	p.Helper()
	p.signal(syscall.SIGTERM)
}

// bitmaps is a set of users.
type bitmaps map[uint64]*dense.Bitmap

func (b bitmaps) add(id uint64) {
	chunk, low := dense.Split(id)
	if b[chunk] == nil {
		b[chunk] = new(dense.Bitmap)
	}
	b[chunk].Set(low)
}

func (b bitmaps) count() (n int64) {
	for _, chunk := range b {
		n += int64(chunk.Count())
	}
	return n
}

// digest is what an audit prints of such a set.
func (b bitmaps) digest() string {
	var users digest.Users
	for chunk, members := range b {
		users.Add(chunk, members)
	}
	return users.Sum()
}

// missing returns how many members of b are not in o, and one of them.
func (b bitmaps) missing(o bitmaps) (n int, example uint64) {
	for chunk, members := range b {
		for _, low := range members.Lows(nil) {
			if other := o[chunk]; other == nil || !other.Has(low) {
				n, example = n+1, dense.Join(chunk, low)
			}
		}
	}
	return n, example
}
