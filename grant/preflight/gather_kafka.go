package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/schema"
	"github.com/granter/granter/grant/source"
)

// kafkaFacts are what Kafka said. Every fact has its error; an error means that the fact is not known.
type kafkaFacts struct {
	bootstrap []answer // of each address that was given
	brokers   []broker // that the cluster consists of; empty: no address answered
	err       error    // why the cluster could not be described

	names    []string // of all topics that this user may see
	topic    kafka.Topic
	topicErr error

	config    map[string]string
	configErr error

	identity    grant.TopicID
	identityErr error
	intactErr   error // the topic has lost what the checkpoint has

	bounds    grant.Bounds
	boundsErr error
	stable    grant.Offsets // up to where a read-committed reader can read
	stableErr error

	letters       *kafka.Topic // the dead-letter topic; nil: it does not exist, or this user may not see it
	lettersConfig map[string]string
	lettersErr    error // it cannot be created

	rights      map[string]source.Rights // of the topic and the dead-letter topic
	rightsErr   error
	groupRights source.Rights

	members      []string
	strangers    []string // members that are no granter
	groupErr     error
	groupKind    source.GroupKind
	committed    grant.Offsets // of partitions that the group has committed something of
	committedErr error
	committedFor grant.TopicID // of the offsets that say what they count in

	samples   []source.Sample
	sampleErr error
	sampleCut bool // there was no time for all of it

	registry    string // where the schema registry is; empty: the spec has none
	registryErr error
	schemas     map[uint32]*schema.Schema // that the spec has, or the sample names and the registry has
	subjects    map[uint32][]string       // of those that the registry has
}

type answer struct {
	addr string
	err  error
}

type broker struct {
	answer
	leads int // partitions of the topic
}

// patience is how long a question is asked again that a broker cannot answer yet, as while it loads its groups.
const patience = 2 * time.Second

func (f *kafkaFacts) gather(ctx context.Context, in *Input) {
	var work sync.WaitGroup
	defer work.Wait()
	alive, rest := f.findBroker(ctx, in)
	work.Go(rest)
	if alive == "" {
		return
	}
	k := in.Kafka
	k.Brokers = []string{alive}
	a := asker{kafkaFacts: f, Input: in, kafka: k, transport: k.Transport()}
	defer a.transport.CloseIdleConnections()
	a.client = k.Client(a.transport)
	var err error
	a.source, err = source.New(source.Config{
		Kafka: k, Topic: in.Campaign.Input, Campaign: in.Campaign.Name, Pass: in.Pass, RetryFor: patience,
	})
	if err != nil {
		f.err = err
		return
	}
	defer a.source.Close() //nolint:errcheck // nothing was written
	if f.err = a.describe(ctx); f.err != nil {
		return
	}
	a.all(ctx)
}

// findBroker asks all addresses at once and returns the first that answers, or "" when none does. The others are
// awaited by rest.
func (f *kafkaFacts) findBroker(ctx context.Context, in *Input) (alive string, rest func()) {
	f.bootstrap = make([]answer, len(in.Kafka.Brokers))
	answered := make(chan int, len(f.bootstrap))
	for i, addr := range in.Kafka.Brokers {
		f.bootstrap[i].addr = addr
		go func() {
			f.bootstrap[i].err = in.Kafka.Ping(ctx, addr)
			answered <- i
		}()
	}
	waiting := len(f.bootstrap)
	for ; waiting > 0 && alive == ""; waiting-- {
		if i := <-answered; f.bootstrap[i].err == nil {
			alive = f.bootstrap[i].addr
		}
	}
	return alive, func() {
		for range waiting {
			<-answered
		}
	}
}

// asker puts questions to a cluster of which one broker is known to answer.
type asker struct {
	*kafkaFacts
	*Input
	kafka     source.Kafka
	transport *kafka.Transport
	client    *kafka.Client
	source    *source.Source

	controller string // address of the broker that creates topics
}

