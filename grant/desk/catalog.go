package desk

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
)

const (
	searchEvery = time.Minute // how often all keys are looked at for campaigns that the index lacks, while somebody asks
	listFor     = time.Second // how long a list is good for those who ask next
	listAtOnce  = 8           // campaigns that are asked about at once
)

// CatalogConfig says where campaigns come from.
type CatalogConfig struct {
	Files []*grant.Campaign // of specs that were given; they count whatever the ledger has
	Index interface {
		Listed(ctx context.Context) ([]string, error) // cheap, may lack some
		Search(ctx context.Context) ([]string, error) // dear, finds all
	}
	// Stored returns the campaign that the ledger has by a name, as status.Stored does.
	Stored func(ctx context.Context, name string) (*grant.Campaign, error)
	// Open opens a campaign without asking anybody. Of a broken one there is only the name.
	Open func(*grant.Campaign) (*Subject, error)
	Log  *slog.Logger
}

// Catalog is every campaign that a ledger holds, and those of some files. New ones are there without a restart, a spec that
// was replaced counts at once, and one that cannot be read takes no other along. It is safe for concurrent use.
type Catalog struct {
	cfg   CatalogConfig
	files map[string]*Subject

	mu       sync.Mutex
	open     map[string]*Subject // of the ledger
	found    map[string]bool     // names
	searched time.Time

	listing sync.Mutex // held by the one who makes a list
	list    []status.Brief
	listed  time.Time
}

// NewCatalog makes a catalog. The caller closes it.
func NewCatalog(cfg CatalogConfig) (*Catalog, error) {
	c := &Catalog{cfg: cfg, files: map[string]*Subject{}, open: map[string]*Subject{}, found: map[string]bool{}}
	for _, file := range cfg.Files {
		if c.files[file.Name] != nil {
			return nil, errors.Join(fmt.Errorf("two specs are of the campaign %s", file.Name), c.Close())
		}
		s, err := cfg.Open(file)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.files[file.Name] = s
	}
	return c, nil
}

// Close closes all campaigns.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for _, s := range slices.Concat(slices.Collect(maps.Values(c.files)), slices.Collect(maps.Values(c.open))) {
		err = errors.Join(err, s.close())
	}
	return err
}

func (s *Subject) close() error {
	if s.Close == nil {
		return nil
	}
	return s.Close()
}

