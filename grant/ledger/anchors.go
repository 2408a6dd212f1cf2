package ledger

import (
	"cmp"
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// checkAnchors makes sure that every master of a cluster has an anchor.
func (l *Store) checkAnchors(ctx context.Context) error {
	if l.cluster == nil {
		return nil
	}
	ranges, err := l.cluster.ClusterSlots(ctx).Result() //nolint:staticcheck // CLUSTER SHARDS needs Redis 7
	if err != nil {
		return fmt.Errorf("asking for the cluster's slots: %w", err)
	}
	if addr := unanchored(ranges); addr != "" {
		return fmt.Errorf("cluster master %s owns no slot that is a multiple of %d, so its losses could not be noticed: rebalance the slots (redis-cli --cluster rebalance)",
			addr, anchorStride)
	}
	return nil
}

// unanchored returns the address of a master that owns slots but none of an anchor, or nothing.
func unanchored(ranges []redis.ClusterSlot) string {
	anchored, addrs := map[string]bool{}, map[string]string{}
	for _, r := range ranges {
		if len(r.Nodes) == 0 {
			continue
		}
		node := cmp.Or(r.Nodes[0].ID, r.Nodes[0].Addr)
		first := (r.Start + anchorStride - 1) / anchorStride * anchorStride
		anchored[node] = anchored[node] || first <= r.End
		addrs[node] = r.Nodes[0].Addr
	}
	for node, ok := range anchored {
		if !ok {
			return addrs[node]
		}
	}
	return ""
}
