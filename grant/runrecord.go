package grant

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// RunID identifies one run of one process: the upper 42 bits are its start in Unix milliseconds, so that IDs sort by
// time; the lower 22 are random.
type RunID uint64

// NewRunID makes the ID of a run that starts at the given moment.
func NewRunID(at time.Time) RunID {
	var b [4]byte
	rand.Read(b[:]) // it never returns an error (Go 1.24)
	return RunID(uint64(at.UnixMilli())<<22 | uint64(binary.BigEndian.Uint32(b[:])&(1<<22-1)))
}

// Start is when the run started, by its machine's clock, to the millisecond.
func (r RunID) Start() time.Time { return time.UnixMilli(int64(r >> 22)) }

// String is the form that logs, the ledger and people use: 16 hexadecimal digits.
func (r RunID) String() string { return fmt.Sprintf("%016x", uint64(r)) }

// ParseRunID reads what String wrote.
func ParseRunID(s string) (RunID, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 {
		return 0, fmt.Errorf("run ID %q: want 16 hexadecimal digits", s)
	}
	return RunID(n), nil
}

// RunState says where a run is in its life.
type RunState string

// The states of a run. A run found in state waiting or running whose record is old was killed.
const (
	RunWaiting  RunState = "waiting"  // before starts_at, or until operators let it begin
	RunRunning  RunState = "running"  // granting
	RunFinished RunState = "finished" // everything that was in the topic at its start is granted
	RunStopped  RunState = "stopped"  // by a signal, with a checkpoint
	RunAborted  RunState = "aborted"  // by operators, with a checkpoint
	RunFailed   RunState = "failed"   // by an error, with a checkpoint up to the failure
)

// Over reports whether the run has ended and will do nothing more.
func (s RunState) Over() bool {
	return s == RunFinished || s == RunStopped || s == RunAborted || s == RunFailed
}

// RunStates are all states of a run.
func RunStates() []RunState {
	return []RunState{RunWaiting, RunRunning, RunFinished, RunStopped, RunAborted, RunFailed}
}

// RunRecord is what a run tells the ledger about itself at every checkpoint, so that status can be asked anywhere.
type RunRecord struct {
	Run        RunID     `json:"run"`
	Host       string    `json:"host"`
	PID        int       `json:"pid"`
	Version    string    `json:"version"`
	Spec       string    `json:"spec"` // the campaign's hash
	State      RunState  `json:"state"`
	Error      string    `json:"error,omitempty"`
	StartedAt  time.Time `json:"started_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	Topic      TopicID   `json:"topic"` // what its offsets, and those of its grants, count in
	Partitions []int     `json:"partitions"`
	Tally      Tally     `json:"tally"`
	Rate       float64   `json:"rate"` // records consumed per second, over the last few seconds

	Pass         string           `json:"pass,omitempty"`    // "canary 1%" or "only 20 users"; empty: everybody
	Control      int64            `json:"control"`           // version of the control that this replica obeys
	Limit        float64          `json:"limit,omitempty"`   // users per second that this replica may grant at most; 0: no limit
	Holds        []Hold           `json:"holds,omitempty"`   // why it is slow or stands, the weightiest first
	Rejects      map[string]int64 `json:"rejects,omitempty"` // by reason
	Samples      []Reject         `json:"samples,omitempty"` // the last rejected records, one or two for each reason
	Skew         float64          `json:"skew"`              // longest shard queue divided by the mean
	Redis        RedisHealth      `json:"redis"`
	CheckpointAt *time.Time       `json:"checkpoint_at,omitempty"` // when the ledger took the last checkpoint
}

// Reject is a record without a valid user ID.
type Reject struct {
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`
	Value     string `json:"value"` // quoted, and cut to what fits a line
}

// RedisHealth is what a replica measures of the ledger's Redis. Bytes are those of the master that is nearest to its
// limit; −1: not known.
type RedisHealth struct {
	LatencySeconds float64 `json:"latency_seconds"` // of a call, the worst of the last second
	MemoryBytes    int64   `json:"memory_bytes"`
	MemoryLimit    int64   `json:"memory_limit_bytes"`  // 0: none
	ReplicaLag     int64   `json:"replica_lag_bytes"`   // of the replica that is furthest behind; 0 without replicas
	ClockAhead     float64 `json:"clock_ahead_seconds"` // Redis's clock minus this process's
}

// MarshalText makes a RunID a string of 16 hexadecimal digits in JSON.
func (r RunID) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *RunID) UnmarshalText(b []byte) error {
	id, err := ParseRunID(string(b))
	*r = id
	return err
}
