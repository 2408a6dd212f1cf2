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
	t.Cleanup(func() {
		if t.Failed() {
			gen.(*Generation).cancel()
			select {
			case <-gen.(*Generation).released:
			default:
				gen.Release() // or leaving would wait for ever
			}
		}
	})
	return gen
}

// member is a process of the group that takes what it is given, and gives it back when the group changes.
type member struct {
	*Group
	share atomic.Pointer[[]int] // its partitions; nil between two generations
	leave func()                // in an orderly way; once
}

func follow(t *testing.T, g *Group) *member {
	t.Helper()
	m := &member{Group: g}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			gen, err := g.Next(ctx)
			if err != nil {
				return
			}
			have := partitions(gen)
			m.share.Store(&have)
			select {
			case <-gen.Context().Done():
			case <-ctx.Done():
			}
			m.share.Store(nil)
			gen.Release()
		}
	})
	m.leave = sync.OnceFunc(func() {
		cancel()
		work.Wait()
		require.NoError(t, g.Leave())
	})
	t.Cleanup(m.leave)
	return m
}

// shared waits until some members share all partitions as told.
func shared(t *testing.T, members []*member, sizes ...int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var got, all []int
		for _, m := range members {
			share := m.share.Load()
			if share == nil {
				return false
			}
			got = append(got, len(*share))
			all = append(all, *share...)
		}
		slices.Sort(got)
		slices.Sort(all)
		return slices.Equal(got, sizes) && len(slices.Compact(all)) == len(all)
	}, patience, time.Millisecond)
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

func groupKafka(t *testing.T, partitions int32) *kfake.Cluster {
	return fakeKafka(t, partitions, kfake.GroupMinSessionTimeout(100*time.Millisecond))
}

func TestAGroupRemembersHowFarItIs(t *testing.T) {
	c := groupKafka(t, 3)
	s := newSource(t, c.ListenAddrs(), quick)
	g := join(t, s)
	gen := next(t, g)
	require.Equal(t, grant.Offsets{0: -1, 1: -1, 2: -1}, gen.Committed())
	require.NoError(t, gen.Commit(grant.Offsets{0: 5, 2: 7}))
	require.NoError(t, gen.Commit(grant.Offsets{0: 6}))
	require.NoError(t, gen.Context().Err())
	gen.Release()
	gen = next(t, g)
	require.Equal(t, grant.Offsets{0: 6, 1: -1, 2: 7}, gen.Committed())
	gen.Release()
	require.Eventually(t, func() bool { return gen.Commit(grant.Offsets{0: 1}) != nil }, patience, time.Millisecond,
		"a generation that is over commits nothing")
}

func TestPartitionsMoveWhenMembersComeAndGo(t *testing.T) {
	c := groupKafka(t, 4)
	first := join(t, newSource(t, c.ListenAddrs(), quick))
	gen := next(t, first)
	require.Equal(t, []int{0, 1, 2, 3}, partitions(gen))

	second := follow(t, join(t, newSource(t, c.ListenAddrs(), quick)))
	ended(t, gen)
	require.Nil(t, second.share.Load(), "the first has not released its partitions")
	gen.Release()
	both := []*member{follow(t, first), second}
	shared(t, both, 2, 2)
	second.leave()
	shared(t, both[:1], 4)
}

func TestTheOthersTakeOverFromAMemberThatVanishes(t *testing.T) {
	c := groupKafka(t, 4)
	both := []*member{follow(t, join(t, newSource(t, c.ListenAddrs(), quick))),
		follow(t, join(t, newSource(t, c.ListenAddrs(), quick)))}
	shared(t, both, 2, 2)
	both[1].hangUp() // it can say nothing any more
	shared(t, both[:1], 4)
	require.Nil(t, both[1].share.Load(), "and notices")
}

func TestMoreMembersThanPartitions(t *testing.T) {
	c := groupKafka(t, 1)
	both := []*member{follow(t, join(t, newSource(t, c.ListenAddrs(), quick))),
		follow(t, join(t, newSource(t, c.ListenAddrs(), quick)))}
	shared(t, both, 0, 1)
	both[0].leave()
	shared(t, both[1:], 1)
}

func TestATopicThatGrowsIsDealtAgain(t *testing.T) {
	c := groupKafka(t, 2)
	g := join(t, newSource(t, c.ListenAddrs(), quick))
	gen := next(t, g)
	require.Equal(t, []int{0, 1}, partitions(gen))
	client := clientOf(t, c.ListenAddrs()...)
	resp, err := client.CreatePartitions(t.Context(),
		&kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topicName, Count: 5}}})
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
	g := join(t, newSource(t, c.ListenAddrs(), as("secret"), forever))
	_, err := g.Next(t.Context())
	require.ErrorIs(t, err, kafka.GroupAuthorizationFailed)
	require.ErrorContains(t, err, "joining consumer group granter-sorry")
	g = join(t, newSource(t, c.ListenAddrs(), as("wrong"), forever))
	_, err = g.Next(t.Context())
	require.ErrorIs(t, err, kafka.SASLAuthenticationFailed)
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
	t.Parallel()
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
				Kafka: k, Topic: grant.Input{Topic: topicName, Format: grant.FormatDecimal}, Pass: grant.Pass{Group: "g"},
				RetryFor: time.Second,
				Log:      slog.New(slog.DiscardHandler),
			})
			require.NoError(t, err)
			defer s.Close()
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
		})
	}
}

// A broker that freezes while partitions are dealt must not keep a run from ending.
func TestLeavingDoesNotWaitForABrokerThatIsAway(t *testing.T) {
	t.Parallel()
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
	require.NoError(t, g.Leave()) // although the broker is released only after this
}
