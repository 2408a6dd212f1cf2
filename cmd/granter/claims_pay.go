package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/payout"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/text"
)

// payFlags are the settings of granter claims pay.
type payFlags struct {
	programmeFlags
	conn            connection
	out, who, topic string
	shape           shapeFlag
	most            int
	again           bool
	every           time.Duration
	told            toldFlags
}

func newClaimsPay() *cobra.Command {
	var flags payFlags
	cmd := &cobra.Command{
		Use:   "pay {--out FILE | --topic TOPIC}",
		Short: "Order what is owed: declare a payout run, reserve the budget, hand the orders to the bank",
		Long: `Pay declares a payout run: it moves claims that are owed money to payment_sent, writes the payments down and
reserves the budget, all in one transaction. Then it writes a file for the bank (CSV, or of the form that --shape
describes), with a key for each payment: the bank takes an order whose key it knows for the same order.
A claim is paid when the bank says so ("granter claims reconcile"), and nothing is ordered again unless the bank gave it back, or
says that it never had it.

When the process dies before the file is written, the payments count as sent: --again writes all orders that the bank has not
answered, with their keys. When the budget does not suffice, nothing is declared.

--topic hands the orders to a Kafka topic instead, which must exist: a JSON object for each, {"kind": "order", "payment": …,
"run", "claim", "bank", "account", "holder", "amount", "sending"}, whose key is the payment's.
What a process that dies has not sent counts as sent:
"granter claims reconcile --topic" asks the bank about it, and it is ordered again when the bank says that it never had it. With
--every there is a run again and again, until it is stopped.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.conn.timeout = 10 * time.Second
	flags.conn.kafkaFlags(cmd.Flags())
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.out, "out", "", "where the file for the bank goes; it must not exist")
	flags.shape.addFlag(f)
	f.StringVar(&flags.topic, "topic", "", "Kafka topic that the bank reads")
	f.DurationVar(&flags.every, "every", 0, "with --topic: declare a run so often, until it is stopped; 0: one")
	f.StringVar(&flags.who, "who", "", whoHelp)
	f.IntVar(&flags.most, "most", 100_000, "how many payments at most")
	f.BoolVar(&flags.again, "again", false, "declare nothing: write what was sent and is not answered, once more")
	flags.told.addFlags(cmd)
	return cmd
}

func (flags *payFlags) execute(cmd *cobra.Command) error {
	who, err := whoami(flags.who)
	if err != nil {
		return err
	}
	switch {
	case (flags.out == "") == (flags.topic == ""):
		return usageError(errors.New("how does the bank get the orders? Say --out FILE, or --topic TOPIC"))
	case flags.topic != "" && flags.again:
		return usageError(
			errors.New("--again is of files: what was sent to a topic is asked about by granter claims reconcile --topic"),
		)
	case flags.topic != "" && flags.shape.path != "":
		return usageError(errors.New("--shape is of files: a topic has JSON"))
	case flags.topic != "":
		return flags.toTopic(cmd, store.Actor{Name: who, Duty: claims.Payer})
	case flags.every != 0:
		return usageError(errors.New("--every goes with --topic: a file is written once"))
	}
	if _, err := os.Lstat(flags.out); !errors.Is(err, os.ErrNotExist) {
		return usageError(fmt.Errorf("--out: %s is there already: a file of orders is not written over", flags.out))
	}
	shape, err := flags.shape.load() // before anything is declared
	if err != nil {
		return err
	}
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		now := time.Now().In(p.Zone)
		by := store.Actor{Name: who, Duty: claims.Payer}
		orders, run, err := flags.orders(ctx, s, p, by, shape, now)
		if err != nil {
			return err
		}
		if len(orders) > 0 {
			err := readsOwners(ctx, s, by, orders) // what cannot be recorded is not written
			if err == nil {
				err = writeOrders(flags.out, shape, orders, now)
			}
			if err != nil {
				return fmt.Errorf("%w (the orders count as sent: write them by --again)", err)
			}
		}
		return flags.say(cmd, orders, run)
	})
}

// atOnce is of how many claims a line of the access log is at most.
const atOnce = 1000

// readsOwners adds to the access log that somebody gets a file which says who owners are, and where their accounts.
func readsOwners(ctx context.Context, s *store.Store, by store.Actor, orders []store.Order) error {
	for part := range slices.Chunk(orders, atOnce) {
		ids := make([]string, len(part))
		for i := range part {
			ids[i] = part[i].Claim
		}
		if err := s.Read(ctx, store.Reading{
			By: by, From: store.CommandLine, What: store.ReadOwner, Why: "orders for the bank, in a file", Claims: ids,
		}); err != nil {
			return err
		}
	}
	return nil
}

// toTopic declares what is owed and hands it to the bank's topic, once or again and again.
func (flags *payFlags) toTopic(cmd *cobra.Command, by store.Actor) error {
	k, err := flags.conn.kafka()
	if err != nil {
		return err
	}
	transport := k.Transport()
	defer transport.CloseIdleConnections()
	return flags.withProgramme(cmd, func(ctx context.Context, s *store.Store, p *claims.Programme) error {
		_, done, err := flags.told.serve(ctx, cmd, s, p, flags.every)
		if err != nil {
			return err
		}
		defer done()
		out := payout.NewTopic(s, k.Brokers, flags.topic, transport)
		defer out.Writer.Close() //nolint:errcheck // every message was waited for
		return repeat(ctx, flags.every, func() error {
			run, err := s.Declare(ctx, p, flags.most, by)
			if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) && flags.every > 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "granter:", err)
				err = nil // nothing was declared: the next run does it
			}
			if err != nil {
				return err
			}
			sent, err := out.Send(ctx, p.Name)
			if err != nil {
				return err
			}
			return flags.sent(cmd, sent, run)
		})
	})
}

func (flags *payFlags) sent(cmd *cobra.Command, sent payout.Sent, run *store.Run) error {
	if flags.json {
		return printJSON(cmd.OutOrStdout(), struct {
			Run *store.Run `json:"run"`
			payout.Sent
			Topic string `json:"topic"`
		}{run, sent, flags.topic})
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s orders of %s won together sent to topic %s\n", text.Number(int64(sent.Orders)),
		text.Number(int64(sent.Net)), flags.topic)
	return nil
}

// orders declares what is owed and hands it over: what the bank's file has no room for is not, so that nothing counts as sent
// that nobody can write.
func (flags *payFlags) orders(
	ctx context.Context, s *store.Store, p *claims.Programme, by store.Actor, shape *payout.Shape, day time.Time,
) (orders []store.Order, run *store.Run, err error) {
	if flags.again {
		orders, err = s.Orders(ctx, p.Name, "sent")
		return orders, nil, err
	}
	if run, err = s.Declare(ctx, p, flags.most, by); err != nil {
		return nil, nil, err
	}
	if orders, err = s.Orders(ctx, p.Name, "declared"); err != nil {
		return nil, nil, err
	}
	if err = shape.WriteOrders(io.Discard, orders, day); err != nil {
		return nil, nil, fmt.Errorf("%w; the payments are declared and not sent: granter claims pay goes on with them", err)
	}
	orders, err = s.HandOver(ctx, p.Name, 0)
	return orders, run, err
}

func (flags *payFlags) say(cmd *cobra.Command, orders []store.Order, run *store.Run) error {
	var sum claims.Won
	for i := range orders {
		sum += orders[i].Net
	}
	if flags.json {
		return printJSON(cmd.OutOrStdout(), struct {
			Run    *store.Run `json:"run"`
			Orders int        `json:"orders"`
			Net    claims.Won `json:"net"`
			File   string     `json:"file,omitempty"`
		}{run, len(orders), sum, flags.out})
	}
	if len(orders) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing is owed that can be paid now: no file was written")
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s orders of %s won together in %s\n", text.Number(int64(len(orders))),
		text.Number(int64(sum)), flags.out)
	return nil
}

// writeOrders writes the bank's file whole or not at all.
func writeOrders(path string, shape *payout.Shape, orders []store.Order, day time.Time) error {
	var out bytes.Buffer
	if err := shape.WriteOrders(&out, orders, day); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".granter-orders-") // only the owner may read it
	if err != nil {
		return err
	}
	_, err = file.Write(out.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// shapeFlag names the form of the bank's files.
type shapeFlag struct{ path string }

func (s *shapeFlag) addFlag(f *pflag.FlagSet) {
	f.StringVar(&s.path, "shape", "", "form of the bank's files, a YAML file such as deploy/programmes/bank-fixed.yaml; "+
		"default: CSV in UTF-8 with a heading")
}

func (s *shapeFlag) load() (*payout.Shape, error) {
	if s.path == "" {
		return payout.Plain(), nil
	}
	shape, err := payout.LoadShape(s.path)
	if err != nil {
		return nil, usageError(err)
	}
	return shape, nil
}