// describe learns the brokers and topics.
func (a *asker) describe(ctx context.Context) error {
	var cluster *kafka.MetadataResponse
	err := ask(ctx, func() (err error) {
		cluster, err = a.client.Metadata(ctx, &kafka.MetadataRequest{})
		return err
	})
	if err != nil {
		return fmt.Errorf("asking for the cluster's metadata: %w", err)
	}
	a.controller = a.kafka.Brokers[0]
	if cluster.Controller.Host != "" {
		a.controller = address(cluster.Controller)
	}
	a.topicErr = kafka.UnknownTopicOrPartition
	name := a.Campaign.Input.Topic
	for _, t := range cluster.Topics {
		a.names = append(a.names, t.Name)
		switch t.Name {
		case name:
			a.topic, a.topicErr = t, t.Error
		case a.Campaign.Input.DeadLetterTopic():
			if t.Error == nil {
				a.letters = &t
			}
		}
	}
	leads := map[int]int{}
	for _, p := range a.topic.Partitions {
		leads[p.Leader.ID]++
	}
	for _, b := range cluster.Brokers {
		a.brokers = append(a.brokers, broker{answer: answer{addr: address(b)}, leads: leads[b.ID]})
	}
	return nil
}

func address(b kafka.Broker) string { return net.JoinHostPort(b.Host, strconv.Itoa(b.Port)) }

// all asks everything else at the same time.
func (a *asker) all(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for i := range a.brokers {
		if a.brokers[i].addr == a.kafka.Brokers[0] {
			continue
		}
		work.Go(func() { a.brokers[i].err = a.kafka.Ping(ctx, a.brokers[i].addr) })
	}
	question := func(err *error, put func(context.Context) error) {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, a.Timeout)
			defer cancel()
			*err = ask(ctx, func() error { return put(ctx) })
		})
	}
	question(&a.groupErr, a.askMembers)
	question(new(error), a.askKind) // whatever is wrong with the group, askMembers meets it, too
	if a.topicErr != nil {
		return
	}
	question(&a.identityErr, func(ctx context.Context) (err error) {
		a.identity, err = a.source.Identify(ctx)
		return err
	})
	question(&a.configErr, a.askConfig)
	question(&a.committedErr, a.askCommitted)
	question(&a.stableErr, a.askStable)
	question(&a.rightsErr, a.askRights)
	if a.letters == nil {
		question(&a.lettersErr, a.askLetters)
	}
	if a.registry = a.source.RegistryAddress(); a.registry != "" {
		question(&a.registryErr, a.source.PingRegistry)
	}
	if a.bounds, a.boundsErr = a.source.Bounds(ctx); a.boundsErr == nil {
		a.takeSamples(ctx)
		a.askSchemas(ctx)
	}
}

// compare looks whether the topic still has what the checkpoint says was read.
func (f *kafkaFacts) compare(ctx context.Context, in *Input, at *grant.Checkpoint) {
	if f.identityErr == nil && f.committedErr == nil && !f.identity.Continues(f.committedFor) {
		f.committed = nil // of another topic
	}
	if f.boundsErr != nil || len(f.bounds.Ends) == 0 || f.identityErr != nil || !f.identity.Continues(at.Topic) {
		return
	}
	k := in.Kafka
	for _, b := range f.brokers {
		if b.err == nil {
			k.Brokers = append(slices.Clip(k.Brokers), b.addr)
		}
	}
	s, err := source.New(source.Config{Kafka: k, Topic: in.Campaign.Input, Campaign: in.Campaign.Name, Pass: in.Pass, RetryFor: patience})
	if err != nil {
		return
	}
	defer s.Close() //nolint:errcheck // nothing was written
	f.intactErr = ask(ctx, func() error { return s.Intact(ctx, *at) })
}

// ask tries again for a moment when the error may pass.
func ask(ctx context.Context, question func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, 500*time.Millisecond
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := question()
		if _, again := source.Classify(err); err != nil && !again {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(patience))
	return err
}

