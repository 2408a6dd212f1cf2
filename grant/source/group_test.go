package source

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/grant"
)

// join makes a process of the group. Its context ends what it waits for.
func join(t *testing.T, s *Source) *Group {
	t.Helper()
	g, err := s.Join()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Leave()) })
	return g.(*Group)
}

func next(t *testing.T, g *Group) grant.Generation {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	gen, err := g.Next(ctx)
	require.NoError(t, err)
	return gen
}

// settle goes through generations until the process has so many partitions, and leaves that one to the test.
func settle(t *testing.T, g *Group, partitions int) grant.Generation {
	t.Helper()
	for {
		gen := next(t, g)
		if len(gen.Committed()) == partitions {
			return gen
		}
		ended(t, gen)
		gen.Release()
	}
}

func ended(t *testing.T, gen grant.Generation) {
	t.Helper()
	select {
	case <-gen.Context().Done():
	case <-time.After(patience):
		require.Fail(t, "the generation goes on", "%v", gen.Committed())
	}
}

func partitions(gen grant.Generation) []int { return slices.Sorted(maps.Keys(gen.Committed())) }

func quick(c *Config) { c.SessionTimeout = 600 * time.Millisecond }

func groupKafka(t *testing.T, partitions int32, options ...kfake.Opt) *kfake.Cluster {
	return fakeKafka(t, partitions, append(options, kfake.GroupMinSessionTimeout(100*time.Millisecond))...)
}

func TestAGroupRemembersHowFarItIs(t *testing.T) {
	c := groupKafka(t, 3)
	s := newSource(t, c.ListenAddrs(), quick)
	g := join(t, s)
	gen := next(t, g)
	require.Equal(t, map[int]int64{0: -1, 1: -1, 2: -1}, gen.Committed())
	require.NoError(t, gen.Commit(map[int]int64{0: 5, 2: 7}))
	require.NoError(t, gen.Commit(map[int]int64{0: 6}))
	require.NoError(t, gen.Context().Err())
	gen.Release()
	gen = next(t, g)
	require.Equal(t, map[int]int64{0: 6, 1: -1, 2: 7}, gen.Committed())
	gen.Release()
	require.Eventually(t, func() bool { return gen.Commit(map[int]int64{0: 1}) != nil }, patience, time.Millisecond,
		"a generation that is over commits nothing")
}

func TestPartitionsMoveWhenMembersComeAndGo(t *testing.T) {
	c := groupKafka(t, 4)
	first := join(t, newSource(t, c.ListenAddrs(), quick))
	gen := next(t, first)
	require.Equal(t, []int{0, 1, 2, 3}, partitions(gen))

	second, err := newSource(t, c.ListenAddrs(), quick).Join()
	require.NoError(t, err)
	other := make(chan grant.Generation)
	go func() { other <- settle(t, second.(*Group), 2) }()
	ended(t, gen)
	select {
	case gen := <-other:
		require.Fail(t, "the first has not released its partitions", "%v", gen.Committed())
	case <-time.After(50 * time.Millisecond):
	}
	gen.Release()
	gen = settle(t, first, 2)
	theirs := <-other
	require.Equal(t, []int{0, 1, 2, 3}, slices.Sorted(slices.Values(append(partitions(gen), partitions(theirs)...))))

	theirs.Release()
	require.NoError(t, second.Leave())
	ended(t, gen)
	gen.Release()
	gen = settle(t, first, 4)
	gen.Release()
}

func TestTheOthersTakeOverFromAMemberThatVanishes(t *testing.T) {
	c := groupKafka(t, 4)
	first := join(t, newSource(t, c.ListenAddrs(), quick))
	vanishing := join(t, newSource(t, c.ListenAddrs(), quick))
	other := make(chan grant.Generation)
	go func() { other <- settle(t, vanishing, 2) }()
	gen := settle(t, first, 2)
	theirs := <-other
	vanishing.hangUp() // it can say nothing any more
	ended(t, theirs)
	ended(t, gen)
	gen.Release()
	gen = settle(t, first, 4)
	gen.Release()
	theirs.Release()
}

func TestMoreMembersThanPartitions(t *testing.T) {
	c := groupKafka(t, 1)
	var shares [2]atomic.Int64 // partitions of each member; −1 while it has no assignment
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for i := range shares {
		shares[i].Store(-1)
		g := join(t, newSource(t, c.ListenAddrs(), quick))
		work.Go(func() {
			for {
				gen, err := g.Next(ctx)
				if err != nil {
					return
				}
				shares[i].Store(int64(len(gen.Committed())))
				select {
				case <-gen.Context().Done():
				case <-ctx.Done():
				}
				shares[i].Store(-1)
				gen.Release()
			}
		})
	}
	require.Eventually(t, func() bool {
		a, b := shares[0].Load(), shares[1].Load()
		return min(a, b) == 0 && max(a, b) == 1
	}, patience, time.Millisecond)
	cancel()
	work.Wait()
}

func TestATopicThatGrowsIsDealtAgain(t *testing.T) {
	c := groupKafka(t, 2)
	g := join(t, newSource(t, c.ListenAddrs(), quick))
	gen := next(t, g)
	require.Equal(t, []int{0, 1}, partitions(gen))
	client := clientOf(t, c.ListenAddrs()...)
	resp, err := client.CreatePartitions(t.Context(), &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topicName, Count: 5}}})
	require.NoError(t, err)
	require.NoError(t, resp.Errors[topicName])
	ended(t, gen)
	gen.Release()
	gen = next(t, g)
	require.Equal(t, []int{0, 1, 2, 3, 4}, partitions(gen))
	gen.Release()
}

