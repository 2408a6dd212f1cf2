//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/rejected"
	"github.com/granter/granter/grant/source"
)

// schemasOf is a registry with a schema for each format, which refers to another one, of the values, keys or headers of a topic.
func schemasOf(t *testing.T, topic string) *srfake.Registry {
	t.Helper()
	r := srfake.New()
	t.Cleanup(r.Close)
	account := func(name string) []sr.SchemaReference {
		return []sr.SchemaReference{{Name: name, Subject: name, Version: 1}}
	}
	r.SeedSchema("com.example.Account", 1, 1, sr.Schema{Schema: `{"type":"record","name":"Account","namespace":"com.example",
		"fields":[{"name":"name","type":"string"},{"name":"id","type":["null","long"]}]}`})
	r.SeedSchema("account.proto", 1, 2, sr.Schema{Type: sr.TypeProtobuf,
		Schema: `syntax = "proto3"; package com.example; message Account { string name = 1; optional int64 id = 2; }`})
	r.SeedSchema(topic+"-avro", 1, 11, sr.Schema{References: account("com.example.Account"),
		Schema: `{"type":"record","name":"User","fields":[{"name":"account","type":["null","com.example.Account"]},
			{"name":"age","type":"int"}]}`})
	r.SeedSchema(topic+"-protobuf", 1, 12, sr.Schema{Type: sr.TypeProtobuf, References: account("account.proto"),
		Schema: `syntax = "proto3"; package com.example; import "account.proto"; message Other {}
			message User { Account account = 7; }`})
	r.SeedSchema(topic+"-json_schema", 1, 13, sr.Schema{Type: sr.TypeJSON, Schema: `{"type":"object"}`})
	return r
}

// 100,000 users of a topic in each format with schemas, from each part of a record: loaded, checked, granted, proven and audited
// by the schemas that a registry has, and the bad records among them are in the dead-letter topic, each with its reason.
func TestUsersOfEveryFormatWithSchemasAreGranted(t *testing.T) {
	t.Parallel()
	redis := devtest.StartRedis(t, durable()...).Addr
	for format, from := range map[string]string{"avro": "value", "protobuf": "key", "json_schema": "header:user"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t, 4, redis)
			topic := s.campaign.Name
			r := schemasOf(t, topic)
			text := strings.Replace(fmt.Sprintf(specText, topic), "{topic: "+topic, fmt.Sprintf(
				"{topic: %s, format: %s, path: account.id, from: %q, registry: %q", topic, format, from, r.URL()), 1)
			require.NoError(t, os.WriteFile(s.spec, []byte(text), 0o600))
			var err error
			s.campaign, err = campaign.Load(s.spec)
			require.NoError(t, err)
			s.opened, err = openLedger(s.client, s.campaign, patience)
			require.NoError(t, err)

			const users, malformed = 100_000, 200
			load := granter(t, s.command("load", "--generate=100000", "--duplicates=5%", "--malformed=0.2%",
				"--subject="+topic+"-"+format))
			require.Zero(t, load.wait(), load.err.String())
			check := granter(t, s.command("check"))
			require.Zero(t, check.wait(), check.out.String())
			said := strings.Join(strings.Fields(check.out.String()), " ")
			require.Contains(t, said, "the schema registry answers: "+r.URL())
			require.Contains(t, said, map[string]string{
				"avro":        "the record User, whose field account.id is null or long",
				"protobuf":    "the message com.example.User, whose field account.id is int64",
				"json_schema": "a JSON Schema, whose field account.id is looked up in each record",
			}[format])

			summary := s.finish()
			require.EqualValues(t, users, summary.Granted)
			require.EqualValues(t, malformed, summary.Rejected)
			require.EqualValues(t, users*5/100, summary.Duplicate)
			proof, err := s.reader.Prove(t.Context())
			require.NoError(t, err)
			require.True(t, proof.Holds(), "%+v", proof)
			require.EqualValues(t, users, proof.Granted)
			listed := granter(t, s.command("rejected list", "--json"))
			require.Zero(t, listed.wait(), listed.err.String())
			var list rejected.Listing
			require.NoError(t, json.Unmarshal([]byte(listed.out.String()), &list))
			sum := int64(0)
			for _, n := range list.Reasons {
				sum += n
			}
			require.EqualValues(t, malformed, sum)
			for _, reason := range []source.Reason{source.ReasonEmpty, source.ReasonNoSchemaID, source.ReasonUnknownSchema,
				source.ReasonNoField} {
				require.Positive(t, list.Reasons[reason], "%s of %v", reason, list.Reasons)
			}
			second := granter(t, s.command("audit", "--independent"))
			require.Zero(t, second.wait(), second.out.String()+second.err.String())
			s.proven()
		})
	}
}

// A registry that goes away in the middle of a topic holds the run there, with what it read before granted; when it is back,
// the run goes on, and nobody was skipped or rejected.
func TestARunWaitsWhereTheRegistryIsAway(t *testing.T) {
	t.Parallel()
	s := newScenario(t, 1, devtest.StartRedis(t, durable()...).Addr)
	topic := s.campaign.Name
	r := srfake.New()
	defer r.Close()
	var away atomic.Bool
	r.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if away.Load() && strings.HasSuffix(req.URL.Path, "/22") {
			http.Error(w, "no upstream", http.StatusBadGateway)
			return true
		}
		return false
	})
	text := strings.Replace(fmt.Sprintf(specText, topic), "{topic: "+topic, fmt.Sprintf(
		"{topic: %s, format: avro, path: id, registry: %q", topic, r.URL()), 1)
	require.NoError(t, os.WriteFile(s.spec, []byte(text), 0o600))
	user := func(fields string) string {
		return `{"type":"record","name":"User","fields":[` + fields + `{"name":"id","type":"long"}]}`
	}
	r.SeedSchema("first", 1, 21, sr.Schema{Schema: user("")})
	r.SeedSchema("second", 1, 22, sr.Schema{Schema: user(`{"name":"name","type":"string"},`)})
	for i, subject := range []string{"first", "second"} {
		load := granter(t, s.command("load", "--generate=1000", fmt.Sprintf("--first=%d", 1000*i), "--subject="+subject))
		require.Zero(t, load.wait(), load.err.String())
	}
	away.Store(true)
	p := s.run("--force", "--why=the registry is away")
	p.awaitLog("the schema registry does not answer: this partition waits for it")
	await(t, "those before it are granted", func() bool { return s.granted() == 1000 })
	require.True(t, p.running())
	away.Store(false)
	require.Zero(t, p.wait(), p.err.String())
	require.EqualValues(t, 2000, p.summary().Granted)
	require.Zero(t, p.summary().Rejected)
	s.proven()
}