func (a *asker) askConfig(ctx context.Context) error {
	topics := []string{a.topic.Name}
	if a.letters != nil {
		topics = append(topics, a.Campaign.Input.DeadLetterTopic())
	}
	req := &kafka.DescribeConfigsRequest{}
	for _, name := range topics {
		req.Resources = append(req.Resources, kafka.DescribeConfigRequestResource{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: name,
			ConfigNames: []string{"retention.ms", "retention.bytes", "cleanup.policy", "max.message.bytes", "min.insync.replicas"},
		})
	}
	resp, err := a.client.DescribeConfigs(ctx, req)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		config := map[string]string{}
		for _, e := range r.ConfigEntries {
			config[e.ConfigName] = e.ConfigValue
		}
		if r.ResourceName != a.topic.Name {
			a.lettersConfig = config // empty if it is forbidden
			continue
		}
		if r.Error != nil {
			return r.Error
		}
		a.config = config
	}
	return nil
}

func (a *asker) askStable(ctx context.Context) error {
	name := a.topic.Name
	req := &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{}, IsolationLevel: kafka.ReadCommitted}
	for _, p := range a.topic.Partitions {
		req.Topics[name] = append(req.Topics[name], kafka.LastOffsetOf(p.ID))
	}
	resp, err := a.client.ListOffsets(ctx, req)
	if err != nil {
		return err
	}
	stable := grant.Offsets{}
	for _, p := range resp.Topics[name] {
		if p.Error != nil {
			return p.Error
		}
		stable[p.Partition] = p.LastOffset
	}
	a.stable = stable
	return nil
}

func (a *asker) askCommitted(ctx context.Context) error {
	name := a.topic.Name
	req := &kafka.OffsetFetchRequest{GroupID: a.Pass.Group, Topics: map[string][]int{}}
	for _, p := range a.topic.Partitions {
		req.Topics[name] = append(req.Topics[name], p.ID)
	}
	resp, err := a.client.OffsetFetch(ctx, req)
	if err == nil {
		err = resp.Error
	}
	if errors.Is(err, kafka.GroupIdNotFound) {
		return nil // nothing is committed
	}
	if err != nil {
		return err
	}
	committed := grant.Offsets{}
	for _, p := range resp.Topics[name] {
		if p.Error != nil {
			return p.Error
		}
		committed[p.Partition] = p.CommittedOffset
		if of, ok := source.CommittedFor(p.Metadata); ok {
			a.committedFor = of
		}
	}
	a.committed = committed
	return nil
}

// askMembers reads the raw response: kafka-go's client fails on what newer members say about themselves.
func (a *asker) askMembers(ctx context.Context) error {
	reply, err := a.transport.RoundTrip(ctx, kafka.TCP(a.kafka.Brokers...), &describegroups.Request{
		Groups: []string{a.Pass.Group}, IncludeAuthorizedOperations: true,
	})
	if err != nil {
		return err
	}
	resp, ok := reply.(*describegroups.Response)
	if !ok {
		return fmt.Errorf("unexpected reply %T", reply)
	}
	for _, g := range resp.Groups {
		if code := kafka.Error(g.ErrorCode); code != 0 && code != kafka.GroupIdNotFound {
			return code
		}
		a.groupRights = source.RightsOf(g.AuthorizedOperations)
		for _, m := range g.Members {
			member := m.ClientID + m.ClientHost // the host starts with a slash
			a.members = append(a.members, member)
			if m.ClientID != source.ClientID {
				a.strangers = append(a.strangers, member)
			}
		}
	}
	return nil
}

// askKind asks the group's coordinator of what kind it is: askMembers sees groups of the classic type only.
func (a *asker) askKind(ctx context.Context) (err error) {
	a.groupKind, err = a.kafka.GroupKind(ctx, a.client, a.Pass.Group)
	return err
}

func (a *asker) askRights(ctx context.Context) (err error) {
	a.rights, err = a.kafka.Rights(ctx, a.kafka.Brokers[0], a.topic.Name, a.Campaign.Input.DeadLetterTopic())
	return err
}

// askLetters asks whether a run could create the dead-letter topic. Brokers in KRaft mode forward that to the controller.
func (a *asker) askLetters(ctx context.Context) error {
	err := a.source.CheckDeadLetters(ctx, a.kafka.Brokers[0], a.topic)
	if errors.Is(err, kafka.NotController) {
		err = a.source.CheckDeadLetters(ctx, a.controller, a.topic)
	}
	return err
}
