// Package grant is the vocabulary of a campaign and the story of one run: who gets what, from when,
// until when, and how a run moves every user of a topic into the ledger exactly once.
package grant

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// UserID identifies one user of the service. Any value from 0 to 2⁶³−1 is valid; a campaign may set a lower limit.
type UserID uint64

// MaxUserID is the largest user ID that any campaign accepts: the largest signed 64-bit integer, so that every
// language and database downstream can hold it.
const MaxUserID UserID = 1<<63 - 1

// Kind says what an item is.
type Kind string

// The kinds of item. Credit and cash carry an amount of money; emoticon and item do not.
const (
	KindEmoticon Kind = "emoticon"
	KindCredit   Kind = "credit"
	KindCash     Kind = "cash"
	KindItem     Kind = "item"
)

// Item is one thing that every user of a campaign receives.
type Item struct {
	ID       string
	Kind     Kind
	Validity time.Duration // counted from the grant; 0 means permanent
	Amount   int64         // in the currency's smallest unit (won for KRW); credit and cash only
	Currency string        // ISO 4217; credit and cash only
}

// Campaign is what is granted, to whom, and when. It is immutable from its first grant on; Hash identifies its content.
type Campaign struct {
	Name       string
	Title      string
	StartsAt   time.Time
	EndsAt     time.Time // zero: no end
	Population int64     // expected number of distinct users; 0: unknown
	Source     Topic
	Items      []Item
	Hash       string // hex SHA-256 of the canonical spec
	Canonical  []byte // the canonical spec itself, as the ledger stores it
}

// Topic says where the user IDs are and how a record holds one.
type Topic struct {
	Topic       string
	Format      Format
	Path        string  // Format JSON only: dot-separated field path, such as "user.id"
	From        Part    // which part of the record holds the ID
	MaxID       UserID  // IDs above it are rejected as over the limit
	MaxRejected float64 // share of consumed records, 0 to 1, above which the run stops instead of filling the dead-letter topic
	DeadLetters string  // topic of the rejected records; empty: Topic and DeadLetterSuffix
	// Tombstones says what a key without a value is, when the IDs are keys: a user who was deleted, or one like all others.
	Tombstones Tombstones
}

// DeadLetterSuffix is appended to a topic's name for the topic that holds its rejected records, unless the spec names one.
const DeadLetterSuffix = ".rejected"

// DeadLetterTopic returns the name of the topic that holds the rejected records.
func (t *Topic) DeadLetterTopic() string {
	if t.DeadLetters != "" {
		return t.DeadLetters
	}
	return t.Topic + DeadLetterSuffix
}

// Tombstones is what happens to records that have a key and no value, with From: FromKey.
type Tombstones string

// What happens to tombstones.
const (
	RejectTombstones Tombstones = "reject"
	GrantTombstones  Tombstones = "grant"
)

// Format is how a record encodes a user ID.
type Format string

// The formats of a user ID.
const (
	FormatDecimal Format = "decimal" // ASCII digits, no sign, no spaces, no leading zeros except "0" itself
	FormatJSON    Format = "json"    // a JSON document with the ID, a number or a string of digits, at a path
	FormatInt64BE Format = "int64be" // 8 bytes, big-endian, as Kafka's LongSerializer writes them
)

// Part is the part of a Kafka record that holds the ID.
type Part string

// The parts of a record.
const (
	FromValue Part = "value"
	FromKey   Part = "key"
)

// Entitlement is an item that one user holds.
type Entitlement struct {
	Item
	GrantedAt time.Time
	ExpiresAt time.Time // zero: permanent
}

// Entitlements returns what a user who was granted the campaign at the given moment holds, and until when.
func (c *Campaign) Entitlements(at time.Time) []Entitlement {
	out := make([]Entitlement, len(c.Items))
	for i, item := range c.Items {
		out[i] = Entitlement{Item: item, GrantedAt: at}
		if item.Validity > 0 {
			out[i].ExpiresAt = at.Add(item.Validity)
		}
	}
	return out
}

// Tally counts records by outcome. At every checkpoint Consumed = Granted + Duplicate + Rejected + Withheld. A record
// that is read again, after a rebalance or a loss, counts again.
type Tally struct {
	Consumed  int64 `json:"consumed"`
	Granted   int64 `json:"granted"`
	Duplicate int64 `json:"duplicate"`
	Rejected  int64 `json:"rejected"`
	Withheld  int64 `json:"withheld"`
}

// Add returns the sum of two tallies.
func (t Tally) Add(o Tally) Tally {
	return Tally{
		t.Consumed + o.Consumed, t.Granted + o.Granted, t.Duplicate + o.Duplicate,
		t.Rejected + o.Rejected, t.Withheld + o.Withheld,
	}
}

// Balanced reports whether the accounting identity holds.
func (t Tally) Balanced() bool {
	return t.Consumed == t.Granted+t.Duplicate+t.Rejected+t.Withheld
}

// RunID identifies one run of one process: the upper 42 bits are its start in Unix milliseconds, so that IDs sort by
// time; the lower 22 are random.
type RunID uint64

// NewRunID makes the ID of a run that starts at the given moment.
func NewRunID(at time.Time) RunID {
	var b [4]byte
	rand.Read(b[:]) // it never returns an error (Go 1.24)
	return RunID(uint64(at.UnixMilli())<<22 | uint64(binary.BigEndian.Uint32(b[:])&(1<<22-1)))
}

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
