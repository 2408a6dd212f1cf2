package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant/accesslog"
	"github.com/granter/granter/grant/audit"
	"github.com/granter/granter/grant/claims/review"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/entitle"
	"github.com/granter/granter/grant/ledger"
)

// deskFlags say where operations page and API are served, and to whom.
type deskFlags struct {
	desk, access        string
	cert, key, clientCA string
	insecure            bool
	grace               time.Duration
	checkTimeout        time.Duration
	checkFallback       string
	reports             string
}

func (d *deskFlags) addFlags(f *pflag.FlagSet) {
	f.StringVar(&d.desk, "desk", "off", `address of the operations page and the API, or "off"`)
	f.StringVar(&d.access, "desk-access", "", `file that says who may do what: a line of "granter token" for each`)
	f.DurationVar(&d.grace, "desk-access-grace", 5*time.Minute,
		"how long those stay in whom the access file, or --desk-client-ca, let in when it can no longer be read; what is removed from it is out at once")
	f.StringVar(&d.cert, "desk-cert", "", "PEM file of the desk's certificate")
	f.StringVar(&d.key, "desk-key", "", "PEM file of its key")
	f.StringVar(&d.clientCA, "desk-client-ca", "", "PEM file of the authority whose client certificates count (mTLS)")
	f.DurationVar(&d.checkTimeout, "check-timeout", 500*time.Millisecond, "how long Redis may take to answer a check of another service")
	f.StringVar(&d.checkFallback, "check-fallback", string(entitle.FallbackUnknown),
		"what checks say while Redis does not answer: unknown (an error), deny, allow, or last-known")
	f.StringVar(&d.reports, "reports", "", "directory of the reports that granter audit --receipts leaves: the desk makes receipts of users by the newest")
	f.BoolVar(&d.insecure, "desk-insecure", false, "speak HTTP where others can listen, because a proxy in front speaks TLS")
}

// start serves a desk: of one campaign, or of many.
func (d *deskFlags) start(
	one desk.Subject, all desk.Campaigns, claims *review.Desk, client redis.UniversalClient, label string, reg prometheus.Registerer, log *slog.Logger,
) (*desk.Server, error) {
	fallback, err := entitle.ParseFallback(cmp.Or(d.checkFallback, string(entitle.FallbackUnknown)))
	if err != nil {
		return nil, usageError(fmt.Errorf("--check-fallback %w", err))
	}
	cfg := desk.Config{
		Addr: d.desk, Access: d.access, AccessGrace: d.grace, Cert: d.cert, Key: d.key, ClientCA: d.clientCA, Insecure: d.insecure,
		CheckTimeout: d.checkTimeout, CheckFallback: fallback,
		Subject: one, Campaigns: all, Reads: accesslog.New(client), Answers: ledger.NewAnswers(client), Claims: claims, Label: label, Log: log, Registerer: reg,
	}
	if d.reports != "" {
		cfg.Receipts = audit.NewShelf(d.reports)
	}
	server, err := desk.Start(cfg)
	if err != nil {
		return nil, usageError(fmt.Errorf("the desk cannot be opened: %w", err))
	}
	return server, nil
}

// askFor is how long a desk asks Redis again: whoever looks at a page wants to know soon that it does not answer, and why.
const askFor = 2 * time.Second

// openDesk serves the desk from a run, if it is told to.
func (j *job) openDesk(log *slog.Logger) (closeDesk func(), err error) {
	if j.flags.desk == "off" || j.flags.desk == "" {
		return func() {}, nil
	}
	// Questions must not wait as long as grants may, nor change what the run's source knows of its partitions.
	subject, err := (&subjects{redis: j.redis, kafka: j.kafka}).open(j.campaign)
	if err != nil {
		return nil, err
	}
	server, err := j.flags.deskFlags.start(*subject, nil, nil, j.redis, j.campaign.Name, j.registry, log)
	if err != nil {
		return nil, errors.Join(err, subject.Close())
	}
	return func() {
		if err := errors.Join(server.Close(), subject.Close()); err != nil {
			log.Warn("closing the desk", "error", err)
		}
	}, nil
}

