//go:build integration

package main

import (
	"encoding/json"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/preflight"
)

// check returns what granter check says in one of its results, and its exit code.
func (s *scenario) check(name string, flags ...string) (preflight.Result, int) {
	s.Helper()
	p := granter(s.T, s.command("check", append(flags, "--json")...))
	code := p.wait()
	var out struct {
		Results []preflight.Result `json:"results"`
	}
	require.NoError(s, json.Unmarshal([]byte(p.out.String()), &out), p.err.String())
	for _, r := range out.Results {
		if r.Name == name {
			return r, code
		}
	}
	require.Fail(s, "check says nothing of "+name, p.out.String())
	return preflight.Result{}, code
}

// remove deletes the records of a partition before an offset, as retention does.
func (s *scenario) remove(partition int32, before int64) {
	s.Helper()
	s.removeFrom(s.campaign.Input.Topic, partition, before)
}

func (s *scenario) removeFrom(topic string, partition int32, before int64) {
	s.Helper()
	s.asked.note("records were removed")
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
	require.NoError(s, err)
	defer client.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10_000
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{
		Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: before}},
	}}
	resp, err := req.RequestWith(s.Context(), client)
	require.NoError(s, err)
	require.Zero(s, resp.Topics[0].Partitions[0].ErrorCode)
}

// What check says of where a pass begins, and of what is gone before that, is what a run then does: with a gap that is
// accepted or not, after the group was deleted, and for a canary, which has a checkpoint of its own.
func TestCheckSaysWhatAPassWillDo(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	plan := s.users(0, 5000)
	plan.Duplicates, plan.Malformed = 0, 0
	s.publish(plan)
	s.remove(0, 3000)

	same := func(code int, flags ...string) (preflight.Result, *process) {
		t.Helper()
		gap, checked := s.check("kafka.gap", flags...)
		require.Equal(t, code, checked, gap.Detail)
		p := s.run(flags...)
		require.Equal(t, code, p.wait(), p.err.String())
		return gap, p
	}
	gap, _ := same(exitPreflight)
	require.Contains(t, gap.Advice, "--accept-gap 0:0-3000")
	same(exitPreflight, "--accept-gap=0:0-2999")
	same(exitPreflight, "--accept-gap=0:1-5000")
	require.Zero(t, s.granted())
	gap, p := same(exitOK, "--accept-gap=0:0-5000")
	require.Equal(t, preflight.Warn, gap.Status)
	require.Contains(t, gap.Detail, "--accept-gap also names 2,000 records that are there and not granted yet")
	require.EqualValues(t, 2000, p.summary().Granted)

	progress, _ := s.check("campaign.progress")
	require.Contains(t, progress.Detail, "a run has 0 records to read")
	group := "granter-" + s.campaign.Name
	resp, err := s.kafka.DeleteGroups(t.Context(), &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	require.NoError(t, err)
	require.NoError(t, resp.Errors[group])
	progress, _ = s.check("campaign.progress")
	require.Contains(t, progress.Detail, "a run has 2,000 records to read")
	again := s.finish()
	require.EqualValues(t, 2000, again.Consumed)
	require.Zero(t, again.Granted)

	// Everybody is granted. The canary has read nothing yet, and says so before it begins.
	p = s.run("--canary=50%")
	require.Equal(t, exitPreflight, p.wait(), p.err.String())
	require.Contains(t, p.err.String(), "--accept-gap 0:0-3000")
	canary := s.finish("--canary=50%", "--accept-gap=0:0-3000")
	require.EqualValues(t, 2000, canary.Consumed)
	require.Zero(t, canary.Granted)
	dry := granter(t, s.command("run", "--dry-run", "--canary=50%", "--accept-gap=0:0-3000", "--json"))
	require.Zero(t, dry.wait(), dry.err.String())

	r := s.finds(audit.RecordsGone) // who is there is granted; who was in what is gone, nobody can say
	require.Len(t, r.Findings, 1, "%+v", r.Findings)
	require.EqualValues(t, 3000, r.Findings[0].Count)
	require.Equal(t, r.Topic.Digest, r.Ledger.Digest)
}
