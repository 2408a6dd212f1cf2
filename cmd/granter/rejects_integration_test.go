//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/campaign"
)

// respec writes another spec for the scenario: its campaign, with these fields of source besides the topic's name.
func (s *scenario) respec(source string) {
	s.Helper()
	name := s.campaign.Name
	text := fmt.Sprintf("campaign: %s\ntitle: A test\nstarts_at: 2023-01-05T00:00:00+09:00\nsource: {topic: %s, %s}\n"+
		"items: [{id: thank-you, kind: emoticon, validity: permanent}]\n", name, s.campaign.Input.Topic, source)
	require.NoError(s, os.WriteFile(s.spec, []byte(text), 0o600))
	var err error
	s.campaign, err = campaign.Load(s.spec)
	require.NoError(s, err)
	s.opened, err = openLedger(s.client, s.campaign, patience)
	require.NoError(s, err)
}

// put publishes values to partition 0, as they are.
func (s *scenario) put(values ...string) {
	s.Helper()
	s.asked.note("records were published")
	list := make([]kafka.Record, len(values))
	await(s.T, "the topic takes records", func() bool { // its leader may not know yet that it is one
		for i, v := range values {
			list[i].Value = kafka.NewBytes([]byte(v))
		}
		resp, err := s.kafka.Produce(s.Context(), &kafka.ProduceRequest{
			Topic: s.campaign.Input.Topic, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(list...),
		})
		return err == nil && resp.Error == nil
	})
}

// numbered is a prefix with numbers behind it.
func numbered(prefix string, from, until int) []string {
	var out []string
	for i := from; i < until; i++ {
		out = append(out, fmt.Sprint(prefix, i))
	}
	return out
}

// Whoever asks whether a run would stop, and the run itself, judge by one rule.
func TestRejectedRecordsAreJudgedByOneRule(t *testing.T) {
	t.Parallel()
	r := devtest.StartRedis(t, durable()...)
	for _, c := range []struct {
		name, limit string
		rejected    int
		stops       bool
		granted     int64
	}{
		{"none", "0%", 0, false, 30},
		{"the first", "0%", 5, true, 20},
		{"too few for a share", "1%", 5, false, 30},
		{"a flood", "1%", 1500, true, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t, 1, r.Addr)
			s.respec("max_rejected: " + c.limit)
			s.put(numbered("20", 10, 30)...)
			if c.rejected > 0 {
				s.put(numbered("oops", 0, c.rejected)...)
			}
			s.put(numbered("30", 10, 20)...)

			dry, check := granter(t, s.command("run", "--dry-run")), granter(t, s.command("check"))
			run := granter(t, s.command("run", "--force", "--why=a test", "--listen=off"))
			if !c.stops {
				require.Zero(t, dry.wait(), dry.out.String())
				require.Zero(t, check.wait(), check.out.String())
				require.Zero(t, run.wait(), run.err.String())
				require.Equal(t, c.granted, s.granted())
				s.proven()
				return
			}
			require.Equal(t, exitPreflight, dry.wait(), dry.out.String())
			require.Contains(t, dry.out.String(), "too many rejected records")
			require.Equal(t, exitPreflight, check.wait(), check.out.String())
			require.Equal(t, exitFailed, run.wait(), run.err.String())
			require.Contains(t, run.err.String(), s.campaign.Input.Topic+".rejected has samples")
			stored := 0
			for _, end := range s.ends(s.campaign.Input.Topic + ".rejected") {
				stored += int(end)
			}
			require.Positive(t, stored, "samples are where the message says")
			require.LessOrEqual(t, stored, 100)
			if c.limit == "0%" {
				require.Equal(t, c.granted, s.granted(), "those before the first rejected record")
				require.EqualValues(t, 20, s.checkpoint()[0])
			}
			var status struct {
				Samples []json.RawMessage `json:"samples"`
			}
			require.NoError(t, json.Unmarshal([]byte(granter(t, s.command("status", "--json")).out.String()), &status))
			require.NotEmpty(t, status.Samples)
			granted := s.granted()
			require.Equal(t, granted, s.finds(audit.NotComplete).Ledger.Granted)
		})
	}
}

