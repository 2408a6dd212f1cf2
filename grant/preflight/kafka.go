package preflight

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
)

func (j *judgement) judgeKafka() {
	if !j.judgeBrokers() {
		return
	}
	if !j.judgeTopic() {
		return
	}
	j.judgeIdentity()
	j.judgeLeaders()
	j.judgeReplicas()
	switch {
	case j.explained(j.kafka.boundsErr):
	case j.kafka.boundsErr != nil:
		j.fail("kafka.records", "unknown, because "+j.kafka.boundsErr.Error(),
			"check that every broker that leads a partition answers, and that this user may Describe the topic")
	default:
		j.judgeRecords()
		j.judgeGaps()
	}
	j.judgeConfig()
	j.judgeTransactions()
	j.judgeLetters()
	j.judgeGroup()
	j.judgeRights()
}

// explained reports whether an error is a consequence of brokers that do not answer. They have been reported, and once is
// enough.
func (j *judgement) explained(err error) bool {
	kind, _ := source.Classify(err)
	return err != nil && kind != source.KindAuthorization &&
		slices.ContainsFunc(j.kafka.brokers, func(b broker) bool { return b.err != nil })
}

// judgeBrokers judges whether the cluster can be asked at all, and returns whether it can.
func (j *judgement) judgeBrokers() bool {
	f := j.kafka
	answering := map[string]bool{}
	var dead []answer
	refused := 0
	for _, a := range f.bootstrap {
		answering[a.addr] = a.err == nil
		if kind, _ := source.Classify(a.err); a.err != nil && kind == source.KindAuthenticate {
			refused++
			j.fail("kafka.login", fmt.Sprintf("%s refuses the credentials: %v", a.addr, a.err),
				"check --kafka-user, --kafka-sasl and the password in GRANTER_KAFKA_PASSWORD or GRANTER_KAFKA_PASSWORD_FILE")
			break // it is the same password everywhere
		}
		if a.err != nil {
			dead = append(dead, a)
		}
	}
	const unchecked = "; not checked: topic, records, sample, memory that is needed"
	if len(f.brokers) == 0 {
		switch {
		case refused > 0: // that says it
		case len(dead) == len(f.bootstrap):
			j.fail("kafka.brokers", "none answers: "+troubles(dead)+unchecked, brokerAdvice(dead))
		default:
			j.fail("kafka.brokers", fmt.Sprintf("%v%s", f.err, unchecked), "look at the brokers' logs")
		}
		return false
	}
	leaders := false
	for _, b := range f.brokers {
		if _, told := answering[b.addr]; b.err != nil && !told {
			dead = append(dead, b.answer)
			leaders = leaders || b.leads > 0
		}
	}
	switch {
	case leaders:
		j.fail("kafka.brokers", "the cluster names brokers that do not answer: "+troubles(dead)+"; what needs them is not checked",
			"brokers must be reachable from here under the names of their advertised.listeners; "+brokerAdvice(dead))
	case len(dead) > 0:
		j.warn("kafka.brokers", "not all answer: "+troubles(dead), brokerAdvice(dead))
	default:
		var names []string
		for _, b := range f.brokers {
			names = append(names, b.addr)
		}
		j.pass("kafka.brokers", fmt.Sprintf("%s: %s", plural(len(names), "broker"), few(names, 8)))
	}
	if j.Input.Kafka.SASL == nil {
		j.pass("kafka.login", "the brokers ask for no password")
	} else if refused == 0 {
		j.pass("kafka.login", j.Input.Kafka.SASL.Name()+": accepted")
	}
	return true
}

func troubles(list []answer) string {
	words := make([]string, 0, len(list))
	for _, a := range list {
		text := a.err.Error()
		for _, noise := range []string{"failed to dial: ", "failed to open connection to " + a.addr + ": ", "dial tcp " + a.addr + ": "} {
			text = strings.ReplaceAll(text, noise, "")
		}
		words = append(words, a.addr+" ("+text+")")
	}
	return strings.Join(words, ", ")
}

func brokerAdvice(list []answer) string {
	for _, a := range list {
		var unknown x509.UnknownAuthorityError
		switch {
		case errors.As(a.err, &unknown):
			return "name the certificate authority by --kafka-ca"
		case errors.Is(a.err, io.EOF), errors.Is(a.err, io.ErrUnexpectedEOF), strings.Contains(a.err.Error(), "first record does not look like a TLS handshake"):
			return "something listens there but hangs up: check --kafka-tls and --kafka-sasl, and that it is a Kafka broker"
		}
	}
	return "check --brokers, that the brokers run, and firewalls"
}

