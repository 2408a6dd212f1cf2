package metrics_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/granter/granter/metrics"
)

//go:generate go test -count=1 -run ^TestTheDocumentIsFresh$ . -update

var update = flag.Bool("update", false, "write docs/metrics.md")

const document = "../docs/metrics.md"

const preface = `<!-- Written by go generate ./metrics from the catalogue; do not edit. -->

# Metrics

` + "`granter run`" + ` serves these on ` + "`/metrics`" + ` (` + "`--listen`" + `), beside the usual ones, ` + "`go_`" + `,
` + "`process_` and `promhttp_`" + `. Every metric has the label ` + "`campaign`" + `, too. Each replica exports
what it does itself: add counters up over the replicas. A record that is read again, after a rebalance or a loss, counts again.

| name | type | labels | what it is | look at it when |
|---|---|---|---|---|
`

const claimsPreface = `
## Damage claims

` + "`campaign`" + ` is the programme's name. ` + "`granter claims watch`" + ` serves what the database has, whichever processes
work on it; take the maximum where there are several of them. Each process serves what it does itself, on ` +
	"`/metrics`" + ` (` + "`--listen`" + `): ` +
	"`granter_claims_records_total`" + ` and ` + "`granter_claims_behind_records`" + `
` + "`granter claims receive` and `granter claims reconcile --topic`" + ` (` + "`kind`" + ` is what the topic holds:
` + "`claims`" + `, or the bank's ` + "`answers`" + `), ` + "`granter_claims_offered_total` `granter claims serve`" + `
and the desk, ` + "`granter_claims_documents_missing` `granter claims serve`" + `,
` + "`granter_claims_service_…` `granter claims process`" + `, and ` + "`granter_claims_store_errors_total`" + ` all of them,
and the desk.

| name | type | labels | what it is | look at it when |
|---|---|---|---|---|
`

const lookAtHold = "it is slower than you expect: the cause says why, and docs/operations.md what to do; " +
	"open_transaction is a producer that hides what is behind it"

