package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/metrics"
)

// deskFlags say where operations page and API are served, and to whom.
type deskFlags struct {
	desk, access        string
	cert, key, clientCA string
	insecure            bool
	grace               time.Duration
}

func (d *deskFlags) addFlags(f *pflag.FlagSet) {
	f.StringVar(&d.desk, "desk", "off", `address of the operations page and the API, or "off"`)
	f.StringVar(&d.access, "desk-access", "", `file that says who may do what: a line of "granter token" for each`)
	f.DurationVar(&d.grace, "desk-access-grace", 5*time.Minute,
		"how long those stay in whom the access file, or --desk-client-ca, let in when it can no longer be read; what is removed from it is out at once")
	f.StringVar(&d.cert, "desk-cert", "", "PEM file of the desk's certificate")
	f.StringVar(&d.key, "desk-key", "", "PEM file of its key")
	f.StringVar(&d.clientCA, "desk-client-ca", "", "PEM file of the authority whose client certificates count (mTLS)")
	f.BoolVar(&d.insecure, "desk-insecure", false, "speak HTTP where others can listen, because a proxy in front speaks TLS")
}

// start serves the desk of a campaign.
func (d *deskFlags) start(c *grant.Campaign, led opened, src *source.Source, reg prometheus.Registerer, log *slog.Logger) (*desk.Server, error) {
	gatherer := status.NewGatherer(c, led.coordination, led.reader, src)
	server, err := desk.Start(desk.Config{
		Addr: d.desk, Access: d.access, AccessGrace: d.grace, Cert: d.cert, Key: d.key, ClientCA: d.clientCA, Insecure: d.insecure,
		Campaign: c, Coordination: led.coordination, Reader: led.reader, Bounds: src.Bounds, Identify: src.Identify, Log: log, Registerer: reg,
		Status: gatherer.Gather,
	})
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
	led, err := openLedger(j.redis, j.campaign, askFor)
	if err != nil {
		return nil, err
	}
	src, err := source.New(source.Config{Kafka: j.kafka, Topic: j.campaign.Input, Campaign: j.campaign.Name, RetryFor: askFor})
	if err != nil {
		return nil, err
	}
	server, err := j.flags.deskFlags.start(j.campaign, led, src, j.registry, log)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return func() {
		if err := errors.Join(server.Close(), src.Close()); err != nil {
			log.Warn("closing the desk", "error", err)
		}
	}, nil
}

func newDesk() *cobra.Command {
	var c connection
	var d deskFlags
	var listen, logFormat, otlp string
	cmd := &cobra.Command{
		Use:   "desk -f SPEC --desk HOST:PORT --desk-access FILE",
		Short: "Serve the operations page and the API of a campaign",
		Long: `Desk serves the operations page, and the API that it uses, until it is stopped: progress, replicas, rejected records, the
audit trail, and the orders of operators. It grants nobody. Several may run. "granter run --desk" serves the same from a run.

Who may do what, and in which campaigns, is in a file that may be changed at any time; "granter token" makes its lines: NAME,
ROLE, which is a set of rights (see granter token --help), campaigns:NAME,… if it is for some only, and the hash of a token.
Whoever is taken out of it is out within a second. A file that can no longer be read, or has a mistake in it, lets nobody in after --desk-access-grace.
Without TLS it listens on a loopback address only.

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
			q, err := c.query(cmd.Context(), askFor)
			if err != nil {
				return err
			}
			defer q.close()
			stopTracing, err := startTracing(cmd.Context(), otlp, log)
			if err != nil {
				return err
			}
			defer stopTracing()
			return serveDesk(cmd.Context(), q, &d, listen, log)
		},
	}
	c.addFlags(cmd, c.kafkaFlags, c.redisFlags)
	d.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9466", `address of /metrics, /healthz and /readyz, or "off"`)
	cmd.Flags().StringVar(&otlp, "otlp", "", otlpHelp)
	cmd.Flags().StringVar(&logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return cmd
}

// deskCounts is how often the desk counts granted users for its metrics.
const deskCounts = 5 * time.Second

func serveDesk(ctx context.Context, q *query, d *deskFlags, listen string, log *slog.Logger) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	registry := newRegistry()
	log = log.With("campaign", q.campaign.Name)
	desk, err := d.start(q.campaign, q.opened, q.source, registry, log)
	if err != nil {
		return err
	}
	overview := metrics.NewOverview(registry, q.campaign.Name, version)
	metricsServer, err := serve(listen, registry, func() string { return cmp.Or(desk.NotReady(), overview.NotReady()) }, log)
	if err == nil {
		defer metricsServer.close()
		watch(ctx, q, overview, log)
	}
	return errors.Join(err, desk.Close())
}

// watch keeps the desk's metrics current until the context ends.
func watch(ctx context.Context, q *query, o *metrics.Overview, log *slog.Logger) {
	tick := time.NewTicker(deskCounts)
	defer tick.Stop()
	for failed := false; ; {
		s, missing := q.status(ctx)
		lost, err := status.Lost(ctx, q.coordination)
		var checkpoint grant.Checkpoint
		if err == nil {
			checkpoint, err = q.reader.Checkpoints(ctx, q.campaign)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil && s.Knows(status.Parts()...) { // of Kafka, it may be what it said last
			o.Set(metrics.Campaign{
				Granted: s.Granted, Expected: s.Expected, StartsAt: s.StartsAt, Lag: s.ToGo(), Replicas: s.Live(), Lost: lost,
				Started:        len(checkpoint.Next) > 0,
				ControlVersion: s.Control.Version, Throttle: s.Control.Throttle, Paused: s.Control.Paused,
				Aborted: s.Control.AbortedBy != nil,
			})
		}
		if err = cmp.Or(missing, err); err != nil {
			o.Failed(err)
			if !failed {
				log.Warn("Redis or Kafka does not answer", "error", err)
			}
		}
		failed = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