func (j *judgement) judgeTopic() bool {
	name := j.Campaign.Input.Topic
	switch err := j.kafka.topicErr; {
	case err == nil:
		j.pass("kafka.topic", fmt.Sprintf("%s has %s", name, plural(len(j.kafka.topic.Partitions), "partition")))
		return true
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		advice := "create it, or correct source.topic in the spec; with ACLs, allow this user to Describe and Read it"
		if near := text.Nearest(name, j.kafka.names); near != "" {
			advice = fmt.Sprintf("did you mean %s? Otherwise %s", near, advice)
		}
		j.fail("kafka.topic", fmt.Sprintf("there is no topic %s among the %s that this user may see; not checked: records, sample, memory that is needed",
			name, plural(len(j.kafka.names), "topic")), advice)
	default:
		j.fail("kafka.topic", fmt.Sprintf("%s: %v; not checked: records, sample, memory that is needed", name, err),
			"allow this user to Describe and Read the topic")
	}
	return false
}

// judgeIdentity judges whether the topic is the one that the checkpoint counts in, and still has what was read of it.
func (j *judgement) judgeIdentity() {
	const name = "kafka.identity"
	f := j.kafka
	id, before := f.identity, j.redis.checkpoint.Topic
	var truncated *grant.TruncatedError
	var changed error
	switch {
	case !id.Continues(before):
		changed = &grant.OtherTopicError{Name: f.topic.Name, Whose: "the checkpoint", Before: before, Now: id}
	case errors.As(f.intactErr, &truncated):
		changed = truncated
	}
	switch {
	case j.explained(f.identityErr), j.explained(f.intactErr) && changed == nil:
	case f.identityErr != nil:
		j.fail(name, "the topic's ID is not known, because "+f.identityErr.Error(), "look at the brokers' logs")
	case changed != nil && j.NewTopic:
		j.warn(name, changed.Error(), "a run begins anew at the topic's first record, as told by --new-topic")
	case changed != nil:
		j.fail(name, changed.Error(), "find out who did that and why; then run with --new-topic, if what the topic holds now is to be granted")
	case f.intactErr != nil:
		j.fail(name, "whether the topic still has what was read is not known, because "+f.intactErr.Error(), "look at the brokers' logs")
	case !id.Known():
		j.warn(name, "the brokers are older than Kafka 2.8 and have no topic IDs",
			"a topic that is deleted and created again is not told from the one before: do neither before the campaign is over")
	default:
		j.pass(name, fmt.Sprintf("cluster/topic ID %s", id))
	}
}

func (j *judgement) judgeLeaders() {
	var without []string
	for _, p := range j.kafka.topic.Partitions {
		if p.Error != nil && !errors.Is(p.Error, kafka.ReplicaNotAvailable) || p.Leader.Host == "" {
			without = append(without, strconv.Itoa(p.ID))
		}
	}
	if len(without) > 0 {
		j.fail("kafka.leaders", "no leader for partition "+few(without, 20), "start the brokers that hold these partitions: nobody can read them")
		return
	}
	j.pass("kafka.leaders", "every partition has a leader")
}

func (j *judgement) judgeReplicas() {
	least, lagging := 1<<30, []string{}
	for _, p := range j.kafka.topic.Partitions {
		least = min(least, len(p.Replicas))
		if len(p.Isr) < len(p.Replicas) {
			lagging = append(lagging, fmt.Sprintf("%d (%d of %d in sync)", p.ID, len(p.Isr), len(p.Replicas)))
		}
	}
	switch {
	case len(lagging) > 0:
		j.warn("kafka.replicas", "under-replicated: partition "+few(lagging, 10), "find the broker that is down or slow before the launch")
	case least == 1 && len(j.kafka.brokers) > 1:
		j.warn("kafka.replicas", "one replica only", "replicate the topic: with its broker the users are lost that are not granted yet")
	default:
		j.pass("kafka.replicas", fmt.Sprintf("%s of each partition, all in sync", plural(least, "replica")))
	}
}

