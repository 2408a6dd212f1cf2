package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/status"
)

// orderFlags are the settings of the commands that order something.
type orderFlags struct {
	connection
	remote
	why   string
	who   string
	until string
	limit time.Duration // how long the order holds; 0: until another one
	wait  time.Duration
	topic bool // the order says where the topic ends
}

const orderHelp = `

All replicas obey within a second, and the command waits until they say so. Who ordered what, when and why is in
"granter history". Without --desk-url the order goes straight to Redis, so whoever may write there may give it; with
--desk-url it goes to a "granter desk", which asks for a token of an operator and must serve the campaign.

`

const forHelp = `With --for it ends by itself: all replicas go on when that time is over by the clock of Redis, whether or not anybody is
there, and the history says so. A later %[1]s replaces it, its end included; what held before it does not come back.

`

func newOrders() []*cobra.Command {
	return []*cobra.Command{
		newOrder(grant.ActionPause, "pause", "Grant nobody until resume; replicas live on", nil),
		newOrder(grant.ActionResume, "resume", "Go on after a pause or an abort or, when there is neither, beyond where it was ordered to finish", nil),
		newOrder(grant.ActionThrottle, "throttle USERS-PER-SECOND", "Limit all replicas together: "+rateHelp, func(o *grant.Order, args []string, _ string) error {
			var limit usersPerSecond
			if err := limit.Set(args[0]); err != nil {
				return err
			}
			o.Throttle = limit.n
			return nil
		}),
		newOrder(grant.ActionAbort, "abort", "End all runs, with a checkpoint, and grant nobody until resume: also runs that start later end, with exit code 6", nil),
		newOrder(grant.ActionFinish, "finish", "End all runs with success, once everything that is in the topic now is granted: also runs that start later, until resume", nil),
		newOrder(grant.ActionPostpone, "postpone", "Start later than the spec's starts_at", func(o *grant.Order, _ []string, until string) error {
			if until == "never mind" {
				return nil
			}
			at, err := parseTime("--until", until)
			if err != nil {
				return err
			}
			o.StartsAt = &at
			return nil
		}),
	}
}

// usersPerSecond is a limit as people write it, wherever they do: 200000, 200_000, 200k, 1.5M; 0 or off is none.
type usersPerSecond struct {
	n     int64
	given bool
}

const rateHelp = "users per second such as 200000, 200k or 1.5M; 0 or off is no limit"

// Type is what --help calls the value of a flag.
func (u *usersPerSecond) Type() string { return "users-per-second" }

// String of what was not given is empty.
func (u *usersPerSecond) String() string {
	if !u.given {
		return ""
	}
	return strconv.FormatInt(u.n, 10)
}

// Set reads a limit.
func (u *usersPerSecond) Set(text string) error {
	if text == "off" {
		*u = usersPerSecond{given: true}
		return nil
	}
	digits, factor := strings.ReplaceAll(text, "_", ""), 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "M": 1e6} {
		if d, ok := strings.CutSuffix(digits, suffix); ok {
			digits, factor = d, f
		}
	}
	v, err := strconv.ParseFloat(digits, 64)
	if n := v * factor; err == nil && n >= 0 && n <= 1e12 && n == float64(int64(n)) {
		*u = usersPerSecond{int64(n), true}
		return nil
	}
	return fmt.Errorf("%q: want %s", text, rateHelp)
}

func newOrder(action grant.Action, use, short string, read func(o *grant.Order, args []string, until string) error) *cobra.Command {
	var flags orderFlags
	var cancel bool
	cmd := &cobra.Command{
		Use: use + " {-f SPEC | --campaign NAME} --why TEXT", Short: short, Long: short + "." + orderHelp + exitHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := whoami(flags.who)
			if err != nil {
				return err
			}
			o := grant.Order{Action: action, Who: who, Via: "cli", Why: flags.why, For: flags.limit}
			if cmd.Flags().Changed("for") && o.For <= 0 {
				return usageError(errors.New("--for: want a time such as 30m or 2h; without it, the order holds until another one"))
			}
			if cancel {
				flags.until = "never mind"
			}
			if read != nil {
				if err := read(&o, args, flags.until); err != nil {
					return usageError(err)
				}
			}
			return flags.execute(cmd, o)
		},
	}
	flags.connection.addFlags(cmd, flags.anyIDs, flags.nameFlag, flags.jsonFlag, flags.redisFlags)
	if flags.topic = action == grant.ActionFinish; flags.topic {
		flags.kafkaFlags(cmd.Flags())
	}
	flags.remote.addFlags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&flags.why, "why", "", "the reason, for the audit trail (required)")
	f.StringVar(&flags.who, "who", "", whoHelp+" With --desk-url the token says it.")
	f.DurationVar(&flags.wait, "wait", 2*status.SilentAfter, "how long to wait for all replicas to obey; 0: not at all")
	if action == grant.ActionPause || action == grant.ActionThrottle {
		f.DurationVar(&flags.limit, "for", 0, "end the order by itself after this time, such as 30m or 2h")
		cmd.Long = short + "." + orderHelp + fmt.Sprintf(forHelp, action) + exitHelp
	}
	if action == grant.ActionThrottle {
		cmd.Args = cobra.ExactArgs(1)
	}
	if action == grant.ActionPostpone {
		f.StringVar(&flags.until, "until", "", "the new start, RFC 3339")
		f.BoolVar(&cancel, "cancel", false, "go back to the spec's starts_at")
		cmd.MarkFlagsOneRequired("until", "cancel")
		cmd.MarkFlagsMutuallyExclusive("until", "cancel")
	}
	return cmd
}

