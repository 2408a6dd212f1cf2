package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/payout"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/strict"
	"github.com/granter/granter/grant/text"
)

// bankFlags are the settings of granter claims reconcile.
type bankFlags struct {
	programmeFlags
	feed     feedFlags
	shape    shapeFlag
	ask      string
	patience time.Duration
}

func newClaimsReconcile() *cobra.Command {
	var flags bankFlags
	cmd := &cobra.Command{
		Use:   "reconcile [STATEMENT | --topic TOPIC]",
		Short: "Take in what the bank says, and say how the money stands, to the won",
		Long: `STATEMENT is the bank's, a file of the form that --shape describes; without it CSV with the columns reference,
payment, status (accepted, settled, returned, unknown, not_found), amount, reason and sending. Each line is taken once, by its
reference. A payment in parts is settled when the sum is there; one that came back returns its claim, which is paid again when
the account was verified again, three times at most; one that the bank never had is ordered again with the same
key. That counts for the sending (a number that the
order had) that the bank was asked about: of an order that was sent more than once, not_found without it is a doubt. What does not
fit (another amount, a settlement of what came back) changes nothing and is listed as a doubt, for a person.

--topic reads the bank's answers from a Kafka topic: JSON objects with id (the answer's own), payment, status, amount and
reason. What is none goes to a dead-letter topic (TOPIC.rejected). It goes on until it is stopped, with --once
until it has what is there, and
with --ask TOPIC asks in the topic of orders about each payment that was not answered within --within: {"kind": "query",
"payment": …, "sending": …}, behind its order; the bank's answer has the same sending. What is unknown is
asked about again, and never sent again.

Without either it only reports: what is reserved, settled and owed, by the books and by the payments, and which payments
the bank should be asked about. Exit code 1: there are doubts, or sums that do not agree.

` + exitHelp,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case flags.shape.path != "" && len(args) == 0:
				return usageError(errors.New("--shape is of a STATEMENT: a topic has JSON"))
			case flags.feed.topic != "" && len(args) > 0:
				return usageError(errors.New("what the bank says is in a STATEMENT or in a --topic, one at a time"))
			case flags.feed.topic != "":
				return flags.fromTopic(cmd)
			case flags.ask != "":
				return usageError(errors.New("--ask goes with --topic, which has the answers"))
			}
			var answers []store.Answer
			if len(args) == 1 {
				shape, err := flags.shape.load()
				if err != nil {
					return err
				}
				if answers, err = readStatement(args[0], shape); err != nil {
					return usageError(fmt.Errorf("%s:\n%w", args[0], err))
				}
			}
			return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
				effects, err := s.Answers(ctx, answers, nil)
				if err != nil {
					return err
				}
				return flags.report(ctx, cmd, s, p, effects)
			})
		},
	}
	flags.addFlags(cmd)
	flags.feed.addFeedFlags(cmd.Flags())
	cmd.Flags().StringVar(&flags.feed.topic, "topic", "", "Kafka topic of the bank's answers")
	flags.shape.addFlag(cmd.Flags())
	cmd.Flags().StringVar(&flags.ask, "ask", "", "with --topic: topic of orders, in which the bank is asked about payments")
	cmd.Flags().
		DurationVar(&flags.patience, "within", 24*time.Hour, "how long the bank may take before it is to be asked about a "+
			"payment")
	return cmd
}

