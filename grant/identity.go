package grant

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// TopicID tells a topic from every other one that has its name, had it, or will have it. Offsets mean nothing without it.
type TopicID struct {
	Cluster string   // Kafka's ID of the cluster; empty: the brokers do not tell
	Topic   [16]byte // a UUID that is new whenever a topic is created (KIP-516); zero: brokers before 2.8 have none
}

// Known reports whether a topic that was made again would have another ID.
func (t TopicID) Known() bool { return t.Topic != [16]byte{} }

// String is the form of logs, the ledger and commits: the cluster's ID, a slash, and the topic's as Kafka's tools print
// it. Without a topic's ID nothing follows the slash; when nothing is known it is empty.
func (t TopicID) String() string {
	if t == (TopicID{}) {
		return ""
	}
	if !t.Known() {
		return t.Cluster + "/"
	}
	return t.Cluster + "/" + base64.RawURLEncoding.EncodeToString(t.Topic[:])
}

// ParseTopicID reads what String wrote, and nothing else.
func ParseTopicID(s string) (t TopicID, err error) {
	if at := strings.LastIndexByte(s, '/'); at >= 0 {
		t.Cluster = s[:at]
		id, _ := base64.RawURLEncoding.DecodeString(s[at+1:])
		copy(t.Topic[:], id)
	}
	if t.String() != s {
		return TopicID{}, fmt.Errorf("topic ID %q: want CLUSTER/TOPIC, the latter in 22 characters of base64", s)
	}
	return t, nil
}

// MarshalText makes a TopicID a string in JSON.
func (t TopicID) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (t *TopicID) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTopicID(string(b))
	return err
}

// Weaker is what is known of the topic when its brokers have no topic IDs.
func (t TopicID) Weaker() TopicID { return TopicID{Cluster: t.Cluster} }

// Continues reports whether a reader of this topic may go on at offsets of another one: it is the same, or nothing was
// known of it but the cluster, because the brokers or the granter of that time were too old.
func (t TopicID) Continues(stored TopicID) bool {
	return stored == t || stored == TopicID{} || t.Known() && stored == t.Weaker()
}

// Checkpoint is how far a topic is granted.
type Checkpoint struct {
	Topic  TopicID       // what the offsets count in
	Next   Offsets       // by partition, the next offset to read. A partition that is not in it starts at its beginning
	Epochs map[int]int32 // by partition, the leader epoch of the last record before that; not in it: not known
}

// Of returns what a checkpoint says of a topic: nothing, if it is of another one.
func (c Checkpoint) Of(t TopicID) Checkpoint {
	if t.Continues(c.Topic) {
		return c
	}
	return Checkpoint{Topic: t}
}

// Only returns what a checkpoint says of some partitions.
func (c Checkpoint) Only(partitions Offsets) Checkpoint {
	out := Checkpoint{Topic: c.Topic, Next: Offsets{}, Epochs: map[int]int32{}}
	for partition := range partitions {
		if next, ok := c.Next[partition]; ok {
			out.Next[partition], out.Epochs[partition] = next, c.Epoch(partition)
		}
	}
	return out
}

// Epoch returns the leader epoch of the last record before the checkpoint; −1: not known.
func (c Checkpoint) Epoch(partition int) int32 {
	if epoch, ok := c.Epochs[partition]; ok {
		return epoch
	}
	return -1
}

// ErrTopicChanged means that positions are of a topic that is no more: all of it, or its tail. Going on from them would
// leave out users.
var ErrTopicChanged = errors.New("the topic is not what was read")

const howToGoOn = "To grant what the topic holds now, from its first record on: granter run --new-topic --why TEXT (nobody is granted twice)"

// OtherTopicError means that Kafka has another topic than the one that positions count in. It is an ErrTopicChanged.
type OtherTopicError struct {
	Name   string
	Whose  string // what counts in the other one: "the checkpoint", "this run"
	Before TopicID
	Now    TopicID
}

func (e *OtherTopicError) Error() string {
	what := "it was deleted and created again"
	if e.Before.Cluster != e.Now.Cluster {
		what = "it is on another cluster"
	}
	return fmt.Sprintf("%s counts in another topic %s than Kafka has now: %s. Before: %s. Now: %s. %s",
		e.Whose, e.Name, what, e.Before.describe(), e.Now.describe(), howToGoOn)
}

// Unwrap makes it an ErrTopicChanged.
func (e *OtherTopicError) Unwrap() error { return ErrTopicChanged }

func (t TopicID) describe() string {
	switch {
	case t == TopicID{}:
		return "a topic without an ID"
	case !t.Known():
		return "a topic without an ID on cluster " + t.Cluster
	}
	return "topic ID " + t.String()[len(t.Cluster)+1:] + " on cluster " + t.Cluster
}

// TruncatedError means that Kafka lost the end of a partition that had been read, and may have filled it with other
// records since: an unclean leader election, or a disk that was restored. It is an ErrTopicChanged.
type TruncatedError struct {
	Partition int
	Offset    int64 // up to where it was read
	Epoch     int32 // the leader epoch of the last record that was read; −1: not known
	End       int64 // the end of that epoch, or of an older one, in what Kafka has now; −1: it has nothing as old
	EndEpoch  int32 // −1: none
}

func (e *TruncatedError) Error() string {
	has := fmt.Sprintf("epoch %d ends at offset %d", e.EndEpoch, e.End)
	switch {
	case e.End < 0:
		has = "Kafka knows no such epoch"
	case e.EndEpoch < 0:
		has = fmt.Sprintf("it ends at offset %d", e.End)
	}
	return fmt.Sprintf("partition %d has lost records that had been read (an unclean leader election, or a disk that was restored), "+
		"and others may be in their place: it was read to offset %d in leader epoch %d, and now %s. %s",
		e.Partition, e.Offset, e.Epoch, has, howToGoOn)
}

// Unwrap makes it an ErrTopicChanged.
func (e *TruncatedError) Unwrap() error { return ErrTopicChanged }
