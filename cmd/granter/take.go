package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/userid"
)

// takeRows is how many rows of a file go to the ledger at once: of 48 million users about 700 to a chunk, because many of a
// chunk cost Redis less each. They take about 100 MB.
const takeRows = 1 << 19

type takeFlags struct {
	connection
	takeTopicFlags
	items    []string
	file     string // of CSV
	who, why string
}

func newTake() *cobra.Command {
	var c takeFlags
	cmd := &cobra.Command{
		Use:   "take {-f SPEC | --campaign NAME} {USER... | --csv FILE | --topic TOPIC}",
		Short: "Have users take what they were offered",
		Long: `Take has users take items that their campaign offers (validity from: taken): once, and exactly. Whoever has an item
already is told since when. An item is refused to whom the campaign was not granted, or not any more, after its take_until, and
when others took the last of its first.

--csv reads rows, USER or USER,ITEM, and - is the standard input; a row without an item is for all items that
--item names, or else for all that users take. The answer is the same rows as CSV, each with an outcome and the moment of the
taking. A row that cannot be read is answered as malformed, and the others count. It can be done again at any time.

--topic reads records of a Kafka topic, a JSON object each, and goes on until it is stopped; with --once it ends when
what is there is settled. "user" is an ID, as the campaign's source.id has it; "item" may be left out, as in a row; other
fields, such as an ID or a time of the request, are left alone. Several processes share the partitions. How far the topic
is read is in the ledger, and moves on behind what it has taken: whoever is killed, and also where Redis loses its last
writes, each record counts, once. What is refused, or cannot be read, goes to a dead-letter topic (TOPIC.rejected) with the
reason, in the form of a run's; once there are too many of the latter (max_rejected of the spec), it stops. take_until is
judged by Redis's clock when a record is read.

The audit trail has a line for each command: who had how many users take something, and why (--why). The journals of takes have
the command's ID with each user.

` + exitHelp,
		Example: `  granter take -f deploy/campaigns/emoticons.yaml --item cheer-up-90d 12345678
  granter take --campaign sorry-2022 --csv takes.csv --why "SUP-77: the app was down" > outcomes.csv
  granter take --campaign sorry-2022 --topic emoticon-takes`,
		RunE: c.execute,
	}
	c.addFlags(cmd, c.anyIDs, c.nameFlag, c.kafkaFlags, c.redisFlags, c.retryFlag, c.topicFlags)
	cmd.Flags().StringArrayVar(&c.items, "item", nil, "ID of the item to take (repeatable; default: all that users take)")
	cmd.Flags().StringVar(&c.file, "csv", "", "file of the users, - for the standard input")
	cmd.Flags().StringVar(&c.why, "why", "", "the reason, for the audit trail")
	cmd.Flags().StringVar(&c.who, "who", "", whoHelp)
	return cmd
}

func (c *takeFlags) execute(cmd *cobra.Command, args []string) error {
	ways := 0
	for _, given := range []bool{len(args) > 0, c.file != "", c.topic != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return usageError(errors.New("who takes it? Give one or more user IDs, or --csv FILE, or --topic TOPIC"))
	}
	if _, err := whoami(c.who); err != nil {
		return err
	}
	camp, err := c.subject(cmd.Context())
	if err != nil {
		return err
	}
	client, err := c.redisClient()
	if err != nil {
		return err
	}
	defer client.Close()
	led, err := openWith(client, camp, c.patiently(c.retryFor))
	if err != nil {
		return err
	}
	camp, differs, err := status.InForce(cmd.Context(), led.coordination, led.reader, camp)
	if err != nil {
		return err
	}
	if differs != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "granter: %s:\n%s\n", differs, differs.Fields)
	}
	items, err := itemsOf(camp, c.items)
	if err != nil {
		return usageError(err)
	}
	store, err := ledger.Open(client, camp, c.patiently(c.retryFor))
	if err != nil {
		return err
	}
	if c.topic != "" {
		return c.takeTopic(cmd, camp, items, led, store)
	}
	return c.takeRows(cmd, args, camp, items, led, store)
}

// takeRows takes as arguments or a file say.
func (c *takeFlags) takeRows(
	cmd *cobra.Command, args []string, camp *grant.Campaign, items []int, led opened, store *ledger.Store,
) error {
	run := grant.NewRunID(time.Now())
	t := taker{
		campaign: camp, form: userid.FormOf(&camp.Input), takes: ledger.NewTakes(store, run), items: items,
		counts: map[grant.Outcome]int64{},
	}
	rows, closeFile, err := c.rows(args, cmd.InOrStdin())
	if err != nil {
		return usageError(err)
	}
	defer closeFile()
	takeErr := t.takeAll(cmd.Context(), rows, cmd.OutOrStdout())
	if err := errors.Join(takeErr, c.record(cmd.Context(), led, t.acted(run))); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "granter: "+sumOf(t.counts))
	if t.refused() {
		return &exitError{code: exitNotGranted}
	}
	return nil
}

// record adds the command to the audit trail: one of a file or of single users at its end, one of a topic at its start.
func (c *takeFlags) record(ctx context.Context, led opened, acted grant.Acted) error {
	who, err := whoami(c.who)
	if err != nil {
		return err
	}
	acted.Kind = grant.ActKind(grant.ActionTake)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.retryFor)
	defer cancel()
	return led.coordination.Record(ctx, grant.HistoryEntry{
		Action: grant.ActionTake, Who: who, Via: "cli", Why: c.why, Acted: &acted,
	})
}

