package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
)

// nameFlag lets a command take a campaign by its name: its spec, and with it the topic's settings, come from the ledger.
func (c *connection) nameFlag(f *pflag.FlagSet) {
	f.StringVar(&c.name, "campaign", "", "name of the campaign, instead of -f: its spec comes from the ledger")
}

// oneSubject decides between -f and --campaign: what is on the command line counts, and not what the environment says.
func (c *connection) oneSubject(f *pflag.FlagSet) error {
	if c.spec == "" || c.name == "" {
		return nil
	}
	switch file, name := given(f, "file"), given(f, "campaign"); {
	case file == name:
		return usageError(errors.New("-f and --campaign exclude each other: a command is about one campaign"))
	case file:
		c.name = ""
	default:
		c.spec = ""
	}
	return nil
}

// subject returns the campaign that a command is about: that of -f, or the one that the ledger has by the name of --campaign.
func (c *connection) subject(ctx context.Context) (*grant.Campaign, error) {
	if c.name == "" {
		return c.campaign()
	}
	if c.stored != nil {
		return c.stored, nil
	}
	if !campaign.ValidName(c.name) {
		return nil, usageError(fmt.Errorf("--campaign %q: no campaign has such a name", c.name))
	}
	client, err := c.redisClient()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	led, err := openWith(client, &grant.Campaign{Name: c.name}, c.patiently(c.timeout))
	if err != nil {
		return nil, err
	}
	c.stored, err = status.Stored(ctx, led.coordination, c.name)
	if err == nil {
		err = c.fits(c.stored)
	}
	if !errors.Is(err, status.ErrNoSpec) {
		return c.stored, err
	}
	err = fmt.Errorf("Redis at %s has no campaign %s: is --redis or GRANTER_REDIS right? "+
		"A campaign that no run was started for has no name there: use -f",
		strings.Join(c.redis, ","), c.name)
	index, indexErr := ledger.NewIndex(client, c.patiently(c.timeout))
	if indexErr == nil {
		if names, searchErr := index.Search(ctx); searchErr == nil && len(names) > 0 {
			err = fmt.Errorf("%w. It has: %s", err, strings.Join(names, ", "))
		}
	}
	return nil, usageError(err)
}

// named returns as much of the campaign as orders need that are about runs alone: its name, when the stored spec cannot be
// read, or when a desk knows the rest. Nobody must be kept from a pause by a damaged spec.
func (c *connection) named(ctx context.Context, viaDesk bool) (*grant.Campaign, error) {
	if c.name != "" && viaDesk {
		return &grant.Campaign{Name: c.name}, nil
	}
	camp, err := c.subject(ctx)
	if c.name != "" && errors.Is(err, ledger.ErrInconsistent) {
		c.stored = &grant.Campaign{Name: c.name}
		return c.stored, nil
	}
	return camp, err
}
