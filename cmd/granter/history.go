package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/text"
)

func newHistory() *cobra.Command {
	var flags orderFlags
	cmd := &cobra.Command{
		Use:   "history {-f SPEC | --campaign NAME}",
		Short: "Print the audit trail: who ordered what, when and why, and what was refused",
		Long: `History prints every order of operators that was carried out or came to its end, and the last that were refused, oldest
first: of each who was refused a hundred, and about a thousand in all. Times are those of Redis's clock, in the zone of the campaign's dates.

` + exitHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			camp, err := flags.named(cmd.Context(), flags.url != "")
			if err != nil {
				return err
			}
			channel, closeAll, err := flags.channel(cmd.Context(), camp)
			if err != nil {
				return err
			}
			defer closeAll()
			acts, err := channel.History(cmd.Context())
			if err != nil {
				return err
			}
			if flags.json {
				return printJSON(cmd.OutOrStdout(), struct {
					Campaign string               `json:"campaign"`
					Acts     []grant.HistoryEntry `json:"acts"`
				}{camp.Name, acts})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", camp.Name, cmp.Or(camp.Title, "audit trail"))
			printHistory(cmd.OutOrStdout(), acts, camp.StartsAt.Location())
			return nil
		},
	}
	flags.connection.addFlags(cmd, flags.anyIDs, flags.nameFlag, flags.jsonFlag, flags.redisFlags)
	flags.remote.addFlags(cmd.Flags())
	return cmd
}

func printHistory(w io.Writer, acts []grant.HistoryEntry, zone *time.Location) {
	if len(acts) == 0 {
		fmt.Fprintln(w, "nobody has ordered anything")
		return
	}
	rows := []string{"when\twho\tvia\twhat\tchange\twhy"}
	for i := range acts {
		a := &acts[i]
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", text.Moment(a.At.In(zone)), oneLine(a.Who), oneLine(a.Via), oneLine(string(a.Action)), oneLine(change(a, zone)), oneLine(a.Why)))
	}
	table(w, rows...)
}

// oneLine keeps what people typed from breaking the table, or the terminal.
func oneLine(text string) string {
	quoted := strconv.Quote(text)
	if quoted == `"`+text+`"` {
		return text
	}
	return quoted
}

// change says what an act changed, with times in a zone.
func change(a *grant.HistoryEntry, zone *time.Location) string {
	if a.Refused != "" {
		return "REFUSED: " + a.Refused
	}
	switch {
	case a.Acted != nil && (a.Action == grant.ActionAct || a.Action == grant.ActionTake):
		return acted(a.Acted)
	case a.Acted != nil:
		return fmt.Sprintf("%s of %s users (request %s)", a.Acted.Kind, text.Number(int64(a.Acted.Users)), a.Acted.Request)
	}
	if a.Action == grant.ActionPurge {
		return purged(a.Purged)
	}
	if a.Before == nil || a.After == nil {
		return ""
	}
	if a.Unchanged() {
		return "nothing: " + unchanged(a)
	}
	switch a.Action {
	case grant.ActionPause:
		return "paused" + until(a.After.PausedBy, zone)
	case grant.ActionResume:
		return resumed(a.Before, a.After)
	case grant.ActionThrottle:
		return limit(a.Before.Throttle) + " → " + limit(a.After.Throttle) + until(a.After.ThrottledBy, zone)
	case grant.ActionExpire:
		if a.Before.Paused && !a.After.Paused {
			return "paused → goes on"
		}
		return limit(a.Before.Throttle) + " → " + limit(a.After.Throttle)
	case grant.ActionAbort:
		return "runs end, with a checkpoint, and nobody is granted anything until resume"
	case grant.ActionFinish:
		return "runs end when what was in the topic then is granted, until resume"
	case grant.ActionPostpone:
		if a.After.StartsAt == nil {
			return "starts at the spec's starts_at again"
		}
		return "starts at " + a.After.StartsAt.Format(time.RFC3339)
	case grant.ActionStartEarly:
		return "started before its date"
	case grant.ActionForce:
		return "run although preflight failed"
	case grant.ActionNewTopic:
		return "began anew at the first record of the topic"
	case grant.ActionExport:
		return "the ledger was copied to a file"
	case grant.ActionImport:
		return "the ledger was made of a file"
	case grant.ActionReconcile:
		return "users whom an audit missed were granted"
	case grant.ActionRebuild:
		return "the ledger is made again of the topic"
	case grant.ActionReplay:
		return "rejected records were repaired and replayed"
	case grant.ActionAct, grant.ActionTake, grant.ActionPropose, grant.ActionApprove, grant.ActionReject, grant.ActionPurge:
	}
	return ""
}

// purged says what was removed. The digests are in --json.
func purged(classes []grant.Purged) string {
	var parts []string
	for _, c := range classes {
		parts = append(parts, c.Class+": "+text.Number(c.Records))
	}
	return "records removed: " + strings.Join(parts, ", ")
}

// acted sums up what was done about users.
func acted(a *grant.Acted) string {
	if a.Topic != "" {
		return "takes of topic " + oneLine(a.Topic) + " (run " + a.Request + ")"
	}
	what, request := "users", "request"
	if a.Kind == grant.ActKind(grant.ActionTake) {
		what, request = "items", "run"
	}
	parts := []string{fmt.Sprintf("%s: %s of %s %s", a.Kind, text.Number(int64(a.Done)), text.Number(int64(a.Users)), what)}
	for _, part := range []struct {
		n    int
		what string
	}{{a.Unchanged, "unchanged"}, {a.Refused, "refused"}, {a.Untried, "not tried"}} {
		if part.n > 0 {
			parts = append(parts, text.Number(int64(part.n))+" "+part.what)
		}
	}
	return strings.Join(parts, ", ") + " (" + request + " " + a.Request + ")"
}

// until says when an order ends by itself.
func until(by *grant.Given, zone *time.Location) string {
	if by == nil || by.Until.IsZero() {
		return ""
	}
	return " until " + text.Moment(by.Until.In(zone))
}

// unchanged says why an order had nothing to change.
func unchanged(a *grant.HistoryEntry) string {
	switch a.Action {
	case grant.ActionPause:
		return "it was paused"
	case grant.ActionResume:
		return "it was neither paused nor aborted nor ordered to finish"
	case grant.ActionThrottle:
		return "the limit was " + limit(a.Before.Throttle)
	case grant.ActionAbort:
		return "it was aborted"
	case grant.ActionFinish:
		return "it was ordered to finish there"
	default:
		return "it was so"
	}
}

// resumed says what resume took back.
func resumed(before, after *grant.Control) string {
	var was []string
	if before.AbortedBy != nil {
		was = append(was, "aborted")
	}
	if before.Paused {
		was = append(was, "paused")
	}
	if before.Finish != nil && after.Finish == nil {
		was = append(was, "ordered to finish")
	}
	out := strings.Join(was, " and ") + " → goes on"
	if after.Finish != nil {
		out += ", up to where it was ordered to finish"
	}
	return out
}

func limit(usersPerSecond int64) string {
	if usersPerSecond == 0 {
		return "no limit"
	}
	return text.Number(usersPerSecond) + " users/s"
}
