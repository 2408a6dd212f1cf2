//go:build integration

package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/audit"
)

const oldSpec = `campaign: old-dump
title: Ledger of an older version
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: olddump, format: decimal}
items:
  - {id: permanent, kind: emoticon, validity: permanent}
  - {id: ninety, kind: emoticon, validity: 90d}
`

// oldRecords are those of the campaign that granter 0c10d32 granted, by partition: 300,000 users, 6,000 of them twice, 300
// records without a user. Which of them was where nobody knows any more; how many were, the checkpoint does.
func oldRecords() (out []*kgo.Record) {
	values := make([]string, 0, 306_300)
	for i := range 300_000 {
		values = append(values, strconv.Itoa(i))
		if i%50 == 0 {
			values = append(values, strconv.Itoa(i))
		}
		if i%1000 == 0 {
			values = append(values, fmt.Sprint("no user ", i))
		}
	}
	for partition, count := range []int{74683, 21790, 96348, 113479} {
		for _, value := range values[:count] {
			out = append(out, &kgo.Record{Topic: "olddump", Partition: int32(partition), Value: []byte(value)})
		}
		values = values[count:]
	}
	return out
}

// restored is a Redis with what an older granter left in it, beside a topic of these records.
func restored(t *testing.T, revision, spec string, records []*kgo.Record) (*kept, *kgo.Client) {
	t.Helper()
	server := devtest.StartRedis(t)
	server.Stop()
	dump, err := os.ReadFile("../../grant/ledger/testdata/" + revision + ".rdb")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(server.Dir, "dump.rdb"), dump, 0o600))
	server.Restart()
	kafka := devtest.SharedKafka(t)
	kafka.CreateTopic(t, records[0].Topic, 4, 1, nil)
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())

	k := &kept{T: t, name: records[0].Topic, brokers: kafka.Brokers}
	k.env = []string{"GRANTER_BROKERS=" + kafka.Brokers[0], "GRANTER_REDIS=" + server.Addr, "GRANTER_LISTEN=off"}
	k.open(server.Addr)
	require.NoError(t, os.WriteFile(k.file("spec.yaml"), []byte(spec), 0o600))
	return k, client
}

// A finished campaign as granter 0c10d32 left it, beside a topic that it may have read: what is not there any more is named (its
// dead letters), written again, and then the audit proves; also when a user was planted, repaired, and more users came.
func TestALedgerOf0c10d32IsAudited(t *testing.T) {
	t.Parallel()
	k, client := restored(t, "0c10d32", oldSpec, oldRecords())
	said := k.ends(exitRefuted, "audit", "--complete")
	require.Contains(t, said, "REJECTED_UNKEPT")
	require.Contains(t, k.ends(exitOK, "rejected recover"), "300 were lost, and are written again")
	r := k.proven()
	require.EqualValues(t, 300_000, r.Ledger.Granted)
	require.EqualValues(t, 306_300, r.Topic.Records)

	late := &kgo.Record{Topic: "olddump", Partition: 1, Value: []byte("7777777")}
	require.NoError(t, client.ProduceSync(t.Context(), late).FirstErr())
	k.does(nil, "run", "--allow-volatile")
	require.NoError(t, k.client.SetBit(t.Context(), "granter:{old-dump/0}:granted", 7, 0).Err())
	k.ends(exitRefuted, "audit", "--complete", "--ids", k.file("found.csv"))
	found, err := os.ReadFile(k.file("found.csv"))
	require.NoError(t, err)
	require.Equal(t, "kind,user\n"+string(audit.EntryOnly)+",7\n", string(found))
	k.ends(exitOK, "reconcile", "--why=a test", k.file("found.csv"))
	r = k.proven()
	require.EqualValues(t, 300_001, r.Ledger.Granted)
	require.Equal(t, audit.Proven, k.independent().Verdict)
}

// independent is what the other reader says.
func (k *kept) independent() (r audit.Report) {
	k.Helper()
	k.does(&r, "audit", "--complete", "--independent", "--json")
	k.asked.audited()
	return r
}

const oldUUIDs = `campaign: old-uuids
title: Ledger of UUIDs of an older version
starts_at: 2023-01-05T00:00:00+09:00
population: 3000
source: {topic: olduuids, id: uuid, max_rejected: 50%}
items:
  - {id: permanent, kind: emoticon, validity: permanent}
  - {id: ninety, kind: emoticon, validity: 90d}
`

func oldUUID(i int) string {
	s := sha256.Sum256(fmt.Appendf(nil, "old user %d", i))
	return fmt.Sprintf("%x-%x-%x-%x-%x", s[:4], s[4:6], s[6:8], s[8:10], s[10:16])
}

// A finished campaign of UUIDs as granter c9cd6fb left it, whose topic was copied to another cluster: that is said, and a run
// from its first record finds everybody granted but those who came since. People do what c9cd6fb could not, and it is audited.
func TestALedgerOfUUIDsOfC9cd6fbIsAudited(t *testing.T) {
	t.Parallel()
	var records []*kgo.Record
	add := func(partition int, value string) {
		records = append(records, &kgo.Record{Topic: "olduuids", Partition: int32(partition % 4), Value: []byte(value)})
	}
	for i := range 3000 {
		add(i, oldUUID(i))
		if i%50 == 0 {
			add(i+1, "{"+strings.ToUpper(oldUUID(i))+"}")
		}
		if i%100 == 0 {
			add(i, fmt.Sprint("no user ", i))
		}
	}
	add(3000, oldUUID(3000))
	k, _ := restored(t, "c9cd6fb", oldUUIDs, records)
	require.Contains(t, k.ends(exitPreflight, "run", "--allow-volatile"), "--new-topic")
	k.does(nil, "run", "--allow-volatile", "--new-topic", "--why=it was copied")
	k.does(nil, "revoke", "--kind=mistake", "--reason=a test", oldUUID(7))
	require.Contains(t, k.ends(exitOK, "verify", oldUUID(7)), "revoked")
	var r audit.Report
	p := granter(t, k.line("audit", "--complete", "--json"))
	require.Equal(t, exitNotProven, p.wait(), p.err.String())
	require.NoError(t, json.Unmarshal([]byte(p.out.String()), &r))
	require.EqualValues(t, 3001, r.Ledger.Granted)
	require.Equal(t, r.Topic.Digest, r.Ledger.Digest)
	require.Len(t, r.Findings, 1)
	require.Equal(t, audit.TopicChanged, r.Findings[0].Kind, "what the old topic held is proven by audits of then")
	k.asked.audited()
}
