package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/deploy/dev/devtest"
	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/identity/identitytest"
	"github.com/granter/granter/grant/claims/intake/intaketest"
	"github.com/granter/granter/grant/claims/payout/banktest"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// claimsAll is how many small businesses claimed in the programme of 2021.
const claimsAll = 620_000

// atOnce is how many payments one payout run declares, and within is how long the bank may take.
const (
	atOnce = 50_000
	within = 15 * time.Second
)

const programmeFile = "deploy/programmes/outage-2022.yaml"

// richer writes the shipped programme with a budget for all the claims that are made here: its own ends at some 140,000 of them.
func (b *bench) richer() (path string, err error) {
	text, err := os.ReadFile(programmeFile)
	if err != nil {
		return "", err
	}
	rich := bytes.Replace(text, []byte("\nbudget: 5000000000"), []byte("\nbudget: 50000000000"), 1)
	if bytes.Equal(rich, text) {
		return "", fmt.Errorf("%s has another budget than this expects", programmeFile)
	}
	path = filepath.Join(b.dir, "programme.yaml")
	return path, os.WriteFile(path, rich, 0o600)
}

// claimsRun is one way of all claims through a database: intake, checks, payment.
type claimsRun struct {
	*bench
	name     string
	database string
	n        int
	kills    int               // kill -9 at random moments, all running at once; 0: one after the other, measured
	intake   bool              // nothing but intake
	postgres *devtest.Postgres // which is killed as well; nil: there is none
	services string
	rules    string // file of the programme
	server   int    // PostgreSQL's process; 0: there is none
	bank     *banktest.Bank
	topic    string

	steps []claimsStep
	size  int64
}

// claimsStep is how long one step took for how many.
type claimsStep struct {
	name           string
	n              int
	seconds        float64
	client, server float64 // seconds of processor time, of granter and of PostgreSQL's sessions; 0: not measured
}

// claims measures damage claims on PostgreSQL and SQLite, and on PostgreSQL once more while every process is killed.
func (b *bench) claims(ctx context.Context, kills int, only string, intake bool) (string, error) {
	n := int(claimsAll * b.scale)
	rules, err := b.richer()
	if err != nil {
		return "", err
	}
	services := httptest.NewServer(&identitytest.Services{})
	defer services.Close()
	b.kafka.CreateTopic(b.tb, "claims", 6, 1, nil)
	if err := b.loadClaims(ctx, n); err != nil {
		return "", err
	}
	postgres := devtest.StartPostgres(b.tb, "fsync=on", "synchronous_commit=on", "shared_buffers=256MB", "max_wal_size=2GB")
	runs := []*claimsRun{
		{name: "PostgreSQL 15", database: postgres.URL, server: postgres.PID()},
		{name: "SQLite", database: filepath.Join(b.dir, "claims.db")},
		{name: "PostgreSQL 15, killed", database: postgres.Schema("killed"), kills: kills, postgres: postgres},
		{name: "SQLite, killed", database: filepath.Join(b.dir, "killed.db"), kills: kills},
	}
	if err := schema(ctx, postgres.URL, "killed"); err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(
		&out,
		"%s claims, each step by itself and with one process; µs of processor time for each\n\n"+
			"| database | step | count | seconds | a second | granter, µs | PostgreSQL, µs "+
			"|\n|---|---|---:|---:|---:|---:|---:|\n",
		text.Number(int64(n)),
	)
	for i, r := range runs {
		killed := strings.HasSuffix(r.name, "killed")
		if killed && (kills == 0 || intake) || !strings.Contains(r.name, only) {
			continue
		}
		r.intake = intake
		r.bench, r.n, r.services, r.topic, r.rules = b, n, services.URL, fmt.Sprintf("payouts-%d", i), rules
		if err := r.run(ctx); err != nil {
			return out.String(), fmt.Errorf("%s: %w", r.name, err)
		}
		for _, s := range r.steps {
			fmt.Fprintf(&out, "| %s | %s | %s | %.1f | %s | %s | %s |\n", r.name, s.name, text.Number(int64(s.n)), s.seconds,
				text.Number(int64(float64(s.n)/s.seconds)), each(s.client, s.n), each(s.server, s.n))
		}
		if r.size > 0 {
			fmt.Fprintf(&out, "| %s | the database then | %.0f MB | | | | |\n", r.name, float64(r.size)/1e6)
		}
	}
	return out.String(), nil
}

// loadClaims publishes the claims.
func (b *bench) loadClaims(ctx context.Context, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.Brokers...), kgo.DefaultProduceTopic("claims"))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed error
	for i := range n {
		client.Produce(
			ctx,
			&kgo.Record{Value: intaketest.Record(i)},
			func(_ *kgo.Record, err error) { failed = errors.Join(failed, err) },
		)
	}
	return errors.Join(client.Flush(ctx), failed)
}