// rows returns the users and items that are meant.
func (c *takeFlags) rows(args []string, stdin io.Reader) (rows func() ([]string, error), closeFile func(), err error) {
	if c.file == "" {
		return func() ([]string, error) {
			if len(args) == 0 {
				return nil, io.EOF
			}
			row := args[:1]
			args = args[1:]
			return row, nil
		}, func() {}, nil
	}
	in, closeFile := stdin, func() {}
	if c.file != "-" {
		file, err := os.Open(c.file)
		if err != nil {
			return nil, nil, fmt.Errorf("--csv: %w", err)
		}
		in, closeFile = file, func() { file.Close() }
	}
	r := csv.NewReader(in)
	r.FieldsPerRecord = -1
	first := true
	return func() ([]string, error) {
		row, err := r.Read()
		if first && len(row) > 0 {
			row[0] = strings.TrimPrefix(row[0], "\ufeff") // of some spreadsheets
			if first = false; strings.EqualFold(row[0], "user") {
				return r.Read()
			}
		}
		return row, err
	}, closeFile, nil
}

// itemsOf returns the indices of items by their IDs; of all that users take, if there are no IDs.
func itemsOf(c *grant.Campaign, ids []string) (out []int, err error) {
	if !c.Offers() {
		return nil, fmt.Errorf("%s has no item that users take: its users have them with the grant", c.Name)
	}
	for i := range c.Items {
		if item := &c.Items[i]; item.Offered() && (len(ids) == 0 || slices.Contains(ids, item.ID)) {
			out = append(out, i)
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(out, func(i int) bool { return c.Items[i].ID == id }) {
			return nil, fmt.Errorf("%s has no item %s that users take", c.Name, id)
		}
	}
	return out, nil
}

// outcomeMalformed is what became of a row that is none.
const outcomeMalformed grant.Outcome = "malformed"

// taker has the users of rows take items.
type taker struct {
	campaign *grant.Campaign
	form     userid.Form
	takes    *ledger.Takes
	items    []int
	counts   map[grant.Outcome]int64
}

// row is a row of the answer.
type row struct {
	cells  []string    // user and item as they were given
	wish   ledger.Take // unless reason says that there is none
	reason string
}

func (t *taker) takeAll(ctx context.Context, next func() ([]string, error), w io.Writer) error {
	buffered := bufio.NewWriter(w)
	out := csv.NewWriter(buffered)
	if err := out.Write([]string{"user", "item", "outcome", "taken_at"}); err != nil {
		return err
	}
	var rows []row
	for done := false; !done; {
		cells, err := next()
		bad, malformed := errors.AsType[*csv.ParseError](err)
		switch {
		case errors.Is(err, io.EOF):
			done = true
		case malformed:
			rows = append(rows, row{cells: []string{"", ""}, reason: fmt.Sprintf("line %d: %v", bad.Line, bad.Err)})
		case err != nil:
			return err
		default:
			rows = t.add(rows, cells)
		}
		if len(rows) < takeRows && !done {
			continue
		}
		if err := t.take(ctx, rows, out); err != nil {
			return err
		}
		rows = rows[:0]
	}
	out.Flush()
	return errors.Join(out.Error(), buffered.Flush())
}

// add reads a row, which is for one item or for all.
func (t *taker) add(rows []row, cells []string) []row {
	malformed := func(item, why string) []row {
		return append(rows, row{cells: []string{cells[0], item}, reason: why})
	}
	text := cells[0]
	if !t.form.Spaced() {
		text = strings.TrimSpace(text)
	}
	user, err := t.form.Parse(text)
	if err != nil {
		return malformed("", err.Error())
	}
	if len(cells) > 1 && strings.TrimSpace(cells[1]) != "" {
		id := strings.TrimSpace(cells[1])
		items, err := itemsOf(t.campaign, []string{id})
		if err != nil {
			return malformed(id, err.Error())
		}
		return append(rows, row{cells: []string{cells[0], id}, wish: ledger.Take{User: user, Item: items[0]}})
	}
	for _, item := range t.items {
		rows = append(rows, row{cells: []string{cells[0], t.campaign.Items[item].ID}, wish: ledger.Take{User: user, Item: item}})
	}
	return rows
}

// take has the users of some rows take their items, and writes the answers.
func (t *taker) take(ctx context.Context, rows []row, out *csv.Writer) error {
	var wishes []ledger.Take
	for i := range rows {
		if rows[i].reason == "" {
			wishes = append(wishes, rows[i].wish)
		}
	}
	taken, err := t.takes.Take(ctx, t.campaign, wishes)
	if err != nil {
		return err
	}
	for i := range rows {
		outcome, last := outcomeMalformed, rows[i].reason
		if rows[i].reason == "" {
			outcome, last = taken[0].Outcome, ""
			if at := taken[0].At; !at.IsZero() {
				last = at.In(t.campaign.StartsAt.Location()).Format("2006-01-02T15:04:05.000Z07:00")
			}
			taken = taken[1:]
		}
		t.counts[outcome]++
		if err := out.Write([]string{rows[i].cells[0], rows[i].cells[1], string(outcome), last}); err != nil {
			return err
		}
	}
	return nil
}

// acted sums up for the audit trail.
func (t *taker) acted(run grant.RunID) grant.Acted {
	a := grant.Acted{Request: run.String()}
	for outcome, n := range t.counts {
		a.Users += int(n)
		switch outcome {
		case grant.OutcomeTaken:
			a.Done += int(n)
		case grant.OutcomeAlready:
			a.Unchanged += int(n)
		default:
			a.Refused += int(n)
		}
	}
	return a
}

// refused reports whether somebody did not get what was asked for.
func (t *taker) refused() bool {
	for outcome, n := range t.counts {
		if n > 0 && !outcome.Has() {
			return true
		}
	}
	return false
}
