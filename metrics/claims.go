package metrics

import (
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// claimsFactory registers metrics of a programme, whose name is the label campaign.
func claimsFactory(reg prometheus.Registerer, programme string, labels prometheus.Labels) factory {
	all := prometheus.Labels{"campaign": programme}
	maps.Copy(all, labels)
	return factory{prometheus.WrapRegistererWith(all, reg)}
}

// ClaimsTopic holds the metrics of what takes a topic into the database of claims.
type ClaimsTopic struct {
	Records *prometheus.CounterVec // by outcome: taken, or why not
	Behind  prometheus.Gauge
}

// OutcomeTaken is the outcome of a record that came to something.
const OutcomeTaken = "taken"

// NewClaimsTopic registers the metrics of a topic of a kind, claims or answers (of the bank). Every series of the given reasons
// exists from the start.
func NewClaimsTopic(reg prometheus.Registerer, programme, kind string, reasons []string) *ClaimsTopic {
	f := claimsFactory(reg, programme, prometheus.Labels{"kind": kind})
	t := &ClaimsTopic{
		Records: f.counters(
			"claims_records_total",
			"Records of a topic of claims, or of the bank's answers, by what became of them: "+
				"taken into the database, now or before, or why not.",
			"outcome",
		),
		Behind: f.gauge("claims_behind_records",
			"Records of the assigned partitions that are not in the database yet, as of the last look."),
	}
	for _, outcome := range append([]string{OutcomeTaken}, reasons...) {
		t.Records.WithLabelValues(outcome)
	}
	return t
}

// NewClaimsErrors registers what every process has that asks the database of claims: which program it is, and what went wrong, by
// kind.
func NewClaimsErrors(reg prometheus.Registerer, programme, version string, kinds []string) *prometheus.CounterVec {
	f := claimsFactory(reg, programme, nil)
	f.gaugeWith("build_info", buildHelp, buildLabels(version)).Set(1)
	c := f.counters("claims_store_errors_total",
		"What the database of claims, the rules in it, or the folder of documents (files) did not do, by kind. conflict, "+
			"illegal, frozen and budget are refusals that whoever asked was told about; the others are faults.", "kind")
	for _, kind := range kinds {
		c.WithLabelValues(kind)
	}
	return c
}

// NewClaimsFiles registers how many documents have no file, of what looks after them.
func NewClaimsFiles(reg prometheus.Registerer, programme string) prometheus.Gauge {
	return claimsFactory(reg, programme, nil).gauge("claims_documents_missing",
		"Documents that claims have and whose file is not in the folder, as of the last look.")
}

// NewClaimsOffered registers what became of claims that somebody wanted to hand in to a process, by channel and outcome.
func NewClaimsOffered(reg prometheus.Registerer, programme string, channels, outcomes []string) *prometheus.CounterVec {
	f := claimsFactory(reg, programme, nil)
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "claims_offered_total",
		Help: "Claims that somebody wanted to hand in, by channel (page is the owner's; api and staff are the desk's) and " +
			"outcome: taken, now or before, or why not.",
	}, []string{"channel", "outcome"})
	f.reg.MustRegister(c)
	for _, channel := range channels {
		for _, outcome := range outcomes {
			c.WithLabelValues(channel, outcome)
		}
	}
	return c
}

// ClaimsChecks holds the metrics of what asks services who owners are.
type ClaimsChecks struct {
	Calls *prometheus.CounterVec // by service and result
	Away  *prometheus.GaugeVec   // by service
}

// The results of calls of services.
const (
	CallAnswered = "answered"
	CallFailed   = "failed"
)

// NewClaimsChecks registers the metrics.
func NewClaimsChecks(reg prometheus.Registerer, programme string, services ...string) *ClaimsChecks {
	f := claimsFactory(reg, programme, nil)
	c := &ClaimsChecks{
		Calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "claims_service_calls_total",
			Help: "Questions to the services that say who owners are, by service and result. One that failed is asked again " +
				"later.",
		}, []string{"service", "result"}),
		Away: f.gauges("claims_service_away", "1 when the last question to a service got no answer.", "service"),
	}
	f.reg.MustRegister(c.Calls)
	for _, s := range services {
		c.Away.WithLabelValues(s)
		for _, result := range []string{CallAnswered, CallFailed} {
			c.Calls.WithLabelValues(s, result)
		}
	}
	return c
}

// Called notes what became of a question to a service.
func (c *ClaimsChecks) Called(service string, err error) {
	result := CallAnswered
	if err != nil {
		result = CallFailed
	}
	c.Calls.WithLabelValues(service, result).Inc()
	c.Away.WithLabelValues(service).Set(truth(err != nil))
}