func readStatement(path string, shape *payout.Shape) ([]store.Answer, error) {
	const most = 64 << 20
	data, err := strict.ReadFile(path, most)
	if err != nil {
		return nil, err
	}
	if len(data) > most {
		return nil, fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return shape.ReadStatement(bytes.NewReader(data))
}

// report says how the money stands.
func (c *bankFlags) report(
	ctx context.Context, cmd *cobra.Command, s *store.Store, p *claims.Programme, effects []store.Effect,
) error {
	books, err := s.Books(ctx, p.Name, c.patience)
	if err != nil {
		return err
	}
	return c.reconciled(cmd, effects, books)
}

// fromTopic takes the bank's answers from a topic, and asks it about what it has not answered.
func (c *bankFlags) fromTopic(cmd *cobra.Command) error {
	return c.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		from, counts, log, done, err := c.feed.openFeed(cmd, s, p, feeding{"answers", payout.TopicReasons()})
		if err != nil {
			return err
		}
		defer done()
		var effects []store.Effect
		topic := newFeed[store.Answer](&c.feed, s, from, counts, log)
		topic.Read = payout.ReadRecord
		topic.Commit = payout.Take(s, func(list []store.Effect) {
			if c.feed.once {
				effects = append(effects, list...)
			}
		})
		asking, stop := errgroup.WithContext(ctx)
		asking.Go(func() error { return c.askBank(stop, s, p, log) })
		asking.Go(func() error {
			if err := topic.Run(stop); err != nil || !c.feed.once {
				return err
			}
			return errAnswered
		})
		err = asking.Wait()
		if !errors.Is(err, errAnswered) {
			return c.feed.ended(err)
		}
		return c.report(ctx, cmd, s, p, effects)
	})
}

// errAnswered ends the asking.
var errAnswered = errors.New("all answers are taken in")

// askEvery is how often it is looked whom the bank has not answered about.
const askEvery = time.Second

func (c *bankFlags) askBank(ctx context.Context, s *store.Store, p *claims.Programme, log *slog.Logger) error {
	if c.ask == "" {
		return nil
	}
	k, err := c.feed.conn.kafka()
	if err != nil {
		return err
	}
	transport := k.Transport()
	defer transport.CloseIdleConnections()
	out := payout.NewTopic(s, k.Brokers, c.ask, transport)
	defer out.Writer.Close() //nolint:errcheck // every message was waited for
	for {
		asked, err := out.Ask(ctx, p.Name, c.patience)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case asked > 0:
			log.Info("the bank is asked about payments that it has not answered", "payments", asked)
		}
		if c.feed.once {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(askEvery):
		}
	}
}

func (c *claimsFlags) reconciled(cmd *cobra.Command, effects []store.Effect, b *store.Books) error {
	counts := map[store.Effect]int{}
	for _, e := range effects {
		counts[e]++
	}
	if c.json {
		if err := printJSON(cmd.OutOrStdout(), struct {
			Answers map[store.Effect]int `json:"answers"`
			*store.Books
		}{counts, b}); err != nil {
			return err
		}
	} else {
		printBooks(cmd.OutOrStdout(), counts, b)
	}
	if n := len(b.Doubts) + len(b.Wrong); n > 0 {
		return fmt.Errorf("%d doubts or sums that do not agree: a person must look", n)
	}
	return nil
}

func printBooks(w io.Writer, counts map[store.Effect]int, b *store.Books) {
	won := func(a claims.Won) string { return text.Number(int64(a)) + " won" }
	fmt.Fprintf(w, "answers: %d applied, %d repeated, %d to wait for, %d doubtful\n\n", counts[store.Applied],
		counts[store.Repeated],
		counts[store.Waiting], counts[store.Doubtful])
	fmt.Fprintf(w, "budget %s: settled %s, reserved %s; owed and not under way %s\n\n", won(b.Budget), won(b.Settled),
		won(b.Reserved),
		won(b.Owed))
	rows := []string{"payments\tcount\tgross\tnet"}
	for _, state := range []string{"declared", "sent", "settled", "returned"} {
		sum := b.States[state]
		rows = append(rows, fmt.Sprintf("%s\t%d\t%s\t%s", state, sum.Payments, text.Number(int64(sum.Gross)),
			text.Number(int64(sum.Net))))
	}
	table(w, rows...)
	for _, q := range b.Unanswered {
		fmt.Fprintf(w, "ask the bank about %s, sending %d\n", q.Payment, q.Sending)
	}
	for _, d := range b.Doubts {
		fmt.Fprintf(w, "DOUBT payment %s, answer %s: %s\n", d.Payment, d.Answer, d.What)
	}
	for _, wrong := range b.Wrong {
		fmt.Fprintf(w, "WRONG %s\n", wrong)
	}
}
