//go:build demo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/payout/banktest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/text"
)

// demoProgramme is that of deploy/programmes/outage-2022.yaml, whose windows are open still.
const demoProgramme = `programme: demo-outage
title: 서비스 장애 소상공인 피해 지원 (시연)
zone: Asia/Seoul
outage: {from: 2022-10-15, through: 2022-10-21}
windows:
  - {name: reports, kind: report, from: 2022-10-19T00:00:00, before: %[1]sT00:00:00}
  - {name: documents, kind: documents, from: 2022-10-19T00:00:00, before: %[1]sT00:00:00}
  - {name: objections, kind: objection, from: 2022-10-19T00:00:00, before: %[1]sT00:00:00}
loss: {weeks: max, from: 2022-09-03, through: 2022-10-14}
assessment:
  profit_rate: 20%%
  by_industry: {restaurants: 15%%, retail: 10%%, taxis: 25%%}
  own_rate: with_evidence
  service_share: 70%%
  alternative: 50%%
tiers:
  table:
    - {below: 300000, pay: 30000}
    - {below: 500000, pay: 50000}
    - above: true
      review: true
      documents: [small_business_confirmation, proof_of_sales_damage, proof_of_service_use]
eligibility: {opened_before: 2022-10-15, closed_before: 2022-10-15}
budget: 5000000000
second_person_from: 1000000
council:
  from: 200000
  affiliations: [consumers, small_business, academia, company]
  quorum: 5
  affiliations_present: 3
  chair: [academia]
`

// claimsDemo is one granter demo --claims: it does what people, services and the bank do, and has the real commands do the rest.
type claimsDemo struct {
	n          int
	once, json bool
	noOpen     bool
	page, desk string
	out        io.Writer
	errs       io.Writer

	folder   string
	brokers  string
	services string
	bank     *banktest.Bank
	decided  string // the claim that the council decided
}

// checkClaimsFlags refuses settings of the campaign's demo in that of claims, and the other way round.
func checkClaimsFlags(cmd *cobra.Command, n int) error {
	wrong := []string{"users", "ids", "watch", "throttle", "keep", "listen"}
	with := "goes without --claims"
	if !cmd.Flags().Changed("claims") {
		wrong, with = []string{"page", "no-open"}, "goes with --claims"
	} else if n < 1 || n > 100_000 {
		return usageError(fmt.Errorf("--claims=%d: want 1 to 100000", n))
	}
	for _, name := range wrong {
		if cmd.Flags().Changed(name) {
			return usageError(fmt.Errorf("--%s %s", name, with))
		}
	}
	return nil
}

func (d *claimsDemo) say(format string, args ...any) {
	if !d.json {
		fmt.Fprintf(d.out, format, args...)
	}
}

// perform tells the whole story, and then serves its pages until the context ends.
func (d *claimsDemo) perform(ctx context.Context) (err error) {
	if d.folder, err = os.MkdirTemp("", "granter-demo-claims-"); err != nil {
		return fmt.Errorf("a folder for the database: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.folder)) }()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(2, "claims", "claims.rejected", "payouts", "payouts.ack", "payouts.ack.rejected", "notices"))
	if err != nil {
		return fmt.Errorf("starting the in-process Kafka: %w", err)
	}
	defer kafka.Close()
	d.brokers = strings.Join(kafka.ListenAddrs(), ",")
	services := httptest.NewServer(&identitytest.Services{})
	defer services.Close()
	d.services = services.URL
	for _, name := range []string{"GRANTER_BUSINESS_KEY", "GRANTER_ACCOUNT_TOKEN"} {
		if err := os.Setenv(name, "demo"); err != nil {
			return err
		}
	}
	programme := fmt.Sprintf(demoProgramme, time.Now().AddDate(0, 2, 0).Format(time.DateOnly))
	if err := os.WriteFile(d.file("programme.yaml"), []byte(programme), 0o600); err != nil {
		return err
	}

	d.bank = banktest.New("payouts", "payouts.ack", 1)
	running, stop := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return d.bank.Run(running, kafka.ListenAddrs()) })
	err = d.story(running)
	stop()
	return errors.Join(err, group.Wait())
}

func (d *claimsDemo) file(name string) string { return filepath.Join(d.folder, name) }

