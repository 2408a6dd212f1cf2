package grafana

// ofCampaigns restricts what knows no campaign, such as a process's memory, to the processes of the chosen ones.
const ofCampaigns = ` and on (job, instance) granter_build_info{<replicas>}`

// fleet is every campaign and every process.
var fleet = Dashboard{
	Name: "fleet", title: "granter: fleet", campaigns: true,
	about: "Every campaign and every process: are they up, which version are they, and what do they use?",
	rows: []row{
		{"Campaigns", 9, []panel{
			table("Campaigns", "What Prometheus knows of each: campaigns that are over are here as long as their desk is.", number,
				object{
					"Value #A": "granted", "Value #B": "of expected, 0 to 1", "Value #C": "users/s", "Value #D": "lag", "Value #E": "replicas seen here",
					"Value #F": "replicas that say they live", "Value #G": "started late, s",
				},
				query{expr: `campaign:granter_ledger_granted_users:max{<campaign>}`},
				query{expr: `campaign:granter_granted_per_expected_users:ratio{<campaign>}`},
				query{expr: `campaign:granter_granted_users:rate1m{<campaign>}`},
				query{expr: `campaign:granter_remaining_records:max{<campaign>}`},
				query{expr: `campaign:granter_replicas:count{<campaign>}`},
				query{expr: `max by (campaign) (granter_campaign_live_replicas{<replicas>})`},
				query{expr: `max by (campaign) (granter_start_delay_seconds{<replicas>})`}).runbook("GranterStartedLate"),
			table("Alerts", "Those that fire now. What to do is in the runbook.", plain, nil,
				query{expr: `max by (alertname, severity, campaign, instance) (ALERTS{<campaign>, alertstate="firing"})`}),
		}},
		{"Throughput", 8, []panel{
			graph("Users granted", "By campaign.", usersPerSecond,
				query{`campaign:granter_granted_users:rate1m{<campaign>}`, "{{campaign}}"}).stacked().runbook("GranterNoProgress"),
			graph("Progress", "Granted users, of those expected.", share,
				query{`campaign:granter_granted_per_expected_users:ratio{<campaign>}`, "{{campaign}}"}).from0(),
			graph("Lag", "Records that are still to be read, by campaign.", records,
				query{`campaign:granter_remaining_records:max{<campaign>}`, "{{campaign}}"}).from0().runbook("GranterBehindPlan"),
		}},
		{"Processes", 8, []panel{
			timeline("Up", "A process that has ended is not up either: look at its campaign.", "green",
				query{`up{<processes>} > 0`, "{{job}} {{instance}}"}).runbook("GranterReplicaLost"),
			timeline("States", "What each replica does.", "green",
				query{`max by (campaign, instance, state) (granter_run_state{<replicas>} == 1)`, "{{campaign}} {{instance}} {{state}}"}).
				runbook("GranterNobodyRuns"),
			table("Versions", "What is running, and by which spec.", plain, nil,
				query{expr: `max by (campaign, job, instance, version, revision, goversion) (granter_build_info{<replicas>})`}).
				runbook("GranterVersionDisagreement"),
			graph("Group generations", "Assignments of partitions. Steps: replicas come, go, or lose their session.", plain,
				query{`granter_group_generations_total{<replicas>}`, "{{campaign}} {{instance}}"}).from0(),
			graph("Desk", "Clients that follow a campaign live, on the operations page or by the API.", plain,
				query{`sum by (campaign, instance) (granter_desk_listeners{<replicas>})`, "{{campaign}} {{instance}}"}).from0(),
		}},
		{"Resources", 8, []panel{
			graph("CPU", "Cores in use.", plain,
				query{`rate(process_cpu_seconds_total{<processes>}[$__rate_interval])` + ofCampaigns, "{{instance}}"}).from0(),
			graph("Memory", "Resident, and of it what the heap has in use.", bytesIEC,
				query{`process_resident_memory_bytes{<processes>}` + ofCampaigns, "resident, {{instance}}"},
				query{`go_memstats_heap_inuse_bytes{<processes>}` + ofCampaigns, "heap, {{instance}}"}).from0(),
			graph("Garbage collection", "Share of the time that the program is stopped for it.", share,
				query{`rate(go_gc_duration_seconds_sum{<processes>}[$__rate_interval])` + ofCampaigns, "{{instance}}"}).from0(),
			graph("Goroutines", "A number that grows and grows is a leak.", plain,
				query{`go_goroutines{<processes>}` + ofCampaigns, "{{instance}}"}).from0(),
			graph("Files and connections", "Open file descriptors, and how many there may be.", plain,
				query{`process_open_fds{<processes>}` + ofCampaigns, "{{instance}}"},
				query{`min(process_max_fds{<processes>}` + ofCampaigns + `)`, "limit"}).from0(),
			graph("Network", "What processes received and sent, all together.", bytesPerSecond,
				query{`sum(rate(process_network_receive_bytes_total{<processes>}[$__rate_interval])` + ofCampaigns + `)`, "received"},
				query{`sum(rate(process_network_transmit_bytes_total{<processes>}[$__rate_interval])` + ofCampaigns + `)`, "sent"}).from0(),
		}},
		{"Redis", 8, []panel{
			graph("Connections", "All busy: calls wait for one.", plain,
				query{`sum by (instance, state) (granter_redis_pool_connections{<replicas>})`, "{{instance}} {{state}}"}).from0(),
			graph("Pool", "Connections that were found in the pool, that were opened, that took too long to get, and that were cut.", perSecond,
				query{`sum(rate(granter_redis_pool_hits_total{<replicas>}[$__rate_interval]))`, "found"},
				query{`sum(rate(granter_redis_pool_misses_total{<replicas>}[$__rate_interval]))`, "opened"},
				query{`sum(rate(granter_redis_pool_timeouts_total{<replicas>}[$__rate_interval]))`, "timed out"},
				query{`sum(rate(granter_redis_pool_stale_connections_total{<replicas>}[$__rate_interval]))`, "cut"}).from0(),
			graph("Latency", "Of a small call, the worst of the last second.", seconds,
				query{`granter_redis_latency_seconds{<replicas>}`, "{{campaign}} {{instance}}"}).from0(),
			graph("Memory in use", "Of the limit of the master that is nearest to it.", share,
				query{`campaign:granter_redis_memory_used_per_limit:ratio{<campaign>}`, "{{campaign}}"}).from0().runbook("GranterMemoryNearLimit"),
		}},
		{"Errors", 8, []panel{
			graph("Redis", "Failed calls, also those that a retry overcame.", perSecond,
				query{`sum by (campaign, kind) (rate(granter_redis_errors_total{<replicas>}[$__rate_interval])) > 0`, "{{campaign}} {{kind}}"}).
				stacked().runbook("GranterLedgerErrors"),
			graph("Kafka", "Failed calls, also those that a retry overcame.", perSecond,
				query{`sum by (campaign, kind) (rate(granter_kafka_errors_total{<replicas>}[$__rate_interval])) > 0`, "{{campaign}} {{kind}}"}).
				stacked().runbook("GranterKafkaErrors"),
			graph("Stalled partitions", "Those without progress for --stall-after although records are waiting.", plain,
				query{`sum by (campaign) (granter_stalled_partitions{<replicas>})`, "{{campaign}}"}).from0().runbook("GranterPartitionsStalled"),
		}},
	},
}