// orderChannel is where orders go: straight to the ledger, or through a desk.
type orderChannel interface {
	Order(ctx context.Context, o grant.Order) (grant.HistoryEntry, error)
	History(ctx context.Context) ([]grant.HistoryEntry, error)
	// Replicas returns what the runs say of themselves; it needs no Kafka.
	Replicas(ctx context.Context) ([]status.Replica, error)
}

// Ordered is what an order's --json prints.
type Ordered struct {
	grant.HistoryEntry
	Campaign string  `json:"campaign"`
	Replicas int     `json:"replicas"` // live ones
	Obey     int     `json:"obey"`     // of them
	Seconds  float64 `json:"seconds"`  // until they did
}

// about returns the campaign of an order. Postponing and finishing need its spec, unless a desk has it.
func (flags *orderFlags) about(ctx context.Context, action grant.Action) (*grant.Campaign, error) {
	if viaDesk := flags.url != ""; viaDesk || action != grant.ActionPostpone && action != grant.ActionFinish {
		return flags.named(ctx, viaDesk)
	}
	return flags.subject(ctx)
}

func (flags *orderFlags) execute(cmd *cobra.Command, o grant.Order) error {
	ctx := cmd.Context()
	camp, err := flags.about(ctx, o.Action)
	if err != nil {
		return err
	}
	channel, closeAll, err := flags.channel(ctx, camp)
	if err != nil {
		return err
	}
	defer closeAll()
	act, err := channel.Order(ctx, o)
	switch {
	case errors.Is(err, grant.ErrRefused):
		return err
	case err != nil && o.Validate() != nil:
		return usageError(o.Validate())
	case err != nil:
		return err
	}
	done := Ordered{HistoryEntry: act, Campaign: camp.Name}
	began := time.Now()
	var behind []string
	if flags.wait > 0 {
		behind, err = done.await(ctx, channel, began.Add(flags.wait))
		done.Seconds = time.Since(began).Seconds()
	}
	if flags.json {
		err = errors.Join(err, printJSON(cmd.OutOrStdout(), done))
	} else {
		printOrdered(cmd.OutOrStdout(), &done, camp.StartsAt.Location(), flags.wait > 0)
	}
	if len(behind) > 0 {
		err = errors.Join(err, fmt.Errorf("ordered, but after %s these do not say that they obey: %s; look at granter status", flags.wait, strings.Join(behind, ", ")))
	}
	return err
}

// await waits until every live replica says that it obeys, and returns those that do not.
func (o *Ordered) await(ctx context.Context, channel orderChannel, until time.Time) (behind []string, err error) {
	for {
		runs, err := channel.Replicas(ctx)
		if err != nil {
			return nil, err
		}
		behind = nil
		o.Replicas, o.Obey = 0, 0
		for i := range runs {
			r := &runs[i]
			if !r.Live {
				continue
			}
			if o.Replicas++; r.Control >= o.After.Version {
				o.Obey++
			} else {
				behind = append(behind, fmt.Sprintf("%s/%d", r.Host, r.PID))
			}
		}
		if len(behind) == 0 || time.Now().After(until) {
			return behind, nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return behind, ctx.Err()
		}
	}
}

func printOrdered(w io.Writer, o *Ordered, zone *time.Location, waited bool) {
	fmt.Fprintf(w, "%s of %s, as ordered by %s: %s\n", o.Action, o.Campaign, oneLine(o.Who), change(&o.HistoryEntry, zone))
	switch {
	case !waited:
	case o.Replicas == 0:
		will := map[grant.Action]string{
			grant.ActionAbort:  "end with exit code 6, or stand by, until granter resume",
			grant.ActionFinish: "end there, until granter resume",
		}[o.Action]
		fmt.Fprintln(w, "no replica runs at the moment; those that start will", cmp.Or(will, "obey"))
	default:
		fmt.Fprintf(w, "%d of %d replicas obey, after %.1f s\n", o.Obey, o.Replicas, o.Seconds)
	}
}

// channel opens the way that orders go.
func (flags *orderFlags) channel(ctx context.Context, camp *grant.Campaign) (orderChannel, func(), error) {
	if flags.remote.url != "" {
		client, err := flags.remote.client(camp.Name)
		if err != nil {
			return nil, nil, err
		}
		return viaDesk{client}, client.Close, nil
	}
	open := flags.queryLedger
	if flags.topic {
		open = flags.query
	}
	q, err := open(ctx, flags.timeout)
	if err != nil {
		return nil, nil, err
	}
	return direct{q}, q.close, nil
}

// direct is the channel for whoever may write to Redis.
type direct struct{ *query }

func (d direct) Order(ctx context.Context, o grant.Order) (grant.HistoryEntry, error) {
	if o.Action == grant.ActionFinish {
		granted, _, err := status.InForce(ctx, d.coordination, d.reader, d.campaign)
		if err != nil {
			return grant.HistoryEntry{}, err
		}
		if err := status.OtherTopic(granted, d.campaign); err != nil {
			return grant.HistoryEntry{}, usageError(err)
		}
		bounds, err := d.source.Bounds(ctx)
		if err != nil {
			return grant.HistoryEntry{}, unreachable(err, d.kafka.Brokers)
		}
		o.Ends = bounds.Ends
		if o.Topic, err = d.source.Identify(ctx); err != nil {
			return grant.HistoryEntry{}, unreachable(err, d.kafka.Brokers)
		}
	}
	return d.coordination.Order(ctx, o)
}

func (d direct) History(ctx context.Context) ([]grant.HistoryEntry, error) {
	return d.coordination.History(ctx)
}

func (d direct) Replicas(ctx context.Context) ([]status.Replica, error) {
	return status.Replicas(ctx, d.coordination)
}
