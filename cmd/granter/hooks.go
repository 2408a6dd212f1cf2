package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/hooks"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/metrics"
)

const hooksHelp = "file of webhooks and programs that are told when the campaign starts, is held, ends, … (docs/hooks.md)"

// hooksFlag is the file of hooks.
type hooksFlag struct{ file string }

func (h *hooksFlag) addFlag(f *pflag.FlagSet) { f.StringVar(&h.file, "hooks", "", hooksHelp) }

// load reads the file; none are none.
func (h *hooksFlag) load() ([]hooks.Hook, error) {
	if h.file == "" {
		return nil, nil
	}
	all, err := hooks.Load(h.file)
	if err != nil {
		err = usageError(fmt.Errorf("--hooks: %w", err))
	}
	return all, err
}

// hooksOf makes what watches a campaign, and the function that lets go of what it asks.
func hooksOf(
	c *grant.Campaign, all []hooks.Hook, client redis.UniversalClient, k source.Kafka, m *metrics.Hooks, log *slog.Logger,
) (*hooks.Watcher, func(), error) {
	led, err := openLedger(client, c, askFor)
	if err != nil {
		return nil, nil, err
	}
	s, err := (&subjects{redis: client, kafka: k, brokers: k.Brokers}).open(c)
	if err != nil {
		return nil, nil, err
	}
	return hooks.New(hooks.Config{
		Campaign: c, Hooks: all, Who: grant.NewRunID(time.Now()).String(), Board: led.coordination,
		Status: s.Status, Metrics: m, Log: log,
		Lost: func(ctx context.Context) (int, error) { lost, _, err := s.Replicas(ctx); return lost, err },
	}), func() { s.Close() }, nil //nolint:errcheck // only idle connections are closed
}

// openHooks has the hooks of a run told while it goes on, and for some seconds afterwards. Nothing of it can hold up the run.
func (j *job) openHooks(log *slog.Logger) (closeHooks func(), err error) {
	if len(j.hooks) == 0 {
		return func() {}, nil
	}
	m := metrics.NewHooks(j.registry, j.campaign.Name, namesOf(j.hooks)...)
	w, done, err := hooksOf(j.campaign, j.hooks, j.redis, j.kafka, m, log)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { w.Follow(ctx) })
	return func() {
		stop()
		work.Wait()
		done()
	}, nil
}

func namesOf(all []hooks.Hook) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].Name
	}
	return out
}

func newHooks() *cobra.Command {
	var c connection
	var file hooksFlag
	var test bool
	var listen, logFormat string
	cmd := &cobra.Command{
		Use:   "hooks {-f SPEC | --campaign NAME} --hooks FILE",
		Short: "Tell webhooks and programs what becomes of a campaign's runs",
		Long: `Hooks watches a campaign until it is stopped, and tells the webhooks and programs of a file when it starts,
is held, is half done, ends, when a run fails, and when somebody should look at it. "granter run --hooks" does
the same while it runs; a process of its own also tells when no run is left. Any number of processes may watch:
one of them tells, and each event is told once for all of them. --test calls each hook once, with an event that
says so. docs/hooks.md says what hooks get.

` + exitHelp,
		Example: `  granter hooks --campaign emoticons-2022 --hooks hooks.yaml
  granter hooks -f deploy/campaigns/emoticons.yaml --hooks hooks.yaml --test`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file.file == "" {
				return usageError(errors.New("which hooks? Say --hooks FILE"))
			}
			all, err := file.load()
			if err != nil {
				return err
			}
			campaign, err := c.subject(cmd.Context())
			if err != nil {
				return err
			}
			if test {
				return tryHooks(cmd, all, campaign, c.json)
			}
			log, err := newLogger(newScreen(cmd.ErrOrStderr()), logFormat)
			if err != nil {
				return err
			}
			return c.followHooks(cmd.Context(), campaign, all, listen, log)
		},
	}
	c.addFlags(cmd, c.anyIDs, c.nameFlag, c.jsonFlag, c.kafkaFlags, c.redisFlags)
	file.addFlag(cmd.Flags())
	cmd.Flags().BoolVar(&test, "test", false, "call each hook once, with an event of the kind test, and say how that went")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:9468", `address of /metrics, /healthz and /readyz, or "off"`)
	cmd.Flags().StringVar(&logFormat, "log-format", "", "text or json (default: text on a terminal, else json)")
	return cmd
}

// triedHook is what --test --json says of a hook.
type triedHook struct {
	Hook  string `json:"hook"`
	Error string `json:"error,omitempty"`
}

func tryHooks(cmd *cobra.Command, all []hooks.Hook, c *grant.Campaign, asJSON bool) error {
	failed, out := 0, []triedHook{}
	e := hooks.Test(c, time.Now())
	for i := range all {
		tried := triedHook{Hook: all[i].Name}
		if err := all[i].Try(cmd.Context(), e); err != nil {
			failed++
			tried.Error = err.Error()
		}
		out = append(out, tried)
		switch {
		case asJSON:
		case tried.Error != "":
			fmt.Fprintf(cmd.OutOrStdout(), "hook %s FAILED: %s\n", tried.Hook, tried.Error)
		default:
			fmt.Fprintf(cmd.OutOrStdout(), "hook %s: called\n", tried.Hook)
		}
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), out); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d hooks failed", failed, len(all))
	}
	return nil
}

func (c *connection) followHooks(
	ctx context.Context, campaign *grant.Campaign, all []hooks.Hook, listen string, log *slog.Logger,
) error {
	client, err := c.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()
	k, err := c.kafka()
	if err != nil {
		return err
	}
	registry := newRegistry()
	w, done, err := hooksOf(campaign, all, client, k, metrics.NewHooks(registry, campaign.Name, namesOf(all)...), log)
	if err != nil {
		return err
	}
	defer done()
	ctx, stop := untilSignal(ctx)
	defer stop()
	server, err := serve(listen, registry, func() string { return "" }, log)
	if err != nil {
		return err
	}
	defer server.close()
	w.Follow(ctx)
	return &exitError{exitStopped, errors.New("stopped: start it again to go on, nothing is lost")}
}