// story is what happens, in its order.
func (d *claimsDemo) story(ctx context.Context) error {
	if err := d.reported(ctx); err != nil {
		return fmt.Errorf("importing earlier reports: %w", err)
	}
	d.say("\n%s owners report a loss; they write to a topic of an in-process Kafka\n", text.Number(int64(d.n)))
	if err := d.report(ctx); err != nil {
		return fmt.Errorf("reporting claims: %w", err)
	}
	if err := d.run(ctx, "claims", "receive", "--topic", "claims", "--brokers", d.brokers, "--once", "--programme",
		d.file("programme.yaml")); err != nil {
		return err
	}
	d.say("\ntax office and bank are asked who they are (servers of their shape), and the rules decide what rules can\n")
	if err := d.process(ctx); err != nil {
		return err
	}
	s, err := store.Open(ctx, d.file("claims.db"), "")
	if err != nil {
		return err
	}
	p, err := s.Programme(ctx, "")
	if err == nil {
		err = d.people(ctx, s, p)
	}
	if err == nil {
		err = d.money(ctx, s, p)
	}
	if err == nil {
		err = d.remind(ctx)
	}
	if err == nil {
		err = d.told(ctx)
	}
	if err == nil {
		err = d.sums(ctx, s, p)
	}
	if err == nil && !d.once {
		err = d.serve(ctx, s, p)
	}
	return errors.Join(err, s.Close())
}

// run runs a command of granter on the demo's database, as it would be typed.
func (d *claimsDemo) run(ctx context.Context, args ...string) error {
	args = append(args, "--database", d.file("claims.db"))
	out := d.out
	if d.json {
		out = io.Discard
	}
	d.say("\n$ granter %s\n", strings.Join(args, " "))
	return d.quietly(ctx, out, args...)
}

// quietly runs a command without what it logs; its errors are returned.
func (d *claimsDemo) quietly(ctx context.Context, out io.Writer, args ...string) error {
	return d.command(ctx, out, io.Discard, args...)
}

func (d *claimsDemo) command(ctx context.Context, out, errs io.Writer, args ...string) error {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	if err := root.ExecuteContext(ctx); err != nil {
		return fmt.Errorf("granter %s: %w", strings.Join(args[:2], " "), err)
	}
	return nil
}

func (d *claimsDemo) process(ctx context.Context) error {
	return d.run(ctx, "claims", "process", "--business-service", d.services, "--account-service", d.services)
}

// serve shows the pages until the context ends.
func (d *claimsDemo) serve(ctx context.Context, s *store.Store, p *claims.Programme) error {
	redis, err := miniredis.Run() // a desk has one for its campaigns
	if err != nil {
		return fmt.Errorf("starting the in-process Redis: %w", err)
	}
	defer redis.Close()
	token, line, err := desk.NewToken("you", "claims-reviewer,claims-approver,claims-freeze")
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.file("access"), []byte(line+"\n"), 0o600); err != nil {
		return err
	}
	paid, err := s.List(ctx, store.Filter{Programme: p.Name, States: []claims.State{claims.Paid}, Limit: 1})
	if err != nil {
		return err
	}
	if len(paid) > 0 {
		d.say("\nthe code of one owner, by which the page shows what became of the claim:\n")
		if err := d.run(ctx, "claims", "code", paid[0].ID, "--why", "the demo shows it", "--who", "demo", "--public",
			"http://"+d.page); err != nil {
			return err
		}
	}
	if d.decided != "" {
		d.say("\nthe claim that the council decided, and its minutes, on the review desk:\n\n"+
			"  http://%[1]s/claims/%[2]s?lang=en\n"+
			"  http://%[1]s/claims/minutes/1?lang=en\n", d.desk, d.decided)
	}
	d.say(
		"\nthe owner's page, to report a loss of your own:\n\n  http://%s/\n\n"+
			"the review desk, and the token to sign in with:\n\n  http://%s/claims?lang=en\n  %s\n\nserving until Ctrl-C\n",
		d.page,
		d.desk,
		token,
	)
	group, ctx := errgroup.WithContext(ctx)
	if with := opener(); with != nil && !d.noOpen {
		group.Go(func() error {
			openPages(ctx, with, "http://"+d.page+"/", "http://"+d.desk+"/claims?lang=en")
			return nil
		})
	}
	group.Go(func() error {
		return d.command(
			ctx,
			io.Discard,
			d.errs,
			"claims",
			"serve",
			"--database",
			d.file("claims.db"),
			"--documents",
			d.file("documents"),
			"--page",
			d.page,
			"--listen",
			"off",
			"--contact",
			"1577-0000",
			"--log-format",
			"text",
		)
	})
	group.Go(func() error {
		return d.command(
			ctx,
			io.Discard,
			d.errs,
			"desk",
			"--claims",
			d.file("claims.db"),
			"--documents",
			d.file("documents"),
			"--desk",
			d.desk,
			"--desk-access",
			d.file("access"),
			"--listen",
			"off",
			"--brokers",
			d.brokers,
			"--redis",
			redis.Addr(),
			"--decide-within",
			"72h",
		)
	})
	group.Go(func() error { return d.goOn(ctx, s, p) })
	return group.Wait()
}
