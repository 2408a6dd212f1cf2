package ledger

import (
	"strconv"

	"github.com/granter/granter/grant"
)

// The keys of campaign C. What is in braces decides the slot of Redis Cluster, so that all keys of one script call are
// on one master.
//
//	granter:{C/<chunk>}:granted     string  one bit for each user of the chunk whose place is settled: granted, or excluded.
//	                                        None is ever cleared, so no replay of the topic grants anybody again
//	granter:{C/<chunk>}:excluded    string  one bit for each of them who is excluded; exists only where somebody is
//	granter:{C/<chunk>}:journal     list    one Entry for each batch of newly granted users, and for each act; oldest first
//	granter:{C/<chunk>}:state       hash    low 16 bits of a user → grant.UserState as JSON: what acts made of the user. It
//	                                        is written with the act's entry, and follows from the journal
//	granter:{C/<chunk>}:calls       hash    run (8 bytes) → identity of the last call that this run applied; spec → its hash
//	granter:{C/<chunk>}:delta:<id>  string  members to grant, between a SET and the script call right behind it
//	granter:{C/<chunk>}:taken:…     who took which item, and when: see take_keys.go
//	granter:{C/<chunk>}:scratch     string  exists inside the script only
//	granter:{C}:chunks              set     every chunk that has been touched, and possibly more
//	granter:{C}:spec                hash    hash, canonical, stored_at and the format, chunks: how many the set has had
//	granter:{C}:format              hash    version: of all this, see format.go; granter: the first version that knows it
//	granter:{C}:leases              hash    run → until when it may grant, in Unix milliseconds, and under which spec
//	granter:{C}:runs                hash    run (16 hex digits) → grant.RunRecord as JSON
//	granter:{C}:rebuilt             list    grant.Rebuilt as JSON, when the ledger was made again; oldest first
//	granter:{C}:control             string  grant.Control as JSON
//	granter:{C}:history             list    grant.HistoryEntry as JSON, of orders that were carried out; oldest first
//	granter:{C}:refusals            list    grant.HistoryEntry as JSON, of the last orders that were refused
//	granter:{C}:replays             hash    letter (topic/partition/offset of a rejected record) → user and run that it was
//	                                        claimed for: see replays.go
//	granter:{C}:replays:granted, :duplicate set  letters that were replayed, by what came of it
//	granter:{C}:moves               hash    user → AccountMove as JSON, of moves to another account that are not at their end
//	granter:{C}:proposals           hash    ID of a request → grant.Proposal as JSON: acts that take a second person
//	granter:{C}:proposed:<id>:<digest> list whom a proposal is about; gone months after it was decided
//	granter:{C}:alone:<person>      string  how many users the person did something about alone, and when; gone after a day
//	granter:{C}:budget              hash    at, left, rate: what replicas may grant under a throttle
//	granter:{C}:published:<name>    hash    chunk → how much of its journal a subscriber has, see publication.go
//	granter:{C}:publisher:<name>    string  who publishes to that subscriber, for as long as it says so
//	granter:answers:<digest>        string  what was answered to a request with an Idempotency-Key; gone after a day
//	granter:campaigns               hash    campaign → zone of its dates: an index, see campaigns.go
//	granter:{<anchor>}:checkpoint:<spec> hash partition → next offset; e<partition> → leader epoch of the record before it;
//	                                        topic → the grant.TopicID that the offsets count in (none, if granter 0c10d32 or
//	                                        brokers before 2.8 wrote it). A corrected spec reads the topic from the start
//	granter:{<anchor>}:checkpoint:<spec>:<pass> the same of a pass that withholds some users
//	granter:{<anchor>}:takepoint:<spec>:<topic> the same of a topic that takes are read from, see take_topic.go
//	granter:{<anchor>}:tip:<session> hash   shard → number of the last pipeline
//	granter:{<anchor>}:probe:…      what Inspect writes to see whether it may; gone within a minute
//
// An anchor is a tag that stands for the master its slot is on. One Redis has one. A cluster has 64, evenly spaced, so
// that every master has one as long as it owns 256 consecutive slots.
type keys struct {
	campaign string
	version  string // of the spec: the first digits of its hash
	progress string // what checkpoints are called
	pass     string // grant.Pass.Key, or the topic that takes are read from
	anchors  []string
	chunks   string
	spec     string
	format   string
	leases   string
	runs     string
	rebuilt  string
	control  string
	history  string
	refusals string
	budget   string
	moves    string
	replays  string

	proposals       string
	proposed, alone string // what the keys of one proposal, and of one person, begin with

	replayedNew, replayedOld string // letters whose user was granted by it, and had been before
}