func (j *judgement) judgeRecords() {
	var all int64
	bounds := j.kafka.bounds
	each := make([]string, 0, len(bounds.Ends))
	read := grant.Offsets{}
	if start := j.start(); start != nil {
		read = start.From
	}
	for _, partition := range bounds.Partitions() {
		each = append(each, text.Number(bounds.Left(partition, nil)))
		// What retention removed after it was granted still counts.
		all += bounds.Ends[partition] - max(0, bounds.Firsts[partition]-read[partition])
	}
	detail := fmt.Sprintf("%s in all; by partition: %s", plural(all, "record"), few(each, 32))
	want := j.Campaign.Population
	expected := ""
	if want > 0 {
		expected = fmt.Sprintf("; the spec expects %s", plural(want, "user"))
	}
	switch {
	case all == 0:
		j.warn("kafka.records", "the topic is empty", "publish the users before the launch: a run grants what is there when it starts, and then ends")
	case all < want:
		j.warn("kafka.records", detail+expected,
			fmt.Sprintf("publish the missing %s before the launch, or correct population in the spec", text.Number(want-all)))
	default:
		j.pass("kafka.records", detail+expected)
	}
}

// judgeGaps looks for records that were never granted and are gone.
func (j *judgement) judgeGaps() {
	start := j.start()
	if start == nil {
		return // Redis does not answer, and says so
	}
	var beyond []string
	for _, partition := range j.kafka.bounds.Partitions() {
		if from, end := start.From[partition], j.kafka.bounds.Ends[partition]; from > end {
			beyond = append(beyond, fmt.Sprintf("%d (checkpoint %d, end %d)", partition, from, end))
		}
	}
	needless := j.Pass.Needless(start, j.kafka.bounds)
	switch {
	case len(beyond) > 0:
		j.fail("kafka.gap", "the checkpoint is beyond the end of partition "+few(beyond, 10),
			"it has lost records: if what it holds now is to be granted from its first record on, run with --new-topic")
	case len(start.Refused) > 0:
		j.fail("kafka.gap", fmt.Sprintf("%s that were never granted are gone from %s (retention or record deletion)",
			plural(grant.OffsetsIn(start.Refused), "record"), plural(len(start.Refused), "partition")),
			"restore them, or publish their users again and then continue without these records by "+grant.Flags(start.Refused))
	case len(needless) > 0:
		j.warn("kafka.gap", fmt.Sprintf("%s are gone; --accept-gap also names %s that are there and not granted yet",
			plural(grant.OffsetsIn(start.Accepted), "record"), plural(grant.OffsetsIn(needless), "record")),
			"name no more than what is gone: should they go, too, before they are granted, a run would go on without them")
	case len(start.Accepted) > 0:
		j.pass("kafka.gap", fmt.Sprintf("%s are gone, as accepted by --accept-gap", plural(grant.OffsetsIn(start.Accepted), "record")))
	default:
		j.pass("kafka.gap", "nothing is gone that was not granted")
	}
}

func (j *judgement) judgeConfig() {
	f := j.kafka
	name := f.topic.Name
	if j.explained(f.configErr) {
		return
	}
	if f.configErr != nil {
		j.warn("kafka.retention", "unknown, because "+f.configErr.Error(),
			"allow this user to DescribeConfigs the topic, or make sure yourself that retention is unlimited and cleanup.policy is delete")
		return
	}
	policy := f.config["cleanup.policy"]
	if limit, finite := j.retention(); finite && strings.Contains(policy, "delete") {
		j.warn("kafka.retention", limit, "keep everything until the campaign is over: kafka-configs.sh --alter --entity-type topics --entity-name "+
			name+" --add-config retention.ms=-1,retention.bytes=-1")
	} else {
		j.pass("kafka.retention", "records are kept without limit")
	}
	if strings.Contains(policy, "compact") {
		j.warn("kafka.cleanup", "cleanup.policy is "+policy+": of records with the same key only the last stays",
			"make sure that the key is the user ID, or set cleanup.policy=delete")
	} else {
		j.pass("kafka.cleanup", "cleanup.policy is "+policy)
	}
	size, _ := strconv.ParseInt(f.config["max.message.bytes"], 10, 64)
	letters := int64(source.MaxDeadLetter)
	if f.letters != nil {
		letters, _ = strconv.ParseInt(f.lettersConfig["max.message.bytes"], 10, 64)
	}
	if size > letters && letters > 0 {
		j.warn("kafka.size", fmt.Sprintf("records may have %s, dead letters %s", memory(size), memory(letters)),
			"larger rejected records are cut in the dead-letter topic: raise max.message.bytes of "+j.Campaign.Input.DeadLetterTopic()+" if they must be kept whole")
	} else {
		j.pass("kafka.size", "records may have "+memory(size))
	}
}

