package grant

// Input says where the user IDs are and how a record holds one: the source of a spec.
type Input struct {
	Topic       string
	Format      Format
	Path        string  // Format JSON only: dot-separated field path, such as "user.id"
	From        Part    // which part of the record holds the ID
	MaxID       uint64  // IDs above it are rejected as over the limit
	MaxRejected float64 // share of consumed records, 0 to 1, above which the run stops instead of filling the dead-letter topic
	DeadLetters string  // topic of the rejected records; empty: Topic and DeadLetterSuffix
	// Tombstones says what a key without a value is, when the IDs are keys: a user who was deleted, or one like all others.
	Tombstones Tombstones
}

// DeadLetterSuffix is appended to a topic's name for the topic that holds its rejected records, unless the spec names one.
const DeadLetterSuffix = ".rejected"

// DeadLetterTopic returns the name of the topic that holds the rejected records.
func (i *Input) DeadLetterTopic() string {
	if i.DeadLetters != "" {
		return i.DeadLetters
	}
	return i.Topic + DeadLetterSuffix
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