// Claims is how the claims of a programme stand.
type Claims struct {
	Channels map[string]int64       // claims, by how they came
	States   map[string]ClaimsState // by state
	Delayed  int64                  // claims that wait for a service that was away
	Steps    map[ClaimsStep]int64   // since the beginning of history

	Budget, Left int64            // won; no budget: 0
	Money        map[string]int64 // won, by what became of it
	Payments     map[string]int64 // by state
	Unanswered   int64            // payments that the bank should have answered
	Unsure       int64            // payments of which the bank says that it does not know
	Sent         time.Duration    // age of the oldest payment at the bank
	Doubts       int64
	Wrong        int64 // sums that do not agree

	Notices     map[string]int64 // by state
	Retried     int64
	Untold      time.Duration // age of what the oldest waiting notice tells of
	Uncollected int64

	Quarantined int64
	Quarantine  time.Duration
	Frozen      bool

	Agenda, Silent int64         // motions before the council, and votes that are missing on them
	Longest        time.Duration // age of the oldest of those motions

	Filed, NotFiled int64 // businesses that reported before claims could be filed, and have handed in a claim, or none

	At   time.Time
	Took time.Duration
}

// What became of those who reported before.
const (
	withClaim    = "filed"
	withoutClaim = "not_filed"
)

// ClaimsState is how the claims in a state stand.
type ClaimsState struct {
	Claims, Late int64
	Oldest       time.Duration // since the oldest was received
}

// ClaimsStep is a kind of entry of history.
type ClaimsStep struct{ Action, Duty string }

// ClaimsWatch holds the metrics of a programme, as a look into the database has them.
type ClaimsWatch struct {
	Failures prometheus.Counter

	states, late, oldest, money, payments, notices, reported *prometheus.GaugeVec
	received, steps                                          *prometheus.CounterVec
	delayed, budget, left, unanswered, unsure, sent          prometheus.Gauge
	doubts, wrong, retried, untold, uncollected, quarantined prometheus.Gauge
	quarantine, frozen, looked, took                         prometheus.Gauge
	agenda, silent, longest                                  prometheus.Gauge
	before                                                   Claims
}

// NewClaimsWatch registers the metrics. States, money, payments and notices are the values of those labels.
func NewClaimsWatch(
	reg prometheus.Registerer, programme string, states, money, payments, notices []string, steps []ClaimsStep,
) *ClaimsWatch {
	f := claimsFactory(reg, programme, nil)
	w := &ClaimsWatch{}
	w.queues(f)
	w.payouts(f)
	w.others(f)
	for _, s := range states {
		w.states.WithLabelValues(s)
		w.late.WithLabelValues(s)
		w.oldest.WithLabelValues(s)
	}
	for vec, values := range map[*prometheus.GaugeVec][]string{w.money: money, w.payments: payments, w.notices: notices} {
		for _, v := range values {
			vec.WithLabelValues(v)
		}
	}
	for _, v := range []string{withClaim, withoutClaim} {
		w.reported.WithLabelValues(v)
	}
	for _, s := range steps {
		w.steps.WithLabelValues(s.Action, s.Duty)
	}
	return w
}

func (w *ClaimsWatch) queues(f factory) {
	w.states = f.gauges("claims_in_state", "Claims, by the state that they are in.", "state")
	w.late = f.gauges("claims_late", "Claims that have waited for others longer than owners are promised (--decide-within), and "+
		"in whose state somebody has to act, by state. Time in which the owner or the bank had to act does not count.", "state")
	w.oldest = f.gauges("claims_oldest_age_seconds", "How long ago the oldest claim of a state was received; 0: there is none.",
		"state")
	w.received = f.counters("claims_received_total", "Claims that were taken in, by the channel by which they came.", "channel")
	w.steps = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "claims_steps_total",
		Help: "Entries of the history of all claims, by what was done and in which duty, whichever process did it.",
	}, []string{"action", "duty"})
	f.reg.MustRegister(w.steps)
	w.delayed = f.gauge("claims_delayed", "Claims that wait for the tax office or the bank, which did not answer when it "+
		"was asked.")
}

