package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// SpecConflictError says that the campaign was begun with another spec, and has grants, or may get some any moment.
type SpecConflictError struct {
	StoredHash string
	Stored     []byte // the canonical spec that was granted under; nil: it is not known
	GivenHash  string
	Given      []byte
	Leased     time.Time // until when a run may grant under the stored spec; zero: users were granted under it
	Damage     string    // what is wrong with the ledger, if that took the search for it; empty: nothing
}

func (e *SpecConflictError) Error() string {
	hashes := fmt.Sprintf("(%.12s, given is %.12s)", e.StoredHash, e.GivenHash)
	switch {
	case !e.Leased.IsZero():
		return fmt.Sprintf("a run grants the campaign under another spec %s: give the campaign another name, or, if that spec is wrong, stop the run and start again; if the run was killed, start again after %s",
			hashes, e.Leased.UTC().Format(time.RFC3339))
	case e.Damage != "":
		return fmt.Sprintf("the campaign has been granted under another spec %s, although %s: start with the old spec, which repairs what can be, and see granter status --prove",
			hashes, e.Damage)
	}
	return "the campaign has been granted under another spec " + hashes + ": give the campaign another name, or its old spec back"
}

func (l *Store) conflict(c *grant.Campaign, hash string, canonical []byte) *SpecConflictError {
	return &SpecConflictError{StoredHash: hash, Stored: canonical, GivenHash: c.Hash, Given: c.Canonical}
}

// StoredSpec is the spec that the ledger grants under.
type StoredSpec struct {
	Hash      string
	Canonical []byte
	StoredAt  time.Time // by the clock of the process that stored it
}

// Spec returns the stored spec, and whether there is one; a *FormatError, if the ledger is of a newer format.
func (l *Coordination) Spec(ctx context.Context) (StoredSpec, bool, error) {
	var fields map[string]string
	err := l.retry(ctx, "reading the spec", func() error {
		pipe := l.client.Pipeline()
		spec, format := pipe.HGetAll(ctx, l.keys.spec), l.askFormat(ctx, pipe)
		_, err := pipe.Exec(ctx)
		if err := named([]redis.Cmder{spec, format}, err); err != nil {
			return err
		}
		fields = spec.Val()
		return l.checkFormat(format)
	})
	if err != nil || len(fields) == 0 {
		return StoredSpec{}, false, err
	}
	text, _, _ := strings.Cut(fields["stored_at"], " ") // the format is behind it
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return StoredSpec{}, false, fmt.Errorf("%w: %s: %w", ErrInconsistent, l.keys.spec, err)
	}
	return StoredSpec{Hash: fields["hash"], Canonical: []byte(fields["canonical"]), StoredAt: at}, true, nil
}

// SpecKey is where the spec is stored, for messages about it.
func (l *Store) SpecKey() string { return l.keys.spec }