func newDesk() *cobra.Command {
	var c connection
	var d deskFlags
	var claims reviewFlags
	var listen, logFormat, otlp string
	var files []string
	cmd := &cobra.Command{
		Use:   "desk [-f SPEC]... --desk HOST:PORT --desk-access FILE",
		Short: "Serve the operations pages and the API of all campaigns",
		Long: `Desk serves operations pages, and the API that they use, until it is stopped: a list of campaigns, and of each its progress,
replicas, rejected records, audit trail, and the orders of operators. It serves every campaign whose spec is in the ledger, new
ones without a restart, and those of -f, which may not have begun. It grants nobody. Several may run. "granter run --desk"
serves the page of its own campaign from a run.

Who may do what, and in which campaigns, is in a file that may be changed at any time; "granter token" makes its lines: NAME,
ROLE, which is a set of rights (see granter token --help), campaigns:NAME,… if it is for some only, and the hash of a token.
NAME ROLE claim:CLAIM=VALUE lets everybody in of whom the OpenID provider of the lines oidc.… says that: they sign in on
the pages with their own account (docs/sign-in.md has an example of the file). Whoever is taken out of it is out within a second. A file that can no longer be read, or has a mistake in it, lets nobody in after --desk-access-grace.
Without TLS it listens on a loopback address only.

With --claims it has the pages, too, on which staff judge and decide damage claims, at /claims; the rights there are duties, which do
not include each other (docs/claims.md).

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if d.desk == "off" {
				return usageError(errors.New("where? Say --desk HOST:PORT, such as 127.0.0.1:9465"))
			}
			log, err := newLogger(newScreen(cmd.ErrOrStderr()), logFormat)
			if err != nil {
				return err
			}
			c.waited = nil // who looks at a page is told there
			all, client, err := c.catalog(files, log)
			if err != nil {
				return err
			}
			defer client.Close()
			stopTracing, err := startTracing(cmd.Context(), otlp, log)
			if err != nil {
				return err
			}
			defer stopTracing()
			reviews, closeReviews, err := claims.open(cmd.Context(), log)
			if err != nil {
				return errors.Join(err, all.Close())
			}
			return errors.Join(serveDesk(cmd.Context(), all, reviews, client, &d, listen, log), closeReviews())
		},
	}
	c.addServers(cmd, c.kafkaFlags, c.registryFlags, c.redisFlags)
	filesFlag(cmd, &files)
	d.addFlags(cmd.Flags())
	claims.addFlags(cmd)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9466", `address of /metrics, /healthz and /readyz, or "off"`)
	cmd.Flags().StringVar(&otlp, "otlp", "", otlpHelp)
	cmd.Flags().StringVar(&logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return cmd
}

func serveDesk(ctx context.Context, all *desk.Catalog, claims *review.Desk, client redis.UniversalClient, d *deskFlags, listen string, log *slog.Logger) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	registry := newRegistry()
	if claims != nil {
		countErrors(claims.Store, registry, claims.Programme)
	}
	// Who signs in first should not find nothing; what is wrong with Redis the watcher says.
	_ = all.Refresh(ctx)
	label := "" // of metrics of the desk itself
	if names := all.Names(); len(names) == 1 && all.Given(names[0]) {
		label = names[0]
	}
	server, err := d.start(desk.Subject{}, all, claims, client, label, registry, log)
	if err != nil {
		return errors.Join(err, all.Close())
	}
	watcher := newWatcher(all, registry, log)
	metricsServer, err := serve(listen, registry, func() string { return cmp.Or(server.NotReady(), watcher.notReady()) }, log)
	if err == nil {
		defer metricsServer.close()
		watcher.run(ctx)
	}
	return errors.Join(err, server.Close(), all.Close())
}
