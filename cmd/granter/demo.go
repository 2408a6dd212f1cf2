//go:build demo

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/campaign"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/engine"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/lookup"
	"github.com/granter/granter/grant/population"
	"github.com/granter/granter/grant/source"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

// demoSpec is the campaign of the demo: that of deploy/campaigns/emoticons.yaml without its dates.
const demoSpec = `campaign: demo-emoticons
title: Three emoticons for every user
starts_at: 2023-01-05T00:00:00+09:00
population: %d
source: {topic: demo-users, id: %s}
items:
  - {id: thank-you-permanent, kind: emoticon, validity: permanent}
  - {id: cheer-up-90d, kind: emoticon, validity: 90d}
  - {id: lets-go-90d, kind: emoticon, validity: 90d}
`

const demoPartitions = 8

func newDemo() *cobra.Command {
	d := demonstration{throttle: usersPerSecond{20_000, true}}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a whole campaign, with Kafka and Redis inside the process",
		Long: `Demo starts an in-process Kafka and Redis, publishes a generated population with duplicates and malformed records,
runs the real granter on it, proves the result, and looks one user up. It needs nothing else. With --keep it audits itself
and leaves the signed report, which granter audit verify and granter receipt check when everything else is gone.

It prints a link to the operations page, which is signed in as an operator. To be watched, it begins slowly, and is released
after --watch, unless an operator has ordered something else by then. Then it serves the page, metrics and lookups until
Ctrl-C, which ends it at any moment with exit code 0.

With --once it does everything at full speed, serves nothing and ends by itself. That is the default when the output is no
terminal, as in CI; --once=false keeps it open there, too.

With --claims it shows damage claims instead: owners report a loss, who they are is asked of fake services, rules and people
decide, a bank with every fault pays, owners are told, and all of it is proven. Then it serves the owner's page and the review
desk, and opens them in a browser (--no-open: it only says where they are). Its database is a file in a folder of its own, which
is deleted at the end.

With --ids uuid the users' IDs are UUIDs; int64 and string are 64-bit numbers of any size, and text.

The in-process servers stand in for real ones: they keep everything in memory, and are not fast.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, terminal := terminal(cmd.OutOrStdout())
			d.once = d.once || d.json || !terminal && !cmd.Flags().Changed("once")
			if err := checkClaimsFlags(cmd, d.claims); err != nil {
				return err
			}
			return d.execute(cmd)
		},
	}
	f := cmd.Flags()
	f.Int64Var(&d.users, "users", 1_000_000, "number of distinct users")
	f.StringVar(&d.ids, "ids", string(grant.IDsDense), "what the users' IDs are: dense, int64, uuid or string")
	f.BoolVar(&d.once, "once", false, "serve nothing, and end after the run; the default when the output is no terminal")
	f.BoolVar(&d.json, "json", false, "print one JSON object for programs; implies --once")
	f.DurationVar(&d.watch, "watch", 30*time.Second, "how long it grants slowly; 0: not at all")
	f.Var(&d.throttle, "throttle", "limit while it grants slowly: "+rateHelp)
	f.StringVar(&d.keep, "keep", "",
		"directory to make, for what an auditor gets: a signed report of an audit, its public key, and receipts of users")
	f.StringVar(&d.desk, "desk", "127.0.0.1:9465", `address of the operations page, or "off"`)
	f.IntVar(&d.claims, "claims", 0, "show damage claims instead, of so many owners; 400 when no number is given")
	f.Lookup("claims").NoOptDefVal = "400"
	f.StringVar(&d.page, "page", "127.0.0.1:9467", "with --claims: address of the owner's page")
	f.BoolVar(&d.noOpen, "no-open", false, "with --claims: print the addresses of its pages, and open them in no browser")
	f.StringVar(&d.listen, "listen", "127.0.0.1:9464", `address of /metrics, /healthz, /readyz and /users/{id}, or "off"`)
	return cmd
}

// demonstration is one granter demo.
type demonstration struct {
	users      int64
	ids        string // source.id
	once, json bool
	watch      time.Duration
	throttle   usersPerSecond
	listen     string
	desk       string
	keep       string
	claims     int
	page       string
	noOpen     bool

	out    io.Writer
	user   grant.UserID // one of them, who is looked up
	link   string       // to the operations page; empty: there is none
	counts population.Counts
}

// Demonstrated is what granter demo --json prints.
type Demonstrated struct {
	Run    *Summary      `json:"run"`
	Proof  *Proof        `json:"proof"`
	Lookup lookup.Answer `json:"lookup"`
}

// execute ends without an error when it is interrupted, at any moment: that is how a demo ends.
func (d *demonstration) execute(cmd *cobra.Command) error {
	ctx, stop := untilSignal(cmd.Context())
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(leaveFor, func() { os.Exit(exitOK) }) })()
	err := d.perform(ctx, cmd)
	if ctx.Err() != nil {
		d.say("\nstopped\n")
		return nil
	}
	return err
}

// leaveFor is how long an interrupted demo may take to end. It has nothing to lose.
const leaveFor = 5 * time.Second

func (d *demonstration) perform(ctx context.Context, cmd *cobra.Command) error {
	d.out = cmd.OutOrStdout()
	if d.claims > 0 {
		c := claimsDemo{n: d.claims, once: d.once, json: d.json, page: d.page, desk: d.desk, noOpen: d.noOpen, out: d.out,
			errs: cmd.ErrOrStderr()}
		return c.perform(ctx)
	}
	camp, err := d.campaign()
	if err != nil {
		return err
	}
	plan := population.Plan{Topic: camp.Input, Users: d.users, Duplicates: 0.01, Malformed: 0.0001, Seed: 1}
	if err := plan.Validate(); err != nil {
		return usageError(err)
	}
	d.counts, d.user = plan.Counts(), grant.NumberID(uint64(d.users/2))
	if camp.Input.Opaque() {
		for d.user = range plan.IDs {
			break
		}
	}
	camp.StartsAt = time.Now().Truncate(time.Second)
	if d.keep != "" {
		if err := d.makeKept(); err != nil {
			return err
		}
	}
	redis, err := miniredis.Run()
	if err != nil {
		return fmt.Errorf("starting the in-process Redis: %w", err)
	}
	defer redis.Close()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(demoPartitions, camp.Input.Topic))
	if err != nil {
		return fmt.Errorf("starting the in-process Kafka: %w", err)
	}
	defer kafka.Close()
	k := source.Kafka{Brokers: kafka.ListenAddrs()}
	if err := d.publish(ctx, k, plan); err != nil {
		return err
	}

	flags := &runFlags{listen: "off", stall: time.Minute, checkpointEvery: 200 * time.Millisecond,
		why: "so that there is something to watch"}
	flags.brokers, flags.redis = k.Brokers, []string{redis.Addr()}
	flags.timeout, flags.retryFor, flags.session = 10*time.Second, time.Minute, 10*time.Second
	client, err := flags.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()
	led, err := openLedger(client, camp, time.Second)
	if err != nil {
		return err
	}
	if !d.once {
		flags.listen = d.listen
		done, err := d.openDesk(&flags.deskFlags)
		if err != nil {
			return err
		}
		defer done()
		if d.slow() {
			flags.throttle = d.throttle
			defer d.releaseLater(ctx, led.coordination)()
		}
	}
	screen := newScreen(cmd.ErrOrStderr())
	j := job{
		campaign: camp, kafka: k, redis: client, flags: flags, screen: screen, pass: grant.Pass{Group: "granter-demo"},
		run: grant.NewRunID(time.Now()), registry: newRegistry(),
		log:        slog.New(slog.NewTextHandler(screen, &slog.HandlerOptions{Level: slog.LevelWarn})),
		embedded:   true,
		serveUsers: func(mux *http.ServeMux) { mux.Handle("GET /users/{id}", lookups(led, camp)) },
		afterRun: func(s *Summary, err error) error {
			return d.show(ctx, led, camp, s, err, func(user grant.UserID) error {
				return d.auditKept(ctx, k, client, led, camp, user)
			})
		},
	}
	_, err = j.execute(ctx)
	return err
}

// campaign is the one that is shown.
func (d *demonstration) campaign() (*grant.Campaign, error) {
	ids := []grant.IDs{grant.IDsDense, grant.IDsInt64, grant.IDsUUID, grant.IDsString}
	if !slices.Contains(ids, grant.IDs(d.ids)) {
		return nil, usageError(fmt.Errorf("--ids %q: want dense, int64, uuid or string", d.ids))
	}
	camp, err := campaign.Parse("demo", fmt.Appendf(nil, demoSpec, max(d.users, 1), d.ids))
	if err == nil && d.keep != "" {
		if err := ledger.Dense(camp, "--keep"); err != nil {
			return nil, usageError(err)
		}
	}
	return camp, err
}

// openDesk lets an operator in, by a link with a token that is as good as the demo lasts.
func (d *demonstration) openDesk(flags *deskFlags) (done func(), err error) {
	if d.desk == "off" {
		return func() {}, nil
	}
	token, line, err := desk.NewToken("you", "operator")
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "granter-demo-access-*")
	if err != nil {
		return nil, fmt.Errorf("the desk's access file: %w", err)
	}
	_, err = fmt.Fprintln(file, line)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("the desk's access file: %w", err)
	}
	flags.desk, flags.access = d.desk, file.Name()
	d.link = "http://" + d.desk + "/#token=" + token
	d.say("watch it, and steer it, on the operations page:\n\n  %s\n\n", d.link)
	if d.slow() {
		d.say("For %s it grants no more than %s users a second. ", d.watch, text.Number(d.throttle.n))
	}
	d.say("Ctrl-C ends it.\n\n")
	return func() { os.Remove(file.Name()) }, nil //nolint:errcheck // it holds a hash, no secret
}

// slow reports whether it grants slowly at first.
func (d *demonstration) slow() bool { return d.watch > 0 && d.throttle.n > 0 }

// releaseLater lifts the throttle of the beginning, unless somebody has ordered something else by then. The function that
// it returns ends that.
func (d *demonstration) releaseLater(ctx context.Context, orders *ledger.Coordination) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		var over <-chan time.Time
		for first := int64(0); ; {
			control, _, err := orders.Control(ctx)
			switch {
			case err != nil || control.Version == 0:
			case over == nil:
				first, over = control.Version, time.After(d.watch)
			case control.Version != first:
				return
			}
			select {
			case <-tick.C:
			case <-over:
				_, err := orders.Order(ctx, grant.Order{
					Action: grant.ActionThrottle, Who: "granter demo", Via: viaLaunch,
					Why: "enough has been seen of it: as fast as it can",
				})
				if err == nil {
					d.say("released\n\n")
				}
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { stop(); wg.Wait() }
}

func (d *demonstration) publish(ctx context.Context, k source.Kafka, plan population.Plan) error {
	transport := k.Transport()
	defer transport.CloseIdleConnections()
	d.say("publishing %s users, %s duplicates and %s malformed records to an in-process Kafka …\n",
		text.Number(d.counts.Distinct), text.Number(d.counts.Repeats), text.Number(d.counts.Malformed))
	loaded, err := population.Publish(ctx, k.Client(transport), plan.Topic, plan.Source(), population.Options{})
	if err != nil {
		return fmt.Errorf("publishing the population: %w", err)
	}
	d.say("published %s records in %.1f s\n\n", text.Number(loaded.Records), loaded.Elapsed.Seconds())
	return nil
}

// say writes for people.
func (d *demonstration) say(format string, args ...any) {
	if !d.json {
		fmt.Fprintf(d.out, format, args...)
	}
}

// show checks and shows what the run did and, unless told otherwise, keeps serving. An operator may have ended it early.
func (d *demonstration) show(
	ctx context.Context, led opened, c *grant.Campaign, s *Summary, err error, audit func(user grant.UserID) error,
) error {
	if err != nil && !errors.Is(err, engine.ErrAborted) {
		return err
	}
	control, _, err := led.coordination.Control(ctx)
	if err != nil {
		return err
	}
	early := control.Abort > 0 || control.Finish != nil
	if !early && (s.Granted != d.counts.Distinct || s.Tally.Rejected != d.counts.Malformed) {
		return fmt.Errorf("granted %d of %d users and rejected %d of %d malformed records",
			s.Granted, d.counts.Distinct, s.Tally.Rejected, d.counts.Malformed)
	}
	proof, err := led.reader.Prove(ctx)
	if err != nil {
		return err
	}
	user := d.user
	answer, err := lookUp(ctx, led, c, user)
	if err != nil {
		return err
	}
	if d.json && d.keep != "" {
		if err := audit(user); err != nil {
			return err
		}
	}
	shown := Demonstrated{Run: s, Proof: newProof(&proof), Lookup: answer}
	if d.json {
		return printJSON(d.out, shown)
	}
	printSummary(d.out, s)
	printProof(d.out, shown.Proof)
	fmt.Fprintln(d.out)
	printAnswer(d.out, &shown.Lookup)
	if d.keep != "" {
		if err := audit(user); err != nil {
			return err
		}
	}
	if d.once || d.listen == "off" {
		return nil
	}
	fmt.Fprintf(d.out, "\nserving until Ctrl-C:\n  http://%[1]s/metrics\n  http://%[1]s/users/%[2]s\n", d.listen, user)
	if d.desk != "off" {
		fmt.Fprintf(d.out, "  http://%s/ (the operations page; its token is above)\n", d.desk)
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	<-ctx.Done()
	return nil
}

func lookUp(ctx context.Context, led opened, c *grant.Campaign, user grant.UserID) (lookup.Answer, error) {
	subject := &lookup.Subject{Campaign: c, Coordination: led.coordination, Reader: led.reader}
	answers, err := lookup.Look(ctx, subject, []grant.UserID{user})
	if err != nil {
		return lookup.Answer{}, err
	}
	return answers[0], nil
}

// lookups answers GET /users/{id}.
func lookups(led opened, c *grant.Campaign) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form := userid.FormOf(&c.Input)
		user, err := form.Parse(r.PathValue("id"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := lookUp(r.Context(), led, c, user)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if !answer.Granted {
			w.WriteHeader(http.StatusNotFound)
		}
		json.NewEncoder(w).Encode(answer) //nolint:errcheck // the client went away
	})
}
