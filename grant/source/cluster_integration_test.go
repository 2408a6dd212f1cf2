//go:build integration

package source

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// held reads a partition whose source stops after a third until the test lets it go on.
//
//nolint:unparam // says what is held back
func held(t *testing.T, k *devtest.Kafka, topic string, until int64) (*reading, *gate) {
	t.Helper()
	g := &gate{at: until / 3, reached: make(chan struct{}), open: make(chan struct{})}
	s := newSource(t, k.Brokers, on(topic), func(c *Config) {
		c.Observer, c.FetchMemory, c.Kafka.Timeout = g, 1, 2*time.Second
	})
	r := read(t, s, 0, 0, until)
	select {
	case <-g.reached:
	case <-time.After(patience):
		require.Fail(t, "the partition does not come to its middle")
	}
	return r, g
}

func TestRealClusterIsReadOnWhenItsBrokersFail(t *testing.T) {
	devtest.EachKafka(t, realClusterIsReadOnWhenItsBrokersFail)
}

// clusters limits how many there are at a time: each is three brokers.
var clusters = make(chan struct{}, 2)

func startCluster(t *testing.T) *devtest.Kafka {
	t.Helper()
	clusters <- struct{}{}
	t.Cleanup(func() { <-clusters })
	return devtest.StartKafka(t, devtest.KafkaOptions{Brokers: 3})
}

func realClusterIsReadOnWhenItsBrokersFail(t *testing.T) {
	const n = 60_000
	k := startCluster(t)
	k.CreateTopic(t, "moving", 1, 3, map[string]string{"min.insync.replicas": "1"})
	k.CreateTopic(t, "lone", 1, 1, nil)
	for _, topic := range []string{"moving", "lone"} {
		produce(t, k.Brokers, userRecords(topic, 0, n)...)
	}
	all := users(0, n)
	follower := func() int { return 1 + k.Leader(t, "moving", 0)%2 } // not broker 0, the only controller, and not the leader

	t.Run("the leader moves", func(t *testing.T) {
		r, g := held(t, k, "moving", n)
		k.MoveLeader(t, "moving", 0, follower())
		close(g.open)
		r.requireUsers(n, all...)
		require.Contains(t, g.errors(), string(KindLeader))
		proven(t, k, "moving", func() { k.MoveLeader(t, "moving", 0, follower()) })
	})
	t.Run("the leader is killed", func(t *testing.T) {
		k.MoveLeader(t, "moving", 0, 1)
		r, g := held(t, k, "moving", n)
		k.Kill(1)
		close(g.open)
		r.requireUsers(n, all...)
		require.Contains(t, g.errors(), string(KindNetwork))
		k.Restart(1)
	})
	t.Run("the leader freezes", func(t *testing.T) {
		k.MoveLeader(t, "moving", 0, 2)
		r, g := held(t, k, "moving", n)
		k.Freeze(2)
		close(g.open)
		r.requireUsers(n, all...)
		k.Resume(2)
	})
	for name, restart := range map[string]func(){
		"is restarted":            func() { k.Stop(1); k.Restart(1) },
		"is killed and restarted": func() { k.Kill(1); k.Restart(1) },
	} {
		t.Run("the only replica "+name, func(t *testing.T) {
			k.MoveLeader(t, "lone", 0, 1)
			r, g := held(t, k, "lone", n)
			restart()
			close(g.open)
			r.requireUsers(n, all...)
		})
	}
	t.Run("the only replica stays away", func(t *testing.T) {
		k.MoveLeader(t, "lone", 0, 1)
		r, g := held(t, k, "lone", n)
		k.Kill(1)
		close(g.open)
		require.Eventually(t, func() bool { return len(g.errors()) > 3 }, patience, time.Millisecond)
		r.cancel()
		p, err := r.end()
		require.NoError(t, err)
		require.Less(t, p.Next, int64(n))
		require.Equal(t, offsetsOf(users(0, p.Next)), r.ids(), "the position is where the users end")
		k.Restart(1)
	})
}

func TestRealClusterGroupSurvivesItsCoordinator(t *testing.T) {
	devtest.EachKafka(t, realClusterGroupSurvivesItsCoordinator)
}

func realClusterGroupSurvivesItsCoordinator(t *testing.T) {
	k := startCluster(t)
	k.CreateTopic(t, "group", 4, 3, nil)
	short := func(c *Config) { c.SessionTimeout, c.Kafka.Timeout = time.Second, 2*time.Second }
	both := []*member{
		follow(t, join(t, newSource(t, k.Brokers, on("group"), short))),
		follow(t, join(t, newSource(t, k.Brokers, on("group"), short))),
	}
	shared(t, both, 2, 2)
	for i := range 2 { // one of them may lead the group's partition of the offsets topic
		k.Kill(1 + i)
		shared(t, both, 2, 2)
		k.Restart(1 + i)
	}
	k.Freeze(0)
	k.Resume(0)
	shared(t, both, 2, 2)
}
