package grafana

// staff are the states in which people have to act, and open those in which anybody has.
const (
	staffStates = `state=~"on_hold|in_review|second_look|objection_filed"`
	openStates  = `state=~"received|checking|documents_missing|more_asked|on_hold|in_review|second_look|approved|payment_sent|` +
		`payment_returned|objection_filed|objection_upheld|objection_partly_upheld"`
	won = "currencyKRW"
)

// claims is one programme of damage claims. What the database has is served by granter claims watch, of which one is enough.
var claims = Dashboard{
	Name: "claims", title: "granter: damage claims",
	about: "One programme of damage claims: what comes in, who waits for whom and for how long, decisions, money, and notices.",
	of:    "granter_claims_watched_timestamp_seconds",
	mark: mark{
		name: "Frozen", expr: `max by (campaign) (changes(granter_claims_frozen{<replicas>}[1m])) > 0`,
		title: "frozen, or no more",
		text:  "{{campaign}}: granter claims freeze says who, and why",
	},
	rows: []row{
		{"Now", 5, []panel{
			stat("Claims", "All that were taken in.", number,
				`sum(max by (channel) (granter_claims_received_total{<replicas>}))`),
			stat("For people", "Claims that wait for a reviewer, an approver, or whoever judges an objection.", number,
				`sum(max by (state) (granter_claims_in_state{<replicas>, `+staffStates+`}))`),
			stat("Late", "Have waited for others longer than owners are promised.", number,
				`sum(max by (state) (granter_claims_late{<replicas>}))`).warns().runbook("GranterClaimsLate"),
			stat("Budget left", "Of the budget: neither settled nor reserved.", share,
				`max(granter_claims_budget_left_won{<replicas>} / (granter_claims_budget_won{<replicas>} > 0))`).
				runbook("GranterClaimsBudgetLow"),
			stat("Frozen", "1: nothing is decided or paid.", plain, `max(granter_claims_frozen{<replicas>})`).warns().
				runbook("GranterClaimsFrozen"),
			stat("Wrong sums", "Sums of money that should be the same and are not.", number,
				`max(granter_claims_wrong_sums{<replicas>})`).warns().runbook("GranterClaimsMoneyWrong"),
			stat("Doubts", "Answers of the bank that do not fit.", number,
				`max(granter_claims_payment_doubts{<replicas>})`).warns().
				runbook("GranterClaimsMoneyDoubtful"),
			stat("Last look", "How old all this is.", seconds,
				`time() - max(granter_claims_watched_timestamp_seconds{<replicas>})`).
				runbook("GranterClaimsUnwatched"),
		}},
		{"Intake", 8, []panel{
			graph("Claims taken in", "By the channel by which they came.", perSecond,
				query{`max by (channel) (rate(granter_claims_received_total{<replicas>}[$__rate_interval]))`,
					"{{channel}}"}).stacked(),
			graph("Records of topics", "Claims, and answers of the bank, by what became of them.", recordsPerSec,
				query{`sum by (kind, outcome) (rate(granter_claims_records_total{<replicas>}[$__rate_interval])) > 0`,
					"{{kind}} {{outcome}}"}).stacked().runbook("GranterClaimsRecordsRefused"),
			graph("Behind", "Records that are in a topic and not in the database yet.", records,
				query{`sum by (kind) (granter_claims_behind_records{<replicas>})`, "{{kind}}"}).from0().
				runbook("GranterClaimsIntakeStands"),
			graph("Handed in", "Claims that owners, other systems or staff wanted to hand in, by what became of them.",
				perSecond,
				query{`sum by (channel, outcome) (rate(granter_claims_offered_total{<replicas>}[$__rate_interval]))`,
					"{{channel}} {{outcome}}"}).stacked(),
			graph("Earlier reports", "Businesses that reported a loss before claims could be filed, by whether they have filed.",
				number, query{`max by (claim) (granter_claims_reporters{<replicas>})`, "{{claim}}"}).stacked(),
		}},
		{"Queues", 9, []panel{
			graph("Claims", "That are not done, by state.", number,
				query{`max by (state) (granter_claims_in_state{<replicas>, ` + openStates + `}) > 0`, "{{state}}"}).stacked(),
			graph("Oldest", "How long ago the oldest claim of each state was received.", seconds,
				query{`max by (state) (granter_claims_oldest_age_seconds{<replicas>, ` + openStates + `}) > 0`,
					"{{state}}"}).from0().
				runbook("GranterClaimsNotProcessed"),
			graph("Late", "Have waited for others longer than owners are promised, by state.", number,
				query{`max by (state) (granter_claims_late{<replicas>}) > 0`,
					"{{state}}"}).stacked().runbook("GranterClaimsLate"),
			graph("Quarantine", "Documents that nobody has looked at for malware, and the age of the oldest.", number,
				query{`max(granter_claims_quarantined_documents{<replicas>})`, "documents"},
				query{`max(granter_claims_quarantine_oldest_age_seconds{<replicas>})`, "oldest, s"}).from0().
				runbook("GranterClaimsQuarantine"),
			graph("The council", "Motions that have not been counted, votes that are missing, and the age of the oldest motion.",
				number,
				query{`max(granter_claims_council_open_items{<replicas>})`, "motions"},
				query{`max(granter_claims_council_votes_missing{<replicas>})`, "votes missing"},
				query{`max(granter_claims_council_oldest_age_seconds{<replicas>}) / 86400`, "oldest, days"}).from0().
				runbook("GranterClaimsCouncilWaits"),
		}},
		{"Checks and decisions", 8, []panel{
			graph("Waiting for a service", "Claims that nobody can decide before the tax office and the bank have "+
				"answered.", number,
				query{`max(granter_claims_delayed{<replicas>})`, "claims"}).from0().runbook("GranterClaimsServiceAway"),
			graph("Questions to services", "By what came of them.", perSecond,
				query{`sum by (service, result) (rate(granter_claims_service_calls_total{<replicas>}[$__rate_interval]))`,
					"{{service}} {{result}}"}).stacked(),
			timeline("Away", "Services that did not answer the last question.", "red",
				query{`max by (service) (granter_claims_service_away{<replicas>} == 1)`, "{{service}}"}).
				runbook("GranterClaimsServiceAway"),
			graph("Decisions", "What was decided, and in which duty.", perSecond,
				query{`max by (action, duty) (rate(granter_claims_steps_total{<replicas>, ` +
					`action=~"approve|decline|review|flag|clear|` +
					`confirm|uphold|partly_uphold|reject"}[$__rate_interval])) > 0`, "{{action}} ({{duty}})"}).stacked(),
		}},
		{"Money", 8, []panel{
			graph("Money", "What was promised to owners, and what has become of it.", won,
				query{`max by (part) (granter_claims_money_won{<replicas>})`, "{{part}}"}).from0(),
			graph("Budget", "All of it, and what is left.", won,
				query{`max(granter_claims_budget_won{<replicas>})`, "budget"},
				query{`max(granter_claims_budget_left_won{<replicas>})`, "left"}).from0().runbook("GranterClaimsBudgetExhausted"),
			graph("Payments", "By the state that they are in.", number,
				query{`max by (state) (granter_claims_payments{<replicas>})`, "{{state}}"}).from0(),
			graph("The bank", "Payments that it should have answered, of which it says that it does not know, and answers "+
				"that do not fit.",
				number,
				query{`max(granter_claims_payments_unanswered{<replicas>})`, "not answered in time"},
				query{`max(granter_claims_payments_unknown{<replicas>})`, "unknown"},
				query{`max(granter_claims_payment_doubts{<replicas>})`, "do not fit"}).from0().
				runbook("GranterClaimsPaymentsUnanswered"),
			graph("Oldest payment", "How long the oldest payment under way is at the bank.", seconds,
				query{`max(granter_claims_payment_oldest_age_seconds{<replicas>})`, "oldest"}).from0().
				runbook("GranterClaimsPaymentsUnanswered"),
			graph("Payments moved", "Sent, settled and returned.", perSecond,
				query{`max by (action) (rate(granter_claims_steps_total{<replicas>, ` +
					`action=~"send_payment|settle|return_payment"}` +
					`[$__rate_interval]))`, "{{action}}"}).from0(),
		}},
		{"Owners are told", 8, []panel{
			graph("Notices", "By what became of them.", number,
				query{`max by (state) (granter_claims_notices{<replicas>})`,
					"{{state}}"}).from0().runbook("GranterClaimsNoticesFailed"),
			graph("Waiting", "Notices that wait, and those of them that have failed before.", number,
				query{`max(granter_claims_notices{<replicas>, state="waiting"})`, "waiting"},
				query{`max(granter_claims_notices_retried{<replicas>})`, "failed before"}).from0(),
			graph("Oldest", "How long ago the oldest thing happened that an owner is yet to be told of.", seconds,
				query{`max(granter_claims_notice_oldest_age_seconds{<replicas>})`,
					"oldest"}).from0().runbook("GranterClaimsNoticesStuck"),
			graph("Not made yet", "Commits of history of which no notices were made: granter claims notify makes them.", number,
				query{`max(granter_claims_notices_behind_commits{<replicas>})`,
					"commits"}).from0().runbook("GranterClaimsNoticesStuck"),
		}},
		{"Database", 8, []panel{
			graph("Refusals", "Of what somebody wanted: another was first, a step that is not possible, frozen, no budget.",
				perSecond,
				query{`sum by (kind) (rate(granter_claims_store_errors_total{<replicas>, ` +
					`kind=~"conflict|illegal|frozen|budget"}` +
					`[$__rate_interval]))`, "{{kind}}"}).stacked(),
			graph("Faults", "Of the database, and of the folder of documents (files).", perSecond,
				query{`sum by (kind) (rate(granter_claims_store_errors_total{<replicas>, ` +
					`kind=~"busy|unreachable|full|refused|files|other"}` +
					`[$__rate_interval]))`, "{{kind}}"}).stacked().runbook("GranterClaimsStoreFails"),
			graph("Files of documents", "Documents without a file, and errors of the folder in ten minutes.", number,
				query{`max(granter_claims_documents_missing{<replicas>})`, "missing"},
				query{`sum(increase(granter_claims_store_errors_total{<replicas>, kind="files"}[10m]))`, "errors"}).from0().
				runbook("GranterClaimsDocumentsFail"),
			graph("Looks", "Time that granter claims watch took for the last look, and looks that failed.", seconds,
				query{`max(granter_claims_watch_duration_seconds{<replicas>})`, "last look"},
				query{`sum(rate(granter_claims_watch_failures_total{<replicas>}[$__rate_interval]))`,
					"failures a second"}).from0().
				runbook("GranterClaimsUnwatched"),
		}},
	},
}