// lookWhen says, for every metric, what question it answers.
var lookWhen = map[string]string{
	"build_info":                             "replicas behave differently",
	"campaign_expected_users":                "judging how complete the rollout is",
	"campaign_start_timestamp_seconds":       "nothing moves: is it time yet?",
	"campaign_info":                          "replicas may work by different specs",
	"campaign_planned_end_timestamp_seconds": "the estimated end moves: is it still in time?",
	"start_delay_seconds":                    "it is not 0: the start was missed",
	"campaign_started":                       "nobody runs: did it ever begin?",
	"campaign_lost_replicas":                 "fewer replicas are there than you started",
	"remaining_records":                      "asking how much is left to grant, whoever grants it",
	"control_version":                        "replicas differ for more than a second: one does not obey",
	"hold":                                   lookAtHold,
	"hold_since_timestamp_seconds":           "asking how long it has been held",
	"throttle_users_per_second":              "the rate is flat: is it meant to be?",
	"feedback_limit_users_per_second":        "it is not 0: this process has slowed itself down; granter_hold says why",
	"ledger_granted_users":                   "asking how many users have it",
	"ledger_excluded_users":                  "asking how many users are withheld",
	"redis_latency_seconds":                  "throughput falls: is it Redis?",
	"redis_memory_used_bytes":                "it comes near its limit: Redis will refuse writes",
	"redis_memory_limit_bytes":               "judging the memory in use",
	"redis_memory_projected_bytes":           "it is above the limit: raise maxmemory before it is reached",
	"redis_replica_lag_bytes":                "a fail-over now would lose that much, to be read again",
	"redis_clock_ahead_seconds":              "it is more than a second: grants carry the wrong time",
	"control_ordered_version":                "replicas do not do what was ordered: which order do they have?",
	"control_throttle_users_per_second":      "the rate is flat: is it meant to be?",
	"control_paused":                         "nothing moves: is it meant to?",
	"control_aborted":                        "nobody runs: is that meant?",
	"campaign_lag_records":                   "asking how much is left, whoever runs",
	"campaign_live_replicas":                 "judging whether enough are there",
	"ledger_replayed_records":                "asking what became of rejected records",
	"publish_events_total":                   "asking how fast events go out",
	"publish_behind_entries":                 "subscribers say that they miss something: are they behind?",
	"publish_failing":                        "it is 1: the log and /readyz say what the subscriber answers",
	"ledger_taken_users":                     "asking how many have taken what they were offered: its derivative is the rate",
	"ledger_left_users":                      "it nears 0: who asks then is told that it is exhausted",
	"desk_takes_total":                       "users say that they cannot take something: the outcome says why",
	"takes_total":                            "asking how fast users take things, and why some do not get them",
	"takes_malformed_total":                  "it grows: the reason says what is wrong with the topic of takes",
	"takes_behind_records":                   "it grows, or take_until is near: who waits in the topic beyond it gets nothing",
	"claims_records_total":                   "claims or answers seem to be missing: the outcome says why they were refused",
	"claims_behind_records":                  "it grows: they come faster than they are taken in, or no database answers",
	"claims_offered_total":                   "somebody says that a claim cannot be handed in: the outcome says why",
	"claims_store_errors_total": "pages are slow or fail; conflict, illegal, frozen and budget say that people " +
		"want what cannot be",
	"claims_service_calls_total":           "claims wait: do the tax office and the bank answer?",
	"claims_service_away":                  "it is 1: claims wait until the service answers again",
	"claims_in_state":                      "asking where all the claims are",
	"claims_late":                          "owners ask when they will hear something: who keeps them waiting?",
	"claims_oldest_age_seconds":            "a queue is long: is it worked through in order?",
	"claims_received_total":                "asking how many claims come, and by which way",
	"claims_steps_total":                   "asking how much is decided, by rules and by people",
	"claims_delayed":                       "it stays above 0: the tax office or the bank is away",
	"claims_money_won":                     "asking how much was promised, and what of it has arrived",
	"claims_budget_won":                    "judging what is left of it",
	"claims_budget_left_won":               "it nears 0: payout runs that do not fit declare nothing",
	"claims_payments":                      "asking how many payments are under way",
	"claims_payments_unanswered":           "it is not 0: ask the bank about them",
	"claims_payments_unknown":              "it is not 0: the bank does not know what became of a payment",
	"claims_payment_oldest_age_seconds":    "it exceeds a banking day: the bank is late with an answer",
	"claims_payment_doubts":                "it is not 0: the daily report lists them, and a person must look",
	"claims_wrong_sums":                    "ever: nothing more should be paid before somebody knows why",
	"claims_notices":                       "owners say that nobody told them",
	"claims_notices_retried":               "it grows: what sends notices does not take them",
	"claims_notice_oldest_age_seconds":     "it exceeds some minutes: is granter claims notify running?",
	"claims_notices_behind_commits":        "it grows: nobody makes notices of what happens",
	"claims_documents_missing":             "ever: granter claims prove --documents names them",
	"claims_quarantined_documents":         "it stays above 0: the malware scanner is away",
	"claims_quarantine_oldest_age_seconds": "owners sent documents, and their claims do not go on",
	"claims_council_open_items":            "asking what the council has before it",
	"claims_council_votes_missing":         "a motion is not counted: who has not voted?",
	"claims_council_oldest_age_seconds":    "it exceeds two weeks: when does the council meet?",
	"claims_frozen":                        "nothing is decided: is that meant?",
	"claims_reporters":                     "few who reported have filed: granter claims reports remind tells the others",
	"claims_watched_timestamp_seconds":     "the other metrics do not change: are they current?",
	"claims_watch_duration_seconds":        "it grows: looks become rarer",
	"claims_watch_failures_total":          "it grows: the log of granter claims watch says what the database answers",
	"takes_regressions_total":              "ever: Redis restarted or failed over, and lost takes; they are read again",
	"publish_rewinds_total":                "ever: Redis lost writes that were published; those events are void",
	"hook_calls_total":                     "somebody says that a hook was not called",
	"hook_failures_total":                  "a hook fails now and then: how often?",
	"hook_given_up_total":                  "it grows: people were not told; the log says what the hook answered",
	"hook_failing":                         "it is 1: the log says what the hook answered",
	"desk_requests_total":                  "the page is slow or fails",
	"desk_refusals_total":                  "somebody tries tokens, or has lost the right one",
	"desk_listeners":                       "asking who looks on",
	"desk_file_broken":                     "it is 1: soon nobody gets in; the desk's log says what is wrong",
	"desk_checks_total":                    "services were answered without the ledger: any basis but ledger",
	"desk_check_duration_seconds":          "services say that checks are slow: is it the desk and Redis, or the way?",
	"desk_listed_users_total":              "judging how many users services ask about at once",
	"audit_end_timestamp_seconds":          "nothing new is proven: are audits made at all?",
	"audit_proven_timestamp_seconds":       "asking until when it is known that everybody has it, once",
	"audit_interval_seconds":               "judging how old a proof may be",
	"audit_duration_seconds":               "audits take longer and longer: the topic grows, or --memory makes passes",
	"audit_findings":                       "it is not 0: the report names who is concerned, and what to do",
	"audit_failures_total":                 "it grows: the audit's log says what could not be read",
	"checkpoint_age_seconds":               "it exceeds a few seconds while running: the ledger does not answer",
	"checkpoint_duration_seconds":          "the age of the checkpoint grows: one slow master delays all",
	"checkpoints_total":                    "it stands still while running",
	"consumed_records_total":               "asking how fast it goes: its rate is the throughput",
	"estimated_remaining_seconds":          "somebody asks when it will be done",
	"flush_chunks":                         "flushes are slow: IDs that are spread widely touch many chunks",
	"flush_duration_seconds":               "throughput falls: is it the ledger?",
	"flush_users":                          "throughput falls: small flushes under load mean scattered IDs",
	"group_generations_total":              "partitions move between replicas again and again",
	"kafka_silent_seconds":                 "it is not 0: no broker answers, or a partition has no leader",
	"kafka_errors_total":                   "a partition is stalled, or lag grows",
	"ledger_calls_total":                   "Redis is busy: calls for each user",
	"ledger_regressions_total":             "ever: Redis restarted or failed over, and lost writes; they are granted again",
	"ledger_sent_bytes_total":              "the network to Redis is full",
	"partition_checkpoint_offset":          "asking what a restart would start from",
	"partition_end_offset":                 "the topic is still being filled",
	"partition_lag_records":                "judging which partition is behind",
	"partition_position_offset":            "one partition is slower than the others",
	"progress_ratio":                       "somebody asks how far it is",
	"records_total":                        "auditing: the outcomes add up to what was consumed",
	"redis_errors_total":                   "the age of the checkpoint grows; the kind says why Redis refuses",
	"redis_pool_connections":               "calls to Redis wait: are all connections busy?",
	"redis_pool_hits_total":                "judging the size of the pool, against misses",
	"redis_pool_misses_total":              "connections are opened again and again",
	"redis_pool_stale_connections_total":   "something between granter and Redis cuts connections",
	"redis_pool_timeouts_total":            "ever: the pool is too small or Redis too slow",
	"rejected_records_total":               "it grows: the reason says what is wrong with the topic",
	"run_state":                            "asking what each replica does",
	"shard_queue_blocks":                   "the ledger is slower than the topic: queues are full",
	"shard_queue_skew_ratio":               "queues are full: near the number of shards, one shard has all the work",
	"shard_users_total":                    "judging the spread of the users over the shards",
	"stalled_partitions":                   "it is not 0; the log names the partition",
}

