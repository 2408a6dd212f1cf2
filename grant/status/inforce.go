package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
)

// Specs is where the spec is that a campaign is granted by.
type Specs interface {
	Spec(ctx context.Context) (ledger.StoredSpec, bool, error)
	SpecKey() string // where it is, for messages
}

// Stores is where a spec is, and in which zone it had its dates.
type Stores interface {
	Specs
	Zone(ctx context.Context) *time.Location
}

// Counts says how many users are granted.
type Counts interface {
	Totals(ctx context.Context) (ledger.Totals, error)
}

// Differs says that a file has another spec than the ledger, by which users are granted.
type Differs struct {
	File   string `json:"file"`   // hash
	Ledger string `json:"ledger"` // hash
	Fields string `json:"fields"` // in what they differ, one field on a line
}

func (d *Differs) String() string {
	return fmt.Sprintf("the file's spec (%.12s) is not the one that the ledger grants by (%.12s), by which this is answered", d.File, d.Ledger)
}

// InForce returns the campaign as users are granted it: by the spec that the ledger has stored or, while it has none or
// has granted nobody and takes another one, by the given file's. Whatever answers about users, or about how far they are,
// asks here. Differs is nil when file and ledger agree. Times keep the zone of the file. A stored spec that cannot be read
// is a ledger.ErrInconsistent that names its key.
func InForce(ctx context.Context, specs Specs, counts Counts, file *grant.Campaign) (*grant.Campaign, *Differs, error) {
	stored, ok, err := specs.Spec(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("the spec that users are granted by (%s): %w", specs.SpecKey(), err)
	}
	if !ok || stored.Hash == file.Hash {
		return file, nil, nil
	}
	totals, err := counts.Totals(ctx)
	if err != nil || totals.Granted+totals.Missing == 0 {
		return file, nil, err
	}
	c, err := ParseStored(specs.SpecKey(), &stored, file.Name, file.StartsAt.Location())
	if err != nil {
		return nil, nil, err
	}
	return c, &Differs{File: file.Hash, Ledger: stored.Hash, Fields: campaign.Diff(stored.Canonical, file.Canonical)}, nil
}

// ErrNoSpec means that the ledger has no spec of a campaign: no run of it has started.
var ErrNoSpec = errors.New("the ledger has no spec of it")

// Stored returns the campaign as the ledger has it, without any file. It fails with ErrNoSpec, or with a
// ledger.ErrInconsistent that names the key when the spec cannot be read. Times are in the zone that a run's file had.
func Stored(ctx context.Context, coordination Stores, name string) (*grant.Campaign, error) {
	stored, ok, err := coordination.Spec(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the spec that users are granted by (%s): %w", coordination.SpecKey(), err)
	case !ok:
		return nil, fmt.Errorf("campaign %s: %w", name, ErrNoSpec)
	}
	return ParseStored(coordination.SpecKey(), &stored, name, coordination.Zone(ctx))
}

// ParseStored reads a stored spec, which must be of the named campaign, and shows its times in a zone, unless it names one.
func ParseStored(key string, stored *ledger.StoredSpec, name string, zone *time.Location) (*grant.Campaign, error) {
	inconsistent := func(what string) (*grant.Campaign, error) {
		return nil, fmt.Errorf("%w: the spec that users are granted by (%s) %s", ledger.ErrInconsistent, key, what)
	}
	c, err := campaign.Parse(key, stored.Canonical)
	switch {
	case err != nil:
		return inconsistent("cannot be read: " + err.Error())
	case c.Hash != stored.Hash:
		return inconsistent(fmt.Sprintf("is not what its hash says: %.12s, stored is %.12s", c.Hash, stored.Hash))
	case c.Name != name:
		return inconsistent("is of another campaign, " + c.Name)
	}
	if c.Zone == nil {
		c.In(zone)
	}
	return c, nil
}
