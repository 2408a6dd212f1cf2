package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant/claims"
	"github.com/granter/granter/grant/claims/payout"
	"github.com/granter/granter/grant/claims/store"
	"github.com/granter/granter/grant/strict"
	"github.com/granter/granter/grant/text"
)

// payFlags are the settings of granter claims pay.
type payFlags struct {
	claimsFlags
	name, out, who string
	most           int
	again          bool
}

func newClaimsPay() *cobra.Command {
	var flags payFlags
	cmd := &cobra.Command{
		Use:   "pay --out FILE",
		Short: "Order what is owed: declare a payout run, reserve the budget, write the bank's file",
		Long: `Pay declares a payout run: it moves claims that are owed money to payment_sent, writes the payments down and
reserves the budget, all in one transaction. Then it writes a CSV file for the bank, with a key for each payment: the bank
takes an order whose key it knows for the same order. A claim is paid when the bank says so ("granter claims reconcile"), and
nothing is ordered again unless the bank gave it back, or says that it never had it.

When the process dies before the file is written, the payments count as sent: --again writes all orders that the bank has not
answered, with their keys. When the budget does not suffice, nothing is declared.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.execute(cmd) },
	}
	flags.addFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.name, "name", "", "name of the programme, when the database has several")
	f.StringVar(&flags.out, "out", "", "where the file for the bank goes; it must not exist (required)")
	f.StringVar(&flags.who, "who", "", whoHelp)
	f.IntVar(&flags.most, "most", 100_000, "how many payments at most")
	f.BoolVar(&flags.again, "again", false, "declare nothing: write what was sent and is not answered, once more")
	return cmd
}

func (flags *payFlags) execute(cmd *cobra.Command) error {
	who, err := whoami(flags.who)
	if err != nil {
		return err
	}
	if flags.out == "" {
		return usageError(errors.New("--out: say where the file for the bank goes"))
	}
	if _, err := os.Lstat(flags.out); !errors.Is(err, os.ErrNotExist) {
		return usageError(fmt.Errorf("--out: %s is there already: a file of orders is not written over", flags.out))
	}
	return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
		p, err := s.Programme(ctx, flags.name)
		if err != nil {
			return usageError(err)
		}
		orders, run, err := flags.orders(ctx, s, p, store.Actor{Name: who, Duty: claims.Payer})
		if err != nil {
			return err
		}
		if len(orders) > 0 {
			if err := writeOrders(flags.out, orders); err != nil {
				return fmt.Errorf("%w (the orders count as sent: write them by --again)", err)
			}
		}
		return flags.say(cmd, orders, run)
	})
}

func (flags *payFlags) orders(
	ctx context.Context, s *store.Store, p *claims.Programme, by store.Actor,
) (orders []store.Order, run *store.Run, err error) {
	if flags.again {
		orders, err = s.Orders(ctx, p.Name, "sent")
		return orders, nil, err
	}
	if run, err = s.Declare(ctx, p, flags.most, by); err != nil {
		return nil, nil, err
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
func writeOrders(path string, orders []store.Order) error {
	var out bytes.Buffer
	if err := payout.WriteOrders(&out, orders); err != nil {
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

func newClaimsReconcile() *cobra.Command {
	var flags claimsFlags
	var name string
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "reconcile [STATEMENT]",
		Short: "Take in what the bank says, and say how the money stands, to the won",
		Long: `STATEMENT is the bank's, a CSV file with the columns reference, payment, status (settled, returned, unknown,
not_found), amount and reason. Each line is taken once, by its reference. A payment in parts is settled when the sum is
there; one that came back returns its claim, which is paid again when the account was verified again, three times at most;
one that the bank never had is ordered again with the same key. What does not fit (another amount, a settlement of what came
back) changes nothing and is listed as a doubt, for a person.

Without a statement it only reports: what is reserved, settled and owed, by the books and by the payments, and which payments
the bank should be asked about. Exit code 1: there are doubts, or sums that do not agree.

` + exitHelp,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var answers []store.Answer
			if len(args) == 1 {
				var err error
				if answers, err = readStatement(args[0]); err != nil {
					return usageError(fmt.Errorf("%s:\n%w", args[0], err))
				}
			}
			return flags.within(cmd, false, func(ctx context.Context, s *store.Store) error {
				p, err := s.Programme(ctx, name)
				if err != nil {
					return usageError(err)
				}
				effects, err := s.Answers(ctx, answers, nil)
				if err != nil {
					return err
				}
				books, err := s.Books(ctx, p.Name, within)
				if err != nil {
					return err
				}
				return flags.reconciled(cmd, effects, books)
			})
		},
	}
	flags.addFlags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the programme, when the database has several")
	cmd.Flags().DurationVar(&within, "within", 24*time.Hour, "how long the bank may take before it is to be asked about a "+
		"payment")
	return cmd
}

func readStatement(path string) ([]store.Answer, error) {
	const most = 64 << 20
	data, err := strict.ReadFile(path, most)
	if err != nil {
		return nil, err
	}
	if len(data) > most {
		return nil, fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return payout.ReadStatement(bytes.NewReader(data))
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
	for _, id := range b.Unanswered {
		fmt.Fprintf(w, "ask the bank about %s\n", id)
	}
	for _, d := range b.Doubts {
		fmt.Fprintf(w, "DOUBT payment %s, answer %s: %s\n", d.Payment, d.Answer, d.What)
	}
	for _, wrong := range b.Wrong {
		fmt.Fprintf(w, "WRONG %s\n", wrong)
	}
}