const deskPreface = `
## The desk

` + "`granter desk`" + ` serves these for each of its campaigns, by the label ` + "`campaign`" +
	`; those of the desk itself (` + "`granter_desk_…`" + `) have it only when
the desk has one ` + "`-f`" + ` and no other campaign. Those that runs serve, too, mean the same there: take the maximum.

| name | type | labels | what it is | look at it when |
|---|---|---|---|---|
`

const publishPreface = `
## Events

` + "`granter publish`" + ` serves these, for each subscriber. Where several publish to the same one leads: take the maximum.

| name | type | labels | what it is | look at it when |
|---|---|---|---|---|
`

const auditPreface = `
## Audits

` + "`granter audit --follow`" + ` and ` + "`--wait`" + ` serve these. Where several audit one campaign, take the maximum.

| name | type | labels | what it is | look at it when |
|---|---|---|---|---|
`

const takesPreface = `
## Takes

` + "`granter take --topic`" + ` serves these. Where several read the topic, add them up.

| name | type | labels | what it is | look at it when |
|---|---|---|---|---|
`

const hooksPreface = `
## Hooks

` + "`granter run --hooks`, and `granter hooks`" + `, serve these, for each hook. Who leads counts; the others say 0.

| name | type | labels | what it is | look at it when |
|---|---|---|---|---|
`

