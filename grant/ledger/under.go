package ledger

import (
	"context"

	"github.com/granter/granter/grant"
)

// SpecKey is where the spec is stored, for messages about it.
func (l *Ledger) SpecKey() string { return l.keys.spec }

// CheckpointsUnder is Checkpoints for another version of the campaign's spec: each version has a checkpoint of its own.
func (l *Ledger) CheckpointsUnder(ctx context.Context, c *grant.Campaign) (grant.Checkpoint, error) {
	other := &Ledger{client: l.client, cluster: l.cluster, campaign: c, retryFor: l.retryFor, observer: l.observer}
	other.keys = newKeys(c.Name, c.Hash, l.cluster != nil)
	other.keys.pass = l.keys.pass
	return other.Checkpoints(ctx)
}
