package preflight

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant/source"
)

// judgeLetters judges whether a run could store rejected records: it stops at the first one that it cannot.
func (j *judgement) judgeLetters() {
	f := j.kafka
	name := j.Campaign.Input.DeadLetterTopic()
	const another = "choose another name by dead_letters: NAME under source in the spec"
	switch {
	case j.Pass.Private:
		j.pass("kafka.rejected", "rejected records are counted: the pass that grants everybody stores them")
	case j.explained(f.lettersErr):
	case f.letters != nil:
		j.judgeOldLetters(name, another)
	case errors.Is(f.lettersErr, kafka.InvalidTopic):
		j.fail("kafka.rejected", fmt.Sprintf("Kafka refuses a topic %s for rejected records: %v", name, f.lettersErr), another)
	case f.lettersErr != nil:
		j.fail("kafka.rejected", fmt.Sprintf("the topic %s for rejected records does not exist and cannot be created: %v", name, f.lettersErr),
			fmt.Sprintf("create it with %s and retention.ms=-1 and allow this user to Describe and Write it, or allow this user to Create it, too",
				plural(len(f.topic.Partitions), "partition")))
	default:
		j.pass("kafka.rejected", "rejected records go to "+name+", which a run will create")
	}
}

// smallestLetter is what a dead letter takes without its key and value: the batch around it, and headers with the longest names.
const smallestLetter = 2 << 10

// judgeOldLetters judges a dead-letter topic that is there already, whoever made it.
func (j *judgement) judgeOldLetters(name, another string) {
	f := j.kafka
	size, err := strconv.ParseInt(f.lettersConfig["max.message.bytes"], 10, 64)
	least, _ := strconv.Atoi(f.lettersConfig["min.insync.replicas"])
	var short []string
	for _, p := range f.letters.Partitions {
		if len(p.Isr) < max(least, 1) {
			short = append(short, strconv.Itoa(p.ID))
		}
	}
	ms, keptErr := strconv.ParseInt(f.lettersConfig["retention.ms"], 10, 64)
	switch {
	case strings.Contains(f.lettersConfig["cleanup.policy"], "compact"):
		j.fail("kafka.rejected", name+" is compacted: it refuses rejected records without a key, and keeps one of those with the same",
			"set cleanup.policy=delete for it, or "+another)
	case err == nil && size < smallestLetter:
		j.fail("kafka.rejected", fmt.Sprintf("%s takes records of %s at most: no rejected record fits in", name, memory(size)),
			"raise its max.message.bytes, or "+another)
	case len(short) > 0:
		j.fail("kafka.rejected", fmt.Sprintf("partition %s of %s has fewer replicas in sync than a write needs (%d)", few(short, 20), name, max(least, 1)),
			"start the brokers that hold it, or lower its min.insync.replicas")
	case keptErr == nil && ms >= 0:
		j.warn("kafka.rejected", fmt.Sprintf("rejected records go to %s, which keeps them for %s", name, span(time.Duration(min(ms, 1<<43))*time.Millisecond)),
			"set retention.ms=-1 for it, so that their users can still be found later")
	default:
		j.pass("kafka.rejected", "rejected records go to "+name+", which exists")
	}
}

// judgeRights judges what this user may do, as the brokers say; what they do not say shows when it is tried.
func (j *judgement) judgeRights() {
	f := j.kafka
	if j.explained(f.rightsErr) {
		return
	}
	if f.rightsErr != nil {
		j.warn("kafka.rights", "unknown, because "+f.rightsErr.Error(), "docs/operations.md lists what a run needs")
		return
	}
	letters := j.Campaign.Input.DeadLetterTopic()
	var lacking, acls []string
	need := func(what, name string, r source.Rights, operations ...source.Operation) {
		lacks := r.Lacks(operations...)
		if errors.Is(r.Err, kafka.TopicAuthorizationFailed) {
			lacks = operations // what somebody may do is told to those who may at least describe it
		}
		if len(lacks) == 0 {
			return
		}
		var words []string
		for _, o := range lacks {
			words = append(words, o.String())
		}
		lacking = append(lacking, strings.Join(words, ", ")+" on "+what+" "+name)
		acls = append(acls, "--operation "+strings.Join(words, " --operation ")+" --"+what+" "+name)
	}
	need("topic", f.topic.Name, f.rights[f.topic.Name], source.Describe, source.Read)
	writes := ""
	if !j.Pass.Private {
		need("topic", letters, f.rights[letters], source.Describe, source.Write)
		writes = ", and Write " + letters
	}
	need("group", j.Pass.Group, f.groupRights, source.Read)
	switch {
	case len(lacking) > 0:
		j.fail("kafka.rights", "this user may not "+strings.Join(lacking, "; "),
			"allow it: kafka-acls.sh --add --allow-principal User:… "+strings.Join(acls, ", and ")+" (docs/operations.md lists all that a run needs)")
	case !f.rights[f.topic.Name].Known() && f.groupErr == nil:
		j.warn("kafka.rights", "not told by these brokers (before Kafka 2.3)", "docs/operations.md lists what a run needs")
	default:
		j.pass("kafka.rights", "this user may Read "+f.topic.Name+" and its group"+writes)
	}
}