// retention says how long records are kept, and whether that has an end.
func (j *judgement) retention() (says string, finite bool) {
	var limits []string
	ms, err := strconv.ParseInt(j.kafka.config["retention.ms"], 10, 64)
	if err == nil && ms >= 0 {
		keep := time.Duration(min(ms, 1<<43)) * time.Millisecond
		line := "records are kept for " + span(keep)
		if oldest := j.oldest(); !oldest.IsZero() {
			expiry := oldest.Add(keep)
			line += ": the first expire from " + text.Moment(expiry.In(j.Campaign.StartsAt.Location())) + " on"
			switch {
			case expiry.Before(j.now):
				line += ", which is past"
			case expiry.Before(j.Campaign.StartsAt):
				line += ", BEFORE the campaign starts"
			}
		}
		limits = append(limits, line)
	}
	if bytes, err := strconv.ParseInt(j.kafka.config["retention.bytes"], 10, 64); err == nil && bytes >= 0 {
		limits = append(limits, "each partition is kept up to "+memory(bytes))
	}
	return strings.Join(limits, "; "), len(limits) > 0
}

// oldest is when the oldest record in the sample was written.
func (j *judgement) oldest() (t time.Time) {
	for i := range j.kafka.samples {
		if at := j.kafka.samples[i].Oldest; !at.IsZero() && (t.IsZero() || at.Before(t)) {
			t = at
		}
	}
	return t
}

func (j *judgement) judgeTransactions() {
	f := j.kafka
	var open []string
	for _, partition := range slices.Sorted(maps.Keys(f.stable)) {
		if end, ok := f.bounds.Ends[partition]; ok && f.stable[partition] < end {
			open = append(open, fmt.Sprintf("%d since offset %d", partition, f.stable[partition]))
		}
	}
	transactional := slices.ContainsFunc(f.samples, func(s source.Sample) bool { return s.Transactional })
	switch {
	case j.explained(f.stableErr):
	case f.stableErr != nil:
		j.warn("kafka.transactions", "unknown, because "+f.stableErr.Error(), "check again: a run waits for the end of open transactions")
	case len(open) > 0:
		j.warn("kafka.transactions", "a transaction is open in partition "+few(open, 10),
			"a run waits there until it ends: end it, or find and abort it by kafka-transactions.sh find-hanging")
	case transactional:
		j.pass("kafka.transactions", "transactional; records of aborted transactions are left out, as read_committed consumers do")
	default:
		j.pass("kafka.transactions", "none in the sample")
	}
}

func (j *judgement) judgeGroup() {
	f := j.kafka
	err := f.groupErr
	if err == nil {
		err = f.committedErr
	}
	kind, _ := source.Classify(err)
	const another = "stop its members, or name another group by --group"
	switch {
	case j.explained(err):
	case f.groupKind.Foreign() != "":
		j.fail("kafka.group", j.Pass.Group+" "+f.groupKind.Foreign()+": a run could not join it", another)
	case err != nil && kind == source.KindAuthorization:
		j.fail("kafka.group", j.Pass.Group+": "+err.Error(), "allow this user to Read the group, or name another by --group")
	case err != nil:
		j.warn("kafka.group", j.Pass.Group+": unknown, because "+err.Error(), "look at the brokers' logs: without its group no run gets partitions")
	case len(f.strangers) > 0:
		j.warn("kafka.group", j.Pass.Group+" has members that are no granter: "+few(f.strangers, 5),
			"stop them, or use another --group: they get partitions whose users are then not granted")
	case len(f.members) > 0:
		j.pass("kafka.group", fmt.Sprintf("%s has %s already (%s): a run shares the partitions with them",
			j.Pass.Group, plural(len(f.members), "member"), few(f.members, 5)))
	default:
		j.pass("kafka.group", j.Pass.Group+" has no members")
	}
}