// A canary stores no rejected records, and says where samples are all the same.
func TestACanarySaysWhereSamplesAre(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	s.respec("max_rejected: 0%")
	s.put("1", "oops", "3")
	p := granter(t, s.command("run", "--canary=100%", "--force", "--why=a test", "--listen=off"))
	require.Equal(t, exitFailed, p.wait(), p.err.String())
	require.Contains(t, p.err.String(), "granter status --json has samples")
	var status struct {
		Samples []json.RawMessage `json:"samples"`
	}
	require.NoError(t, json.Unmarshal([]byte(granter(t, s.command("status", "--json")).out.String()), &status))
	require.Len(t, status.Samples, 1)
	s.finds(audit.NotComplete)
}

// Support says what records meant that held no user ID, and their users are granted: once, however often that is done.
func TestRejectedRecordsAreRepairedAndReplayedOnce(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	s.respec("max_rejected: 100%")
	s.put("1", " 2", "minji", "3", "0x4", "1 ")
	require.Zero(t, s.run().wait())
	command := func(code int, name string, flags ...string) string {
		t.Helper()
		p := granter(t, s.command("rejected "+name, flags...))
		require.Equal(t, code, p.wait(), p.err.String())
		return p.out.String() + p.err.String()
	}
	require.Contains(t, command(exitOK, "list"), "4 rejected records")
	require.Contains(t, command(exitOK, "show", "0/2"), `value: "minji"`)
	require.Contains(t, command(exitUsage, "replay", "--command=true"), "say why")
	trim := []string{"--command=tr -d ' '", "--reason=space"}
	require.Contains(t, command(exitOK, "replay", append(trim, "--dry-run")...),
		"1 would be granted, 1 whose users had it before")
	require.EqualValues(t, 2, s.granted())
	for range 2 {
		command(exitOK, "replay", append(trim, "--why=a test", "--json")...)
	}
	mapping := filepath.Join(t.TempDir(), "map.csv")
	require.NoError(t, os.WriteFile(mapping, []byte("minji,70000\n"), 0o600))
	require.Contains(t, command(exitOK, "replay", "--map="+mapping, "--why=SUP-77"),
		"4 rejected records: 1 granted, 0 whose users had it before, 2 replayed before, 1 still bad\nstill bad: not_mapped 1")
	require.EqualValues(t, 4, s.granted())

	status := granter(t, s.command("status", "--prove"))
	require.Zero(t, status.wait(), status.out.String()+status.err.String())
	require.Contains(t, status.out.String(), "2 rejected records granted their users, those of 1 had it before")
	require.Contains(t, granter(t, s.command("verify", "70000")).out.String(), "partition 0")
	require.Contains(t, granter(t, s.command("history")).out.String(), "SUP-77")
	require.Zero(t, s.finish().Consumed, "a run has nothing to do with it")

	// Retention takes the letters, and somebody the whole topic: an audit names what is lost, and it is written again.
	s.proven()
	s.removeFrom(s.campaign.Input.DeadLetterTopic(), 0, 3)
	r := s.finds(audit.LettersGone)
	require.Equal(t, []string{"0/1", "0/2", "0/4"}, r.Findings[0].Users)
	require.Contains(
		t,
		command(exitOK, "recover", "--dry-run"),
		"1 dead letters were in "+s.campaign.Input.DeadLetterTopic()+"; 3 are lost",
	)
	require.Equal(t, audit.NotProven, s.audit().Verdict, "a dry run writes nothing")
	require.Contains(t, command(exitOK, "recover"), "3 were lost, and are written again")
	s.proven()
	require.Contains(t, command(exitOK, "show", "0/2"), "replayed: user 70000: granted")
	require.Contains(t, command(exitOK, "recover"), "4 dead letters were in "+s.campaign.Input.DeadLetterTopic()+"; 0 were lost")
	dead := s.campaign.Input.DeadLetterTopic()
	gone, err := s.kafka.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{dead}})
	require.NoError(t, err)
	require.NoError(t, gone.Errors[dead])
	await(t, "the audit sees that the topic is gone", func() bool { return s.audit().Verdict == audit.Refuted })
	require.Contains(t, command(exitOK, "recover"), "0 dead letters were in "+dead+"; 4 were lost, and are written again")
	require.Contains(t, command(exitOK, "list"), "4 rejected records")
	s.proven()
}
