package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/granter/granter/grant"
	"github.com/granter/granter/grant/desk"
	"github.com/granter/granter/grant/ledger"
	"github.com/granter/granter/grant/status"
	"github.com/granter/granter/grant/text"
	"github.com/granter/granter/grant/userid"
)

func newVerify() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "verify {-f SPEC | --campaign NAME} USER...|-",
		Short: "Say whether users have been granted the campaign, when, and until when",
		Long: `Verify answers the question of support for one or more users: granted or not, when, by which run and flush, from which
records of the topic, and until when each item is valid. Instead of users, - reads them from the standard input, one ID a
line: ten thousand take about a second.

A flush journals the users of many records at once, so it is known that the user's record is one of those, not which.

` + exitHelp,
		Example: `  granter verify -f deploy/campaigns/emoticons.yaml 12345678
  granter verify --campaign sorry-2022 12345678
  granter verify -f deploy/campaigns/emoticons.yaml --json - < users.txt | jq '.[] | select(.granted | not).user'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(errors.New("which user? Give one or more user IDs, or - to read them from the standard input"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			camp, err := c.subject(cmd.Context())
			if err != nil {
				return err
			}
			users, err := userIDs(cmd.Context(), args, cmd.InOrStdin()) // before anybody is asked
			if err != nil {
				return err
			}
			client, err := c.redisClient()
			if err != nil {
				return err
			}
			defer client.Close()
			led, err := openLedger(client, camp, c.timeout)
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
			for _, user := range users {
				if _, err := userid.Parse(strconv.FormatUint(uint64(user), 10), camp.Input.MaxID); err != nil {
					return usageError(err)
				}
			}
			return c.verify(cmd, led, camp, differs, users)
		},
	}
	c.addFlags(cmd, c.nameFlag, c.jsonFlag, c.redisFlags)
	return cmd
}

// userIDs reads users' IDs; a single - stands for the list on the standard input.
func userIDs(ctx context.Context, args []string, stdin io.Reader) (users []grant.UserID, err error) {
	if len(args) == 1 && args[0] == "-" {
		err := userid.ReadList(stdin, 0).Each(ctx, func(id grant.UserID) { users = append(users, id) })
		if errors.Is(err, userid.ErrBadLine) {
			err = usageError(err)
		}
		return users, err
	}
	for _, arg := range args {
		user, err := userid.Parse(arg, grant.MaxUserID)
		if err != nil {
			return nil, usageError(err)
		}
		users = append(users, user)
	}
	return users, nil
}

// Verdict is the answer for one user.
type Verdict struct {
	User         grant.UserID       `json:"user"`
	Granted      bool               `json:"granted"`
	At           *time.Time         `json:"granted_at,omitempty"`
	Run          *grant.RunID       `json:"run,omitempty"`
	Shard        *int               `json:"shard,omitempty"`
	Flush        *uint64            `json:"flush,omitempty"`
	Ranges       []offsetRange      `json:"offsets,omitempty"`  // the user's record is one of those in these; which one is not known
	TopicID      string             `json:"topic_id,omitempty"` // what the offsets count in: IDs of cluster and topic; empty: not known
	Entitlements []desk.Entitlement `json:"entitlements,omitempty"`
	SpecDiffers  *status.Differs    `json:"spec_differs,omitempty"` // of the file, from the ledger's, by which this is answered
}

type offsetRange struct {
	Partition int   `json:"partition"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"`
}

func newVerdict(c *grant.Campaign, user grant.UserID, g ledger.Grant, granted bool) Verdict {
	v := Verdict{User: user, Granted: granted}
	if !granted {
		return v
	}
	at := g.At.In(c.StartsAt.Location())
	v.At, v.Run, v.Shard, v.Flush = &at, &g.Run, &g.Shard, &g.Flush
	for _, r := range g.Ranges {
		v.Ranges = append(v.Ranges, offsetRange(r))
	}
	slices.SortFunc(v.Ranges, func(a, b offsetRange) int { return cmp.Compare(a.Partition, b.Partition) })
	v.Entitlements = desk.Entitlements(c, &grant.Holding{GrantedAt: at})
	return v
}