const (
	slots        = 16384
	clusterTags  = 64
	anchorStride = slots / clusterTags
)

func newKeys(campaign, hash string, cluster bool) keys {
	base := "granter:{" + campaign + "}:"
	k := keys{campaign: campaign, version: specVersion(hash), progress: "checkpoint"}
	k.chunks, k.spec, k.runs = base+"chunks", base+"spec", base+"runs"
	k.format, k.leases, k.rebuilt = base+"format", base+"leases", base+"rebuilt"
	k.moves, k.proposals, k.proposed, k.alone = base+"moves", base+"proposals", base+"proposed:", base+"alone:"
	k.control, k.history, k.refusals, k.budget = base+"control", base+"history", base+"refusals", base+"budget"
	k.replays, k.replayedNew, k.replayedOld = base+"replays", base+"replays:granted", base+"replays:duplicate"
	if !cluster {
		k.anchors = []string{campaign + "/anchor"}
		return k
	}
	// The first suffix that falls into a wanted slot is taken: about 80,000 tries for all 64, the same on every replica.
	k.anchors = make([]string, clusterTags)
	for i, found := 0, 0; found < clusterTags; i++ {
		tag := campaign + "/anchor/" + strconv.Itoa(i)
		slot := int(crc16(tag)) % slots
		if slot%anchorStride == 0 && k.anchors[slot/anchorStride] == "" {
			k.anchors[slot/anchorStride] = tag
			found++
		}
	}
	return k
}

// specVersion is what keys name a version of the spec by.
func specVersion(hash string) string { return hash[:min(len(hash), 12)] }

func (k *keys) checkpoint(anchor, version string) string {
	name := "granter:{" + anchor + "}:" + k.progress + ":" + version
	if k.pass != "" {
		name += ":" + k.pass
	}
	return name
}

func (k *keys) tip(anchor, session string) string { return "granter:{" + anchor + "}:tip:" + session }

// chunkKeys are the keys of one chunk.
type chunkKeys struct{ granted, journal, calls, delta, scratch, excluded, state string }

// all are the keys in the order of the chunk script.
func (k *chunkKeys) all() []string {
	return []string{k.granted, k.journal, k.calls, k.delta, k.scratch, k.excluded}
}

// act are the keys in the order of the act script.
func (k *chunkKeys) act() []string {
	return []string{k.granted, k.excluded, k.journal, k.state, k.calls}
}

// chunk builds the keys of a call in one allocation; the identity of the call makes the delta key its own.
func (k *keys) chunk(chunk uint64, identity string) chunkKeys {
	var buf [448]byte
	b := append(buf[:0], "granter:{"...)
	b = append(b, k.campaign...)
	b = append(b, '/')
	b = strconv.AppendUint(b, chunk, 10)
	b = append(b, "}:"...)
	base := len(b)
	var ends [7]int
	for i, name := range [...]string{"granted", "journal", "calls", "delta:", "scratch", "excluded", "state"} {
		if i > 0 {
			b = append(b, b[:base]...)
		}
		b = append(b, name...)
		if name == "delta:" {
			b = append(b, identity...)
		}
		ends[i] = len(b)
	}
	s := string(b)
	return chunkKeys{
		s[:ends[0]], s[ends[0]:ends[1]], s[ends[1]:ends[2]], s[ends[2]:ends[3]],
		s[ends[3]:ends[4]], s[ends[4]:ends[5]], s[ends[5]:],
	}
}

// granted, journal and excluded are the keys that readers need.
func (k *keys) granted(chunk uint64) string  { return k.chunk(chunk, "").granted }
func (k *keys) journal(chunk uint64) string  { return k.chunk(chunk, "").journal }
func (k *keys) excluded(chunk uint64) string { return k.chunk(chunk, "").excluded }

// runBytes is the form of a run ID inside the ledger: 8 bytes, big-endian.
func runBytes(run grant.RunID) []byte {
	var b [8]byte
	for i := range b {
		b[i] = byte(run >> (56 - 8*i))
	}
	return b[:]
}

// crc16 is the checksum that Redis Cluster computes slots with: CRC-16/XMODEM.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^s[i]]
	}
	return crc
}

var crcTable = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}()