func (r *claimsRun) args(command string) []string {
	kafka := []string{"--brokers", r.kafka.Brokers[0]}
	feed := append([]string{"--listen", "off", "--log-format", "text"}, kafka...)
	switch command {
	case "receive":
		return append([]string{"receive", "--topic", "claims", "--programme", r.rules}, feed...)
	case "process":
		return []string{"process", "--business-service", r.services, "--account-service", r.services}
	case "pay":
		return append([]string{"pay", "--topic", r.topic, "--who", "payer", "--most", strconv.Itoa(atOnce)}, kafka...)
	default:
		return append([]string{"reconcile", "--topic", r.topic + ".ack", "--ask", r.topic, "--within", within.String()}, feed...)
	}
}

func (r *claimsRun) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.granter, append([]string{"claims"}, append(args, "--database", r.database)...)...)
	cmd.Env = append(os.Environ(), "GRANTER_BUSINESS_KEY=key", "GRANTER_ACCOUNT_TOKEN=token")
	return cmd
}

// step runs one command to its end, and measures it.
func (r *claimsRun) step(ctx context.Context, name string, n func(c map[claims.State]store.Count) int, s *store.Store,
	args ...string,
) error {
	began, before := time.Now(), sessions(r.server)
	cmd := r.command(ctx, args...)
	out, err := cmd.CombinedOutput()
	took := time.Since(began).Seconds()
	if err != nil {
		return fmt.Errorf("granter claims %s: %w: %s", args[0], err, out)
	}
	client := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	server := sessionsSince(r.server, before)
	counts, err := s.Counts(ctx, "outage-2022")
	if err != nil {
		return err
	}
	r.steps = append(r.steps, claimsStep{name, n(counts), took, client.Seconds(), server})
	return nil
}

func (r *claimsRun) run(ctx context.Context) error {
	r.kafka.CreateTopic(r.tb, r.topic, 4, 1, nil)
	r.kafka.CreateTopic(r.tb, r.topic+".ack", 4, 1, nil)
	s, err := store.Open(ctx, r.database, "")
	if err != nil {
		return err
	}
	defer s.Close()
	r.bank = banktest.New(r.topic, r.topic+".ack", 1)
	r.bank.Faultless = r.kills == 0
	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.bank.Run(ctx, r.kafka.Brokers) })
	group.Go(func() error {
		defer stop()
		if r.kills > 0 {
			return r.killed(ctx, s)
		}
		return r.measured(ctx, s)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	last := context.WithoutCancel(ctx)
	if r.intake {
		return r.takenIn(last, s)
	}
	paid, sum, err := r.bank.Compare(last, s, "outage-2022")
	if err != nil {
		return err
	}
	proof, err := s.Prove(last, nil)
	if err != nil {
		return err
	}
	if proof.Claims != r.n || len(proof.Wrong) > 0 {
		return fmt.Errorf("%d of %d claims are there, %d findings", proof.Claims, r.n, len(proof.Wrong))
	}
	fmt.Fprintf(os.Stderr, "%s: %d of %d claims paid, %d won, proven: %d entries\n", r.name, paid, r.n, sum, proof.Entries)
	r.size, err = size(last, r.database)
	return err
}

// takenIn says that every claim is there, once.
func (r *claimsRun) takenIn(ctx context.Context, s *store.Store) error {
	proof, err := s.Prove(ctx, nil)
	if err != nil {
		return err
	}
	if proof.Claims != r.n || proof.Entries != r.n || len(proof.Wrong) > 0 {
		return fmt.Errorf("%d of %d claims are there, %d findings", proof.Claims, r.n, len(proof.Wrong))
	}
	r.size, err = size(ctx, r.database)
	return err
}

func (r *claimsRun) measured(ctx context.Context, s *store.Store) error {
	all := func(map[claims.State]store.Count) int { return r.n }
	approved := func(c map[claims.State]store.Count) int { return c[claims.PaymentSent].Claims + c[claims.Paid].Claims }
	err := r.step(ctx, "intake from Kafka", all, s, append(r.args("receive"), "--once")...)
	if r.intake {
		return err
	}
	if err == nil {
		err = r.step(ctx, "checks, assessment, tiers", all, s, r.args("process")...)
	}
	if err == nil {
		err = r.ordered(ctx, s)
	}
	for began := time.Now(); err == nil; { // the bank answers meanwhile
		if err = r.step(ctx, "settlements from Kafka", approved, s, append(r.args("reconcile"), "--once")...); err != nil {
			break
		}
		last := &r.steps[len(r.steps)-1]
		counts, failed := s.Counts(ctx, "outage-2022")
		if failed != nil || counts[claims.PaymentSent].Claims == 0 {
			last.seconds = time.Since(began).Seconds()
			return failed
		}
		r.steps = r.steps[:len(r.steps)-1]
	}
	return err
}

// ordered runs payout runs until nothing is owed.
func (r *claimsRun) ordered(ctx context.Context, s *store.Store) error {
	counts, err := s.Counts(ctx, "outage-2022")
	if err != nil {
		return err
	}
	ordered := claimsStep{name: "orders to Kafka", n: counts[claims.Approved].Claims}
	for range (ordered.n + atOnce - 1) / atOnce {
		began := time.Now()
		if out, err := r.command(ctx, r.args("pay")...).CombinedOutput(); err != nil {
			return fmt.Errorf("granter claims pay: %w: %s", err, out)
		}
		ordered.seconds += time.Since(began).Seconds()
	}
	r.steps = append(r.steps, ordered)
	return nil
}