func (c *connection) verify(cmd *cobra.Command, led opened, camp *grant.Campaign, differs *status.Differs, users []grant.UserID) error {
	found, err := led.reader.LookupAll(cmd.Context(), users)
	if err != nil {
		return err
	}
	topics, err := topicsOfRuns(cmd.Context(), led.coordination)
	if err != nil {
		return err
	}
	verdicts := make([]Verdict, len(users))
	missing := 0
	for i, user := range users {
		verdicts[i] = Verdict{User: user}
		if found[i] != nil {
			verdicts[i] = newVerdict(camp, user, *found[i], true)
			verdicts[i].TopicID = topics[found[i].Run]
		} else {
			missing++
		}
		verdicts[i].SpecDiffers = differs
	}
	if c.json {
		if err := printJSON(cmd.OutOrStdout(), verdicts); err != nil {
			return err
		}
	} else {
		for _, v := range verdicts {
			printVerdict(cmd.OutOrStdout(), camp, v)
		}
	}
	if missing > 0 && missing == len(users) {
		if _, known, err := led.coordination.Spec(cmd.Context()); err != nil {
			return err
		} else if !known {
			fmt.Fprintf(cmd.ErrOrStderr(), "granter: Redis at %v has never seen a campaign %s: nobody has been granted it there. "+
				"Is its name right in the spec, and is --redis or GRANTER_REDIS?\n", c.redis, camp.Name)
		}
	}
	if missing > 0 {
		return &exitError{code: exitNotGranted}
	}
	return nil
}

// topicsOfRuns says which topic each run read, as far as runs have said it: a run reads one only.
func topicsOfRuns(ctx context.Context, c *ledger.Coordination) (map[grant.RunID]string, error) {
	runs, err := c.Runs(ctx)
	if errors.Is(err, ledger.ErrInconsistent) { // of one record; the others are good
		err = nil
	}
	topics := make(map[grant.RunID]string, len(runs))
	for i := range runs {
		topics[runs[i].Run] = runs[i].Topic.String()
	}
	return topics, err
}

func printVerdict(w io.Writer, c *grant.Campaign, v Verdict) {
	if !v.Granted {
		fmt.Fprintf(w, "user %d: NOT granted %s (granter status says whether the run is over)\n", v.User, c.Name)
		return
	}
	fmt.Fprintf(w, "user %d: granted %s at %s by run %s (shard %d, flush %d)\n", v.User, c.Name, text.Moment(*v.At), *v.Run, *v.Shard, *v.Flush)
	rows := []string{}
	for _, e := range v.Entitlements {
		rows = append(rows, fmt.Sprintf("  %s\t%s\t%s", e.ID, describe(e), standing(&e)))
	}
	table(w, rows...)
	for i, r := range v.Ranges {
		lead := "  from one of the records"
		if i > 0 {
			lead = "  or one of those"
		}
		fmt.Fprintf(w, "%s at offsets %s–%s of partition %d of %s\n", lead, text.Number(r.First), text.Number(r.Last), r.Partition, c.Input.Topic)
	}
	if v.TopicID != "" {
		fmt.Fprintf(w, "  of the topic with ID %s\n", v.TopicID)
	}
}

func describe(e desk.Entitlement) string {
	if e.Amount == 0 {
		return string(e.Kind)
	}
	return fmt.Sprintf("%s %s %s", e.Kind, text.Number(e.Amount), e.Currency)
}

// standing says how an item stands.
func standing(e *desk.Entitlement) string {
	var s string
	switch e.State {
	case grant.StateActive:
		s = "permanent"
	case grant.StateOffered:
		s = "OFFERED, not taken"
	case grant.StateExpired:
		s = "EXPIRED"
	case grant.StateLapsed:
		s = "LAPSED: not taken in time"
	case grant.StateExhausted:
		s = "EXHAUSTED: others took the last of it"
	default:
		s = strings.ToUpper(string(e.State))
	}
	switch {
	case e.LastDay != "" && e.State == grant.StateActive:
		s = "to the end of " + e.LastDay
	case e.LastDay != "":
		s += " at the end of " + e.LastDay
	case e.ExpiresAt != nil && e.State == grant.StateActive:
		s = "until " + text.Moment(*e.ExpiresAt)
	case e.ExpiresAt != nil:
		s += " " + text.Moment(*e.ExpiresAt)
	case e.TakenAt == nil && e.TakeUntil != nil && e.State == grant.StateOffered:
		s += " (possible before " + text.Moment(*e.TakeUntil) + ")"
	case e.TakenAt == nil && e.TakeUntil != nil:
		s += " (it was possible before " + text.Moment(*e.TakeUntil) + ")"
	}
	if e.TakenAt != nil {
		s += ", taken " + text.Moment(*e.TakenAt)
	}
	return s
}
