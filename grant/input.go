package grant

import "strings"

// Input says where the user IDs are and how a record holds one: the source of a spec.
type Input struct {
	Topic       string
	Format      Format
	Path        string  // formats with fields only: dot-separated field path, such as "user.id"
	From        Part    // which part of the record holds the ID
	IDs         IDs     // what IDs are
	Normalise   string  // IDs: strings only: what makes two spellings one user, some of Normalisations with spaces between
	MaxID       uint64  // IDs above it are rejected as over the limit
	MaxRejected float64 // share of consumed records, 0 to 1, above which the run stops instead of filling the dead-letter topic
	DeadLetters string  // topic of the rejected records; empty: Topic and DeadLetterSuffix
	// Tombstones says what a key without a value is, when the IDs are keys: a user who was deleted, or one like all others.
	Tombstones Tombstones
	// Schemas are what records of a format with schemas are written by, ascending by their IDs.
	Schemas []Schema
	// Registry is the URL of the schema registry that has those which are not in Schemas; empty: there is none.
	Registry string
}

// Schema is the text of a schema, by the ID that a registry gave it and that its records begin with.
type Schema struct {
	ID         uint32
	Text       string
	References []Reference // what it refers to, also by others of them, each behind those that it needs itself
}

// Reference is the text of a schema that others refer to by a name: of Avro the full name of the type, of Protobuf the name by
// which the file is imported.
type Reference struct{ Name, Text string }

// Opaque reports whether IDs are no dense numbers, so that the ledger has them in buckets, whole, and not as bits of chunks.
func (i *Input) Opaque() bool { return i.IDs == IDsInt64 || i.IDs == IDsUUID || i.IDs == IDsString }

// IDs is what the IDs of a campaign are.
type IDs string

// The kinds of ID. The zero value is dense, too.
const (
	IDsDense  IDs = "dense"  // numbers from 0 on that lie close together
	IDsInt64  IDs = "int64"  // any numbers of 64 bits, with their sign
	IDsUUID   IDs = "uuid"   // one user in all of their forms
	IDsString IDs = "string" // up to 256 bytes of UTF-8, as they are
)

// What Normalise may say, in the order in which it is done.
const (
	NormaliseTrim  = "trim"  // without white space around it
	NormaliseLower = "lower" // in lower case
	NormaliseNFC   = "nfc"   // in Unicode's normalisation form C
)

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
	FormatText    Format = "text"    // the ID itself; of a UUID also its 16 bytes

	// FormatAvro, FormatProtobuf and FormatJSONSchema are what Confluent's serializers write: a byte 0, the ID of a schema in
	// 4 bytes, and a payload with the user ID at a path. A payload of Protobuf begins with which message of the file it is.
	FormatAvro       Format = "avro"
	FormatProtobuf   Format = "protobuf"
	FormatJSONSchema Format = "json_schema"
)

// Schemas reports whether records say by which schema they are written.
func (f Format) Schemas() bool {
	return f == FormatAvro || f == FormatProtobuf || f == FormatJSONSchema
}

// Fields reports whether records have fields, so that a path says where the ID is.
func (f Format) Fields() bool { return f == FormatJSON || f.Schemas() }

// Part is the part of a Kafka record that holds the ID.
type Part string

// The parts of a record.
const (
	FromValue Part = "value"
	FromKey   Part = "key"

	// FromHeader has the header's name behind it. Of several headers of that name the last one counts.
	FromHeader Part = "header:"
)

// OwnHeaders is what the names of the headers begin with that granter writes to rejected records.
const OwnHeaders = "granter-"

// Header is the name of the header that holds the ID; empty: none does.
func (p Part) Header() string {
	name, is := strings.CutPrefix(string(p), string(FromHeader))
	if !is {
		return ""
	}
	return name
}