func TestTheDocumentIsFresh(t *testing.T) {
	runs, _ := populated(t)
	desk := prometheus.NewPedanticRegistry()
	metrics.NewOverview(desk, labels.Campaign, labels.Version).Set(metrics.Campaign{
		Replays: map[string]int64{"granted": 1}, Taken: map[string]int64{"cheer": 1}, Left: map[string]int64{"month": 1},
	})
	d := metrics.NewDesk(desk, labels.Campaign)
	d.Requests.WithLabelValues("status", "200")
	d.Refusals.WithLabelValues("no_token")
	d.Broken.WithLabelValues("access")
	d.Checks.WithLabelValues("ledger")
	d.Takes.WithLabelValues("cheer", "taken")
	d.Listed.WithLabelValues("ledger")

	events := prometheus.NewPedanticRegistry()
	metrics.NewPublish(events, labels.Campaign, labels.Version, "topic:grants:json")
	hooks := prometheus.NewPedanticRegistry()
	metrics.NewHooks(hooks, labels.Campaign, "chat")

	takes := prometheus.NewPedanticRegistry()
	metrics.NewTakes(takes, labels.Campaign, labels.Version, []string{"cheer"}, []string{"taken"}, labels.Reasons)

	audits := prometheus.NewPedanticRegistry()
	metrics.NewAudit(audits, labels.Campaign, labels.Version, []string{"refuted", "not_proven"})

	fed := prometheus.NewPedanticRegistry()
	metrics.NewClaimsTopic(fed, labels.Campaign, "claims", []string{"invalid_claim"})
	metrics.NewClaimsOffered(fed, labels.Campaign, []string{"page"}, []string{"taken"})
	metrics.NewClaimsFiles(fed, labels.Campaign)
	metrics.NewClaimsErrors(fed, labels.Campaign, labels.Version, []string{"busy"})
	metrics.NewClaimsChecks(fed, labels.Campaign, "bank")
	metrics.NewClaimsWatch(fed, labels.Campaign, []string{"received"}, []string{"owed"}, []string{"sent"}, []string{"waiting"},
		[]metrics.ClaimsStep{{Action: "approve", Duty: "rules"}}).Set(&metrics.Claims{Channels: map[string]int64{"page": 1}})

	documented := map[string]bool{}
	text := preface + tableOf(t, runs, documented) + deskPreface + tableOf(t, desk, documented) +
		publishPreface + tableOf(t, events, documented) + takesPreface + tableOf(t, takes, documented) +
		hooksPreface + tableOf(t, hooks, documented) + auditPreface + tableOf(t, audits, documented) +
		claimsPreface + tableOf(t, fed, documented)
	require.Len(t, lookWhen, len(documented), "lookWhen speaks of metrics that are not there")
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(text), 0o644))
		return
	}
	have, err := os.ReadFile(document)
	require.NoError(t, err)
	require.Equal(t, text, string(have), "run go generate ./metrics")
}

// tableOf describes every metric of a registry, and notes their names.
func tableOf(t *testing.T, reg *prometheus.Registry, documented map[string]bool) string {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	var b strings.Builder
	for _, f := range families {
		names := map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				names[l.GetName()] = true
			}
		}
		delete(names, "campaign")
		var labels []string
		for name := range names {
			labels = append(labels, "`"+name+"`")
		}
		slices.Sort(labels)
		when, ok := lookWhen[strings.TrimPrefix(f.GetName(), "granter_")]
		require.True(t, ok, "say in lookWhen when to look at %s", f.GetName())
		documented[f.GetName()] = true
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()),
			strings.Join(labels, ", "), strings.TrimSuffix(f.GetHelp(), "."), when)
	}
	return b.String()
}