func (w *ClaimsWatch) payouts(f factory) {
	w.money = f.gauges("claims_money_won", "Money, in won before tax: promised to owners; of it owed and not ordered, "+
		"declared by a "+
		"payout run, sent to the bank, settled; and returned by the bank, which is owed again.", "part")
	w.budget = f.gauge("claims_budget_won", "Budget of the programme; 0: it has none.")
	w.left = f.gauge("claims_budget_left_won", "What is left of the budget: neither settled nor reserved by payments under way.")
	w.payments = f.gauges("claims_payments", "Payments, by the state that they are in.", "state")
	w.unanswered = f.gauge("claims_payments_unanswered", "Payments that the bank has had for longer than --within, and has not "+
		"settled or returned.")
	w.unsure = f.gauge("claims_payments_unknown", "Payments under way of which the bank has said that it does not know what "+
		"became "+
		"of them: they are asked about again, and never sent again.")
	w.sent = f.gauge("claims_payment_oldest_age_seconds", "How long the oldest payment under way is at the bank; 0: none is.")
	w.doubts = f.gauge("claims_payment_doubts", "Answers of the bank that do not fit what was ordered: a person must look.")
	w.wrong = f.gauge("claims_wrong_sums", "Sums of money that should be the same and are not.")
}

func (w *ClaimsWatch) others(f factory) {
	w.notices = f.gauges("claims_notices", "Notices to owners, by what became of them, of all programmes of the database.",
		"state")
	w.retried = f.gauge("claims_notices_retried", "Notices that wait because sending them has failed; they are sent again later.")
	w.untold = f.gauge("claims_notice_oldest_age_seconds", "How long ago the oldest thing happened that owners may have to "+
		"be told "+
		"of; 0: there is none.")
	w.uncollected = f.gauge("claims_notices_behind_commits", "Commits of history of which no notices were made yet.")
	w.quarantined = f.gauge("claims_quarantined_documents", "Documents that wait for the malware scanner, and count only then.")
	w.quarantine = f.gauge("claims_quarantine_oldest_age_seconds", "How long the oldest of them waits; 0: there is none.")
	w.frozen = f.gauge("claims_frozen", "1 while nothing is decided or paid, because somebody has frozen it.")
	w.agenda = f.gauge("claims_council_open_items", "Motions on agendas of the council that have not been counted.")
	w.silent = f.gauge("claims_council_votes_missing", "Votes on motions that are not counted, of members who are at the "+
		"meeting, may vote, and have not.")
	w.longest = f.gauge("claims_council_oldest_age_seconds", "How long ago the oldest motion that the council has not counted "+
		"was put on an agenda; 0: there is none.")
	w.reported = f.gauges("claims_reporters", "Businesses that reported a loss before claims could be filed, by whether "+
		"they have "+
		"handed in a claim.", "claim")
	w.looked = f.gauge("claims_watched_timestamp_seconds", "Unix time of the last look into the database; 0: none was made.")
	w.took = f.gauge("claims_watch_duration_seconds", "Time that the last look took.")
	w.Failures = f.counter("claims_watch_failures_total", "Looks into the database that failed.")
}

// Set sets all metrics. What is counted since the beginning never goes back.
func (w *ClaimsWatch) Set(c *Claims) {
	for s, v := range c.States {
		w.states.WithLabelValues(s).Set(float64(v.Claims))
		w.late.WithLabelValues(s).Set(float64(v.Late))
		w.oldest.WithLabelValues(s).Set(v.Oldest.Seconds())
	}
	for channel, n := range c.Channels {
		w.received.WithLabelValues(channel).Add(float64(max(0, n-w.before.Channels[channel])))
	}
	for s, n := range c.Steps {
		w.steps.WithLabelValues(s.Action, s.Duty).Add(float64(max(0, n-w.before.Steps[s])))
	}
	for vec, values := range map[*prometheus.GaugeVec]map[string]int64{
		w.money: c.Money, w.payments: c.Payments, w.notices: c.Notices,
	} {
		for label, n := range values {
			vec.WithLabelValues(label).Set(float64(n))
		}
	}
	for gauge, n := range map[prometheus.Gauge]int64{
		w.delayed: c.Delayed, w.budget: c.Budget, w.left: c.Left, w.unanswered: c.Unanswered, w.unsure: c.Unsure,
		w.doubts: c.Doubts, w.wrong: c.Wrong, w.retried: c.Retried, w.uncollected: c.Uncollected, w.quarantined: c.Quarantined,
		w.agenda: c.Agenda, w.silent: c.Silent,
	} {
		gauge.Set(float64(n))
	}
	for gauge, d := range map[prometheus.Gauge]time.Duration{
		w.sent: c.Sent, w.untold: c.Untold, w.quarantine: c.Quarantine, w.took: c.Took, w.longest: c.Longest,
	} {
		gauge.Set(d.Seconds())
	}
	w.reported.WithLabelValues(withClaim).Set(float64(c.Filed))
	w.reported.WithLabelValues(withoutClaim).Set(float64(c.NotFiled))
	w.frozen.Set(truth(c.Frozen))
	w.looked.Set(float64(c.At.Unix()))
	w.before = *c
}
