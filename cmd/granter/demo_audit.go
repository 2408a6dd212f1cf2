//go:build demo

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/redis/go-redis/v9"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/source"
)

// makeKept makes the directory of --keep, with a pair of keys in it. It is for one demo: reports of two would make no chain.
func (d *demonstration) makeKept() error {
	if err := os.Mkdir(d.keep, 0o750); err != nil {
		return usageError(fmt.Errorf("--keep: %w (it is made anew: name another directory)", err))
	}
	private, public, err := audit.Keygen("granter-demo")
	if err != nil {
		return err
	}
	write := func(text string) func(*os.File) error {
		return func(f *os.File) error { _, err := fmt.Fprintln(f, text); return err }
	}
	if err := create(d.keyFile(), 0o600, write(private)); err != nil {
		return err
	}
	return create(d.keyFile()+".pub", 0o644, write(public))
}

func (d *demonstration) keyFile() string { return filepath.Join(d.keep, "audit.key") }

// auditKept audits what the demo has granted, while its Kafka and Redis are there, and leaves what an auditor needs when they are
// gone: a signed report, and what receipts are made from.
func (d *demonstration) auditKept(
	ctx context.Context, k source.Kafka, client redis.UniversalClient, led opened, c *grant.Campaign, user grant.UserID,
) error {
	flags := auditFlags{complete: true, files: reportFiles{key: d.keyFile(), report: d.keep, receipts: true}}
	flags.group = "granter-demo"
	if err := flags.files.validate(); err != nil {
		return err
	}
	q := &query{campaign: c, kafka: k, redis: client, opened: led}
	var err error
	if q.source, err = source.New(source.Config{Kafka: k, Topic: c.Input, Campaign: c.Name}); err != nil {
		return err
	}
	defer q.source.Close() //nolint:errcheck // only idle connections are closed
	defer flags.files.discard()
	r, spec, err := flags.audit(ctx, os.Stderr, q, nil)
	if err != nil {
		return fmt.Errorf("auditing: %w", err)
	}
	if _, err := flags.files.write(r, nil, spec, flags.lang()); err != nil {
		return err
	}
	d.say("\naudited: %s\nits signed report is in %s, and needs neither Kafka nor Redis to be checked:\n\n"+
		"  granter audit verify --public %s.pub %s/*.report\n  granter receipt %v --report %s --public %[3]s.pub\n",
		r.Sentence("en"), d.keep, d.keyFile(), d.keep, user, d.keep)
	return nil
}
