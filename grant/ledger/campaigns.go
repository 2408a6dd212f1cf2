package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
)

// campaignsKey is the index of campaigns: a hash of name → the zone that the spec has its dates in, such as +09:00. It is a
// hint: what granter before it wrote is not in it, and a Redis that lost it has it again when a run starts. Index.Search
// finds all.
const campaignsKey = "granter:campaigns"

const zoneForm = "-07:00"

// enlist adds a campaign to the index.
func (l *Grants) enlist(ctx context.Context, c *grant.Campaign) error {
	return l.retry(ctx, "adding to the index of campaigns", func() error {
		if err := l.client.HSet(ctx, campaignsKey, c.Name, c.StartsAt.Format(zoneForm)).Err(); err != nil {
			return fmt.Errorf("%s: %w", campaignsKey, err)
		}
		return nil
	})
}

// Zone returns the zone that the stored spec had its dates in when a run started by it, as far as the index of campaigns
// knows; else UTC. The canonical spec has instants.
func (l *Coordination) Zone(ctx context.Context) *time.Location {
	text, err := l.client.HGet(ctx, campaignsKey, l.campaign.Name).Result()
	if err != nil {
		return time.UTC
	}
	at, err := time.Parse(zoneForm, text)
	if err != nil {
		return time.UTC
	}
	return at.Location()
}

// Index says which campaigns a Redis has.
type Index struct{ store *Store }

// NewIndex makes the index of all campaigns that a client reaches, under the conditions of Open.
func NewIndex(client redis.UniversalClient, cfg Config) (*Index, error) {
	s, err := Open(client, &grant.Campaign{Name: "index"}, cfg)
	return &Index{s}, err
}

// Listed returns the names in the index, sorted. It costs one command.
func (i *Index) Listed(ctx context.Context) ([]string, error) {
	var names []string
	err := i.store.retry(ctx, "reading the index of campaigns", func() (err error) {
		names, err = i.store.client.HKeys(ctx, campaignsKey).Result()
		return err
	})
	slices.Sort(names)
	return names, err
}

// Search returns the names of all campaigns that have a stored spec, sorted, in the index or not. It looks at the keys of all
// masters: about 0.5 s of Redis for each million of them, in steps of 2 ms.
func (i *Index) Search(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	err := i.store.retry(ctx, "looking for campaigns", func() error {
		var mu sync.Mutex
		return i.store.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			for cursor := uint64(0); ; {
				keys, next, err := c.Scan(ctx, cursor, "granter:{*}:spec", surveyPage).Result()
				if err != nil {
					return fmt.Errorf("%s: %w", c.Options().Addr, err)
				}
				mu.Lock()
				for _, key := range keys {
					name := strings.TrimSuffix(strings.TrimPrefix(key, "granter:{"), "}:spec")
					if !strings.ContainsAny(name, "{}/:") {
						found[name] = true
					}
				}
				mu.Unlock()
				if cursor = next; cursor == 0 {
					return nil
				}
			}
		})
	})
	return slices.Sorted(maps.Keys(found)), err
}
