package source

import (
	"context"
	"fmt"
	"math"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// Operation is something that an ACL allows, by Kafka's number for it.
type Operation int

// The operations that a run needs.
const (
	Read     Operation = 3
	Write    Operation = 4
	Create   Operation = 5
	Describe Operation = 8
)

func (o Operation) String() string {
	return map[Operation]string{Read: "Read", Write: "Write", Create: "Create", Describe: "Describe"}[o]
}

// Rights is what the user may do with a topic or a group, as the broker says.
type Rights struct {
	Err        error // of the topic, by name; UnknownTopicOrPartition: it does not exist, the rest is known all the same
	operations int32 // a bit for each
}

// notKnown is what brokers answer that do not report rights.
const notKnown = math.MinInt32

// RightsOf makes rights of a broker's answer. Whoever may ask for them has at least one, so 0 is a broker that does not report
// them.
func RightsOf(operations int32) Rights { return Rights{operations: operations} }

// Known reports whether the rights are known.
func (r Rights) Known() bool { return r.operations != notKnown && r.operations != 0 }

// Lacks returns which of some operations are not allowed, as far as that is known.
func (r Rights) Lacks(needed ...Operation) (out []Operation) {
	for _, o := range needed {
		if r.Known() && r.operations&(1<<o) == 0 {
			out = append(out, o)
		}
	}
	return out
}

const rightsVersion = 8 // of Metadata, from Kafka 2.3 on

// Rights asks a broker what this user may do with some topics. A broker that is too old to report them leaves all of them out.
func (k Kafka) Rights(ctx context.Context, address string, topics ...string) (map[string]Rights, error) {
	out := map[string]Rights{}
	err := k.within(ctx, address, func(c *protocol.Conn) error {
		versions, err := spoken(c)
		if err != nil || versions[protocol.Metadata] < rightsVersion {
			return err
		}
		c.SetVersions(map[protocol.ApiKey]int16{protocol.Metadata: rightsVersion})
		reply, err := c.RoundTrip(&metadata.Request{TopicNames: topics, IncludeTopicAuthorizedOperations: true})
		if err != nil {
			return err
		}
		resp, ok := reply.(*metadata.Response)
		if !ok {
			return fmt.Errorf("unexpected reply %T", reply)
		}
		for _, t := range resp.Topics {
			r := RightsOf(t.TopicAuthorizedOperations)
			if t.ErrorCode != 0 {
				r.Err = kafka.Error(t.ErrorCode)
			}
			out[t.Name] = r
		}
		return nil
	})
	return out, err
}

// spoken returns the highest version of each API that a broker speaks.
func spoken(c *protocol.Conn) (map[protocol.ApiKey]int16, error) {
	c.SetVersions(map[protocol.ApiKey]int16{protocol.ApiVersions: 0}) // every broker speaks it
	reply, err := c.RoundTrip(&apiversions.Request{})
	if err != nil {
		return nil, err
	}
	resp, ok := reply.(*apiversions.Response)
	if !ok {
		return nil, fmt.Errorf("unexpected reply %T", reply)
	}
	out := map[protocol.ApiKey]int16{}
	for _, k := range resp.ApiKeys {
		out[protocol.ApiKey(k.ApiKey)] = k.MaxVersion
	}
	return out, nil
}
