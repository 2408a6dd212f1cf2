package grant

import "time"

// Cause says why a run goes slower than it could, or stands.
type Cause string

// The causes, the weightiest first.
const (
	CauseUnavailable Cause = "ledger_unavailable" // Redis refuses or does not answer
	CauseAborted     Cause = "operator_abort"     // it stands by until resume
	CauseFinished    Cause = "operator_finish"    // it stands by: everything up to where it was ordered to finish is granted
	CauseOperator    Cause = "operator_pause"
	CauseCritical    Cause = "critical" // a measurement passed --pause-at
	CausePreflight   Cause = "preflight"
	CauseSchedule    Cause = "schedule"         // before the start
	CauseTransaction Cause = "open_transaction" // of a producer: what is behind it in its partitions waits, the others go on
	CauseLatency     Cause = "latency"          // of Redis, above --slow-at
	CauseMemory      Cause = "memory"           // of Redis
	CauseReplicaLag  Cause = "replica_lag"      // of Redis's replicas
	CauseQuery       Cause = "query"            // the operator's Prometheus query returned something
	CauseThrottle    Cause = "operator_throttle"
)

// Causes are all causes, the weightiest first.
func Causes() []Cause {
	return []Cause{
		CauseUnavailable, CauseAborted, CauseFinished, CauseOperator, CauseCritical, CausePreflight, CauseSchedule,
		CauseTransaction, CauseLatency, CauseMemory, CauseReplicaLag, CauseQuery, CauseThrottle,
	}
}

// Stops reports whether nothing is granted while the cause lasts.
func (c Cause) Stops() bool {
	switch c {
	case CauseUnavailable, CauseAborted, CauseFinished, CauseOperator, CauseCritical, CausePreflight, CauseSchedule:
		return true
	default:
		return false
	}
}

// Hold is a cause that is in force in one replica.
type Hold struct {
	Cause  Cause     `json:"cause"`
	Detail string    `json:"detail"` // for people: what was measured, and the limit
	Since  time.Time `json:"since"`
}

// Measurement is how the servers that a run depends on are doing.
type Measurement struct {
	Redis  RedisHealth
	Slow   []Hold // what is above its limit: the run slows down
	Stop   []Hold // what is critical: the run pauses until it is not
	Unsure bool   // something could not be measured: the run does not speed up
}
