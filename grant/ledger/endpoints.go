package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

// errHostname means that a cluster names its nodes by host names that it does not have.
var errHostname = errors.New("CLUSTER SLOTS has a node without a host name (\"?\"): set cluster-announce-hostname on every node, " +
	"or cluster-preferred-endpoint-type ip")

// endpoints reads CLUSTER SLOTS as Redis documents it: a node without a host is at the host that was asked
// (cluster-preferred-endpoint-type unknown-endpoint). go-redis fails on that with "redis: nil".
type endpoints struct{ asked string } // host

// nodeClient makes the client of one node of a cluster.
func nodeClient(o *redis.Options) *redis.Client {
	c := redis.NewClient(o)
	if host, _, err := net.SplitHostPort(o.Addr); err == nil {
		c.AddHook(endpoints{host})
	}
	return c
}

func (e endpoints) DialHook(next redis.DialHook) redis.DialHook { return next }
func (e endpoints) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (e endpoints) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		slots, ok := cmd.(*redis.ClusterSlotsCmd)
		if !ok {
			return next(ctx, cmd)
		}
		raw := redis.NewSliceCmd(ctx, cmd.Args()...)
		err := next(ctx, raw)
		var list []redis.ClusterSlot
		if err == nil {
			list, err = e.slots(raw.Val())
		}
		if err != nil {
			slots.SetErr(err)
			return err
		}
		slots.SetVal(list)
		return nil
	}
}

// slots reads [first, last, [host, port, ID, …], …] for each range of slots.
func (e endpoints) slots(reply []any) ([]redis.ClusterSlot, error) {
	out := make([]redis.ClusterSlot, 0, len(reply))
	for _, entry := range reply {
		fields, _ := entry.([]any)
		if len(fields) < 2 {
			return nil, fmt.Errorf("CLUSTER SLOTS: unexpected %v", entry)
		}
		first, ok := fields[0].(int64)
		last, too := fields[1].(int64)
		if !ok || !too {
			return nil, fmt.Errorf("CLUSTER SLOTS: unexpected %v", entry)
		}
		slot := redis.ClusterSlot{Start: int(first), End: int(last)}
		for _, f := range fields[2:] {
			node, err := e.node(f)
			if err != nil {
				return nil, err
			}
			slot.Nodes = append(slot.Nodes, node)
		}
		out = append(out, slot)
	}
	return out, nil
}

func (e endpoints) node(reply any) (n redis.ClusterNode, err error) {
	fields, _ := reply.([]any)
	if len(fields) < 2 {
		return n, fmt.Errorf("CLUSTER SLOTS: unexpected node %v", reply)
	}
	host, _ := fields[0].(string) // nil, or empty: the node does not know its own address
	switch host {
	case "":
		host = e.asked
	case "?":
		return n, errHostname
	}
	n.Addr = net.JoinHostPort(host, fmt.Sprint(fields[1]))
	if len(fields) > 2 {
		n.ID, _ = fields[2].(string)
	}
	return n, nil
}