// Between the dealing and the first look at the topic there is time for it to grow.
func TestGrowthDuringTheDealingIsNoticed(t *testing.T) {
	c := groupKafka(t, 2)
	s := newSource(t, c.ListenAddrs(), quick)
	client := franz(t, c.ListenAddrs())
	c.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { // the leader has dealt two partitions
			req := kmsg.NewPtrCreatePartitionsRequest()
			req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: topicName, Count: 3}}
			_, err := req.RequestWith(context.Background(), client)
			if err != nil {
				panic(err)
			}
		})
		return nil, nil, false
	})
	g := join(t, s)
	gen := next(t, g)
	require.Equal(t, []int{0, 1}, partitions(gen))
	ended(t, gen)
	gen.Release()
	gen = next(t, g)
	require.Equal(t, []int{0, 1, 2}, partitions(gen))
	gen.Release()
}

func TestAGroupWithoutATopicDoesNotWaitForEver(t *testing.T) {
	c := groupKafka(t, 2)
	g := join(t, newSource(t, c.ListenAddrs(), quick, func(c *Config) { c.RetryFor = 300 * time.Millisecond }))
	gen := next(t, g)
	require.NoError(t, c.DeleteTopic(topicName))
	c.RehashCoordinators()
	ended(t, gen)
	gen.Release()
	var err error
	for err == nil { // brokers may know the topic for a moment longer
		if gen, err = g.Next(t.Context()); err == nil {
			ended(t, gen)
			gen.Release()
		}
	}
	require.ErrorIs(t, err, kafka.UnknownTopicOrPartition)
	require.ErrorContains(t, err, "topic kakaotalk-users")
}

func TestJoiningFailsAtOnceWhenWaitingDoesNotHelp(t *testing.T) {
	c := secured(t, allow(topicName, kmsg.ACLOperationRead)...)
	began := time.Now()
	g := join(t, newSource(t, c.ListenAddrs(), as("granter", "secret")))
	_, err := g.Next(t.Context())
	require.ErrorIs(t, err, kafka.GroupAuthorizationFailed)
	require.ErrorContains(t, err, "joining consumer group granter-sorry")
	g = join(t, newSource(t, c.ListenAddrs(), as("granter", "wrong")))
	_, err = g.Next(t.Context())
	require.ErrorIs(t, err, kafka.SASLAuthenticationFailed)
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestJoiningIsTriedAgain(t *testing.T) {
	c := groupKafka(t, 1)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable, Count: 2})
	seen := new(witness)
	g := join(t, newSource(t, c.ListenAddrs(), quick, func(c *Config) { c.Observer = seen }))
	next(t, g).Release()
	require.Equal(t, []string{"broker", "broker"}, seen.errors())

	g = join(t, newSource(t, []string{"127.0.0.1:1"}, func(c *Config) { c.RetryFor = time.Second }))
	began := time.Now()
	_, err := g.Next(t.Context())
	require.ErrorContains(t, err, "connection refused")
	require.Greater(t, time.Since(began), time.Second)
	require.Less(t, time.Since(began), 10*time.Second)

	g = join(t, newSource(t, []string{"127.0.0.1:1"}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = g.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// frozen accepts connections and answers nothing, as a broker whose process is stopped.
func frozen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				io.Copy(io.Discard, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	return l.Addr().String()
}

// kafka-go waits without a deadline while it authenticates.
func TestAFrozenBrokerHoldsNobodyUp(t *testing.T) {
	for name, k := range map[string]Kafka{
		"plain":              {},
		"while it logs in":   {SASL: plain.Mechanism{Username: "u", Password: "p"}},
		"while it says TLS":  {TLS: insecure()},
		"while it does both": {TLS: insecure(), SASL: plain.Mechanism{Username: "u", Password: "p"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k.Brokers, k.Timeout = []string{frozen(t)}, 300*time.Millisecond
			s, err := New(Config{
				Kafka: k, Topic: grant.Topic{Topic: topicName, Format: grant.FormatDecimal}, Group: "g", RetryFor: time.Second,
				Log: slog.New(slog.DiscardHandler),
			})
			require.NoError(t, err)
			defer s.Close()
			began := time.Now()
			g, err := s.Join()
			require.NoError(t, err)
			_, err = g.Next(t.Context())
			kind, _ := Classify(err)
			require.Equal(t, KindNetwork, kind, "%v", err)
			require.Error(t, s.Prepare(t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			if conn, err := k.dial(ctx, k.Brokers[0]); name != "plain" {
				require.ErrorIs(t, err, context.Canceled)
			} else { // there is nothing to wait for
				require.NoError(t, err)
				conn.Close()
			}
			require.NoError(t, g.Leave())
			require.Less(t, time.Since(began), patience/4)
		})
	}
}

// A broker that freezes while partitions are dealt must not keep a run from ending.
func TestLeavingDoesNotWaitForABrokerThatIsAway(t *testing.T) {
	c := groupKafka(t, 1)
	release := make(chan struct{})
	defer close(release)
	asked := make(chan struct{})
	c.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	g, err := newSource(t, c.ListenAddrs(), quick).Join()
	require.NoError(t, err)
	<-asked
	began := time.Now()
	require.NoError(t, g.Leave())
	require.Less(t, time.Since(began), leaveFor+5*time.Second)
}
