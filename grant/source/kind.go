package source

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listGroupsNewest is the first version of ListGroups that says of what type a group is (Kafka 3.8); older brokers have one type
// only. DescribeGroups, as kafka-go asks it, takes every group of another type for one that does not exist.
const listGroupsNewest = 5

// GroupKind is what a group is for, as its coordinator says. Its zero value is a group that does not exist.
type GroupKind struct {
	Type     string // classic (or empty, by older brokers), consumer, share, streams
	State    string // empty: the broker is older than Kafka 2.6
	Protocol string // of a classic group: consumer, connect and the like; empty: it has had no members
}

// Foreign says what keeps a run from joining a group; empty: nothing. A group of consumers, or of the classic protocol, can be
// joined once it has no members.
func (k GroupKind) Foreign() string {
	vacant := k.State == "Empty" || k.State == "Dead"
	switch t := strings.ToLower(k.Type); {
	case t == "" || t == "classic":
		if vacant || k.Protocol == "" || k.Protocol == "consumer" {
			return ""
		}
		return "is a group of " + k.Protocol + ", not of consumers"
	case t == "consumer" && vacant:
		return ""
	case t == "consumer":
		return "belongs to consumers of the new protocol (KIP-848, group.protocol=consumer)"
	default:
		return "is a " + t + " group"
	}
}

// GroupKind asks a group's coordinator of what kind it is.
func (k Kafka) GroupKind(ctx context.Context, client *kafka.Client, group string) (kind GroupKind, err error) {
	found, err := client.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: group,
		KeyType: kafka.CoordinatorKeyTypeConsumer})
	if err == nil {
		err = found.Error
	}
	if err != nil || found.Coordinator == nil {
		return kind, err
	}
	at := net.JoinHostPort(found.Coordinator.Host, strconv.Itoa(found.Coordinator.Port))
	err = k.within(ctx, at, func(c *protocol.Conn) error {
		answer, err := (&conn{Conn: c}).ask(ctx, kmsg.NewPtrListGroupsRequest(), listGroupsNewest)
		if err != nil {
			return err
		}
		groups, ok := answer.(*kmsg.ListGroupsResponse)
		if !ok {
			return fmt.Errorf("unexpected reply %T", answer)
		}
		if groups.ErrorCode != 0 {
			return kafka.Error(groups.ErrorCode)
		}
		for i := range groups.Groups {
			if g := &groups.Groups[i]; g.Group == group {
				kind = GroupKind{Type: g.GroupType, State: g.GroupState, Protocol: g.ProtocolType}
			}
		}
		return nil
	})
	return kind, err
}

// foreign returns an error that says why the group cannot be joined, when that is because of what it is.
func (g *Group) foreign(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.source.cfg.Kafka.timeout())
	defer cancel()
	s := g.source
	kind, err := s.cfg.Kafka.GroupKind(ctx, s.client, s.cfg.Pass.Group)
	if what := kind.Foreign(); err == nil && what != "" {
		return fmt.Errorf("group %s %s: stop its members, or name another group by --group", s.cfg.Pass.Group, what)
	}
	return nil
}
