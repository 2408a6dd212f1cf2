//go:build integration

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
)

// right is one line of an access control list.
type right struct{ resource, name, operation string }

// documentedRights are those of docs/operations.md for a run of this scenario.
func (s *scenario) documentedRights() (out []right) {
	s.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(s, err)
	rows := regexp.MustCompile("(?m)^\\| (topic|group) `([A-Z.a-z-]+)`.*? \\| `([A-Za-z ]+)` \\|").FindAllStringSubmatch(string(text), -1)
	require.Len(s, rows, 3)
	names := strings.NewReplacer("TOPIC", s.campaign.Input.Topic, "CAMPAIGN", s.campaign.Name)
	for _, row := range rows {
		for operation := range strings.FieldsSeq(row[3]) {
			out = append(out, right{row[1], names.Replace(row[2]), operation})
		}
	}
	return out
}

func (s *scenario) entry(r right) (e kafka.ACLEntry) {
	s.Helper()
	e = kafka.ACLEntry{
		ResourceName: r.name, ResourcePatternType: kafka.PatternTypeLiteral, Principal: "User:" + devtest.GuestUser, Host: "*",
		PermissionType: kafka.ACLPermissionTypeAllow,
	}
	require.NoError(s, e.ResourceType.UnmarshalText([]byte(r.resource)))
	require.NoError(s, e.Operation.UnmarshalText([]byte(r.operation)))
	return e
}

func (s *scenario) allow(list ...right) {
	s.Helper()
	req := &kafka.CreateACLsRequest{}
	for _, r := range list {
		req.ACLs = append(req.ACLs, s.entry(r))
	}
	resp, err := s.kafka.CreateACLs(s.Context(), req)
	require.NoError(s, err)
	for _, err := range resp.Errors {
		require.NoError(s, err)
	}
}

func (s *scenario) forbid(r right) {
	s.Helper()
	e := s.entry(r)
	resp, err := s.kafka.DeleteACLs(s.Context(), &kafka.DeleteACLsRequest{Filters: []kafka.DeleteACLsFilter{{
		ResourceTypeFilter: e.ResourceType, ResourceNameFilter: e.ResourceName, ResourcePatternTypeFilter: e.ResourcePatternType,
		PrincipalFilter: e.Principal, HostFilter: e.Host, Operation: e.Operation, PermissionType: e.PermissionType,
	}}})
	require.NoError(s, err)
	require.Len(s, resp.Results, 1)
	require.NoError(s, resp.Results[0].Error)
	require.Len(s, resp.Results[0].MatchingACLs, 1)
}

// The rights of the runbook are enough for a run, and preflight notices each one that is lacking.
func TestDocumentedKafkaRights(t *testing.T) {
	t.Parallel()
	k := devtest.StartKafka(t, devtest.KafkaOptions{SASL: true})
	s := newScenarioOn(t, k, 2, devtest.StartRedis(t, durable()...).Addr)
	s.publish(s.users(0, 10_000))
	s.brokers = k.SASLBrokers
	s.env = append(s.env, "GRANTER_KAFKA_SASL=plain", "GRANTER_KAFKA_USER="+devtest.GuestUser, "GRANTER_KAFKA_PASSWORD="+devtest.GuestPassword)
	all := s.documentedRights()
	s.allow(all...)
	checks := func(want int, says string) (out string) {
		s.Helper()
		await(t, says, func() bool { // brokers learn of rights a moment later
			p := granter(t, s.command("check"))
			out = p.out.String()
			return p.wait() == want && strings.Contains(strings.Join(strings.Fields(out), " "), says)
		})
		return out
	}
	require.NotContains(t, checks(exitOK, "pass kafka.rights"), "unknown", "nothing is hidden from preflight")
	for _, r := range all {
		s.forbid(r)
		switch {
		case r.operation == "DescribeConfigs" && r.name == s.campaign.Input.Topic:
			checks(exitOK, "warn kafka.retention")
		case r.operation == "DescribeConfigs":
		case r.operation == "Create":
			checks(exitPreflight, "fail kafka.rejected")
		case r.resource == "topic" && r.name == s.campaign.Input.Topic:
			checks(exitPreflight, "fail kafka.topic")
		case r.resource == "group":
			checks(exitPreflight, "fail kafka.group")
		default:
			checks(exitPreflight, r.operation+" on topic "+r.name)
		}
		s.allow(r)
	}
	checks(exitOK, "pass kafka.rights")
	s.finish()
	s.brokers = k.Brokers
	s.exactlyOnce()
}

// Create alone does not say whether the dead-letter topic may be seen and written.
func TestRightsOfADeadLetterTopicThatDoesNotExist(t *testing.T) {
	t.Parallel()
	k := devtest.StartKafka(t, devtest.KafkaOptions{SASL: true})
	s := newScenarioOn(t, k, 1, devtest.StartRedis(t, durable()...).Addr)
	s.asked.unauditable("it is refused before any grant")
	s.put("1", "oops", "3", "4")
	s.brokers = k.SASLBrokers
	s.env = append(s.env, "GRANTER_KAFKA_SASL=plain", "GRANTER_KAFKA_USER="+devtest.GuestUser, "GRANTER_KAFKA_PASSWORD="+devtest.GuestPassword)
	for _, r := range s.documentedRights() {
		if r.operation != "Write" {
			s.allow(r)
		}
	}
	await(t, "preflight names the rights", func() bool {
		p := granter(t, s.command("check"))
		return p.wait() == exitPreflight &&
			strings.Contains(strings.Join(strings.Fields(p.out.String()), " "), "may not Describe, Write on topic "+s.campaign.Input.Topic+".rejected")
	})
}

// Kafka takes no two topics whose names differ in dots and underscores only.
func TestADeadLetterTopicWhoseNameIsTaken(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	s.put("1", "oops", "3", "4")
	taken := s.campaign.Input.Topic + "_rejected"
	devtest.SharedKafka(t).CreateTopic(t, taken, 1, 1, nil)
	check := granter(t, s.command("check"))
	require.Equal(t, exitPreflight, check.wait())
	require.Contains(t, check.out.String(), "dead_letters: NAME")
	run := granter(t, s.command("run", "--force", "--why=a test", "--listen=off"))
	require.Equal(t, exitFailed, run.wait())
	require.Contains(t, run.err.String(), "source.dead_letters")

	s.respec("max_rejected: 50%, dead_letters: " + s.campaign.Input.Topic + "_letters")
	require.Zero(t, granter(t, s.command("check")).wait())
	s.finish()
	require.EqualValues(t, 1, s.ends(s.campaign.Input.Topic + "_letters")[0])
	s.proven()
}