// Names returns all names that are known by now.
func (c *Catalog) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.found)
	for name := range c.files {
		all[name] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// Given reports whether a file is of a campaign.
func (c *Catalog) Given(name string) bool { return c.files[name] != nil }

// Refresh looks which campaigns there are. An error leaves those that were known.
func (c *Catalog) Refresh(ctx context.Context) error {
	names, err := c.cfg.Index.Listed(ctx)
	c.mu.Lock()
	search := time.Since(c.searched) >= searchEvery
	if search {
		c.searched = time.Now() // others need not wait for it
	}
	c.mu.Unlock()
	if search && err == nil {
		var more []string
		if more, err = c.cfg.Index.Search(ctx); err != nil {
			c.mu.Lock()
			c.searched = time.Time{}
			c.mu.Unlock()
		}
		names = append(names, more...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if campaign.ValidName(name) {
			c.found[name] = true
		}
	}
	return err
}

// Open returns a campaign: the file's or, as it is stored now, the ledger's. While Redis does not answer it is as it was.
func (c *Catalog) Open(ctx context.Context, name string) (*Subject, error) {
	if s := c.files[name]; s != nil {
		return s, nil
	}
	none := &NoCampaignError{fmt.Sprintf("there is no campaign %s here: /api/v1/campaigns lists those that are", cut(name, 100))}
	if !campaign.ValidName(name) {
		return nil, none
	}
	c.mu.Lock()
	known := c.open[name]
	c.mu.Unlock()
	if known != nil && known.Broken == nil {
		stored, ok, err := known.Coordination.Spec(ctx)
		same := ok && bytes.Equal(stored.Canonical, known.Campaign.Canonical)
		if same || err != nil && !errors.Is(err, ledger.ErrInconsistent) {
			return known, nil
		}
	}
	spec, err := c.cfg.Stored(ctx, name)
	switch {
	case err == nil:
	case errors.Is(err, status.ErrNoSpec):
		c.forget(name)
		return nil, none
	case errors.Is(err, ledger.ErrInconsistent):
		spec = &grant.Campaign{Name: name}
	case known != nil:
		return known, nil
	default:
		return nil, err
	}
	return c.replace(spec, err)
}

// replace opens a campaign that is new, or that has another spec than before.
func (c *Catalog) replace(spec *grant.Campaign, broken error) (*Subject, error) {
	s, err := c.cfg.Open(spec)
	if err != nil {
		return nil, err
	}
	if s.Broken = broken; broken != nil {
		s.Status = func(context.Context) (*status.Status, error) { return nil, broken }
	}
	c.mu.Lock()
	before := c.open[spec.Name]
	c.open[spec.Name], c.found[spec.Name] = s, true
	c.mu.Unlock()
	if before != nil {
		err = before.close()
	}
	switch {
	case err != nil:
		c.cfg.Log.Warn("closing a campaign whose spec was replaced", "campaign", spec.Name, "error", err)
	case broken != nil && (before == nil || before.Broken == nil):
		c.cfg.Log.Error("the spec of a campaign cannot be read", "campaign", spec.Name, "error", broken)
	}
	return s, nil
}

// forget drops a campaign whose spec is gone.
func (c *Catalog) forget(name string) {
	c.mu.Lock()
	s := c.open[name]
	delete(c.open, name)
	delete(c.found, name)
	c.mu.Unlock()
	if s != nil {
		_ = s.close() // only idle connections are closed
	}
}

// attention orders phases by how much somebody should look.
var attention = []status.Phase{
	status.PhasePaused, status.PhaseThrottled, status.PhaseRunning, status.PhaseFinishing, status.PhaseIdle, status.PhaseUnknown,
	status.PhaseWaiting, status.PhaseAborted, status.PhaseFinished, status.PhaseEnded,
}

// List sums all campaigns up. Many may ask: it is made once a second at most.
func (c *Catalog) List(ctx context.Context) ([]status.Brief, error) {
	c.listing.Lock()
	defer c.listing.Unlock()
	if time.Since(c.listed) < listFor {
		return c.list, nil
	}
	err := c.Refresh(ctx)
	names := c.Names()
	if err != nil && len(names) == 0 {
		return nil, err
	}
	briefs := make([]*status.Brief, len(names))
	var work errgroup.Group
	work.SetLimit(listAtOnce)
	for i, name := range names {
		work.Go(func() error {
			briefs[i] = c.brief(ctx, name)
			return nil
		})
	}
	_ = work.Wait() // a brief says what is wrong with it
	list := make([]status.Brief, 0, len(names))
	for _, b := range briefs {
		if b != nil {
			list = append(list, *b)
		}
	}
	slices.SortStableFunc(list, func(a, b status.Brief) int {
		byPhase := cmp.Compare(slices.Index(attention, a.Phase), slices.Index(attention, b.Phase))
		if byPhase != 0 || a.StartsAt == nil || b.StartsAt == nil {
			return byPhase
		}
		return b.StartsAt.Compare(*a.StartsAt)
	})
	c.list, c.listed = list, time.Now()
	return list, nil
}

// brief returns nil for a campaign that is no more.
func (c *Catalog) brief(ctx context.Context, name string) *status.Brief {
	s, err := c.Open(ctx, name)
	if _, gone := errors.AsType[*NoCampaignError](err); gone {
		return nil
	}
	if err != nil {
		b := status.Unreadable(name, err)
		return &b
	}
	b := s.brief(ctx)
	return &b
}
