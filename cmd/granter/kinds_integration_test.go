//go:build integration

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/deploy/dev/devtest"
)

// memberID is a UUID, as groups of the newer kinds want it: the member makes it.
const memberID = "4o3AF_-fTHKOUdKZxjpXbQ"

// A group name may be in use by something that no granter can join. Preflight says what it is, and so does, at once, a run that
// nobody stops; and where there is nothing in the way, both say so, too.
func TestGroupsOfEveryKind(t *testing.T) { //nolint:tparallel // the group's name is of one kind after the other
	t.Parallel()
	k := devtest.StartKafka(t, devtest.KafkaOptions{
		Version: devtest.NewestKafka, Features: []string{"share.version=1", "streams.version=1"},
		Props: map[string]string{
			"unstable.api.versions.enable": "true", "unstable.feature.versions.enable": "true", // streams groups
			"group.coordinator.rebalance.protocols": "classic,consumer,share,streams",
		},
	})
	s := newScenarioOn(t, k, 1, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 1000))
	for _, c := range []struct {
		name string
		join func(g *groups, epoch int32) // −1 leaves
		says string                       // empty: it can be joined
		left string                       // the same when the member has left
	}{
		{"consumers of KIP-848", (*groups).consumer, "belongs to consumers of the new protocol (KIP-848, group.protocol=consumer)", ""},
		{"a share group", (*groups).share, "is a share group", "is a share group"},
		{"connectors", (*groups).connect, "is a group of connect, not of consumers", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers...))
			require.NoError(t, err)
			defer client.Close()
			g := &groups{T: t, client: client, name: strings.ReplaceAll(c.name, " ", "-"), topic: s.campaign.Input.Topic}
			c.join(g, 0)
			s.requireJoins(g.name, c.says)
			c.join(g, -1)
			s.requireJoins(g.name, c.left)
		})
	}
	s.exactlyOnce()
}

// requireJoins checks that preflight and a run say why a group cannot be joined; empty: they join it.
func (s *scenario) requireJoins(group, says string) {
	s.Helper()
	check := granter(s.T, s.command("check", "--group="+group))
	run := granter(s.T, s.command("run", "--group="+group, "--listen=off", "--force", "--why=a test", "--retry-for=1m"))
	if says == "" {
		require.Zero(s, check.wait(), check.out.String())
		require.Zero(s, run.wait(), run.err.String())
		return
	}
	require.Equal(s, exitPreflight, check.wait(), check.out.String())
	require.Contains(s, strings.Join(strings.Fields(check.out.String()), " "), "fail kafka.group "+group+" "+says)
	require.Equal(s, exitFailed, run.wait(), run.err.String())
	require.Contains(s, tail(run.err.String(), 1), "group "+group+" "+says)
	require.NotContains(s, run.err.String(), "trying again", "it fails at once")
}

// groups makes a member of a group, or makes it leave.
type groups struct {
	*testing.T
	client      *kgo.Client
	name, topic string
	member      string // that a coordinator named
}

// request asks the group's coordinator, and again while it is not there yet.
func (g *groups) request(q kmsg.Request, code func(kmsg.Response) int16) {
	g.Helper()
	await(g.T, "the coordinator answers", func() bool {
		ctx, cancel := context.WithTimeout(g.Context(), patience)
		defer cancel()
		answer, err := g.client.Request(ctx, q)
		if err == nil {
			err = kerr.ErrorForCode(code(answer))
		}
		if kerr.IsRetriable(err) {
			return false
		}
		require.NoError(g, err)
		return true
	})
}

func (g *groups) consumer(epoch int32) {
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Group, q.MemberID, q.MemberEpoch = g.name, memberID, epoch
	q.RebalanceTimeoutMillis, q.SubscribedTopicNames, q.Topics = 60_000, []string{g.topic}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	g.request(q, func(r kmsg.Response) int16 { return r.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode })
}

func (g *groups) share(epoch int32) {
	q := kmsg.NewPtrShareGroupHeartbeatRequest()
	q.GroupID, q.MemberID, q.MemberEpoch, q.SubscribedTopicNames = g.name, memberID, epoch, []string{g.topic}
	g.request(q, func(r kmsg.Response) int16 { return r.(*kmsg.ShareGroupHeartbeatResponse).ErrorCode })
}

// connect makes a member of the classic protocol with other contents, as Kafka Connect does.
func (g *groups) connect(epoch int32) {
	if epoch < 0 {
		q := kmsg.NewPtrLeaveGroupRequest()
		q.Group, q.Members = g.name, []kmsg.LeaveGroupRequestMember{{MemberID: g.member}}
		g.request(q, func(r kmsg.Response) int16 { return r.(*kmsg.LeaveGroupResponse).ErrorCode })
		return
	}
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis, q.ProtocolType = g.name, 60_000, 60_000, "connect"
	q.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "sessioned"}}
	g.request(q, func(r kmsg.Response) int16 {
		answer := r.(*kmsg.JoinGroupResponse)
		if kerr.ErrorForCode(answer.ErrorCode) == kerr.MemberIDRequired { //nolint:errorlint // it is a code
			q.MemberID = answer.MemberID
			return kerr.CoordinatorLoadInProgress.Code // so that it is asked again
		}
		g.member = answer.MemberID
		return answer.ErrorCode
	})
}
