// Package audittest ends tests of a failure with what matters: a whole run grants the topic that went through it, and an audit
// proves that, by granter's own reader and by another one.
package audittest

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/audit/franz"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/engine"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/metrics"
	"github.com/granter/granter/sharding"
	"github.com/granter/granter/sharding/dense"
)

const patience = time.Minute

// Spec is that of a campaign of decimal IDs, whose name is that of its topic.
func Spec(topic string) string {
	return fmt.Sprintf(`campaign: %[1]s
title: Audited
starts_at: 2023-01-05T00:00:00+09:00
source: {topic: %[1]s, max_rejected: 100%%}
items: [{id: thing, kind: item, validity: permanent}]
`, topic)
}

// World is a topic and a ledger, on real servers.
type World struct {
	*testing.T
	Campaign *grant.Campaign
	Client   redis.UniversalClient
	kafka    source.Kafka
}

// New makes the world of a spec; the topic is there already. More than one address of Redis is a cluster.
func New(t *testing.T, brokers, redisAddrs []string, spec string) *World {
	t.Helper()
	w := &World{T: t, kafka: source.Kafka{Brokers: brokers, Timeout: 2 * time.Second}}
	var err error
	w.Campaign, err = campaign.Parse("test", []byte(spec))
	require.NoError(t, err)
	w.Client, err = ledger.Connect(ledger.Options{Addrs: redisAddrs, Cluster: len(redisAddrs) > 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Client.Close()) })
	return w
}

// Proven requires that an audit proves that everybody of the topic has it.
func (w *World) Proven() *audit.Report {
	w.Helper()
	r := w.Audit()
	require.Equal(w, audit.Proven, r.Verdict, "%+v", r.Findings)
	require.Equal(w, r.Topic.Digest, r.Ledger.Digest)
	return r
}

func (w *World) source(run grant.RunID, pass grant.Pass, monitor source.Observer) *source.Source {
	w.Helper()
	s, err := source.New(source.Config{
		Kafka: w.kafka, Topic: w.Campaign.Input, Campaign: w.Campaign.Name, Run: run, Pass: pass, SessionTimeout: 6 * time.Second,
		RetryFor: patience, Observer: monitor, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(w, err)
	w.Cleanup(func() { require.NoError(w, s.Close()) })
	return s
}

// Store opens the ledger.
func (w *World) Store() *ledger.Store { w.Helper(); return w.store(nil, grant.Pass{}) }

func (w *World) store(monitor ledger.Observer, pass grant.Pass) *ledger.Store {
	w.Helper()
	store, err := ledger.Open(w.Client, w.Campaign, ledger.Config{RetryFor: patience, Observer: monitor, Pass: pass})
	require.NoError(w, err)
	return store
}

// Run is a run from its start to its end. during is called when users are being granted; it may be nil.
func (w *World) Run(during func()) {
	w.Helper()
	pass := grant.Pass{Group: "granter-" + w.Campaign.Name}
	log := slog.New(slog.DiscardHandler)
	m := metrics.New(prometheus.NewRegistry(), metrics.Labels{Campaign: w.Campaign.Name, Pass: pass.Kind()})
	monitor := engine.NewMonitor(m, log, time.Minute, func() metrics.Pool { return metrics.Pool{} })
	run := grant.NewRunID(time.Now())
	store, src := w.store(monitor, pass), w.source(run, pass, monitor)
	r := engine.NewRun()
	r.Campaign, r.Pass, r.Source, r.Ledger, r.Monitor, r.Log = w.Campaign, pass, src, ledger.NewGrants(store, run), monitor, log
	r.Record = grant.RunRecord{Run: run, StartedAt: time.Now()}
	r.Sharding = dense.Config{Config: sharding.Config{Shards: 2}, Observer: monitor}
	r.CheckpointEvery, r.PollEvery = 50*time.Millisecond, 50*time.Millisecond
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Do(ctx) }()
	if during != nil {
		during()
	}
	require.NoError(w, <-ended)
	t := monitor.Snapshot().Tally
	w.Logf("granted %d users of %d records in %s", t.Granted, t.Consumed, time.Since(r.Record.StartedAt))
}

// Audit audits as granter audit --complete does, twice: both readers must come to the same. It returns what the other one says.
func (w *World) Audit() *audit.Report {
	w.Helper()
	own := w.audit(nil)
	topic, err := franz.Open(w.kafka, w.Campaign.Input.Topic, w.Campaign.Input.From.Header(), patience)
	require.NoError(w, err)
	defer topic.Close()
	letters, err := franz.Open(w.kafka, w.Campaign.Input.DeadLetterTopic(), "", patience)
	require.NoError(w, err)
	defer letters.Close()
	other := w.audit(func(c *audit.Config) { c.Topic, c.Letters = topic, letters })
	same := *other
	same.At, same.Seconds = own.At, own.Seconds
	compacted, err := w.source(0, grant.Pass{}, nil).Compacted(w.Context())
	require.NoError(w, err)
	if compacted { // perhaps between the two
		same.Topic, same.Findings, same.Letters, same.Verdict = own.Topic, own.Findings, own.Letters, own.Verdict
	}
	require.Equal(w, own, &same)
	return other
}

func (w *World) audit(set func(*audit.Config)) *audit.Report {
	w.Helper()
	store := w.Store()
	reader, coordination := ledger.NewReader(store), ledger.NewCoordination(store)
	decode, err := source.Decoder(w.Campaign.Input)
	require.NoError(w, err)
	runs, err := coordination.Runs(w.Context())
	require.NoError(w, err)
	src := w.source(0, grant.Pass{}, nil)
	compacted, err := src.Compacted(w.Context())
	require.NoError(w, err)
	letters, err := src.Letters()
	require.NoError(w, err)
	cfg := audit.Config{
		Campaign: w.Campaign, Ledger: reader, Topic: src, Decode: decode, Letters: audit.LettersOf(letters), Runs: runs,
		Complete: true, Compacted: compacted,
		Checkpoint: func(ctx context.Context) (grant.Checkpoint, error) { return reader.Checkpoints(ctx, w.Campaign) },
		Committed: func(ctx context.Context, id grant.TopicID) (grant.Offsets, error) {
			return src.Committed(ctx, "granter-"+w.Campaign.Name, id)
		},
	}
	if set != nil {
		set(&cfg)
	}
	r, err := audit.Run(w.Context(), cfg)
	require.NoError(w, err)
	return r
}
