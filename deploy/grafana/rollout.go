package grafana

// rollout is one campaign, for the night on which it is granted.
var rollout = Dashboard{
	Name: "rollout", title: "granter: rollout",
	about: "One campaign: how far it is, how fast it goes, and what holds it.",
	rows: []row{
		{"Where it is", 4, []panel{
			stat("Granted", "Users that the ledger has as granted, by whichever process.", number,
				`campaign:granter_ledger_granted_users:max{<campaign>}`),
			{
				kind: "gauge", title: "Of those expected", unit: share, queries: []query{{expr: `campaign:granter_granted_per_expected_users:ratio{<campaign>}`}},
				about: "Granted users, of the spec's population. Empty: the spec names none.",
			},
			stat("Rate", "Users granted per second by all replicas, over the last minute.", usersPerSecond,
				`campaign:granter_granted_users:rate1m{<campaign>}`).runbook("GranterNoProgress"),
			stat("Replicas", "Processes that wait for the start, or run.", plain,
				`campaign:granter_replicas:count{<campaign>}`).runbook("GranterReplicaLost"),
		}},
		{"When it is done", 4, []panel{
			stat("Start", "When it starts: the spec's starts_at, or what it was postponed to.", date,
				`max(granter_campaign_start_timestamp_seconds{<replicas>}) * 1000`).runbook("GranterStartMissed"),
			stat("Estimated end", "When all records are read at the rate of the last minute. Empty: nothing moves.", date,
				`campaign:granter_estimated_end_timestamp_seconds:rate1m{<campaign>} * 1000`).runbook("GranterBehindPlan"),
			stat("Planned end", "--finish-by, or the spec's ends_at. Empty: there is no plan.", date,
				`campaign:granter_planned_end_timestamp_seconds:min{<campaign>} * 1000`).runbook("GranterBehindPlan"),
			stat("Alerts", "Alerts that fire for this campaign now.", plain,
				`count(ALERTS{<campaign>, alertstate="firing"}) or vector(0)`).warns(),
		}},
		{"How fast it goes", 8, []panel{
			graph("Users granted", "By replica. The throttle is what operators allow all of them together.", usersPerSecond,
				query{`sum by (instance) (rate(granter_records_total{<replicas>, outcome="granted"}[$__rate_interval]))`, "{{instance}}"},
				query{`max(granter_throttle_users_per_second{<replicas>} > 0)`, "throttle"}).from0().runbook("GranterNoProgress"),
			graph("Granted of expected", "Users that the ledger has, those that the spec expects, and those who are excluded.", users,
				query{`campaign:granter_ledger_granted_users:max{<campaign>}`, "granted"},
				query{`max(granter_campaign_expected_users{<replicas>} > 0)`, "expected"},
				query{`max(granter_ledger_excluded_users{<campaign>})`, "excluded"}).from0(),
			graph("Estimated and planned end", "While the estimate is above the plan, it is too slow.", date,
				query{`campaign:granter_estimated_end_timestamp_seconds:rate1m{<campaign>} * 1000`, "estimated"},
				query{`campaign:granter_planned_end_timestamp_seconds:min{<campaign>} * 1000`, "planned"}).runbook("GranterBehindPlan"),
			graph("Time left", "Of the whole campaign; and, as each replica sees it, for its own partitions. No line: it stands.", seconds,
				query{`campaign:granter_remaining_seconds:rate1m{<campaign>} < Inf`, "campaign"},
				query{`granter_estimated_remaining_seconds{<replicas>} >= 0`, "{{instance}}"}).from0().runbook("GranterBehindPlan"),
		}},
		{"What holds it", 8, []panel{
			timeline("Holds", "Each line is a cause that slows or stops at least one replica.", "orange",
				query{`max by (cause) (granter_hold{<replicas>}) > 0`, "{{cause}}"},
				query{`max(granter_control_paused{<replicas>}) > 0`, "ordered: pause"}).runbook("GranterSlowedForLong"),
			graph("Held for", "For how long each cause has been in force.", seconds,
				query{`time() - min by (cause) (granter_hold_since_timestamp_seconds{<replicas>} > 0)`, "{{cause}}"}).
				from0().runbook("GranterPausedForLong"),
			graph("Limits", "The operators' throttle is for all replicas together; feedback is each replica's own limit.", usersPerSecond,
				query{`max(granter_throttle_users_per_second{<replicas>} > 0)`, "throttle"},
				query{`max(granter_control_throttle_users_per_second{<replicas>} > 0)`, "throttle, as ordered"},
				query{`granter_feedback_limit_users_per_second{<replicas>} > 0`, "feedback, {{instance}}"}).from0(),
		}},
		{"Records", 8, []panel{
			graph("Outcomes", "Every record ends as one of these. Withheld: outside of the canary.", recordsPerSec,
				query{`sum by (outcome) (rate(granter_records_total{<replicas>}[$__rate_interval]))`, "{{outcome}}"}).
				stacked().runbook("GranterBooksDoNotBalance"),
			{
				kind: "bargauge", title: "Outcomes so far", unit: number,
				about:   "Of the replicas that are there now. What is read again, after a loss or a rebalance, counts again.",
				queries: []query{{`sum by (outcome) (granter_records_total{<replicas>})`, "{{outcome}}"}},
			},
			graph("Rejects", "Records without a valid user ID, by reason. They are in the dead-letter topic.", recordsPerSec,
				query{`sum by (reason) (rate(granter_rejected_records_total{<replicas>}[$__rate_interval])) > 0`, "{{reason}}"}).
				stacked().runbook("GranterRejectsRising"),
			graph("Rejected share", "Of the records of the last 5 minutes. The run stops at the spec's max_rejected.", share,
				query{`campaign:granter_rejected_per_consumed_records:ratio_rate5m{<campaign>}`, "rejected"}).from0().runbook("GranterRejectsRising"),
		}},
		{"Offers", 8, []panel{
			graph("Taken", "Users who took an item, by item.", users,
				query{`max by (item) (granter_ledger_taken_users{<campaign>})`, "{{item}}"}).from0(),
			graph("Taken of those granted", "The share of the users who were granted it that took an item.", share,
				query{`max by (campaign, item) (granter_ledger_taken_users{<campaign>}) / on (campaign) group_left () ` +
					`(campaign:granter_ledger_granted_users:max{<campaign>} > 0)`, "{{item}}"}).from0(),
			graph("Takes", "Users who take an item, by item, as the ledger counts them.", usersPerSecond,
				query{`max by (item) (deriv(granter_ledger_taken_users{<campaign>}[5m]))`, "{{item}}"}).from0(),
			graph("Not taken", "Requests of a topic and of the desk's API, by why they came to nothing.", perSecond,
				query{`sum by (outcome) (rate(granter_takes_total{<campaign>, outcome!~"taken|already"}[$__rate_interval]))`,
					"topic, {{outcome}}"},
				query{`sum by (outcome) (rate(granter_desk_takes_total{outcome!~"taken|already"}[$__rate_interval]))`,
					"API, {{outcome}}"}).stacked(),
			graph("Left", "Users who can still take an item of which there are only so many.", users,
				query{`max by (item) (granter_ledger_left_users{<campaign>})`, "{{item}}"}).from0(),
			graph("Topic of takes", "Records that wait. Beyond take_until who waits gets nothing.", records,
				query{`sum(granter_takes_behind_records{<campaign>})`, "waiting"}).from0(),
			graph("Topic of takes: malformed", "Records that are no takes, by reason. They are in its dead-letter topic.", recordsPerSec,
				query{`sum by (reason) (rate(granter_takes_malformed_total{<campaign>}[$__rate_interval]))`, "{{reason}}"}).stacked(),
			graph("Takes that Redis lost", "Times that the ledger turned out to have lost takes of a topic; they are read again.", plain,
				query{`sum(increase(granter_takes_regressions_total{<campaign>}[$__rate_interval]))`, "losses"}).from0(),
		}},
		{"Partitions", 8, []panel{
			graph("Lag", "Records that are still to be read, by partition; and behind the checkpoint, of all.", records,
				query{`min by (partition) (granter_partition_lag_records{<replicas>})`, "{{partition}}"},
				query{`campaign:granter_campaign_lag_records:max{<campaign>}`, "all"}).from0(),
			graph("Read", "By partition: one that is slower than the others decides when it is done.", recordsPerSec,
				query{`sum by (partition) (rate(granter_consumed_records_total{<replicas>}[$__rate_interval]))`, "{{partition}}"}).from0(),
			graph("Read, but not in a checkpoint", "What is read again if this replica dies now.", records,
				query{`granter_partition_position_offset{<replicas>} - granter_partition_checkpoint_offset{<replicas>}`, "{{partition}}"}).from0(),
			graph("Topic", "Where its partitions end, added up, and how far they are read. An end that moves: it is still being filled.", records,
				query{`sum(max by (partition) (granter_partition_end_offset{<replicas>}))`, "end"},
				query{`sum(max by (partition) (granter_partition_position_offset{<replicas>}))`, "read"}),
			graph("Progress of each replica", "Share of the records of its partitions that is read.", share,
				query{`granter_progress_ratio{<replicas>}`, "{{instance}}"}).from0(),
			graph("Stalled partitions", "Those without progress for --stall-after although records are waiting.", plain,
				query{`granter_stalled_partitions{<replicas>}`, "{{instance}}"}).from0().runbook("GranterPartitionsStalled"),
		}},
		{"Ledger", 8, []panel{
			heatmap("Flushes by duration", "Until the ledger acknowledged a flush, retries included.", seconds,
				`sum by (le) (rate(granter_flush_duration_seconds_bucket{<replicas>}[$__rate_interval]))`),
			graph("Duration of a flush", "Until the ledger acknowledged it, retries included.", seconds,
				quantile("0.5", "granter_flush_duration_seconds"), quantile("0.95", "granter_flush_duration_seconds"),
				quantile("0.99", "granter_flush_duration_seconds")).from0(),
			graph("Size of a flush", "Users, and chunks of 65,536 IDs that they touch. Many chunks for few users: the IDs are scattered.", plain,
				mean("granter_flush_users", "users"), mean("granter_flush_chunks", "chunks")).from0(),
			graph("Checkpoints", "Age of the last one, by replica; and how long writing one takes.", seconds,
				query{`granter_checkpoint_age_seconds{<replicas>}`, "age, {{instance}}"},
				quantile("0.99", "granter_checkpoint_duration_seconds")).from0().runbook("GranterCheckpointOld"),
		}},
		{"Redis", 8, []panel{
			graph("Latency", "Of a small call, the worst of the last second.", seconds,
				query{`granter_redis_latency_seconds{<replicas>}`, "{{instance}}"}).from0().runbook("GranterSlowedForLong"),
			graph("Memory", "Of the master that is nearest to its limit; projected: when everybody is granted.", bytesIEC,
				query{`max(granter_redis_memory_used_bytes{<replicas>} >= 0)`, "used"},
				query{`max(granter_redis_memory_limit_bytes{<replicas>} > 0)`, "limit"},
				query{`max(granter_redis_memory_projected_bytes{<replicas>} > 0)`, "projected"}).from0().runbook("GranterMemoryNearLimit"),
			graph("Lag of its replicas", "A fail-over now would lose that much, to be read again.", bytesIEC,
				query{`max(granter_redis_replica_lag_bytes{<replicas>})`, "lag"}).from0().runbook("GranterLedgerRegressed"),
			graph("Sent", "Bytes of grants that are sent to it.", bytesPerSecond,
				query{`sum(rate(granter_ledger_sent_bytes_total{<replicas>}[$__rate_interval]))`, "grants"}).from0(),
		}},
		{"Shards", 8, []panel{
			graph("Queues", "Blocks of IDs that wait in front of each shard. Full: the ledger is slower than the topic.", plain,
				query{`sum by (shard) (granter_shard_queue_blocks{<replicas>})`, "{{shard}}"}).from0(),
			graph("Skew", "Longest queue divided by the mean. Near the number of shards, one has all the work.", plain,
				query{`granter_shard_queue_skew_ratio{<replicas>}`, "{{instance}}"}).from0(),
			graph("Users by shard", "How the users spread over the shards.", usersPerSecond,
				query{`sum by (shard) (rate(granter_shard_users_total{<replicas>}[$__rate_interval]))`, "{{shard}}"}).from0(),
			graph("Calls to the ledger", "Script calls, one for each chunk in a flush; and checkpoints.", perSecond,
				query{`sum(rate(granter_ledger_calls_total{<replicas>}[$__rate_interval]))`, "calls"},
				query{`sum(rate(granter_checkpoints_total{<replicas>}[$__rate_interval]))`, "checkpoints"}).from0(),
		}},
		{"Errors", 8, []panel{
			graph("Redis", "Failed calls, also those that a retry overcame, by kind.", perSecond,
				query{`sum by (kind) (rate(granter_redis_errors_total{<replicas>}[$__rate_interval])) > 0`, "{{kind}}"}).
				stacked().runbook("GranterLedgerErrors"),
			graph("Kafka", "Failed calls, also those that a retry overcame, by kind.", perSecond,
				query{`sum by (kind) (rate(granter_kafka_errors_total{<replicas>}[$__rate_interval])) > 0`, "{{kind}}"}).
				stacked().runbook("GranterKafkaErrors"),
			graph("Losses of the ledger", "Times that Redis lost acknowledged writes, as each replica noticed.", plain,
				query{`granter_ledger_regressions_total{<replicas>}`, "{{instance}}"}).from0().runbook("GranterLedgerRegressed"),
		}},
		{"Audits", 8, []panel{
			stat("Proven", "When an audit last proved that everybody below the checkpoint has it, once. Empty: none did.", date,
				`max(granter_audit_proven_timestamp_seconds{<replicas>} > 0) * 1000`).runbook("GranterAuditOld"),
			graph("Findings", "Of the last audit. Refuted: the promise is not kept; not_proven: something cannot be seen.", plain,
				query{`max by (verdict) (granter_audit_findings{<replicas>})`, "{{verdict}}"},
				query{`sum(increase(granter_audit_failures_total{<replicas>}[$__rate_interval]))`, "audits that failed"}).
				from0().runbook("GranterAuditRefuted"),
			graph("Age and duration", "Since the last audit ended, how long it took, and how often one is to be made.", seconds,
				query{`time() - max(granter_audit_end_timestamp_seconds{<replicas>} > 0)`, "age"},
				query{`max(granter_audit_duration_seconds{<replicas>})`, "duration"},
				query{`max(granter_audit_interval_seconds{<replicas>})`, "interval"}).from0().runbook("GranterAuditOld"),
		}},
		{"Replicas", 8, []panel{
			timeline("States", "What each replica does. A line that stops: its process has ended.", "green",
				query{`max by (instance, state) (granter_run_state{<replicas>} == 1)`, "{{instance}} {{state}}"}).runbook("GranterNobodyRuns"),
			graph("Orders that they obey", "Versions of the operators' orders. Lines that differ for more than a second: one does not obey.", plain,
				query{`granter_control_version{<replicas>}`, "{{instance}}"},
				query{`max(granter_control_ordered_version{<replicas>})`, "ordered"}).runbook("GranterControlDisagreement"),
			graph("Clocks", "Clock of Redis minus the replica's.", seconds,
				query{`granter_redis_clock_ahead_seconds{<replicas>}`, "{{instance}}"}).runbook("GranterClockSkew"),
			table("Builds and specs", "They should be the same everywhere.", plain, nil,
				query{expr: `max by (instance, version, revision, spec) (granter_build_info{<replicas>} * on (campaign, job, instance) group_left (spec) granter_campaign_info)`}).
				runbook("GranterSpecDisagreement"),
		}},
		{"Desk", 8, []panel{
			graph("Requests", "What the desk answered, by status code.", perSecond,
				query{`sum by (code) (rate(granter_desk_requests_total{<replicas>}[$__rate_interval]))`, "{{code}}"}).stacked(),
			graph("Refusals", "Requests that it refused, by reason.", perSecond,
				query{`sum by (reason) (rate(granter_desk_refusals_total{<replicas>}[$__rate_interval]))`, "{{reason}}"}).stacked(),
			graph("Who looks on", "Clients that follow the status live.", plain,
				query{`sum(granter_desk_listeners{<replicas>})`, "clients"}).from0(),
			graph("Checks of other services", "Users, by what the answer rests on.", perSecond,
				query{`sum by (basis) (rate(granter_desk_checks_total{<replicas>}[$__rate_interval]))`, "{{basis}}"},
				query{`sum by (basis) (rate(granter_desk_listed_users_total{<replicas>}[$__rate_interval]))`, "{{basis}}, in lists"}).stacked(),
			graph("How long a check takes", "Time of the desk.", seconds,
				quantile("0.5", "granter_desk_check_duration_seconds"), quantile("0.99", "granter_desk_check_duration_seconds")),
		}},
	},
}

// quantile is a quantile of a histogram, over all replicas.
func quantile(q, histogram string) query {
	return query{"histogram_quantile(" + q + ", sum by (le) (rate(" + histogram + "_bucket{<replicas>}[$__rate_interval])))", q}
}

// mean is the mean of a histogram, over all replicas.
func mean(histogram, legend string) query {
	return query{
		"sum(rate(" + histogram + "_sum{<replicas>}[$__rate_interval])) / sum(rate(" + histogram + "_count{<replicas>}[$__rate_interval]))",
		legend,
	}
}
