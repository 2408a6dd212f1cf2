package engine

import (
	"maps"

	"github.com/granter/granter/grant"
)

// committing is a generation that knows what has been committed since it began. Without that, a session after a loss
// would go back to the generation's beginning, which retention may have removed.
type committing struct {
	grant.Generation

	committed grant.Offsets
	private   bool
}

// Committed returns what has been committed.
func (c *committing) Committed() grant.Offsets { return c.committed }

// Commit commits what is new, unless the pass is a private one.
func (c *committing) Commit(next grant.Offsets) error {
	if c.private || maps.Equal(next, c.committed) {
		return nil
	}
	err := c.Generation.Commit(next)
	if err == nil {
		c.committed = next
	}
	return err
}
